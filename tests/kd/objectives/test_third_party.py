"""Somebody else's algorithm and divergence (`tests/plugins`): listed, refused, trained with like telbench's own."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from telbench.config import read_settings
from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.harness.cli.terminal import Reporter
from telbench.harness.datasets.items import DataSet
from telbench.kd.losses.divergences import divergence_named, divergence_rows
from telbench.kd.objectives.contract import DIFFERENT, permissions
from telbench.kd.settings import MethodSettings, TrainingSettings
from telbench.kd.train.candidate import train_candidate
from telbench.registry import listed, origin

from ...installed import install
from ..made_models import save_facts, save_models

PACKAGES = Path(__file__).resolve().parents[2] / "plugins"
MODULES = ("selective_kd", "alpha_divergence")


def forget() -> None:
    listed.cache_clear()
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages with both."""
    folder = tmp_path / "site"
    folder.mkdir()
    for package in MODULES:
        project = tomllib.loads((PACKAGES / package / "pyproject.toml").read_text("utf-8"))["project"]
        install(folder, project["name"], project["entry-points"])
        shutil.copy(PACKAGES / package / f"{package}.py", folder)
    monkeypatch.syspath_prepend(folder)
    forget()
    yield folder
    forget()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, facts: DataSet) -> Path:
    folder = save_models(tmp_path_factory.mktemp("models"), facts)
    save_facts(folder / "facts.jsonl", facts)
    return folder


def words(models: Path, student: str = "student") -> list[str]:
    """Two steps of four items."""
    data = ["--data", str(models / "facts.jsonl"), "--limit", "8", "--max-length", "96"]
    how = ["--epochs", "1", "--batch-size", "4", "--dev-split", "none"]
    return ["kd", "distill", "--teacher", str(models / "teacher"), "--student", str(models / student), *data, *how]


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "training.jsonl").read_text().splitlines()]


