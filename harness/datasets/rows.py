"""Files to rows; whatever is wrong with a file becomes one line that names the file and the place in it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError, missing_extra

Row = tuple[int, Mapping[str, Any]]
_LARGEST_FIELD = 2**31 - 1


def read_bytes(path: Path) -> bytes:
    """The file's content.

    Raises:
        InputError: if it is missing, a folder, unreadable or empty.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{path}: cannot be read: {reason}") from error
    if not content.strip():
        raise InputError(f"{path}: the file is empty")
    return content


def decode(content: bytes, where: str) -> str:
    """UTF-8 text, with or without a byte order mark.

    Raises:
        InputError: naming line, byte and offset of what is not UTF-8.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{where}: the file is UTF-16: save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{where}, line {line}: byte 0x{content[error.start]:02x} at offset {error.start} is not UTF-8: "
            "save the file as UTF-8"
        ) from error


def read_text(path: Path) -> str:
    """The file as text; see `read_bytes` and `decode` for what is refused."""
    return decode(read_bytes(path), str(path))


def parse_json(text: str, where: str, first_line: int = 1, cut_is: str = "the JSON is truncated") -> Any:
    """A JSON value without NaN or infinity; ``cut_is`` says what a value is that does not end.

    Raises:
        InputError: naming the line and what is wrong.
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        what = cut_is if cut else f"not JSON: {error.msg}"
        raise InputError(f"{where}, line {line}: {what} (column {error.colno})") from error
    except RecursionError as error:
        raise InputError(f"{where}, line {first_line}: JSON nested too deeply") from error
    except ValueError as error:
        raise InputError(f"{where}, line {first_line}: not JSON: {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """(line number, value) of each line that is not blank; the file is read as it is consumed.

    Raises:
        InputError: as `read_text` does, and for a line that is no JSON.
    """
    cut_inside = "the record does not end on its line: JSON Lines has one a line"
    before: tuple[int, str] | None = None
    for number, line in _lines(path):
        if line.strip():
            if before is not None:
                yield before[0], parse_json(before[1], str(path), before[0], cut_inside)
            before = number, line
    if before is None:
        read_text(path)
    else:
        yield before[0], parse_json(before[1], str(path), before[0], "the JSON is truncated")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number, text) of each line; memory holds one."""
    # Only \n ends a line here: str.splitlines would also cut at U+2028, which may stand inside a JSON string.
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\n")
    except (OSError, ValueError):
        # Reading it whole finds the same fault and words it.
        read_text(path)
        raise


def csv_rows(path: Path, *, skip_blank_start: bool = False) -> Iterator[Row]:
    """(line number, row by column name) of each record; line numbers are those where a record starts.

    Args:
        path: a comma-separated file with a header line.
        skip_blank_start: pass over records without any text before the header.

    Raises:
        InputError: for an open quote at the end, two columns of one name, or a row longer or shorter than the header.
    """
    csv.field_size_limit(_LARGEST_FIELD)
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for record in reader:
            start, line = line, reader.line_num + 1
            if not record or (header is None and skip_blank_start and not any(cell.strip() for cell in record)):
                continue
            if header is None:
                header = _header(record, path, start)
                continue
            if len(record) != len(header):
                raise InputError(
                    f"{path}, line {start}: {len(record)} fields where the header has {len(header)}: quote fields that "
                    "hold commas or line breaks"
                )
            yield start, dict(zip(header, record, strict=True))
    except csv.Error as error:
        cut = "unexpected end of data" in str(error)
        what = "the file ends inside a quoted field: it is truncated" if cut else str(error)
        raise InputError(f"{path}, line {line}: not CSV: {what}") from error


def _header(record: list[str], path: Path, line: int) -> list[str]:
    names = [name.replace("\0", "").strip() for name in record]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}, line {line}: two columns are named '{name}'")
    return names


def parquet_rows(path: Path) -> Iterator[Row]:
    """(row number from 1, row by column name) of a parquet file.

    Raises:
        InputError: if pyarrow is not installed or the file is no parquet file.
    """
    read_bytes(path)
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "parquet", f"reading {path.name}") from error
    try:
        rows = parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable parquet file: {error}") from error
    yield from enumerate(rows, start=1)


def json_list_rows(path: Path) -> Iterator[Row]:
    """(element number from 1, element) of a JSON list of objects."""
    value = parse_json(read_text(path), str(path))
    if not isinstance(value, list):
        raise InputError(f"{path}: a list of items is expected, this is a JSON {kind_of(value)}")
    for number, row in enumerate(value, start=1):
        if not isinstance(row, dict):
            raise InputError(f"{path}, element {number}: an object is expected, this is a {kind_of(row)}")
        yield number, row


def jsonl_rows(path: Path) -> Iterator[Row]:
    """(line number, object) of each line of a JSON Lines file."""
    for number, row in json_lines(path):
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: an object is expected, this is a {kind_of(row)}")
        yield number, row


def kind_of(value: Any) -> str:
    """The JSON name of a value's type."""
    names = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null" if value is None else type(value).__name__)


def published(row: Any, path: Path, line: int | str, *names: str) -> list[Any]:
    """Fields of a record of a published file.

    Raises:
        InputError: if one is missing: the file is another version, or no file of that set.
    """
    if not isinstance(row, Mapping):
        raise InputError(f"{path}, record {line}: an object is expected: is this the published file?")
    missing = [name for name in names if name not in row]
    if missing:
        raise InputError(f"{path}, record {line}: no field '{missing[0]}': is this the published file?")
    return [row[name] for name in names]


def text_of(value: Any) -> str:
    """A published field as text (None is empty)."""
    return "" if value is None else str(value)
