"""Columns of numbers are the records of single items, whatever the file holds, and give the same comparisons."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telbench.leaderboard.compare.pairwise import compare_runs, decided, measure_columns
from telbench.leaderboard.compare.ranking import rank_columns, rank_runs
from telbench.leaderboard.compare.scored import Scored, scored
from telbench.leaderboard.runs.loaded import load_run, shared_metrics
from telbench.leaderboard.site.model.columns import RunColumns, read_columns
from telbench.leaderboard.site.model.eligibility import measured_alike

from ..scored_runs import scored_run

ITEMS = 12
# What ids, documents and remarks may hold: NULs, lone surrogates, what reorders a line, accents apart from letters.
ODD = st.text(st.sampled_from('a\u0000\u202e\ud800e\u0301ß中\U0001f600 \n"\\'), min_size=1, max_size=6)
CHANGE = st.fixed_dictionaries(
    {
        "document": st.integers(0, 3),
        "category": st.none() | ODD,
        "token_f1": st.none() | st.floats(0, 1) | st.integers(0, 1) | st.sampled_from([5e-324, 1e-9, -0.0]),
        "bleu": st.booleans(),
        "remark": st.none() | ODD,
        "failed": st.booleans(),
        "prediction": st.just("") | ODD,
    }
)


RIGHT = {"first": 0.6, "second": 0.8, "third": 0.3}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("scored")
    return [scored_run(folder, name, "set", ITEMS, right, "token_f1,bleu") for name, right in RIGHT.items()]


def changed(run: Path, out: Path, changes: list[dict[str, Any]], names: list[str]) -> Path:
    """A copy of the run with odd values in its samples."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "run.json").write_text((run / "run.json").read_text())
    rows = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    for place, (row, change) in enumerate(zip(rows, changes, strict=True)):
        row.update(item_id=f"{names[place]}{place}", cluster_id=f"{names[change['document']]}{change['document']}")
        row.update(category=change["category"], prediction=change["prediction"])
        row["scores"]["token_f1"] = change["token_f1"]
        if not change["bleu"]:
            del row["scores"]["bleu"], row["stats"]["bleu"]
        if change["remark"] is not None:
            row["missing"] = {"token_f1": change["remark"]}
        if change["failed"]:
            row.update(status="error", error="no answer", scores={}, stats={})
    (out / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return out


def same(one: Scored, other: Scored) -> bool:
    """Are two columns equal to the last bit? A score that is there has no reason, or the same remark."""
    rows = [each.statistics for each in (one, other) if each.statistics is not None]
    there = one.present
    return (
        one.run == other.run
        and one.values.tobytes() == other.values.tobytes()
        and all(
            (one.reasons.get(place) or "no score") == (other.reasons.get(place) or "no score")
            for place in range(len(one.values))
        )
        and (len(rows) != 2 or np.array_equal(rows[0][there], rows[1][there]))
    )


@given(st.lists(CHANGE, min_size=ITEMS, max_size=ITEMS), st.lists(ODD, min_size=ITEMS, max_size=ITEMS))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_read_from_a_file_are_the_records_read_from_it(
    runs: list[Path], tmp_path: Path, changes: list[dict[str, Any]], names: list[str]
) -> None:
    run = changed(runs[0], tmp_path, changes, names)
    columns, loaded = read_columns(run), load_run(run)
    assert columns.items == tuple(loaded.clusters)
    assert columns.clusters == tuple(loaded.clusters.values())
    assert columns.categories == tuple(loaded.categories.values())
    assert columns.failed == loaded.failed
    for metric in shared_metrics([loaded]):
        quick, slow = columns.scored(metric.name), scored(loaded, metric, columns.items)
        assert same(quick, slow)
        # What would be seen of a wrong column: one value, one place, one reason.
        if slow.present.any():
            place = int(np.flatnonzero(slow.present)[0])
            values = slow.values.copy()
            values[place] = np.nextafter(values[place], 2)
            assert not same(quick, replace(slow, values=values))
        if len({value.tobytes() for value in slow.values}) > 1:
            assert not same(quick, replace(slow, values=np.roll(slow.values, 1)))
        assert not same(quick, replace(slow, reasons={**slow.reasons, 0: "another reason"}))


def test_comparisons_and_rankings_of_columns_are_those_of_records(runs: list[Path]) -> None:
    loaded, columns = [load_run(run) for run in runs], [read_columns(run) for run in runs]
    metrics = shared_metrics(loaded)
    clusters, names = columns[0].documents("source_document"), list(RIGHT)
    measured = [
        row
        for metric in metrics
        for row in measure_columns(metric, [run.scored(metric.name) for run in columns], names, clusters)
    ]
    found = decided([each for each, _ in measured], [data for _, data in measured])
    assert found == compare_runs(loaded, metrics, names=names)
    for metric in metrics:
        quick = rank_columns([run.scored(metric.name) for run in columns], metric, names, clusters)
        assert quick == rank_runs(loaded, metric, names=names)


def test_what_belongs_together_is_numbered_in_the_order_of_names(runs: list[Path]) -> None:
    columns: RunColumns = replace(read_columns(runs[0]), clusters=tuple("bbbaaacccbca"))
    found = columns.documents("source_document")
    assert ([*found.names], found.numbers.tolist()) == (["a", "b", "c"], [1, 1, 1, 0, 0, 0, 2, 2, 2, 1, 2, 0])
    left = found.of(np.array([True] * 3 + [False] * 3 + [True] * 2 + [False] * 4))
    assert ([*left.names], left.numbers.tolist()) == (["b", "c"], [0, 0, 0, 1, 1])
    assert found.of(np.ones(ITEMS, bool)) is found
    assert len(columns.documents("item").names) == ITEMS
    assert columns.documents("category").names == ["even", "odd"]


def test_lines_in_another_order_are_the_same_run(runs: list[Path], tmp_path: Path) -> None:
    turned = tmp_path / "turned"
    turned.mkdir()
    (turned / "run.json").write_text((runs[1] / "run.json").read_text())
    lines = (runs[1] / "samples.jsonl").read_text().splitlines(keepends=True)
    (turned / "samples.jsonl").write_text("".join(reversed(lines)))
    whole, other = read_columns(runs[1]), read_columns(turned)
    # Place by place they are two runs.
    assert not same(whole.scored("token_f1"), other.scored("token_f1"))
    kept, apart = measured_alike([read_columns(runs[0]), other], None)
    assert apart == []
    assert [run.items for run in kept] == [whole.items, whole.items]
    for name in ("token_f1", "bleu"):
        assert same(kept[1].scored(name), whole.scored(name))
    assert (kept[1].kinds, kept[1].lengths) == (whole.kinds, whole.lengths)
    assert list(kept[1].samples()) == list(whole.samples())
