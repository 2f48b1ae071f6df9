"""Files to rows; whatever is wrong with a file becomes one line that names the file and the place in it."""

from __future__ import annotations

import ast
import csv
import gzip
import io
import json
import math
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from telbench.errors import InputError, missing_extra

Row = tuple[int, Mapping[str, Any]]
_LARGEST_FIELD = 2**31 - 1
_PACKED = ".gz"
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_QUOTED = re.compile(r"\"(?:[^\"]|\"\")*\"")
# What a spreadsheet writes above the header to say which sign parts the fields.
_SEPARATOR_LINE = re.compile(r"sep=([,;\t])\s*\n")


class BadRowError(InputError):
    """A row that cannot be read as meant; ``reason`` is what such rows are counted under where they are skipped."""

    def __init__(self, where: str, reason: str, told: str = "") -> None:
        """``told`` says more of this row than the reason does."""
        super().__init__(f"{where}: {told or reason}")
        self.reason = reason


# What becomes of a row that cannot be read; without one it is raised.
Bad = Callable[[BadRowError], None] | None


def refuse(row: BadRowError, bad: Bad) -> None:
    """Hand the row to ``bad``, or raise it."""
    if bad is None:
        raise row
    bad(row)


def ending(path: Path) -> str:
    """The ending that tells the format, in lower case, with that of the format below a ``.gz``.

    >>> ending(Path("a.JSONL")), ending(Path("a.b.csv.gz"))
    ('.jsonl', '.csv.gz')
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return "".join(suffixes[-2:] if suffixes[-1:] == [_PACKED] else suffixes[-1:])


def read_bytes(path: Path) -> bytes:
    """The file's content.

    Raises:
        InputError: if it is missing, a folder, unreadable, empty, or packed (``.gz``) and damaged.
    """
    try:
        with opened(path) as stream:
            content = stream.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        what = "the packed file is truncated" if isinstance(error, EOFError) else f"not a readable .gz file: {error}"
        raise InputError(f"{path}: {what}") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{path}: cannot be read: {reason}") from error
    if not content.strip():
        raise InputError(f"{path}: the file is empty")
    return content


def opened(path: Path) -> BinaryIO | gzip.GzipFile:
    """The file's bytes, unpacked where its name says that they are packed."""
    if path.suffix.lower() == _PACKED:
        return gzip.open(path, "rb")
    return path.open("rb")


