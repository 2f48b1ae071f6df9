"""Runs that stop when their place is settled: how they are asked, what they leave, how they go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from telbench.errors import IncomparableError, InputError
from telbench.harness.adaptive.order import asking_order
from telbench.harness.adaptive.sequence import WholeMean
from telbench.harness.cli.main import main
from telbench.harness.cli.stopped import stopped_lines
from telbench.harness.engines.contract import Request
from telbench.harness.fleet import together
from telbench.harness.fleet.together import evaluate_all
from telbench.harness.runs import adaptive
from telbench.harness.runs.evaluate import InterruptedRunError, evaluate
from telbench.harness.runs.folder import HEADER, Run, read_run, read_samples
from telbench.harness.runs.settings import eval_settings
from telbench.leaderboard.runs.loaded import load_run
from telbench.leaderboard.site.model.columns import read_columns

from ...scripted_engine import NotedReporter, Script, use, write_items

N = 400
SCHEMA = Path(__file__).parents[3] / "harness" / "run.schema.json"
Answer = Callable[[Request], str]


def right(share: float, seed: int = 0) -> Answer:
    """Answers this share of the items right, drawn by seed."""
    lucky = np.random.default_rng(seed).random(N) < share

    def answer(request: Request) -> str:
        return f"answer to {request.item_id}" if lucky[int(request.item_id[1:])] else "no idea"

    return answer


class World:
    """One data set, one baseline, and the engine behind all."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.script, self.reporter = folder, Script(), NotedReporter()
        self.data = write_items(folder / "data.jsonl", N)
        use(monkeypatch, self.script)

    def settings(self, name: str, **more: Any) -> Any:
        shared = {"data": str(self.data), "metrics": ("exact_match", "token_f1", "bleu")}
        return eval_settings(model=name, out=self.folder / name, **{**shared, **more})

    def run(self, name: str, answer: Answer | None = None, **more: Any) -> Run:
        if answer is not None:
            self.script.answer = answer
        self.script.asked.clear()
        self.script.opened = 0
        self.reporter = NotedReporter()
        return evaluate(self.settings(name, **more), self.reporter)

    def adaptive(self, name: str, answer: Answer | None = None, *against: str, **more: Any) -> Run:
        runs = [self.folder / each for each in against or ("base",)]
        return self.run(name, answer, **{"adaptive": True, "against": runs, "primary": "exact_match", **more})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path, monkeypatch)
    made.run("base", right(0.4))
    return made


def test_a_clear_gain_is_settled_by_few_items_and_asked_in_random_order(world: World) -> None:
    run = world.adaptive("better", right(0.9, 1))
    told, asked = run.header["adaptive"], run.header["data"]["n"]
    assert told["beside"][0]["verdict"] == "better"
    assert asked == told["asked"] == len(world.script.asked) < N / 4
    assert told["of"] == N
    order = asking_order([f"q{place}" for place in range(N)], 0)
    assert set(world.script.asked) == {f"q{place}" for place in order[:asked]}
    # One engine for all looks, and no item twice.
    assert world.script.opened == 1
    assert set(world.script.asked.values()) == {1}
    ids = [sample["item_id"] for sample in read_samples(run.path)]
    assert ids == [f"q{place}" for place in sorted(order[:asked])]
    assert run.header["generation"]["generated"] == asked
    assert run.header["counts"]["ok"] == asked


def test_the_interval_holds_what_the_whole_set_comes_to(world: World) -> None:
    run = world.adaptive("better", right(0.9, 1))
    told, beside = run.header["adaptive"], run.header["adaptive"]["beside"][0]
    whole = world.run("better").header["metrics"]["exact_match"]["value"]
    base = read_run(world.folder / "base")["metrics"]["exact_match"]["value"]
    assert told["ci_low"] <= whole <= told["ci_high"]
    assert beside["value"] == pytest.approx(base)
    assert beside["low"] <= whole - base <= beside["high"]
    assert (beside["low"], beside["high"]) == pytest.approx((told["ci_low"] - base, told["ci_high"] - base))
    assert beside["low"] > beside["shown_from"] > 0


def test_the_interval_is_that_of_the_scores_in_the_order_of_asking(world: World) -> None:
    run = world.adaptive("alike", right(0.45, 9), at_most=0.5, alpha=0.01)
    told = run.header["adaptive"]
    assert told["asked"] > 100
    scores = {each["item_id"]: each["scores"]["exact_match"] for each in read_samples(run.path)}
    known = {each["item_id"]: each["scores"]["exact_match"] for each in read_samples(world.folder / "base")}
    ids = [f"q{place}" for place in asking_order([f"q{place}" for place in range(N)], 0)]
    asked = np.array([scores[each] for each in ids[: told["asked"]]])
    expected = WholeMean(asked, asked, np.array([known[each] for each in ids]), 0.01).interval()
    assert (told["ci_low"], told["ci_high"]) == pytest.approx(expected)


