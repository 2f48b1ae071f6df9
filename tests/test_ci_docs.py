"""docs/ci.md is run: each recipe, in a scratch repository with the files that it names."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from telbench.harness.cli.main import main

from .leaderboard.runs.logs import lm_eval_row
from .leaderboard.scored_runs import write_answers, write_questions
from .workflows import Stage, run_bash, run_gitlab, run_workflow

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "ci.md"
ROOMS = ("judges", "metrics", "harness", "kd", "leaderboard")
# So many that failures in documents which are not among them could not undo a pass.
COUNT = 800
# What each test takes, by the words that tell its snippet from the others. Blocks of "text" are output.
ANCHOR = "telbench baseline pin runs/release"
SEQUENTIAL = "--sequential"
GATE_FILE = "# gate.yaml"
GATE = "telbench check --gate gate.yaml"
BOARD = "telbench leaderboard build"
LOGS = "telbench baseline pin out/release"
GITHUB = "# .github/workflows/gate.yml"
QUALITY = "# .github/workflows/quality.yml"
GITLAB = "# .gitlab-ci.yml"
PYTEST = "# test_candidate.py"
TAKEN = (ANCHOR, SEQUENTIAL, GATE_FILE, GATE, BOARD, LOGS, GITHUB, QUALITY, GITLAB, PYTEST)
# A runner has python with pip; here what they install is there already, and only the place is looked at.
PIP = 'for last; do :; done; test -f "$last/pyproject.toml"'
PYTHON = f'if [ "$1 $2" = "-m pip" ]; then {PIP}; else exec "{sys.executable}" "$@"; fi'


def snippets() -> list[str]:
    """Every fenced block of the page that is no output."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [text for language, text in blocks if language != "text"]


def snippet(words: str) -> str:
    """The one that has these words."""
    (found,) = [text for text in snippets() if words in text]
    return found


@pytest.fixture(scope="module")
def telbench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of telbench's own repository, as far as it is installed from it."""
    folder = tmp_path_factory.mktemp("upstream") / "telbench"
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / ".github" / "actions", folder / ".github" / "actions")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    commit(folder)
    return folder


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A team's repository with the files that the page names: questions, answers, anchors, logs, a gate file."""
    folder = tmp_path_factory.mktemp("team") / "repository"
    for data in ("", "standards", "operations"):
        questions, answers = (
            folder / (f"{what}/{data}.jsonl" if data else f"{what}.jsonl") for what in ("questions", "answers")
        )
        write_questions(questions, COUNT, categories=("security", "radio"))
        write_answers(answers, COUNT, 0.7)
        run = folder.parent / "release" / data
        words = ["score", str(answers), "--data", str(questions), "--metrics", "token_f1,rougeL,bleu"]
        assert main([*words, "--out", str(run), "--name", "release"]) == 0
        anchor = folder / (f"baselines/{data}.json" if data else "telbench-baseline.json")
        assert main(["baseline", "pin", str(run), "--out", str(anchor)]) == 0
    for place, right in (
        ("out/release/samples_teleqna_2026-05-01T08-00-00", 3),
        ("out/new/samples_teleqna_2026-06-01T08-00-00", 3),
    ):
        file = folder / f"{place}.jsonl"
        file.parent.mkdir(parents=True)
        rows = [lm_eval_row(i, {"acc": float(i % 4 < right)}) for i in range(COUNT)]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "gate.yaml").write_text(snippet(GATE_FILE))
    (folder / "test_candidate.py").write_text(snippet(PYTEST))
    (folder / "quality").mkdir()
    (folder / "quality" / "README.md").write_text("What the gate said.\n")
    commit(folder)
    return folder


@pytest.fixture
def stage(team: Path, telbench: Path, tmp_path: Path) -> Stage:
    """A fresh clone of the team's repository with a remote of its own, and commands as a runner has them."""
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(team), str(remote)], check=True)
    subprocess.run(["git", "clone", "--quiet", str(remote), str(tmp_path / "work")], check=True)
    env = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    env |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    env |= {"TELBENCH": telbench.as_uri(), "OMP_NUM_THREADS": "1"}
    made = Stage(tmp_path / "work", tmp_path, {"your-team/telbench": telbench}, env, {"number": 7})
    made.stub("gh")
    made.stub("pip", PIP)
    made.stub("python", PYTHON)
    return made


def commit(folder: Path) -> None:
    """All that is in the folder, as a repository's first commit on main."""
    told = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "--quiet", "-b", "main"], ["add", "-A"], [*told, "commit", "--quiet", "-m", "first"]):
        subprocess.run(["git", *words], cwd=folder, check=True)


def worsen(stage: Stage, *files: str) -> None:
    """Answers of which few are right."""
    for file in files:
        write_answers(stage.folder / file, COUNT, 0.3)


