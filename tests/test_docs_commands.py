"""Every command on a page of the documentation is one that telbench takes: its name, its options, what they want.

Pages of tutorials, Python, exports, CI and scale are run as a whole by tests of their own. Here all others are held to
the command line's own parsers, so that no page names an option that is gone.
"""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import COMMANDS, Options

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(?:bash|sh|yaml)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# What ends a command in a shell.
_ENDS = {"|", ">", ">>", "&&", "||", ";", "&", "2>", "<"}
# Names of packages in tests/plugins, and placeholders of numbers.
_STANDS_FOR = {"selective_kd": "dskd", "K": "1", "N": "1"}


def commands(page: str) -> list[list[str]]:
    """The words of each telbench command in the page's blocks, without comments and whatever the shell does with it."""
    found = []
    for block in _BLOCK.findall(page):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            told = re.match(r"\s*(?:- )?(?:run: )?(?:\$ )?telbench\s+(.*)", line)
            if told is None:
                continue
            try:
                words = shlex.split(told[1], comments=True)
            except ValueError:
                # An output of several lines, cut in the midst of a quotation.
                continue
            end = next((place for place, word in enumerate(words) if word in _ENDS), len(words))
            found.append([typed for word in words[:end] if (typed := _typed(word))])
    return found


def _typed(word: str) -> str:
    """A word as somebody would type it: a synopsis has brackets around what may be left out, and values in turn."""
    bare = word.removeprefix("[").removesuffix("]")
    return _STANDS_FOR.get(bare, "x" if bare in {"…", "..."} else bare.split("|")[0])


def refused(words: list[str]) -> str:
    """Why telbench would not take the words; nothing where it would."""
    name, *rest = words
    if name in ("--version", "--help"):
        return ""
    if name not in COMMANDS:
        return f"no command {name}"
    module: Any = importlib.import_module(COMMANDS[name][0])
    parser = Options(prog=f"telbench {name}", allow_abbrev=False)
    module.configure(parser)
    parser.words = rest
    # A page that stops in the midst of the options says so by dots.
    while rest and rest[-1] == "x" and len(rest) > 1 and not rest[-2].startswith("--"):
        rest.pop()
    try:
        parser.parse_args(rest)
    except InputError as error:
        return str(error)
    except SystemExit as stop:
        return "" if not stop.code else f"exit {stop.code}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_is_taken(page: Path) -> None:
    found = commands(page.read_text("utf-8"))
    told = {shlex.join(words): refused(words) for words in found}
    assert {words: why for words, why in told.items() if why} == {}


def test_a_command_that_is_not_taken_is_seen() -> None:
    page = "```\ntelbench eval --model x \\\n    --limt 3  # so many\ntelbench compare a b | head\n```\n"
    assert commands(page) == [["eval", "--model", "x", "--limt", "3"], ["compare", "a", "b"]]
    assert "--limit" in refused(commands(page)[0])
    assert refused(["compare", "a", "b"]) == ""
    assert refused(["evaluate"]) == "no command evaluate"
    assert "--out" in refused(["leaderboard", "build", "a"])
