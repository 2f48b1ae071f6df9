"""Stands in for telbench's commands in a process of its own: makes what --out names, slowly, or fails as told."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from telbench.kd.study.process import die_with_parent


def main() -> int:
    die_with_parent()
    words = sys.argv[1:]
    out = Path(words[words.index("--out") + 1])
    with Path(os.environ["FAKE_CALLS"]).open("a", encoding="utf-8") as calls:
        calls.write(f"{out.name}\n")
    if any(part and part in out.name for part in os.environ.get("FAKE_FAIL", "").split(",")):
        sys.stderr.write("telbench kd: no such data: name another\n")
        return 2
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
    out.mkdir(parents=True, exist_ok=True)
    odd = os.environ.get("FAKE_ODD", "")
    training = {"tokens": 100, "warnings": ["the teacher held it back"] if odd and odd in out.name else []}
    (out / "telbench.json").write_text(json.dumps({"training": training}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
