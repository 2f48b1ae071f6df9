"""Which runs share an engine, in which order, and what is said where one needs another."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from telbench.harness.adapter import open_model
from telbench.harness.engines.contract import EngineInfo, EngineSettings, EngineSpec, SharedEngine
from telbench.harness.fleet.engines import Asked, grouped, load_key


def unused(settings: Any) -> Any:
    raise AssertionError("nothing is opened here")


def shared(every: Any) -> SharedEngine:
    raise AssertionError("nothing is opened here")


def spec(*, keeps: str | None = "") -> EngineSpec:
    """A local engine that shares; ``keeps``: what it says of each architecture, None where it keeps none."""
    told = None if keeps is None else lambda architecture: keeps
    described = lambda settings: EngineInfo("local", "1")  # noqa: E731
    return EngineSpec("local", True, True, described, unused, share=shared, keeps=told)


def asked(engine: EngineSpec, folder: Path, **more: Any) -> Asked:
    return Asked(engine, EngineSettings(checkpoint=open_model(str(folder)), max_model_len=64, **more), "t")


def places(every: list[Asked]) -> list[tuple[int, ...]]:
    return [group.places for group in grouped(every)]


def test_checkpoints_of_one_frame_follow_one_another_each_with_all_its_sets(alike_checkpoints: list[Path]) -> None:
    engine = spec()
    one, two = (asked(engine, folder) for folder in alike_checkpoints[:2])
    assert places([one, two, one, two]) == [(0, 2, 1, 3)]
    # How long texts are is no reason for another engine, nor what a server would read.
    longer = replace(two, settings=replace(two.settings, max_model_len=99, chat_template_kwargs={"a": 1}, model="x"))
    assert places([one, longer]) == [(0, 1)]


def test_another_format_or_option_is_another_engine(alike_checkpoints: list[Path]) -> None:
    engine = spec()
    every = [asked(engine, alike_checkpoints[0]), asked(engine, alike_checkpoints[1], dtype="bfloat16")]
    every += [asked(engine, alike_checkpoints[1], options={"enforce_eager": "true"})]
    groups = grouped(every)
    assert [group.places for group in groups] == [(0,), (1,), (2,)]
    assert [group.told for group in groups] == ["", *["other settings of the engine"] * 2]
    assert len({load_key(each) for each in every}) == 3


def test_what_differs_is_told(tiny_checkpoint: Path, tied_checkpoints: list[Path]) -> None:
    engine = spec()
    first, second = grouped([asked(engine, tiny_checkpoint), asked(engine, tied_checkpoints[0])])
    assert (first.told, second.told) == ("", "another config.json")


def test_an_engine_that_keeps_no_architecture_keeps_one_checkpoint(alike_checkpoints: list[Path]) -> None:
    engine = spec(keeps="not tried")
    one, two = (asked(engine, folder) for folder in alike_checkpoints[:2])
    groups = grouped([one, two, one])
    assert [group.places for group in groups] == [(0, 2), (1,)]
    assert groups[1].told == "not tried"
    assert places([one, one]) == [(0, 1)]


def test_an_engine_of_adapters_alone_keeps_no_checkpoints(alike_checkpoints: list[Path], adapters: list[Path]) -> None:
    engine = spec(keeps=None)
    assert places([asked(engine, alike_checkpoints[0])] * 2) == [(0,), (1,)]
    assert places([asked(engine, folder) for folder in adapters]) == [(0, 1)]


def test_positions_that_are_scaled_by_length_want_engines_of_that_length(
    alike_checkpoints: list[Path], tmp_path: Path
) -> None:
    scaled = tmp_path / "scaled"
    shutil.copytree(alike_checkpoints[0], scaled)
    config = json.loads((scaled / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "longrope", "rope_theta": 10000.0}
    (scaled / "config.json").write_text(json.dumps(config))
    one = asked(spec(), scaled)
    longer = replace(one, settings=replace(one.settings, max_model_len=99))
    assert places([one, longer, one]) == [(0, 2), (1,)]
