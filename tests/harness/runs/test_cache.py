"""The generation cache: an unchanged checkpoint is never asked twice, a changed one always is."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telbench.config import changed
from telbench.harness.runs import plan as plan_module
from telbench.harness.runs.evaluate import evaluate
from telbench.harness.runs.settings import EvalSettings, eval_settings

from ...scripted_engine import NotedReporter, Script, die, killed, use, write_items

COUNT = 8
Change = Callable[[EvalSettings], EvalSettings]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def wanted(tmp_path: Path, tiny_checkpoint: Path, cache: Path) -> EvalSettings:
    """A run of eight items with a copy of the tiny checkpoint."""
    shutil.copytree(tiny_checkpoint, tmp_path / "model")
    return eval_settings(
        model=str(tmp_path / "model"),
        data=str(write_items(tmp_path / "data.jsonl", COUNT)),
        metrics=("token_f1",),
        max_tokens=8,
        out=tmp_path / "run",
    )


def made(settings: EvalSettings, script: Script, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The generation part of the header of a run with the scripted engine."""
    use(monkeypatch, script, local=True)
    return evaluate(settings, NotedReporter()).header["generation"]


def elsewhere(settings: EvalSettings) -> EvalSettings:
    assert settings.out is not None
    return replace(settings, out=settings.out.with_name("other run"))


def edited(settings: EvalSettings, name: str, edit: Callable[[bytes], bytes]) -> EvalSettings:
    file = Path(settings.model) / name
    file.write_bytes(edit(file.read_bytes()))
    return settings


def other_weight(content: bytes) -> bytes:
    """The last float32 of a safetensors file, changed a little."""
    (value,) = struct.unpack("<f", content[-4:])
    return content[:-4] + struct.pack("<f", value + 1e-3)


def other_template(content: bytes) -> bytes:
    return content.replace(b"<|", b"Now <|", 1)


CHANGES: dict[str, Change] = {
    "one weight": lambda settings: edited(settings, "model.safetensors", other_weight),
    "chat template": lambda settings: edited(settings, "chat_template.jinja", other_template),
    "generation config": lambda settings: edited(
        settings,
        "generation_config.json",
        lambda content: json.dumps({**json.loads(content), "eos_token_id": [2, 3]}).encode(),
    ),
    "context": lambda settings: changed(settings, context="closed"),
    "plain template": lambda settings: changed(settings, chat_template=False),
    "max tokens": lambda settings: changed(settings, max_tokens=9),
    "seed": lambda settings: changed(settings, seed=1),
    "number format": lambda settings: changed(settings, dtype="bfloat16"),
    "no cache": lambda settings: replace(settings, cache=False),
    "fresh": lambda settings: replace(settings, fresh=True),
}


def test_an_unchanged_checkpoint_is_answered_from_the_cache_and_the_engine_stays_shut(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch
):
    first = made(wanted, Script(), monkeypatch)
    assert (first["generated"], first["cached"]) == (COUNT, 0)
    script = Script()
    again = made(elsewhere(wanted), script, monkeypatch)
    assert (again["generated"], again["cached"]) == (0, COUNT)
    assert script.opened == 0


