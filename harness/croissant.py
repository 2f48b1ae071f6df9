"""Croissant: what a data set is, as JSON-LD that search engines and loaders read, beside its items.

Source: the Croissant format specification 1.0 of MLCommons; mlcroissant reads the files back in the tests.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from .datasets.canonical import json_lines_of
from .datasets.loading import WholeSet
from .storage import replace_text

FILE, METADATA = "items.jsonl", "croissant.json"
# The terms that the specification asks every file to bring along.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_LICENCES = {"Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0"}
# Fields of an item, with what each means.
_FIELDS = {
    "id": "identifies the item",
    "question": "what is asked",
    "references": "right answers; a score is the best over them",
    "context": "the text that the answer stands in",
    "source_document": "items of one document are not independent",
    "category": "the subject",
    "split": "train, dev or test",
}


def write_croissant(whole: WholeSet, out: Path, *, version: str, url: str = "", published: str = "") -> list[Path]:
    """Items and metadata of a registered set, in a folder.

    Args:
        whole: the set, all of its splits.
        out: the folder.
        version: of what published the set, such as ``1.2.0``.
        url: where the set is published; the project's address where none is given.
        published: the day of that, as 2026-11-28; the specification recommends to tell it.

    Raises:
        InputError: for a set that is not registered, what is no day, or a folder that cannot be written.
    """
    if published:
        try:
            date.fromisoformat(published)
        except ValueError as error:
            raise InputError(f"--published {published}: write a day as 2026-11-28") from error
    spec = whole.spec
    if spec is None:
        raise InputError("croissant: metadata are made of registered sets alone: see telbench data list")
    lines = json_lines_of(whole.items).decode("utf-8")
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": spec.name,
        "description": f"{spec.summary} ({spec.task}; {len(whole.items)} items; split: {whole.split_rule})",
        "license": _LICENCES.get(spec.licence, spec.licence),
        "url": url or "https://arxiv.org/abs/2504.20000",
        "version": version,
        "creator": {"@type": "sc:Organization", "name": spec.origin},
        "citeAs": f"{spec.name}, {spec.origin}",
        **({"datePublished": published} if published else {}),
        "isLiveDataset": False,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": FILE,
                "name": FILE,
                "contentUrl": FILE,
                "encodingFormat": "application/jsonlines",
                "sha256": hashlib.sha256(lines.encode("utf-8")).hexdigest(),
            }
        ],
        "recordSet": [_records()],
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror}") from error
    replace_text(out / FILE, lines)
    replace_text(out / METADATA, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return [out / FILE, out / METADATA]


def _records() -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "items",
        "name": "items",
        "description": "A question with its right answers, a record each.",
        "key": {"@id": "items/id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"items/{name}",
                "name": name,
                "description": told,
                "dataType": "sc:Text",
                **({"repeated": True} if name == "references" else {}),
                "source": {"fileObject": {"@id": FILE}, "extract": {"column": name}},
            }
            for name, told in _FIELDS.items()
        ],
    }
