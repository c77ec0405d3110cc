"""Turns a file into a header and a stream of numbered rows: delimited text, JSON Lines or Parquet.

A ``RowFile`` knows the layout of the file and nothing of what its columns mean.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from longgame.datasets.files import find_encoding, name_of, reading
from longgame.datasets.report import Reject
from longgame.errors import ConfigError, DataError, MissingExtra

SAMPLE = 1000
"""Rows from which a layout is judged."""
SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}
TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".dat", ".data", ".psv", ".tab")
JSON_ENDINGS = (".jsonl", ".ndjson", ".json")
PARQUET_ENDINGS = (".parquet", ".pq")
ENDINGS = (*TEXT_ENDINGS, *JSON_ENDINGS, *PARQUET_ENDINGS)

NESTED = ("attributes.", "media.")
"""How the columns are called that stand for the parts of an object in JSON Lines: ``attributes.price``."""

Row = Sequence[Any]
"""The cells of a row, in the order of the columns: text from a text file, JSON's or Arrow's values from the others."""
Rows = Iterator[tuple[int, Row | Reject]]
"""Line (row number in Parquet) and its cells, or why the line is no row."""


@dataclass(frozen=True)
class RowFile:
    """One file of rows."""

    path: Path
    columns: tuple[str, ...]
    rows: Callable[[], Rows]
    """A fresh stream from the first row after the header."""
    layout: dict[str, str]
    """What was judged about the file ("separator", "encoding"), for the preview."""

    def sample(self, limit: int = SAMPLE) -> list[Row]:
        """Rows near the start that have as many cells as the header. Raises DataError if there are rows but none has."""
        whole = [(line, row) for line, row in islice(self.rows(), limit) if not isinstance(row, Reject)]
        fitting = [row for _, row in whole if len(row) == len(self.columns)]
        if whole and not fitting:
            line, first = whole[0]
            raise DataError(
                f"{self.path}: the header has {len(self.columns)} columns, but none of the first rows has as many "
                f"(line {line} has {len(first)}); look at the separator: it must be the same in every line"
            )
        return fitting


def open_rows(path: Path, *, encoding: str | None, separator: str | None, quote: bool, columns: tuple[str, ...]) -> RowFile:
    """The rows of ``path``, whose form is told by its ending. ``columns`` names those of a file without a header."""
    name = name_of(path)
    if (separator or columns) and name.endswith((*PARQUET_ENDINGS, *JSON_ENDINGS)):
        raise ConfigError(f"{path}: --separator and --columns are for delimited text; this form names its own columns")
    if name.endswith(PARQUET_ENDINGS):
        return _parquet(path)
    if name.endswith(JSON_ENDINGS):
        return json_lines(path, encoding)
    encoding = find_encoding(path, encoding)
    separator = separator or _sniff(path, encoding, quote)
    return delimited(path, encoding, separator, quote=quote, columns=columns)


def delimited(path: Path, encoding: str, separator: str, *, quote: bool, columns: tuple[str, ...] = ()) -> RowFile:
    """Delimited text. Without ``columns`` its first line names them."""

    def rows() -> Rows:
        stream = _delimited_rows(path, encoding, separator, quote)
        return stream if columns else islice(stream, 1, None)

    header = columns or _header(path, encoding, separator, quote)
    if next(rows(), None) is None:
        raise DataError(f"{path}: the file has a header ({', '.join(header)}) but no rows")
    layout = {"separator": SEPARATORS.get(separator, repr(separator)), "encoding": encoding}
    return RowFile(path, header, rows, layout)


def _delimited_rows(path: Path, encoding: str, separator: str, quote: bool) -> Rows:
    with reading(path, encoding) as text:
        if len(separator) != 1:
            yield from ((n, line.rstrip("\r\n").split(separator)) for n, line in enumerate(text, 1) if line.strip())
            return
        line = 1
        reader = csv.reader(text, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE, strict=quote)
        try:
            for row in reader:
                if row:
                    yield line, row
                line = reader.line_num + 1
        except csv.Error as error:
            mend = "mend the quotes there, or give --no-quotes if quotation marks are ordinary characters in this file"
            raise DataError(f"{path}, line {line}: a field cannot be read ({error}); {mend}") from None


def _header(path: Path, encoding: str, separator: str, quote: bool) -> tuple[str, ...]:
    _, first = next(_delimited_rows(path, encoding, separator, quote), (0, []))
    names = tuple(str(name).strip() for name in first) if not isinstance(first, Reject) else ()
    if len(names) < 2:
        better = _better(path, encoding, quote)
        hint = f"; {better}" if better else f"; none of {', '.join(SEPARATORS.values())} gives more; say which with --separator"
        got = SEPARATORS.get(separator, repr(separator))
        raise DataError(
            f"{path}: with the separator {got} there is one column, {names[0][:60]!r}{hint}" if names else f"{path}: empty"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: the header names {', '.join(map(repr, twice))} more than once; rename all but one")
    if all(_is_number(name) for name in names):
        raise DataError(
            f"{path}: the first line holds values ({', '.join(names[:4])}), not names; add a header line, "
            "or name the columns with --columns user,item,…"
        )
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _widths(path: Path, encoding: str, separator: str, quote: bool) -> list[int]:
    try:
        return [
            len(row) for _, row in islice(_delimited_rows(path, encoding, separator, quote), 20) if not isinstance(row, Reject)
        ]
    except DataError:
        if not quote:
            raise
        return _widths(path, encoding, separator, False)


def _sniff(path: Path, encoding: str, quote: bool) -> str:
    """The separator under which the most rows are as wide as the header; the wider where two are equal."""

    def fit(separator: str) -> tuple[float, int]:
        widths = _widths(path, encoding, separator, quote)
        agree = sum(width == widths[0] for width in widths) / max(len(widths), 1)
        return (agree, widths[0]) if widths and widths[0] > 1 else (0.0, 0)

    return max(SEPARATORS, key=fit)


def _better(path: Path, encoding: str, quote: bool) -> str:
    for separator, name in [*SEPARATORS.items(), ("::", "two colons"), (" ", "space")]:
        widths = _widths(path, encoding, separator, quote)
        if widths and widths[0] > 1:
            return f"the separator {name} gives {widths[0]} columns: --separator {separator!r}"
    return ""


def json_lines(path: Path, encoding: str | None = None) -> RowFile:
    """JSON Lines: an object a line. The columns are the names met in the first rows.

    ``attributes`` and ``media``, which are objects of their own in what the HTTP API takes, become a column a part.
    """
    encoding = find_encoding(path, encoding)
    names: dict[str, None] = {}
    objects = 0
    trouble = ""
    with reading(path, encoding) as text:
        for line in islice(text, SAMPLE):
            if not names and line.lstrip().startswith("["):
                raise DataError(f"{path}: a JSON array, not JSON Lines; write one object a line, for instance with jq -c '.[]'")
            found = _object(line)
            if isinstance(found, dict):
                names.update(dict.fromkeys(found))
                objects += 1
            elif found is not None:
                trouble = trouble or found.reason
    if not names:
        raise DataError(f"{path}: none of the first lines holds a JSON object{': ' + trouble if trouble else ''}")
    columns = tuple(names)

    def rows() -> Rows:
        with reading(path, encoding) as text:
            for number, line in enumerate(text, 1):
                found = _object(line)
                if isinstance(found, dict):
                    yield number, [found.get(name) for name in columns]
                elif found is not None:
                    yield number, found

    return RowFile(path, columns, rows, {"encoding": encoding, "lines": "JSON"})


def _object(line: str) -> dict[str, Any] | Reject | None:
    """The object on a line, None for an empty line."""
    line = line.strip()
    if not line:
        return None
    mend = "each line must be one JSON object, names and texts in double quotes"
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Reject("line is not JSON", f"{error.msg}, got {line[:60]!r}", mend)
    return _unfolded(found) if isinstance(found, dict) else Reject("line is not an object", f"got {line[:60]!r}", mend)


def _unfolded(found: dict[str, Any]) -> dict[str, Any]:
    for prefix in NESTED:
        inner = found.get(prefix[:-1])
        if isinstance(inner, dict):
            del found[prefix[:-1]]
            found.update({f"{prefix}{name}": value for name, value in inner.items()})
    return found


def _parquet(path: Path) -> RowFile:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra("reading Parquet", "pyarrow", "parquet") from None
    try:
        with pq.ParquetFile(path) as file:
            schema, length = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from None
    if not length:
        raise DataError(f"{path}: the file has columns ({', '.join(schema.names)}) but no rows")

    def rows() -> Rows:
        number = 0
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=8192):
                cells = [_cells(column) for column in batch.columns]
                for row in zip(*cells, strict=True):
                    number += 1
                    yield number, row

    return RowFile(path, tuple(schema.names), rows, {"file": "Parquet"})


def _cells(column: Any) -> list[Any]:
    """Python's values of an Arrow column; nanoseconds are cut to microseconds, the most a datetime holds."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    found: list[Any] = column.to_pylist()
    return found
