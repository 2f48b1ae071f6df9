"""docs/scale.md: every command on it is one that telbench takes, with options that there are."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from telbench.harness.cli.main import COMMANDS
from telbench.harness.engines.replicas.options import ReplicaOptions
from telbench.harness.executors.contract import executor_named

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scale.md"


def blocks() -> list[tuple[str, str]]:
    """(language, text) of every fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every telbench command, in a shell's lines and in a manifest's entry point."""
    found = [line.partition("entrypoint: ")[2] or line for _, text in blocks() for line in text.splitlines()]
    return [line.strip() for line in found if line.strip().startswith("telbench ")]


def test_there_are_commands_of_all_three_kinds() -> None:
    assert {line.split()[1] for line in commands()} == {"eval", "suite", "score"}


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_page_is_one_that_telbench_takes(line: str) -> None:
    _, name, *words = shlex.split(line, comments=True)
    module = importlib.import_module(COMMANDS[name][0])
    parser = argparse.ArgumentParser(prog=name, allow_abbrev=False, exit_on_error=False)
    module.configure(parser)
    args = parser.parse_args(words)
    replica = getattr(args, "replica_options", {})
    assert set(replica) <= {field.name for field in fields(ReplicaOptions)}
    options = {field.name for field in fields(executor_named(getattr(args, "executor", "local")).options)}
    assert set(getattr(args, "executor_options", {})) <= options


def test_what_was_not_run_says_so() -> None:
    sections = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    for section in sections:
        if "sbatch" in section.lower() or "RayJob" in section:
            assert "Not run here" in section, section.splitlines()[0]


def test_the_manifest_is_yaml_whose_workers_are_pods_like_the_head() -> None:
    (text,) = [text for language, text in blocks() if language == "yaml"]
    spec = yaml.safe_load(text)["spec"]["rayClusterSpec"]
    assert spec["workerGroupSpecs"][0]["template"] == spec["headGroupSpec"]["template"]


def test_the_options_on_the_page_are_those_that_there_are() -> None:
    page = PAGE.read_text("utf-8")
    table = page.partition("| `--replica-options` |")[2].partition("\n\n")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(named) == sorted(field.name for field in fields(ReplicaOptions))