def test_a_clear_loss_is_settled_too(world: World) -> None:
    run = world.adaptive("worse", right(0.05, 2))
    assert run.header["adaptive"]["beside"][0]["verdict"] == "worse"
    assert run.header["data"]["n"] < N / 2


def test_where_lower_is_better_a_rise_is_worse(world: World) -> None:
    world.run("base-ter", right(0.9), metrics=("over_refusal", "exact_match"))
    run = world.adaptive(
        "refuses",
        lambda request: "I cannot answer this question.",
        "base-ter",
        metrics=("over_refusal", "exact_match"),
        primary="over_refusal",
    )
    beside = run.header["adaptive"]["beside"][0]
    assert beside["verdict"] == "worse"
    assert beside["high"] < 0
    assert run.header["adaptive"]["ci_low"] > 0.5
    assert any("lower" not in line and "worse" in line for line in stopped_lines(run.header))


def test_what_cannot_be_settled_is_asked_whole_and_is_a_complete_run(world: World) -> None:
    run = world.adaptive("alike", right(0.4))
    assert "adaptive" not in run.header
    assert run.header["schema_version"] == 1
    assert run.header["status"] == "complete"
    assert len(load_run(run.path).clusters) == N
    assert any("this is a complete run; compare it" in note for note in world.reporter.notes)


def test_a_stopped_run_is_taken_for_no_complete_one(world: World) -> None:
    run = world.adaptive("better", right(0.9, 1))
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(run.header)
    assert run.header["status"] == "stopped"
    # A telbench that reads schema 1 refuses it.
    assert run.header["schema_version"] == 2
    line = (
        rf"stopped when {run.header['data']['n']} of 400 items .* telbench eval --config .*run.yaml --out .* asks the"
    )
    for read in (read_run, load_run, read_columns):
        with pytest.raises(InputError, match=line):
            read(run.path)
    for command in (["compare"], ["check", "--margin", "exact_match=0.1", "--baseline"]):
        words = [*command, str(world.folder / "base"), *(["--candidate"] if "check" in command else []), str(run.path)]
        assert main(words) == 2
    # What holds at one look only is not said.
    metrics = run.header["metrics"]
    assert metrics["token_f1"]["ci_low"] is None
    assert metrics["bleu"]["ci_low"] is None
    assert metrics["exact_match"]["ci_method"].startswith("betting")


def test_the_line_that_refuses_it_completes_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = world.adaptive("better", right(0.9, 1))
    asked = set(world.script.asked)
    world.script.asked.clear()
    assert main(["eval", "--config", str(run.path / "run.yaml"), "--out", str(run.path)]) == 0
    assert set(world.script.asked) | asked == {f"q{place}" for place in range(N)}
    assert not set(world.script.asked) & asked
    whole = read_run(run.path)
    assert whole["status"] == "complete"
    assert whole["data"]["n"] == N
    alone = world.run("alone", right(0.9, 1))
    assert (alone.path / "samples.jsonl").read_bytes() == (run.path / "samples.jsonl").read_bytes()
    assert alone.header["metrics"] == whole["metrics"]
    # A complete run answers the adaptive question too: nothing is asked.
    assert world.adaptive("better").reused


def test_the_same_command_again_asks_nothing_and_another_goes_on(world: World) -> None:
    first = world.adaptive("some", right(0.75, 3))
    again = world.adaptive("some")
    assert again.reused
    assert not world.script.asked
    assert again.header == first.header
    on = world.adaptive("some", None, margins={"exact_match": 0.02}, primary="")
    assert not on.reused
    assert on.header["adaptive"]["margin"] == 0.02
    stricter = world.adaptive("some", None, alpha=1e-6)
    assert stricter.header.get("adaptive", {"asked": N})["asked"] > first.header["adaptive"]["asked"]


def test_an_interrupted_run_goes_on_where_it_was_and_stops_where_it_would_have(world: World) -> None:
    straight = world.adaptive("straight", right(0.58, 3))
    seen: list[int] = []

    def act(count: int) -> None:
        seen.append(count)
        if len(seen) == 40:
            raise KeyboardInterrupt

    world.script.act = act
    with pytest.raises(InterruptedRunError):
        world.adaptive("cut", right(0.58, 3))
    world.script.act = lambda count: None
    resumed = world.adaptive("cut")
    assert resumed.header["adaptive"] == straight.header["adaptive"]
    assert resumed.header["generation"]["resumed"] == 39
    assert (resumed.path / "samples.jsonl").read_bytes() == (straight.path / "samples.jsonl").read_bytes()


