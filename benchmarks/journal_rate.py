"""Claim: the journal of answers is no bottleneck: one process writes and reads back 20,000 lines a second or more.

Puts ``--lines`` completions of some 300 characters into a `RecordStore`, opens the file anew as a resumed run does, and
reads every record by its key. Prints lines a CPU second of each, bytes a line, and memory the open store takes a line;
exits with 1 where writing or opening is below the claim.

    python benchmarks/journal_rate.py --lines 200000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

from telbench.harness.storage import RecordStore

LEAST = 20_000
ANSWER = "The O-DU terminates the F1 interface towards the O-CU and the open fronthaul towards the O-RU. " * 3


def main() -> int:
    """Measure and print; 0 when it is as claimed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lines", type=int, default=200_000)
    count = parser.parse_args().lines
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "completions.jsonl"
        began = time.process_time()
        with RecordStore(file) as store:
            for index in range(count):
                counts = {"prompt_tokens": 300, "completion_tokens": 64}
                store.put(f"{index:064x}", {"text": f"{ANSWER}{index}", "finish_reason": "stop", **counts})
        written = count / (time.process_time() - began)
        began = time.process_time()
        with RecordStore(file) as store:
            opened = count / (time.process_time() - began)
            began = time.process_time()
            assert all(store.get(key) is not None for key in store.keys())  # noqa: SIM118 - it is no mapping
            read = count / (time.process_time() - began)
        size = file.stat().st_size / count
        tracemalloc.start()
        with RecordStore(file):
            held = tracemalloc.get_traced_memory()[0] / count
    print(f"{count:,} lines of {size:.0f} bytes; an open journal holds {held:.0f} bytes a line")
    print(f"lines a CPU second: {written:,.0f} written, {opened:,.0f} opened, {read:,.0f} read by key")
    return 0 if min(written, opened) >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
