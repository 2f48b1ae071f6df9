"""The panel that the user's settings describe."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...judges.panel import JudgePanel
from ...judges.rubric import read_rubric, rubric_names
from ...judges.server.options import options_given
from ...judges.server.prices import PriceTable, read_prices
from ...judges.server.served import keys_sent, refuse_shared_keys
from ...judges.spec import JudgeOptions, open_judge, parse_judges, takes_options
from ..storage import shared_store
from .settings import JudgeSettings

# The rubrics that metrics use; the other one is for two runs.
METRIC_RUBRICS = ("context_passages", "factual_correctness", "faithfulness", "question_generation", "rubric_score")


def open_panel(settings: JudgeSettings, seed: int = 0) -> JudgePanel | None:
    """The panel of the judges named, their identities known and no weights loaded; None where none is named.

    Raises:
        InputError: for a judge that cannot be asked, a rubric that is none, or prices that cannot be read.
    """
    check_rubrics(settings.rubrics)
    # A table that cannot be read is told before anything is asked.
    price_table(settings)
    specs = parse_judges(settings.specs)
    if not specs:
        return None
    given = options_given(settings.options)
    if given and not any(map(takes_options, specs)):
        raise InputError("--judge-option is for judges behind a server, and none is named: leave it out")
    if settings.batch and not any(map(takes_options, specs)):
        raise InputError("--judge-batch is for judges behind a server, and none is named: leave it out")
    options = JudgeOptions(
        _Remembered(),
        settings.max_in_flight,
        settings.deadline,
        settings.engine,
        seed,
        given,
        settings.anew,
        settings.batch,
    )
    judges = [open_judge(spec, options) for spec in specs]
    identities = [judge.identity for judge in judges]
    refuse_shared_keys(keys_sent(identities))
    for place, identity in enumerate(identities):
        if identity.name in {other.name for other in identities[:place]}:
            raise InputError(f"--judge {specs[place]} is {identity.name} again: one judge has one vote; name it once")
    return JudgePanel(judges, seed=seed, retry=settings.retry, repeats=settings.repeats)


def check_rubrics(rubrics: Mapping[str, Path]) -> None:
    """Read every rubric of the user's own once, for its complaints. Raises `InputError`."""
    known = {stem.rpartition("-")[0] for stem in rubric_names()}
    for name, path in rubrics.items():
        if name not in known:
            raise InputError(f"--rubric {name}={path}: there is no rubric '{name}': {', '.join(sorted(known))}")
        read_rubric(path)


def refuse_unused(rubrics: Mapping[str, Path], used: Collection[str], by: str) -> None:
    """Raise `InputError` for a rubric of the user's own by which ``by``, a command's name, puts no question."""
    for name, path in rubrics.items():
        if name not in used:
            told = ", ".join(sorted(used))
            raise InputError(f"--rubric {name}={path}: {by} uses only the rubrics {told}: leave this one out")


def price_table(settings: JudgeSettings) -> PriceTable | None:
    """The price table that the user gave, or None. Raises `InputError` for one that cannot be read."""
    return None if settings.prices is None else read_prices(settings.prices)


class _Remembered:
    """What servers were found to be able to do, kept in the cache folder for later runs."""

    def get(self, key: str) -> Mapping[str, Any] | None:
        """What is kept under a key."""
        with shared_store("judges", "capabilities") as store:
            return None if store is None else store.get(key)

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Keep it, where the cache folder can be written."""
        with shared_store("judges", "capabilities") as store:
            if store is not None:
                store.put(key, record)
