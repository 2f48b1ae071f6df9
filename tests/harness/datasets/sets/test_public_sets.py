"""The public sets: how many records are usable, what is dropped, and what single records become."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.harness.datasets.items import DataSet
from telbench.harness.datasets.loading import load_dataset, load_whole
from telbench.harness.datasets.settings import DataSettings


@cache
def loaded(name: str, folder: Path) -> DataSet:
    return load_dataset(name, split="all", data_dir=folder)


EXPECTED = {
    "telequad": (4262, {"is_impossible": 223}),
    "telequad-tabular": (278, {}),
    "teleqna": (9974, {"question is only 'Research Papers'": 26}),
    "oran-bench": (13819, {"empty question": 88, "fewer than two options": 45}),
    "srsranbench": (1502, {}),
    "mm-long": (1996, {"empty question": 1, "generation residue in place of a question": 3}),
    "mm-multihop-long": (1500, {}),
    "mm-entities": (1000, {}),
    "mm-mcq": (1999, {"shifted columns: the answer names no option": 1}),
    "mm-multihop-mcq": (2015, {"answer names no option": 12}),
    "mm-faults": (356, {"empty question": 1}),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_usable_and_dropped_records_are_those_counted_in_the_published_files(name: str, shared_data: Path) -> None:
    data = loaded(name, shared_data)
    assert (len(data.items), dict(data.dropped)) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_every_item_is_canonical(name: str, shared_data: Path) -> None:
    items = loaded(name, shared_data).items
    assert len({item.id for item in items}) == len(items)
    for item in items:
        assert item.id
        assert item.question == " ".join(item.question.split()) != ""
        assert item.references
        assert all(item.references)
        assert len({text.casefold() for text in item.references}) == len(item.references)
        assert all(0 <= index < len(item.choices) for index in item.answer)
        assert bool(item.choices) == bool(item.answer)
        assert item.split
        json.dumps(dict(item.meta), allow_nan=False)


def test_telequad_default_split_has_the_stated_sizes(shared_data: Path) -> None:
    sizes = Counter(item.split for item in loaded("telequad", shared_data).items)
    assert sizes == {"train": 3128, "dev": 441, "test": 693}


def test_telequad_splits_share_no_specification_clause_or_context(shared_data: Path) -> None:
    items = loaded("telequad", shared_data).items
    for key in ("category", "source_document", "context"):
        homes: dict[str, set[str | None]] = {}
        for item in items:
            homes.setdefault(getattr(item, key), set()).add(item.split)
        assert all(len(splits) == 1 for splits in homes.values()), key


def test_telequad_first_reference_is_the_first_answer_entry(shared_data: Path) -> None:
    items = {item.id: item for item in loaded("telequad", shared_data).items}
    published = json.loads((shared_data / "telequad" / "TeleQuAD-v4-full.json").read_text("utf-8"))
    for document in published["data"]:
        for entry in document["paragraphs"][0]["qas"]:
            if not entry["is_impossible"]:
                texts = [" ".join(answer["text"].split()) for answer in entry["answers"]]
                assert items[entry["id"]].references[0] == next(text for text in texts if text)


def test_unanswerable_questions_stay_marked_when_asked_for(shared_data: Path) -> None:
    data = load_dataset("telequad", split="all", data_dir=shared_data, options={"unanswerable": "keep"})
    marked = [item for item in data.items if item.meta.get("unanswerable")]
    assert (len(data.items), len(marked), dict(data.dropped)) == (4485, 223, {})
    assert sum(not item.references for item in marked) == 9


def test_teleqna_options_are_in_numeric_order_with_the_right_one(shared_data: Path) -> None:
    item = load_dataset("teleqna", data_dir=shared_data).items[1]
    assert item.id == "question 1"
    assert item.choices == ("NOMA", "PDMA", "MUSA", "MUST", "SCMA")
    assert (item.answer, item.references) == ((4,), ("SCMA",))


def test_teleqna_is_unlocked_without_writing_a_file(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import builtins
    import io
    import os

    opened: list[tuple[str, str]] = []
    real_open, real_os_open = io.open, os.open

    def spy(file, mode="r", *args, **kwargs):
        opened.append((str(file), mode))
        return real_open(file, mode, *args, **kwargs)

    def spy_os(path, flags, *args, **kwargs):
        opened.append((str(path), "w" if flags & (os.O_WRONLY | os.O_RDWR) else "r"))
        return real_os_open(path, flags, *args, **kwargs)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtins, "open", spy)
    monkeypatch.setattr(io, "open", spy)
    monkeypatch.setattr(os, "open", spy_os)
    load_dataset("teleqna", data_dir=shared_data)
    assert [file for file, mode in opened if set(mode) & set("wax+")] == []
    assert list(tmp_path.iterdir()) == []


def test_srsran_answer_is_zero_based_and_numbers_are_stripped_from_options(shared_data: Path) -> None:
    item = loaded("srsranbench", shared_data).items[1]
    assert item.answer == (3,)
    assert item.choices[0] == "It manages the resource grid context."
    positions = Counter(item.answer[0] for item in loaded("srsranbench", shared_data).items)
    assert positions[0] == 1139


def test_faults_have_several_right_options(shared_data: Path) -> None:
    item = loaded("mm-faults", shared_data).items[0]
    assert item.answer == (3, 4, 5)
    assert item.references == ("PCF", "Charging System", "UPF")
    assert item.meta["multi_select"] is True


def test_multihop_answers_in_every_notation_give_the_counted_positions(shared_data: Path) -> None:
    items = loaded("mm-multihop-mcq", shared_data).items
    assert Counter("ABCD"[item.answer[0]] for item in items) == {"A": 250, "B": 1153, "C": 471, "D": 141}


def test_long_questions_have_three_references_and_clause_as_document(shared_data: Path) -> None:
    item = loaded("mm-long", shared_data).items[0]
    assert len(item.references) == 3
    assert item.source_document == "3GPP TS 38.331 5.3.5.5.3 RLC bearer release"
    assert item.category == "RAN2"


def test_answers_that_cite_an_unseen_document_can_be_dropped(shared_data: Path) -> None:
    data = load_dataset("mm-multihop-long", split="all", data_dir=shared_data, options={"unseen": "drop"})
    assert data.dropped == {"answer cites a document of an unseen prompt": 36}
    assert all(item.meta["rubric"] for item in data.items)


def test_entities_can_be_limited_to_rated_ones(shared_data: Path) -> None:
    assert len(load_dataset("mm-entities", split="all", data_dir=shared_data, options={"rating": "V"}).items) == 854


def test_entity_passages_stay_in_one_split(shared_data: Path) -> None:
    homes: dict[str, set[str | None]] = {}
    for item in loaded("mm-entities", shared_data).items:
        if item.context and item.source_document and "(passage" in item.source_document:
            homes.setdefault(item.context, set()).add(item.split)
    assert homes
    assert all(len(splits) == 1 for splits in homes.values())


def test_files_may_lie_directly_in_the_data_folder(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "srsRANBench.json").symlink_to(shared_data / "srsranbench" / "srsRANBench.json")
    assert len(load_dataset("srsranbench", data_dir=tmp_path).items) == 1502


def test_data_folder_comes_from_the_environment(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELBENCH_DATA", str(shared_data))
    assert len(load_dataset("telequad-tabular", split="all").items) == 278


def test_source_tells_the_hash_of_the_file(shared_data: Path) -> None:
    source = load_whole(DataSettings("teleqna", data_dir=shared_data)).source
    assert source == "TeleQnA.zip sha256:5302f1df9e0e66aafd12b945af518211bd41aa77294b0cac05e4234eaf12b0a5"


def test_loading_twice_gives_the_same_fingerprint(shared_data: Path) -> None:
    first, second = (load_dataset("telequad", data_dir=shared_data).items_sha256 for _ in range(2))
    assert first == second


FILE_NAMES = (
    "TeleQuAD-v4-full.json",
    "TeleQnA.zip",
    "srsRANBench.json",
    "LONG_TelcoBench.csv",
    "5G_Faults_Multi_Correct_MCQ.csv",
)
DAMAGED = {
    "half a zip": ("teleqna", "TeleQnA.zip", 0.5, "cannot be unlocked"),
    "half a JSON": ("telequad", "TeleQuAD-v4-full.json", 0.5, "truncated"),
    "half a CSV": ("mm-long", "LONG_TelcoBench.csv", 0.5003, "line "),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_published_file_is_one_clear_line(case: str, shared_data: Path, tmp_path: Path) -> None:
    name, file, share, words = DAMAGED[case]
    content = next(shared_data.rglob(file)).read_bytes()
    (tmp_path / file).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=words) as caught:
        load_dataset(name, split="all", data_dir=tmp_path)
    assert file in str(caught.value)


@pytest.mark.parametrize("name", ["telequad", "teleqna", "srsranbench", "mm-long", "mm-faults", "oran-bench"])
@pytest.mark.parametrize("content", [b"{}", b"[1]", b'{"data": [{"a": 1}]}', b"a,b\n1,2\n", b"\x00\x00\x00"])
def test_foreign_content_under_a_published_name_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    for file in (*FILE_NAMES, "fin_E.json", "fin_M.json", "fin_H.json"):
        (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError):
        load_dataset(name, split="all", data_dir=tmp_path)
