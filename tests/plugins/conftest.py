"""The example packages of this folder, made visible as pip would, without installing them."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from telbench.registry import listed

from ..installed import install

HERE = Path(__file__).parent
PACKAGES = sorted(path.parent for path in HERE.glob("*/pyproject.toml"))


@pytest.fixture
def installed_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages with the metadata of every example; their modules can be imported."""
    site = tmp_path / "site"
    site.mkdir()
    before = set(sys.modules)
    for package in PACKAGES:
        project = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]
        install(site, project["name"], project["entry-points"])
        monkeypatch.syspath_prepend(package)
    monkeypatch.syspath_prepend(site)
    listed.cache_clear()
    yield site
    listed.cache_clear()
    modules = {path.stem for package in PACKAGES for path in package.glob("*.py")}
    for name in (set(sys.modules) - before) & modules:
        del sys.modules[name]
