"""A gate's verdict for machines and people: JUnit XML, Markdown, annotations, lines for a terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from ..compare.markdown import escaped as cell
from ..statistics.paired import FEW_CLUSTERS
from .gate import Gate, MetricGate

# GitHub drops a whole step summary beyond 1,024 kB.
MARKDOWN_LIMIT = 900_000
WORST_SHOWN = 5
MARKS = {"PASS": "✅", "PASS_SMALL_DROP": "⚠️", "INCONCLUSIVE": "❔", "FAIL": "❌", "FAIL_HARD": "❌"}
# What XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(*gates: Gate) -> str:
    """JUnit XML: a suite a gate, a test case a metric; failed ones have a failure, inconclusive ones are skipped."""
    found = [each for gate in gates for each in gate.metrics]
    root = ElementTree.Element("testsuites", {"name": "telbench check", **_counts(found)})
    for gate in gates:
        name = _xml(f"{_name(gate.candidate)} against {_name(gate.baseline)}")
        suite = ElementTree.SubElement(root, "testsuite", {"name": name, **_counts(gate.metrics)})
        for each in gate.metrics:
            _test_case(suite, each)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _counts(metrics: Sequence[MetricGate]) -> dict[str, str]:
    failures = sum(each.verdict.startswith("FAIL") for each in metrics)
    skipped = sum(each.verdict == "INCONCLUSIVE" for each in metrics)
    return {"tests": str(len(metrics)), "failures": str(failures), "errors": "0", "skipped": str(skipped)}


def _test_case(suite: ElementTree.Element, each: MetricGate) -> None:
    case = ElementTree.SubElement(suite, "testcase", {"classname": f"telbench.{each.role}", "name": _xml(each.title)})
    line = _xml(f"{each.verdict}: {each.reason}")
    if each.verdict.startswith("FAIL"):
        failure = ElementTree.SubElement(case, "failure", {"message": line, "type": each.verdict})
        failure.text = _xml("\n".join(_case_lines(each)))
    elif each.verdict == "INCONCLUSIVE":
        ElementTree.SubElement(case, "skipped", {"message": line})
    output = ElementTree.SubElement(case, "system-out")
    output.text = _xml("\n".join(_case_lines(each)))


def markdown(gate: Gate, questions: Mapping[str, str] | None = None, heading: str = "## telbench check") -> str:
    """A summary that fits GitHub's limit; ``questions`` are those of the worst items, by item id."""
    lines = [
        f"{heading}: {gate.verdict}",
        "",
        f"{cell(_name(gate.candidate))} against {cell(_name(gate.baseline))}",
        "",
    ]
    lines += [f"> ⚠️ {cell(warning)}" for warning in gate.warnings] + ([""] if gate.warnings else [])
    lines += [
        "| | metric | role | baseline | candidate | difference | bounds | margin, budget | n | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in gate.metrics:
        margin = allowed(each)
        arrow = "" if each.higher_is_better else " (lower is better)"
        lines.append(
            f"| {MARKS[each.verdict]} | {cell(each.title)}{arrow} | {each.role} | {_figure(each.baseline)} | "
            f"{_figure(each.candidate)} | {_plus_minus(each.delta)} | {_bounds(each)} | {margin} | {each.n} | "
            f"{each.verdict}: {cell(each.reason)} |"
        )
    told = (f"- {cell(line)}" for line in (*look_lines(gate), *power_lines(gate)))
    lines += ["", _method(gate), "", *told, ""]
    for each in gate.metrics:
        lines += _worst_table(each, questions or {})
    return cut("\n".join(lines) + "\n", MARKDOWN_LIMIT)


def cut(text: str, limit: int) -> str:
    """Text of whole lines in so many bytes of UTF-8, with a word where lines were left out."""
    if len(text.encode()) <= limit:
        return text
    return text.encode()[: limit - 100].decode(errors="ignore").rsplit("\n", 1)[0] + "\n\n(cut: too long)\n"


def workflow_commands(gate: Gate, data: str = "") -> Iterator[str]:
    """Workflow commands for GitHub Actions, one line a metric that did not pass and a warning.

    ``data`` is the name of the data set, where there are several.
    """
    tool = f"telbench {data}".strip()
    for each in gate.metrics:
        if each.verdict == "PASS":
            continue
        kind = "error" if each.verdict.startswith("FAIL") else "warning"
        yield f"::{kind} title={_property(f'{tool} {each.title}')}::{_message(f'{each.verdict}: {each.reason}')}"
    for warning in gate.warnings:
        yield f"::warning title={_property(tool)}::{_message(warning)}"


def terminal_rows(gate: Gate) -> list[Sequence[str]]:
    """Rows of the table that the command prints."""
    rows: list[Sequence[str]] = [
        ("metric", "role", "baseline", "candidate", "difference", "bounds", "margin, budget", "n", "verdict")
    ]
    for each in gate.metrics:
        margin = allowed(each)
        cells = (_figure(each.baseline), _figure(each.candidate), _plus_minus(each.delta), _bounds(each), margin)
        rows.append((each.title, each.role, *cells, str(each.n), f"{each.verdict}: {each.reason}"))
    return rows


def allowed(each: MetricGate) -> str:
    """The margin of a primary metric, the budget of a guardrail."""
    if each.budget is not None:
        return f"{each.budget:.3g} (budget)"
    return "" if each.margin is None else f"{each.margin:g}"


def look_lines(gate: Gate) -> list[str]:
    """At which levels a look was decided, and what is left; nothing where each check stands for itself."""
    look = gate.look
    if look is None:
        return []
    levels, alpha = look.levels, look.alpha
    again = "; it was looked at before, and costs nothing again" if look.again else ""
    return [
        f"look {look.number} at this baseline{again}: red at {levels.red:.2g} ({levels.red_lost:.2g} of {alpha:g} lost "
        f"before), pass at {levels.passing:.2g} ({levels.passing_lost:.2g} of {alpha:g} lost before)"
    ]


def power_lines(gate: Gate) -> list[str]:
    """What the data could have shown, a line a primary metric: without it nobody knows what a pass is worth."""
    return [_power_line(each) for each in gate.metrics if each.margin is not None]


def _power_line(each: MetricGate) -> str:
    told = f"{each.metric}: these {each.n:,} items in {each.clusters:,} documents"
    if each.detectable is None or each.n_for_margin is None or each.clusters_for_margin is None:
        return (
            f"{told} can show no drop, however large: they say as much as {each.effective_clusters:.1f} equal "
            f"documents, it takes {FEW_CLUSTERS:.0f}"
        )
    if each.n_for_margin <= each.n:
        return (
            f"{told} can show a drop of {each.detectable:.2g} or more (80 % power), and the margin is {each.margin:g}"
        )
    return (
        f"{told} can show a drop of {each.detectable:.2g} or more (80 % power); for {each.margin:g} you need about "
        f"{about(each.n_for_margin)} in {about(each.clusters_for_margin)} documents"
    )


def about(count: int) -> str:
    """A number of two digits that count.

    >>> about(1473), about(8)
    ('1,500', '8')
    """
    return f"{float(f'{count:.2g}'):,.0f}"


def _case_lines(each: MetricGate) -> list[str]:
    lines = [
        f"baseline {_figure(each.baseline)}, candidate {_figure(each.candidate)}, difference {_plus_minus(each.delta)} "
        f"(positive is better), one-sided bounds {_bounds(each)}",
        f"{each.n} items, {each.clusters} source documents ({each.effective_clusters:.1f} effective), "
        f"{each.n_missing} without a score",
        f"p(drop) = {each.p_drop:.3g}, adjusted {each.p_drop_adjusted:.3g}"
        + ("" if each.p_margin is None else f", p(drop beyond the margin) = {each.p_margin:.3g}"),
    ]
    if each.p_beyond is not None:
        lines.append(f"p(drop beyond the budget) = {each.p_beyond:.3g}, adjusted {each.p_beyond_adjusted:.3g}")
    if each.detectable is not None:
        lines.append(f"these items find a drop of {each.detectable:.3g} with 80 % power")
    if each.flags:
        lines.append("flags: " + ", ".join(each.flags))
    lines += [f"{item['item_id']}: {_plus_minus(item['difference'])}" for item in each.worst[:WORST_SHOWN]]
    return lines


def _worst_table(each: MetricGate, questions: Mapping[str, str]) -> list[str]:
    if each.verdict == "PASS" or not each.worst:
        return []
    title = cell(each.title, inside_html=True)
    lines = [f"<details><summary>{title}: worst items ({each.steep_drops} steep drops)</summary>", ""]
    lines += ["| item | difference | question |", "|---|---|---|"]
    for item in each.worst:
        question = questions.get(str(item["item_id"]), "")
        question = question if len(question) <= 200 else question[:199] + "…"
        name, loss = cell(str(item["item_id"])), _plus_minus(item["difference"])
        lines.append(f"| {name} | {loss} | {cell(question)} |")
    return [*lines, "", "</details>", ""]


def _method(gate: Gate) -> str:
    level = f"at {1 - gate.policy.alpha:.0%}" if gate.look is None else "at the levels of this look"
    told = (
        f"Differences are paired by item, positive is better; bounds are one-sided {level} and "
        "p-values are from the cluster sign-flip test; drops are Holm-corrected within each role."
    )
    return f"{told} {guardrail_line(gate)}." if any(each.budget is not None for each in gate.metrics) else told


def guardrail_line(gate: Gate) -> str:
    """What the guardrails are held to, and categories where there are."""
    guards, held = (sum(each.role == role for each in gate.metrics) for role in ("guardrail", "category"))
    told = []
    if guards:
        named = ", ".join(f"{name} {budget:g}" for name, budget in gate.policy.budgets.items())
        told.append(
            f"{guards} guardrail{'' if guards == 1 else 's'}: a budget of {100 * gate.policy.guardrail_budget:g} % of "
            f"the range each{f' ({named})' if named else ''}"
        )
    if held:
        count = len({each.category for each in gate.metrics if each.category is not None})
        told.append(f"{count} categor{'y' if count == 1 else 'ies'}: a drop of the margin, or of its own budget, each")
    return (
        f"{'; '.join(told)}; all of them together fail a model within its budgets in at most "
        f"{100 * gate.policy.alpha:g} %"
    )


def _name(run: Mapping[str, Any]) -> str:
    return str(run["name"])


def _figure(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "N/A"


def _plus_minus(value: float) -> str:
    return f"{value + 0.0:+.4g}"


def _bounds(each: MetricGate) -> str:
    if each.lower is None or each.upper is None:
        return "none"
    return f"[{_plus_minus(each.lower)}, {_plus_minus(each.upper)}]"


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
