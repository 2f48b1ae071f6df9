"""Makes the table of acronyms that the fact metrics read: pairs of an acronym and its expansion, no other text.

    python benchmarks/fact_acronyms.py --data DIR > metrics/fact/reading/tables/acronyms_found.tsv

Sources: telecom-nano (embedded); under DIR, where they are there, TeleQnA (MIT) and the entities of MM-TelcoBench
(CC BY 4.0). A pair counts where a text defines it ("Access and Mobility Management Function (AMF)", "AMF (Access and
...)") and the initials of the expansion spell the acronym. TeleQuAD is CC BY-ND: nothing of it goes into the table.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from telbench.harness.datasets.rows import parse_json
from telbench.harness.datasets.sets import nano, teleqna
from telbench.metrics.fact.reading.acronyms import defined, spells, words_of

_LONG = re.compile(r"[^\w\s/&-]")


def _texts(folder: Path | None) -> Iterator[str]:
    for fact in nano.read_facts(nano.EMBEDDED):
        yield from (fact.context, fact.answer, fact.alternative, *fact.questions)
    if folder is None:
        return
    path = folder / "teleqna" / teleqna.FILE
    if path.exists():
        questions = parse_json(teleqna.unlocked(path).decode("utf-8"), str(path))
        assert isinstance(questions, dict)
        for question in questions.values():
            yield from map(str, question.values())


def _entities(folder: Path | None) -> Iterator[tuple[str, str]]:
    path = None if folder is None else folder / "mm-telcobench" / "clean_1000_entities.csv"
    if path is not None and path.exists():
        with path.open(encoding="utf-8-sig", newline="") as rows:
            for row in csv.DictReader(rows):
                yield row["name"].strip(), row["full_form"].strip()


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    folder = parser.parse_args().data
    found = Counter(pair for text in _texts(folder) for pair in defined(text))
    found.update((name, full) for name, full in _entities(folder) if spells(full, name))
    merged: set[tuple[str, str]] = set()
    for acronym, written in found:
        words = words_of(_LONG.sub(" ", written))
        if 2 <= len(words) <= 9 and words[0] not in ("and", "or"):
            merged.add((acronym, " ".join(words)))
    lines = sorted(f"{acronym}\t{expansion}" for acronym, expansion in merged)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
