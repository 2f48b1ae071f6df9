"""The picture of the README: drawn by a Chromium that is there, and small enough for a repository."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks" / "picture.py"
PICTURE = ROOT / "docs" / "board.png"


def draw(page: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(page), str(out)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def browser() -> None:
    pytest.importorskip("playwright", reason="playwright drives the browser: pip install telbench[browser]")
    pytest.importorskip("PIL")
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("no Chromium here")


@pytest.mark.slow
@pytest.mark.usefixtures("browser")
def test_a_page_is_drawn(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "page.html").write_text("<body style='margin:0;background:#00f'>a board</body>")
    told = draw(tmp_path / "page.html", tmp_path / "page.png")
    assert told.returncode == 0, told.stderr
    with Image.open(tmp_path / "page.png") as picture:
        assert picture.size == (2280, 1720)
        assert picture.convert("RGB").getpixel((1200, 700)) == (0, 0, 255)


@pytest.mark.slow
@pytest.mark.usefixtures("browser")
def test_a_picture_that_is_too_large_is_refused(tmp_path: Path) -> None:
    from PIL import Image

    noise = Image.frombytes("RGB", (1140, 860), random.Random(0).randbytes(1140 * 860 * 3))
    noise.save(tmp_path / "noise.png")
    (tmp_path / "page.html").write_text("<body style='margin:0'><img src=noise.png></body>")
    told = draw(tmp_path / "page.html", tmp_path / "page.png")
    assert told.returncode == 1
    assert "bytes, and 200,000 are allowed" in told.stderr
    assert not (tmp_path / "page.png").exists()


def test_a_page_that_is_not_there_is_said_in_a_line(tmp_path: Path) -> None:
    told = draw(tmp_path / "none.html", tmp_path / "page.png")
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)


def test_the_picture_of_the_readme_is_small_and_is_shown() -> None:
    pillow = pytest.importorskip("PIL.Image")
    assert PICTURE.stat().st_size < 200_000
    with pillow.open(io.BytesIO(PICTURE.read_bytes())) as picture:
        assert picture.width == 2280
    shown = (ROOT / "README.md").read_text("utf-8").split("\n## ")[0]
    assert "(docs/board.png)" in shown
