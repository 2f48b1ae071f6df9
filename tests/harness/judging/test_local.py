"""A checkpoint as a judge: its identity, what it puts to an engine, and replies of real engines held to a schema."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from telbench.errors import EngineError, InputError
from telbench.harness.engines.contract import Completion, Continuation, EngineInfo, EngineSettings, engine_named
from telbench.harness.engines.guided import GuidedCompletion, GuidedRequest, TokenChances
from telbench.harness.judging import local as module
from telbench.harness.judging.local import LEAST_ROOM, LocalJudge, local_judge
from telbench.judges.chat import ChatReply, ChatRequest
from telbench.judges.contract import JudgeTask, judge_request
from telbench.judges.likelihood import LikelihoodJudge, LikelihoodRequest
from telbench.judges.panel import JudgePanel
from telbench.judges.reading import read_verdict
from telbench.judges.rubric import load_rubric
from telbench.judges.schemas import weighted_score
from telbench.judges.verdicts import Missing, Preference, RubricScore

from ...checkpoints import save_model, save_tokenizer

WINDOW = 4096
# Every keyword that the verdicts' schemas use, short enough for a model that never ends a text by itself.
SCHEMA = {
    "type": "object",
    "properties": {
        "reasons": {
            "type": "array",
            "minItems": 1,
            "maxItems": 2,
            "items": {"type": "string", "minLength": 1, "maxLength": 12},
        },
        "verdict": {"type": "string", "enum": ["TP", "FP", "FN"]},
        "sure": {"type": "boolean"},
        "score": {"type": "integer", "minimum": 1, "maximum": 5},
    },
    "required": ["reasons", "verdict", "sure", "score"],
    "additionalProperties": False,
}


def asked(text: str, key: str = "", **body: Any) -> ChatRequest:
    schema = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": SCHEMA}}
    fields = {"temperature": 0.0, "max_tokens": 200, "seed": 0, "response_format": schema, **body}
    return ChatRequest(key or text, ({"role": "user", "content": text},), fields)


@pytest.fixture(scope="module")
def wide_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint with a window of 4,096 tokens."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("judges") / "tiny-judge"
    save_tokenizer(folder, window=WINDOW)
    save_model(folder, window=WINDOW)
    return folder


class ScriptedEngine:
    """Answers everything with ``{}``, token 9 and an end token; dies after ``die_after`` replies."""

    opened: ClassVar[list[ScriptedEngine]] = []

    def __init__(self, settings: EngineSettings, die_after: int | None = None) -> None:
        self.info = EngineInfo("scripted", "1")
        self.settings, self.die_after = settings, die_after
        self.batches: list[Sequence[GuidedRequest]] = []
        self.scored: list[Continuation] = []
        self.closed = self.withdrawn = False
        ScriptedEngine.opened.append(self)

    def generate_guided(self, requests: Sequence[GuidedRequest]) -> Iterator[GuidedCompletion]:
        self.batches.append(requests)
        try:
            for count, each in enumerate(requests):
                if count == self.die_after:
                    raise EngineError("the engine stopped: out of luck")
                completion = Completion(each.request.key, "{}", "stop", (9, 2), len(each.request.token_ids), 2)
                likely = ((9, -0.5), (10, -1.0), (11, float("-inf")))
                yield GuidedCompletion(completion, (TokenChances(9, -0.5, likely), TokenChances(2, 0.0, ())))
        finally:
            self.withdrawn = True

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        self.scored += continuations
        yield from ((each.key, -1.5) for each in continuations)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ScriptedEngine]]:
    """Every judge made meanwhile runs on a scripted engine; the list tells which were opened."""
    monkeypatch.setattr(ScriptedEngine, "opened", [])
    spec, note = engine_named("transformers")
    monkeypatch.setattr(module, "engine_named", lambda name: (replace(spec, open=ScriptedEngine), note))
    yield ScriptedEngine.opened
    for judge in list(module._loaded):
        judge.close()


def engine_dying_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, note = engine_named("transformers")
    dying = replace(spec, open=lambda settings: ScriptedEngine(settings, count))
    monkeypatch.setattr(module, "engine_named", lambda name: (dying, note))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (shutil.rmtree, "no checkpoint at"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda folder: (folder / "chat_template.jinja").write_text("{% for %}"), "mend"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "nobody"}'), "nobody"),
    ],
)
def test_a_folder_that_cannot_judge_is_one_line_before_anything_is_loaded(
    tiny_checkpoint: Path, tmp_path: Path, damage: Any, expected: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_checkpoint, folder)
    damage(folder)
    with pytest.raises(InputError, match=expected) as caught:
        local_judge(str(folder), "transformers")
    assert str(caught.value).startswith(f"--judge local:{folder}: ")
    assert "\n" not in str(caught.value)


def test_engines_that_cannot_judge_and_windows_without_room_are_refused(tiny_checkpoint: Path) -> None:
    with pytest.raises(InputError, match="runs on vllm or transformers, not on 'replay'"):
        local_judge(str(tiny_checkpoint), "replay")
    with pytest.raises(InputError, match="a window of 100 tokens has no room"):
        local_judge(str(tiny_checkpoint), "transformers", window=100)


def test_who_judges_is_told_by_content_and_not_by_place(tiny_checkpoint: Path, tmp_path: Path) -> None:
    judges: dict[str, LocalJudge] = {"here": local_judge(str(tiny_checkpoint), "transformers")}
    for name in ("there", "retrained", "retold"):
        folder = tmp_path / name / tiny_checkpoint.name
        shutil.copytree(tiny_checkpoint, folder)
        if name == "retrained":
            weights = folder / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:-1] + b"\x3d")
        if name == "retold":
            template = folder / "chat_template.jinja"
            template.write_text(template.read_text() + " ")
        judges[name] = local_judge(str(folder), "transformers")
    judges["narrow"] = local_judge(str(tiny_checkpoint), "transformers", window=256)
    identities = {name: judge.identity for name, judge in judges.items()}
    assert identities["here"].name == identities["there"].name
    assert identities["here"].name.startswith(f"{tiny_checkpoint.name}@")
    assert identities["here"].fingerprint == identities["there"].fingerprint
    assert len({identity.name for identity in identities.values()}) == 3
    assert len({identity.fingerprint for identity in identities.values()}) == 4
    assert identities["here"].facts["structured_output"].startswith("xgrammar ")
    json.dumps(dict(identities["here"].facts), allow_nan=False)


def test_weights_are_loaded_when_first_asked_and_one_judge_at_a_time(
    tiny_checkpoint: Path, scripted: list[ScriptedEngine]
) -> None:
    first, second = local_judge(str(tiny_checkpoint)), local_judge(str(tiny_checkpoint))
    assert list(first.ask([])) == []
    assert scripted == []
    list(first.ask([asked("a")]))
    list(first.ask([asked("b")]))
    assert len(scripted) == 1
    list(second.ask([asked("a")]))
    assert [engine.closed for engine in scripted] == [True, False]
    list(first.ask([asked("c")]))
    assert [engine.closed for engine in scripted] == [True, True, False]
    first.close()
    second.close()
    assert all(engine.closed for engine in scripted)


def test_a_panel_asks_one_local_judge_after_the_other(wide_checkpoint: Path, scripted: list[ScriptedEngine]) -> None:
    panel = JudgePanel([local_judge(str(wide_checkpoint)), local_judge(str(wide_checkpoint), window=4000)])
    task = JudgeTask(load_rubric("preference"), {"question": "q", "reference": "r", "first": "a", "second": "b"})
    panel.ask(lambda: [task])
    assert [engine.closed for engine in scripted] == [True, False]
    panel.close()
    assert [engine.closed for engine in scripted] == [True, True]


def test_requests_are_read_a_window_at_a_time(
    tiny_checkpoint: Path, scripted: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_AHEAD", 3)
    read: list[int] = []

    def requests() -> Iterator[ChatRequest]:
        for index in range(7):
            read.append(index)
            yield asked(f"question {index}")

    replies = local_judge(str(tiny_checkpoint)).ask(requests())
    assert next(replies).key == "question 0"
    assert read == [0, 1, 2]
    assert [reply.key for reply in replies] == [f"question {index}" for index in range(1, 7)]
    assert [len(batch) for batch in scripted[0].batches] == [3, 3, 1]


def test_a_reply_takes_what_the_window_leaves_and_a_prompt_that_leaves_too_little_fails_alone(
    tiny_checkpoint: Path, scripted: list[ScriptedEngine]
) -> None:
    judge = local_judge(str(tiny_checkpoint), window=200)
    frame = len("".join(("<s>", "<|user|>", "</s>", "<|assistant|>")).replace("<", "\n<").split())
    fits, full = "#" * (200 - LEAST_ROOM - frame), "#" * (201 - LEAST_ROOM - frame)
    requests = [asked(fits), asked(full), asked(full, "short", max_tokens=LEAST_ROOM - 1), asked("a")]
    found = {reply.key: reply for reply in judge.ask(requests)}
    error = f"prompt of {201 - LEAST_ROOM} tokens does not fit the judge's window of 200"
    assert found[full].error == error
    assert {key for key, reply in found.items() if reply.error} == {full}
    limits = {each.request.key: each.sampling.max_tokens for each in scripted[0].batches[0]}
    assert limits[fits] == LEAST_ROOM
    assert limits["short"] == LEAST_ROOM - 1
    assert limits["a"] == min(200, 200 - 1 - frame)


def test_an_engine_is_asked_for_the_schema_as_it_stands_and_for_chances_only_where_wanted(
    tiny_checkpoint: Path, scripted: list[ScriptedEngine]
) -> None:
    judge = local_judge(str(tiny_checkpoint))
    requests = [asked("a"), asked("b", logprobs=True, top_logprobs=20), asked("c", response_format=None, seed=3)]
    replies = list(judge.ask([*requests, asked("d", response_format={"type": "json_object"})]))
    assert [reply.key for reply in replies if reply.error] == ["d"]
    first, second, third = scripted[0].batches[0]
    assert first.schema == json.dumps(SCHEMA)
    assert (first.alternatives, second.alternatives) == (0, 20)
    assert (third.schema, third.sampling.seed) == (None, 3)


def test_chances_are_told_as_chat_completions_tell_them(tiny_checkpoint: Path, scripted: list[ScriptedEngine]) -> None:
    reply = next(local_judge(str(tiny_checkpoint)).ask([asked("a", logprobs=True, top_logprobs=20)]))
    assert reply.logprobs is not None
    # The end token is no part of the text, and what the schema forbids has no probability.
    (token,) = reply.logprobs["content"]
    assert [entry["logprob"] for entry in token["top_logprobs"]] == [-0.5, -1.0]
    assert token["token"] == token["top_logprobs"][0]["token"]
    json.dumps(reply.logprobs, allow_nan=False)


def test_an_engine_that_dies_keeps_what_was_finished_and_is_loaded_anew(
    tiny_checkpoint: Path, scripted: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_dying_after(1, monkeypatch)
    judge = local_judge(str(tiny_checkpoint))
    found: list[ChatReply] = []
    with pytest.raises(EngineError, match=r"out of luck; .* run the same command again to go on") as caught:
        found.extend(judge.ask([asked("a"), asked("b")]))
    assert "\n" not in str(caught.value)
    assert next(judge.ask([asked("b")])).key == "b"
    assert [engine.closed for engine in scripted] == [True, False]


def test_a_reader_that_stops_leaves_nothing_in_the_engines_queue(
    tiny_checkpoint: Path, scripted: list[ScriptedEngine]
) -> None:
    replies = local_judge(str(tiny_checkpoint)).ask([asked("a"), asked("b")])
    next(replies)
    assert not scripted[0].withdrawn
    replies.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert scripted[0].withdrawn


def test_likelihoods_leave_out_what_cannot_be_scored(tiny_checkpoint: Path, scripted: list[ScriptedEngine]) -> None:
    judge = local_judge(str(tiny_checkpoint), window=200)
    assert isinstance(judge, LikelihoodJudge)
    question = ({"role": "user", "content": "Q?"},)
    texts = {"said": "##", "empty": "", "long": "#" * 300}
    found = list(judge.log_likelihoods([LikelihoodRequest(key, question, text) for key, text in texts.items()]))
    assert found == [("said", -1.5, 2)]
    assert len(scripted[0].scored[0].token_ids) - scripted[0].scored[0].start == 2


@pytest.fixture(scope="module", params=["transformers", "vllm"])
def judge(request: pytest.FixtureRequest, wide_checkpoint: Path) -> Iterator[LocalJudge]:
    """A real judge on each engine; each is loaded once."""
    pytest.importorskip(request.param)
    with closing(local_judge(str(wide_checkpoint), request.param)) as found:
        yield found


@pytest.mark.slow
def test_every_reply_of_random_weights_holds_to_the_schema(judge: LocalJudge) -> None:
    import jsonschema

    requests = [asked(f"Judge answer {index}.") for index in range(12)]
    cut = asked("Judge this.", max_tokens=5)
    found = {reply.key: reply for reply in judge.ask([*requests, cut])}
    for request in requests:
        reply = found[request.key]
        assert (reply.error, reply.finish_reason) == (None, "stop")
        jsonschema.validate(json.loads(reply.text), SCHEMA)
        # Compact: no white space between tokens, which a model could go on writing.
        assert reply.text == json.dumps(json.loads(reply.text), separators=(",", ":"))
    assert (found[cut.key].finish_reason, found[cut.key].completion_tokens) == ("length", 5)
    assert len({found[request.key].text for request in requests}) > 6
    again = {reply.key: reply.text for reply in judge.ask(requests)}
    assert again == {request.key: found[request.key].text for request in requests}


@pytest.mark.slow
def test_verdicts_of_telbenchs_own_rubrics_are_read_from_random_weights(judge: LocalJudge) -> None:
    material = {"question": "Which node?", "reference": "The AMF.", "answer": "The SMF.", "context": "The AMF does."}
    sides = {"question": "Which node?", "reference": "The AMF.", "first": "The SMF.", "second": "The AMF."}
    for name, fields, kind in (("rubric_score", material, RubricScore), ("preference", sides, Preference)):
        rubric = load_rubric(name)
        (reply,) = judge.ask([judge_request(JudgeTask(rubric, fields), judge.identity)])
        verdict = read_verdict(rubric.kind, reply).verdict
        assert isinstance(verdict, kind), verdict
        if isinstance(verdict, RubricScore):
            assert verdict.weighted is not None
            assert verdict.mass == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_the_weighted_score_is_that_of_a_plain_forward_pass(judge: LocalJudge, wide_checkpoint: Path) -> None:
    """At the score's token only five digits are allowed: their softmax gives the weights."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    text = "Judge the answer."
    (reply,) = judge.ask([asked(text, logprobs=True, top_logprobs=20)])
    assert reply.logprobs is not None
    tokens = [entry["token"] for entry in reply.logprobs["content"]]
    assert "".join(tokens) == reply.text
    tokenizer = AutoTokenizer.from_pretrained(wide_checkpoint)
    model = AutoModelForCausalLM.from_pretrained(wide_checkpoint, dtype=torch.float32).eval()
    # As a template writes it: <s><|user|>...</s><|assistant|>
    told = f"<s><|user|>{text}</s><|assistant|>{reply.text[: reply.text.rindex(':') + 1]}"
    # The reply's own tokens may split its text otherwise than the tokenizer would.
    ids = tokenizer(told[: told.index("{")], add_special_tokens=False)["input_ids"]
    ids += [tokenizer.convert_tokens_to_ids(token) for token in pieces(tokenizer, tokens[: len(tokens) - 2])]
    digits = [tokenizer.convert_tokens_to_ids(str(score)) for score in range(1, 6)]
    with torch.inference_mode():
        chances = model(torch.tensor([ids])).logits[0, -1, digits].double().softmax(dim=-1).tolist()
    expected = sum(score * chance for score, chance in enumerate(chances, start=1))
    weighted, mass = weighted_score(reply.logprobs)
    assert tokens[-2] in set("12345")
    assert weighted == pytest.approx(expected, abs=1e-4)
    assert mass == pytest.approx(1, abs=1e-5)