def decode(content: bytes, where: str) -> str:
    """UTF-8 text, with or without a byte order mark.

    Raises:
        InputError: naming line, byte and offset of what is not UTF-8.
    """
    # Without its mark UTF-16 shows by the zero byte of every Latin letter.
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or content[:64].count(0) * 3 > len(content[:64]):
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
        return _decoder.decode(text)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        what = cut_is if cut else f"not JSON: {error.msg}"
        raise InputError(f"{where}, line {first_line + error.lineno - 1}: {what} (column {error.colno})") from error
    except RecursionError as error:
        raise InputError(f"{where}, line {first_line}: JSON nested too deeply") from error
    except ValueError as error:
        raise InputError(f"{where}, line {first_line}: not JSON: {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


_decoder = json.JSONDecoder(parse_constant=_no_constant)  # `json.loads` would make one for each value


def json_lines(path: Path, bad: Bad = None) -> Iterator[tuple[int, Any]]:
    """(line number, value) of each line that is not blank; the file is read as it is consumed.

    Raises:
        InputError: as `read_text` does, and for a line that is no JSON unless ``bad`` takes it.
    """
    cut_inside = "the record does not end on its line: JSON Lines has one a line"
    before: tuple[int, str] | None = None
    for number, line in _lines(path):
        if line.strip():
            if before is not None:
                yield from _line_value(path, *before, cut_inside, bad)
            before = number, line
    if before is None:
        read_text(path)
    else:
        yield from _line_value(path, *before, "the JSON is truncated", bad)


def _line_value(path: Path, number: int, line: str, cut_is: str, bad: Bad) -> Iterator[tuple[int, Any]]:
    try:
        value = parse_json(line, str(path), number, cut_is)
    except InputError as error:
        if bad is None:
            raise
        bad(BadRowError(f"{path}, line {number}", "not JSON", str(error).partition(": ")[2]))
    else:
        yield number, value


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number, text) of each line; memory holds one."""
    # Only \n ends a line here: str.splitlines would also cut at U+2028, which may stand inside a JSON string.
    try:
        with opened(path) as stream:
            for number, line in enumerate(stream, start=1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\n")
    except (OSError, ValueError, EOFError, zlib.error):
        # Reading it whole finds the same fault and words it.
        read_text(path)
        raise


def csv_rows(path: Path, *, skip_blank_start: bool = False, bad: Bad = None) -> Iterator[Row]:
    """(line number, row by column name) of each record; line numbers are those where a record starts.

    Args:
        path: a file with a header line, whose fields are parted by commas, semicolons or tabs.
        skip_blank_start: pass over records without any text before the header.
        bad: takes rows longer or shorter than the header.

    Raises:
        InputError: for an open quote at the end, two columns of one name, or a row longer or shorter than the header.
    """
    csv.field_size_limit(_LARGEST_FIELD)
    text = read_text(path)
    delimiter = _delimiter(text, tabs=ending(path).startswith(".tsv"))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    header: list[str] | None = None
    line = 1
    try:
        for record in reader:
            start, line = line, reader.line_num + 1
            if not record or (header is None and skip_blank_start and not any(cell.strip() for cell in record)):
                continue
            if header is None:
                if start == 1 and _SEPARATOR_LINE.match(text):
                    continue
                header = _header(record, path, start)
                continue
            if len(record) != len(header):
                told = (
                    f"{len(record)} fields where the header has {len(header)}: quote fields that hold "
                    f"{_DELIMITERS[delimiter]} or line breaks"
                )
                refuse(BadRowError(f"{path}, line {start}", "not as many fields as the header", told), bad)
                continue
            yield start, dict(zip(header, record, strict=True))
    except csv.Error as error:
        cut = "unexpected end of data" in str(error)
        what = "the file ends inside a quoted field: it is truncated" if cut else str(error)
        raise InputError(f"{path}, line {line}: not CSV: {what}") from error


def _delimiter(text: str, *, tabs: bool) -> str:
    """What parts the fields, by the header: the first of comma, semicolon and tab outside quotes.

    ``tabs``: the file's name says that they are tabs, unless the header has none.
    """
    stated = _SEPARATOR_LINE.match(text)
    if stated:
        return stated[1]
    header = _QUOTED.sub("", text.lstrip("\r\n")[:100_000]).partition("\n")[0]
    order = "\t,;" if tabs else ",;\t"
    return next((sign for sign in order if sign in header), ",")


def _header(record: list[str], path: Path, line: int) -> list[str]:
    names = [name.replace("\0", "").strip() for name in record]
    for name in names:
        # Spreadsheets leave empty columns at the right end.
        if name and names.count(name) > 1:
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
    yield from element_rows(value, path)


def element_rows(values: list[Any], path: Path, bad: Bad = None) -> Iterator[Row]:
    """(number from 1, element) of a list of objects that the file holds."""
    for number, row in enumerate(values, start=1):
        if isinstance(row, dict):
            yield number, row
        else:
            told = f"an object is expected, this is a {kind_of(row)}"
            refuse(BadRowError(f"{path}, element {number}", "no object", told), bad)


def jsonl_rows(path: Path, bad: Bad = None) -> Iterator[Row]:
    """(line number, object) of each line of a JSON Lines file."""
    for number, row in json_lines(path, bad):
        if isinstance(row, dict):
            yield number, row
        else:
            told = f"an object is expected, this is a {kind_of(row)}"
            refuse(BadRowError(f"{path}, line {number}", "no object", told), bad)


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


def absent(value: Any) -> bool:
    """Is there nothing in a field: null, an empty text, or the NaN that pandas writes?"""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def text_in(value: Any, name: str, where: str) -> str | None:
    """A text, or a number as text; None where there is nothing.

    Raises:
        BadRowError: for anything else; ``name`` says which field it is.
    """
    if absent(value):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRowError(where, f"'{name}' is no text", f"'{name}' must be text, this is a {kind_of(value)}")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def texts_in(value: Any, name: str, where: str) -> list[str]:
    """A list of texts, one text, or (as a cell holds it) a list written as text."""
    if isinstance(value, str):
        value = list_in(value)
    if not isinstance(value, list | tuple):
        value = [value]
    return [text for text in (text_in(single, name, where) for single in value) if text is not None]


# --- what a cell of text holds --------------------------------------------------------------------------------------

_LITERAL = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_LITERALS = re.compile(_LITERAL, re.DOTALL)
_LIST_OF_LITERALS = re.compile(rf"\[\s*(?:(?:{_LITERAL})[\s,]*)+\]", re.DOTALL)
_ARRAY = re.compile(r"array\((\[.*?\])(?:,\s*dtype=[^()]*)?\)", re.DOTALL)


def list_in(text: str) -> Any:
    """The list that a text holds as JSON, Python or numpy write it, or the text itself.

    A plain answer may well start with a bracket. numpy sets no commas: Python would join its texts to one.

    >>> list_in('["a", 1]'), list_in("['a', 'b']"), list_in("['a' 'b']"), list_in("[1] see clause 5")
    (['a', 1], ['a', 'b'], ['a', 'b'], '[1] see clause 5')
    """
    found = _ARRAY.fullmatch(text.strip())
    inner = found[1] if found else text.strip()
    if not inner.startswith("["):
        return text
    value = _literal(inner)
    if _LIST_OF_LITERALS.fullmatch(inner) and not (isinstance(value, list) and _is_json(inner)):
        value = [_literal(literal) for literal in _LITERALS.findall(inner)]
    if isinstance(value, list) and all(isinstance(single, str | int | float | None) for single in value):
        return value
    return text


def object_in(text: str) -> Any:
    """The object, or list of objects, that a text holds as JSON or Python write it, or the text itself.

    >>> object_in("{'text': array(['x'], dtype=object)}"), object_in("{x}")
    ({'text': ['x']}, '{x}')
    """
    value = _literal(_ARRAY.sub(r"\1", text.strip())) if text.lstrip()[:1] in {"{", "["} else text
    objects = isinstance(value, list) and value and all(isinstance(single, dict) for single in value)
    return value if objects or isinstance(value, dict) else text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _literal(text: str) -> Any:
    """The value that JSON or else Python reads in a text; None where neither does."""
    for read in (json.loads, ast.literal_eval):
        try:
            with warnings.catch_warnings():
                # Python warns of a backslash that it takes as it stands.
                warnings.simplefilter("ignore")
                return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
    return None
