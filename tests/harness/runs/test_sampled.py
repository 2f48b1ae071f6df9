"""Several answers an item: asked with seeds of their own, kept, scored as their mean and as a vote."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from telbench.config import changed
from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.harness.engines.contract import Request, Sampling
from telbench.harness.runs.evaluate import evaluate
from telbench.harness.runs.folder import Run, read_samples
from telbench.harness.runs.plan import make_plan
from telbench.harness.runs.sampled import draw_key, merged
from telbench.harness.runs.settings import EvalSettings, eval_settings
from telbench.metrics.contract import ItemScore, Metric, metric, missing

from ...scripted_engine import NotedReporter, Script, ScriptedEngine, use, write_items

# What each item is answered, draw by draw: two of four right, all alike and right, nothing right.
SAID = {"q0": ["answer to q0", "no", "The answer to q0!", "what"], "q1": ["answer to q1"] * 4, "q2": list("wxyz")}


@pytest.fixture
def sampled(tmp_path: Path) -> EvalSettings:
    data = write_items(tmp_path / "data.jsonl", 3)
    asked: dict[str, Any] = {"metrics": ("exact_match", "token_f1", "bleu"), "samples": 4, "temperature": 0.7}
    return eval_settings(model="m", data=str(data), out=tmp_path / "run", **asked)


def made(settings: EvalSettings, monkeypatch: pytest.MonkeyPatch, **script: Any) -> tuple[Run, Script]:
    """The run, each item answered as `SAID` has it, in the order in which it is asked."""
    count: Counter[str] = Counter()

    def answer(request: Request) -> str:
        count[request.item_id] += 1
        return SAID[request.item_id][count[request.item_id] - 1]

    scripted = Script(**{"answer": answer, **script})
    use(monkeypatch, scripted)
    return evaluate(settings, NotedReporter()), scripted


def test_an_items_value_is_the_mean_and_votes_stand_beside_it(
    sampled: EvalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, script = made(sampled, monkeypatch)
    assert script.asked == Counter({"q0": 4, "q1": 4, "q2": 4})
    lines = list(read_samples(run.path))
    assert [line["scores"]["exact_match"] for line in lines] == [0.5, 1.0, 0.0]
    assert [line["predictions"] for line in lines] == list(SAID.values())
    assert [line["prediction"] for line in lines] == [said[0] for said in SAID.values()]
    assert lines[0]["sample_scores"]["exact_match"] == [1.0, 0.0, 1.0, 0.0]
    for line in lines:
        values = line["sample_scores"]["token_f1"]
        assert line["scores"]["token_f1"] == pytest.approx(sum(values) / 4)
        assert all(len(line["stats"]["bleu"]) == len(lines[0]["stats"]["bleu"]) for line in lines)
    entry = run.header["metrics"]["exact_match"]
    assert entry["value"] == pytest.approx(0.5)
    values = {name: each["value"] for name, each in entry["samples"].items()}
    # q0: of six pairs five hold a right answer; its two right answers win the vote, and are one pair of six.
    expected = {"pass@1": 0.5, "pass@2": (5 / 6 + 1) / 3, "pass@4": 2 / 3, "majority": 2 / 3, "agreement": 7 / 18}
    assert values == pytest.approx(expected)
    assert entry["samples"]["pass@1"]["ci_low"] == entry["ci_low"]
    assert "samples" not in run.header["metrics"]["token_f1"]
    assert run.header["generation"]["samples"] == 4
    assert run.header["tokens"] == {"prompt": 7 * 12, "completion": 3 * 12}


def test_choices_are_voted_for_by_the_options_they_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "choices.jsonl"
    data.write_text(json.dumps({"id": "c", "question": "Which?", "choices": ["UE", "gNB", "AMF"], "answer": 1}))
    said = iter(["gNB", "The gNB.", "UE", "no idea", "It is the gNB"])
    settings = eval_settings(model="m", data=str(data), metrics=("choice_accuracy",), samples=5, temperature=1)
    run, _ = made(changed(settings, out=tmp_path / "run"), monkeypatch, answer=lambda request: next(said))
    entry = run.header["metrics"]["choice_accuracy"]
    assert entry["value"] == pytest.approx(0.6)
    values = {name: each["value"] for name, each in entry["samples"].items()}
    expected = {"pass@1": 0.6, "pass@2": 0.9, "pass@4": 1, "pass@5": 1, "majority": 1, "agreement": 0.3}
    assert values == pytest.approx(expected)
    assert entry["chance"] == pytest.approx(1 / 3)


def test_each_draw_has_its_seed_and_the_first_is_that_of_a_single_answer(
    sampled: EvalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[tuple[int, tuple[str, ...]]] = []
    real = ScriptedEngine.generate

    def noted(engine: ScriptedEngine, requests: list[Request], sampling: Sampling) -> Any:
        seeds.append((sampling.seed, tuple(request.key for request in requests)))
        return real(engine, requests, sampling)

    monkeypatch.setattr(ScriptedEngine, "generate", noted)
    made(sampled, monkeypatch)
    assert [seed for seed, _ in seeds] == [0, 1, 2, 3]
    assert len({key for _, keys in seeds for key in keys}) == 12
    single = make_plan(changed(sampled, samples=1), NotedReporter())
    assert seeds[0][1] == tuple(prompt.request.key for prompt in single.prompts)
    assert single.run_id != make_plan(sampled, NotedReporter()).run_id
    assert "samples" not in single.depends_on


def test_a_run_that_was_stopped_makes_the_rest_only(sampled: EvalSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(count: int) -> None:
        if count == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(sampled, monkeypatch, act=stop)
    run, script = made(sampled, monkeypatch, answer=lambda request: "x")
    assert sum(script.asked.values()) == 10
    assert run.header["counts"]["ok"] == 3


def test_an_item_of_which_an_answer_failed_has_no_value_and_is_asked_again(
    sampled: EvalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = made(sampled, monkeypatch, errors=frozenset({"q1"}))
    assert run.header["counts"]["error"] == 1
    assert run.header["metrics"]["exact_match"]["n"] == 2
    assert run.header["metrics"]["exact_match"]["samples"]["majority"]["n"] == 2
    whole, script = made(sampled, monkeypatch)
    assert script.asked == Counter({"q1": 4})
    assert whole.header["counts"]["error"] == 0


def test_runs_of_several_answers_compare_with_each_other_alone(
    sampled: EvalSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, _ = made(sampled, monkeypatch)
    other, _ = made(changed(sampled, out=tmp_path / "other", model="n"), monkeypatch)
    single, _ = made(changed(sampled, out=tmp_path / "single", samples=1), monkeypatch)
    assert main(["compare", str(one.path), str(other.path)]) == 0
    assert main(["compare", str(one.path), str(single.path)]) == 4
    assert "other number of answers an item (4 and None)" in capsys.readouterr().err


def test_one_answer_leaves_no_trace(sampled: EvalSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run, _ = made(changed(sampled, samples=1, out=tmp_path / "one"), monkeypatch)
    text = (run.path / "samples.jsonl").read_text() + (run.path / "run.json").read_text()
    assert not [word for word in ("predictions", "sample_scores", "finish_reasons", '"samples"') if word in text]


def test_greedy_answers_are_all_the_same(sampled: EvalSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Script())
    with pytest.raises(InputError, match="--samples: all answers are the same at --temperature 0"):
        make_plan(changed(sampled, temperature=0), NotedReporter())


def test_a_score_that_is_missing_once_is_missing() -> None:
    right, wrong = ItemScore(1.0, "a note", (1.0, 2.0), ("j1",)), ItemScore(0.0, None, (0.0, 4.0), ("j2", "j1"))
    assert merged([right, wrong]) == ItemScore(0.5, None, (1.0, 6.0), ("j1", "j2"))
    assert merged([right, missing("why")]) == ItemScore(None, "why", None, ("j1",))
    assert len({"k", draw_key("k", 1), draw_key("k", 2), draw_key("j", 1)}) == 4


def test_a_metric_of_a_plugin_may_say_what_an_answer_comes_to() -> None:
    @metric(name="first", family="ngram", range=(0, 1), says=lambda sample: sample.prediction[:1])
    def first(sample: Any) -> float:
        """Does it begin with an A?"""
        return float(sample.prediction[:1] == "A")

    assert isinstance(first, Metric)
    assert first.signature == "first|v1"


def test_labels_and_numbers_are_voted_for_by_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GSMA's helper for maj@k holds numbers against the letter "C" and so gives 0, even where all answers are right.
    causes = {"form": "label", "labels": ["C1", "C2", "C3"]}
    rows = [
        {"id": "q0", "question": "Why?", "references": ["C3"], "meta": causes},
        {"id": "q1", "question": "And why?", "references": ["C1"], "meta": causes},
        {"id": "q2", "question": "How much?", "references": ["20"], "meta": {"form": "number"}},
    ]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = {
        "q0": [r"\boxed{3}", "The cause is C3", r"\boxed{C1}", "no idea"],
        "q1": [r"\boxed{C1}"] * 4,
        "q2": [r"\boxed{20.0}", "It is 20", "25", r"\boxed{25}"],
    }
    monkeypatch.setattr(f"{__name__}.SAID", said)
    settings = eval_settings(model="m", data=str(data), out=tmp_path / "run", samples=4, temperature=0.7)
    header = made(settings, monkeypatch)[0].header
    votes = header["metrics"]["label_match"]["samples"]
    assert {name: votes[name]["value"] for name in ("pass@1", "pass@2", "pass@4", "majority")} == pytest.approx(
        {"pass@1": (0.5 + 1) / 2, "pass@2": (1 - 1 / 6 + 1) / 2, "pass@4": 1.0, "majority": 1.0}
    )
    assert votes["majority"]["n"] == 2
    # Two say 20 and two 25: equal votes share the win.
    assert header["metrics"]["numeric_match"]["samples"]["majority"]["value"] == pytest.approx(0.5)


def test_repeats_of_a_judge_are_averaged_pass_by_pass_over_the_answers():
    """Three answers: one that no judge was asked about has its score each time."""
    scores = [ItemScore(2.5, repeats=(2.0, 3.0)), ItemScore(1.0, "empty answer"), ItemScore(4.5, repeats=(4.0, 5.0))]
    assert merged(scores).repeats == pytest.approx(((2 + 1 + 4) / 3, (3 + 1 + 5) / 3))
    assert merged([ItemScore(2.0, repeats=(2.0, None)), scores[0]]).repeats == (2.0, None)
    assert merged([ItemScore(2.0), ItemScore(3.0)]).repeats == ()
