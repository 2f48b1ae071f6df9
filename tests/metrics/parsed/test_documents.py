"""YAML answers: what is read, within which bounds, and how much of a reference's structure it holds."""

from __future__ import annotations

import time

import pytest

from telbench.metrics.contract import Sample, metrics_named
from telbench.metrics.parsed.documents import NO_TREE_IN_REFERENCE, yaml_f1, yaml_match, yaml_parsed, yaml_paths_f1
from telbench.metrics.parsed.trees import NoTreeError, leaves, parsed, plain_value, shared, tree_in

AMF = """amf:
  sbi:
    server:
      - address: 127.0.0.5
        port: 7777
  guami:
    - plmn_id: {mcc: "001", mnc: "01"}
  security:
    integrity_order: [NIA2, NIA1, NIA0]
"""


def values(prediction: str, reference: str = AMF) -> list[float | None]:
    """yaml_match, yaml_f1, yaml_paths_f1, yaml_parsed."""
    sample = Sample("a", prediction, (reference,))
    return [metric.score([sample])[0].value for metric in (yaml_match, yaml_f1, yaml_paths_f1, yaml_parsed)]


@pytest.mark.parametrize(
    "answer",
    [
        AMF,
        f"Here it is:\n```yaml\n{AMF}```\nRun `systemctl restart amf`.",
        f"~~~\n{AMF}",
        f"---\n{AMF}...\n",
        '{"amf": {"security": {"integrity_order": ["NIA2", "NIA1", "NIA0"]}, '
        '"guami": [{"plmn_id": {"mcc": "001", "mnc": "01"}}],'
        ' "sbi": {"server": [{"port": 7777.0, "address": "127.0.0.5"}]}}}',
    ],
)
def test_the_same_structure_in_any_writing_is_a_match(answer: str) -> None:
    assert values(answer) == [1, 1, 1, 1]


def test_values_by_hand() -> None:
    assert leaves(parsed(AMF)) == 7
    # A wrong port: six of seven leaves on both sides.
    assert values(AMF.replace("7777", "7778")) == [0, 6 / 7, 1, 1]
    # The order of algorithms means something: two of three keep theirs.
    assert values(AMF.replace("[NIA2, NIA1, NIA0]", "[NIA1, NIA2, NIA0]"))[1] == pytest.approx(6 / 7)
    # One left out: 2 * 6 / (6 + 7).
    assert values(AMF.replace(", NIA0", ""))[1] == pytest.approx(12 / 13)
    # Another key on top holds nothing of it.
    assert values(AMF.replace("amf:", "smf:")) == [0, 0, 0, 1]


def test_an_inserted_list_item_does_not_shift_the_others() -> None:
    assert shared(parsed("[a, b, c]"), parsed("[new, a, b, c]")) == 3
    assert shared(parsed("[new, a, other, b, c]"), parsed("[a, b, c]")) == 3
    assert shared(parsed("[a, x, y, b]"), parsed("[a, b]")) == 2
    assert shared(parsed("[{a: 1, b: 2}, {a: 3, b: 4}]"), parsed("[{a: 9, b: 9}, {a: 1, b: 2}, {a: 3, b: 5}]")) == 3


def test_an_empty_mapping_or_list_is_one_leaf() -> None:
    assert [shared(parsed("a: {}"), parsed(other)) for other in ("a: {}", "a: []", "a: {b: 1}", "a: ''")] == [
        1,
        0,
        0,
        0,
    ]
    assert values("a: {}\nb: []", "a: {}\nb: []") == [1, 1, 1, 1]


