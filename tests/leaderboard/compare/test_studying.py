"""A study from the factors in run headers, on the command line."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from telbench.errors import InputError
from telbench.leaderboard.compare.seeds import study_of

from ...made_runs import compared_runs, made_run, metric, report_lines

BASE = np.random.default_rng(0).uniform(0.2, 0.7, 200)


def cells(seeds: int = 3):
    draw = np.random.default_rng(1)
    found = []
    for teacher, vocabulary, seed in itertools.product((False, True), ("same", "different"), range(seeds)):
        values = BASE + (0.05 if teacher and vocabulary == "same" else 0.0) + draw.normal(0, 0.02, 200)
        factors = {"teacher_sft": teacher, "vocabulary": vocabulary, "seed": seed, "epochs": 3}
        found.append(made_run(f"{teacher}-{vocabulary}-{seed}", {"token_f1": values.tolist()}, factors=factors))
    return found


def test_factors_come_from_the_headers_and_seeds_are_no_factor():
    study = study_of(cells(), metric("token_f1"))
    assert study.factors == {"teacher_sft": ("false", "true"), "vocabulary": ("same", "different")}
    assert study.main[0].items.delta == pytest.approx(0.025, abs=0.003)
    assert study.main[0].recipe.seeds == 3
    assert study.interactions[0].p_adjusted < 0.05
    assert len(study.simple) == 4


def test_the_table_prints_both_estimands():
    def lines_of(seeds: int) -> list[str]:
        study = study_of(cells(seeds), metric("token_f1"))
        return report_lines(replace(compared_runs(cells(seeds), ["token_f1"]), studies={"token_f1": study}))

    lines = lines_of(3)
    assert lines[0].startswith("Study of token_f1: 3 of 3 effects of factors are shown: teacher_sft: true -")
    whole = " ".join(" ".join(lines).split())
    assert "these checkpoints on questions like these (items vary); over seeds: this recipe" in whole
    assert any("main  teacher_sft: true - false" in line and "3 seeds" in line for line in lines)
    lines = lines_of(1)
    assert any("no statement about the recipe: 1 seed" in line for line in lines)


def test_runs_without_factors_are_no_study():
    runs = [made_run(name, {"token_f1": [0.1, 0.2]}) for name in ("a", "b")]
    with pytest.raises(InputError, match="no factor varies"):
        study_of(runs, metric("token_f1"))


def test_anchors_of_a_study_are_no_cells_of_it():
    anchor = made_run(
        "base", {"token_f1": BASE.tolist()}, factors={"role": "base", "algorithm": "none", "base": "tiny"}
    )
    with_it, without = (study_of(runs, metric("token_f1")) for runs in ([anchor, *cells()], cells()))
    assert with_it == without
    with pytest.raises(InputError, match="no factor varies"):
        study_of([anchor], metric("token_f1"))
