"""Claim: a board of 50 runs x 10,000 items x 14 metrics is built within a minute and 1 GB on two cores, and is quick.

The bar for a build after one changed run is 15 % of that time.

Run: ``python benchmarks/board_build.py [RUNS ITEMS]`` (Linux; a Chromium and the extra ``browser`` for the second
part). The runs are written into a scratch folder (`board_runs.py`, 0.6 GB). One process builds the board, with all its
workers pinned to two cores; its wall time and peak memory count, CPU time and the machine's load are told beside them:
on a busy machine wall time says little. Memory is the sum over the process and its workers, sampled.

The first build finds an empty cache. Then answers and scores of one run are dealt anew, and the board is built again.
The share that counts is that of wall times; that of CPU times is told beside it. A build without a cache must give the
same bytes.

Then the site is opened from file:// and timed in the browser: the index until its scripts have run, sorting its table
until the next frame, an item's answers and a comparison until they are there, and the list of items until a filter has
gone through all of them. Each is the median of `REPEATS`. Exit code 1 where a bound is passed.
"""

from __future__ import annotations

import filecmp
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from board_runs import deal_again, write_runs

if TYPE_CHECKING:
    from playwright.sync_api import Page

RUNS, ITEMS, REPEATS = 50, 10_000, 5
BUILD_SECONDS, BUILD_BYTES, REBUILD_SHARE = 60.0, 1e9, 0.15
SITE_BYTES, INDEX_BYTES = 150e6, 1e6
INDEX_SECONDS, SORT_SECONDS, PAGE_SECONDS, FILTER_SECONDS = 1.0, 0.1, 0.3, 0.1
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
# From the click to the frame that shows its effect, in milliseconds.
SORT = """() => new Promise(done => {
  const start = performance.now();
  document.querySelector('#standings th[data-sort] button').click();
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""
# From the choice of a filter over all items until they are filtered and the first hundred drawn, in milliseconds.
FILTER = """async () => {
  const picked = document.querySelector('[data-pick=baseline]');
  picked.value = picked.value === 'right' ? 'wrong' : 'right';
  const start = performance.now();
  delete document.documentElement.dataset.found;
  picked.dispatchEvent(new Event('change', { bubbles: true }));
  while (!document.documentElement.dataset.found) await new Promise(done => setTimeout(done));
  document.body.offsetHeight;
  return performance.now() - start;
}"""
# From the start of the navigation until the page's scripts have run, in milliseconds.
LOADED = "() => performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"


@dataclass(frozen=True)
class Measured:
    """A number with the bound that it has to stay under."""

    what: str
    value: float
    bound: float
    unit: str

    def told(self) -> str:
        """The line that is printed."""
        verdict = "ok" if self.value <= self.bound else "BEYOND"
        return f"{self.what:<44} {self.value:>9.3f} {self.unit:<3} (at most {self.bound:g})  {verdict}"


@dataclass(frozen=True)
class Built:
    """What a build took: wall and CPU seconds, and bytes at its peak."""

    wall: float
    cpu: float
    peak: int


def build(folders: list[Path], out: Path, cache: Path | None) -> Built:
    """Build in a process of its own, on two cores; parts are in ``cache``, or none are kept."""
    peak = 0
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    child = subprocess.Popen(
        [
            *(sys.executable, __file__, "--build", *map(str, folders), "--out", str(out)),
            *([] if cache is not None else ["--no-cache"]),
        ],
        env={**os.environ, **({} if cache is None else {"TELBENCH_CACHE": str(cache)})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.25):
            peak = max(peak, _held(child.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = child.wait()
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    assert code == 0, f"the build ended with {code}"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    load = os.getloadavg()[0]
    print(f"built in {seconds:.1f} s wall, {cpu:.1f} s CPU; the machine's load was {load:.1f}")
    return Built(seconds, cpu, peak)


def build_twice(folders: list[Path], folder: Path) -> list[Measured]:
    """Build, change a run, and build again, with the cache and without."""
    site, cache = folder / "site", folder / "cache"
    first = build(folders, site, cache)
    deal_again(folders[len(folders) // 2])
    again = build(folders, site, cache)
    print(f"the share of CPU time is {again.cpu / first.cpu:.3f}")
    build(folders, folder / "fresh", None)
    found, wanted = (
        {path.relative_to(each): path for path in each.rglob("*") if path.is_file()}
        for each in (site, folder / "fresh")
    )
    assert found.keys() == wanted.keys()
    assert all(filecmp.cmp(path, wanted[name], shallow=False) for name, path in found.items()), "other bytes"
    return [
        Measured("build, wall time", first.wall, BUILD_SECONDS, "s"),
        Measured("build, peak memory", first.peak / 1e9, BUILD_BYTES / 1e9, "GB"),
        Measured("build after one changed run, wall time", again.wall, REBUILD_SHARE * first.wall, "s"),
    ]


def build_here(arguments: list[str]) -> int:
    """Child: the command, on two cores."""
    from telbench.harness.cli.main import main as command

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    return command(["leaderboard", "build", *arguments])


def _held(session: int) -> int:
    """Bytes of the processes of a session, what they share counted once (proportional set size)."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session:
                rollup = (folder / "smaps_rollup").read_text()
                total += 1024 * next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total


