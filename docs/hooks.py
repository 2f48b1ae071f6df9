"""What MkDocs does to these pages: they are written for GitHub, and lie in docs/ and beside it."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Pages beside docs/, by the names that they have on the site.
BESIDE = {"README.md": "index.md", **{name: name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")}}
_FENCE = re.compile(r"^ *(```|~~~)")
_ITEM = re.compile(r"^ {0,3}(?:[-*+]|\d+\.) ")
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s]+)\)")


def on_startup(**_: Any) -> None:
    """Lay the rooms out as they are imported: the reference looks for them before pages are read."""
    rooms(ROOT / "build" / "rooms")


def on_config(config: Any) -> Any:
    """Give each page of docs/ a place in the menu."""
    told = str(config["nav"])
    (guides,) = [part["Guides"] for part in config["nav"] if "Guides" in part]
    pages = sorted(path.name for path in Path(config["docs_dir"]).glob("*.md"))
    guides += [name for name in pages if f"'{name}'" not in told]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Take in the pages, and the pictures of the README, that lie beside docs/."""
    from mkdocs.structure.files import File

    for source, name in BESIDE.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """As Python-Markdown wants it."""
    return spaced(linked(markdown, beside=page.file.src_uri in BESIDE.values()))


def rooms(folder: Path) -> None:
    """The modules as pyproject.toml lays them out: readers that import nothing find them there, but follow no links."""
    layout = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-dir"]
    shutil.rmtree(folder, ignore_errors=True)
    for name, place in sorted(layout.items()):
        inner = ROOT / layout["telbench"]
        for path in (ROOT / place).rglob("*.py"):
            if place == layout["telbench"] or not path.is_relative_to(inner):
                target = folder / name.replace(".", "/") / path.relative_to(ROOT / place)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(fenced(path.read_text("utf-8")), "utf-8")


def fenced(source: str) -> str:
    r"""A module whose examples are code to Markdown, which would read ``>>>`` as a quotation.

    >>> fenced("  >>> 1 + 1\n  2\n\n").split("\n")
    ['  ```pycon', '  >>> 1 + 1', '  2', '  ```', '', '']
    """
    lines: list[str] = []
    indent: str | None = None
    for line in source.split("\n"):
        if indent is None and line.lstrip().startswith(">>> "):
            indent = line[: len(line) - len(line.lstrip())]
            lines.append(f"{indent}```pycon")
        elif indent is not None and line.strip() in ("", '"""'):
            lines.append(f"{indent}```")
            indent = None
        lines.append(line)
    return "\n".join(lines)


def linked(markdown: str, *, beside: bool) -> str:
    """Links between docs/ and the pages beside it, as they are on the site; what it has not becomes plain words.

    >>> linked("[a](docs/x.md#y), [b](benchmarks), [c](CONTRIBUTING.md)", beside=True)
    '[a](x.md#y), b, [c](CONTRIBUTING.md)'
    >>> linked("[a](../CONTRIBUTING.md#b) [b](../README.md) [c](x.md)", beside=False)
    '[a](CONTRIBUTING.md#b) [b](index.md) [c](x.md)'
    >>> linked("[a](../../CONTRIBUTING.md)", beside=False)
    '[a](../CONTRIBUTING.md)'
    """

    def place(found: re.Match[str]) -> str:
        words, target = found[1], found[2]
        name, mark, heading = target.partition("#")
        if re.match(r"\w+:", target) or not name:
            return found[0]
        if beside and name.startswith("docs/"):
            return f"[{words}]({name.removeprefix('docs/')}{mark}{heading})"
        # From a folder of docs/, the way out is longer by one.
        up, _, last = name.rpartition("../")
        if (beside or name.startswith("../")) and last in BESIDE:
            return f"[{words}]({up}{BESIDE[last]}{mark}{heading})"
        return words if beside else found[0]

    return _LINK.sub(place, markdown)


def spaced(markdown: str) -> str:
    r"""A blank line before each list that follows a line of text, outside code.

    >>> spaced("Two:\n- a\n  b\n- c\n```\n- d\n```")
    'Two:\n\n- a\n  b\n- c\n```\n- d\n```'
    """
    lines: list[str] = []
    code, listed = False, False
    for line in markdown.split("\n"):
        if _FENCE.match(line):
            code = not code
        elif not code and _ITEM.match(line):
            if not listed and lines and lines[-1].strip():
                lines.append("")
            listed = True
        elif not line.strip():
            listed = False
        lines.append(line)
    return "\n".join(lines)
