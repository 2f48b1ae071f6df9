"""The graph of a study: everything once, hashes that follow what they stand for, cells that mean something."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from telbench.config import merged, read_settings
from telbench.errors import InputError
from telbench.kd.settings import TrainingSettings
from telbench.kd.study.cells import cells_of
from telbench.kd.study.graph import Graph, Sources, build_graph
from telbench.kd.study.settings import StudySettings, read_study

MODELS = {"student": {"both": "tiny"}, "teacher": {"same": "llama", "different": "mistral"}}
SOURCES = Sources({"tiny": "a" * 64, "llama": "b" * 64, "mistral": "c" * 64}, "d" * 64, "e" * 64)


def study(**changes: Any) -> StudySettings:
    return read_settings(StudySettings, merged({"name": "s", "models": MODELS}, changes), "study")


def graph(sources: Sources = SOURCES, **changes: Any) -> Graph:
    return build_graph(study(**changes), sources)


def kinds(found: Graph) -> Counter[str]:
    return Counter(each.kind for each in found)


def hashes(found: Graph) -> dict[str, str]:
    return {each.label: each.sha256 for each in found}


def test_the_whole_grid_shares_models_fine_tunings_and_caches() -> None:
    found = graph(illegal="uld")
    assert kinds(found) == {"model": 3, "sft": 4, "cache": 4, "answers": 2, "student": 18, "run": 16 + 9}
    labels = [each.label for each in found]
    assert len(set(labels)) == len(labels)


def test_an_artefact_comes_behind_all_that_it_is_made_from() -> None:
    seen: set[str] = set()
    for each in graph(illegal="uld"):
        assert set(each.inputs.values()) <= seen
        seen.add(each.sha256)


def test_seeds_share_teachers_caches_and_bases() -> None:
    one, three = kinds(graph()), kinds(graph(factors={"seed": [0, 1, 2]}))
    for kind in ("model", "cache", "answers"):
        assert three[kind] == one[kind]
    assert three["student"] == 3 * one["student"]
    # Two teachers once; a student's fine-tuning and the student alone for each seed.
    assert (one["sft"], three["sft"]) == (2 + 2, 2 + 2 * 3)


def test_ids_of_different_vocabularies_are_never_compared_unless_asked() -> None:
    found, omitted = cells_of(study())
    assert len(found) == 12
    assert len(omitted) == 1
    assert not [cell for cell in found if cell.vocabulary == "different" and cell.variant == "vanilla_kd"]
    for fill in ("uld", "simple_ctkd"):
        filled = [cell for cell in cells_of(study(illegal=fill))[0] if cell.vocabulary == "different"]
        assert Counter(cell.level for cell in filled) == {"dskd": 4, fill: 4}
    naive = [cell for cell in cells_of(study(illegal="naive_id_kd"))[0] if cell.level == "naive_id_kd"]
    assert {cell.vocabulary for cell in naive} == {"different"}
    assert {cell.variant for cell in naive} == {"vanilla_kd"}
    for each in graph(illegal="naive_id_kd"):
        if each.kind == "student":
            assert each.settings["method"]["naive_id_kd"] == ("naive_id_kd" in each.label)


def test_a_fill_that_is_a_level_already_makes_no_cell_twice() -> None:
    levels = {"algorithm": ["vanilla_kd", "uld"]}
    assert Counter(cell.vocabulary for cell in cells_of(study(illegal="uld", factors=levels))[0]) == {
        "same": 8,
        "different": 4,
    }


def test_dskd_is_one_level_and_its_variant_is_told() -> None:
    for version, variants in (("v1", {"dskd", "dskd_cma"}), ("v2", {"dskd_v2"})):
        cells = [cell for cell in cells_of(study(dskd=version))[0] if cell.level == "dskd"]
        assert {cell.variant for cell in cells} == variants
        assert {cell.factors()["algorithm"] for cell in cells} == {"dskd"}
    with pytest.raises(InputError, match="twice"):
        study(illegal="dskd_cma")
    assert study(illegal="dskd_cma", dskd="v2").illegal == "dskd_cma"


def test_hashes_change_with_an_input_and_only_with_it() -> None:
    before = hashes(graph())
    assert hashes(graph()) == before
    other_teacher = replace(SOURCES, models={**SOURCES.models, "mistral": "f" * 64})
    changed = {label for label, sha256 in hashes(graph(other_teacher)).items() if sha256 != before[label]}
    assert changed == {label for label in before if "different" in label}
    measured = hashes(graph(replace(SOURCES, evaluation_data="f" * 64)))
    assert {label for label in before if measured[label] != before[label]} == {
        label for label in before if label.startswith("run-")
    }
    tuned = hashes(graph(sft_student={"optimiser": {"epochs": 3}}))
    changed = {label for label in before if tuned[label] != before[label]}
    assert "sft-student-seed0" in changed
    assert "student-same-dskd-t0-s1-seed0" in changed
    assert not {"student-same-dskd-t0-s0-seed0", "sft-teacher-same", "cache-teacher-same-sft"} & changed


def test_a_place_is_no_input_but_what_lies_there_is() -> None:
    before = hashes(graph())
    moved = {"student": {"both": "/elsewhere/tiny"}, "teacher": MODELS["teacher"]}
    sources = replace(SOURCES, models={**SOURCES.models, "/elsewhere/tiny": SOURCES.models["tiny"]})
    assert hashes(graph(sources, models=moved, training={"data": {"data_dir": "/elsewhere"}})) == before


def test_a_token_budget_is_spent_to_the_last_token() -> None:
    found = graph(budget={"kind": "equal_tokens", "tokens": 1001, "sft_share": 0.4})
    limits = {each.label: each.settings["optimiser"]["max_tokens"] for each in found if each.kind in {"sft", "student"}}
    assert limits["sft-student-seed0"] == 400
    assert limits["alone-student-seed0"] == 1001
    assert limits["student-same-dskd-t1-s0-seed0"] == 1001
    assert limits["student-same-dskd-t1-s1-seed0"] == 601
    assert limits["student-same-seq_kd-seed0"] == 1001
    assert limits["sft-teacher-same"] is None


def test_with_an_epoch_budget_the_student_alone_trains_as_long_as_one_with_both() -> None:
    found = graph(sft_student={"optimiser": {"epochs": 3}}, distillation={"optimiser": {"epochs": 4}})
    epochs = {each.label: each.settings["optimiser"]["epochs"] for each in found if each.kind in {"sft", "student"}}
    assert (epochs["sft-student-seed0"], epochs["alone-student-seed0"]) == (3, 7)
    assert epochs["student-same-dskd-t1-s1-seed0"] == 4


def test_runs_carry_the_factors_of_their_students() -> None:
    found = graph(factors={"seed": [3]})
    students = {each.sha256: each for each in found if each.kind == "student"}
    runs = [each for each in found if each.kind == "run" and not each.anchor]
    factors = [students[each.inputs["model"]].settings["factors"] for each in runs]
    assert all(
        set(each) == {"teacher_sft", "student_sft", "vocabulary", "algorithm", "variant", "seed"} for each in factors
    )
    assert len({tuple(sorted(each.items())) for each in factors}) == len(runs) == 12


def test_ancestors_are_what_a_cell_alone_would_have_to_make() -> None:
    found = graph()
    run = next(each for each in found if each.label == "run-different-dskd-t1-s1-seed0")
    assert [each.label for each in found.ancestors(run.sha256) if each.kind != "model"] == [
        "sft-student-seed0",
        "sft-teacher-different",
        "cache-teacher-different-sft",
        "student-different-dskd-t1-s1-seed0",
        "run-different-dskd-t1-s1-seed0",
    ]


def test_without_a_cache_teachers_run_beside_their_students() -> None:
    found = graph(cache=False)
    assert kinds(found)["cache"] == 0
    assert all(each.settings["teacher_cache"] is None for each in found if each.kind == "student")


def test_anchors_can_be_chosen_one_by_one() -> None:
    found = graph(anchors=["sft_teacher", "student_alone"])
    assert {each.settings["name"] for each in found if each.anchor} == {
        "sft-teacher-same",
        "sft-teacher-different",
        "alone-student-seed0",
    }
    with pytest.raises(InputError, match="did you mean 'sft_teacher'"):
        graph(anchors=["sft_teachers"])


def test_without_anchors_there_are_cells_alone() -> None:
    found = graph(anchors=[])
    assert kinds(found) == {"model": 3, "sft": 3, "cache": 4, "student": 12, "run": 12}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"distillation": {"student": "x"}}, "student is decided by the study"),
        ({"distillation": {"optimiser": {"seed": 1}}}, "optimiser.seed is decided"),
        ({"distillation": {"method": {"algorithm": "uld"}}}, "method.algorithm is decided"),
        ({"algorithms": {"dskd": {"data": {"split": "all"}}}}, "data is decided"),
        ({"algorithms": {"uld": {}}}, "no level of the factor"),
        ({"budget": {"kind": "equal_tokens"}}, "tokens"),
        ({"budget": {"kind": "equal_tokens", "tokens": 9, "sft_share": 1}}, "between 0 and 1"),
        ({"factors": {"algorithm": ["dskd", "dskd"]}}, "each once"),
        ({"factors": {"algorithm": []}}, "one level or more"),
        ({"factors": {"algoritm": ["dskd"]}}, "did you mean 'algorithm'"),
        ({"models": {"teacher": {"different": None}}}, "is empty|no teacher"),
        ({"models": {"student": {"same": "x"}}}, "keep one of them"),
        ({"models": {"student": {"both": "scratch:none"}}}, "no 'none' in scratch"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        study(**changes)


def test_a_key_that_trainings_do_not_know_is_refused_before_anything_is_made() -> None:
    with pytest.raises(InputError, match="did you mean 'learning_rate'"):
        graph(distillation={"optimiser": {"learnin_rate": 1}})


def test_cells_of_one_impossible_kind_are_no_study() -> None:
    with pytest.raises(InputError, match="no cell"):
        graph(factors={"vocabulary": ["different"], "algorithm": ["vanilla_kd"]})


def test_the_preset_makes_its_models_itself() -> None:
    settings = read_study("nano")
    found = build_graph(settings, replace(SOURCES, models={}))
    assert kinds(found)["base"] == 3
    assert kinds(found)["model"] == 0
    trained = [each for each in found if each.kind in {"sft", "student"}]
    assert all(
        isinstance(read_settings(TrainingSettings, each.settings, each.label), TrainingSettings) for each in trained
    )
