"""``gate.yaml``: one gate for several data sets, as a file that is committed and reviewed."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from telbench.config import REQUIRED, Located, merged, read_settings, read_yaml, same_as, setting
from telbench.errors import IncomparableError, InputError

from ..gate.gate import Case
from ..runs.foreign import Reading
from ..runs.loaded import LoadedRun
from ..runs.sources import open_run, require_used
from .settings import PolicySettings

# What stands for the name of the data set in a path.
NAME = "{data}"


@dataclass(frozen=True, kw_only=True)
class DataGate:
    """What one data set has for itself; what is left out is as the file says it for all."""

    candidate: str | None = setting(None, "the candidate's run folder or log, or a pattern that one of them has")
    baseline: str | None = setting(None, "anchor, run folder or log, or a pattern that one of them has")
    margins: Mapping[str, float] | None = same_as(PolicySettings, "margins", default=None)
    guardrail: tuple[str, ...] | None = same_as(PolicySettings, "guardrail", default=None)
    guardrail_budget: float | None = same_as(PolicySettings, "guardrail_budget", default=None)
    guardrails: bool | None = same_as(PolicySettings, "guardrails", default=None)
    categories: tuple[str, ...] | None = same_as(PolicySettings, "categories", default=None)
    category_budgets: Mapping[str, float] | None = same_as(PolicySettings, "category_budgets", default=None)
    max_missing: float | None = same_as(PolicySettings, "max_missing", default=None)
    cluster: str | None = same_as(PolicySettings, "cluster", default=None)


@dataclass(frozen=True, kw_only=True)
class GateFile(PolicySettings):
    """A gate over several data sets: the settings of all of them, and what each has for itself."""

    candidate: str | None = setting(None, f"as of a data set; {NAME} stands for its name")
    baseline: str | None = setting(None, f"as of a data set; {NAME} stands for its name")
    data: Mapping[str, DataGate] = setting(REQUIRED, "the data sets by name")

    def of(self, name: str) -> PolicySettings:
        """The settings for a data set."""
        own = self.data[name]
        common = PolicySettings(**{each.name: getattr(self, each.name) for each in fields(PolicySettings)})
        told = {each.name: getattr(own, each.name) for each in fields(own) if hasattr(common, each.name)}
        return replace(common, **{key: value for key, value in told.items() if value is not None})


@dataclass(frozen=True)
class GateRequest:
    """A gate that was read; ``places`` say where it names each data set, for messages."""

    gate: GateFile
    places: Mapping[str, str]


def read_gate(file: Path, over: Mapping[str, Any]) -> GateRequest:
    """The gate of a file; ``over`` are settings for all data sets that come before the file's.

    Raises:
        InputError: naming file and line of what does not fit.
    """
    given = merged(read_yaml(file), over)
    found = read_settings(GateFile, given, str(file))
    if not found.data:
        raise InputError(f"{file}: data is empty: name one data set or more")
    lines = given["data"].lines if isinstance(given["data"], Located) else {}
    places = {name: f"{file}{f', line {lines[name]}' if name in lines else ''}, {name}" for name in found.data}
    return GateRequest(found, places)


def cases_of(asked: GateRequest) -> dict[str, Case]:
    """The runs of each data set with their policy, by name; paths are taken from the working folder, as in flags.

    Raises:
        InputError: for a pattern that no path or several have, for what is no run, or a policy that is none.
            IncomparableError: for runs that were not measured alike.
    """
    gate, runs = asked.gate, dict[str, tuple[LoadedRun, LoadedRun]]()
    for name, own in gate.data.items():
        with _told_at(asked.places[name]):
            reading = gate.of(name).reading
            pair = [open_run(_path(gate, name, side), reading) for side in ("candidate", "baseline")]
            if own.cluster is not None:
                require_used(Reading(cluster=own.cluster), pair)
            runs[name] = (pair[0], pair[1])
    require_used(gate.reading, [run for pair in runs.values() for run in pair])
    cases = {}
    for name, pair in runs.items():
        with _told_at(asked.places[name]):
            cases[name] = gate.of(name).case(*pair)
    return cases


def _path(gate: GateFile, name: str, side: str) -> Path:
    """The path that is named, or the one path that the pattern means."""
    pattern: str | None = getattr(gate.data[name], side) or getattr(gate, side)
    if pattern is None:
        raise InputError(f"the key '{side}' is missing, here and for all data sets")
    text = pattern.replace(NAME, name)
    if Path(text).exists() or not glob.has_magic(text):
        return Path(text)
    found = sorted(glob.glob(text))
    if not found:
        raise InputError(f"{side}: no path matches '{text}'")
    if len(found) > 1:
        named = f"{', '.join(found[:3])}{' …' if len(found) > 3 else ''}"
        raise InputError(f"{side}: {len(found)} paths match '{text}' ({named}): it must be one")
    return Path(found[0])


@contextmanager
def _told_at(place: str) -> Iterator[None]:
    """Say which data set an error is about."""
    try:
        yield
    except (InputError, IncomparableError) as error:
        raise type(error)(f"{place}: {error}") from error
