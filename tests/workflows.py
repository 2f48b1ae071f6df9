"""Workflows of GitHub Actions and jobs of GitLab run here, step by step, as the services would, without them.

Only what the project's documentation uses is known; all else is an error, so that nothing passes unseen. A checkout of
the repository itself is there already. One of another repository, and what ``pip`` installs, is given by a `Stage`.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
_STUBS = ("actions/setup-python@",)
_CHECKOUT = "actions/checkout@"


@dataclass(frozen=True)
class Stage:
    """Where steps run: the repository's folder, folders to check out by name, and the environment.

    ``bin`` comes first on the path; `stub` puts commands there, which write down how they were called.
    """

    folder: Path
    scratch: Path
    repositories: Mapping[str, Path]
    env: Mapping[str, str]
    event: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bin(self) -> Path:
        return self.scratch / "bin"

    def stub(self, name: str, script: str = "exit 0") -> None:
        """A command of that name, which notes its arguments, a call a line, and then runs the script."""
        self.bin.mkdir(parents=True, exist_ok=True)
        file = self.bin / name
        file.write_text(f'#!/usr/bin/env bash\necho "$*" >>"{self.scratch}/{name}.calls"\n{script}\n')
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    def calls(self, name: str) -> list[str]:
        """How the command was called."""
        file = self.scratch / f"{name}.calls"
        return file.read_text().splitlines() if file.exists() else []


@dataclass
class Ran:
    """What a job came to: ``conclusion`` success or failure, and each step's output, by id or number."""

    conclusion: str = "success"
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    logs: list[str] = field(default_factory=list)
    summary: str = ""

    @property
    def log(self) -> str:
        return "\n".join(self.logs)


def run_workflow(stage: Stage, text: str) -> Ran:
    """Run the only job of a workflow."""
    workflow = yaml.safe_load(text)
    # YAML 1.1 reads the key "on" as true.
    assert set(workflow) <= {"name", True, "permissions", "jobs"}, workflow
    ((_, job),) = workflow["jobs"].items()
    assert set(job) == {"runs-on", "steps"}, job
    ran = Ran()
    (stage.scratch / "step-summary.md").write_text("")
    _run_steps(stage, job["steps"], ran, {})
    ran.summary = (stage.scratch / "step-summary.md").read_text()
    return ran


def run_gitlab(stage: Stage, text: str, job: str) -> subprocess.CompletedProcess[str]:
    """Run a job's script with its variables, which those of the stage's environment replace."""
    told = yaml.safe_load(text)[job]
    assert set(told) <= {"image", "variables", "script", "artifacts"}, told
    return run_bash(stage, "\n".join(told["script"]), {**told.get("variables", {}), **stage.env, "GITLAB_CI": "true"})


def run_bash(stage: Stage, script: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run lines in the repository's folder; the first that fails ends them."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=stage.folder,
        env=_environment(stage, env or stage.env),
        capture_output=True,
        text=True,
        check=False,
    )