def test_the_cache_goes_by_content_not_by_path(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    made(wanted, Script(), monkeypatch)
    shutil.copytree(wanted.model, tmp_path / "elsewhere" / "renamed")
    script = Script()
    moved = replace(elsewhere(wanted), model=str(tmp_path / "elsewhere" / "renamed"))
    assert made(moved, script, monkeypatch)["cached"] == COUNT
    assert script.opened == 0


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_can_change_an_answer_is_asked_anew(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, change: Change):
    made(wanted, Script(), monkeypatch)
    script = Script()
    generation = made(change(elsewhere(wanted)), script, monkeypatch)
    assert (generation["generated"], generation["cached"]) == (COUNT, 0)
    assert set(script.asked.values()) == {1}


def test_new_items_alone_are_asked(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    made(wanted, Script(), monkeypatch)
    more = changed(elsewhere(wanted), data=str(write_items(tmp_path / "more.jsonl", COUNT + 3)))
    generation = made(more, Script(), monkeypatch)
    assert (generation["generated"], generation["cached"]) == (3, COUNT)


def test_no_cache_writes_none(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, cache: Path):
    made(replace(wanted, cache=False), Script(), monkeypatch)
    assert not (cache / "generations").exists()


def test_fresh_answers_replace_those_in_the_cache_without_growing_it(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, cache: Path
):
    made(wanted, Script(), monkeypatch)
    (file,) = (cache / "generations").glob("*.jsonl")
    size = file.stat().st_size
    made(replace(wanted, fresh=True), Script(), monkeypatch)
    assert file.stat().st_size == size


def test_answers_made_before_a_kill_reach_the_cache_with_the_rest(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch
):
    dying = Script(act=lambda count: die() if count == 5 else None)
    assert killed(lambda: made(wanted, dying, monkeypatch))
    assert made(wanted, Script(), monkeypatch)["resumed"] == 5
    assert made(elsewhere(wanted), Script(), monkeypatch)["cached"] == COUNT


def test_failures_are_not_cached(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    made(wanted, Script(errors=frozenset({"q3"})), monkeypatch)
    script = Script()
    generation = made(elsewhere(wanted), script, monkeypatch)
    assert (generation["generated"], generation["cached"]) == (1, COUNT - 1)
    assert list(script.asked) == ["q3"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"\x00" * len(content),
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b'"text"', b'"test"'),
        lambda content: content.replace(b'"stop"', b'"what"'),
        lambda content: content.replace(b": 7", b": NaN"),
        lambda content: b"[1]\n7\nnull\n" + content,
    ],
    ids=["zeros", "half", "without texts", "unknown finish reason", "NaN", "noise"],
)
def test_a_damaged_cache_costs_time_only(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, cache: Path, damage: Callable[[bytes], bytes]
):
    made(wanted, Script(), monkeypatch)
    (file,) = (cache / "generations").glob("*.jsonl")
    file.write_bytes(damage(file.read_bytes()))
    script = Script()
    use(monkeypatch, script, local=True)
    header = evaluate(elsewhere(wanted), NotedReporter()).header
    generation = header["generation"]
    assert header["counts"]["ok"] == COUNT
    assert generation["generated"] + generation["cached"] == COUNT
    assert len(script.asked) == generation["generated"]
    final = replace(wanted, out=elsewhere(wanted).out.with_name("third"))  # pyright: ignore[reportOptionalMemberAccess]
    assert made(final, Script(), monkeypatch)["cached"] == COUNT


@pytest.mark.parametrize("obstacle", ["cache is a file", "generations is a file", "store is a folder"])
def test_a_cache_that_cannot_be_used_costs_time_only(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, cache: Path, obstacle: str
):
    if obstacle == "cache is a file":
        cache.write_text("")
    elif obstacle == "generations is a file":
        cache.mkdir()
        (cache / "generations").write_text("")
    else:
        made(wanted, Script(), monkeypatch)
        (file,) = (cache / "generations").glob("*.jsonl")
        file.unlink()
        file.mkdir()
    for settings in (replace(wanted, fresh=True), elsewhere(wanted)):
        generation = made(settings, Script(), monkeypatch)
        assert (generation["generated"], generation["cached"]) == (COUNT, 0)


def test_a_real_engine_is_not_opened_for_answers_that_are_known(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    settings = changed(wanted, engine="transformers", metrics=("token_f1", "bleu"))
    first = evaluate(settings, NotedReporter()).header
    assert first["generation"]["dtype"] == "float32"
    spec, note = plan_module.engine_named("transformers")
    shut = replace(spec, open=lambda settings: pytest.fail("the engine was opened"))
    monkeypatch.setattr(plan_module, "engine_named", lambda name: (shut, note))
    again = evaluate(elsewhere(settings), NotedReporter()).header
    assert again["generation"] == {**first["generation"], "generated": 0, "cached": COUNT}
    assert again["metrics"] == first["metrics"]
    assert again["run_id"] == first["run_id"]
