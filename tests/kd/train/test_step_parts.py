"""Parts of a step do not change it, and share what they have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .trainings import Train, losses, weights


def test_parts_of_a_step_do_not_change_its_loss(train: Train) -> None:
    method = {"algorithm": "dskd_v2"}
    whole = train("whole", student="other", method=method)
    for size in (1, 3):
        parts = train(f"parts-{size}", student="other", method=method, optimiser={"micro_batch_size": size})
        assert losses(parts) == pytest.approx(losses(whole), rel=2e-5)


@pytest.mark.parametrize("student", ["student", "other"], ids=["one vocabulary", "two vocabularies"])
def test_parts_of_a_step_share_what_they_have_in_common(
    train: Train, monkeypatch: pytest.MonkeyPatch, student: str
) -> None:
    from telbench.kd.losses.dual_space_v2 import Aligned, LogitIdentity

    calls = {"likeliest": 0, "s2t": 0}

    def counted(kind: type, name: str) -> None:
        plain = getattr(kind, name)

        def count(*arguments: Any) -> Any:
            calls[name] += 1
            return plain(*arguments)

        monkeypatch.setattr(kind, name, count)

    counted(Aligned, "likeliest")
    counted(LogitIdentity, "s2t")
    once = {
        "student": student,
        "method": {"algorithm": "dskd_v2"},
        "keeping": {"keep": "last"},
        "data": {"dev_split": "none"},
    }
    one_step = {"epochs": 1, "max_tokens": 1}
    whole = train("whole", **once, optimiser=one_step)
    assert calls == {"likeliest": 1, "s2t": 1}
    parts = train("parts", **once, optimiser=one_step | {"micro_batch_size": 1})
    assert calls == {"likeliest": 1 + 4, "s2t": 1 + 1}
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-5)


def test_auto_finds_the_largest_part_and_changes_nothing_else(
    train: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def two(run: Callable[[int], None], most: int, device: Any, held: int) -> int:
        assert most == 4
        assert held > 0
        run(1)
        run(4)
        return 2

    monkeypatch.setattr("telbench.kd.train.fitting.largest_that_fits", two)
    changes: dict[str, Any] = {"student": "other", "method": {"algorithm": "dskd_v2"}}
    by_hand = train("two", optimiser={"micro_batch_size": 2}, **changes)
    found = train("auto", optimiser={"micro_batch_size": "auto"}, **changes)
    assert "2 of 4 items go through at once" in capfd.readouterr().err
    assert weights(found) == weights(by_hand)
    assert found.origin.training["items_at_once"] == 2


def test_auto_on_this_machine_takes_all_of_a_small_step(train: Train) -> None:
    made = train(optimiser={"micro_batch_size": "auto"}, lora={"rank": 2, "dropout": 0.2})
    assert made.origin.training["items_at_once"] == 4
    assert weights(made) == weights(train("plain", lora={"rank": 2, "dropout": 0.2}))