def ran(stage: Stage, text: str) -> str:
    """What a shell snippet printed; it must end well."""
    found = run_bash(stage, text)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def score(stage: Stage, out: str, model: str) -> None:
    metrics = "token_f1,rougeL"
    ran(stage, f"telbench score answers.jsonl --data questions.jsonl --metrics {metrics} --out {out} --name {model}")


def test_every_recipe_is_run_by_one_of_these_tests() -> None:
    assert [[words for words in TAKEN if words in text] for text in snippets()] == [[words] for words in TAKEN]


def test_every_recipe_says_what_inconclusive_means() -> None:
    for text in snippets():
        commands = re.findall(r"telbench check\b(?:\\\n|\n +--|[^\n])*", text)
        for command in commands:
            assert "--on-inconclusive " in command or "--gate gate.yaml" in command, command
        if "/actions/check" in text:
            assert "on-inconclusive: " in text
    assert "\non_inconclusive: " in snippet(GATE_FILE)
    assert "on_inconclusive=" in snippet(PYTEST)


@pytest.mark.slow
def test_the_workflow_of_a_pull_request_passes_tells_and_posts(stage: Stage) -> None:
    found = run_workflow(stage, snippet(GITHUB))
    assert found.conclusion == "success", found.log
    told = found.outputs["gate"]
    assert (told["verdict"], told["exit-code"]) == ("pass", "0")
    assert {name for name, value in told.items() if not value} == {"history"}
    for name in ("summary", "comment", "badge", "json", "junit"):
        assert (stage.folder / told[name]).is_file(), name
    assert stage.calls("gh") == [f"pr comment 7 --edit-last --create-if-none --body-file {told['comment']}"]
    assert (stage.folder / told["comment"]).read_text().startswith("<!-- telbench check -->\n## telbench check: pass")
    assert found.summary == (stage.folder / told["summary"]).read_text()
    assert json.loads((stage.folder / told["json"]).read_text())["verdict"] == "pass"


@pytest.mark.slow
def test_a_worse_candidate_fails_the_job_and_is_told_all_the_same(stage: Stage) -> None:
    worsen(stage, "answers.jsonl")
    found = run_workflow(stage, snippet(GITHUB))
    assert found.conclusion == "failure"
    assert (found.outputs["gate"]["verdict"], found.codes["gate"]) == ("fail", 1)
    assert "::error title=telbench token_f1::FAIL" in found.log
    assert len(stage.calls("gh")) == 1
    badge = json.loads((stage.folder / found.outputs["gate"]["badge"]).read_text())
    assert badge == {"schemaVersion": 1, "label": "telbench", "message": "fail", "color": "red"}


@pytest.mark.slow
def test_a_check_that_reaches_no_verdict_fails_without_outputs(stage: Stage) -> None:
    (stage.folder / "telbench-baseline.json").write_text("{}")
    found = run_workflow(stage, snippet(GITHUB))
    assert (found.conclusion, found.codes["gate"]) == ("failure", 2)
    assert set(found.outputs["gate"].values()) == {""}
    assert stage.calls("gh") == []


@pytest.mark.slow
@pytest.mark.parametrize(("line", "code"), [("", 3), ("          on-inconclusive: warn\n", 0)])
def test_the_actions_own_choice_is_that_inconclusive_is_not_green(stage: Stage, line: str, code: int) -> None:
    for file in ("questions.jsonl", "answers.jsonl"):
        path = stage.folder / file
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:20]))
    ran(stage, "telbench score answers.jsonl --data questions.jsonl --metrics token_f1,rougeL --out runs/r --name r")
    ran(stage, "telbench baseline pin runs/r --out telbench-baseline.json --force --accept-drop")
    answers = stage.folder / "answers.jsonl"
    rows = [json.loads(text) for text in answers.read_text().splitlines()]
    rows[0]["prediction"] = "no idea"
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = re.sub(r" +on-inconclusive: \w+\n", line, snippet(GITHUB))
    found = run_workflow(stage, text)
    assert (found.outputs["gate"]["verdict"], found.codes["gate"]) == ("inconclusive", code), found.log


@pytest.mark.slow
def test_the_workflow_of_the_main_branch_keeps_history_and_badge(stage: Stage) -> None:
    for verdict in ("pass", "fail"):
        if verdict == "fail":
            worsen(stage, "answers/standards.jsonl")
        for left in ("telbench", "runs", "telbench-gate"):
            shutil.rmtree(stage.folder / left, ignore_errors=True)
        found = run_workflow(stage, snippet(QUALITY))
        assert found.outputs["gate"]["verdict"] == verdict, found.log
        assert found.conclusion == ("success" if verdict == "pass" else "failure"), found.log
    remote = ["git", f"--git-dir={stage.scratch / 'remote.git'}"]
    subjects = subprocess.run([*remote, "log", "--format=%s", "main"], capture_output=True, text=True, check=True)
    assert subjects.stdout.splitlines() == ["Quality gate: fail", "Quality gate: pass", "first"]
    kept = subprocess.run([*remote, "show", "main:quality/history.jsonl"], capture_output=True, text=True, check=True)
    assert [json.loads(line)["verdict"] for line in kept.stdout.splitlines()] == ["pass", "fail"]
    shown = subprocess.run([*remote, "show", "main:quality/badge.json"], capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout)["color"] == "red"


