"""TeleQnA: 10,000 multiple-choice questions, published as an encrypted zip that is only ever opened in memory."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from pathlib import Path

from telbench.errors import InputError

from ..contract import Collector, DatasetSpec, LoadedItems, chosen
from ..items import Item
from ..rows import decode, parse_json, published, read_bytes, text_of
from ..splits import everything_in
from ..wording import clean

FILE = "TeleQnA.zip"
MEMBER = "TeleQnA.txt"
# Published by the authors beside the zip, which is locked so that crawlers do not train models on its text.
PASSWORD = b"teleqnadataset"
_ANSWER = re.compile(r"\s*option\s+(\d+)\b")


def unlocked(path: Path) -> bytes:
    """The plain text of the zip, in memory.

    Raises:
        InputError: if the file is no such zip, or the package that decrypts it is missing.
    """
    import io

    content = read_bytes(path)
    try:
        import pyzipper
    except ImportError as error:
        raise InputError(f"reading {FILE} needs the package 'pyzipper': pip install pyzipper") from error
    try:
        with pyzipper.AESZipFile(io.BytesIO(content)) as archive:
            return archive.read(MEMBER, pwd=PASSWORD)
    except KeyError as error:
        raise InputError(f"{path}: holds no {MEMBER}: is this the published file?") from error
    except (pyzipper.BadZipFile, RuntimeError, NotImplementedError, ValueError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be unlocked ({error}): is the download complete?") from error


def load(files: Mapping[str, Path], options: Mapping[str, str]) -> LoadedItems:
    """Questions with their two to five options in numeric order."""
    path = files[FILE]
    entries = parse_json(decode(unlocked(path), f"{path} ({MEMBER})"), f"{path} ({MEMBER})")
    if not isinstance(entries, dict):
        raise InputError(f"{path}: {MEMBER} holds no JSON object: is this the published file?")
    collector = Collector()
    for key, entry in entries.items():
        question, answer = map(clean, map(text_of, published(entry, path, key, "question", "answer")))
        numbers = sorted(int(name[7:]) for name in entry if name.startswith("option ") and name[7:].isdecimal())
        choices = tuple(clean(text_of(entry[f"option {number}"])) for number in numbers)
        found = _ANSWER.match(answer)
        if question.casefold() == "research papers":
            collector.drop("question is only 'Research Papers'")
        elif found is None or int(found[1]) not in numbers:
            collector.drop("answer names no option")
        else:
            right = (numbers.index(int(found[1])),)
            collector.items.append(
                Item(
                    id=key,
                    question=question,
                    references=chosen(choices, right),
                    choices=choices,
                    answer=right,
                    category=clean(text_of(entry.get("category"))) or None,
                    meta={"explanation": clean(text_of(entry.get("explanation")))},
                )
            )
    return collector.loaded()


TELEQNA = DatasetSpec(
    name="teleqna",
    summary="TeleQnA: standards, research and lexicon of telecommunications",
    task="multiple choice",
    folder="teleqna",
    files=(FILE,),
    licence="MIT",
    origin="netop-team/TeleQnA",
    load=load,
    split_rule=everything_in("test", "a benchmark, not to be trained on"),
    protected=True,
)
