"""From answers to numbers: every item once, missing is counted, nothing that is no number is written."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from telbench.config import changed
from telbench.errors import TelbenchError
from telbench.harness.datasets.items import Item
from telbench.harness.engines.contract import Completion, Continuation, Request
from telbench.harness.identity import text_sha256
from telbench.harness.prompts.build import Prompt
from telbench.harness.runs import evaluate as evaluate_module
from telbench.harness.runs import plan as plan_module
from telbench.harness.runs import score as scoring
from telbench.harness.runs.evaluate import evaluate
from telbench.harness.runs.folder import kept_scores, read_samples
from telbench.harness.runs.score import Answered, answers, score_answered
from telbench.harness.runs.settings import EvalSettings, SamplingOptions, eval_settings
from telbench.harness.storage import RecordStore
from telbench.metrics.contract import NO_REFERENCE_SCORES, ItemScore, Metric, Sample, metric, metrics_named, missing
from telbench.reasoning import Reasoning

from ...scripted_engine import NotedReporter, Script, use, write_items


@pytest.fixture
def wanted(tmp_path: Path) -> EvalSettings:
    data = write_items(tmp_path / "data.jsonl", 8)
    return eval_settings(model="m", data=str(data), metrics=("token_f1", "bleu"), out=tmp_path / "run")


def answered(item_id: str, text: str | None) -> Answered:
    record = {"error": "scripted failure", "finish_reason": "error", "text": ""} if text is None else {"text": text}
    return read(Item(item_id, "q?", ("r",)), Prompt(Request(item_id, item_id, ())), {item_id: record})


def read(item: Item, prompt: Prompt, journal: dict[str, Any], references: Any = None) -> Answered:
    """The item as a journal with these records has it; its options are the continuations o0 and o1."""
    plan: Any = SimpleNamespace(
        dataset=SimpleNamespace(items=[item]),
        prompts=[prompt],
        continuations={item.id: tuple(Continuation(f"o{place}", (1, 2), 1) for place in range(len(item.choices)))},
        letters={},
        references={} if references is None else {item.id: references},
        reasoning=Reasoning(),
        samples=1,
    )
    store: Any = journal
    (given,) = answers(plan, store)
    return given


def metric_of(function: Any, level: Any = "item") -> Metric:
    return Metric(
        name="mine",
        family="ngram",
        range=(0, 1),
        higher_is_better=True,
        needs=frozenset(),
        level=level,
        description="For a test.",
        score_batch=function,
        aggregate=(lambda sums: sums[:, 0] / sums[:, 1]) if level == "corpus" else None,
    )


def with_metrics(monkeypatch: pytest.MonkeyPatch, *metrics: Metric) -> None:
    monkeypatch.setattr(plan_module, "metrics_named", lambda names, resources=None: list(metrics))


def test_a_failed_generation_is_missing_and_the_metric_never_sees_it():
    seen: list[str] = []

    def score(samples: Sequence[Sample]) -> list[ItemScore]:
        seen.extend(sample.item_id for sample in samples)
        return [ItemScore(1.0) for _ in samples]

    scores = score_answered(metric_of(score), [answered("a", "x"), answered("b", None), answered("c", "")])
    assert [score.value for score in scores] == [1.0, None, 1.0]
    assert scores[1].reason == "generation failed"
    assert seen == ["a", "c"]


def test_a_metric_sees_the_item_the_answer_and_what_the_prompt_showed():
    item = Item("a", "q?", ("r", "s"), context="c", choices=("x", "y"), answer=(1,), source_document="d", category="k")
    prompt = Prompt(Request("a", "a", ()), shown_choices=(1, 0))
    likelihoods = {"o0": -1.0, "o1": -2.0, "r0": -3.0, "r1": -5.0}
    journal: dict[str, Any] = {key: {"log_likelihood": value} for key, value in likelihoods.items()}
    journal["a"] = {"text": " y \n"}
    # A first token has no likelihood, whether or not the text starts with it.
    references = (Continuation("r0", (1, 2, 3, 4, 5), 0), Continuation("r1", (1, 2, 3, 4, 5, 6, 7), 1))
    wanted = Sample(
        item_id="a",
        prediction="y",
        references=("r", "s"),
        question="q?",
        context="c",
        choices=("x", "y"),
        answer=(1,),
        shown_choices=(1, 0),
        option_scores=(-1.0, -2.0),
        reference_scores=((-3.0, 4), (-5.0, 6)),
        answerable=True,
        cluster_id="d",
        category="k",
    )
    assert read(item, prompt, journal, references).sample == wanted
    untold = read(item, prompt, journal, "no window").sample
    assert untold == replace(wanted, reference_scores=None, no_reference_scores="no window")
    unanswerable = read(replace(item, meta={"unanswerable": True}), prompt, journal).sample
    assert (unanswerable.answerable, unanswerable.answer, unanswerable.references) == (False, (), ())


@pytest.mark.parametrize(
    ("record", "problem", "error"),
    [
        ({"text": "a"}, None, None),
        ({"text": ""}, None, None),
        ({"text": "", "error": "out of memory"}, None, "out of memory"),
        ({}, None, "no answer in the journal"),
        ({"text": "a"}, "the prompt does not fit", "the prompt does not fit"),
    ],
)
def test_why_there_is_no_answer(record: dict[str, Any], problem: str | None, error: str | None):
    given = read(Item("a", "q?", ("r",)), Prompt(Request("a", "a", ()), problem=problem), {"a": record})
    assert given.error == error


def test_counts_tokens_and_lines_are_those_of_the_answers(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    from ...scripted_engine import ScriptedEngine

    made = {
        "q1": Completion("", "", "error", (), 5, 0, "out of memory"),
        "q2": Completion("", " ", "stop", (), 11, 1),
        "q3": Completion("", "It answers to", "length", (), 13, 17),
    }

    def generate(engine: ScriptedEngine, requests: Sequence[Request], sampling: Any) -> Any:
        for request in requests:
            usual = Completion("", f"answer to {request.item_id}", "stop", (), 7, 3)
            yield replace(made.get(request.item_id, usual), key=request.key)

    monkeypatch.setattr(ScriptedEngine, "generate", generate)
    use(monkeypatch, Script())
    run = evaluate(wanted, NotedReporter())
    assert run.header["counts"] == {
        "ok": 7,
        "error": 1,
        "truncated": 0,
        "empty": 1,
        "cut_off": 1,
        "thought": 0,
        "unclosed": 0,
    }
    assert run.header["tokens"] == {"prompt": 5 * 7 + 5 + 11 + 13, "completion": 5 * 3 + 0 + 1 + 17}
    lines = list(read_samples(run.path))
    assert [line["finish_reason"] for line in lines] == ["stop", "error", "stop", "length", *["stop"] * 4]
    assert [line["status"] for line in lines] == ["ok", "error", *["ok"] * 6]
    assert [line.get("error") for line in lines] == [None, "out of memory", *[None] * 6]
    assert [line["cluster_id"] for line in lines] == [f"TS 38.{k // 2}" for k in range(8)]
    first, failed = lines[0], lines[1]
    assert first["scores"].keys() == {"token_f1", "bleu"}
    assert first["scores"]["token_f1"] == 1.0
    assert first["stats"].keys() == {"bleu"}
    assert failed["scores"] == {"token_f1": None, "bleu": None}
    assert failed["missing"] == dict.fromkeys(["token_f1", "bleu"], "generation failed")
    absent = ("missing", "notes", "error", "answerable", "choices", "option_scores", "reference_scores", "judgements")
    assert not any(name in first for name in absent)


def test_questions_of_choices_are_written_with_what_was_shown_and_how_likely_each_choice_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rows = [
        {"id": "q0", "question": "Which?", "choices": ["AMF", "SMF", "UPF"], "answer": 1},
        {"id": "q1", "question": "Which one?", "choices": ["NRF", "PCF"], "answer": 0, "category": "core"},
    ]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = eval_settings(
        model="m", data=str(tmp_path / "data.jsonl"), metrics=("choice_accuracy",), out=tmp_path / "run"
    )
    use(monkeypatch, Script(answer=lambda request: "A"))
    run = evaluate(settings, NotedReporter())
    for row, line in zip(rows, read_samples(run.path), strict=True):
        assert (line["choices"], line["answer"]) == (row["choices"], [row["answer"]])
        assert sorted(line["shown_choices"]) == list(range(len(row["choices"])))
        assert line["scores"]["choice_accuracy"] == float(line["shown_choices"][0] == row["answer"])
        # This engine scored none.
        assert line["option_scores"] is None
        assert (line["category"], line["cluster_id"]) == (row.get("category"), row["id"])


def test_likelihoods_of_choices_are_known_where_every_choice_of_an_item_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rows = [{"id": f"q{k}", "question": f"Which {k}?", "choices": ["AMF", "SMF"], "answer": 1} for k in range(4)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    use(monkeypatch, Script())
    plan = plan_module.make_plan(
        eval_settings(model="m", data=str(tmp_path / "data.jsonl"), metrics=("choice_likelihood",)), NotedReporter()
    )
    options = {f"q{k}": tuple(Continuation(f"q{k}-{n}", (1, 2), 1) for n in range(2)) for k in range(3)}
    plan = replace(plan, continuations=options)
    with RecordStore(tmp_path / "journal") as store:
        for prompt in plan.prompts:
            store.put(prompt.request.key, {"text": "A", "finish_reason": "stop"})
        for key, value in {"q0-0": -4.0, "q0-1": -2.0, "q1-0": -1.0, "q2-0": None, "q2-1": -3.0}.items():
            store.put(key, {"log_likelihood": value})
        samples = [given.sample for given in answers(plan, store)]
        scoring.score_journal(plan, store, tmp_path, NotedReporter())
    # The second item lacks a choice's likelihood, the third has one that was no finite number, the last was not asked.
    assert [given.option_scores for given in samples][:2] == [(-4.0, -2.0), None]
    assert samples[2].option_scores is not None
    assert math.isnan(samples[2].option_scores[0])
    assert samples[3].option_scores is None
    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl.tmp").read_text().splitlines()]
    assert [line["option_scores"] for line in lines] == [[-4.0, -2.0], None, [None, -3.0], None]
    assert [line["scores"]["choice_likelihood"] for line in lines] == [1.0, None, None, None]
    assert lines[2]["missing"] == {"choice_likelihood": "a likelihood is not a number"}


def test_a_question_without_an_answer_is_marked_has_no_references_and_is_scored_by_refusal(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    use(monkeypatch, Script())
    plan = plan_module.make_plan(
        changed(wanted, metrics=("token_f1", "refusal_accuracy", "over_refusal")), NotedReporter()
    )
    first, *others = plan.dataset.items
    items = (replace(first, meta={"unanswerable": True}), *others)
    plan = replace(plan, dataset=replace(plan.dataset, items=items))
    with RecordStore(tmp_path / "journal") as store:
        for prompt in plan.prompts:
            store.put(prompt.request.key, {"text": "I do not know.", "finish_reason": "stop"})
        scored = scoring.score_journal(plan, store, tmp_path, NotedReporter())
    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl.tmp").read_text().splitlines()]
    assert [line.get("answerable") for line in lines] == [False, *[None] * 7]
    assert lines[0]["references"] == []
    assert lines[0]["missing"]["token_f1"] == "no reference"
    # To refuse is right where there is no answer, and wrong where there is one.
    assert [line["scores"]["refusal_accuracy"] for line in lines] == [1.0, *[None] * 7]
    assert [line["scores"]["over_refusal"] for line in lines] == [None, *[1.0] * 7]
    assert scored.metrics["token_f1"]["missing"] == {"no reference": 1}
    # These records do not tell their tokens.
    assert scored.tokens == {"prompt": 0, "completion": 0}


def test_why_a_reference_has_no_likelihood_is_what_the_plan_says(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    use(monkeypatch, Script())
    plan = replace(plan_module.make_plan(wanted, NotedReporter()), references={"q1": "the window is too short"})
    with RecordStore(tmp_path / "journal") as store:
        samples = [given.sample for given in answers(plan, store)]
    assert [given.no_reference_scores for given in samples[:2]] == [NO_REFERENCE_SCORES, "the window is too short"]
    assert [given.reference_scores for given in samples] == [None] * 8


def test_a_chunk_of_failures_does_not_call_the_metric():
    def score(samples: Sequence[Sample]) -> list[ItemScore]:
        raise AssertionError

    assert score_answered(metric_of(score), [answered("a", None)])[0].value is None


@pytest.mark.parametrize("value", [np.float32(0.5), np.int64(1), True, 1])
def test_a_plugins_number_becomes_a_plain_float(value: Any):
    (score,) = score_answered(metric_of(lambda samples: [ItemScore(value, None, (value,))]), [answered("a", "x")])
    assert type(score.value) is float
    assert [type(each) for each in score.stats or ()] == [float]


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (ItemScore(math.nan), "not a finite number"),
        (ItemScore(math.inf), "not a finite number"),
        (ItemScore(1.0, None, (math.nan,)), "not a finite number"),
        (ItemScore(None), "not applicable"),
        (missing("no judge"), "no judge"),
    ],
)
def test_what_is_no_number_is_missing_with_a_reason(score: ItemScore, reason: str):
    (given,) = score_answered(metric_of(lambda samples: [score]), [answered("a", "x")])
    assert (given.value, given.reason) == (None, reason)


def test_a_corpus_metric_without_statistics_is_missing():
    (score,) = score_answered(metric_of(lambda samples: [ItemScore(1.0)], "corpus"), [answered("a", "x")])
    assert (score.value, score.reason) == (None, "no corpus statistics")


@pytest.mark.parametrize(
    "function",
    [lambda samples: [], lambda samples: [1.0], lambda samples: [ItemScore("much")]],  # pyright: ignore[reportArgumentType]
)
def test_a_metric_that_breaks_the_contract_is_named(function: Any):
    with pytest.raises(TelbenchError, match="metric 'mine' failed on the items a to a"):
        score_answered(metric_of(function), [answered("a", "x")])


def test_statistics_of_two_lengths_are_an_error_that_names_the_metric(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch
):
    def score(samples: Sequence[Sample]) -> list[ItemScore]:
        return [ItemScore(1.0, None, (1.0,) * (1 + (sample.item_id == "q3"))) for sample in samples]

    use(monkeypatch, Script())
    with_metrics(monkeypatch, metric_of(score, "corpus"))
    with pytest.raises(TelbenchError, match="metric 'mine' gives statistics of 1 and 2 numbers"):
        evaluate(wanted, NotedReporter())


@pytest.mark.parametrize("chunk", [1, 3, 8, 1000])
def test_the_size_of_the_chunks_changes_nothing(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, chunk: int, tmp_path: Path
):
    script = Script(answer=lambda request: f"answer to {request.item_id} of {len(request.item_id)}")
    use(monkeypatch, script)
    whole = evaluate(wanted, NotedReporter())
    monkeypatch.setattr(scoring, "CHUNK", chunk)
    parts = evaluate(replace(wanted, out=tmp_path / "other"), NotedReporter())
    assert parts.header["metrics"] == whole.header["metrics"]
    assert (parts.path / "samples.jsonl").read_bytes() == (whole.path / "samples.jsonl").read_bytes()


def test_the_header_agrees_with_the_samples_and_with_sacrebleu(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    from sacrebleu import corpus_bleu

    use(monkeypatch, Script(errors=frozenset({"q5"}), answer=lambda request: f"It answers to {request.item_id}."))
    run = evaluate(wanted, NotedReporter())
    samples = [sample for sample in read_samples(run.path) if sample["status"] == "ok"]
    values = [sample["scores"]["token_f1"] for sample in samples]
    assert run.header["metrics"]["token_f1"]["value"] == pytest.approx(sum(values) / 7)
    references = [[sample["references"][k] for sample in samples] for k in range(2)]
    wanted_bleu = corpus_bleu([sample["prediction"] for sample in samples], references).score
    assert run.header["metrics"]["bleu"]["value"] == pytest.approx(wanted_bleu)
    for entry in run.header["metrics"].values():
        assert (entry["n"], entry["n_missing"], entry["missing"]) == (7, 1, {"generation failed": 1})


def test_remarks_on_scored_items_are_not_counted_as_missing(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    def score(samples: Sequence[Sample]) -> list[ItemScore]:
        return [ItemScore(0.0, "names no choice") if sample.item_id == "q1" else ItemScore(1.0) for sample in samples]

    use(monkeypatch, Script())
    with_metrics(monkeypatch, metric_of(score))
    run = evaluate(wanted, NotedReporter())
    entry = run.header["metrics"]["mine"]
    assert (entry["n"], entry["n_missing"], entry["missing"]) == (8, 0, {})
    assert entry["notes"] == {"names no choice": 1}
    remarked = [sample for sample in read_samples(run.path) if "notes" in sample]
    assert [(sample["item_id"], sample["notes"]) for sample in remarked] == [("q1", {"mine": "names no choice"})]
    assert not any("missing" in sample for sample in read_samples(run.path))


def test_a_metric_without_a_single_score_has_no_value_and_no_interval(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch
):
    @metric(name="never", family="ngram", range=(0, 1))
    def never(sample: Sample) -> None:
        """Applies to nothing."""

    use(monkeypatch, Script())
    with_metrics(monkeypatch, never)
    entry = evaluate(wanted, NotedReporter()).header["metrics"]["never"]
    assert [entry[name] for name in ("value", "ci_low", "ci_high", "ci_method", "n")] == [None, None, None, None, 0]
    assert entry["missing"] == {"not applicable": 8}


def test_empty_answers_are_scored_and_counted(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, Script(answer=lambda request: " \n" if request.item_id == "q2" else "an answer"))
    header = evaluate(wanted, NotedReporter()).header
    assert header["counts"]["empty"] == 1
    assert header["metrics"]["token_f1"]["n"] == 8


def test_items_with_the_same_prompt_are_asked_once_and_all_scored(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    write_items(tmp_path / "data.jsonl", 8, question="What is it?", context=None)
    script = Script(answer=lambda request: "one answer")
    use(monkeypatch, script)
    run = evaluate(wanted, NotedReporter())
    assert sum(script.asked.values()) == 1
    assert [sample["prediction"] for sample in read_samples(run.path)] == ["one answer"] * 8
    assert run.header["generation"]["generated"] == 1


def test_equal_prompts_are_asked_each_for_itself_where_answers_are_drawn_at_random(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    write_items(tmp_path / "data.jsonl", 8, question="What is it?", context=None)
    script = Script(answer=lambda request: f"drawn for {request.item_id}")
    use(monkeypatch, script)
    run = evaluate(replace(wanted, sampling=SamplingOptions(temperature=0.01)), NotedReporter())
    assert script.asked == dict.fromkeys([f"q{k}" for k in range(8)], 1)
    samples = list(read_samples(run.path))
    assert [sample["prediction"] for sample in samples] == [f"drawn for {sample['item_id']}" for sample in samples]
    assert run.header["generation"]["generated"] == 8


def test_hostile_text_is_written_as_json_lines(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    text = "a\u2028b\x1b[31m\ud800\r\n\x00c"
    use(monkeypatch, Script(answer=lambda request: text))
    run = evaluate(wanted, NotedReporter())
    raw = (run.path / "samples.jsonl").read_bytes()
    assert raw.isascii()
    assert raw.count(b"\n") == 8
    assert all(json.loads(line)["prediction"] == text for line in raw.splitlines())


def test_scoring_reads_the_plan_and_the_journal_only(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    """The engine is gone when metrics run: its memory is theirs."""
    from ...scripted_engine import ScriptedEngine

    order: list[str] = []
    monkeypatch.setattr(ScriptedEngine, "close", lambda engine: order.append("closed"))
    real = evaluate_module.score_journal

    def score(*given: Any) -> Any:
        order.append("scored")
        return real(*given)

    monkeypatch.setattr(evaluate_module, "score_journal", score)
    use(monkeypatch, Script())
    evaluate(wanted, NotedReporter())
    assert order == ["closed", "scored"]


SIMILAR = replace(metrics_named(["token_f1"])[0], name="similar", needs=frozenset({"references", "encoder"}))


def finished(folder: Path, metrics: dict[str, str], samples: list[dict[str, Any]]) -> Path:
    """A finished run as `kept_scores` reads it: signatures by metric, and its samples."""
    folder.mkdir()
    header = {
        "schema_version": 1,
        "run_id": "r",
        "metrics": {name: {"signature": sig} for name, sig in metrics.items()},
    }
    (folder / "run.json").write_text(json.dumps(header))
    (folder / "samples.jsonl").write_text("".join(json.dumps(each) + "\n" for each in samples))
    return folder


def line(item: str, prediction: str, value: float | None, status: str = "ok", **more: Any) -> dict[str, Any]:
    scores = {"similar": value, "token_f1": value}
    return {"item_id": item, "prediction": prediction, "status": status, "scores": scores, **more}


def test_scores_that_cost_an_encoder_are_kept_for_the_same_answer_alone(tmp_path: Path):
    samples = [
        line("a", "right", 0.75, notes={"similar": "cut"}),
        line("b", "", None),
        line("c", "died", 0.5, "error"),
        line("d", "late", 0.25),
    ]
    other = "token_f1"
    run = finished(
        tmp_path / "run", {"similar": SIMILAR.signature, other: metrics_named([other])[0].signature}, samples
    )
    # Not kept: a missing value, an item that failed, a metric that is quick to compute.
    kept = kept_scores(run, [SIMILAR, *metrics_named([other])])
    assert kept == {
        "similar": {
            ("a", text_sha256("right")): ItemScore(0.75, "cut"),
            ("d", text_sha256("late")): ItemScore(0.25),
        }
    }
    # Computed anew: another answer, and an item that is unknown.
    asked = [answered("a", "right"), answered("a", "wrong"), answered("d", None), answered("e", "late")]
    scores = score_answered(metric_of(lambda samples: [ItemScore(1.0)] * len(samples)), asked, kept["similar"])
    assert [score.value for score in scores] == [0.75, 1.0, None, 1.0]


def test_other_metrics_of_a_finished_run_leave_what_cost_an_encoder_as_it_was(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch
):
    seen: list[str] = []

    def score(samples: Sequence[Sample]) -> list[ItemScore]:
        seen.extend(sample.item_id for sample in samples)
        return [ItemScore(0.5) for _ in samples]

    slow = replace(metric_of(score), needs=frozenset({"encoder"}))
    use(monkeypatch, Script())
    for metrics in ((slow,), (slow, *metrics_named(["token_f1"]))):
        with_metrics(monkeypatch, *metrics)
        made = evaluate(wanted, NotedReporter())
        assert made.header["metrics"].keys() == {metric.name for metric in metrics}
        assert made.header["metrics"]["mine"]["value"] == 0.5
    assert sorted(seen) == [f"q{k}" for k in range(8)]


@pytest.mark.parametrize("unlike", ["signature", "level", "judged", "absent"])
def test_scores_of_another_kind_of_metric_are_not_kept(unlike: str, tmp_path: Path):
    asked = {"level": replace(SIMILAR, level="corpus"), "judged": replace(SIMILAR, judge_tasks=lambda _: ())}
    metric_now = asked.get(unlike, SIMILAR)
    signature = {"signature": "another"}.get(unlike, metric_now.signature)
    run = finished(tmp_path / "run", {} if unlike == "absent" else {"similar": signature}, [line("a", "right", 0.75)])
    assert kept_scores(run, [metric_now]) == {}


@pytest.mark.parametrize(
    "damage",
    [{"scores": {}}, {"scores": None}, {"scores": {"similar": 0.5}, "notes": []}],
    ids=["gone", "null", "list"],
)
def test_a_run_that_was_tampered_with_keeps_nothing(damage: dict[str, Any], tmp_path: Path):
    samples = [line("a", "right", 0.75), {**line("b", "right", 0.5), **damage}]
    run = finished(tmp_path / "run", {"similar": SIMILAR.signature}, samples)
    assert kept_scores(run, [SIMILAR]) == {}
    (run / "samples.jsonl").write_text("no JSON\n")
    assert kept_scores(run, [SIMILAR]) == {}


def test_nothing_is_kept_where_no_run_is_finished(tmp_path: Path):
    assert kept_scores(tmp_path / "nowhere", [SIMILAR]) == {}
