"""Charts: what they show is in their text alternatives, hostile labels stay text, and places follow the numbers."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.leaderboard.site.charts.drawing import MARGIN, axis_of, log_axis, number, plain, signed, tick_text
from telbench.leaderboard.site.charts.forest import Difference, IntervalRow, Panel, forest, interval_axis, interval_cell
from telbench.leaderboard.site.charts.heat_map import Column, HeatCell, heat_map
from telbench.leaderboard.site.charts.interaction import Series, interaction_plot
from telbench.leaderboard.site.charts.matrix import Pair, significance_matrix
from telbench.leaderboard.site.charts.rank_diagram import RankedSystem, rank_diagram
from telbench.leaderboard.site.charts.scatter import Point, scatter
from telbench.leaderboard.site.charts.seeds import RecipeSeeds, seed_spread
from telbench.leaderboard.site.charts.timeline import Moment, timeline

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</title><script>alert(1)</script>&\"'\x00\x1b[31m\u202e\u2028" + "x" * 200


def drawn(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def words(root: ET.Element) -> list[str]:
    return ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]


def tooltips(root: ET.Element) -> list[str]:
    return ["".join(each.itertext()) for each in root.iter(f"{SVG}title")][1:]


def described(root: ET.Element) -> str:
    found = root.find(f"{SVG}desc")
    assert found is not None
    return "".join(found.itertext())


def share(length: str | None) -> float:
    assert length is not None
    assert length.endswith("%")
    return float(length[:-1]) / 100


EVERY: dict[str, Callable[[str], str]] = {
    "intervals": lambda name: interval_cell(axis_of([0, 1]), IntervalRow(name, 0.4, 0.3, 0.5), baseline=0.2),
    "forest": lambda name: forest(name, [Panel(name, (Difference(name, 0.1, 0.05, 0.2, True, True, name),))]),
    "ranks": lambda name: rank_diagram(name, [RankedSystem(name, 1.2), RankedSystem(name, 1.8)], [(0, 1)], [(0, 1)]),
    "matrix": lambda name: significance_matrix(name, [name] * 2, [[None, Pair("better")], [Pair("worse"), None]]),
    "scatter": lambda name: scatter(name, [Point(name, 1e6, 0.4, 0.3, 0.5, name)], cost=name, quality=name),
    "heat map": lambda name: heat_map(name, [name], [Column(name, (HeatCell(0.5, 3),))]),
    "seeds": lambda name: seed_spread(name, [RecipeSeeds(name, ((name, 0.4), ("1", 0.5)))]),
    "timeline": lambda name: timeline(name, [Moment(name, name, name, name, 0.1, None, 0.2, 0.02)] * 2),
    "interaction": lambda name: interaction_plot(name, [name, "b"], [Series(name, (0.1, 0.2))], unit=name),
}


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_hostile_names_stay_text(make: Callable[[str], str]) -> None:
    svg = make(HOSTILE)
    root = drawn(svg)
    assert root.get("role") == "img"
    assert not list(root.iter(f"{SVG}script"))
    assert all(character.isprintable() for character in svg)
    assert "alert(1)" in "".join(root.itertext())


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_charts_carry_no_style_of_their_own_and_are_the_same_each_time(make: Callable[[str], str]) -> None:
    root = drawn(make("a system"))
    names = {name for each in root.iter() for name in each.attrib}
    assert not names & {"style", "fill", "stroke", "font-family"}
    assert not any(name.startswith("on") or "href" in name for name in names)
    assert make("a system") == make("a system")


def test_an_interval_spans_from_its_low_to_its_high_end() -> None:
    row = IntervalRow("b", 0.5, 0.25, 1.0)
    root = drawn(interval_cell(axis_of([0, 1]), row, baseline=0.0))
    (whisker, *_) = [each for each in root.iter(f"{SVG}line") if each.get("class") == "whisker"]
    (dashed,) = [each for each in root.iter(f"{SVG}line") if each.get("class") == "dashed"]
    width = 1 - 2 * MARGIN
    assert share(whisker.get("x1")) == pytest.approx(MARGIN + 0.25 * width, abs=1e-4)
    assert share(whisker.get("x2")) == pytest.approx(MARGIN + width, abs=1e-4)
    assert share(dashed.get("x1")) == pytest.approx(MARGIN, abs=1e-4)
    assert share(root.findall(f".//{SVG}circle")[0].get("cx")) == pytest.approx(MARGIN + 0.5 * width, abs=1e-4)


def test_a_row_without_a_value_says_so_and_has_no_mark() -> None:
    svg = interval_cell(axis_of([0, 1]), IntervalRow("a", None, None, None))
    assert "<title>a: n/a [no interval]</title>" in svg
    assert not list(drawn(svg).iter(f"{SVG}circle"))


def test_cells_of_a_column_share_their_axis() -> None:
    rows = [IntervalRow("a", 0.2, 0.1, 0.3), IntervalRow("b", 0.8, None, None)]
    axis = interval_axis(rows)
    places = [share(drawn(interval_cell(axis, row)).findall(f".//{SVG}circle")[0].get("cx")) for row in rows]
    assert places[1] - places[0] == pytest.approx(axis.share(0.8) - axis.share(0.2), abs=1e-4)


def test_a_forest_tells_direction_by_symbol_and_words_and_marks_sign_conflicts() -> None:
    rows = (
        Difference("f1", 0.05, 0.01, 0.09, True),
        Difference("bleu", -0.05, -0.09, -0.01, True, conflict=True),
        Difference("chrf", 0.01, -0.02, 0.04, False),
    )
    root = drawn(forest("Differences", [Panel("range", rows)]))
    shown = words(root)
    assert "▲ +0.050 [0.010, 0.090]" in shown
    assert "▼ −0.050 [−0.090, −0.010]" in shown
    assert "· +0.010 [−0.020, 0.040]" in shown
    assert "⚠ bleu" in shown
    assert "bleu: −0.050 [−0.090, −0.010], worse, but most items say the opposite" in tooltips(root)
    # Each mark twice: for narrow screens and for wide ones.
    hollow = ["hollow" in (each.get("class") or "") for each in root.iter(f"{SVG}circle")]
    assert hollow == [False] * 4 + [True] * 2


def test_no_upright_of_a_forest_crosses_a_label_or_a_value() -> None:
    rows = tuple(Difference("a metric of a long name " * k, 0.02 * k, 0.0, 0.05 * k, True) for k in (1, 2, 3))
    root = drawn(forest("Differences", [Panel("range", rows)]))
    for width in ("wide", "narrow"):
        parts = [each for each in root.iter(f"{SVG}g") if each.get("class") == width]
        uprights = [
            (share(each.get("x1")), float(each.get("y1") or 0), float(each.get("y2") or 0))
            for part in parts
            for each in part.iter(f"{SVG}line")
            if each.get("class") in ("zero", "grid")
        ]
        texts = [each for part in parts for each in part.iter(f"{SVG}text") if "tick" not in (each.get("class") or "")]
        assert uprights
        assert texts
        for each in texts:
            y = float(each.get("y") or "nan")
            for x, top, bottom in uprights:
                if top < y + 3 and bottom > y - 11:
                    # On the same height, it is in the part between labels (30 %) and values (24 %).
                    assert width == "wide"
                    assert 0.3 < x < 0.76


def test_the_line_of_no_difference_is_on_every_panel() -> None:
    for delta in (0.3, -0.3):
        root = drawn(forest("Differences", [Panel("range", (Difference("f1", delta, None, None, False),))]))
        assert [each for each in root.iter(f"{SVG}line") if each.get("class") == "zero"]


def test_rank_bars_that_overlap_lie_on_levels_of_their_own() -> None:
    systems = [RankedSystem(name, rank) for name, rank in zip("abcd", (1.2, 2.0, 2.9, 3.9), strict=True)]
    root = drawn(rank_diagram("Ranks", systems, [(0, 1), (1, 2), (2, 3)], [(0, 2)]))
    bars = [each for each in root.iter(f"{SVG}line") if each.get("class") == "clique"]
    heights = [each.get("y1") for each in bars]
    assert heights[0] == heights[2] != heights[1]
    assert "Not separated: a and b; b and c; c and d." in described(root)
    assert "Not separated, and not drawn: a and c." in described(root)


def test_a_critical_difference_is_drawn_to_the_scale_of_the_axis() -> None:
    systems = [RankedSystem(name, rank) for name, rank in zip("abcde", (1.0, 2, 3, 4, 5), strict=True)]
    root = drawn(rank_diagram("Ranks", systems, [], critical_difference=2.0))
    length = [each for each in root.iter(f"{SVG}line") if each.get("class") == "axis"][-3]
    assert share(length.get("x2")) - share(length.get("x1")) == pytest.approx((1 - 2 * MARGIN) / 2, abs=1e-4)
    assert "CD 2.00" in words(root)


def test_a_matrix_tells_every_pair_by_symbol() -> None:
    pairs = [[None, Pair("better", 0.1, 0.01), Pair("open")], [Pair("worse"), None, Pair("open")], [None] * 3]
    root = drawn(significance_matrix("Pairs", ["a", "b", "c"], pairs))
    assert [word for word in words(root) if word in "▲▼·"] == ["▲", "·", "▼", "·"]
    assert "a better than b, Δ +0.100, p 0.01" in tooltips(root)
    assert described(root).startswith("a is better than 1 and worse than 0 of 2; b is better than 0 and worse than 1")


def test_a_frontier_passes_over_beaten_points_and_over_costlier_ones_that_are_no_better() -> None:
    points = [
        Point("small", 1e6, 0.3, 0.28, 0.32),
        Point("middle", 1e7, 0.25, 0.2, 0.3),
        Point("beaten", 1e8, 0.6, 0.5, 0.7, beaten_by="small"),
        Point("large", 1e9, 0.5, 0.4, 0.6),
    ]
    root = drawn(scatter("Quality", points, cost="parameters", quality="F1"))
    front = [each for each in root.iter(f"{SVG}line") if each.get("class") == "front"]
    # small to large in two strokes, and on to the edge.
    assert len(front) == 3
    beaten = [each.get("class") for each in root.iter(f"{SVG}circle") if "beaten" in (each.get("class") or "")]
    assert len(beaten) == 1
    assert "beaten: 0.600 [0.500, 0.700] at 100000000 (parameters), beaten by small" in described(root)


def test_the_better_end_of_a_scatter_is_up() -> None:
    points = [Point("good", 1e6, 1.0, None, None), Point("bad", 1e7, 9.0, None, None)]
    root = drawn(scatter("Quality", points, cost="size", quality="perplexity", higher_is_better=False))
    good, bad = (float(each.get("cy") or "nan") for each in root.iter(f"{SVG}circle"))
    assert good < bad
    # The costlier one is no better: the frontier ends at the edge.
    assert len([each for each in root.iter(f"{SVG}line") if each.get("class") == "front"]) == 1


def label_boxes(root: ET.Element, width: str, character: float) -> list[tuple[float, float, float, float]]:
    """Where the labels are that are shown on screens of a width, those on demand included."""
    boxes = []
    for each in root.iter(f"{SVG}text"):
        style = (each.get("class") or "").split()
        if width in style and "onlit" not in style:
            x, y = share(each.get("x")), float(each.get("y") or "nan")
            long = character * len(each.text or "")
            left = x if each.get("text-anchor") == "start" else x - long
            boxes.append((left, y - 11, left + long, y + 4))
    return boxes


@pytest.mark.parametrize(("width", "character"), [("narrow", 0.0205), ("middle", 0.0118), ("broad", 0.0068)])
@pytest.mark.parametrize("count", [3, 12, 60])
def test_labels_of_a_scatter_never_overlap(width: str, character: float, count: int) -> None:
    points = [
        Point(f"student-recipe-seed-{i}", 1e6 * (1 + i * 7 % count / 9), 0.4 + i * 3 % count / 999, None, None)
        for i in range(count)
    ]
    root = drawn(scatter("Quality", points, cost="parameters", quality="F1"))
    assert len(tooltips(root)) == count
    boxes = label_boxes(root, width, character)
    for place, one in enumerate(boxes):
        for other in boxes[:place]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    # On a wide screen every point can be named.
    assert len(boxes) == count or width != "broad"
    assert boxes
    for each in root.iter(f"{SVG}g"):
        if each.get("data-name"):
            names = [label for label in each.iter(f"{SVG}text") if width in (label.get("class") or "").split()]
            assert [label.text for label in names] == [each.get("data-name")]


def test_whatever_has_a_name_says_it_for_rows_that_light_up_together() -> None:
    for make in EVERY.values():
        root = drawn(make("a <system>"))
        names = {each.get("data-name") for each in root.iter(f"{SVG}g") if each.get("data-name")}
        assert names <= {"a <system>"}


@pytest.mark.parametrize(("higher", "best"), [(True, "heat-4"), (False, "heat-0")])
def test_shades_follow_the_better_end(higher: bool, best: str) -> None:
    column = Column("m", (HeatCell(0.1, 5), HeatCell(0.9, 7), HeatCell(None, 0)), higher)
    root = drawn(heat_map("Heat", ["a", "b", "c"], [column]))
    classes = [each.get("class") for each in root.iter(f"{SVG}rect")]
    assert classes[1] == best
    assert classes[2] == "heat-none"
    assert {"n 5", "n 7", "n/a"} <= set(words(root))


def test_a_hopeless_run_is_pale_and_told_against_the_baseline() -> None:
    cells = (HeatCell(0.1, 5, 0.6), HeatCell(0.12, 7, 0.1), HeatCell(None, 0, 0.5))
    root = drawn(heat_map("Heat", ["a", "b", "c"], [Column("m", cells, ends=(0.05, 0.95))]))
    assert [each.get("class") for each in root.iter(f"{SVG}rect")] == ["heat-0", "heat-0", "heat-none"]
    assert {"-0.500", "+0.020", "n 0"} <= {word.replace("−", "-") for word in words(root)}
    assert "a, m: 0.100 over 5 items, baseline 0.600" in "".join(root.itertext())


def test_seeds_are_told_one_by_one() -> None:
    root = drawn(seed_spread("Seeds", [RecipeSeeds("kd", (("0", 0.4), ("1", 0.5))), RecipeSeeds("sft", ())]))
    assert described(root) == "kd: mean 0.450 (seed 0 0.400, seed 1 0.500); sft: no seed"
    assert "0.400 to 0.500, 2 seeds" in words(root)


def test_lines_of_an_interaction_are_told_apart_without_colour() -> None:
    plot = interaction_plot("x", ["same", "other"], [Series("a", (0.1, 0.2)), Series("b", (0.2, None))], unit="F1")
    root = drawn(plot)
    assert [each.get("class") for each in root.iter(f"{SVG}line") if "series" in (each.get("class") or "")] == [
        "series series-0"
    ]
    assert {"a", "b", "same", "other"} <= set(words(root))
    assert described(root) == "a: same 0.100, other 0.200; b: same 0.200, other n/a"


@settings(deadline=None)
@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=8))
def test_an_axis_holds_its_values_between_round_ticks(values: list[float]) -> None:
    axis = axis_of(values)
    slack = 1e-8 * (max(values) - min(values)) + 1e-9 * max(map(abs, values)) + 1e-9
    assert axis.low - slack <= min(values) <= max(values) <= axis.high + slack
    assert list(axis.ticks) == sorted(axis.ticks)
    assert 2 <= len(axis.ticks) <= 8
    assert all(MARGIN - 1e-9 <= axis.share(value) <= 1 - MARGIN + 1e-9 for value in values)


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1e12), min_size=1, max_size=8))
def test_a_logarithmic_axis_keeps_the_order_of_its_values(values: list[float]) -> None:
    axis = log_axis(values)
    shares = [axis.share(value) for value in sorted(values)]
    assert shares == sorted(shares)
    assert all(tick_text(axis, tick) for tick in axis.ticks)


def test_values_that_are_no_numbers_do_not_stretch_an_axis() -> None:
    assert axis_of([0.1, math.nan, math.inf, None, 0.2]) == axis_of([0.1, 0.2])


@settings(deadline=None)
@given(st.text(max_size=60))
def test_plain_text_is_printable_and_short(text: str) -> None:
    shown = plain(text, 20)
    assert len(shown) <= 20
    assert all(character.isprintable() for character in shown)


def test_numbers_never_show_a_negative_zero() -> None:
    assert [number(-0.0), number(-0.0004), signed(-0.0004), signed(0.0006)] == ["0.000", "0.000", "0.000", "+0.001"]


def test_a_timeline_of_unrelated_runs_is_not_joined_and_parts_the_days() -> None:
    runs = [
        Moment("base", "2026-01-01", "one", "anchor", 0.0, None, None, None),
        Moment("a", "2026-01-02", "one", "better", 0.05, 0.01, 0.09, None),
        Moment("b", "2026-01-02", "one", "no difference shown", 0.0, -0.04, 0.04, None),
        Moment("c", "2026-01-03", "one", "worse, gate: fail", -0.05, -0.09, -0.01, None),
    ]
    root = drawn(timeline("course", runs, joined=False))
    lines = [each.get("class", "") for each in root.iter(f"{SVG}line") if each.get("x1") == each.get("x2")]
    assert (lines.count("stem"), lines.count("grid"), lines.count("whisker")) == (0, 2, 3)
    assert [each.get("class") for each in root.iter(f"{SVG}circle")] == ["dot better", "dot hollow", "dot worse"]
    assert [word for word in words(root) if word in "▲▼"] == ["▲", "▼"]
    assert tooltips(root)[-1] == "2026-01-03 c: −0.050 [−0.090, −0.010], worse, gate: fail, against one"


def test_a_timeline_has_a_mark_a_check_by_its_verdict_and_begins_anew_with_a_baseline() -> None:
    checks = [
        Moment("a", "2026-01-01", "one", "pass", 0.01, 0.0, 0.02, 0.02),
        Moment("b", "2026-01-02", "one", "inconclusive", -0.01, -0.03, 0.01, 0.02),
        Moment("c", "2026-01-03", "two", "fail", -0.04, -0.06, -0.02, 0.01),
    ]
    root = drawn(timeline("past", checks))
    marks = [each.get("class", "") for each in root.iter(f"{SVG}circle")]
    assert marks == ["dot", "dot hollow", "dot worse"]
    places = [(share(each.get("cx")), float(each.get("cy") or 0)) for each in root.iter(f"{SVG}circle")]
    assert places == sorted(places)  # to the right, and downwards with the difference
    lines = [each.get("class", "") for each in root.iter(f"{SVG}line")]
    # One stroke joins the first two; an upright parts the third from them, as it was held against something else.
    assert (lines.count("stem"), lines.count("dashed"), lines.count("front"), lines.count("whisker")) == (1, 1, 3, 3)
    assert words(root).count("▼") == 1
    assert sorted(word for word in words(root) if word.startswith("2026")) == [each.date for each in checks]
    (between,) = [each for each in root.iter(f"{SVG}text") if each.text == "2026-01-02"]
    assert "wide" in (between.get("class") or "")  # a phone has room for the first and the last
    assert "2026-01-02 b: −0.010 [−0.030, 0.010], 0.02 allowed, inconclusive, against one" in described(root)
    heights = {float(each.get("y1") or 0) for each in root.iter(f"{SVG}line") if each.get("class") == "front"}
    # Two margins: the strokes of 0.02 lie below that of 0.01.
    assert len(heights) == 2
    assert timeline("none", []).startswith("<svg")
