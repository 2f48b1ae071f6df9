"""The reliability plot: what judges gave to the answers of each label, as an SVG of its own.

One panel a judge. Dots: how many answers (area) got a score; bars: the judge's mean and its 95 % interval; on the
dashed diagonal judge and label agree. Every number is also in the text of the drawing, for those who cannot see it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from ..schemas import SCORES
from .agreement import CoefficientEstimate
from .calibrate import Calibration, JudgeCalibration, Level

_CELL = 56
_SIDE = _CELL * len(SCORES)
_LEFT, _TOP, _RIGHT, _BOTTOM = 58, 62, 18, 64
_WIDTH, _HEIGHT = _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BOTTOM
_FOOT = 46
# The legend needs this much under a single panel.
_NARROWEST = 390
_LONGEST_NAME = 32
_MOST_ACROSS = 3
_INK, _FAINT, _GRID, _DOT, _MEAN = "#1f2933", "#52606d", "#e4e7eb", "#9cc4e4", "#b44d12"
_STYLE = (
    "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:" + _INK + "}"
    ".n{font-size:14px;font-weight:600}.a{font-size:12px}.f{font-size:11px;fill:" + _FAINT + "}"
    ".c{font-size:10px;fill:" + _INK + "}"
)


def short_name(name: str, longest: int = _LONGEST_NAME) -> str:
    """A judge's name on one line, at most ``longest`` characters; what cannot be printed is replaced.

    >>> short_name("openai:a-judge@http://host:8000/v1", 20)
    'openai:a-judge@http…'
    """
    shown = "".join(character if character.isprintable() else "�" for character in name)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def reliability_svg(calibration: Calibration) -> str:
    """The plot of all judges with rubric scores, side by side. Raises ValueError where there is none."""
    judges = [judge for judge in calibration.judges if judge.score is not None]
    if not judges:
        raise ValueError("no judge has rubric scores: there is nothing to plot")
    across = min(len(judges), _MOST_ACROSS)
    width = max(across * _WIDTH, _NARROWEST)
    height = math.ceil(len(judges) / across) * _HEIGHT + _FOOT
    panels = "\n".join(
        _judge_panel(judge, _WIDTH * (place % across), _HEIGHT * (place // across))
        for place, judge in enumerate(judges)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'role="img" aria-labelledby="reliability-title reliability-desc">\n'
        f'<title id="reliability-title">Reliability of {len(judges)} '
        f"{'judge' if len(judges) == 1 else 'judges'} against {calibration.labels} labelled answers</title>\n"
        f'<desc id="reliability-desc">{escape(" ".join(map(_in_words, judges)))}</desc>\n'
        f"<style>{_STYLE}</style>\n"
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n{panels}\n{_legend(height - _FOOT)}\n</svg>\n'
    )


def _judge_panel(judge: JudgeCalibration, left: int, top: int) -> str:
    score = judge.score
    if score is None:
        return ""
    missing = sum(score.missing.values())
    below = f"weighted κ {_value_text(score.quadratic_kappa)} · n {score.n}" + (
        f" · {missing} missing" if missing else ""
    )
    x, y = left + _LEFT, top + _TOP
    parts = [
        f"<g><title>{escape(short_name(judge.judge, 200))}</title>",
        _svg_text(x, top + 26, "n", short_name(judge.judge), anchor="start"),
        _svg_text(x, top + 46, "f", below, anchor="start"),
        _axes(x, y),
        *(_column(level, x, y, max(1, *(max(each.counts) for each in score.levels))) for level in score.levels),
        _svg_text(x + _SIDE / 2, y + _SIDE + 52, "a", "labelled score"),
        f'<text class="a" text-anchor="middle" transform="translate({x - 36} {y + _SIDE / 2:g}) rotate(-90)">'
        "judge's score</text>",
        "</g>",
    ]
    return "\n".join(parts)


def _axes(x: int, y: int) -> str:
    lines = []
    for score in SCORES:
        across, up = _across(score), _from_top(score)
        lines.append(f'<path d="M{x} {y + up:g}h{_SIDE}M{x + across:g} {y}v{_SIDE}" stroke="{_GRID}" fill="none"/>')
        lines.append(_svg_text(x - 12, y + up + 4, "a", str(score)))
        lines.append(_svg_text(x + across, y + _SIDE + 18, "a", str(score)))
    lines.append(f'<rect x="{x}" y="{y}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="{_FAINT}"/>')
    lines.append(f'<path d="M{x} {y + _SIDE}L{x + _SIDE} {y}" stroke="{_FAINT}" stroke-dasharray="5 5"/>')
    return "\n".join(lines)


def _column(level: Level, x: int, y: int, most: int) -> str:
    centre = x + _across(level.label)
    parts = []
    for given, count in zip(SCORES, level.counts, strict=True):
        if count:
            radius = max(3.0, (_CELL / 2 - 8) * math.sqrt(count / most))
            middle = y + _from_top(given)
            parts.append(
                f'<circle cx="{centre:g}" cy="{middle:g}" r="{radius:.1f}" fill="{_DOT}">'
                f"<title>label {level.label}, judge {given}: {count}</title></circle>"
            )
            # Beside the dot where the number does not fit into it; the mean stands on the other side.
            inside = radius > 9
            place = centre if inside else centre - radius - 2
            parts.append(_svg_text(place, middle + 3.5, "c", str(count), anchor="middle" if inside else "end"))
    if level.mean.value is not None:
        parts.append(_mean_mark(level.mean, centre + _CELL / 2 - 4, y))
    parts.append(_svg_text(centre, y + _SIDE + 33, "f", f"n {sum(level.counts)}"))
    return "\n".join(parts)


def _mean_mark(mean: CoefficientEstimate, x: float, y: int) -> str:
    if mean.value is None:
        return ""
    parts = []
    if mean.low is not None and mean.high is not None:
        low, high = y + _from_top(mean.low), y + _from_top(mean.high)
        parts.append(
            f'<path d="M{x:g} {low:.1f}V{high:.1f}M{x - 3:g} {low:.1f}h6M{x - 3:g} {high:.1f}h6" '
            f'stroke="{_MEAN}" stroke-width="1.5" fill="none"/>'
        )
    at = y + _from_top(mean.value)
    parts.append(
        f'<path d="M{x:g} {at - 4.5:.1f}l4.5 4.5l-4.5 4.5l-4.5 -4.5z" fill="{_MEAN}"><title>mean {mean.value:.2f}'
        "</title></path>"
    )
    return "\n".join(parts)


def _legend(y: int) -> str:
    x = _LEFT
    return (
        f'<g><circle cx="{x + 6}" cy="{y + 12}" r="6" fill="{_DOT}"/>'
        + _svg_text(x + 18, y + 16, "f", "number of answers", anchor="start")
        + f'<path d="M{x + 144} {y + 5}v14m-3 0h6m-6 -14h6" stroke="{_MEAN}" stroke-width="1.5" fill="none"/>'
        f'<path d="M{x + 144} {y + 7.5}l4.5 4.5l-4.5 4.5l-4.5 -4.5z" fill="{_MEAN}"/>'
        + _svg_text(x + 156, y + 16, "f", "judge's mean, 95 % interval", anchor="start")
        + f'<path d="M{x} {y + 34}h14" stroke="{_FAINT}" stroke-dasharray="5 3"/>'
        + _svg_text(x + 18, y + 38, "f", "judge and label agree", anchor="start")
        + "</g>"
    )


def _in_words(judge: JudgeCalibration) -> str:
    levels: Sequence[Level] = judge.score.levels if judge.score is not None else ()
    means = "; ".join(
        f"label {level.label}: mean {_value_text(level.mean)} over {sum(level.counts)}, "
        + ", ".join(f"{count} times {given}" for given, count in zip(SCORES, level.counts, strict=True) if count)
        for level in levels
        if any(level.counts)
    )
    return f"{short_name(judge.judge, 200)}: {means or 'no score'}."


def _svg_text(x: float, y: float, style: str, text: str, anchor: str = "middle") -> str:
    return f'<text class="{style}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _value_text(found: CoefficientEstimate) -> str:
    return "undefined" if found.value is None else f"{found.value:.2f}"


def _across(score: float) -> float:
    return (score - 0.5) * _CELL


def _from_top(score: float) -> float:
    return _SIDE - _across(score)
