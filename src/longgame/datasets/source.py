"""What every data set becomes: a Source, which can be previewed, rehearsed and read.

A Source is a few tables; a Table is rows and one function from a row to a record. Reading is a stream, so memory
does not grow with the file; and it is repeatable, so that ``validate`` can go through all of it before a first record
is written. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from longgame.datasets.report import Count, Reject, Report
from longgame.datasets.rows import Row, Rows
from longgame.datasets.seen import Seen
from longgame.errors import ConfigError, DataError, RecordError
from longgame.types import Event, Item, Record, User

_CHUNK = 8192
_PREVIEW = 5


@dataclass(frozen=True)
class Options:
    """What the one who imports may say about a file; what is left out is judged from the file."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    """Part -> column: {"user": "customer_id"}; {"items.text": "title,blurb"} for one table only."""
    encoding: str | None = None
    """Python's name of the text encoding."""
    separator: str | None = None
    """What stands between two cells."""
    quote: bool = True
    """Whether cells may be in quotation marks."""
    columns: tuple[str, ...] = ()
    """Names of the columns of a file without a header."""
    time_unit: str | None = None
    """One of ``times.CHOICES``."""
    kind: str | None = None
    """Kind of every event in a file that has no column for it."""
    known_items: frozenset[str] = frozenset()
    """Items that are in the log already: none of them is added again, without text, because an event names it."""

    def only(self, form: str, *allowed: str) -> None:
        """Raises ConfigError where something is said that ``form``, whose layout is fixed, does not heed."""
        standard = Options()
        for option in fields(self):
            if option.name not in (*allowed, "known_items") and getattr(self, option.name) != getattr(standard, option.name):
                raise ConfigError(
                    f"{form} has a fixed layout: {option.name} does not apply; leave it out, or give --form table"
                )


@dataclass(frozen=True)
class Column:
    """One column and how it is read."""

    name: str
    read_as: str


@dataclass(frozen=True)
class Table:
    """The rows of one file and what a row becomes."""

    what: str
    """ "users", "items", "events" or "decisions"."""
    path: Path
    columns: tuple[Column, ...]
    rows: Callable[[], Rows]
    records: Callable[[int, Row], Record | tuple[Record, ...]]
    """Line and cells -> what they are. Raises Reject or RecordError."""
    key: Callable[[Any], int] | None = None
    """A record -> 64 bits that two rows share only if the second is a duplicate."""
    duplicate: str = "the same id"
    """What two rows with one key have in common."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What was judged about the file."""
    width: bool = True
    """Whether a row must have as many cells as there are columns."""


@dataclass(frozen=True)
class Source:
    """One data set, opened: its layout is known, its rows are not read yet."""

    form: str
    path: Path
    tables: tuple[Table, ...]
    """In reading order: users and items before what refers to them."""
    known_items: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def preview(self) -> dict[str, Any]:
        """How each file is read, with its first rows, in JSON's own types."""
        return {
            "form": self.form,
            "path": str(self.path),
            "tables": [_preview(table, self._file(table)) for table in self.tables],
            "notes": list(self.notes),
        }

    def read(self, report: Report) -> Iterator[Record]:
        """Every record, as a stream. ``report`` gets what happened to each row.

        Raises DataError where a file is not what it was taken for, also when all its rows are refused; call
        ``validate`` first and nothing is half imported. An item that only events name comes without text before them.
        """
        items, people = set(self.known_items), set[str]()
        placeholders = 0
        report.notes.extend(self.notes)
        for table in self.tables:
            for record in _records(table, self._file(table), report):
                if isinstance(record, Item):
                    items.add(record.id)
                elif isinstance(record, User):
                    # A log that describes its visitors on every row would repeat each of them.
                    if record.id in people:
                        continue
                    people.add(record.id)
                elif isinstance(record, Event) and record.item not in items:
                    items.add(record.item)
                    placeholders += 1
                    report.records["Item"] += 1
                    yield Item(record.item, "")
                report.records[record.__class__.__name__] += 1
                yield record
        if placeholders:
            report.notes.append(f"{placeholders:,} items are named only by events: added without text")

    def _file(self, table: Table) -> str:
        """The name of a table's file in previews and reports."""
        inside = self.path.is_dir() and table.path.is_relative_to(self.path)
        return str(table.path.relative_to(self.path)) if inside else table.path.name