def test_codes_with_leading_zeros_and_words_stay_what_they_are() -> None:
    # YAML 1.1 would read 010 as 8, NO as false and 12:30 as 750.
    assert values("mnc: 010", "mnc: 8")[0] == 0
    assert values("mnc: 1", 'mnc: "01"')[0] == 0
    assert values("country: NO", "country: Norway")[0] == 0
    assert values("at: 12:30", "at: 750")[0] == 0
    assert values("on_air: True", "on_air: true")[0] == 1
    assert values("n: ~", "n:")[0] == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("", "no YAML mapping or list"),
        ("I would configure the AMF", "no YAML mapping or list"), ("a: [1, 2", "not YAML"),
        ("a: 1\n b: 2", "not YAML"), ("? [x, y]\n: 1", "a key that is no text"),
        ("a: " + "[" * 60 + "]" * 60, "deeper or wider"),
        ("[" + "1," * 6000 + "]", "deeper or wider"), ("a: " + "x" * 50_001, "longer than 50,000"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_has_0_and_its_reason(answer: str, told: str) -> None:
    (score,) = yaml_f1.score([Sample("a", answer, (AMF,))])
    assert score.value == 0.0
    assert score.reason is not None
    assert told in score.reason


def test_aliases_of_aliases_are_not_unfolded_without_end() -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20))
    started = time.process_time()
    with pytest.raises(NoTreeError, match="deeper or wider"):
        parsed(bomb)
    with pytest.raises(NoTreeError, match="deeper or wider"):
        parsed("a: &a [*a]")
    assert time.process_time() - started < 10


def test_no_object_is_made_of_a_tag(tmp_path) -> None:
    touched = tmp_path / "touched"
    tree = parsed(f"a: !!python/object/apply:pathlib.Path.touch ['{touched}']")
    assert (tree, touched.exists()) == ({"a": (str(touched),)}, False)


def test_a_reference_that_is_no_document_has_no_score() -> None:
    (score,) = yaml_f1.score([Sample("a", "a: 1", ("just words",))])
    assert (score.value, score.reason) == (None, NO_TREE_IN_REFERENCE)


def test_the_block_that_is_called_yaml_counts_before_others() -> None:
    assert tree_in("```bash\nkubectl apply -f amf.yaml --very-long-option\n```\n```yaml\na: 1\n```") == {"a": "1"}


def test_wide_documents_do_not_take_long() -> None:
    wide = "\n".join(f"- {{a: {number}, b: x}}" for number in range(1200))
    started = time.process_time()
    for metric in metrics_named(["yaml_f1", "yaml_match"]):
        assert metric.score([Sample("a", wide, (wide,))])[0].value == 1.0
    assert time.process_time() - started < 30


def test_fifty_levels_are_read_and_no_more() -> None:
    assert leaves(parsed("[" * 50 + "x" + "]" * 50)) == 1
    with pytest.raises(NoTreeError, match="deeper or wider"):
        parsed("[" * 51 + "x" + "]" * 51)
    assert leaves(parsed("{a: " * 50 + "x" + "}" * 50)) == 1
    assert leaves(parsed("[" + "x," * 4998 + "]")) == 4998


def test_documents_with_the_same_values_say_the_same() -> None:
    says = yaml_match.says
    assert says is not None
    assert says(Sample("a", "{b: '1', a: [true]}")) == says(Sample("a", "a: [True]\nb: 1.0"))
    assert says(Sample("a", "a: [1, 2]")) != says(Sample("a", "a: [2, 1]"))
    assert says(Sample("a", "words")) is None
    assert yaml_f1.says is None


def test_what_scalars_say() -> None:
    same = [("no", "false"), ("off", "No"), ("yes", "on"), ("+0.5", ".5"), ("-1.50", "-1.5"), ("~", "null")]
    other = [
        ("no", "yes"),
        ("-x", "x"),
        ("+", "-"),
        ("00", "0"),
        ("-01", "-1"),
        ("1_000", "1000"),
        (".", "0"),
        ("x", "X"),
    ]
    assert [one for one in same if plain_value(one[0]) != plain_value(one[1])] == []
    assert [one for one in other if plain_value(one[0]) == plain_value(one[1])] == []


def test_a_text_of_just_the_greatest_length_is_read() -> None:
    assert leaves(parsed("a: " + "x" * 49_997)) == 1