def pieces(tokenizer: Any, texts: Sequence[str]) -> list[str]:
    """The vocabulary's own spelling of tokens whose texts are printable ASCII."""
    by_text = {tokenizer.decode([index]): token for token, index in tokenizer.get_vocab().items()}
    return [by_text[text] for text in texts]


@pytest.mark.slow
def test_likelihoods_are_those_of_a_plain_forward_pass(judge: LocalJudge, wide_checkpoint: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(wide_checkpoint)
    model = AutoModelForCausalLM.from_pretrained(wide_checkpoint, dtype=torch.float32).eval()
    prompt = tokenizer("<s><|user|>Which?</s><|assistant|>", add_special_tokens=False)["input_ids"]
    answer = tokenizer("The gNB sends it.", add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        rows = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].double().log_softmax(dim=-1)
    expected = sum(float(row[token]) for row, token in zip(rows, answer, strict=True))
    asked_for = LikelihoodRequest("k", ({"role": "user", "content": "Which?"},), "The gNB sends it.")
    ((key, total, count),) = judge.log_likelihoods([asked_for])
    assert (key, count) == ("k", len(answer))
    assert total == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow
def test_a_schema_that_no_grammar_can_hold_fails_its_own_request(judge: LocalJudge) -> None:
    schema = {"type": "string", "pattern": "(?<=a)b"}
    odd = asked("odd", response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    found = {reply.key: reply for reply in judge.ask([odd, asked("sound")])}
    assert found["odd"].error
    assert "\n" not in found["odd"].error
    assert found["sound"].finish_reason == "stop"
    assert isinstance(read_verdict("rubric_score", found["odd"]).verdict, Missing)
