"""What a logger of a third party is given of a finished run, with and without the method for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from telbench.config import read_settings
from telbench.errors import InputError, TelbenchError
from telbench.harness.loggers import contract
from telbench.harness.loggers.contract import LoggedRun, LoggerSpec, Logs, Result, Table
from telbench.harness.loggers.settings import ShownSettings

RESULT = Result({"run/f1": 0.5, "run/f1_ci_low": 0.4}, {"id": "x"}, (Table("samples", ("id",), (("a",),)),))


class NumbersAlone:
    def __init__(self, run: LoggedRun) -> None:
        self.values: dict[int, dict[str, float]] = {}
        self.finished = False

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.values[step] = dict(values)

    def close(self, *, finished: bool) -> None:
        self.finished = finished


class Whole(NumbersAlone):
    def result(self, result: Result) -> None:
        self.whole = result


class Broken(NumbersAlone):
    def result(self, result: Result) -> None:
        raise ValueError("no\nroom")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, NumbersAlone]:
    found: dict[str, NumbersAlone] = {}
    kinds = {"numbers": NumbersAlone, "whole": Whole, "broken": Broken}

    def named(name: str) -> LoggerSpec:
        def made(run: LoggedRun) -> NumbersAlone:
            found[name] = kinds[name](run)
            return found[name]

        return LoggerSpec(name, "json", made)

    monkeypatch.setattr(contract, "logger_named", named)
    return found


def test_a_logger_without_the_method_gets_the_numbers_and_is_named(
    opened: dict[str, NumbersAlone], tmp_path: Path
) -> None:
    logs = Logs(["numbers", "whole"], LoggedRun("made", tmp_path, "k"))
    assert logs.result(RESULT) == ["numbers"]
    assert opened["numbers"].values == {1: RESULT.values}
    assert isinstance(whole := opened["whole"], Whole)
    assert whole.whole == RESULT
    # It shows the numbers itself.
    assert whole.values == {}


def test_what_a_logger_raises_is_one_line_that_names_it(opened: dict[str, NumbersAlone], tmp_path: Path) -> None:
    with pytest.raises(TelbenchError, match=r"^--log broken failed \(ValueError: no room\)"):
        Logs(["broken"], LoggedRun("made", tmp_path, "k")).result(RESULT)


def test_a_logger_is_named_once_and_must_be_there() -> None:
    with pytest.raises(InputError, match="mlflow, mlflow: name each logger once"):
        read_settings(ShownSettings, {"log": ["mlflow", "mlflow"]}, "t").require()
    with pytest.raises(InputError, match=r"mlflo.*mlflow"):
        read_settings(ShownSettings, {"log": ["mlflo"]}, "t").require()
    # Nothing is asked for, so nothing is looked for.
    assert ShownSettings().show([Path("nowhere")]) == 0