def test_several_finished_runs_make_a_rank(world: World) -> None:
    world.run("low", right(0.1, 5))
    world.run("high", right(0.95, 6))
    run = world.adaptive("middle", right(0.6, 7), "low", "high", "base")
    told = run.header["adaptive"]
    assert [each["verdict"] for each in told["beside"]] == ["better", "worse", "better"]
    assert told["rank"] == [2, 2]
    assert stopped_lines(run.header)[-1] == "rank 2 of 4"


def test_a_margin_settles_as_the_gate_does(world: World) -> None:
    run = world.adaptive("alike", right(0.45, 8), primary="", margins={"exact_match": 0.2})
    assert run.header["adaptive"]["beside"][0]["verdict"] == "not worse"
    assert "any drop is smaller than the margin of 0.2" in "\n".join(stopped_lines(run.header))


def test_at_most_a_share_is_asked_settled_or_not(world: World) -> None:
    run = world.adaptive("alike", right(0.4), at_most=0.25)
    told = run.header["adaptive"]
    assert not told["settled"]
    assert told["beside"][0]["verdict"] is None
    assert N / 4 <= told["asked"] < N / 2
    assert any("not settled" in line for line in stopped_lines(run.header))


def test_items_that_failed_widen_the_interval_and_never_pass_for_scores(world: World) -> None:
    sound = world.adaptive("sound", right(0.9, 1), at_most=0.2, alpha=1e-6)
    order = asking_order([f"q{place}" for place in range(N)], 0)
    world.script.errors = frozenset(f"q{place}" for place in order[:20])
    failing = world.adaptive("failing", None, at_most=0.2, alpha=1e-6)
    world.script.errors = frozenset()
    one, other = sound.header["adaptive"], failing.header["adaptive"]
    assert other["ci_low"] < one["ci_low"]
    assert other["ci_high"] >= one["ci_high"] - 0.02
    # They are asked again.
    assert world.adaptive("failing", None, at_most=0.2, alpha=1e-6).header["counts"]["error"] == 0


def test_each_model_of_a_fleet_stops_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"good": right(0.95, 1), "bad": right(0.05, 2)}
    asking: list[str] = []
    filling = adaptive.filling

    def noted(plan: Any) -> Any:
        fill = filling(plan)

        def answered(plan: Any, *more: Any) -> Any:
            asking.append(plan.name)
            return fill(plan, *more)

        return answered

    def answer(request: Request) -> str:
        return answers[asking[-1]](request)

    world.script.answer = answer
    monkeypatch.setattr(together, "filling", noted)
    every = [
        world.settings(name, adaptive=True, against=[world.folder / "base"], primary="exact_match") for name in answers
    ]
    runs = evaluate_all(every, NotedReporter())
    assert [run.header["adaptive"]["beside"][0]["verdict"] for run in runs] == ["better", "worse"]


@pytest.mark.parametrize(
    ("more", "error", "line"),
    [
        ({"against": ()}, InputError, "name a finished run with --against RUN"),
        ({"against": ["nowhere"]}, InputError, "no run in nowhere"),
        ({"primary": "bleu"}, InputError, "bleu cannot decide when to stop: it is a score of the whole set"),
        ({"primary": "rougeL"}, InputError, "'rougeL' is not in this run: they share exact_match, token_f1, bleu"),
        ({"margins": {"token_f1": 0.1, "exact_match": 0.1}}, InputError, "one metric decides"),
        ({"primary": "", "margins": {"token_f1": -0.1}}, InputError, "the largest drop to accept is above 0"),
        ({"limit": 300}, IncomparableError, "other items"),
        ({"temperature": 0.5}, IncomparableError, "other temperature"),
        ({"adaptive": False}, InputError, "--against belongs to runs that may stop early: add --adaptive"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(
    world: World, more: dict[str, Any], error: type[Exception], line: str
) -> None:
    with pytest.raises(error, match=line):
        world.adaptive("refused", None, **more)
    assert not world.script.asked
    assert not (world.folder / "refused" / HEADER).exists()


def test_a_stopped_run_is_no_baseline(world: World) -> None:
    world.adaptive("better", right(0.9, 1))
    with pytest.raises(InputError, match="is no complete run"):
        world.adaptive("other", None, "better")


def test_three_documents_could_claim_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = World(tmp_path, monkeypatch)
    made.data = write_items(tmp_path / "few.jsonl", 60, source_document="TS 38.331")
    made.run("base", right(0.4))
    with pytest.raises(InputError, match=r"1 source documents tell as much as 1.0 .* drop --adaptive"):
        made.adaptive("other", right(0.9))
