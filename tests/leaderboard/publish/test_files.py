"""What a check leaves: files, a badge, a comment, and outputs of a step of GitHub Actions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.leaderboard.publish.badge import MARK, badge_json, comment_body

from ..scored_runs import scored_run

KINDS = ("out", "junit", "summary", "comment", "badge", "history")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    for name, right in (("release", 0.7), ("same", 0.7), ("worse", 0.2)):
        scored_run(folder, name, "a", 60, right, "token_f1,exact_match")
    return folder


def check(runs: Path, candidate: str, *more: str) -> int:
    words = ["check", "--baseline", str(runs / "release" / "a"), "--candidate", str(runs / candidate / "a")]
    return main([*words, "--margin", "token_f1=0.05", *more])


@pytest.mark.parametrize(("candidate", "verdict", "code"), [("same", "pass", 0), ("worse", "fail", 1)])
def test_outputs_of_a_step_are_the_verdict_and_the_files(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, candidate: str, verdict: str, code: int
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    (tmp_path / "output").write_text("before=1\n")
    flags = [f"--{kind}={tmp_path / 'files' / kind}" for kind in KINDS]
    assert check(runs, candidate, *flags) == code
    told = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    assert told == {
        "before": "1",
        "verdict": verdict,
        "exit-code": str(code),
        **{kind: str(tmp_path / "files" / kind) for kind in KINDS},
    }
    assert json.loads(Path(told["badge"]).read_text())["message"] == verdict
    summary = Path(told["summary"]).read_text()
    assert Path(told["comment"]).read_text() == f"{MARK}\n{summary}"
    assert (tmp_path / "step.md").read_text() == summary
    (line,) = Path(told["history"]).read_text().splitlines()
    # Named after its data set, as where there are several.
    assert list(json.loads(line)["data"]) == ["a"]


def test_outside_of_actions_and_without_flags_nothing_is_written(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.chdir(tmp_path)
    assert check(runs, "same") == 0
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert check(runs, "same", "--badge", "b.json") == 0
    assert (tmp_path / "output").read_text() == "verdict=pass\nexit-code=0\nbadge=b.json\n"


def test_each_check_adds_a_line_to_the_history_and_replaces_the_rest(runs: Path, tmp_path: Path) -> None:
    flags = [f"--{kind}={tmp_path / kind}" for kind in KINDS]
    for candidate in ("same", "worse", "same"):
        check(runs, candidate, *flags)
    verdicts = [json.loads(line)["verdict"] for line in (tmp_path / "history").read_text().splitlines()]
    assert verdicts == ["pass", "fail", "pass"]
    assert json.loads((tmp_path / "badge").read_text())["message"] == "pass"


def test_a_file_that_cannot_be_written_is_one_line(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in KINDS:
        assert check(runs, "same", f"--{kind}={tmp_path}") == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_badge_tells_verdicts_apart_as_shields_reads_it() -> None:
    badges = [json.loads(badge_json(verdict)) for verdict in ("pass", "fail", "inconclusive")]
    assert [set(badge) for badge in badges] == [{"schemaVersion", "label", "message", "color"}] * 3
    assert {badge["schemaVersion"] for badge in badges} == {1}
    assert len({badge["color"] for badge in badges}) == 3


def test_a_comment_is_cut_to_what_github_takes() -> None:
    body = comment_body("line ä\n" * 20_000)
    assert 60_000 < len(body.encode()) <= 65_536
    assert body.startswith(f"{MARK}\nline")
    assert body.endswith("(cut: too long)\n")
