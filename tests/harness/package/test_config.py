"""Settings from YAML and flags: types are kept, and what does not fit is refused by name."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml

from telbench.config import (
    REQUIRED,
    changed,
    group,
    merged,
    read_settings,
    read_yaml,
    same_as,
    setting,
    settings_in,
    written,
)
from telbench.errors import InputError
from telbench.flags import add_flags, flags_given, settings_of
from telbench.harness.cli.main import Options
from telbench.harness.datasets.settings import DataSettings
from telbench.kd.losses.mixture import Mixture
from telbench.kd.losses.token_kd import ULD_MIXTURE
from telbench.kd.settings import MethodSettings, OptimiserSettings, TrainingSettings


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
        ({"student": "a", "optimiser": {"epochs": 0}}, "epochs is 0: it must be at least 1"),
        ({"student": "a", "optimiser": {"learning_rate": float("nan")}}, "learning_rate is nan"),
        ({"student": "a", "optimiser": []}, "training.yaml: optimiser must be a mapping"),
        ({"student": "a", "method": {"algorithm": "dksd"}}, "algorithm is 'dksd': did you mean 'dskd'?"),
        ({"student": "a", "method": {"t2_scale": "yes"}}, "t2_scale must be true or false"),
        ({"student": "a", "method": {"kd_rate": 1.5}}, "kd_rate is 1.5: it must be between 0 and 1"),
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


def test_a_wrong_key_or_value_of_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "training.yaml"
    for text, told in (
        ("# a note\nstudnt: {a: 1}\n", "unknown key 'studnt' (line 2): did you mean 'student'?"),
        ("student: a\noptimiser:\n  seed: 1\n  epochs: x\n", "optimiser: epochs (line 4) must be a whole number"),
        ("student: a\noptimiser:\n\n  epoch: 3\n", "optimiser: unknown key 'epoch' (line 4)"),
    ):
        file.write_text(text)
        with pytest.raises(InputError) as caught:
            settings(read_yaml(file))
        assert told in str(caught.value)
    # What flags said stands in no line of the file.
    file.write_text("student: a\noptimiser: {epochs: 2}\n")
    with pytest.raises(InputError, match=r"optimiser: epochs must be"):
        settings(merged(read_yaml(file), {"optimiser": {"epochs": "x"}}))


def test_flags_come_before_the_file_and_leave_no_trace_when_absent() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, TrainingSettings)
    given = flags_given(parser.parse_args(["--seed", "4", "--lora-rank", "2", "--no-t2-scale"]), TrainingSettings)
    assert given == {"optimiser": {"seed": 4}, "lora": {"rank": 2}, "method": {"t2_scale": False}}
    found = settings(merged({"student": "a", "optimiser": {"seed": 1, "epochs": 2}}, given))
    assert (found.optimiser.seed, found.optimiser.epochs) == (4, 2)
    assert flags_given(parser.parse_args([]), TrainingSettings) == {}


def test_settings_survive_the_way_through_json() -> None:
    found = settings({"student": "a", "teacher": "b", "method": {"algorithm": "uld"}, "lora": {"rank": 3}})
    assert settings(found.to_dict()) == found


def test_what_depends_on_the_student_takes_no_cache() -> None:
    with pytest.raises(InputError, match="gkd cannot use a teacher cache"):
        settings({"student": "a", "teacher": "b", "teacher_cache": "c", "method": {"algorithm": "gkd"}})


@dataclass(frozen=True)
class Lamp:
    """A subject of its own."""

    watts: float = setting(5.0, "power", low=1, high=10)
    colours: tuple[str, ...] = setting((), "in turn", many="comma", key="colour")
    lit: bool = setting(True, "switch it off", flag="--no-light")


@dataclass(frozen=True)
class Room:
    """Something with a subject whose keys stand beside its own."""

    name: str = setting(REQUIRED, "what it is called", metavar="NAME", positional=True)
    seats: int | None = setting(None, "how many", low=1)
    doors: Mapping[str, str] = setting({}, "where they lead", flag="--door")
    lamp: Lamp = group(lambda: Lamp(watts=7.0), "light")


def parsed(*words: str) -> Room:
    parser = Options(prog="telbench room", allow_abbrev=False)
    add_flags(parser, Room, config=True)
    return settings_of(parser.parse_args(list(words)), Room)


def test_keys_of_a_group_stand_beside_the_others_and_its_default_is_kept() -> None:
    found = read_settings(Room, {"name": "a", "colour": "red, blue"}, "room.yaml")
    assert found == Room("a", lamp=Lamp(7.0, ("red", "blue")))
    assert written(found) == {"name": "a", "watts": 7.0, "colour": ["red", "blue"]}


@dataclass(frozen=True)
class House:
    """Something whose subject has a mapping of its own, and settings that another dataclass tells."""

    seats: int | None = same_as(Room, "seats", default=2)
    doors: Mapping[str, str] = same_as(Room, "doors", help="where they lead outside")
    porch: Lamp = field(default_factory=lambda: Lamp(watts=3.0))
    attic: Lamp | None = None


def test_what_is_not_given_of_a_nested_mapping_is_as_its_field_says() -> None:
    assert read_settings(House, {"porch": {"lit": False}}, "house") == House(porch=Lamp(3.0, lit=False))
    assert read_settings(House, {"attic": {"lit": False}}, "house").attic == Lamp(5.0, lit=False)
    assert read_settings(House, {"attic": None}, "house").attic is None
    with pytest.raises(InputError, match=r"house: porch: watts is 0\.0: it must be between 1 and 10"):
        read_settings(House, {"porch": {"watts": 0}}, "house")


def test_a_setting_like_another_has_all_but_what_is_replaced() -> None:
    mine, theirs = settings_in(House), settings_in(Room)
    assert (mine["seats"].told, mine["seats"].default()) == (theirs["seats"].told, 2)
    assert mine["doors"].told == {**theirs["doors"].told, "help": "where they lead outside"}
    assert mine["doors"].default() == {}


def test_nested_settings_that_can_be_left_out_have_flags_of_their_own_name() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, House, without=("colour",))
    given = flags_given(parser.parse_args(["--watts", "4", "--attic-watts", "6"]), House)
    assert given == {"porch": {"watts": 4.0}, "attic": {"watts": 6.0}}


def test_flags_files_and_keywords_make_the_same_settings(tmp_path: Path) -> None:
    wanted = Room("a", 3, {"n": "hall", "s": "yard"}, Lamp(2.5, ("red", "blue"), lit=False))
    words = ["a", "--seats", "3", "--door", "n=hall", "--door", "s=yard", "--watts", "2.5", "--colour", "red,blue"]
    assert parsed(*words, "--no-light") == wanted
    for name, text in (
        ("room.yaml", yaml.safe_dump(written(wanted), sort_keys=False)),
        ("room.json", json.dumps(written(wanted))),
    ):
        (tmp_path / name).write_text(text)
        assert parsed("--config", str(tmp_path / name)) == wanted
        assert parsed("--config", str(tmp_path / name), "--seats", "4") == replace(wanted, seats=4)
    assert changed(Room("a"), **written(wanted)) == wanted


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "NAME is missing (what it is called)"),
        (["a", "--seats", "0"], "argument --seats: 0 is not at least 1: see telbench room --help"),
        (["a", "--seats", "1.5"], "argument --seats: '1.5' is no whole number"),
        (["a", "--watts", "nan"], "argument --watts: nan is not between 1 and 10"),
        (["a", "--door", "hall"], "--door 'hall': write NAME=VALUE,NAME=VALUE"),
        (["a", "--door", "n=x", "--door", "n=y"], "--door 'n' is given twice"),
        (["a", "--sets", "1"], "unknown option --sets: did you mean --seats"),
    ],
)
def test_a_flag_that_does_not_fit_is_told_in_one_line(words: list[str], told: str) -> None:
    with pytest.raises(InputError) as caught:
        parsed(*words)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": "a", "watts": 11}, "room: watts is 11.0: it must be between 1 and 10"),
        ({"name": "a", "lamp": {}}, "room: unknown key 'lamp': there are name, seats, doors, watts, colour, lit"),
        ({"name": "a", "doors": "n=hall"}, "room: doors must be a mapping"),
        ({"name": "a", "lit": "no"}, "room: lit must be true or false, not 'no'"),
        ({"name": ["a"]}, "room: name must be text"),
        ({"seats": 2}, "room: the key 'name' is missing (what it is called)"),
    ],
)
def test_a_key_that_does_not_fit_is_told_in_one_line(given: dict[str, object], told: str) -> None:
    with pytest.raises(InputError) as caught:
        read_settings(Room, given, "room")
    assert told in str(caught.value)


def test_numbers_in_json_keep_their_digits(tmp_path: Path) -> None:
    # YAML 1.1 would read 1e-05 as a word.
    (tmp_path / "x.json").write_text('{"rate": 1e-05}')
    assert read_yaml(tmp_path / "x.json") == {"rate": 1e-05}


def test_a_bound_holds_for_settings_that_code_makes() -> None:
    with pytest.raises(InputError, match="limit is 0: it must be at least 1"):
        DataSettings(limit=0)
    with pytest.raises(InputError, match=r"beta2 is 1\.0: it must be above 0 and below 1"):
        OptimiserSettings(beta2=1.0)


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
