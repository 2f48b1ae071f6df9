"""Comparing finished runs: pairing, intervals, refusal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sacrebleu

from telbench.errors import IncomparableError, InputError
from telbench.harness.cli.main import main
from telbench.harness.runs.folder import read_run
from telbench.leaderboard.compare.pairwise import compare_runs
from telbench.leaderboard.runs import loaded
from telbench.leaderboard.runs.loaded import LoadedRun, load_run, require_alike, shared_metrics
from telbench.metrics.contract import Sample
from telbench.metrics.ngram.chrf import chrf

from ...made_runs import made_run

REFERENCES = [
    "The AMF handles registration and mobility of the UE.",
    "The SMF manages PDU sessions and selects the UPF.",
    "The UPF forwards user plane packets.",
    "NRF keeps the profiles of network functions.",
    "PFCP runs on the N4 interface.",
    "The gNB-DU hosts RLC, MAC and PHY.",
]
GOOD = [*REFERENCES[:4], "PFCP runs on N4.", "The DU hosts RLC."]
POOR = ["AMF.", "The SMF manages things.", "packets", "", "PFCP runs on N4.", "The gNB-DU hosts RLC, MAC and PHY."]


def write_data(folder: Path, references: list[str] = REFERENCES) -> Path:
    """Six open questions from three documents."""
    file = folder / "items.jsonl"
    with file.open("w") as stream:
        for index, reference in enumerate(references):
            record = {"id": f"i{index}", "question": f"Question {index}?", "references": [reference]}
            stream.write(json.dumps({**record, "source_document": f"doc{index // 2}"}) + "\n")
    return file


def score(folder: Path, name: str, answers: list[str | None], data: Path, metrics: str = "token_f1,bleu,ter") -> Path:
    """A finished run of given answers."""
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps({"id": f"i{i}", "prediction": text}) + "\n" for i, text in enumerate(answers)))
    out = folder / name
    assert (
        main(
            [
                "score",
                str(file),
                "--data",
                str(data),
                "--metrics",
                metrics,
                "--out",
                str(out),
                "--name",
                name,
                "--missing-cap",
                "1",
            ]
        )
        == 0
    )
    return out


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    data = write_data(folder)
    return score(folder, "poor", list(POOR), data), score(folder, "good", list(GOOD), data)


def test_difference_is_the_difference_of_the_two_values_and_positive_is_better(runs: tuple[Path, Path]) -> None:
    poor, good = map(load_run, runs)
    metrics = shared_metrics([poor, good])
    assert [metric.name for metric in metrics] == ["token_f1", "bleu", "ter"]
    for metric, each in zip(metrics, compare_runs([poor, good], metrics), strict=True):
        values = [run.header["metrics"][each.metric]["value"] for run in (good, poor)]
        assert each.values == pytest.approx(values)
        sign = 1 if metric.higher_is_better else -1
        assert each.delta == pytest.approx(sign * (values[0] - values[1]), abs=1e-9)
        assert each.delta > 0


def test_bleu_difference_equals_sacrebleus(runs: tuple[Path, Path]) -> None:
    poor, good = map(load_run, runs)
    (bleu,) = compare_runs([poor, good], [m for m in shared_metrics([poor, good]) if m.name == "bleu"])
    expected = sacrebleu.corpus_bleu(GOOD, [REFERENCES]).score - sacrebleu.corpus_bleu(POOR, [REFERENCES]).score
    assert bleu.delta == pytest.approx(expected, abs=1e-9)
    assert bleu.corpus is not None


def test_items_without_a_score_on_one_side_are_left_out_in_pairs(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    whole = score(tmp_path, "whole", list(GOOD), data)
    holed = score(tmp_path, "holed", [None, *GOOD[1:]], data)
    (each,) = compare_runs([load_run(whole), load_run(holed)], shared_metrics([load_run(whole)])[:1])
    assert (each.n, each.unpaired) == (5, {"generation failed in holed": 1})
    assert (each.delta, each.verdict) == (0.0, "identical")
    assert read_run(holed)["metrics"]["token_f1"]["missing"] == {"generation failed": 1}


def test_few_documents_are_told_before_the_table(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *map(str, runs), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["runs"][1]["difference"]["token_f1"]["delta"] > 0
    assert document["runs"][1]["difference"]["token_f1"]["verdict"] == "too few source documents to tell"
    assert main(["compare", *map(str, runs)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Nothing can be told of")
    assert "\nWARNING: 3.0 effective source documents" in shown.partition("\nmetric")[0]
    assert "ter (lower)" in shown


def test_runs_on_other_items_are_refused_with_exit_code_4(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = write_data(tmp_path, [*REFERENCES[:-1], "Something else."])
    other = score(tmp_path, "other", list(GOOD), changed)
    capsys.readouterr()
    assert main(["compare", str(runs[0]), str(other)]) == 4
    assert "other items" in capsys.readouterr().err


def rewrite_header(run: Path, **generation: object) -> None:
    """Make a run look as if telbench had generated its answers with these settings."""
    header = read_run(run)
    header["generation"].update(generation)
    (run / "run.json").write_text(json.dumps(header))


def test_other_decoding_is_refused_where_it_is_known_and_told_where_it_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_data(tmp_path)
    one, two, given = (score(tmp_path, name, list(GOOD), data) for name in ("one", "two", "given"))
    rewrite_header(one, engine="vllm", max_tokens=32)
    rewrite_header(two, engine="vllm", max_tokens=64)
    capsys.readouterr()
    assert main(["compare", str(one), str(given)]) == 0
    assert "answers of given were made elsewhere" in " ".join(capsys.readouterr().out.split())
    assert main(["compare", str(one), str(two)]) == 4
    assert main(["compare", str(given), str(one), str(two)]) == 4
    assert "other longest answer (32 and 64)" in capsys.readouterr().err


def test_runs_without_a_shared_metric_are_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    data = runs[0].parent / "items.jsonl"
    assert main(["compare", str(runs[0]), str(score(tmp_path, "x", list(GOOD), data, "rouge1"))]) == 4


def test_one_run_alone_or_no_run_folder_is_bad_usage(runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert main(["compare", str(runs[0])]) == 2
    assert main(["compare", str(runs[0]), str(tmp_path)]) == 2


def measured(name: str, changes: dict[tuple[str, str], Any] | None = None) -> Any:
    """A made run whose header says these things instead."""
    run = made_run(name, {"token_f1": [0.5]})
    header = dict(run.header)
    for (section, key), value in (changes or {}).items():
        header[section] = {**header[section], key: value}
    return replace(run, header=header)


@pytest.mark.parametrize(
    ("fact", "value", "told"),
    [
        (("data", "items_sha256"), "other", "other items (same and other)"),
        (("prompt", "choice_seed"), 1, "other option order (0 and 1)"),
        (("prompt", "book"), "open", "other open or closed book (closed and open)"),
        (("prompt", "version"), 2, "other prompt version (1 and 2)"),
        (("prompt", "system"), "Be brief.", "other system message (None and Be brief.)"),
        (("prompt", "instruction"), "Say.", "other instruction (None and Say.)"),
        (("prompt", "template"), "{{ question }}", "other template (None and {{ question }})"),
        (("prompt", "raw"), True, "other raw questions (None and True)"),
        (("prompt", "few_shot"), 3, "other number of examples (None and 3)"),
        (("prompt", "few_shot_from"), "train", "other examples (None and train)"),
        (("generation", "top_k"), 5, "other top-k (None and 5)"),
        (("generation", "min_p"), 0.1, "other min-p (None and 0.1)"),
        (("generation", "repetition_penalty"), 1.1, "other repetition penalty (None and 1.1)"),
        (("generation", "temperature"), 0.7, "other temperature (0 and 0.7)"),
        (("generation", "max_tokens"), 65, "other longest answer (64 and 65)"),
    ],
)
def test_runs_that_differ_in_one_thing_beside_the_model_are_refused_by_its_name(
    fact: tuple[str, str], value: Any, told: str
) -> None:
    one, other = measured("one"), measured("other", {fact: value})
    require_alike([one, measured("two")])
    with pytest.raises(IncomparableError) as caught:
        require_alike([one, measured("two"), other])
    assert str(caught.value) == f"one and other cannot be compared: {told}"


@pytest.mark.parametrize("fact", [("prompt", "book"), ("prompt", "version"), ("generation", "temperature")])
def test_what_is_not_known_of_answers_from_a_file_is_not_held_against_them(fact: tuple[str, str]) -> None:
    given = measured("given", {("generation", "engine"): "replay", fact: "unknown"})
    foreign = replace(measured("foreign", {fact: "unknown"}), own_metrics={"acc": None})
    require_alike([given, measured("one"), foreign])
    with pytest.raises(IncomparableError, match="one and given cannot be compared: other items"):
        require_alike([measured("one"), replace(given, header={**given.header, "data": {"items_sha256": "x"}})])
    # The run that is known is what the others are held against, wherever it stands.
    with pytest.raises(IncomparableError, match="one and two cannot be compared"):
        require_alike([given, measured("one"), measured("two", {fact: "another"})])


def test_runs_that_were_all_made_elsewhere_are_held_against_the_first() -> None:
    one, two = (measured(name, {("generation", "engine"): "replay"}) for name in ("one", "two"))
    require_alike([one])
    require_alike([one, two])
    other = measured("other", {("generation", "engine"): "replay", ("data", "items_sha256"): "other"})
    with pytest.raises(IncomparableError, match="one and other cannot be compared"):
        require_alike([one, two, other])


@pytest.mark.parametrize(("length", "told"), [(40, "0123456789" * 4), (41, "012345678901…"), (64, "012345678901…")])
def test_hashes_longer_than_forty_characters_are_cut_where_they_are_told(length: int, told: str) -> None:
    long = measured("long", {("data", "items_sha256"): ("0123456789" * 7)[:length]})
    with pytest.raises(IncomparableError) as caught:
        require_alike([long, measured("one")])
    assert str(caught.value) == f"long and one cannot be compared: other items ({told} and same)"


def test_a_metric_of_another_signature_is_no_shared_metric() -> None:
    one, other = measured("one"), measured("other")
    entry = {**other.header["metrics"]["token_f1"], "signature": "token_f1|v9"}
    other = replace(other, header={**other.header, "metrics": {"token_f1": entry}})
    with pytest.raises(IncomparableError, match=r"metric token_f1 was computed in different ways .*token_f1\|v9"):
        shared_metrics([one, other])
    assert [metric.name for metric in shared_metrics([one, measured("two")])] == ["token_f1"]


def test_shared_metrics_come_in_the_order_of_the_first_run() -> None:
    one, two = (
        made_run(name, {title: [0.5] for title in titles})
        for name, titles in (("one", ("rougeL", "token_f1", "bleu")), ("two", ("token_f1", "exact_match", "rougeL")))
    )
    assert [metric.name for metric in shared_metrics([one, two])] == ["rougeL", "token_f1"]
    assert [metric.name for metric in shared_metrics([two, one])] == ["token_f1", "rougeL"]
    with pytest.raises(IncomparableError, match="the runs share no metric"):
        shared_metrics([one, made_run("three", {"ter": [0.5]})])


def renamed(name: str, title: str, **entry: Any) -> LoadedRun:
    """A run whose one metric is called ``title``, with an entry of its own."""
    run = measured(name)
    header = {**run.header, "metrics": {title: {**run.header["metrics"]["token_f1"], "signature": "x|v1", **entry}}}
    return replace(run, header=header, scores={title: run.scores["token_f1"]})


def test_a_metric_whose_plugin_is_not_installed_is_compared_as_the_runs_tell_it() -> None:
    runs = [renamed(name, "their_metric", higher_is_better=False, range=[0, None]) for name in ("one", "two")]
    (metric,) = shared_metrics(runs)
    assert (metric.name, metric.higher_is_better, metric.range, metric.level) == (
        "their_metric",
        False,
        (0, None),
        "item",
    )
    assert compare_runs(runs, [metric])[0].metric == "their_metric"
    with pytest.raises(InputError, match="are read, not computed"):
        metric.score([Sample("i0", "x")])
    # A corpus score has to be computed again.
    with pytest.raises(InputError, match="unknown metric 'their_metric'"):
        shared_metrics([renamed(name, "their_metric", level="corpus") for name in ("one", "two")])


def test_runs_that_tell_other_directions_of_a_metric_are_refused_and_the_wider_range_is_taken() -> None:
    one, other = renamed("one", "m", range=[0, 1]), renamed("other", "m", higher_is_better=False)
    for pair in ([one, other], [other, one]):
        with pytest.raises(
            IncomparableError, match=r"m: .* do not say alike which way is better: copy the damaged run"
        ):
            shared_metrics(pair)
    wide = renamed("wide", "m", range=[-1, 3])
    assert [shared_metrics(pair)[0].range for pair in ([one, wide], [wide, one])] == [(-1, 3), (-1, 3)]
    assert shared_metrics([one, renamed("open", "m", range=[None, 1])])[0].range == (None, 1)


def test_statistics_of_a_metric_that_tells_no_number_are_held_against_the_first_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def with_stats(name: str, width: int) -> LoadedRun:
        run = renamed(name, "chars", level="corpus")
        column = {item: replace(each, stats=(1.0,) * width) for item, each in run.scores["chars"].items()}
        return replace(run, scores={"chars": column})

    told = replace(chrf, name="chars", statistics=None)
    monkeypatch.setattr(loaded, "metrics_named", lambda _: [told])
    assert shared_metrics([with_stats("one", 3), with_stats("two", 3)]) == [told]
    with pytest.raises(InputError, match="two: chars has 4 statistics an item where one has 3: score the run again"):
        shared_metrics([with_stats("one", 3), with_stats("two", 4)])


def test_samples_that_are_fewer_than_the_header_says_are_refused_and_failed_items_are_known(tmp_path: Path) -> None:
    run = score(tmp_path, "holed", [None, *GOOD[1:]], write_data(tmp_path))
    loaded = load_run(run)
    assert loaded.failed == {"i0"}
    assert loaded.scores["token_f1"]["i0"].reason == "generation failed"
    assert loaded.scores["bleu"]["i1"].stats is not None
    lines = (run / "samples.jsonl").read_text().splitlines(keepends=True)
    (run / "samples.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(
        InputError,
        match=r"samples\.jsonl, line 5: the file ends, 5 samples where the header says 6",
    ):
        load_run(run)
