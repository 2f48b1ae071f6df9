"""The algorithms' records: each says all there is to know of it, and is read without torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.kd.objectives.contract import (
    DIFFERENT,
    GROUP,
    Objective,
    VocabularyFacts,
    objective_named,
    permissions,
)
from telbench.kd.settings import MethodSettings
from telbench.registry import listed, origin

BUILT_IN = (
    "alm", "distillm2", "dskd", "dskd_cma", "dskd_v2", "gkd", "gold", "gold_on_policy", "seq_kd", "sft", "simple_ctkd",
    "uld", "vanilla_kd",
)  # fmt: skip
DOCS = Path(__file__).resolve().parents[3] / "docs" / "distillation.md"


def built_in() -> tuple[str, ...]:
    return tuple(name for name, point in listed(GROUP).items() if origin(point).startswith("telbench "))


def test_all_algorithms_of_telbench_itself_are_registered_like_any_other() -> None:
    assert built_in() == BUILT_IN


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_record_names_itself_in_one_line_and_reads_settings_that_there_are(name: str) -> None:
    objective = objective_named(name)
    assert objective.name == name
    assert "\n" not in objective.card
    assert objective.reads <= {field.name for field in dataclasses.fields(MethodSettings)}


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_documentation_says_of_different_vocabularies_what_the_record_says(name: str) -> None:
    (row,) = [line for line in DOCS.read_text("utf-8").splitlines() if f") | `{name}` |" in line]
    different = row.split("|")[4].strip()
    assert (different == "yes") == permissions(DIFFERENT)[name].allowed
    assert different in {"yes", "refused"}


def test_what_each_algorithm_asks_of_a_teacher() -> None:
    records = {name: objective_named(name) for name in BUILT_IN}
    assert {name for name, each in records.items() if each.needs == "labels"} == {"sft"}
    assert {name for name, each in records.items() if each.needs == "answers"} == {"seq_kd"}
    assert {name for name, each in records.items() if each.needs == "rows" and not each.cacheable} == {
        "distillm2",
        "gkd",
        "gold_on_policy",
    }
    assert {name for name, each in records.items() if each.pairing == "aligned"} == {"dskd_v2", "simple_ctkd"}
    assert {name for name, each in records.items() if each.pairing == "spans"} == {"alm", "gold", "gold_on_policy"}
    assert {name for name, each in records.items() if each.teacher_answers} == {"distillm2"}
    assert {name for name, each in records.items() if each.takes_sparse} == {"vanilla_kd"}
    assert {name: each.projector_rate for name, each in records.items() if each.projectors} == {
        "dskd": 1e-3,
        "dskd_cma": 1e-3,
        "dskd_v2": 5e-4,
    }


def test_different_vocabularies_permit_what_compares_no_ids() -> None:
    allowed = {name for name, each in permissions(DIFFERENT).items() if each.allowed}
    assert set(BUILT_IN) - allowed == {"distillm2", "dskd", "gkd", "vanilla_kd"}
    nothing_shared = VocabularyFacts(None, shared_text=0)
    assert not permissions(nothing_shared)["dskd_v2"].allowed


@pytest.mark.parametrize("chosen", [{"highest_share": 0.3}, {"highest_share": 1.0}])
def test_an_option_named_like_a_setting_gets_its_value(chosen: dict[str, Any]) -> None:
    assert MethodSettings(algorithm="dskd_v2", **chosen).options.highest_share == chosen["highest_share"]
    with pytest.raises(InputError, match="highest_share is a setting of its own: set method: highest_share"):
        MethodSettings(algorithm="dskd_v2", objective_options={"highest_share": 0.5})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"projector_rate": 1e-3}, "projectors and projector_rate go together"),
        ({"needs": "answers", "on_policy": True}, "need the teacher's rows"),
        ({"options": dict}, "options must be a dataclass"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=f"algorithm mine: .*{told}"):
        Objective(name="mine", card="nothing", loss=objective_named("sft").loss, **wrong)


def test_help_offers_the_names_and_loads_none() -> None:
    program = (
        "import sys; from telbench.harness.cli.main import main; main(['kd', 'distill', '--help'])\n"
        "loaded = {name.removeprefix('telbench.kd.objectives.') for name in sys.modules}\n"
        f"sys.exit(bool(loaded & {{*{BUILT_IN}, 'torch', 'transformers'}}))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.returncode == 0
    assert all(f"{name}," in found.stdout or f"{name}}}" in found.stdout for name in BUILT_IN)


def test_settings_of_every_algorithm_are_checked_without_torch() -> None:
    program = (
        "import sys; from telbench.kd.settings import MethodSettings\n"
        f"for name in {BUILT_IN}: MethodSettings(algorithm=name, divergence='reverse_kl')\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
