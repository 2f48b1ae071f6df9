"""Stands in for telbench's commands in a process of its own: makes what --out names, slowly, or fails as told."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from telbench.harness.executors.process import claimed, die_with_parent


def main() -> int:
    words = sys.argv[1:]
    out = Path(words[words.index("--out") + 1])
    with Path(os.environ["FAKE_CALLS"]).open("a", encoding="utf-8") as calls:
        calls.write(f"{out.name}\n")
    if (out / "telbench.json").is_file():
        # As telbench's own commands do: what is made already is found.
        return 0
    if any(part and part in out.name for part in os.environ.get("FAKE_FAIL", "").split(",")):
        sys.stderr.write("telbench kd: no such data: name another\n")
        return 2
    if pids := os.environ.get("FAKE_PIDS"):
        with Path(pids).open("a", encoding="utf-8") as file:
            file.write(f"{out.name} {os.getppid()} {os.getpid()}\n")
    which, _, mark = os.environ.get("FAKE_KILLED", "").partition(":")
    if which and which in out.name and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
    with Path(os.environ["FAKE_CALLS"]).with_name("made").open("a", encoding="utf-8") as made:
        made.write(f"{out.name}\n")
    out.mkdir(parents=True, exist_ok=True)
    odd = os.environ.get("FAKE_ODD", "")
    training = {"tokens": 100, "warnings": ["the teacher held it back"] if odd and odd in out.name else []}
    (out / "telbench.json").write_text(json.dumps({"training": training}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    die_with_parent()
    with claimed():
        sys.exit(main())
