"""Charts in a browser: numbers at mouse and keyboard, rows that light up together, and pictures to keep."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Visit

pytestmark = pytest.mark.slow
EVERY = (
    "runs/base-*.html",
    "compare/gnal-*.html",
    "significance.html",
    "ranks.html",
    "tradeoff.html",
    "factors.html",
    "history.html",
)
MARK = "svg.chart:not(.cell) g[data-tip]"


@pytest.mark.parametrize("kind", EVERY)
def test_each_mark_tells_its_numbers_at_the_mouse_and_by_keyboard(kind: str, visit: Callable[..., Visit]) -> None:
    seen = visit(kind)
    chart = seen.page.locator("figure svg.chart").first
    mark = chart.locator("g[data-tip]").first
    words = mark.get_attribute("data-tip")
    mark.locator("circle:visible, rect:visible, line:visible").first.hover(force=True)
    assert seen.page.locator("#tip").inner_text() in chart.locator("g[data-tip]").evaluate_all(
        "all => all.map(each => each.dataset.tip)"
    )
    seen.page.mouse.move(1, 1)
    assert not seen.page.locator("#tip").is_visible()
    chart.focus()
    seen.page.keyboard.press("ArrowRight")
    assert seen.page.locator("#tip").inner_text() == words
    assert seen.page.locator(".spoken").text_content() == words
    seen.page.keyboard.press("Escape")
    assert not seen.page.locator("#tip").is_visible()
    assert seen.troubles() == []


def test_a_row_and_its_mark_light_up_together(visit: Callable[..., Visit]) -> None:
    seen = visit("tradeoff.html")
    row = seen.page.locator('tr:has(th[data-value="again 0.5B"])').first
    row.hover()
    lit = "all => all.map(each => each.dataset.name)"
    assert set(seen.page.eval_on_selector_all("svg g.lit", lit)) == {"again 0.5B"}
    assert "lit" in (row.get_attribute("class") or "")
    seen.page.mouse.move(1, 1)
    assert seen.page.locator(".lit").count() == 0


@pytest.mark.parametrize("kind", EVERY)
def test_a_chart_is_kept_as_a_picture_that_stands_alone(kind: str, visit: Callable[..., Visit], tmp_path: Path) -> None:
    seen = visit(kind)
    figure = seen.page.locator("figure").first
    title = figure.locator("svg.chart").get_attribute("aria-label")
    with seen.page.expect_download() as told:
        figure.get_by_role("button", name="Keep as SVG").click()
    told.value.save_as(tmp_path / "chart.svg")
    assert told.value.suggested_filename.endswith(".svg")
    root = ET.fromstring((tmp_path / "chart.svg").read_bytes())
    assert not [each for each in root.iter() if each.tag.endswith(("script", "image", "use", "foreignObject"))]
    assert "".join(next(each for each in root.iter() if each.tag.endswith("}text")).itertext()) == title
    drawn = [each for each in root.iter() if each.tag.endswith(("}line", "}circle", "}text"))]
    assert all("var(" not in value for each in root.iter() for value in each.attrib.values())
    assert all(each.get("fill") for each in drawn)
    with seen.page.expect_download() as told:
        figure.get_by_role("button", name="Keep as PNG").click()
    told.value.save_as(tmp_path / "chart.png")
    picture = (tmp_path / "chart.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", picture[16:24])
    # Twice the size of the drawing, and its margins.
    assert (width, height) == (2 * float(root.get("width", "0")), 2 * float(root.get("height", "0")))
    # What is painted is what is seen: it has ink beyond the one of its ground.
    colours = seen.page.evaluate(
        """async bytes => {
          const image = await createImageBitmap(new Blob([new Uint8Array(bytes)], {type: 'image/png'}));
          const pen = new OffscreenCanvas(image.width, image.height).getContext('2d');
          pen.drawImage(image, 0, 0);
          return new Set(new Uint32Array(pen.getImageData(0, 0, image.width, image.height).data.buffer)).size;
        }""",
        list(picture),
    )
    assert colours > 10
    assert seen.troubles() == []


def test_every_point_is_named_when_asked_for(visit: Callable[..., Visit]) -> None:
    seen = visit("tradeoff.html")
    chart = seen.page.locator("figure").first
    names = chart.locator("g[data-name]").evaluate_all("all => all.map(each => each.dataset.name)")
    button = chart.get_by_role("button", name="Name every point")
    if button.count():
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
    shown = chart.locator("g[data-name] text").evaluate_all(
        "all => all.filter(each => each.checkVisibility({visibilityProperty: true})).length"
    )
    assert shown == len(names)
