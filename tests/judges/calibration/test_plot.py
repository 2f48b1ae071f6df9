"""The reliability plot is well-formed, safe to show, says its numbers in words, and marks them in place."""

from __future__ import annotations

import itertools
import math
import re
import xml.etree.ElementTree as ET

import pytest

from telbench.judges.calibration.calibrate import JudgeAnswers, JudgeValues, calibrate
from telbench.judges.calibration.labelled import labelled_set
from telbench.judges.calibration.plot import reliability_svg, short_name

LABELS = labelled_set()
HUMAN = [float(label.score or 0) for label in LABELS]
SVG = "{http://www.w3.org/2000/svg}"


def _draw(*names: str, values=HUMAN) -> str:
    judges = [JudgeAnswers(name, score=JudgeValues(values)) for name in names]
    return reliability_svg(calibrate(LABELS, judges, resamples=20))


def _parsed(drawing: str) -> ET.Element:
    return ET.fromstring(drawing)


def _numbers(drawing: ET.Element, tag: str, *names: str) -> list[tuple[float, ...]]:
    return [tuple(float(one.get(name, "nan")) for name in names) for one in drawing.iter(SVG + tag)]


def test_names_are_escaped_and_cut():
    name = '<script>alert("x")</script>&\x1b\x00' + "long" * 100
    drawing = _draw(name)
    root = _parsed(drawing)
    assert not list(root.iter(SVG + "script"))
    assert short_name(name) in {one.text for one in root.iter(SVG + "text")}
    assert len(short_name(name)) == 32
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", drawing)


def test_title_and_description_are_named_by_the_drawing():
    root = _parsed(_draw("one", "two"))
    ids = {one.get("id") for one in root.iter() if one.get("id")}
    assert root.get("role") == "img"
    assert set((root.get("aria-labelledby") or "").split()) == ids == {"reliability-title", "reliability-desc"}
    described = root.findtext(SVG + "desc") or ""
    count = HUMAN.count(4)
    assert f"label 4: mean 4.00 over {count}, {count} times 4" in described
    assert described.count("label 5:") == 2


def test_the_dots_of_a_perfect_judge_rise_along_the_diagonal_with_area_by_count():
    root = _parsed(_draw("perfect"))
    dots = _numbers(root, "circle", "cx", "cy", "r")[:5]
    counts = [HUMAN.count(score) for score in (1, 2, 3, 4, 5)]
    steps = {(round(b[0] - a[0], 3), round(b[1] - a[1], 3)) for a, b in itertools.pairwise(dots)}
    assert len(steps) == 1
    across, up = steps.pop()
    assert across == -up > 0
    largest = max(counts)
    for (_, _, radius), count in zip(dots, counts, strict=True):
        assert radius == pytest.approx(20 * math.sqrt(count / largest), abs=0.06)


def test_every_count_is_written_and_none_is_lost():
    drawing = _draw("judge", values=[max(1.0, score - 1) for score in HUMAN])
    titles = re.findall(r"<title>label (\d), judge (\d): (\d+)</title>", drawing)
    assert sum(int(count) for _, _, count in titles) == len(LABELS)
    assert ("5", "4", str(HUMAN.count(5))) in titles


@pytest.mark.parametrize("judges", [1, 2, 3, 4, 7])
def test_panels_stand_side_by_side_inside_the_drawing(judges):
    root = _parsed(_draw(*[f"judge {i}" for i in range(judges)]))
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    frames = [frame for frame in _numbers(root, "rect", "x", "y", "width", "height") if not math.isnan(frame[0])]
    assert len(set(frames)) == judges
    for x, y, wide, high in frames:
        assert 0 < x < x + wide <= width
        assert 0 < y < y + high <= height
    for x, y in _numbers(root, "text", "x", "y"):
        assert math.isnan(x) or (0 <= x <= width and 0 <= y <= height)


def test_missing_scores_are_said_and_no_number_is_nan():
    values: list[float | None] = [None if score == 2 else score for score in HUMAN]
    drawing = _draw("judge", values=values)
    assert f"{HUMAN.count(2)} missing" in drawing
    assert "nan" not in drawing.lower()
    assert "n 0" in drawing


def test_without_scores_there_is_nothing_to_plot():
    judge = JudgeAnswers("judge", factual=JudgeValues([None] * len(LABELS)))
    with pytest.raises(ValueError, match="nothing to plot"):
        reliability_svg(calibrate(LABELS, [judge], resamples=5))
