"""``telbench data`` as a user calls it: what it prints, its exit codes, and that nothing ends in a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from telbench.harness.cli.main import main

ROWS = [
    {
        "id": f"q{n}",
        "question": f"What does timer T{n} start?",
        "references": [f"Procedure {n}."],
        "source_document": f"TS {n % 40}",
        "context": f"Timer T{n} starts procedure {n}.",
    }
    for n in range(400)
]


@pytest.fixture
def timers(tmp_path: Path) -> Path:
    path = tmp_path / "timers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["data", *arguments]) == code
    captured = capsys.readouterr()
    if code == 0:
        assert captured.err == ""
    else:
        assert captured.err.startswith("telbench data: ")
        assert captured.err.count("\n") == 1
    return captured.out if code == 0 else captured.err


def test_list_names_every_set_and_says_what_is_here(capsys: pytest.CaptureFixture[str], shared_data: Path) -> None:
    sets = json.loads(printed(capsys, "list", "--json", "--data-dir", str(shared_data)))["datasets"]
    by_name = {entry["name"]: entry for entry in sets}
    assert by_name["telequad"]["items"] == 4262
    assert by_name["telequad"]["licence"] == "CC BY-ND 4.0"
    assert by_name["telecom-nano"]["here"]
    assert len(by_name) >= 12


def test_list_without_data_still_lists(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TELBENCH_DATA", raising=False)
    (tmp_path / "srsRANBench.json").write_text("{", "utf-8")
    out = printed(capsys, "list", "--data-dir", str(tmp_path))
    assert "telequad" in out
    assert "damaged" in out
    assert "--data-dir" in out


def test_show_prints_items(capsys: pytest.CaptureFixture[str], timers: Path) -> None:
    out = printed(capsys, "show", str(timers), "--limit", "2")
    assert "What does timer T1 start?" in out
    assert "T2 start" not in out
    shown = json.loads(printed(capsys, "show", str(timers), "--item", "q7", "--json"))
    assert [item["id"] for item in shown["shown"]] == ["q7"]
    assert "did you mean 'q39" in printed(capsys, "show", str(timers), "--item", "q399x", code=2)


def test_hostile_text_reaches_the_terminal_escaped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    hostile = "red\x1b[31m \u202eright\x07 [bold]x[/bold]"
    path = tmp_path / "hostile.jsonl"
    path.write_text(json.dumps({"id": hostile, "question": hostile, "references": [hostile]}) + "\n" * 2, "utf-8")
    for arguments in (("show", str(path)), ("lint", str(path)), ("show", str(path), "--json")):
        out = printed(capsys, *arguments)
        assert not set(out) & {"\x1b", "\u202e", "\x07"}
    assert "[bold]x[/bold]" in printed(capsys, "show", str(path))
    assert "\x1b" not in printed(capsys, "show", str(path), "--item", "\x1b[0m", code=2)


def test_output_survives_a_terminal_that_knows_ascii_only(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"question": "Größe in µs?", "references": ["12 µs"]}) + "\n", "utf-8")
    command = [sys.executable, "-c", "from telbench.harness.cli.main import entry; entry()", "data"]
    for action in ("show", "lint"):
        done = subprocess.run(
            [*command, action, str(path)], capture_output=True, env={"PYTHONIOENCODING": "ascii"}, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_listing_and_help_import_neither_numpy_nor_torch() -> None:
    code = (
        "import sys; from telbench.harness.cli.main import main; main(['data', 'list'])\n"
        "assert not {'numpy', 'torch', 'transformers', 'pyarrow', 'sacrebleu'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_lint_reports_and_strict_fails_with_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "twice.jsonl"
    path.write_text('{"question": "A?", "references": "x"}\n' * 2, "utf-8")
    report = json.loads(printed(capsys, "lint", str(path), "--json"))
    assert {found["check"] for found in report["findings"] if found["level"] == "finding"} == {
        "repeated question",
        "repeated item",
    }
    assert report["repaired"] == {"repeated id numbered": 1}
    assert "2 lint findings" in printed(capsys, "lint", str(path), "--strict", code=2)


def test_strict_lint_of_a_sound_file_passes(capsys: pytest.CaptureFixture[str], timers: Path) -> None:
    printed(capsys, "lint", str(timers), "--strict")


def test_tokenizer_and_max_length_belong_together(capsys: pytest.CaptureFixture[str], timers: Path) -> None:
    assert "--max-length" in printed(capsys, "lint", str(timers), "--tokenizer", str(timers.parent), code=2)


def test_split_writes_canonical_files_and_their_record(
    capsys: pytest.CaptureFixture[str], timers: Path, tmp_path: Path
) -> None:
    out = tmp_path / "parts"
    printed(capsys, "split", str(timers), "--out", str(out), "--fractions", "0.6,0.2,0.2")
    record = json.loads((out / "split.json").read_text("utf-8"))
    assert sum(part["items"] for part in record["splits"].values()) == 400
    assert "0.6/0.2/0.2 by SHA-256 of the source document" in record["rule"]
    documents = []
    for name in ("train", "dev", "test"):
        rows = [json.loads(line) for line in (out / f"{name}.jsonl").read_text("utf-8").splitlines()]
        assert len(rows) == record["splits"][name]["items"] > 0
        assert {row["split"] for row in rows} == {name}
        documents.append({row["source_document"] for row in rows})
    assert not documents[0] & documents[1] | documents[0] & documents[2] | documents[1] & documents[2]
    assert f"items: {record['splits']['test']['items']}" in printed(capsys, "show", str(out / "test.jsonl"))


def test_split_of_shuffled_rows_gives_the_same_division(
    capsys: pytest.CaptureFixture[str], timers: Path, tmp_path: Path
) -> None:
    shuffled = tmp_path / "shuffled.jsonl"
    shuffled.write_text("".join(json.dumps(row) + "\n" for row in reversed(ROWS)), "utf-8")
    printed(capsys, "split", str(timers), "--out", str(tmp_path / "one"))
    printed(capsys, "split", str(shuffled), "--out", str(tmp_path / "two"))
    for name in ("train", "dev", "test"):
        one, two = ((tmp_path / folder / f"{name}.jsonl").read_text("utf-8").splitlines() for folder in ("one", "two"))
        assert sorted(one) == sorted(two)


def test_split_does_not_overwrite_unless_forced(
    capsys: pytest.CaptureFixture[str], timers: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "parts")
    printed(capsys, "split", str(timers), "--out", out)
    assert "--force" in printed(capsys, "split", str(timers), "--out", out, code=2)
    printed(capsys, "split", str(timers), "--out", out, "--force", "--fractions", "1,0,0")
    assert not (tmp_path / "parts" / "test.jsonl").exists()


def test_split_keeps_the_published_rule_unless_told_otherwise(
    capsys: pytest.CaptureFixture[str], shared_data: Path, tmp_path: Path
) -> None:
    printed(capsys, "split", "telequad", "--data-dir", str(shared_data), "--out", str(tmp_path / "own"))
    record = json.loads((tmp_path / "own" / "split.json").read_text("utf-8"))
    assert {name: part["items"] for name, part in record["splits"].items()} == {"train": 3128, "dev": 441, "test": 693}
    printed(capsys, "split", "teleqna", "--data-dir", str(shared_data), "--out", str(tmp_path / "hash"), "--by", "item")
    record = json.loads((tmp_path / "hash" / "split.json").read_text("utf-8"))
    assert record["splits"]["dev"]["items"] > 500


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "telquad"],
        ["show", "telequad", "--data-dir", "/nonexistent"],
        ["show", "none.jsonl"],
        ["lint", "{file}", "--map", "question"],
        ["lint", "{file}", "--map", "question=x,question=y"],
        ["lint", "{file}", "--map", "question=Question"],
        ["lint", "{file}", "--option", "a=b"],
        ["show", "{file}", "--split", "dev"],
        ["split", "{file}", "--out", "{file}"],
        ["split", "{file}", "--out", "{out}", "--fractions", "1,2"],
        ["split", "{file}", "--out", "{out}", "--fractions", "a,b,c"],
    ],
)
def test_user_error_is_one_line_and_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str], timers: Path, tmp_path: Path
) -> None:
    places = {"{file}": str(timers), "{out}": str(tmp_path / "out")}
    line = printed(capsys, *(places.get(argument, argument) for argument in arguments), code=2)
    assert "internal error" not in line
