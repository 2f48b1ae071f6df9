"""Pinning another run: what the anchor loses by it, and what it says of the machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import IncomparableError
from telbench.harness.cli.main import main
from telbench.leaderboard.gate.drops import Drop, drops
from telbench.leaderboard.runs.anchor import anchor_document

from ...made_runs import made_run
from ..runs.test_loaded import GOOD, POOR, score, write_data


def about(metric: str, old: float, new: float) -> Drop:
    """A drop of about these values."""
    values: list[Any] = [pytest.approx(old), pytest.approx(new)]
    return Drop(metric, *values)


def test_every_drop_counts_however_small_whichever_way_is_better() -> None:
    old = made_run("old", {"token_f1": [0.5, 0.7], "ter": [10.0, 20.0], "rouge1": [0.5, 0.5]})
    new = made_run("new", {"token_f1": [0.5, 0.699], "ter": [10.0, 20.1], "rouge1": [0.4, 0.7]})
    assert drops(old, new) == [about("token_f1", 0.6, 0.5995), about("ter", 15.0, 15.05)]
    assert drops(new, old) == [about("rouge1", 0.55, 0.5)]
    assert drops(old, old) == []


def test_rounding_in_the_anchor_is_no_drop() -> None:
    old, new = (made_run(name, {"token_f1": [value]}) for name, value in (("old", 0.333333333), ("new", 1 / 3)))
    assert drops(old, new) == drops(new, old) == []


def test_items_are_paired_and_one_that_failed_counts_as_the_worst() -> None:
    old = made_run("old", {"token_f1": [0.2, 0.9, None]})
    lost = made_run("new", {"token_f1": [0.2, None, 0.1]})
    assert drops(old, lost) == []
    failed = made_run("new", {"token_f1": [0.2, None, 0.1]}, failed=[1])
    assert drops(old, failed) == [about("token_f1", 0.55, 0.1)]
    assert str(drops(old, failed)[0]) == "token_f1 (0.55 -> 0.1)"


def test_a_metric_that_is_gone_is_a_drop() -> None:
    old = made_run("old", {"token_f1": [0.5], "rouge1": [0.5]})
    assert list(map(str, drops(old, made_run("new", {"token_f1": [0.5]})))) == ["rouge1 (0.5 -> absent)"]
    empty = made_run("new", {"token_f1": [0.5], "rouge1": [None]})
    assert list(map(str, drops(old, empty))) == ["rouge1 (0.5 -> absent)"]
    assert drops(empty, old) == []


def test_runs_on_other_items_have_no_drops() -> None:
    old, new = made_run("old", {"token_f1": [0.5]}), made_run("new", {"token_f1": [0.4]})
    new = replace(new, header={**new.header, "data": {**new.header["data"], "items_sha256": "other"}})
    with pytest.raises(IncomparableError):
        drops(old, new)


def pin(run: Path, anchor: Path, *more: str) -> int:
    return main(["baseline", "pin", str(run), "--out", str(anchor), *more])


def test_a_worse_run_is_pinned_only_when_its_drops_are_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, anchor = write_data(tmp_path), tmp_path / "anchor.json"
    good, poor = score(tmp_path, "good", list(GOOD), data), score(tmp_path, "poor", list(POOR), data)
    assert pin(good, anchor) == 0
    before = anchor.read_bytes()
    capsys.readouterr()
    assert pin(poor, anchor) == 2
    assert "holds another anchor: pass --force" in capsys.readouterr().err
    assert pin(poor, anchor, "--force") == 2
    error = capsys.readouterr().err
    assert "worse than the old one in bleu (" in error
    assert "), token_f1 (0.8889 -> 0.4787); small drops add up" in error
    assert "--accept-drop" in error
    assert anchor.read_bytes() == before
    assert pin(poor, anchor, "--force", "--accept-drop", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [drop["metric"] for drop in told["lower"]] == ["bleu", "ter", "token_f1"]
    assert anchor.read_bytes() != before
    # Back to the better one: no drop, nothing to accept.
    assert pin(good, anchor, "--force") == 0
    assert anchor.read_bytes() == before


def test_an_anchor_that_cannot_be_compared_is_replaced_with_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anchor = tmp_path / "anchor.json"
    good = score(tmp_path, "good", list(GOOD), write_data(tmp_path))
    anchor.write_text("{")
    assert pin(good, anchor, "--force") == 0
    assert "is replaced without a comparison" in capsys.readouterr().err


def facts(of: Any) -> list[str]:
    """All texts in a JSON value."""
    if isinstance(of, dict):
        return [text for part in of.values() for text in facts(part)]
    if isinstance(of, list):
        return [text for part in of for text in facts(part)]
    return [of] if isinstance(of, str) else []


def test_an_anchor_tells_no_place_on_the_machine() -> None:
    run = made_run("tiny", {"token_f1": [0.5]})
    model = {"name": "/home/me/models/tiny", "path": "/home/me/models/tiny", "weights_sha256": "w", "revision": "/a/b"}
    judge = {"model": "local:/opt/judges/small", "judges": [{"path": "/opt/judges/small", "url": "http://host/v1"}]}
    document = anchor_document(replace(run, header={**run.header, "model": model, "judge": judge}))
    header = document["header"]
    assert header["model"] == {"name": "tiny", "weights_sha256": "w"}
    assert header["judge"] == {"model": "local:small", "judges": [{"url": "http://host/v1"}]}
    assert not [text for text in facts(document) if text.startswith("/") or ":/o" in text]
