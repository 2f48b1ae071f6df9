"""A gate's verdict for machines and people: JUnit XML, Markdown, annotations, lines for a terminal."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from .gate import Gate, MetricGate

# GitHub drops a whole step summary beyond 1,024 kB.
MARKDOWN_LIMIT = 900_000
WORST_SHOWN = 5
MARKS = {"PASS": "✅", "PASS_SMALL_DROP": "⚠️", "INCONCLUSIVE": "❔", "FAIL": "❌", "FAIL_HARD": "❌"}
# What XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(gate: Gate) -> str:
    """JUnit XML: a test case a metric; a failed one has a failure, an inconclusive one is skipped with its reason."""
    failures = sum(each.verdict.startswith("FAIL") for each in gate.metrics)
    skipped = sum(each.verdict == "INCONCLUSIVE" for each in gate.metrics)
    counts = {"tests": str(len(gate.metrics)), "failures": str(failures), "errors": "0", "skipped": str(skipped)}
    root = ElementTree.Element("testsuites", {"name": "telbench check", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _xml(f"{_name(gate.candidate)} against "
                                                                    f"{_name(gate.baseline)}"), **counts})  # fmt: skip
    for each in gate.metrics:
        case = ElementTree.SubElement(suite, "testcase", {"classname": f"telbench.{each.role}", "name": each.metric})
        line = _xml(f"{each.verdict}: {each.reason}")
        if each.verdict.startswith("FAIL"):
            failure = ElementTree.SubElement(case, "failure", {"message": line, "type": each.verdict})
            failure.text = _xml("\n".join(_case_lines(each)))
        elif each.verdict == "INCONCLUSIVE":
            ElementTree.SubElement(case, "skipped", {"message": line})
        output = ElementTree.SubElement(case, "system-out")
        output.text = _xml("\n".join(_case_lines(each)))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def markdown(gate: Gate, questions: Mapping[str, str] | None = None) -> str:
    """A summary that fits GitHub's limit; ``questions`` are those of the worst items, by item id."""
    lines = [
        f"## telbench check: {gate.verdict}",
        "",
        f"{_markdown_cell(_name(gate.candidate))} against {_markdown_cell(_name(gate.baseline))}",
        "",
    ]
    lines += [f"> ⚠️ {_markdown_cell(warning)}" for warning in gate.warnings] + ([""] if gate.warnings else [])
    lines += [
        "| | metric | role | baseline | candidate | difference | bounds | margin | n | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in gate.metrics:
        margin = "" if each.margin is None else f"{each.margin:g}"
        arrow = "" if each.higher_is_better else " (lower is better)"
        lines.append(
            f"| {MARKS[each.verdict]} | `{each.metric}`{arrow} | {each.role} | {_figure(each.baseline)} | "
            f"{_figure(each.candidate)} | {_plus_minus(each.delta)} | {_bounds(each)} | {margin} | {each.n} | "
            f"{each.verdict}: {_markdown_cell(each.reason)} |"
        )
    lines += ["", _method(gate), ""]
    for each in gate.metrics:
        lines += _worst_table(each, questions or {})
    text = "\n".join(lines) + "\n"
    if len(text.encode()) > MARKDOWN_LIMIT:
        text = (
            text.encode()[: MARKDOWN_LIMIT - 100].decode(errors="ignore").rsplit("\n", 1)[0] + "\n\n(cut: too long)\n"
        )
    return text


def workflow_commands(gate: Gate) -> Iterator[str]:
    """Workflow commands for GitHub Actions, one line a metric that did not pass and a warning."""
    for each in gate.metrics:
        if each.verdict == "PASS":
            continue
        kind = "error" if each.verdict.startswith("FAIL") else "warning"
        yield f"::{kind} title={_property(f'telbench {each.metric}')}::{_message(f'{each.verdict}: {each.reason}')}"
    for warning in gate.warnings:
        yield f"::warning title=telbench::{_message(warning)}"


def terminal_rows(gate: Gate) -> list[Sequence[str]]:
    """Rows of the table that the command prints."""
    rows: list[Sequence[str]] = [
        ("metric", "role", "baseline", "candidate", "difference", "bounds", "margin", "n", "verdict")
    ]
    for each in gate.metrics:
        margin = "" if each.margin is None else f"{each.margin:g}"
        cells = (_figure(each.baseline), _figure(each.candidate), _plus_minus(each.delta), _bounds(each), margin)
        rows.append((each.metric, each.role, *cells, str(each.n), f"{each.verdict}: {each.reason}"))
    return rows


def _case_lines(each: MetricGate) -> list[str]:
    lines = [
        f"baseline {_figure(each.baseline)}, candidate {_figure(each.candidate)}, difference {_plus_minus(each.delta)} "
        f"(positive is better), one-sided bounds {_bounds(each)}",
        f"{each.n} items, {each.clusters} source documents ({each.effective_clusters:.1f} effective), "
        f"{each.n_missing} without a score",
        f"p(drop) = {each.p_drop:.3g}, adjusted {each.p_drop_adjusted:.3g}"
        + ("" if each.p_margin is None else f", p(drop beyond the margin) = {each.p_margin:.3g}"),
    ]
    if each.detectable is not None:
        lines.append(f"these items find a drop of {each.detectable:.3g} with 80 % power")
    if each.flags:
        lines.append("flags: " + ", ".join(each.flags))
    lines += [f"{item['item_id']}: {_plus_minus(item['difference'])}" for item in each.worst[:WORST_SHOWN]]
    return lines


def _worst_table(each: MetricGate, questions: Mapping[str, str]) -> list[str]:
    if each.verdict == "PASS" or not each.worst:
        return []
    lines = [f"<details><summary>{each.metric}: worst items ({each.steep_drops} steep drops)</summary>", ""]
    lines += ["| item | difference | question |", "|---|---|---|"]
    for item in each.worst:
        question = questions.get(str(item["item_id"]), "")
        question = question if len(question) <= 200 else question[:199] + "…"
        name, loss = _markdown_cell(str(item["item_id"])), _plus_minus(item["difference"])
        lines.append(f"| {name} | {loss} | {_markdown_cell(question)} |")
    return [*lines, "", "</details>", ""]


def _method(gate: Gate) -> str:
    return (
        f"Differences are paired by item, positive is better; bounds are one-sided at {1 - gate.policy.alpha:.0%} from "
        "the cluster sign-flip test (bootstrap over source documents for corpus scores); drops are Holm-corrected "
        "within each role."
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


def _markdown_cell(text: str) -> str:
    """Text of unknown origin inside a Markdown table: no markup, no cell border, one line."""
    line = " ".join(_NOT_XML.sub("\ufffd", text).split())
    return re.sub(r"([\\`*_{}\[\]()#+!|~@])", r"\\\1", html.escape(line, quote=False))


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
