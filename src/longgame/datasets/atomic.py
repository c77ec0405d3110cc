"""Atomic files, the layout of RecBole's data sets: NAME.inter, NAME.item, NAME.user with a typed header, tab-separated.

A header cell is ``name:type``; the types are token, token_seq (words apart by spaces), float and float_seq. Knowledge
graphs (.kg, .link) are ``triples``'s, and networks (.net) are not records and are left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from longgame.datasets import records
from longgame.datasets.cells import attributes as attributes_of
from longgame.datasets.cells import ident, text
from longgame.datasets.columns import parts, plain
from longgame.datasets.files import find_encoding, name_of
from longgame.datasets.films import film
from longgame.datasets.report import Reject
from longgame.datasets.rows import Row, RowFile, Rows, delimited
from longgame.datasets.source import Column, Options, Source, Table
from longgame.errors import DataError
from longgame.types import Attribute, Item, ItemId

_ENDINGS = (".inter", ".item", ".user")
_TYPES = ("token", "token_seq", "float", "float_seq")
_YEARS = frozenset({"year", "releaseyear"})
_GENRES = frozenset({"class", "genre", "genres"})
_WORDS = frozenset({"title", "name", "movietitle", "description", "text", "summary", "headline"})


def matches(path: Path) -> bool:
    """Whether ``path`` is an .inter, .item or .user file, or a folder that holds an .inter file."""
    if path.is_dir():
        return any(child.suffix == ".inter" for child in path.iterdir())
    return name_of(path).endswith(_ENDINGS)


def open_atomic(path: Path, options: Options) -> Source:
    """The atomic files of a folder, or one of them."""
    options.only("atomic", "mapping", "encoding", "time_unit", "kind")
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    if not matches(path):
        raise DataError(f"{path}: atomic files end in {', '.join(_ENDINGS)}, and a folder of them has an .inter file")
    tables: list[Table] = []
    for ending, read in ((".user", _users), (".item", _items), (".inter", _events)):
        tables += [read(file, options) for file in files if name_of(file).endswith(ending)]
    left = [file.name for file in files if file.suffix in (".kg", ".link", ".net", ".ent")]
    notes = (f"hold no records; facts of a .kg are kept apart: {', '.join(left)}",) if left else ()
    return Source("atomic", path, tuple(tables), options.known_items, notes)


def _typed(path: Path, options: Options) -> tuple[RowFile, dict[str, str]]:
    """The rows of an atomic file, its columns without their types, and the type of each."""
    file = delimited(path, find_encoding(path, options.encoding), "\t", quote=False)
    types: dict[str, str] = {}
    for column in file.columns:
        name, _, kind = column.rpartition(":")
        if kind not in _TYPES or not name:
            raise DataError(
                f"{path}: an atomic file names its columns as name:type with one of {', '.join(_TYPES)}, got {column!r}"
            )
        types[name] = kind
    return RowFile(path, tuple(types), _split(file, tuple(types.values())), file.layout), types


def _split(file: RowFile, types: tuple[str, ...]) -> Any:
    """The rows of ``file`` with sequences as lists, except where a sequence is a text."""
    names = [column.rpartition(":")[0] for column in file.columns]
    lists = [at for at, kind in enumerate(types) if kind.endswith("_seq") and plain(names[at]) not in _WORDS]

    def rows() -> Rows:
        for line, row in file.rows():
            if lists and not isinstance(row, Reject) and len(row) == len(types):
                row = list(row)
                for at in lists:
                    row[at] = row[at].split()
            yield line, row

    return rows if lists else file.rows


def _events(path: Path, options: Options) -> Table:
    return records.events(_typed(path, options)[0], options, "atomic")


def _users(path: Path, options: Options) -> Table:
    return records.users(_typed(path, options)[0], options)


def _items(path: Path, options: Options) -> Table:
    """A catalogue; one with titles, years and genres is read as films are."""
    file, types = _typed(path, options)
    found = parts("items", path, file.columns, options.mapping)
    place = {plain(name): at for at, name in enumerate(file.columns)}
    genres = next((place[name] for name in _GENRES if name in place), None)
    year = next((place[name] for name in _YEARS if name in place), None)
    if genres is None or not found.get("text") or not types[file.columns[genres]].endswith("_seq"):
        return records.items(file, options)
    item, title = (file.columns.index(names[0]) for names in (found["item"], found["text"]))
    others, reads = records.attribute_columns(file, {file.columns[at] for at in (item, title, genres, year) if at is not None})
    reads |= {file.columns[item]: "item", file.columns[title]: "text and attribute 'title'"}
    reads[file.columns[genres]] = "text and attribute 'genres' (list)"
    if year is not None:
        reads[file.columns[year]] = "text and attribute 'year' (number)"

    def make(line: int, row: Row) -> Item:
        about, attributes = film(text(row[title]), _year(row[year]) if year is not None else None, row[genres])
        rest: dict[str, Attribute] = attributes_of(row, others)
        return Item(ItemId(ident("item", row[item])), about, rest | attributes)

    columns = tuple(Column(name, reads.get(name, "not used")) for name in file.columns)
    return Table("items", path, columns, file.rows, make, key=records.id_key, facts=file.layout)


def _year(cell: str) -> int | None:
    return int(cell) if re.fullmatch(r"\d{4}", cell.strip()) else None
