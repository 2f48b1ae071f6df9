"""Small true runs, and boards of them, for the tests of the site."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from telbench.harness.cli.main import main
from telbench.harness.cli.terminal import Reporter
from telbench.leaderboard.site.model.board import Board, Options, make_board

TERMS = ("AMF", "SMF", "UPF", "NRF", "PCF", "AUSF", "UDM", "NEF", "NSSF", "SEPP", "SCP", "gNB")
COUNT = 24


def write_items(folder: Path, count: int = COUNT) -> Path:
    """Open questions, two to a document, in two categories."""
    file = folder / "items.jsonl"
    with file.open("w") as stream:
        for index in range(count):
            term = TERMS[index % len(TERMS)]
            item = {
                "id": f"i{index}",
                "question": f"What does the {term} do in case {index}?",
                "references": [f"The {term} handles case {index} of the core network."],
                "source_document": f"doc{index // 2}",
                "category": "even" if index % 2 == 0 else "odd",
            }
            stream.write(json.dumps(item) + "\n")
    return file


def answers(right: int, count: int = COUNT, wrong: str = "It routes packets.") -> list[str | None]:
    """Answers of which the first ``right`` are the references."""
    return [
        f"The {TERMS[index % len(TERMS)]} handles case {index} of the core network." if index < right else wrong
        for index in range(count)
    ]


def write_run(
    folder: Path, name: str, given: Sequence[str | None], metrics: str = "exact_match,token_f1,bleu", title: str = ""
) -> Path:
    """A finished run of given answers; None is an item that was not answered."""
    data = folder / "items.jsonl"
    if not data.is_file():
        write_items(folder, len(given))
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps({"id": f"i{i}", "prediction": text}) + "\n" for i, text in enumerate(given)))
    out = folder / "runs" / name
    command = [
        "score",
        str(file),
        "--data",
        str(data),
        "--metrics",
        metrics,
        "--out",
        str(out),
        "--name",
        title or name,
    ]
    assert main(command) == 0
    return out


def board_of(paths: Sequence[Path], **options: object) -> Board:
    """A board made in this process."""
    return make_board(paths, Options(**options), Reporter(), processes=1)  # type: ignore[arg-type]


def unpacked_answers(script: bytes) -> dict[str, Any]:
    """What a file of answers hands over, as ``assets/answers.js`` reads it: for each item each run with its answer."""
    packed = script.removeprefix(b'telbenchAnswers("').removesuffix(b'");\n')
    document = json.loads(zlib.decompress(base64.b64decode(packed), -zlib.MAX_WBITS))
    assert document["answers"][0] == 0
    items = {
        key: [[run, *document["answers"][run + 1][place]] for run in document["order"][place]]
        for place, key in enumerate(document["asked"])
    }
    return {**document, "items": items}


class Markup(HTMLParser):
    """What a browser would find in a page: elements with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())
