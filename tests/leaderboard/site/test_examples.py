"""The examples in the docstrings of charts and of what is shown of answers are true."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = (
    "charts.drawing",
    "model.word_diff",
    "model.taxonomy",
    "model.items",
    "model.board",
    "formats",
    "pages.significance",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"telbench.leaderboard.site.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
