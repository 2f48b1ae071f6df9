"""The largest part of a step that fits into memory: predicted from two small ones, and tried."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from telbench.kd.train import fitting
from telbench.kd.train.fitting import largest_that_fits

CPU, MEGABYTE = torch.device("cpu"), 1 << 20


class Machine:
    """Memory of so many megabytes, of which an item takes ``each`` and any run ``base``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: float, each: float, base: float = 100.0) -> None:
        self.asked: list[int] = []
        self.each, self.base, self.limit = each, base, free
        monkeypatch.setattr(fitting, "_free", lambda device: int(free * MEGABYTE))
        monkeypatch.setattr(fitting, "_peak", self.peak)

    def peak(self, run: object, size: int, device: object) -> int:
        return int((self.base + size * self.each) * MEGABYTE)

    def run(self, size: int) -> None:
        self.asked.append(size)
        if self.base + size * self.each > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize(
    ("free", "held", "expected"),
    [
        (10_000, 0, 32),
        # 0.85 * 1000 - 100 = 750 megabytes are 15 items: 32 are three parts of 11.
        (1000, 0, 11),
        # With 300 held beside, 9 items: four parts of 8.
        (1000, 300, 8),
        (200, 0, 1),
        (50, 0, 1),
    ],
)
def test_the_parts_of_a_step_are_as_few_as_memory_allows_and_alike(
    monkeypatch: pytest.MonkeyPatch, free: float, held: int, expected: int
) -> None:
    machine = Machine(monkeypatch, free, 50)
    assert largest_that_fits(machine.run, 32, CPU, held * MEGABYTE) == expected


def test_what_was_predicted_too_large_is_lowered_until_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 2000, 50)
    machine.limit = 1000
    assert largest_that_fits(machine.run, 64, CPU, 0) == 16
    assert machine.asked == [32, 24, 18]


def test_other_errors_are_not_taken_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, 2000, 50)

    def broken(size: int) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        largest_that_fits(broken, 64, CPU, 0)


def test_where_nothing_tells_memory_all_items_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "FREE", Path("/nowhere"))
    assert largest_that_fits(lambda size: None, 8, CPU, 0) == 8


@pytest.mark.skipif(not fitting.STATUS.is_file(), reason="the kernel tells memory on Linux only")
def test_the_peak_of_a_run_is_what_it_takes_beyond_what_was_taken() -> None:
    def run(size: int) -> None:
        torch.ones(size * 32 * MEGABYTE // 4).sum()

    one, two = (fitting._peak(run, size, CPU) for size in (2, 6))
    assert one is not None
    assert two is not None
    assert two - one == pytest.approx(128 * MEGABYTE, rel=0.15)
