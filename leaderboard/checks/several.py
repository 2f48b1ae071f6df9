"""Gates of several data sets as one: a line for each, one for all, and the reports that hold them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..compare.markdown import escaped
from ..gate.gate import Case, Gate, GateVerdict, OnInconclusive, judge_gates, together
from ..gate.report import MARKDOWN_LIMIT, cut, markdown


@dataclass(frozen=True)
class GateSet:
    """The gates by data set. One that fails fails all; one that cannot tell leaves all open.

    ``exit_code`` is 0, 1 for a regression, 3 where what is inconclusive is to fail.
    """

    verdict: GateVerdict
    exit_code: int
    gates: Mapping[str, Gate]

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record; each data set's is what a check of it alone prints, but for the correction over all."""
        told = {name: gate.to_dict() for name, gate in self.gates.items()}
        return {"schema_version": 1, "verdict": self.verdict, "exit_code": self.exit_code, "data": told}


def judge_set(cases: Mapping[str, Case], on_inconclusive: OnInconclusive) -> GateSet:
    """Judge all data sets together.

    Drops of the primary metrics of all data sets are one family of tests (Holm), what exceeds the budgets of all
    guardrails and categories another, so that an unchanged model does not turn red more often for being asked more.
    Raises as `judge_gates`.
    """
    gates = dict(zip(cases, judge_gates(list(cases.values())), strict=True))
    verdict, code = together((gate.verdict for gate in gates.values()), on_inconclusive)
    return GateSet(verdict, code, gates)


def data_line(name: str, gate: Gate) -> str:
    """What became of one data set: counts of what holds, and the names of what does not."""
    open_ones = [each.title for each in gate.metrics if each.verdict == "INCONCLUSIVE"]
    failed = [f"{each.title} {each.delta:+.3g}" for each in gate.metrics if each.verdict.startswith("FAIL")]
    held = []
    for role, words in (("primary", ("primary metric", "primary metrics")), ("guardrail", ("guardrail", "guardrails")),
                        ("category", ("metric in a category", "metrics in categories"))):  # fmt: skip
        of_role = [each for each in gate.metrics if each.role == role]
        good = sum(each.verdict.startswith("PASS") for each in of_role)
        if of_role:
            held.append(f"{good} of {len(of_role)} {words[len(of_role) != 1]}")
    told = [f"{', '.join(held)} hold{'s' if held == ['1 of 1 primary metric'] else ''}"]
    told += [f"worse: {', '.join(failed)}"] if failed else []
    told += [f"cannot tell: {', '.join(open_ones)}"] if open_ones else []
    return f"{name}: {gate.verdict.upper()}: {'; '.join(told)}"


def all_line(gates: GateSet) -> str:
    """What became of all data sets."""
    count = len(gates.gates)
    parts = []
    for verdict, words in (("fail", "worse"), ("inconclusive", "cannot tell"), ("pass", "pass")):
        names = [name for name, gate in gates.gates.items() if gate.verdict == verdict]
        if names:
            parts.append(f"{len(names)} of {count} {words}" + ("" if verdict == "pass" else f" ({', '.join(names)})"))
    code = f"exit code {gates.exit_code}"
    if gates.verdict == "inconclusive" and not gates.exit_code:
        code += " (3 with --on-inconclusive fail)"
    return f"ALL DATA SETS: {gates.verdict.upper()}: {', '.join(parts)}; {code}"


def markdown_of(gates: GateSet, questions: Mapping[str, Mapping[str, str]]) -> str:
    """The lines, then each data set's summary; ``questions`` are those of the worst items, by data set."""
    lines = [f"## telbench check: {gates.verdict}", ""]
    lines += [f"- {escaped(data_line(name, gate))}" for name, gate in gates.gates.items()]
    lines += ["", escaped(all_line(gates)), "", "Tests are corrected over the metrics of all data sets together.", ""]
    for name, gate in gates.gates.items():
        lines.append(markdown(gate, questions.get(name), f"### {escaped(name)}"))
    return cut("\n".join(lines) + "\n", MARKDOWN_LIMIT)