def sizes(site: Path) -> list[Measured]:
    """Bytes on disk."""
    whole = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    index = (site / "index.html").stat().st_size
    return [
        Measured("site", whole / 1e6, SITE_BYTES / 1e6, "MB"),
        Measured("index.html", index / 1e6, INDEX_BYTES / 1e6, "MB"),
    ]


def browse(site: Path) -> list[Measured]:
    """Times in the browser; none where there is no Chromium or no playwright."""
    found = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
    if found is None:
        print("no Chromium: pages are not timed")
        return []
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto("about:blank")
        index, sort, item, comparison, chosen = [], [], [], [], []
        items = sorted(site.glob("items/*.html"))
        comparisons = sorted(site.glob("compare/*.html"))
        for turn in range(REPEATS):
            page.goto((site / "index.html").as_uri())
            index.append(page.evaluate(LOADED) / 1000)
            sort.append(page.evaluate(SORT) / 1000)
            item.append(_answers_shown(page, items[turn * len(items) // REPEATS]))
            page.goto(comparisons[turn * len(comparisons) // REPEATS].as_uri())
            comparison.append(page.evaluate(LOADED) / 1000)
            page.goto((site / "items.html").as_uri())
            page.wait_for_selector("html[data-items=ready]", state="attached")
            chosen.append(page.evaluate(FILTER) / 1000)
        browser.close()
    return [
        Measured("index until interactive", median(index), INDEX_SECONDS, "s"),
        Measured("sorting the index", median(sort), SORT_SECONDS, "s"),
        Measured("an item's answers", median(item), PAGE_SECONDS, "s"),
        Measured("a comparison with its word diffs", median(comparison), PAGE_SECONDS, "s"),
        Measured("a filter over all items", median(chosen), FILTER_SECONDS, "s"),
    ]


def _answers_shown(page: Page, path: Path) -> float:
    """Seconds until the answers of a page's items are there."""
    page.goto(path.as_uri())
    if page.query_selector("script[src*='/answers/']") is None:
        return page.evaluate(LOADED) / 1000
    page.wait_for_function("document.documentElement.dataset.answers === 'ready'", polling=5)
    return page.evaluate("performance.now()") / 1000


def main(runs: int, items: int) -> int:
    """Print all measurements; 1 where one is beyond its bound."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folders = write_runs(folder, runs, items)
        entries = json.loads((folders[0] / "run.json").read_text())["metrics"]
        print(f"{runs} runs x {items} items x {len(entries)} metrics")
        measured = build_twice(folders, folder)
        measured += sizes(folder / "site")
        measured += browse(folder / "site")
    for each in measured:
        print(each.told())
    return int(any(each.value > each.bound for each in measured))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build"]:
        sys.exit(build_here(sys.argv[2:]))
    given = [int(each) for each in sys.argv[1:]]
    sys.exit(main(*(given or [RUNS, ITEMS])))
