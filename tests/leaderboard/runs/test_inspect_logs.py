"""Logs of inspect as runs."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import IncomparableError, InputError
from telbench.harness.cli.main import main
from telbench.leaderboard.runs.directions import LogSettings
from telbench.leaderboard.runs.foreign import Reading
from telbench.leaderboard.runs.inspect_logs import read_inspect
from telbench.leaderboard.runs.loaded import require_alike, shared_metrics

from .logs import frame, inspect_log, write_eval, write_json

GRADES = [["C", "I"], ["C", "C"], ["I", "N"], ["P", "P"]]
needs_zstandard = pytest.mark.skipif(sys.version_info >= (3, 14), reason="Python reads it by itself")


class RawFrames(io.BytesIO):
    """Reads frames of one raw block, where the package that reads all of them is not installed."""

    def __init__(self, source: io.BytesIO, read_across_frames: bool) -> None:
        packed = source.read()
        if packed[:5] != frame(b"")[:5]:
            raise ZstdError
        super().__init__(packed[12:])


class ZstdError(Exception):
    """As the package's own."""


@pytest.fixture
def zstandard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package, or what stands in for it."""
    if importlib.util.find_spec("zstandard") is None:
        module: Any = types.ModuleType("zstandard")
        module.ZstdError = ZstdError
        module.ZstdDecompressor = lambda: types.SimpleNamespace(stream_reader=RawFrames)
        monkeypatch.setitem(sys.modules, "zstandard", module)


@pytest.mark.parametrize("kind", ["json", "stored", "zstd"])
def test_epochs_are_averaged_and_counted_whatever_the_format(tmp_path: Path, zstandard: None, kind: str) -> None:
    log = inspect_log({"choice": GRADES})
    if kind == "json":
        run = read_inspect(write_json(tmp_path / "log.json", log))
    else:
        run = read_inspect(write_eval(tmp_path / "log.eval", log, zstd=kind == "zstd"))
    assert [score.value for score in run.scores["choice"].values()] == [0.5, 1.0, 0.0, 0.5]
    assert (run.name, run.header["generation"]["epochs"]) == ("hf/student", 2)
    assert run.header["metrics"]["choice"]["value"] == 0.5
    assert run.categories["1"] == "odd"


@needs_zstandard
def test_without_the_package_the_cure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    path = write_eval(tmp_path / "log.eval", inspect_log({"choice": GRADES}), zstd=True)
    assert main(["compare", str(path), str(path)]) == 2
    error = capsys.readouterr().err
    assert "needs the package 'zstandard': pip install" in error
    assert f"inspect log convert {path} --to json" in error
    assert error.count("\n") == 1


@needs_zstandard
@pytest.mark.parametrize("part", [b"\x28\xb5\x2f\xfd", b'"status": "success"'])
def test_a_damaged_archive_is_one_line(tmp_path: Path, zstandard: None, part: bytes) -> None:
    path = write_eval(tmp_path / "log.eval", inspect_log({"choice": GRADES}), zstd=True)
    path.write_bytes(path.read_bytes().replace(part, b"\0" * len(part)))
    with pytest.raises(InputError, match=r"log\.eval cannot be read as an inspect log: header\.json is damaged"):
        read_inspect(path)


def test_several_scorers_and_parts_are_metrics_of_their_own(tmp_path: Path) -> None:
    parts = [[{"wer": 0.25, "accuracy": 1}]] * 3
    log = inspect_log({"match": [["C"], ["I"], [True]], "multi": parts, "pair": [[[1, 0]], [[0, 0]], [[1, 1]]]})
    run = read_inspect(write_json(tmp_path / "log.json", log))
    means = {name: entry["value"] for name, entry in run.header["metrics"].items()}
    assert means == pytest.approx(
        {
            "match": 2 / 3,
            "multi/wer": 0.25,
            "multi/accuracy": 1,
            "pair/0": 2 / 3,
            "pair/1": 1 / 3,
        }
    )
    ways = {name: entry["higher_is_better"] for name, entry in run.header["metrics"].items()}
    assert ways == {"match": True, "multi/wer": False, "multi/accuracy": True, "pair/0": None, "pair/1": None}
    assert set(run.undirected) == {"pair/0", "pair/1"}


def test_words_count_as_inspect_counts_them(tmp_path: Path) -> None:
    words = {"C": 1, "I": 0, "P": 0.5, "N": 0, "yes": 1, "True": 1, "no": 0, "false": 0}
    log = inspect_log({"match": [[word] for word in words], "one": [[[word]] for word in words]})
    run = read_inspect(write_json(tmp_path / "log.json", log))
    for name in ("match", "one"):
        assert [score.value for score in run.scores[name].values()] == list(words.values())


def test_a_log_without_epochs_and_one_without_scores(tmp_path: Path) -> None:
    log = inspect_log({"match": [["C"], ["I"]]})
    for sample in log["samples"]:
        del sample["epoch"]
    log["samples"].append({**log["samples"][0], "epoch": 2})
    assert read_inspect(write_json(tmp_path / "a.json", log)).header["generation"]["epochs"] == 2
    log["samples"][-1]["epoch"] = 1
    with pytest.raises(InputError, match="epoch 1 of sample '0' occurs twice"):
        read_inspect(write_json(tmp_path / "a.json", log))
    with pytest.raises(InputError, match="holds no scored items"):
        read_inspect(write_json(tmp_path / "b.json", inspect_log({"match": [["C"]]}, scores={})))


def test_what_inspect_leaves_unscored_is_missing_and_its_epochs_do_not_count(tmp_path: Path) -> None:
    log = inspect_log({"maybe": [[float("nan"), float("nan")], [float("nan"), 1.0], [0.0, 1.0]]})
    log["samples"][2]["scores"] = {}
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log))
    scores = read_inspect(path).scores["maybe"]
    assert [score.value for score in scores.values()] == [None, 1.0, 1.0]
    assert scores["0"].reason == "unscored in the log"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("0.5", "choice is '0.5' and no number"),
        (float("inf"), "choice is no finite number"),
        ([[1], 2], "choice/0 is a list and no number"),
    ],
)
def test_what_is_no_number_is_refused_with_its_sample(tmp_path: Path, value: Any, told: str) -> None:
    path = write_json(tmp_path / "log.json", inspect_log({"choice": [["C"], [value]]}))
    with pytest.raises(InputError) as caught:
        read_inspect(path)
    assert str(caught.value).startswith(f"{path}, sample 2 (id 1): {told}")


def test_a_share_of_right_answers_is_no_500(tmp_path: Path) -> None:
    path = write_json(tmp_path / "log.json", inspect_log({"accuracy": [[1.0], [500]]}))
    with pytest.raises(InputError, match="accuracy is 500, outside its range of 0 to 1"):
        read_inspect(path)


def test_an_epoch_twice_and_an_unfinished_log_are_refused(tmp_path: Path) -> None:
    log = inspect_log({"choice": GRADES})
    log["samples"].append(log["samples"][0])
    with pytest.raises(InputError, match=r"sample 9 \(id 0\): epoch 1 of sample '0' occurs twice"):
        read_inspect(write_json(tmp_path / "log.json", log))
    with pytest.raises(InputError, match=r"its status is 'cancelled'.* inspect eval-retry"):
        read_inspect(write_json(tmp_path / "log.json", {**log, "status": "cancelled"}))


def test_ids_of_messages_which_are_drawn_anew_do_not_make_other_items(tmp_path: Path) -> None:
    messages = [
        [{"id": f"{drawn}", "role": "user", "content": text}] for drawn, text in (("a", "q"), ("b", "q"), ("c", "r"))
    ]
    one, two, other = (
        read_inspect(write_json(tmp_path / f"{number}.json", inspect_log({"match": [["C"]]}, input=each)))
        for number, each in enumerate(messages)
    )
    require_alike([one, two])
    assert one.header["data"]["items_sha256"] != other.header["data"]["items_sha256"]


def test_a_field_of_the_samples_names_their_documents(tmp_path: Path) -> None:
    path = write_json(tmp_path / "log.json", inspect_log({"choice": GRADES}))
    run = read_inspect(path, Reading(cluster="document"))
    assert list(run.clusters.values()) == ["d0", "d0", "d1", "d1"]
    assert list(read_inspect(path).clusters.values()) == ["0", "1", "2", "3"]
    with pytest.raises(InputError, match=r"sample 1 \(id 0\): --cluster documnt: .*did you mean 'document'"):
        read_inspect(path, Reading(cluster="documnt"))


def pair(folder: Path, name: str, better: float, worse: float, count: int = 200) -> tuple[Path, Path]:
    """Two logs with these shares of right answers by a scorer of this name."""
    values = ([["C" if number < share * count else "I"] for number in range(count)] for share in (better, worse))
    one, two = (write_json(folder / f"{place}.json", inspect_log({name: each})) for place, each in enumerate(values))
    return one, two


def test_a_drop_in_the_scorer_pattern_fails_the_gate(tmp_path: Path) -> None:
    before, after = pair(tmp_path, "pattern", 0.6, 0.3)
    words = ["check", "--baseline", str(before), "--candidate", str(after), "--margin", "pattern=0.02"]
    assert main(words) == 1
    assert main([*words, "--lower-is-better", "pattern"]) == 0


def test_a_metric_of_unknown_direction_waits_for_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = pair(tmp_path, "letter", 0.6, 0.3)
    words = ["check", "--baseline", str(before), "--candidate", str(after), "--margin", "letter=0.02"]
    assert main(words) == 2
    assert "letter: pass --higher-is-better letter or --lower-is-better letter" in capsys.readouterr().err
    assert main([*words, "--higher-is-better", "letter"]) == 1
    assert main(["compare", str(before), str(after)]) == 2
    assert main(["compare", str(before), str(after), "--lower-is-better", "letter"]) == 0
    assert "letter (lower)" in capsys.readouterr().out
    assert main(["compare", str(before), str(after), "--lower-is-better", "lettre"]) == 2
    assert "did you mean 'letter'" in capsys.readouterr().err


def test_a_log_is_pinned_and_held_against_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = pair(tmp_path, "letter", 0.6, 0.3)
    anchor = tmp_path / "anchor.json"
    assert main(["baseline", "pin", str(before), "--out", str(anchor)]) == 2
    assert "--higher-is-better letter" in capsys.readouterr().err
    told = ["--higher-is-better", "letter", "--cluster", "document"]
    assert main(["baseline", "pin", str(before), "--out", str(anchor), *told]) == 0
    words = ["check", "--baseline", str(anchor), "--margin", "letter=0.02", *told]
    assert main([*words, "--candidate", str(after)]) == 1
    capsys.readouterr()
    assert main([*words, "--candidate", str(before), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["metrics"]
    assert (found["clusters"], found["delta"]) == (100, 0.0)


def test_two_logs_that_differ_on_the_direction_are_refused(tmp_path: Path) -> None:
    before, after = pair(tmp_path, "letter", 0.6, 0.3)
    one = read_inspect(before, Reading(LogSettings(lower_is_better=("letter",))))
    two = read_inspect(after, Reading(LogSettings(higher_is_better=("letter",))))
    with pytest.raises(IncomparableError, match="do not say alike which way is better"):
        shared_metrics([one, two])


def test_a_cluster_field_without_a_log_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, _ = pair(tmp_path, "match", 0.6, 0.3)
    assert main(["compare", str(before), str(before), "--cluster", "document", "--json"]) == 0
    assert main(["compare", str(before), str(before), "--cluster", "category"]) == 0
    capsys.readouterr()
    assert main(["compare", str(before), str(before), "--cluster", "nothing"]) == 2
    assert "--cluster nothing: no text or whole number in that field" in capsys.readouterr().err
