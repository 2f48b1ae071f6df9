"""Draw the first screen of a page, as the README shows it: ``python benchmarks/picture.py PAGE.html PICTURE.png``.

A Chromium that is there already draws it; none is downloaded. The screen is little wider than a README's column, and
drawn with two points for each of its own, so that its words can be read there. It has 64 colours, to stay small.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1140, 860
POINTS = 2
COLOURS = 64
LARGEST = 200_000


def drawn(page: Path, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """The page's first screen as PNG, in a light theme.

    Raises:
        SystemExit: when there is no browser.
    """
    from playwright.sync_api import sync_playwright

    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise SystemExit("no Chromium here: apt-get install chromium")
    with sync_playwright() as engine:
        opened = engine.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        sheet = opened.new_page(
            viewport={"width": width, "height": height}, device_scale_factor=POINTS, color_scheme="light"
        )
        sheet.goto(page.resolve().as_uri(), wait_until="load")
        picture = sheet.screenshot()
        opened.close()
    return picture


def small(picture: bytes, colours: int = COLOURS) -> bytes:
    """The picture in fewer colours."""
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(colours).save(out, "PNG", optimize=True)
    return out.getvalue()


def main() -> int:
    """Draw it; a picture that is too large for a README is an error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--height", type=int, default=HEIGHT, help=f"of the screen, in pixels (default: {HEIGHT})")
    asked = parser.parse_args()
    if not asked.page.is_file():
        sys.stderr.write(f"{asked.page} is not there: make demo builds it\n")
        return 2
    picture = small(drawn(asked.page, height=asked.height))
    if len(picture) > LARGEST:
        sys.stderr.write(
            f"the picture has {len(picture):,} bytes, and {LARGEST:,} are allowed: a lower --height helps\n"
        )
        return 1
    asked.out.write_bytes(picture)
    sys.stdout.write(f"{asked.out}: {len(picture):,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
