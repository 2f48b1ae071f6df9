"""Every example in a docstring is true: one test for each module that holds any."""

from __future__ import annotations

import doctest
import importlib
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def modules_with_examples() -> list[str]:
    """Names of all installed modules in whose text there is a prompt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    folders = {ROOT / folder: package for package, folder in project["tool"]["setuptools"]["package-dir"].items()}
    found = set[str]()
    for path in {path for folder in folders for path in folder.rglob("*.py")}:
        if ">>> " in path.read_text("utf-8"):
            # The innermost of the folders that are packages of their own gives the name.
            folder = max((each for each in folders if each in path.parents), key=lambda each: len(each.parts))
            parts = (folders[folder], *path.relative_to(folder).with_suffix("").parts)
            found.add(".".join(parts).removesuffix(".__init__"))
    return sorted(found)


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_in_docstrings_are_true(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
