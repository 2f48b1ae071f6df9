"""GSMA's Open Telco sets, from rows written here in the published columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.harness.datasets.items import DataSet, Item
from telbench.harness.datasets.loading import load_dataset
from telbench.harness.datasets.sets.open_telco import CAUSES, TABLE, WORKING_GROUPS
from telbench.harness.datasets.settings import SUITES
from telbench.harness.prompts.build import PromptSettings, message
from telbench.harness.runs.prepared import default_metrics
from telbench.harness.runs.requests import answer_tokens

LOGS = """Identify the reason for the low throughput and enclose its number in \\boxed{{}}.
C1: The downtilt angle is too large.
C2: The coverage distance exceeds 1km.
C3: A neighbouring cell is faster.
Timestamp|PCI|Throughput
10:00:01|77|512.0
10:00:02|77|498.5"""
TEXT = """Give the answer in this format: {"WORKING GROUP": "name"}. You MUST select ONE name from this list: \
{'CT1', 'RAN1', 'RAN_AH1', 'SA2'}.

###TEXT:
{The AMF selects the SMF.}"""
AMF = "amf:\n  plmn_support:\n    - plmn_id: {mcc: '001', mnc: '01'}\n"
CHOICE = {"question": "What is the RIC?", "choices": ["a unit", "a cell", "a band", "a timer"], "answer": 2}
# set -> (its configuration, a row as published)
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "ot-teleqna": ("teleqna", {**CHOICE, "subject": "Lexicon"}),
    "ot-oranbench": ("oranbench", {**CHOICE, "difficulty": "hard"}),
    "ot-srsranbench": ("srsranbench", CHOICE),
    "ot-sixg-bench": ("sixg_bench", {**CHOICE, "task_id": "T7"}),
    "ot-teletables": (
        "teletables",
        {**CHOICE, "difficult": True, "table_id": "t_521_0", "document_id": "38211-i60", "explanation": "row 2"},
    ),
    "ot-telemath": (
        "telemath",
        {"question": "Find the rate\nin Mbit/s.", "answer": 12.5, "category": "Signal Processing", "tags": ["rate"],
         "difficulty": "Basic"},
    ),
    "ot-telelogs": ("telelogs", {"question": LOGS, "answer": "C2"}),
    "ot-3gpp-tsg": ("3gpp_tsg", {"file_name": "R1-01.txt", "question": TEXT, "answer": "RAN_AH1"}),
    "ot-teleyaml": (
        "teleyaml",
        {"Main Category": "5G Core", "Category": "AMF Configuration", "Context": "Open5GS",
         "Question": "An AMF, please", "Answer": AMF},
    ),
}  # fmt: skip


def write(folder: Path, config: str, *rows: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{config}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def loaded(folder: Path, name: str, *rows: Mapping[str, Any]) -> DataSet:
    write(folder, ROWS[name][0], *(rows or [ROWS[name][1]]))
    return load_dataset(name, data_dir=folder)


def item(folder: Path, name: str) -> Item:
    (only,) = loaded(folder, name).items
    return only


@pytest.mark.parametrize("name", ["ot-teleqna", "ot-oranbench", "ot-srsranbench", "ot-sixg-bench", "ot-teletables"])
def test_choices_count_from_zero(name: str, tmp_path: Path) -> None:
    only = item(tmp_path, name)
    assert (only.id, only.choices, only.answer) == (f"{name}-1", tuple(CHOICE["choices"]), (2,))
    assert (only.references, only.split) == (("a band",), "test")
    category, document = {
        "ot-teleqna": ("Lexicon", None),
        "ot-oranbench": ("hard", None),
        "ot-srsranbench": (None, None),
        "ot-sixg-bench": ("T7", None),
        "ot-teletables": ("difficult", "t_521_0"),
    }[name]
    assert (only.category, only.source_document) == (category, document)


def test_questions_on_one_table_are_one_cluster_and_easy_ones_another_category(tmp_path: Path) -> None:
    row = ROWS["ot-teletables"][1]
    data = loaded(tmp_path, "ot-teletables", row, {**row, "question": "And the other?", "difficult": False})
    assert [each.source_document for each in data.items] == ["t_521_0", "t_521_0"]
    assert [each.category for each in data.items] == ["difficult", "not difficult"]
    assert data.items[0].meta == {"explanation": "row 2", "document_id": "38211-i60"}


def test_a_whole_number_may_be_written_as_a_fraction(tmp_path: Path) -> None:
    assert loaded(tmp_path, "ot-teleqna", {**ROWS["ot-teleqna"][1], "answer": 2.0}).items[0].answer == (2,)
    dropped = loaded(tmp_path / "half", "ot-teleqna", {**ROWS["ot-teleqna"][1], "answer": 1.5}, ROWS["ot-teleqna"][1])
    assert dropped.dropped == {"answer names no option": 1}


def test_a_problem_has_a_number_and_room_for_its_solution(tmp_path: Path) -> None:
    data = loaded(tmp_path, "ot-telemath")
    (only,) = data.items
    assert (only.question, only.references, only.category) == (
        "Find the rate\nin Mbit/s.",
        ("12.5",),
        "Signal Processing",
    )
    assert (only.meta["difficulty"], only.meta["tags"]) == ("Basic", ["rate"])
    assert default_metrics(data) == ("numeric_match", "gsma_telemath")
    assert answer_tokens(data.items) == 1024
    assert "\\boxed{}" in message(only, PromptSettings("closed"), None).splitlines()[0]


def test_logs_keep_their_lines_and_name_their_causes(tmp_path: Path) -> None:
    data = loaded(tmp_path, "ot-telelogs")
    (only,) = data.items
    assert (only.question, only.references) == (LOGS, ("C2",))
    assert only.meta["labels"] == ["C1", "C2", "C3"]
    assert default_metrics(data) == ("label_match", "gsma_telelogs")
    # The question says itself how it wants to be answered.
    assert message(only, PromptSettings("closed"), None) == f"Question: {LOGS}"
    bare = loaded(tmp_path / "bare", "ot-telelogs", {"question": "Which cause?", "answer": "C7"}).items[0]
    assert bare.meta["labels"] == list(CAUSES)


@pytest.mark.parametrize("answer", ["RAN_AH1", '{"WORKING GROUP": "RAN_AH1"}'])
def test_a_text_is_of_one_of_the_groups_listed(answer: str, tmp_path: Path) -> None:
    only = loaded(tmp_path, "ot-3gpp-tsg", {**ROWS["ot-3gpp-tsg"][1], "answer": answer}).items[0]
    assert (only.references, only.source_document) == (("RAN_AH1",), "R1-01.txt")
    assert only.meta["labels"] == ["CT1", "RAN1", "RAN_AH1", "SA2"]
    bare = loaded(tmp_path / "bare", "ot-3gpp-tsg", {"question": "Whose?", "answer": "SA6"}).items[0]
    assert (bare.meta["labels"], bare.category) == (list(WORKING_GROUPS), "SA")


def test_a_configuration_keeps_its_lines(tmp_path: Path) -> None:
    data = loaded(tmp_path, "ot-teleyaml")
    (only,) = data.items
    assert (only.references, only.context, only.category) == ((AMF.strip(),), "Open5GS", "AMF Configuration")
    assert default_metrics(data) == ("yaml_match", "yaml_f1", "yaml_paths_f1", "yaml_parsed")
    assert message(only, PromptSettings("open"), only.context).splitlines()[0].endswith("and nothing else.")


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("ot-teleqna", {"question": " "}, "empty question"),
        ("ot-teleqna", {"choices": ["one"]}, "fewer than two options"),
        ("ot-teleqna", {"choices": ["one", ""]}, "empty option"),
        ("ot-teleqna", {"answer": 4}, "answer names no option"),
        ("ot-teleqna", {"answer": -1}, "answer names no option"),
        ("ot-teleqna", {"answer": "B"}, "answer names no option"),
        ("ot-teleqna", {"answer": None}, "answer names no option"),
        ("ot-telemath", {"answer": "about x"}, "answer is no number"),
        ("ot-telemath", {"answer": ""}, "answer is no number"),
        ("ot-telelogs", {"answer": "C9"}, "answer names none of the causes"),
        ("ot-telelogs", {"answer": "C1 or C2"}, "answer names none of the causes"),
        ("ot-3gpp-tsg", {"answer": "SA9"}, "answer names none of the working groups"),
        ("ot-3gpp-tsg", {"question": ""}, "empty question"),
        ("ot-teleyaml", {"Answer": "I cannot"}, "answer is no YAML mapping or list"),
        ("ot-teleyaml", {"Answer": "a: [1"}, "answer is not YAML"),
        ("ot-teleyaml", {"Answer": "[" * 60 + "]" * 60}, "answer is beyond the bounds of a configuration"),
    ],
)
def test_records_that_cannot_be_used_are_dropped_by_reason(
    name: str, change: Mapping[str, Any], reason: str, tmp_path: Path
) -> None:
    row = ROWS[name][1]
    data = loaded(tmp_path, name, {**row, **change}, row)
    assert ([each.id for each in data.items], data.dropped) == ([f"{name}-2"], {reason: 1})


def test_a_file_of_other_columns_is_refused_with_its_record(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"telelogs\.jsonl, record ot-telelogs-1: no field 'answer'"):
        loaded(tmp_path, "ot-telelogs", {"question": "?", "target": "C1"})


def test_the_published_table_counts_before_a_file_beside_it(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    write(tmp_path, "telemath", {"question": "Beside", "answer": "1"})
    table = tmp_path / "telemath" / TABLE
    table.parent.mkdir()
    parquet.write_table(pyarrow.Table.from_pylist([{"question": "Published", "answer": "2"}]), table)
    data = load_dataset("ot-telemath", data_dir=tmp_path)
    assert [each.question for each in data.items] == ["Published"]
    # Lists of a table are arrays, its numbers may be integers of any width.
    row = {**ROWS["ot-teleqna"][1], "answer": 2}
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "teleqna.parquet")
    assert load_dataset("ot-teleqna", data_dir=tmp_path).items[0].answer == (2,)


def test_what_a_missing_file_may_be_called_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs telelogs/test-00000-of-00001\.parquet \(or telelogs\.parquet, "):
        load_dataset("ot-telelogs", data_dir=tmp_path)


def answered(folder: Path, name: str, prediction: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The metrics of ``telbench score`` on one answer."""
    data = loaded(folder, name)
    answers = folder / f"{name}.answers.jsonl"
    answers.write_text(json.dumps({"id": data.items[0].id, "prediction": prediction}) + "\n")
    command = ["score", str(answers), "--data", name, "--data-dir", str(folder), "--out", str(folder / "run" / name)]
    assert main([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["metrics"]


@pytest.mark.parametrize(
    ("name", "prediction", "values"),
    [
        ("ot-telemath", r"12.5 Mbit/s: \boxed{12.5}", {"numeric_match": 1, "gsma_telemath": 1}),
        ("ot-telemath", "It is 12.5", {"numeric_match": 1, "gsma_telemath": 0}),
        ("ot-telelogs", r"\boxed{C2}", {"label_match": 1, "gsma_telelogs": 1}),
        ("ot-telelogs", "no idea", {"label_match": 0, "gsma_telelogs": 0}),
        ("ot-3gpp-tsg", '{"WORKING GROUP": "RAN_AH1"}', {"label_match": 1, "gsma_3gpp_tsg": 0}),
        ("ot-teleyaml", f"```yaml\n{AMF}```", {"yaml_match": 1, "yaml_f1": 1, "yaml_paths_f1": 1, "yaml_parsed": 1}),
        ("ot-teletables", "C", {"choice_accuracy": 1}),
    ],
)
def test_answers_are_scored_by_what_they_come_to(
    name: str, prediction: str, values: Mapping[str, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = answered(tmp_path, name, prediction, capsys)
    assert {metric: metrics[metric]["value"] for metric in values} == values
    assert "token_f1" not in metrics


def test_what_could_not_be_read_is_counted_beside_the_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = answered(tmp_path, "ot-telelogs", "I cannot tell", capsys)["label_match"]
    assert (entry["value"], entry["n"], entry["n_missing"]) == (0, 1, 0)
    assert entry["notes"] == {"no label recognised in the answer": 1}
    # Guessing among three causes.
    assert entry["chance"] == pytest.approx(1 / 3)


def test_the_suite_names_the_seven_sets_of_the_board(tmp_path: Path) -> None:
    assert len(SUITES["open-telco"]) == 7
    assert set(SUITES["open-telco"]) < set(ROWS)
    with pytest.raises(InputError, match=r"'open-telco' is a suite: .* ot-teleqna, ot-telelogs"):
        load_dataset("open-telco", data_dir=tmp_path)


@pytest.mark.parametrize("form", ["nubmer", 7, ["number"]])
def test_a_form_that_there_is_not_is_refused(form: Any, tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps({"question": "?", "references": ["5"], "meta": {"form": form}}) + "\n")
    with pytest.raises(InputError, match=r"meta\.form .*number, label, labels, yaml, table"):
        default_metrics(load_dataset(str(file)))


def test_labels_of_a_file_are_a_list_of_texts(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(
        json.dumps({"question": "?", "references": ["A"], "meta": {"form": "label", "labels": "A, B"}}) + "\n"
    )
    with pytest.raises(InputError, match=r"own\.jsonl, line 1: 'meta\.labels' must be a list of texts"):
        load_dataset(str(file))


def test_references_of_ones_own_file_keep_their_lines_where_the_form_needs_them(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    rows = [
        {"question": f"{form}?", "references": [AMF], "meta": {"form": form} if form else {}} for form in ("yaml", "")
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    kept, cleaned = load_dataset(str(file)).items
    assert kept.references == (AMF.strip(),)
    assert "\n" not in cleaned.references[0]
