"""Reading a judge's text into a typed verdict, or a reason why there is none."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.judges.chat import ChatReply
from telbench.judges.schemas import (
    LONGEST_TEXT,
    MOST_CLAIMS,
    MOST_PASSAGES,
    MOST_REASONS,
    SCHEMAS,
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
    factual_f1,
    parse_verdict,
    read_verdict,
)

GOOD = '{"reasons": ["names the AMF"], "score": 4}'
KINDS = st.sampled_from(sorted(SCHEMAS))


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


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```", "\n\n{}\n"])
def test_one_code_fence_or_white_space_around_the_object_is_taken(fence):
    assert parse_verdict("rubric_score", fence.replace("{}", GOOD)) == RubricScore(4, ("names the AMF",))


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


@pytest.mark.parametrize("score", ['"5"', "5.0", "7", "0", "-1", "true", "null", "[5]", "{}", "1e0"])
def test_a_score_is_never_coerced(score):
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
        f"Here it is: {GOOD}",
        f"{GOOD} {GOOD}",
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
        '{"claims": [], "score": 5}',
        '{"claims": [{"claim": "c", "reason": "r", "verdict": "tp"}]}',
        '{"claims": [{"claim": "c", "reason": "r", "verdict": ["TP"]}]}',
        '{"claims": [{"claim": "", "reason": "r", "verdict": "TP"}]}',
        '{"claims": [{"claim": "c", "verdict": "TP"}]}',
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
def test_the_parser_takes_exactly_what_the_schema_takes(kind, document, count):
    jsonschema = pytest.importorskip("jsonschema")
    valid = jsonschema.Draft202012Validator(schema_of(kind, count)).is_valid(document)
    assert isinstance(parse_verdict(kind, json.dumps(document), count), Missing) == (not valid)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("rubric_score", '{"reasons": [], "score": 4}'), ("preference", '{"reasons": [], "winner": "tie"}')],
)
def test_a_verdict_without_a_reason_is_none(kind, text):
    assert parse_verdict(kind, text) == Missing("schema", f"reasons has 0 entries, not 1 to {MOST_REASONS}")


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
    ],
)
def test_a_reply_without_a_verdict_says_why(reply, reason):
    verdict = read_verdict("rubric_score", reply)
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
    assert read_verdict("rubric_score", ChatReply("k", text, logprobs=logprobs)) == RubricScore(
        5, ("ok",), weighted, mass
    )


def test_a_verdict_that_is_no_score_is_not_weighted_and_one_that_is_none_stays_missing():
    logprobs = _tokens('{"score": ', "5", "}", top={"5": -0.1})
    reply = ChatReply("k", '{"reasons": ["r"], "winner": "tie"}', logprobs=logprobs)
    assert read_verdict("preference", reply) == Preference(("r",), "tie")
    assert isinstance(read_verdict("rubric_score", ChatReply("k", "{", logprobs=logprobs)), Missing)
    assert read_verdict("rubric_score", ChatReply("k", GOOD)) == RubricScore(4, ("names the AMF",))


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