def test_both_are_listed_with_their_origin_and_offered_by_the_command_before_they_are_loaded(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert origin(listed("telbench.objectives")["selective_kd"]) == "telbench-selective-kd 1.0"
    assert origin(listed("telbench.divergences")["alpha"]) == "telbench-alpha-divergence 1.0"
    assert main(["kd", "distill", "--help"]) == 0
    told = capsys.readouterr().out
    assert "selective_kd," in told
    assert "{adaptive_kl,alpha," in told
    assert not set(MODULES) & sys.modules.keys()


def test_the_divergence_is_that_of_the_textbook(site: Path) -> None:
    teacher, student = (torch.tensor([row]).log() for row in ([0.5, 0.5], [0.9, 0.1]))

    def value(**options: float) -> float:
        found = divergence_rows(divergence_named("alpha", **options), student, teacher, temperature=1.0)
        return found.item()

    assert value() == pytest.approx(4 * (1 - math.sqrt(0.45) - math.sqrt(0.05)), abs=1e-6)
    forward = divergence_rows(divergence_named("forward_kl"), student, teacher, temperature=1.0).item()
    assert value(alpha=0.999) == pytest.approx(forward, rel=2e-3)
    with pytest.raises(InputError, match="alpha is 1"):
        divergence_named("alpha", alpha=1)


def test_two_steps_with_both_by_the_command_line(site: Path, models: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("method: {divergence: alpha, divergence_options: {alpha: 0.3}}\n")
    out = tmp_path / "made"
    chosen = ["--algorithm", "selective_kd", "--objective-options", "right_weight=0.25", "--config", str(config)]
    assert main([*words(models), *chosen, "--out", str(out)]) == 0
    assert len(losses(out)) == 2
    note = json.loads((out / "telbench.json").read_text())
    assert note["factors"]["algorithm"] == "selective_kd"
    method = note["settings"]["method"]
    assert (method["divergence"], method["divergence_options"]) == ("alpha", {"alpha": 0.3})
    assert method["objective_options"] == {"right_weight": 0.25}
    # The note is the settings of the same training.
    kept = {name: value for name, value in note["settings"].items() if name != "models"}
    assert read_settings(TrainingSettings, kept, "note").to_dict() == kept


def test_where_right_and_wrong_rows_weigh_the_same_it_is_vanilla_distillation(
    site: Path, models: Path, tmp_path: Path
) -> None:
    for name, method in (
        ("mine", {"algorithm": "selective_kd", "objective_options": {"right_weight": 1}}),
        ("vanilla", {"algorithm": "vanilla_kd"}),
        ("wrong only", {"algorithm": "selective_kd"}),
    ):
        given: dict[str, Any] = {
            "student": str(models / "student"),
            "teacher": str(models / "teacher"),
            "data": {"data": str(models / "facts.jsonl"), "max_length": 96, "dev_split": "none"},
            "optimiser": {"epochs": 20, "batch_size": 8, "learning_rate": 3e-3},
            "method": method,
        }
        train_candidate(read_settings(TrainingSettings, given, "test"), tmp_path / name, Reporter())
    assert losses(tmp_path / "mine") == pytest.approx(losses(tmp_path / "vanilla"), rel=1e-3)
    # The student is right somewhere at last, and the teacher's term is left out there.
    assert losses(tmp_path / "wrong only")[-1] < losses(tmp_path / "vanilla")[-1] - 1e-3


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ({"algorithm": "selectiv_kd"}, "algorithm is 'selectiv_kd': did you mean 'selective_kd'?"),
        ({"algorithm": "selective_kd", "objective_options": {"right_wait": 1}}, "did you mean 'right_weight'?"),
        ({"algorithm": "selective_kd", "objective_options": {"right_weight": 2}}, "right_weight is 2"),
        ({"algorithm": "selective_kd", "objective_options": {"right_weight": "much"}}, "must be a number"),
        ({"algorithm": "dskd", "objective_options": {"right_weight": 1}}, "dskd has none"),
        ({"algorithm": "selective_kd", "naive_id_kd": True}, "selective_kd compares no ids by number"),
        ({"algorithm": "vanilla_kd", "divergence": "alfa"}, "divergence is 'alfa': did you mean 'alpha'?"),
        ({"algorithm": "vanilla_kd", "divergence": "alpha", "divergence_options": {"alpha": 2}}, "alpha is 2"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_loaded(site: Path, method: Any, told: str) -> None:
    with pytest.raises(InputError) as caught:
        read_settings(MethodSettings, method, "method")
    assert told in str(caught.value)


def test_it_is_refused_between_different_vocabularies_with_what_is_permitted(
    site: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made"
    assert main([*words(models, "other"), "--algorithm", "selective_kd", "--out", str(out)]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "selective_kd is refused between teacher and other: the token-to-id maps differ; use alm, dskd_cma" in told


def test_a_plugin_that_cannot_be_loaded_disturbs_no_other(site: Path) -> None:
    install(site, "acme-broken", {"telbench.objectives": {"acme_broken": "acme_broken:MINE"}})
    (site / "acme_broken.py").write_text("raise RuntimeError('no licence')\n")
    listed.cache_clear()
    found = permissions(DIFFERENT)
    assert not found["acme_broken"].allowed
    assert "no licence" in found["acme_broken"].why
    assert found["uld"].allowed
    assert not found["selective_kd"].allowed


def test_the_documentations_examples_are_these_packages() -> None:
    docs = (PACKAGES.parents[1] / "docs" / "distillation.md").read_text("utf-8")
    for file in ("selective_kd.py", "pyproject.toml"):
        assert (PACKAGES / "selective_kd" / file).read_text("utf-8") in docs
    divergence = (PACKAGES / "alpha_divergence" / "alpha_divergence.py").read_text("utf-8")
    assert divergence[divergence.index("@dataclass") :] in docs


@pytest.mark.slow
def test_the_packages_install_as_they_are_and_register_both(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for package in MODULES:
        source = tmp_path / package
        shutil.copytree(PACKAGES / package, source)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
        done = subprocess.run([*pip, "--target", str(site), str(source)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    program = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "from telbench.kd.settings import MethodSettings\n"
        "print(MethodSettings(algorithm='selective_kd', divergence='alpha').options)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.strip() == "Options(right_weight=0.0)", found.stderr
