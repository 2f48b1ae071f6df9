"""Pages of a small board: their numbers are those of ``telbench compare --json``, and what cannot be told is absent."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from telbench.harness.cli.main import main
from telbench.harness.cli.tables import difference_text
from telbench.leaderboard.site import formats

from ..browser.hostile_runs import make_runs

html5lib = pytest.importorskip("html5lib")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def site(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(runs, tmp_path_factory.mktemp("board") / "site")


@pytest.fixture(scope="module")
def compared(runs: list[Path]) -> dict[str, Any]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        # The board sorts the runs after the baseline by name; corrections do not depend on their order.
        assert main(["compare", *map(str, runs), "--study", "--factors", "algorithm,vocabulary", "--json"]) == 0
    return json.loads(out.getvalue())


def built(runs: Sequence[Path], out: Path) -> Path:
    assert main(["leaderboard", "build", *map(str, runs), "--baseline", str(runs[0]), "--out", str(out)]) == 0
    return out


def page(site: Path, pattern: str) -> Element:
    (path,) = site.glob(pattern)
    return html5lib.parse(path.read_text(encoding="utf-8"), namespaceHTMLElements=False)


def said(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def rows(root: Element) -> list[list[str]]:
    return [[said(cell) for cell in row] for row in root.iter("tr") if row.find("td") is not None]


def slug_of(site: Path, name: str) -> str:
    """The page of a run, by its name as the list of comparisons shows it."""
    for link in page(site, "compare.html").iter("a"):
        if said(link) == name:
            return str(link.get("href"))
    raise AssertionError(name)


def test_a_comparison_shows_the_numbers_of_compare(site: Path, compared: Mapping[str, Any]) -> None:
    for run in compared["runs"][1:]:
        shown = {row[0]: row for row in rows(page(site, slug_of(site, formats.text(run["name"]))))}
        assert {"overall", *run["difference"]} == set(shown)
        for name, each in run["difference"].items():
            entry = run["metrics"][name]
            row = shown[name]
            assert row[1] == formats.score(each["values"][1], entry)
            assert row[2] == formats.score(each["values"][0], entry)
            assert row[3] == formats.signed(each["delta"], entry)
            if each["ci_verdict"] is None:
                assert row[4:6] == ["n/a", "n/a"]
            else:
                ends = difference_text(each["delta"], each["ci_verdict"], entry["range"][1]).partition(" ")[2]
                assert row[4] == ends.replace("-", "−")
                assert row[5] == formats.p_text(each["p_verdict"])
            assert row[7] == f"{each['items']['wins']} / {each['items']['ties']} / {each['items']['losses']}"
            seen = f"; would have seen {each['detectable']:.2g}" if each["detectable"] is not None else ""
            told = each["verdict"] + (seen if each["verdict"] == "no difference shown" else "")
            assert row[10] == told


def test_the_matrix_and_the_mean_ranks_are_those_of_the_ranking(site: Path, compared: Mapping[str, Any]) -> None:
    for ranking in compared["rankings"]:
        ranks, names = ranking["friedman"]["mean_ranks"], ranking["names"]
        slug = ranking["metric"].lower().replace("_", "-")
        order = sorted(range(len(ranks)), key=lambda place, ranks=ranks: ranks[place])
        shown = rows(page(site, f"ranks/{slug}-*.html"))
        assert sorted(row[1] for row in shown) == sorted(f"{rank:.2f}" for rank in ranks)
        assert {row[0]: row[2] for row in shown} == {
            formats.text(name): formats.rank_range(tuple(span))
            for name, span in zip(names, ranking["ranges"], strict=True)
        }
        matrix = {row[1]: row for row in rows(page(site, f"significance/{slug}-*.html"))}
        for place in order:
            p = ranking["p"][place]
            better = sum(p[other] <= 0.05 and ranks[place] < ranks[other] for other in order if other != place)
            worse = sum(p[other] <= 0.05 and ranks[place] > ranks[other] for other in order if other != place)
            row = matrix[formats.text(names[place])]
            counted = [0 if cell == "none" else sum(map(length, cell.split(", "))) for cell in row[2:]]
            assert counted == [better, worse, len(order) - 1 - better - worse]


def length(span: str) -> int:
    first, _, last = span.partition("–")
    return int(last or first) - int(first) + 1


def test_factors_show_the_effects_of_the_study(site: Path, compared: Mapping[str, Any]) -> None:
    for name, study in compared["study"].items():
        entry = compared["runs"][0]["metrics"][name]
        shown = rows(page(site, f"factors/{name.lower().replace('_', '-')}-*.html"))
        effects = [*study["main"], *study["interactions"], *study["simple"], *study["within"]]
        assert [row[0] for row in shown] == [effect["contrast"] for effect in effects]
        for row, effect in zip(shown, effects, strict=True):
            assert row[2].split(" ")[1] == formats.signed(effect["items"]["delta"], entry)
            assert row[4] == formats.p_text(effect["p_adjusted"])


def test_a_comparison_lists_items_by_difference_with_both_answers(site: Path, runs: list[Path]) -> None:
    path = next(iter(sorted(site.glob("compare/gnal-*.html"))))
    root = page(site, f"compare/{path.name}")
    shown = [said(each) for each in root.iter("summary")]
    deltas = [float(re.findall(r"[▲▼] ([+−][\d.]+)", each)[0].replace("−", "-")) for each in shown]
    losses = [delta for delta in deltas if delta < 0]
    gains = [delta for delta in deltas if delta > 0]
    assert deltas == sorted(losses) + sorted(gains, reverse=True)
    samples = [[json.loads(line) for line in (run / "samples.jsonl").open()] for run in (runs[0], runs[3])]
    by_item = {
        formats.text(one["item_id"]): (one["prediction"], other["prediction"])
        for one, other in zip(*samples, strict=True)
    }
    for details in root.iter("details"):
        answers = details.findall(".//dd")[0]
        item = said(details.findall(".//code")[-1])
        new = "".join(piece for piece in _texts(answers, but="del"))
        assert " ".join(new.split()) == " ".join(formats.text(by_item[item][1]).split())


def _texts(element: Element, but: str) -> list[str]:
    found = [element.text or ""]
    for child in element:
        found += [] if child.tag == but else _texts(child, but)
        found.append(child.tail or "")
    return found


def test_a_comparison_warns_where_a_few_large_losses_hide_behind_many_small_gains(
    runs: list[Path], tmp_path: Path
) -> None:
    pair = []
    for name in ("base", "risky"):
        copy = tmp_path / name
        copy.mkdir()
        header = json.loads((runs[0] / "run.json").read_text())
        header["model"]["name"], header["run_id"] = name, ("a" if name == "base" else "b") * 64
        (copy / "run.json").write_text(json.dumps(header))
        with (copy / "samples.jsonl").open("w") as stream:
            for place, line in enumerate((runs[0] / "samples.jsonl").open()):
                sample = json.loads(line)
                gain = -0.4 if place < 6 else 0.01 + place / 100_000
                sample["scores"]["token_f1"] = 0.5 + (gain if name == "risky" else 0.0)
                stream.write(json.dumps(sample) + "\n")
        pair.append(copy)
    root = page(built(pair, tmp_path / "site"), "compare/risky-*.html")
    (banner,) = (each for each in root.iter("section") if "warn" in (each.get("class") or ""))
    assert "token_f1: the mean says worse, most items that differ say better (54 better, 6 worse)" in said(banner)
    assert "⚠ token_f1" in [said(each) for each in root.iter("{http://www.w3.org/2000/svg}text")]


def test_what_two_runs_without_costs_or_factors_cannot_tell_is_absent(runs: list[Path], tmp_path: Path) -> None:
    bare = []
    for run in runs[:2]:
        copy = tmp_path / run.name
        copy.mkdir()
        header = json.loads((run / "run.json").read_text())
        header["model"]["parameters"], header["factors"], header["generation"]["generated"] = None, {}, 0
        (copy / "run.json").write_text(json.dumps(header))
        (copy / "samples.jsonl").write_bytes((run / "samples.jsonl").read_bytes())
        bare.append(copy)
    site = built(bare, tmp_path / "site")
    assert (site / "compare.html").is_file()
    for name in ("significance.html", "ranks.html", "tradeoff.html", "factors.html"):
        assert not (site / name).exists()
        assert name not in (site / "index.html").read_text()


def test_two_runs_of_one_cell_are_told_instead_of_effects(runs: list[Path], tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    twin.mkdir()
    header = json.loads((runs[0] / "run.json").read_text())
    header["model"]["name"], header["run_id"] = "twin", "f" * 64
    (twin / "run.json").write_text(json.dumps(header))
    (twin / "samples.jsonl").write_bytes((runs[0] / "samples.jsonl").read_bytes())
    site = built([*runs, twin], tmp_path / "site")
    assert "two runs have the same factors and seed" in said(page(site, "factors.html"))
