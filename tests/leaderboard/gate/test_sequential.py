"""A gate that may be looked at again: its levels, its ledger and its two promises."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from telbench.errors import InputError
from telbench.harness import storage
from telbench.harness.cli.main import main
from telbench.leaderboard.gate.gate import GatePolicy, judge_gate
from telbench.leaderboard.gate.ledger import Ledger, opened
from telbench.leaderboard.gate.report import look_lines, markdown
from telbench.leaderboard.gate.sequential import combined, judge_levels, judge_look
from telbench.leaderboard.gate.spending import Levels, next_levels, share
from telbench.leaderboard.runs.anchor import read_anchor, write_anchor
from telbench.leaderboard.runs.loaded import LoadedRun
from telbench.leaderboard.testing import assert_no_regression

from ...made_runs import made_run, metric

BASE = np.random.default_rng(0).uniform(0.3, 0.7, 120)
POLICY = GatePolicy({"token_f1": 0.02})


def candidate(shift: float, seed: int = 0, noise: float = 0.1) -> LoadedRun:
    errors = np.random.default_rng(seed).normal(0, noise, len(BASE))
    return made_run("run", {"token_f1": (BASE + shift + errors - errors.mean()).tolist()}, per_document=2)


@pytest.fixture
def anchor(tmp_path: Path) -> Path:
    path = tmp_path / "anchor.json"
    write_anchor(made_run("base", {"token_f1": BASE.tolist()}, per_document=2), path)
    return path


def look(anchor: Path, run: LoadedRun, policy: GatePolicy = POLICY, half: int = 10):
    base = read_anchor(anchor)
    assert base is not None
    with opened(anchor, policy.alpha, half) as ledger:
        return judge_look(ledger, run, base, [metric("token_f1")], policy)


@pytest.mark.parametrize("half", [1, 10, 50])
def test_the_shares_of_all_looks_together_are_one(half):
    assert math.fsum(share(k, half) for k in range(1, half + 1)) == pytest.approx(0.5)
    assert math.fsum(share(k, half) for k in range(1, 200_000)) == pytest.approx(1, abs=half / 190_000)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40), st.integers(1, 30))
def test_what_is_lost_and_what_a_look_has_add_up_to_what_was_laid_out(decided, half):
    levels = next_levels(decided, 0.05, half)
    looks = len(decided) + 1
    for level, lost in ((levels.red, levels.red_lost), (levels.passing, levels.passing_lost)):
        assert level + lost == pytest.approx(0.05 * looks / (looks + half))
        assert 0 < level <= 0.05


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("true", [0.0, 0.5])
def test_any_false_rejection_in_forty_looks_stays_below_alpha_under_any_dependence(correlation, true):
    draw = np.random.default_rng(6)
    streams = erred = 0
    for _ in range(1500):
        # Which hypotheses hold is fixed before: those that do not are rejected nearly always, and hand on their level.
        holds = np.random.default_rng(streams % 7).random(40) >= true
        z = math.sqrt(correlation) * draw.normal() + math.sqrt(1 - correlation) * draw.normal(size=40)
        p = np.where(holds, norm.sf(z), norm.sf(z + 4))
        decided: list[tuple[bool, bool]] = []
        for value in p:
            hit = bool(value <= next_levels(decided, 0.05, 10).red)
            decided.append((hit, hit))
        erred += any(hit and held for (hit, _), held in zip(decided, holds, strict=True))
        streams += 1
    # Three and a half standard errors above 5 %.
    assert erred / streams <= 0.05 + 3.5 * math.sqrt(0.05 * 0.95 / streams)


@pytest.mark.parametrize("shift", [0.0, -0.012, -0.018, -0.05, -0.005])
@pytest.mark.parametrize("noise", [0.05, 0.1, 0.4])
def test_at_equal_levels_it_is_the_usual_gate(shift, noise):
    base, run = made_run("base", {"token_f1": BASE.tolist()}, per_document=2), candidate(shift, noise=noise)
    usual = judge_gate(run, base, [metric("token_f1")], POLICY)
    gates = judge_levels(run, base, [metric("token_f1")], POLICY, Levels(0.05, 0.05))
    assert combined(*gates, POLICY) == usual


def test_red_and_guardrails_share_the_level_of_red_and_passing_has_its_own():
    values = {"token_f1": BASE.tolist(), "rougeL": BASE.tolist()}
    base = made_run("base", values, per_document=2)
    policy = GatePolicy({"token_f1": 0.02}, ("rougeL",))
    metrics = [metric("token_f1"), metric("rougeL")]
    red, passing = judge_levels(base, base, metrics, policy, Levels(0.02, 0.04))
    assert (red.policy.alpha, passing.policy.alpha) == (0.01, 0.04)
    assert [each.metric for each in passing.metrics] == ["token_f1"]
    found = combined(red, passing, policy)
    assert [each.verdict for each in found.metrics] == ["PASS", "PASS"]
    assert found.policy == policy


def test_a_drop_that_is_shown_at_one_level_only_is_inconclusive():
    base = made_run("base", {"token_f1": BASE.tolist()}, per_document=2)
    run = candidate(-0.03)
    strict, easy = 1e-5, 0.2
    assert judge_gate(run, base, [metric("token_f1")], POLICY).verdict == "fail"
    for levels in (Levels(strict, strict), Levels(strict, easy)):
        gate = combined(*judge_levels(run, base, [metric("token_f1")], POLICY, levels), POLICY)
        assert (gate.verdict, gate.exit_code) == ("inconclusive", 0)
    # It is shown to be small by the level of red, which is not the one that lets pass.
    small = candidate(-0.018, noise=0.02)
    gate = combined(*judge_levels(small, base, [metric("token_f1")], POLICY, Levels(0.2, 0.05)), POLICY)
    assert gate.verdict == "inconclusive"
    assert "a drop is shown" in gate.metrics[0].reason


def test_looks_lose_their_level_or_hand_it_on_and_the_same_scores_are_one_look(anchor):
    first = look(anchor, candidate(0.0, seed=1, noise=0.4))
    assert first.look is not None
    assert (first.verdict, first.look.number, first.look.levels.passing) == (
        "inconclusive",
        1,
        pytest.approx(0.05 / 11),
    )
    whole, run = anchor.read_bytes(), read_anchor(anchor)
    again = look(anchor, candidate(0.0, seed=1, noise=0.4))
    assert again.look is not None
    assert (again.verdict, again.look.number, again.look.again) == ("inconclusive", 1, True)
    assert again.metrics == first.metrics
    assert anchor.read_bytes() == whole
    second = look(anchor, candidate(0.0, seed=2, noise=0.02))
    assert second.look is not None
    assert (second.verdict, second.look.number) == ("pass", 2)
    assert second.look.levels.passing_lost == pytest.approx(0.05 / 11)
    third = look(anchor, candidate(0.0, seed=3, noise=0.02))
    assert third.look is not None
    # What let the second one pass is not lost; what could have made it red is.
    assert third.look.levels.passing == pytest.approx(0.05 * (share(2, 10) + share(3, 10)))
    assert third.look.levels.red == pytest.approx(0.05 * share(3, 10))
    other = look(anchor, candidate(0.0, seed=3, noise=0.02), GatePolicy({"token_f1": 0.03})).look
    assert other is not None
    assert (other.number, other.again) == (4, False)
    assert "look 2 at this baseline" in look_lines(second)[0]
    assert "levels of this look" in markdown(second)
    # All that a comparison reads is as it was.
    assert read_anchor(anchor) == run


def test_a_ledger_for_another_rate_or_changed_by_hand_is_refused(anchor):
    look(anchor, candidate(0.0, seed=1, noise=0.4))
    look(anchor, candidate(0.0, seed=2, noise=0.4))
    with pytest.raises(InputError, match=r"--alpha 0\.05, not 0\.1"):
        Ledger(anchor, 0.1, 10)
    with pytest.raises(InputError, match="--half-spent-by 10, not 20"):
        Ledger(anchor, 0.05, 20)
    good = json.loads(anchor.read_text())
    for damage in (
        lambda looks: looks.pop(0),
        lambda looks: looks[0].update(within_margin=True),
        lambda looks: looks[1].update(pass_level=0.05),
        lambda looks: looks[0].pop("verdict"),
        lambda looks: looks.append("look"),
        lambda looks: looks[0].update(drop_shown="no"),
    ):
        changed = json.loads(json.dumps(good))
        damage(changed["ledger"]["looks"])
        anchor.write_text(json.dumps(changed))
        with pytest.raises(InputError, match=r"look . of its ledger .*pin the baseline again"):
            Ledger(anchor, 0.05, 10)
    anchor.write_text(json.dumps({**good, "ledger": []}))
    with pytest.raises(InputError, match="its ledger is damaged"):
        Ledger(anchor, 0.05, 10)


def test_a_decision_that_comes_out_otherwise_is_refused(anchor):
    look(anchor, candidate(0.0, seed=1, noise=0.4))
    document = json.loads(anchor.read_text())
    document["ledger"]["looks"][0]["verdict"] = "pass"
    anchor.write_text(json.dumps(document))
    with pytest.raises(InputError, match="look 1 said pass, and the same scores now say inconclusive"):
        look(anchor, candidate(0.0, seed=1, noise=0.4))


def test_a_look_that_cannot_be_written_is_an_error_and_changes_nothing(anchor, monkeypatch):
    before = anchor.read_bytes()

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match="the disk is full"):
        look(anchor, candidate(0.0))
    monkeypatch.undo()
    assert anchor.read_bytes() == before
    assert sorted(path.name for path in anchor.parent.iterdir()) == ["anchor.json"]
    found = look(anchor, candidate(0.0)).look
    assert found is not None
    assert found.number == 1


def test_only_an_anchor_has_a_ledger(anchor, tmp_path):
    with pytest.raises(InputError, match="--sequential keeps its ledger in an anchor file"), opened(tmp_path, 0.05, 10):
        pass
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(InputError, match="is no anchor"), opened(other, 0.05, 10):
        pass


def many_looks(path: str, first: int) -> None:
    for seed in range(first, first + 3):
        look(Path(path), candidate(0.0, seed=seed, noise=0.3))


def test_jobs_that_look_at_once_get_looks_of_their_own(anchor):
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=many_looks, args=(str(anchor), 10 * place)) for place in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(120)
    assert [job.exitcode for job in jobs] == [0] * 4
    entries = Ledger(anchor, 0.05, 10).entries
    assert [entry.look for entry in entries] == list(range(1, 13))
    assert len({entry.scores for entry in entries}) == 12
    assert sorted(path.name for path in anchor.parent.iterdir()) == ["anchor.json"]


def test_a_job_that_is_killed_while_it_writes_leaves_a_whole_anchor_and_no_lock(anchor):
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from telbench.leaderboard.gate.ledger import opened\n"
        "from telbench.leaderboard.runs.anchor import write_ledger\n"
        "Path.replace = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)\n"
        "with opened(Path(sys.argv[1]), 0.05, 10) as ledger:\n"
        "    write_ledger(ledger.path, {'alpha': 0.05, 'half': 10, 'looks': []})\n"
    )
    before = anchor.read_bytes()
    ended = subprocess.run([sys.executable, "-c", script, str(anchor)], capture_output=True, env=os.environ)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert anchor.read_bytes() == before
    found = look(anchor, candidate(0.0)).look
    assert found is not None
    assert found.number == 1


def test_another_job_is_waited_for_but_not_for_ever(anchor):
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()

    def hold() -> None:
        with opened(anchor, 0.05, 10):
            held.set()
            done.wait(60)

    job = context.Process(target=hold)
    job.start()
    assert held.wait(60)
    lock = anchor.with_name(".anchor.json.lock")
    with pytest.raises(InputError, match="another process has held"), storage.waiting_lock(lock, 0.2):
        pass
    done.set()
    job.join(60)
    with storage.waiting_lock(lock, 0.2):
        pass


def test_the_command_keeps_the_ledger_and_a_new_pin_says_what_becomes_of_it(tmp_path, capsys):
    data = tmp_path / "data.jsonl"
    records = [{"id": f"i{i}", "question": f"Q {i}?", "references": [f"answer {i}"]} for i in range(60)]
    data.write_text("\n".join(json.dumps({**each, "source_document": f"d{i // 2}"}) for i, each in enumerate(records)))
    runs = {}
    for name, wrong in (("base", 3), ("run", 2)):
        file = tmp_path / f"{name}.jsonl"
        answers = [{"id": f"i{i}", "prediction": "other" if i % wrong == 0 else f"answer {i}"} for i in range(60)]
        file.write_text("\n".join(map(json.dumps, answers)))
        runs[name] = str(tmp_path / name)
        words = ["--data", str(data), "--metrics", "token_f1,rougeL", "--out", runs[name]]
        assert main(["score", str(file), *words]) == 0
    anchor = str(tmp_path / "anchor.json")
    assert main(["baseline", "pin", runs["base"], "--out", anchor]) == 0
    first = Path(anchor).read_bytes()
    check = ["check", "--baseline", anchor, "--candidate", runs["run"], "--margin", "token_f1=0.02", "--sequential"]
    capsys.readouterr()
    assert main([*check, "--json"]) == 1
    gate = json.loads(capsys.readouterr().out)
    assert gate["look"]["number"] == 1
    assert gate["look"]["levels"]["red"] == pytest.approx(0.05 / 11)
    assert main(check) == 1
    assert "look 1 at this baseline; it was looked at before, and costs nothing again" in capsys.readouterr().out
    assert main(["check", "--baseline", runs["base"], *check[3:]]) == 2
    assert "--sequential keeps its ledger in an anchor file" in capsys.readouterr().err
    assert main(["baseline", "pin", runs["base"], "--out", anchor, "--force"]) == 0
    assert "it is the same baseline: its ledger of 1 look goes on" in capsys.readouterr().err
    assert main([*check[:-1], "--json"]) == 1
    assert "look" not in json.loads(capsys.readouterr().out)
    for number in (2, 2):
        found = assert_no_regression(runs["base"], anchor, margins={"token_f1": 0.02}, sequential=True)
        assert found.look is not None
        assert (found.verdict, found.look.number) == ("pass", number)
    assert main(["baseline", "pin", runs["run"], "--out", anchor, "--force", "--accept-drop"]) == 0
    assert "the ledger of 2 looks at the old baseline ends here" in capsys.readouterr().err
    assert main(["baseline", "pin", runs["base"], "--out", anchor, "--force"]) == 0
    assert Path(anchor).read_bytes() == first
