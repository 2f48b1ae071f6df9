"""Reading a judge's text into a typed verdict, or a reason why there is none."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.judges.chat import ChatReply
from telbench.judges.reading import REPAIRS, Reading, read_text, read_verdict
from telbench.judges.schemas import (
    LONGEST_TEXT,
    MOST_CLAIMS,
    MOST_PASSAGES,
    MOST_REASONS,
    SCHEMAS,
    Kind,
    outline,
    schema_of,
    weighted_score,
)
from telbench.judges.verdicts import (
    Claim,
    ClaimVerdicts,
    Faithfulness,
    GeneratedQuestions,
    JudgedPassage,
    JudgedPassages,
    Missing,
    Preference,
    RubricScore,
    SupportedClaim,
    Verdict,
    factual_f1,
)

GOOD = '{"reasons": ["names the AMF"], "score": 4}'
KINDS = st.sampled_from(sorted(SCHEMAS))


def parse_verdict(kind: Kind, text: str, count: int | None = None) -> Verdict | Missing:
    return read_text(kind, text, count).verdict


def _claims(*verdicts: str) -> str:
    return json.dumps({"claims": [{"claim": "c", "reason": "r", "verdict": verdict} for verdict in verdicts]})


def _tokens(*tokens: str, top: dict[str, float] | None = None, at: int = -2) -> dict[str, object]:
    content: list[dict[str, object]] = [{"token": token, "logprob": -0.1, "top_logprobs": []} for token in tokens]
    if top is not None:
        content[at]["logprob"] = top[tokens[at]]
        content[at]["top_logprobs"] = [{"token": token, "logprob": value} for token, value in top.items()]
    return {"content": content}


def test_a_score_with_reasons_is_read():
    assert parse_verdict("rubric_score", GOOD) == RubricScore(4, ("names the AMF",))


@pytest.mark.parametrize(
    ("text", "repairs"),
    [
        ("\n\n{}\n", ()),
        ("\ufeff{}", ("byte order mark",)),
        ("<think>\nIs it {{a, b}}? No: {}.\n</think>\n\n{}", ("thinking",)),
        ("The answer names the AMF.\n</think>\n{}", ("thinking",)),
        ("[THINK]Hm.[/THINK]{}", ("thinking",)),
        ("```json\n{}\n```", ("fence",)),
        ("```\n{}\n```", ("fence",)),
        ("Here is the verdict:\n```json\n{}\n```\nI hope it helps.", ("fence", "words around")),
        ("Sure! {}", ("words around",)),
        ("Of {{a, b}} I take {}.", ("words around",)),
        ("<think>Hm.</think>Sure!\n```json\n{}\n```", ("thinking", "fence", "words around")),
    ],
)
def test_what_stands_around_the_object_is_passed_over_and_told(text, repairs):
    found = read_text("rubric_score", text.replace("{{", "{").replace("}}", "}").replace("{}", GOOD))
    assert found == Reading(RubricScore(4, ("names the AMF",)), repairs)


@pytest.mark.parametrize(
    ("kind", "text", "verdict", "repair"),
    [
        ("rubric_score", '{"reasons": ["r"], "score": "4"}', RubricScore(4, ("r",)), "number"),
        ("rubric_score", '{"reasons": ["r"], "score": 4.0}', RubricScore(4, ("r",)), "number"),
        ("rubric_score", '{"reasons": ["r"], "score": 4, "sure": true}', RubricScore(4, ("r",)), "extra key"),
        ("rubric_score", '{"reasons": [], "score": 4}', RubricScore(4, ()), "no reason"),
        ("rubric_score", '{"score": 4}', RubricScore(4, ()), "no reason"),
        ("rubric_score", '{"reasons": [""], "score": 4}', RubricScore(4, ("",)), "no reason"),
        ("rubric_score", '{"reasons": "r", "score": 4}', RubricScore(4, ("r",)), "no list"),
        ("rubric_score", json.dumps({"reasons": ["r"] * 9, "score": 4}), RubricScore(4, ("r",) * 5), "long text"),
        (
            "rubric_score",
            json.dumps({"reasons": ["r" * 999], "score": 4}),
            RubricScore(4, ("r" * LONGEST_TEXT,)),
            "long text",
        ),
        (
            "claims",
            '{"claims": [{"claim": "c", "reason": "r", "verdict": "tp"}]}',
            ClaimVerdicts((Claim("c", "r", "TP"),)),
            "wording",
        ),
        (
            "claims",
            '{"claims": [{"claim": "c", "reason": "", "verdict": "FN"}]}',
            ClaimVerdicts((Claim("c", "", "FN"),)),
            "no reason",
        ),
        (
            "faithfulness",
            '{"claims": [{"claim": "c", "reason": "r", "supported": "True"}]}',
            Faithfulness((SupportedClaim("c", "r", True),)),
            "wording",
        ),
        (
            "passages",
            '{"passages": [{"reason": "r", "useful": false, "rank": 1}]}',
            JudgedPassages((JudgedPassage("r", False),)),
            "extra key",
        ),
        ("preference", '{"reasons": ["r"], "winner": "Tie"}', Preference(("r",), "tie"), "wording"),
        (
            "questions",
            '{"questions": ["a?", "b?", "c?"], "evasive": "false"}',
            GeneratedQuestions(("a?", "b?", "c?"), False),
            "wording",
        ),
    ],
)
def test_a_slip_of_form_loses_no_verdict_and_is_told(kind, text, verdict, repair):
    assert read_text(kind, text) == Reading(verdict, (repair,))
    assert repair in REPAIRS


@pytest.mark.parametrize(("end", "reason"), [("\n \n\n", None), ("\n```", None), (" And", "truncated")])
def test_a_reply_that_was_cut_after_its_verdict_has_one(end, reason):
    reading = read_verdict("rubric_score", ChatReply("k", GOOD + end, "length"))
    if reason is None:
        assert reading.verdict == RubricScore(4, ("names the AMF",))
        assert reading.repairs[-1] == "cut after the end"
    else:
        assert isinstance(reading.verdict, Missing)
        assert reading.verdict.reason == reason


def test_a_verdict_that_a_server_took_for_a_trace_is_read_and_a_thought_is_none():
    taken = read_verdict("rubric_score", ChatReply("k", "", "stop", reasoning=f"\n{GOOD}\n"))
    assert taken == Reading(RubricScore(4, ("names the AMF",)), ("in the trace",))
    thought = read_verdict("rubric_score", ChatReply("k", "", "stop", reasoning=f"Perhaps {GOOD}"))
    assert thought == Reading(Missing("empty", "the judge gave no text"))


def test_a_trace_that_came_apart_is_no_repair():
    reply = ChatReply("k", GOOD, "stop", reasoning="Is it 4 or {5}?")
    assert read_verdict("rubric_score", reply) == Reading(RubricScore(4, ("names the AMF",)))


def test_claims_are_read_and_counted():
    verdict = parse_verdict("claims", _claims("TP", "TP", "FP", "FN"))
    assert isinstance(verdict, ClaimVerdicts)
    assert verdict.claims[2] == Claim("c", "r", "FP")
    assert verdict.f1 == pytest.approx(2 / 3)


def test_precision_and_recall_are_shares_of_what_was_said_and_of_what_was_wanted():
    verdict = parse_verdict("claims", _claims(*["TP"] * 3, "FP", *["FN"] * 2))
    assert isinstance(verdict, ClaimVerdicts)
    assert (verdict.precision, verdict.recall) == (3 / 4, 3 / 5)
    assert verdict.f1 == pytest.approx(2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5))


def test_supported_claims_are_read():
    text = (
        '{"claims": [{"claim": "a", "reason": "r", "supported": true}, {"claim":"b","reason":"r","supported":false}]}'
    )
    verdict = parse_verdict("faithfulness", text)
    assert isinstance(verdict, Faithfulness)
    assert verdict.claims[0] == SupportedClaim("a", "r", True)
    assert verdict.share == 0.5


def test_f1_is_not_the_jaccard_index():
    assert factual_f1(2, 1, 1) == pytest.approx(2 / (2 + 0.5 * (1 + 1)))
    assert factual_f1(2, 1, 1) != 2 / 4


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_f1_is_the_harmonic_mean_of_precision_and_recall(tp, fp, fn):
    found = factual_f1(tp, fp, fn)
    if not tp + fp + fn:
        assert found is None
    elif not tp:
        assert found == 0.0
    else:
        precision, recall = tp / (tp + fp), tp / (tp + fn)
        assert found == pytest.approx(2 * precision * recall / (precision + recall))


def test_without_any_claim_every_value_is_undefined_not_zero():
    claims, supported = (parse_verdict(kind, '{"claims": []}') for kind in ("claims", "faithfulness"))
    assert isinstance(claims, ClaimVerdicts)
    assert (claims.f1, claims.precision, claims.recall) == (None, None, None)
    assert isinstance(supported, Faithfulness)
    assert supported.share is None


def test_precision_and_recall_are_undefined_apart():
    refusal = parse_verdict("claims", _claims("FN", "FN"))
    assert isinstance(refusal, ClaimVerdicts)
    assert (refusal.f1, refusal.precision, refusal.recall) == (0.0, None, 0.0)


@pytest.mark.parametrize(
    "score",
    ["7", "0", "-1", "true", "null", "[5]", "{}", "4.5", '"4/5"', '"four"', '"4.5"', '"7"', '""', '"4 of 5"', "1e1"],
)
def test_a_score_that_could_mean_something_else_is_missing(score):
    assert parse_verdict("rubric_score", f'{{"reasons": ["r"], "score": {score}}}') == Missing(
        "schema", "score is not an integer from 1 to 5"
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"reasons": ["r"], "score": NaN}',
        '{"reasons": ["r"], "score": Infinity}',
        '{"reasons": ["r"], "score": 1, "score": 5}',
        '{"reasons": ["r"], "score": 5',
        f"Here it is: {GOOD} or {GOOD.replace('4', '5')}",
        f"Here it is: {GOOD[:-1]}",
        f'Here it is: {{"reasons": ["r"], "score": 1, "score": 5}} {GOOD}',
        f"{GOOD} {GOOD}",
        f"<think>I take {GOOD}",
        "<think>It is right.</think> A four.",
        f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```",
        "5",
        "[" * 100_000,
        "9" * 5_000,
        "\ud800",
    ],
)
def test_what_is_not_one_json_object_is_missing(text):
    verdict = parse_verdict("rubric_score", text)
    assert isinstance(verdict, Missing)
    assert verdict.reason == ("schema" if text == "5" else "malformed")
    verdict.detail.encode()


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"claims": {}}',
        '{"claims": ["TP"]}',
        '{"claims": [{"claim": "c", "reason": "r", "verdict": "TP or FP"}]}',
        '{"claims": [{"claim": "c", "reason": 3, "verdict": "TP"}]}',
        '{"claims": [{"claim": "c", "reason": "r", "verdict": ["TP"]}]}',
        '{"claims": [{"claim": "", "reason": "r", "verdict": "TP"}]}',
        '{"claims": [{"claim": "c", "reason": "TP"}]}',
        _claims(*["TP"] * (MOST_CLAIMS + 1)),
    ],
)
def test_json_that_breaks_the_schema_is_missing_and_jsonschema_agrees(text):
    jsonschema = pytest.importorskip("jsonschema")
    verdict = parse_verdict("claims", text)
    assert isinstance(verdict, Missing)
    assert verdict.reason == "schema"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(text), SCHEMAS["claims"])


@pytest.mark.parametrize(("kind", "last"), [("claims", {"verdict": "TP"}), ("faithfulness", {"supported": True})])
def test_a_list_that_is_too_long_is_told_with_its_limits(kind, last):
    text = json.dumps({"claims": [{"claim": "c", "reason": "r", **last}] * (MOST_CLAIMS + 1)})
    found = parse_verdict(kind, text)
    assert found == Missing("schema", f"claims has {MOST_CLAIMS + 1} entries, not 0 to {MOST_CLAIMS}")


LONG, TOO_LONG = "x" * LONGEST_TEXT, "x" * (LONGEST_TEXT + 1)
LEAVES = st.sampled_from(["TP", "FP", "x", "", LONG, TOO_LONG, "first", "tie", True, False, None, 0, 1, 5, 6, [], {}])
KEYS = st.sampled_from(["claim", "reason", "verdict", "supported", "useful"])
ENTRIES = st.dictionaries(KEYS, LEAVES, max_size=4) | LEAVES
GOOD_ENTRIES = st.fixed_dictionaries(
    {"claim": st.just("c"), "reason": st.just("r")},
    optional={"verdict": LEAVES, "supported": LEAVES},
)
GOOD_PASSAGES = st.fixed_dictionaries({"reason": st.just("r"), "useful": st.booleans()})
DOCUMENTS = st.one_of(
    st.fixed_dictionaries({"claims": st.lists(GOOD_ENTRIES | ENTRIES, max_size=2)}),
    st.fixed_dictionaries({"reasons": st.lists(LEAVES, max_size=2) | LEAVES, "score": LEAVES}),
    st.fixed_dictionaries({"reasons": st.lists(st.just("r"), max_size=MOST_REASONS + 1), "winner": LEAVES}),
    st.fixed_dictionaries({"questions": st.lists(st.just("q?") | LEAVES, max_size=4), "evasive": LEAVES}),
    st.fixed_dictionaries({"passages": st.lists(GOOD_PASSAGES | ENTRIES, max_size=3) | LEAVES}),
    st.fixed_dictionaries({"passages": st.lists(GOOD_PASSAGES, max_size=MOST_PASSAGES + 1)}),
)


@given(KINDS, DOCUMENTS, st.sampled_from([None, 1, 2]))
@settings(max_examples=600, deadline=None)
def test_what_holds_to_the_schema_is_read_as_it_is_and_all_else_is_mended_or_missing(kind, document, count):
    jsonschema = pytest.importorskip("jsonschema")
    valid = jsonschema.Draft202012Validator(schema_of(kind, count)).is_valid(document)
    reading = read_text(kind, json.dumps(document), count)
    assert (not isinstance(reading.verdict, Missing) and not reading.repairs) == valid


@pytest.mark.parametrize(
    ("kind", "text", "verdict"),
    [
        ("preference", '{"reasons": ["r"], "winner": "second"}', Preference(("r",), "second")),
        (
            "questions",
            '{"questions": ["a?", "b?", "c?"], "evasive": true}',
            GeneratedQuestions(("a?", "b?", "c?"), True),
        ),
        ("passages", '{"passages": [{"reason": "r", "useful": true}]}', JudgedPassages((JudgedPassage("r", True),))),
    ],
)
def test_verdicts_of_every_further_kind_are_read(kind, text, verdict):
    assert parse_verdict(kind, text) == verdict


def test_a_verdict_on_another_number_of_passages_is_missing():
    text = json.dumps({"passages": [{"reason": "r", "useful": True}] * 2})
    assert isinstance(parse_verdict("passages", text, 2), JudgedPassages)
    for number in (1, 3):
        verdict = parse_verdict("passages", text, number)
        assert verdict == Missing("schema", f"passages has 2 entries for {number} passages")


@pytest.mark.parametrize("kind", sorted(SCHEMAS))
def test_every_text_and_list_comes_to_an_end_and_every_field_is_in_the_outline(kind):
    def walk(schema):
        yield schema
        for part in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
            yield from walk(part)

    for part in walk(SCHEMAS[kind]):
        assert part["type"] != "string" or "enum" in part or part["maxLength"] == LONGEST_TEXT
        assert part["type"] != "array" or part["maxItems"] <= MOST_CLAIMS
        assert all(f'"{name}": ' in outline(SCHEMAS[kind]) for name in part.get("properties", {}))


@pytest.mark.parametrize(
    ("useful", "value"),
    [("1", 1), ("0", 0), ("01", 1 / 2), ("10", 1), ("101", (1 + 2 / 3) / 2), ("0110", (1 / 2 + 2 / 3) / 2)],
)
def test_average_precision_is_that_of_worked_examples(useful, value):
    passages = JudgedPassages(tuple(JudgedPassage("r", mark == "1") for mark in useful))
    assert passages.average_precision == pytest.approx(value)


@given(KINDS, st.text(st.characters()) | st.text('{}[]":,`\n\\u0d8score12345truenlNa e', max_size=60))
@settings(max_examples=300, deadline=None)
def test_parsing_never_raises_whatever_the_text(kind, text):
    verdict = parse_verdict(kind, text)
    if isinstance(verdict, Missing):
        verdict.detail.encode()


def test_control_characters_in_a_string_are_no_reason_to_lose_a_verdict():
    # Seen from a grammar that enforces the schema: strings of raw control characters.
    verdict = parse_verdict("rubric_score", '{"reasons": ["a\x01b\nc"], "score": 1}')
    assert verdict == RubricScore(1, ("a\x01b\nc",))


def test_escaped_lone_surrogates_become_text_that_can_be_written():
    verdict = parse_verdict("rubric_score", '{"reasons": ["a\\ud800b"], "score": 1}')
    assert verdict == RubricScore(1, ("a\ufffdb",))


@pytest.mark.parametrize("text", ["I'm sorry, but I can't help with that.", "I cannot judge this.", "As an AI model,"])
def test_a_refusal_is_told_from_malformed_text(text):
    assert parse_verdict("claims", text) == Missing("refusal", text)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (ChatReply("k", error="no answer within 30 s (after 2 attempts)", timed_out=True), "timeout"),
        (ChatReply("k", error="no answer within the rules of this server"), "error"),
        (ChatReply("k", error="status 500"), "error"),
        (ChatReply("k", error="status 400: content_filter"), "content_filter"),
        (ChatReply("k", GOOD, finish_reason="content_filter"), "content_filter"),
        (ChatReply("k", GOOD[:20], finish_reason="length"), "truncated"),
        (ChatReply("k", "  \n"), "empty"),
        (ChatReply("k", "", "stop", refusal="I will not judge people."), "refusal"),
        (ChatReply("k", "", "tool_calls"), "tool_calls"),
        (ChatReply("k", f"I'm sorry, but the answer says {GOOD}"), "refusal"),
    ],
)
def test_a_reply_without_a_verdict_says_why(reply, reason):
    verdict = read_verdict("rubric_score", reply).verdict
    assert isinstance(verdict, Missing)
    assert verdict.reason == reason
    assert verdict != 0


def test_the_weighted_score_is_the_mean_by_probability():
    top = {"5": math.log(0.6), " 4": math.log(0.2), "4": math.log(0.1), "x": math.log(0.1)}
    logprobs = _tokens('{"reasons": ["ok"], ', '"score":', " ", "5", "}", top=top)
    weighted, mass = weighted_score(logprobs)
    assert mass == pytest.approx(0.9)
    assert weighted == pytest.approx((5 * 0.6 + 4 * 0.3) / 0.9)
    text = '{"reasons": ["ok"], "score": 5}'
    reading = read_verdict("rubric_score", ChatReply("k", text, logprobs=logprobs))
    assert reading == Reading(RubricScore(5, ("ok",), weighted, mass))


def test_a_verdict_that_is_no_score_is_not_weighted_and_one_that_is_none_stays_missing():
    logprobs = _tokens('{"score": ', "5", "}", top={"5": -0.1})
    reply = ChatReply("k", '{"reasons": ["r"], "winner": "tie"}', logprobs=logprobs)
    assert read_verdict("preference", reply).verdict == Preference(("r",), "tie")
    assert isinstance(read_verdict("rubric_score", ChatReply("k", "{", logprobs=logprobs)).verdict, Missing)
    assert read_verdict("rubric_score", ChatReply("k", GOOD)).verdict == RubricScore(4, ("names the AMF",))


def test_a_detail_is_one_line_of_two_hundred_characters_that_says_what_is_wrong():
    verdict = parse_verdict("claims", '{"claims": 1, "claims": 2}')
    assert verdict == Missing("malformed", "not one JSON object: a key occurs twice")
    refusal = parse_verdict("claims", "I cannot judge\n\n this: " + "x" * 300)
    assert refusal == Missing("refusal", ("I cannot judge this: " + "x" * 300)[:200])


def test_a_score_quoted_in_a_reason_is_not_taken_for_the_score():
    top = {"2": math.log(1.0)}
    logprobs = _tokens('{"reasons": ["he wrote \\"score\\": ', "5", '"], "score": ', "2", "}", top=top)
    assert weighted_score(logprobs) == (2.0, 1.0)


@pytest.mark.parametrize(
    "logprobs",
    [
        {},
        {"content": None},
        {"content": [{"token": 5}]},
        {"content": []},
        _tokens('{"score":', " 5}"),
        _tokens('{"score": ', "5", "}", top={"5": math.nan}),
        _tokens('{"score": ', "5", "}", top={"5": 3.0}),
        _tokens('{"score": ', "5", "}", top={"5": -math.inf}),
        _tokens('{"score": ', "5", "}", top={"5": -(10**400)}),
        {"content": [{"token": '{"score": ', "logprob": 0}, {"token": "5", "logprob": "x", "top_logprobs": []}]},
    ],
)
def test_log_probabilities_that_do_not_tell_give_no_weighted_score(logprobs):
    assert weighted_score(logprobs) == (None, None)
