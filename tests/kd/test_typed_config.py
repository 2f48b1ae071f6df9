"""Settings from YAML and flags: types are kept, and what does not fit is refused by name."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from telbench.judges.errors import InputError
from telbench.kd.objectives import ULD_MIXTURE, Mixture
from telbench.kd.settings import CACHEABLE, MethodSettings, TrainingSettings
from telbench.kd.typed_config import add_flags, flags_given, merged, read_settings, read_yaml


def settings(given: object) -> TrainingSettings:
    return read_settings(TrainingSettings, given, "training.yaml")


def test_numbers_keep_their_types_however_yaml_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "training.yaml"
    # YAML 1.1 reads 1e-4 as text.
    file.write_text("student: base\noptimiser: {learning_rate: 1e-4, epochs: 3}\nlora: {targets: [q_proj, v_proj]}\n")
    found = settings(read_yaml(file))
    assert found.optimiser.learning_rate == 1e-4
    assert found.optimiser.epochs == 3
    assert found.lora is not None
    assert found.lora.targets == ("q_proj", "v_proj")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"studnt": "a"}, "training.yaml: unknown key 'studnt': did you mean 'student'?"),
        ({"student": "a", "optimiser": {"epoch": 1}}, "optimiser: unknown key 'epoch': did you mean 'epochs'?"),
        ({"student": "a", "optimiser": {"epochs": 1.5}}, "epochs must be a whole number, not 1.5"),
        ({"student": "a", "optimiser": {"epochs": True}}, "epochs must be a whole number, not True"),
        ({"student": "a", "optimiser": {"epochs": 0}}, "epochs is 0: it must be positive"),
        ({"student": "a", "optimiser": {"learning_rate": float("nan")}}, "learning_rate is nan"),
        ({"student": "a", "optimiser": []}, "training.yaml: optimiser must be a mapping"),
        ({"student": "a", "method": {"algorithm": "dksd"}}, "algorithm is 'dksd': did you mean 'dskd'?"),
        ({"student": "a", "method": {"t2_scale": "yes"}}, "t2_scale must be true or false"),
        ({"student": "a", "method": {"kd_rate": 1.5}}, "kd_rate is 1.5: it lies between 0 and 1"),
        ({"student": "a", "method": {"algorithm": "dskd"}}, "dskd needs a teacher"),
        ({"student": "a", "teacher": "b"}, "sft has no teacher"),
        ({"student": "a", "data": {"dev_split": "train"}}, "dev_split is the training split"),
        ({"student": "a", "lora": {"dropout": 1}}, "dropout is 1"),
        ({"student": "a", "data": {"data": None}}, "data is empty"),
        ({}, "no student"),
        ([], "training.yaml must be a mapping"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(given: object, told: str) -> None:
    with pytest.raises(InputError) as caught:
        settings(given)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2\n", "the key 'a' stands twice (line 2, column 1)"),
        ("a: [1\n", "is not YAML"),
        ("- a\n", "holds no mapping"),
        ("a: !!python/object:os.system {}\n", "is not YAML"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_yaml(file)
    assert str(file) in str(caught.value)
    assert told in str(caught.value)


def test_flags_come_before_the_file_and_leave_no_trace_when_absent() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, TrainingSettings)
    given = flags_given(parser.parse_args(["--seed", "4", "--lora-rank", "2", "--no-t2-scale"]), TrainingSettings)
    assert given == {"optimiser": {"seed": "4"}, "lora": {"rank": "2"}, "method": {"t2_scale": False}}
    found = settings(merged({"student": "a", "optimiser": {"seed": 1, "epochs": 2}}, given))
    assert (found.optimiser.seed, found.optimiser.epochs) == (4, 2)
    assert flags_given(parser.parse_args([]), TrainingSettings) == {}


def test_settings_survive_the_way_through_json() -> None:
    found = settings({"student": "a", "teacher": "b", "method": {"algorithm": "uld"}, "lora": {"rank": 3}})
    assert settings(found.to_dict()) == found


def test_what_depends_on_the_student_takes_no_cache() -> None:
    assert "gkd" not in CACHEABLE
    with pytest.raises(InputError, match="gkd cannot use a teacher cache"):
        settings({"student": "a", "teacher": "b", "teacher_cache": "c", "method": {"algorithm": "gkd"}})


def test_defaults_are_those_of_the_dskd_scripts_and_of_the_papers() -> None:
    """github.com/songmzhang/DSKD: kd_rate 0.5, kd_temp 2.0, projector 1e-3, student 5e-4 with cosine decay."""
    found = settings({"student": "base"})
    assert (found.optimiser.learning_rate, found.optimiser.schedule, found.optimiser.batch_size) == (5e-4, "cosine", 32)
    assert (found.optimiser.epochs, found.optimiser.clip_norm, found.optimiser.warmup_share) == (10, 1.0, 0.03)
    assert (found.optimiser.weight_decay, found.optimiser.beta2) == (0.01, 0.999)
    method = MethodSettings(algorithm="vanilla_kd")
    assert (method.kd_rate, method.softness, method.t2_scale, method.divergence) == (0.5, 2.0, False, "forward_kl")
    assert (method.student_share, method.sampling_temperature, method.highest_share) == (0.5, 1.0, 1.0)
    # Boizard et al. compare at temperature 1; version 2 of DSKD trains its projectors at half of version 1's rate.
    assert MethodSettings(algorithm="uld").softness == 1.0
    rates = {name: MethodSettings(algorithm=name).projector_rate for name in ("dskd", "dskd_cma", "dskd_v2", "sft")}
    assert rates == {"dskd": 1e-3, "dskd_cma": 1e-3, "dskd_v2": 5e-4, "sft": None}
    assert MethodSettings(algorithm="dskd", projector_learning_rate=2e-3).projector_rate == 2e-3
    assert (Mixture().rate, Mixture().temperature, Mixture().t2_scale) == (0.5, 2.0, False)
    assert (ULD_MIXTURE.rate, ULD_MIXTURE.temperature) == (0.5, 1.0)
