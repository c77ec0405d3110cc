"""Adjacency lists, as LightGCN and the BARS benchmarks publish their splits: ``user item item …`` a line, without times.

A folder holds train.txt and test.txt, and valid.txt where there is one. No time and no order is known, only who stands in
which part; so each part is one moment, a day after the part before it, and the published split is a split in time.
Items of one moment keep the order of the file, which may mean nothing.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from longgame.datasets.files import find_encoding, reading
from longgame.datasets.records import items
from longgame.datasets.report import Reject
from longgame.datasets.rows import Row, Rows, delimited
from longgame.datasets.source import Column, Options, Source, Table
from longgame.datasets.times import LINE_START
from longgame.errors import DataError
from longgame.types import Event, ItemId, UserId

PARTS = {"train": 0, "valid": 1, "test": 2}
"""Part, which is the name of its file too -> days after the first of 2000."""
_SAME = "the same user and item"


def matches(path: Path) -> bool:
    """Whether ``path`` is a folder with train.txt and test.txt, and train.txt begins with a line of whole numbers.

    Files of other words have too common a name to be guessed at: ``--form adjacency`` says it.
    """
    train = path / "train.txt"
    if not (train.is_file() and (path / "test.txt").is_file()):
        return False
    with train.open("rb") as file:
        first = b"".join(islice(file, 1))[:1000].split()
    return len(first) > 1 and all(word.isdigit() for word in first)


def open_adjacency(path: Path, options: Options) -> Source:
    """The parts that are there, and the items where items.tsv lies beside them."""
    options.only("adjacency", "kind", "encoding")
    if not (path.is_dir() and all((path / f"{part}.txt").is_file() for part in ("train", "test"))):
        raise DataError(f"{path}: adjacency lists need a folder with train.txt and test.txt, and one of them is not there")
    there = [part for part in PARTS if (path / f"{part}.txt").is_file()]
    tables = [_events(path / f"{part}.txt", part, options) for part in there]
    catalogue = path / "items.tsv"
    if catalogue.is_file():
        rows = delimited(catalogue, find_encoding(catalogue, options.encoding), "\t", quote=False)
        tables.insert(0, items(rows, Options()))
    days = ", ".join(f"{part}.txt {_day(part)}" for part in there)
    cut = f"test.txt is what lies at or after {_day('test')}" + (f", valid.txt at {_day('valid')}" if "valid" in there else "")
    note = f"the files have no times: {days}, so the published split is a split in time ({cut})"
    known = (
        f"evaluate it with --split time --at {_day('test')}; the order within a part is that of its file, and may mean nothing"
    )
    return Source("adjacency", path, tuple(tables), options.known_items, (note, known))


def _day(part: str) -> str:
    return f"{LINE_START + timedelta(days=PARTS[part]):%Y-%m-%d}"


def _events(path: Path, part: str, options: Options) -> Table:
    encoding, kind, at = find_encoding(path, options.encoding), options.kind or "interaction", LINE_START
    at += timedelta(days=PARTS[part])

    def rows() -> Rows:
        with reading(path, encoding) as text:
            for line, listed in enumerate(text, 1):
                user, *taken = listed.split() or [""]
                if user and not taken:
                    mend = "a line is a user and then at least one item, apart by spaces"
                    yield line, Reject("line has a user and no items", f"got {listed.strip()[:60]!r}", mend)
                for position, item in enumerate(taken):
                    yield line, (user, item, position)

    def make(line: int, row: Row) -> Event:
        user, item, position = row
        return Event(f"adjacency/{part}/{user}/{position:06d}-{item}", at, UserId(user), ItemId(item), kind)

    columns = (Column("user", "user"), Column("item", "item"), Column("position", "order within the part"))
    facts = {"encoding": encoding, "time": f"{_day(part)} for all of {part}", "kind": kind}
    return Table("events", path, columns, rows, make, key=_pair, duplicate=_SAME, facts=facts)


def _pair(event: Any) -> int:
    """Two events of one part with the same user and item have the same key: without times nothing tells them apart."""
    return hash((event.user, event.item))
