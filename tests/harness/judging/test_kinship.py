"""A judge that is the candidate's teacher, base or itself is told from one that is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from telbench.harness.checkpoint import Checkpoint
from telbench.harness.cli.tables import print_run
from telbench.harness.judging.kinship import kinship

from ..cli.test_tables import HEADER

OWN = "a" * 64


def candidate(folder: Path, *, card: str = "", note: object = None, adapter: str = "") -> Checkpoint:
    """A checkpoint folder with this model card, note and adapter."""
    folder.mkdir(exist_ok=True)
    if card:
        (folder / "README.md").write_text(card)
    if note is not None:
        (folder / "telbench.json").write_text(json.dumps(note))
    made = Checkpoint(folder, folder.name, {"model_type": "llama"}, (), False)
    if adapter:
        place = folder / "adapter"
        place.mkdir()
        (place / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": adapter}))
        made = replace(made, adapter=place)
    return made


def test_hashes_tell_teacher_base_and_itself(tmp_path: Path) -> None:
    models = {"student": {"weights_sha256": "b" * 64}, "teacher": {"weights_sha256": "c" * 64}}
    made = candidate(tmp_path / "made", note={"settings": {"models": models}})
    said = [kinship(made, OWN, {"weights_sha256": sign * 64, "path": "/x/judge"}) for sign in "abcd"]
    assert said == ["the candidate itself", "the model that it was trained from", "its teacher", None]


@pytest.mark.parametrize(
    "card",
    [
        "---\nbase_model: Qwen/Qwen2.5-0.5B-Instruct\n---\n",
        "---\ntags: [x]\nbase_model:\n  - meta/other\n  - Qwen/Qwen2.5-0.5B-Instruct\nlicence: mit\n---\n",
        '---\nbase_model: ["Qwen/Qwen2.5-0.5B-Instruct"]\n---\n',
    ],
)
def test_names_of_a_model_card_tell_the_base_of_a_served_judge(tmp_path: Path, card: str) -> None:
    made = candidate(tmp_path / "mine", card=card)
    assert kinship(made, OWN, {"model": "qwen2.5-0.5b-instruct"}) == "its base"
    assert kinship(made, OWN, {"model": "gpt-4o"}) is None
    assert kinship(made, OWN, {"model": "someone/mine"}) == "the candidate itself"


def test_an_adapters_base_is_kin(tmp_path: Path) -> None:
    made = candidate(tmp_path / "mine", adapter="/models/smollm2/")
    assert kinship(made, OWN, {"weights_sha256": "b" * 64, "path": "/elsewhere/smollm2"}) == "its base"


def test_nothing_is_said_where_nothing_is_known(tmp_path: Path) -> None:
    assert kinship(None, None, {"model": "gpt-4o"}) is None
    assert kinship(candidate(tmp_path / "plain"), OWN, {}) is None
    broken = candidate(tmp_path / "broken", note=[1], card="base_model:\n")
    (broken.folder / "adapter_config.json").write_text("{")
    assert kinship(broken, OWN, {"weights_sha256": "b" * 64, "path": "/x/judge"}) is None


def test_the_table_warns_first(capsys: pytest.CaptureFixture[str]) -> None:
    judge = {"name": "judge@1", "kin": "its teacher", "missing": {}}
    print_run({**HEADER, "judge": {"judges": [judge]}})
    told = " ".join(capsys.readouterr().out.split())
    assert "WARNING: the judge judge@1 is its teacher" in told