@pytest.mark.slow
def test_a_baseline_is_looked_at_again_and_the_anchor_keeps_a_ledger(stage: Stage) -> None:
    score(stage, "runs/candidate", "candidate")
    assert "look 1 at this baseline" in run_bash(stage, snippet(SEQUENTIAL)).stdout
    again = run_bash(stage, snippet(SEQUENTIAL))
    assert "look 1 at this baseline; it was looked at before" in again.stdout, again.stderr


@pytest.mark.slow
def test_the_gate_file_is_checked_as_the_page_shows_it(stage: Stage) -> None:
    out = ran(stage, snippet(GATE))
    (shown,) = re.findall(r"^```text\n(standards: .*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert out.endswith(shown)
    assert json.loads((stage.folder / "gate.json").read_text())["verdict"] == "pass"
    assert len(list(ElementTree.parse(stage.folder / "gate.xml").getroot())) == 2


@pytest.mark.slow
def test_the_job_of_gitlab_leaves_its_report(stage: Stage) -> None:
    found = run_gitlab(stage, snippet(GITLAB), "quality")
    assert found.returncode == 0, found.stdout + found.stderr
    artifact = yaml.safe_load(snippet(GITLAB))["quality"]["artifacts"]["reports"]["junit"]
    assert ElementTree.parse(stage.folder / artifact).getroot().attrib["failures"] == "0"
    shutil.rmtree(stage.folder / "telbench")
    shutil.rmtree(stage.folder / "runs")
    worsen(stage, "answers.jsonl")
    assert run_gitlab(stage, snippet(GITLAB), "quality").returncode == 1


@pytest.mark.slow
def test_logs_of_another_harness_are_pinned_and_checked(stage: Stage) -> None:
    assert "PASS" in ran(stage, snippet(LOGS))


@pytest.mark.slow
def test_the_test_for_pytest_passes_and_fails(stage: Stage) -> None:
    score(stage, "runs/candidate", "candidate")
    run = "python -m pytest -q -p no:cacheprovider test_candidate.py"
    assert "1 passed" in ran(stage, run)
    worsen(stage, "answers.jsonl")
    shutil.rmtree(stage.folder / "runs")
    score(stage, "runs/candidate", "candidate")
    found = run_bash(stage, run)
    assert found.returncode == 1
    assert "telbench: fail" in found.stdout


@pytest.mark.slow
def test_the_board_draws_the_history(stage: Stage) -> None:
    score(stage, "runs/release", "release")
    worsen(stage, "answers.jsonl")
    score(stage, "runs/candidate", "candidate")
    asked = "telbench check --baseline telbench-baseline.json --candidate runs/candidate --margin token_f1=0.02"
    assert run_bash(stage, f"{asked} --history quality/history.jsonl").returncode == 1
    ran(stage, snippet(BOARD))
    page = (stage.folder / "site" / "history.html").read_text("utf-8")
    assert "token_f1 of questions, check by check" in page


@pytest.mark.slow
def test_the_recipe_with_a_model_of_ones_own(stage: Stage, tiny_checkpoint: Path) -> None:
    (stage.folder / "checkpoints").mkdir()
    shutil.copytree(tiny_checkpoint, stage.folder / "checkpoints" / "candidate")
    worsen(stage, "answers.jsonl")
    score(stage, "runs/release", "release")
    (stage.folder / "telbench-baseline.json").unlink()
    found = run_bash(stage, snippet(ANCHOR))
    # A model from nothing answers nothing: the gate must see it, and every command before it work.
    assert found.returncode == 1, found.stdout + found.stderr
    assert "FAIL" in found.stdout
    assert json.loads((stage.folder / "gate.json").read_text())["verdict"] == "fail"


@pytest.mark.slow
def test_the_action_installs_what_it_is_a_part_of(stage: Stage) -> None:
    for name in ("pip", "python"):
        (stage.bin / name).unlink()
    site = stage.scratch / "site"
    env = {**stage.env, "PIP_TARGET": str(site), "PYTHONPATH": str(site), "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1"}
    # pip reads 0 here as: no isolation.
    env |= {"PIP_NO_BUILD_ISOLATION": "0", "PATH": f"{site / 'bin'}{os.pathsep}{stage.env['PATH']}"}
    made = Stage(stage.folder, stage.scratch, stage.repositories, env, stage.event)
    found = run_workflow(made, snippet(GITHUB))
    assert found.conclusion == "success", found.log
    assert (site / "telbench" / "leaderboard" / "checks" / "file.py").is_file()
    assert found.outputs["gate"]["verdict"] == "pass"