def validate(source: Source, on_row: Callable[[int], None] = lambda rows: None) -> Report:
    """Go through all of ``source`` without keeping anything. Raises DataError where it must not be imported.

    ``on_row`` hears, now and then, how many records were made so far.
    """
    report = Report()
    for number, _ in enumerate(source.read(report), 1):
        if number % _CHUNK == 0:
            on_row(number)
    return report


def _preview(table: Table, file: str) -> dict[str, Any]:
    first = []
    for line, row in table.rows():
        first.append({"line": line, "cells": [row.reason] if isinstance(row, Reject) else [_shown(cell) for cell in row]})
        if len(first) == _PREVIEW:
            break
    return {
        "what": table.what,
        "file": file,
        "columns": [{"name": column.name, "read_as": column.read_as} for column in table.columns],
        **table.facts,
        "first": first,
    }


def _shown(cell: Any) -> str:
    text = "" if cell is None else str(cell)
    return text if len(text) <= 80 else text[:79] + "…"


def _records(table: Table, file: str, report: Report) -> Iterator[Record]:
    """The records of one table, duplicates left out."""
    count = report.count(file)
    width = len(table.columns)
    seen = Seen()
    chunk: list[tuple[int, Record | tuple[Record, ...]]] = []
    records, check = table.records, table.width
    for line, row in table.rows():
        count.read += 1
        try:
            if isinstance(row, Reject):
                raise row
            if check and len(row) != width:
                raise _wrong_width(len(row), width)
            chunk.append((line, records(line, row)))
        except (Reject, RecordError) as error:
            reject = error if isinstance(error, Reject) else Reject.of(error)
            if reject.fatal:
                raise DataError(f"{table.path}, line {line}: {reject.reason}; {reject.mend}") from None
            report.reject(file, line, reject)
        if len(chunk) == _CHUNK:
            yield from _deliver(table, file, chunk, seen, report, count)
            chunk = []
    yield from _deliver(table, file, chunk, seen, report, count)
    if not count.accepted:
        raise DataError(_nothing(table.path, file, report, count))


def _deliver(
    table: Table, file: str, chunk: list[tuple[int, Record | tuple[Record, ...]]], seen: Seen, report: Report, count: Count
) -> Iterator[Record]:
    earlier = None
    if table.key is not None and chunk:
        keys = np.array([table.key(made) for _, made in chunk], np.int64)
        earlier = seen.first(keys, np.array([line for line, _ in chunk], np.int64))
        if (earlier < 0).all():
            earlier = None
    for number, (line, made) in enumerate(chunk):
        if earlier is not None and earlier[number] >= 0:
            first = int(earlier[number])
            what = made[0] if isinstance(made, tuple) else made
            name = what.id if not isinstance(what, Event) or table.duplicate == "the same id" else f"{what.user} {what.item}"
            reason = f"{table.duplicate} as line {first}, got {name!r}"
            report.reject(file, line, Reject(f"duplicate: {table.duplicate} as an earlier line", reason, _ONCE))
            continue
        count.accepted += 1
        yield from made if isinstance(made, tuple) else (made,)


_ONCE = "the first is kept; if both are meant, give each row an id of its own"


def _wrong_width(got: int, width: int) -> Reject:
    mend = "look for a separator inside a cell without quotes, or a line broken in two"
    return Reject("row is too " + ("short" if got < width else "long"), f"{got} cells where the header has {width}", mend)


def _nothing(path: Path, file: str, report: Report, count: Count) -> str:
    if not count.read:
        return f"{path}: there are no rows"
    why = [
        f"{rejection.count:,} × {rejection.kind} (line {rejection.first[0][1]}: {rejection.first[0][2]})"
        + (f"; to mend: {rejection.mend}" if rejection.mend else "")
        for rejection in report.rejections.values()
        if rejection.first and rejection.first[0][0] == file
    ]
    return f"{path}: all {count.read:,} rows are refused: {'; '.join(why)}"
