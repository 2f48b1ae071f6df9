"""How likely a judge finds a text: likelihoods are asked once a judge, kept, and looked up ever after."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from .contract import JudgeIdentity, request_key
from .panel import JudgePanel

# Why a judge has no likelihood of a text, in its tally.
UNSCORED = "unscored"
# Texts that are held at once.
_READ_AHEAD = 2000


@dataclass(frozen=True, slots=True)
class LikelihoodRequest:
    """Text whose probability is wanted: the tokens of ``continuation`` as the reply to ``messages``.

    No end-of-sequence token is counted: an answer cut off at its longest has none. ``item_id`` is for the reader of the
    records.
    """

    key: str
    messages: tuple[Mapping[str, str], ...]
    continuation: str
    item_id: str = ""


@dataclass(frozen=True, slots=True)
class JudgedText:
    """A text whose likelihood judges have to tell: ``continuation`` as reply to ``messages``, of item ``item_id``."""

    messages: tuple[Mapping[str, str], ...]
    continuation: str
    item_id: str = ""


@runtime_checkable
class LikelihoodJudge(Protocol):
    """A judge that gives probabilities of texts; those that only reply (servers) do not."""

    identity: JudgeIdentity

    def log_likelihoods(self, requests: Iterable[LikelihoodRequest]) -> Iterator[tuple[str, float, int]]:
        """Yield (key, summed natural log-probability, tokens) of each request that can be scored, in any order.

        A continuation that does not fit the judge's window, or has no token, is left out. Raises like `Judge.ask`.
        """
        ...


def likelihood_request(identity: JudgeIdentity, text: JudgedText) -> LikelihoodRequest:
    """The request under the key of all that its value depends on."""
    key = request_key(identity.fingerprint, text.messages, {"continuation": text.continuation})
    return LikelihoodRequest(f"likelihood:{key}", text.messages, text.continuation, text.item_id)


def likelihood_judges(panel: JudgePanel) -> tuple[LikelihoodJudge, ...]:
    """Those of the panel that give likelihoods."""
    return tuple(judge for judge in panel.judges if isinstance(judge, LikelihoodJudge))


def ask_likelihoods(
    panel: JudgePanel,
    texts: Callable[[], Iterable[JudgedText]],
    seen: Callable[[str], object] = lambda judge: None,
    only: str | None = None,
) -> None:
    """Have every text scored that the ledger lacks, so many at a time, by one judge after the other.

    ``only``: by the judge of that name alone. ``texts`` is called once a judge; ``seen`` is told the judge's name for
    each text that is done. Raises like `JudgePanel.ask`; what had been scored by then is in the ledger.
    """
    for judge in likelihood_judges(panel):
        if only not in (None, judge.identity.name):
            continue
        stream = iter(texts())
        while batch := list(itertools.islice(stream, _READ_AHEAD)):
            _ask_unknown(panel, judge, [likelihood_request(judge.identity, text) for text in batch])
            for _ in batch:
                seen(judge.identity.name)


def log_likelihoods(
    panel: JudgePanel, judge: LikelihoodJudge, requests: Sequence[LikelihoodRequest]
) -> dict[str, tuple[float, int] | None]:
    """(summed log-probability, tokens) by key: from the ledger where it knows them, else asked now and kept.

    None where the judge could not score the text; that is kept too, as it would be the same again. Each counts as a
    prompt in the judge's tally, and one without a value as missing there.
    """
    _ask_unknown(panel, judge, requests)
    found = {each.key: _recorded_likelihood(panel.ledger.get(each.key)) for each in requests}
    for key, value in found.items():
        panel.count_prompt(judge.identity.name, key, None if value else (UNSCORED, "it does not fit the window"))
    return found


def scored(record: Mapping[str, Any] | None) -> bool:
    """Is this the record of a likelihood, or of a text that the judge could not score?"""
    return record is not None and "log_likelihood" in record and isinstance(record.get("tokens"), int)


def _ask_unknown(panel: JudgePanel, judge: LikelihoodJudge, requests: Sequence[LikelihoodRequest]) -> None:
    unknown = {each.key: each for each in requests if not scored(panel.ledger.get(each.key))}
    if not unknown:
        return
    for key, value, tokens in judge.log_likelihoods(list(unknown.values())):
        panel.ledger.put(key, _likelihood_record(judge, unknown[key], value, tokens))
    for key, request in unknown.items():
        if not scored(panel.ledger.get(key)):
            panel.ledger.put(key, _likelihood_record(judge, request, None, 0))
    panel.tallies[judge.identity.name].asked += len(unknown)


def _likelihood_record(
    judge: LikelihoodJudge, request: LikelihoodRequest, value: float | None, tokens: int
) -> dict[str, Any]:
    return {
        "item_id": request.item_id,
        "judge": judge.identity.name,
        "log_likelihood": value if value is not None and math.isfinite(value) else None,
        "tokens": tokens,
    }


def _recorded_likelihood(record: Mapping[str, Any] | None) -> tuple[float, int] | None:
    if record is None or record["log_likelihood"] is None or record["tokens"] < 1:
        return None
    return float(record["log_likelihood"]), int(record["tokens"])
