"""Metrics that break the contract, each as the module of a package, and what `telbench metrics check` says of it."""

from __future__ import annotations

import os
from typing import NamedTuple


class Bad(NamedTuple):
    """``body`` is the module after its import lines; it registers ``bad``. ``said`` stands in the list of problems."""

    body: str
    said: str


_ITEM = """
@metric(name="bad", family="ngram", range=(0, 1), needs={{"references"}}, higher_is_better={higher})
def bad(sample):
    "Does something."
    {body}
"""
_CORPUS = """
import numpy as np

def rows(samples):
    words = [sample.prediction.split() for sample in samples]
    wanted = [set(sample.references[0].split()) for sample in samples]
    kept = [float(sum(word in right for word in each)) for each, right in zip(words, wanted)]
    return [ItemScore(k / max(1, len(w)), None, (k, float(len(w)))) for k, w in zip(kept, words)]

def summed(sums):
    {body}

bad = Metric(name="bad", family="ngram", range=(0, 1), higher_is_better=True, needs=frozenset({{"references"}}),
             level="corpus", description="Kept words.", score_batch=rows, aggregate=summed, statistics=2)
"""
_RIGHT = "len(set(sample.prediction.split()) & set(sample.references[0].split())) / len(sample.references[0].split())"


def item(body: str, *, higher: bool = True) -> str:
    """A metric of one sample with this body."""
    return _ITEM.format(body=body, higher=higher)


BAD: dict[str, Bad] = {
    "NaN always": Bad(item("return float('nan')"), "the reference itself: NaN or infinite"),
    "NaN on empty answers": Bad(
        item(f"return {_RIGHT} if sample.prediction.strip() else float('nan')"), "an empty answer: NaN or infinite"
    ),
    "infinity on empty answers": Bad(
        item(f"return {_RIGHT} if sample.prediction.strip() else float('inf')"), "an empty answer: NaN or infinite"
    ),
    "an exception on empty answers": Bad(item("return float(sample.prediction.split()[0] > 'B')"), "raised IndexError"),
    "values out of range": Bad(item("return float(len(sample.prediction))"), "lies outside the range (0, 1)"),
    "the end of the program": Bad(item("raise SystemExit(0)"), "would end the program (SystemExit: 0)"),
    "the end of the process": Bad(
        # As a library in C would: nothing can be caught. Only where the check is not itself.
        "import os\n" + item(f"os.getpid() != {os.getpid()} and os._exit(3)\n    return {_RIGHT}"),
        "it ended with exit code 3 and no values",
    ),
    "never a value": Bad(item("return None"), "none of 16 samples gets a value (no reference; not applicable)"),
    "a constant": Bad(item("return 0.5"), "each of 14 different answers gets 0.5"),
    "the wrong direction": Bad(item(f"return {_RIGHT}", higher=False), "though lower is said to be better"),
    "a value by hash()": Bad(
        item("return hash(sample.prediction + 'x') % 1000 / 1000"), "values differ in another process"
    ),
    "the order of a set": Bad(
        item("return len(next(iter(set(('x ' + sample.prediction).split())))) % 100 / 100"),
        "values differ in another process",
    ),
    "the clock": Bad("import time\n" + item("return time.perf_counter() % 1"), "differs from call to call"),
    "the day": Bad(
        "from datetime import date\n" + item(f"return {_RIGHT} * date.today().toordinal() / 1e6"),
        "values differ in another process and on another day",
    ),
    "chance": Bad("import random\n" + item("return random.random()"), "differs from call to call"),
    "the samples before": Bad(
        "seen = []\n" + item("seen.append(sample)\n    return len(seen) % 7 / 7"), "depends on the order of the samples"
    ),
    "the samples beside": Bad(
        """
def rows(samples):
    longest = max(len(sample.prediction) for sample in samples)
    return [ItemScore(len(sample.prediction) / max(1, longest)) for sample in samples]

bad = Metric(name="bad", family="ngram", range=(0, 1), higher_is_better=True, needs=frozenset(), level="item",
             description="Length.", score_batch=rows)
""",
        "depends on the samples scored with it",
    ),
    "a changed sample": Bad(
        item(f"object.__setattr__(sample, 'prediction', sample.prediction.strip())\n    return {_RIGHT}"),
        "it changes the samples that it is given",
    ),
    "slowness": Bad("import time\n" + item(f"time.sleep(0.06)\n    return {_RIGHT}"), "a hundred short samples took"),
    "the network": Bad(
        "import socket\n"
        + item(
            "try:\n        socket.create_connection(('127.0.0.1', 9), 0.1)\n    except OSError:\n        pass\n"
            f"    return {_RIGHT}"
        ),
        "it uses the network: socket.getaddrinfo 127.0.0.1",
    ),
    "fewer scores than samples": Bad(
        """
bad = Metric(name="bad", family="ngram", range=(0, 1), higher_is_better=True, needs=frozenset(), level="item",
             description="Nothing.", score_batch=lambda samples: [ItemScore(0.5)])
""",
        "raised ValueError",
    ),
    "an aggregate that gives one number": Bad(
        _CORPUS.format(body="return sums[:, 0].sum() / sums[:, 1].sum()"), "aggregate gives shape () for"
    ),
    "an aggregate that looks at other rows": Bad(
        _CORPUS.format(body="return sums[:, 0] / max(1.0, sums[:, 1].max())"), "depends on the other rows"
    ),
    "an aggregate without a value for small sums": Bad(
        _CORPUS.format(body="return np.where(sums[:, 1] > 2, sums[:, 0] / np.maximum(sums[:, 1], 1), np.nan)"),
        "the corpus score of one sample is nan",
    ),
    "an aggregate out of range": Bad(
        _CORPUS.format(body="return 3 + sums[:, 0] / np.maximum(sums[:, 1], 1)"), "outside the range (0, 1)"
    ),
}
GOOD = {
    "item": item(f"return {_RIGHT}"),
    "corpus": _CORPUS.format(body="return sums[:, 0] / np.maximum(sums[:, 1], 1)"),
}
