"""Where commands run, as flags: names and options that fit, and what is refused."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from telbench.config import read_settings
from telbench.errors import InputError
from telbench.harness.executors.contract import GROUP, ExecutorSpec, executor_named
from telbench.harness.executors.settings import PlaceSettings
from telbench.registry import listed


def test_every_registered_executor_is_a_record_of_its_name() -> None:
    assert {"local", "ray", "slurm"} <= set(listed(GROUP))
    for name in ("local", "ray", "slurm"):
        spec = executor_named(name)
        assert isinstance(spec, ExecutorSpec)
        assert spec.name == name


def test_so_many_run_at_once_for_sure() -> None:
    assert PlaceSettings().width() == 1
    assert PlaceSettings(jobs=3).width() == 3
    assert PlaceSettings(devices=("cuda:0", "cuda:1")).width() == 2
    assert PlaceSettings(jobs=3).opened(Path("unused")).places == 3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"executor": "slrum"}, "did you mean 'slurm'"),
        ({"executor_options": {"num_cpus": "2"}}, "local has none"),
        ({"executor": "ray", "devices": ["cuda:0"]}, "ray places GPUs by --executor-options"),
        ({"executor": "ray", "executor_options": {"num_gpu": "1"}}, "did you mean 'num_gpus'"),
        ({"executor": "slurm", "executor_options": {"timeout_min": "0"}}, "at least 1"),
        ({"tries": 0}, "between 1 and 100"),
        ({"devices": ["cuda:0"], "jobs": 2}, "--jobs is for processors"),
    ],
)
def test_what_does_not_fit_is_one_line(given: dict[str, object], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        read_settings(PlaceSettings, given, "where").opened(tmp_path / "jobs")
    assert not (tmp_path / "jobs").exists()


def test_without_sbatch_no_job_is_submitted(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: the extra slurm brings it")
    if shutil.which("sbatch"):
        pytest.skip("this machine submits jobs to SLURM")
    with pytest.raises(InputError, match="no sbatch on this machine"):
        PlaceSettings(executor="slurm").opened(tmp_path / "jobs")
    assert not (tmp_path / "jobs").exists()


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_package_that_is_absent_is_named_with_its_extra(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"'{package}'.*pip install.*\[?{name}"):
        PlaceSettings(executor=name).opened(tmp_path / "jobs")
