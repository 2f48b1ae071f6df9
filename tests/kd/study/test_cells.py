"""Settings as factors of a study: their cells, what they change in a training, and combinations that mean nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from telbench.config import merged, read_settings
from telbench.errors import InputError
from telbench.kd.settings import TrainingSettings
from telbench.kd.study.cells import cells_of
from telbench.kd.study.estimate import costs
from telbench.kd.study.graph import Artefact, Graph, Sources, build_graph
from telbench.kd.study.settings import StudySettings
from telbench.kd.study.sources import Amount, Found
from telbench.leaderboard.compare.seeds import NOT_FACTORS

MODELS = {"student": {"both": "tiny"}, "teacher": {"same": "llama", "different": "mistral"}}
SOURCES = Sources({"tiny": "a" * 64, "llama": "b" * 64, "mistral": "c" * 64}, "d" * 64, "e" * 64)
# One teacher, one student, one half: what is left are the factors under test.
PLAIN = {"teacher_sft": [True], "student_sft": [False], "vocabulary": ["same"], "algorithm": ["vanilla_kd"]}


def study(factors: dict[str, Any], **changes: Any) -> StudySettings:
    given = {"name": "s", "models": MODELS, "factors": {**PLAIN, **factors}}
    return read_settings(StudySettings, merged(given, changes), "study")


def graph(factors: dict[str, Any], **changes: Any) -> Graph:
    return build_graph(study(factors, **changes), SOURCES)


def students(found: Graph) -> list[Artefact]:
    return [each for each in found if each.kind == "student" and "seq_kd" not in each.label]


def test_levels_of_settings_are_crossed_and_reach_their_trainings() -> None:
    factors = {"divergence": ["forward_kl", "reverse_kl"], "temperature": [1, 2.5], "kd_rate": [0.5]}
    found = graph(factors, training={"optimiser": {"epochs": 3}})
    trained = {each.label: read_settings(TrainingSettings, each.settings, "t") for each in students(found)}
    assert Counter((one.method.divergence, one.method.temperature) for one in trained.values()) == {
        (divergence, temperature): 1 for divergence in factors["divergence"] for temperature in factors["temperature"]
    }
    assert {one.method.kd_rate for one in trained.values()} == {0.5}
    assert {one.optimiser.epochs for one in trained.values()} == {3}
    assert "student-same-vanilla_kd-t1-s0-divergence_reverse_kl-temperature_2.5-kd_rate_0.5-seed0" in trained
    for label, one in trained.items():
        assert f"-divergence_{one.factors['divergence']}-temperature_{one.factors['temperature']:g}-" in label
    # What the levels do not touch is made once.
    kinds = Counter(each.kind for each in found)
    assert (kinds["cache"], kinds["run"] - kinds["student"]) == (1, 5)


def test_without_such_factors_everything_is_called_and_hashed_as_ever() -> None:
    (cell,), _ = cells_of(study({}))
    assert cell.label == "same-vanilla_kd-t1-s0-seed0"
    assert set(cell.factors()) == {"teacher_sft", "student_sft", "vocabulary", "algorithm", "variant", "seed"}


def test_ranks_of_lora_and_any_other_setting_are_factors() -> None:
    found = graph({"lora_rank": [0, 8], "settings": {"warmup_share": [0.0, 0.1]}}, training={"lora": {"alpha": 4}})
    trained = [read_settings(TrainingSettings, each.settings, "t") for each in students(found)]
    seen = {
        (None if one.lora is None else (one.lora.rank, one.lora.alpha), one.optimiser.warmup_share) for one in trained
    }
    assert seen == {(None, 0.0), (None, 0.1), ((8, 4.0), 0.0), ((8, 4.0), 0.1)}
    assert {one.factors["lora_rank"] for one in trained} == {0, 8}
    assert {one.factors["warmup_share"] for one in trained} == {0.0, 0.1}


def test_budgets_are_a_factor_of_students_and_of_what_they_are_held_against() -> None:
    budget = {"kind": "equal_tokens", "sft_share": 0.4}
    found = graph({"tokens": [1000, 3000], "student_sft": [False, True]}, budget=budget)
    limits = {each.label: each.settings["optimiser"]["max_tokens"] for each in found if each.kind in {"sft", "student"}}
    assert limits == {
        "sft-teacher-same": None,
        "sft-student-tokens_1000-seed0": 400,
        "sft-student-tokens_3000-seed0": 1200,
        "alone-student-tokens_1000-seed0": 1000,
        "alone-student-tokens_3000-seed0": 3000,
        "student-same-vanilla_kd-t1-s0-tokens_1000-seed0": 1000,
        "student-same-vanilla_kd-t1-s0-tokens_3000-seed0": 3000,
        "student-same-vanilla_kd-t1-s1-tokens_1000-seed0": 600,
        "student-same-vanilla_kd-t1-s1-tokens_3000-seed0": 1800,
        "student-same-seq_kd-tokens_1000-seed0": 1000,
        "student-same-seq_kd-tokens_3000-seed0": 3000,
    }
    # The statistics take a factor called tokens for what a training came to.
    assert {each.settings["factors"]["token_budget"] for each in students(found)} == {1000, 3000}
    amounts = Found(SOURCES, Amount(100, 400000, 40000), Amount(10, 400, 800), {"tiny": 1, "llama": 1}, {"llama": 8})
    told = costs(found, amounts, {})
    by_label = {each.label: told[each.sha256].tokens for each in found.to_make()}
    assert by_label["student-same-vanilla_kd-t1-s1-tokens_3000-seed0"] == 1800


def test_every_factor_is_one_for_the_statistics() -> None:
    every = {"divergence": ["forward_kl"], "temperature": [1], "kd_rate": [0.5], "lora_rank": [4], "tokens": [100]}
    settings = {name: [1] for name in ("epochs", "batch_size", "save_every", "patience")}
    budget = {"kind": "equal_tokens"}
    (cell,), _ = cells_of(study({**every, "settings": settings}, budget=budget))
    known = {"teacher_sft", "student_sft", "vocabulary", "algorithm"}
    assert len(set(cell.factors()) - NOT_FACTORS - known) == len(every) + len(settings)


def test_both_versions_of_dskd_stand_side_by_side() -> None:
    levels = {"algorithm": ["vanilla_kd", "dskd_v1", "dskd_v2"], "vocabulary": ["same", "different"]}
    cells, omitted = cells_of(study(levels))
    assert {(cell.vocabulary, cell.level): cell.variant for cell in cells} == {
        ("same", "vanilla_kd"): "vanilla_kd",
        ("same", "dskd_v1"): "dskd",
        ("same", "dskd_v2"): "dskd_v2",
        ("different", "dskd_v1"): "dskd_cma",
        ("different", "dskd_v2"): "dskd_v2",
    }
    assert len(omitted) == 1
    own = graph(levels, algorithms={"dskd_v2": {"method": {"highest_share": 0.5}}})
    shares = {each.label: each.settings["method"]["highest_share"] for each in students(own)}
    assert shares["student-different-dskd_v2-t1-s0-seed0"] == 0.5
    assert shares["student-different-dskd_v1-t1-s0-seed0"] == 1.0


def test_cells_whose_algorithm_does_not_read_the_factor_are_left_out_with_the_reason() -> None:
    cells, omitted = cells_of(study({"algorithm": ["vanilla_kd", "uld"], "divergence": ["forward_kl", "reverse_kl"]}))
    assert {cell.level for cell in cells} == {"vanilla_kd"}
    assert omitted == ["uld with the factor divergence: uld does not read it"]
    with pytest.raises(InputError, match="no cell: uld with the factor divergence"):
        graph({"algorithm": ["uld"], "divergence": ["forward_kl", "reverse_kl"]})


@pytest.mark.parametrize(
    ("factors", "changes", "complaint"),
    [
        ({"divergence": ["forward_kl", "forward_kl"]}, {}, "each once"),
        ({"settings": {"warmup_share": []}}, {}, "one level or more"),
        ({"settings": {"warmup_shar": [0]}}, {}, "did you mean 'warmup_share'"),
        ({"settings": {"kd_rate": [0.1]}}, {}, "one step further out"),
        ({"settings": {"algorithm": ["uld"]}}, {}, "factor of its own"),
        ({"settings": {"split": ["train"]}}, {}, "data is decided by the study"),
        (
            {"settings": {"max_tokens": [10]}},
            {"budget": {"kind": "equal_tokens", "tokens": 9}},
            "max_tokens is decided",
        ),
        ({"settings": {"teacher": ["x", "y"]}}, {}, "teacher is decided"),
        ({"temperature": [1, 2]}, {"distillation": {"method": {"temperature": 3}}}, "method.temperature is a factor"),
        ({"lora_rank": [4, 8]}, {"training": {"lora": {"rank": 2}}}, "training: lora.rank is a factor"),
        (
            {"kd_rate": [0.1]},
            {"algorithms": {"vanilla_kd": {"method": {"kd_rate": 0.2}}}},
            "method.kd_rate is a factor",
        ),
        ({"tokens": [10, 20]}, {}, "equal_tokens"),
        ({"tokens": [10, 20]}, {"budget": {"kind": "equal_tokens", "tokens": 30}}, "leave it out"),
        ({"algorithm": ["dskd", "dskd_v1"]}, {}, "dskd is dskd_v1 here"),
        ({"algorithm": ["dskd_cma"]}, {}, "dskd_v1 between different"),
        ({"algorithm": ["dskd_v1"]}, {"illegal": "dskd_cma"}, "the cells of dskd_v1 twice"),
        ({"algorithm": ["dskd_v3"]}, {}, "did you mean"),
    ],
)
def test_factors_that_contradict_something_are_refused(
    factors: dict[str, Any], changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        study(factors, **changes)


@pytest.mark.parametrize(
    ("factors", "complaint"),
    [
        ({"divergence": ["forward_kl", "reverse_k"]}, "did you mean 'reverse_kl'"),
        ({"kd_rate": [0.5, 2]}, "between 0 and 1"),
        ({"settings": {"schedule": ["cosine", "cosin"]}}, "did you mean 'cosine'"),
    ],
)
def test_a_level_that_no_training_takes_is_refused_before_anything_is_made(
    factors: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        graph(factors)
