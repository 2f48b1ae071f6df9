"""The wheel and the sdist: all that belongs into them is there, and they run on core dependencies alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("judges", "metrics", "harness", "kd", "leaderboard")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# Extras that the pin list does not meet: CUDA builds.
NOT_PINNED = {"vllm", "all"}
BUILD = "import sys\nfrom setuptools import build_meta\nprint(getattr(build_meta, 'build_' + sys.argv[1])(sys.argv[2]))"


def sources() -> dict[str, Path]:
    """Every file of the rooms, by the name that it has once it is installed."""
    found: dict[str, Path] = {}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*"):
            inner = path.relative_to(ROOT)
            if path.is_file() and not {"__pycache__", ".ruff_cache"} & set(inner.parts):
                parts = inner.parts[2:] if inner.parts[:2] == ("harness", "package") else inner.parts
                found["/".join(("telbench", *parts))] = path
    return found


def built(kind: str, source: Path, out: Path) -> Path:
    """What the build backend makes of a source tree."""
    told = subprocess.run(
        [sys.executable, "-c", BUILD, kind, str(out)], cwd=source, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    return out / told.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: a build leaves folders behind."""
    copy, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("sdist")
    for name, path in sources().items():
        parts = Path(name).parts[1:]
        inner = path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path(*parts)
        (copy / inner).parent.mkdir(parents=True, exist_ok=True)
        (copy / inner).write_bytes(path.read_bytes())
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    return built("sdist", copy, out)


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what the sdist holds, as pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return built("wheel", source, folder)


def told(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode("utf-8"))


def core(names: list[str]) -> Iterator[metadata.Distribution]:
    """Distributions that these requirements bring, without extras; as installed here."""
    seen, waiting = set[str](), [Requirement(name) for name in names]
    while waiting:
        wanted = waiting.pop()
        if canonicalize_name(wanted.name) in seen or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        seen.add(canonicalize_name(wanted.name))
        found = metadata.distribution(wanted.name)
        waiting += [Requirement(each) for each in found.requires or []]
        yield found


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and what its metadata call for, and nothing else; no index is asked."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for each in core(told(wheel).get_all("Requires-Dist") or []):
        for top in {Path(file).parts[0] for file in each.files or [] if ".." not in Path(file).parts}:
            if top != "__pycache__" and not (site / top).exists():
                (site / top).symlink_to(Path(str(each.locate_file(top))))
    words = ["--python", str(folder / "bin" / "python"), "install", "--no-deps", "--no-index", "--quiet", str(wheel)]
    # No path of the developer's: pip would find telbench there, and install nothing.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, env=env)
    return folder


def run(bare: Path, *words: str, cwd: Path) -> str:
    """What a command prints there; it must end well."""
    env = {"PATH": f"{bare / 'bin'}{os.pathsep}{os.defpath}", "HOME": str(cwd), "TELBENCH_CACHE": str(cwd / "cache")}
    found = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_rooms_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert sorted(set(sources()) - names) == []
    assert sorted(names - set(sources())) == []
    # What is not Python is what a list of patterns may forget.
    for end in (
        "nano/core_5g.jsonl",
        "run.schema.json",
        "presets/nano.yaml",
        "templates/base.html",
        "rubrics/rubric_score-1.txt",
        "labels/telecom-nano-1.jsonl",
    ):
        assert [name for name in names if name.endswith(end)], end


@pytest.mark.slow
def test_the_wheel_says_what_pyproject_says(wheel: Path) -> None:
    found = told(wheel)
    assert (found["Name"], found["Version"]) == ("telbench", PROJECT["version"])
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Description-Content-Type"] == "text/markdown"
    assert sorted(found.get_all("Provides-Extra") or []) == sorted(PROJECT["optional-dependencies"])


@pytest.mark.slow
def test_it_runs_where_only_core_dependencies_are_installed(bare: Path, tmp_path: Path) -> None:
    python = str(bare / "bin" / "python")
    absent = "import importlib.util as u; print([n for n in ('torch', 'transformers', 'pandas') if u.find_spec(n)])"
    assert run(bare, python, "-c", absent, cwd=tmp_path) == "[]\n"
    assert run(bare, "telbench", "--version", cwd=tmp_path).split()[-1] == PROJECT["version"]
    assert "usage: telbench COMMAND" in run(bare, "telbench", "--help", cwd=tmp_path)
    assert "usage: telbench COMMAND" in run(bare, python, "-m", "telbench", "--help", cwd=tmp_path)
    assert "telecom-nano" in run(bare, "telbench", "data", "list", cwd=tmp_path)
    items = "from telbench.harness.datasets.loading import load_dataset; import json\n"
    items += "for i in load_dataset('telecom-nano', split='test').items:\n"
    items += "    print(json.dumps({'id': i.id, 'prediction': i.references[0]}))"
    (tmp_path / "answers.jsonl").write_text(run(bare, python, "-c", items, cwd=tmp_path))
    scoring = ["score", "answers.jsonl", "--data", "telecom-nano", "--split", "test"]
    run(bare, "telbench", *scoring, "--metrics", "ngram", "--out", "run", cwd=tmp_path)
    entry = json.loads((tmp_path / "run" / "run.json").read_text())["metrics"]["exact_match"]
    assert (entry["value"], entry["n"]) == (1.0, 327)
    five = "import telbench\nrun = telbench.score('answers.jsonl', data='telecom-nano', metrics='token_f1')\n"
    assert run(bare, python, "-c", f"{five}print(run.value('token_f1'))", cwd=tmp_path).splitlines()[-1] == "1.0"
    assert "rubric_score" in run(bare, "telbench", "metrics", "list", cwd=tmp_path)
    run(bare, "telbench", "leaderboard", "build", "run", "--out", "site", cwd=tmp_path)
    assert (tmp_path / "site" / "index.html").is_file()


def pinned() -> dict[str, str]:
    lines = (ROOT / "requirements-cpu.txt").read_text("utf-8").splitlines()
    pairs = (line.split(";")[0].split("==") for line in lines if "==" in line)
    return {canonicalize_name(name): version.strip() for name, version in pairs}


def required(extra: str, seen: tuple[str, ...] = ()) -> Iterator[Requirement]:
    """What an extra calls for, other extras of telbench followed."""
    assert extra not in seen, f"{extra} calls for itself"
    for text in PROJECT["optional-dependencies"][extra]:
        each = Requirement(text)
        if each.name == "telbench":
            for inner in each.extras:
                yield from required(inner, (*seen, extra))
        elif not each.marker or each.marker.evaluate():
            yield each


@pytest.mark.parametrize("extra", sorted(set(PROJECT["optional-dependencies"]) - NOT_PINNED))
def test_the_pin_list_meets_every_extra(extra: str) -> None:
    versions = pinned()
    for each in (*map(Requirement, PROJECT["dependencies"]), *required(extra)):
        assert each.specifier.contains(versions.get(canonicalize_name(each.name), "0"), prereleases=True), str(each)


def test_an_extra_that_is_not_there_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROJECT["optional-dependencies"], "lost", ["telbench[nowhere]"])
    with pytest.raises(KeyError):
        list(required("lost"))