def _environment(stage: Stage, more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    path = os.pathsep.join([str(stage.bin), stage.env.get("PATH", os.environ["PATH"])])
    return {**kept, "CI": "true", **stage.env, **more, "PATH": path}


def _run_steps(
    stage: Stage, steps: Sequence[Mapping[str, Any]], ran: Ran, inputs: Mapping[str, str], **more: str
) -> None:
    failed = False
    for number, step in enumerate(steps):
        name = step.get("id", str(number))
        contexts = {
            "github": {"token": "a-token", "event": stage.event, "event_name": stage.event.get("name", ""), **more},
            "inputs": inputs,
            "steps": {key: {"outputs": found} for key, found in ran.outputs.items()},
        }
        ran.outputs.setdefault(name, {})
        if not _wanted(step.get("if", "success()"), contexts, failed):
            continue
        if "uses" in step:
            assert set(step) <= {"id", "name", "if", "uses", "with"}, step
            code = _use(stage, step["uses"], step.get("with", {}), ran, name, contexts)
        else:
            assert set(step) <= {"id", "name", "if", "run", "shell", "env"}, step
            code = _run(stage, step, ran, name, contexts)
        ran.codes[name] = code
        failed = failed or code != 0
    if failed:
        ran.conclusion = "failure"


def _use(stage: Stage, uses: str, given: Mapping[str, Any], ran: Ran, name: str, contexts: Mapping[str, Any]) -> int:
    if uses.startswith(_STUBS):
        return 0
    if uses.startswith(_CHECKOUT):
        if given:
            assert set(given) == {"repository", "path"}, given
            shutil.copytree(stage.repositories[given["repository"]], stage.folder / given["path"])
        return 0
    assert uses.startswith("./"), uses
    action = stage.folder / uses
    told = yaml.safe_load((action / "action.yml").read_text())
    assert told["runs"]["using"] == "composite"
    assert set(given) <= set(told["inputs"]), f"no such input: {set(given) - set(told['inputs'])}"
    inputs = {key: str(each.get("default", "")) for key, each in told["inputs"].items()}
    inputs |= {key: _filled(str(value), contexts) for key, value in given.items()}
    inner = Ran()
    steps = told["runs"]["steps"]
    assert all("shell" in step for step in steps), "steps of an action name their shell"
    _run_steps(stage, steps, inner, inputs, action_path=str(action))
    ran.logs += inner.logs
    after = {"steps": {key: {"outputs": found} for key, found in inner.outputs.items()}}
    ran.outputs[name] = {key: _filled(each["value"], after) for key, each in told["outputs"].items()}
    return next((code for code in inner.codes.values() if code), 0)


def _run(stage: Stage, step: Mapping[str, Any], ran: Ran, name: str, contexts: Mapping[str, Any]) -> int:
    output = stage.scratch / "step-output"
    output.write_text("")
    env = {key: _filled(str(value), contexts) for key, value in step.get("env", {}).items()}
    env |= {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(stage.folder),
        "GITHUB_OUTPUT": str(output),
        "GITHUB_STEP_SUMMARY": str(stage.scratch / "step-summary.md"),
        "GITHUB_ACTION_PATH": contexts["github"].get("action_path", ""),
    }
    found = run_bash(stage, _filled(step["run"], contexts), env)
    ran.logs.append(f"$ {step['run']}\n{found.stdout}{found.stderr}")
    ran.outputs[name] = dict(line.split("=", 1) for line in output.read_text().splitlines())
    return found.returncode


def _wanted(condition: str, contexts: Mapping[str, Any], failed: bool) -> bool:
    """Conditions of the kinds that documentation uses; one without a word on failures means success."""
    parts = [part.strip() for part in condition.split("&&")]
    words = {"always()": True, "success()": not failed, "failure()": failed}
    if not set(parts) & set(words):
        parts.append("success()")
    return all(words[part] if part in words else _compared(part, contexts) for part in parts)


def _compared(part: str, contexts: Mapping[str, Any]) -> bool:
    found = re.fullmatch(r"([\w.-]+) (==|!=) '([^']*)'", part)
    assert found is not None, f"a condition that is not known here: {part}"
    return (_looked_up(found[1], contexts) == found[3]) == (found[2] == "==")


def _filled(text: str, contexts: Mapping[str, Any]) -> str:
    return _EXPRESSION.sub(lambda found: _looked_up(found[1], contexts), text)


def _looked_up(path: str, contexts: Mapping[str, Any]) -> str:
    """The value of a path such as ``steps.gate.outputs.verdict``; an output that was not set is empty."""
    value: Any = contexts
    parts = path.split(".")
    for place, part in enumerate(parts):
        if part not in value:
            assert (parts[0], place) == ("steps", 3), f"nothing is called {path}"
            return ""
        value = value[part]
    return str(value)
