"""Comparing finished runs: pairing, intervals, refusal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sacrebleu

from telbench.harness.cli.main import main
from telbench.harness.runs.folder import read_run
from telbench.leaderboard.compare.pairwise import compare_runs
from telbench.leaderboard.runs.loaded import load_run, shared_metrics

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
    assert main(["score", str(file), "--data", str(data), "--metrics", metrics, "--out", str(out), "--name", name]) == 0
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
    assert shown.startswith("WARNING: 3.0 effective source documents")
    assert "ter (lower is better)" in shown


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
    assert "answers of given were made elsewhere" in capsys.readouterr().out
    assert main(["compare", str(one), str(two)]) == 4
    assert main(["compare", str(given), str(one), str(two)]) == 4
    assert "other longest answer (32 and 64)" in capsys.readouterr().err


def test_runs_without_a_shared_metric_are_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    data = runs[0].parent / "items.jsonl"
    assert main(["compare", str(runs[0]), str(score(tmp_path, "x", list(GOOD), data, "rouge1"))]) == 4


def test_one_run_alone_or_no_run_folder_is_bad_usage(runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert main(["compare", str(runs[0])]) == 2
    assert main(["compare", str(runs[0]), str(tmp_path)]) == 2
