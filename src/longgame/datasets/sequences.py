"""Amazon-style sequences: ``user item item …`` a line in time order, and items.tsv with an item's id and its words.

The order is known, the times are not: a user's first item gets the first day of 2000, each further one the next day.
So "the last item" and "the item before" mean what they should; the gap between two events means nothing.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from longgame.datasets.files import find_encoding, name_of, reading
from longgame.datasets.records import id_key, items
from longgame.datasets.report import Reject
from longgame.datasets.rows import Row, Rows, delimited
from longgame.datasets.source import Column, Options, Source, Table
from longgame.datasets.times import LINE_START
from longgame.errors import DataError
from longgame.types import Event, ItemId, UserId

FILE = "sequences.txt"
_DAY = timedelta(days=1)


def matches(path: Path) -> bool:
    """Whether ``path`` is a folder with sequences.txt, or that file."""
    return (path / FILE).is_file() if path.is_dir() else name_of(path) == FILE


def open_sequences(path: Path, options: Options) -> Source:
    """The sequences, and the items where items.tsv lies beside."""
    options.only("sequences", "kind", "encoding")
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{path}: sequences need {FILE}, which is not there")
    catalogue = file.parent / "items.tsv"
    tables = [_events(file, options.kind or "purchase", find_encoding(file, options.encoding))]
    if catalogue.is_file():
        rows = delimited(catalogue, find_encoding(catalogue, options.encoding), "\t", quote=False)
        tables.insert(0, items(rows, Options()))
    return Source("sequences", path, tuple(tables), options.known_items)


def _events(path: Path, kind: str, encoding: str) -> Table:
    def rows() -> Rows:
        with reading(path, encoding) as text:
            for line, sequence in enumerate(text, 1):
                user, *shown = sequence.split() or [""]
                if user and not shown:
                    mend = "a line is a user and then at least one item, apart by spaces"
                    yield line, Reject("sequence has no items", f"got {sequence.strip()[:60]!r}", mend)
                for position, item in enumerate(shown):
                    yield line, (user, item, position)

    def make(line: int, row: Row) -> Event:
        user, item, position = row
        name = f"sequences/{user}/{position:06d}-{item}"
        return Event(name, LINE_START + position * _DAY, UserId(user), ItemId(item), kind)

    columns = (Column("user", "user"), Column("item", "item"), Column("position", "time (order only: one day apart)"))
    facts = {"encoding": encoding, "time": "positions, one day apart from 2000-01-01", "kind": kind}
    return Table("events", path, columns, rows, make, key=id_key, duplicate="the same user and position", facts=facts)
