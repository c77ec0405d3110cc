"""The general reader: CSV and its kin, JSON Lines and Parquet; one file, or a folder with events, items and users.

A file's name says what it holds (events, items, users and their like), else its columns do: a user and an item, or a
time, make events; an item alone makes a catalogue, a user alone people.
"""

from __future__ import annotations

from pathlib import Path

from longgame.datasets import records
from longgame.datasets.columns import NEEDED, check_mapping, has_part, parts
from longgame.datasets.files import name_of
from longgame.datasets.rows import ENDINGS, RowFile, open_rows
from longgame.datasets.source import Options, Source, Table
from longgame.errors import DataError

_STEMS = {
    "users": "users user customers people members",
    "items": "items item products catalogue catalog movies books articles",
    "events": "events event interactions ratings reviews clicks purchases orders views log",
}
_ORDER = ("users", "items", "events")
_MAKERS = {"users": records.users, "items": records.items, "events": records.events}


def matches(path: Path) -> bool:
    """Whether ``path`` is a file with an ending that is read, or a folder that holds one."""
    if path.is_dir():
        return any(matches(inside) for inside in path.iterdir() if inside.is_file())
    return name_of(path).endswith(ENDINGS)


def open_table(path: Path, options: Options) -> Source:
    """Judge the layout of a file, or of every file in a folder."""
    check_mapping(options.mapping)
    notes: list[str] = []
    if path.is_dir():
        tables = _folder(path, options, notes)
    else:
        tables = [_file(path, options)]
    tables.sort(key=lambda table: _ORDER.index(table.what))
    return Source("table", path, tuple(tables), options.known_items, tuple(notes))


def _file(path: Path, options: Options) -> Table:
    file = open_rows(path, encoding=options.encoding, separator=options.separator, quote=options.quote, columns=options.columns)
    return _MAKERS[_stem(path) or _judge(file, options)](file, options)


def _stem(path: Path) -> str:
    stem = name_of(path).split(".")[0]
    return next((what for what, stems in _STEMS.items() if stem in stems.split()), "")


def _judge(file: RowFile, options: Options) -> str:
    """What a file's columns say it holds, where its name does not.

    A time or a user that was named makes it events, whatever is missing: a log must not pass for a catalogue.
    """
    if "user" in options.mapping or "events.user" in options.mapping or has_part("at", file.columns):
        return "events"
    for what in ("items", "users"):
        part = NEEDED[what][0]
        if has_part(part, file.columns, what) or f"{what}.{part}" in options.mapping:
            column = parts(what, file.path, file.columns, options.mapping)[part][0]
            both = what == "items" and has_part("user", file.columns)
            return "events" if both or not _distinct(file, column) else what
    return "events"


def _distinct(file: RowFile, column: str) -> bool:
    """Whether a column names each row, as an id does: a few duplicates may slip in, a log repeats most."""
    at = file.columns.index(column)
    cells = [str(row[at]) for row in file.sample()]
    return len(set(cells)) > 0.5 * len(cells)


def _folder(path: Path, options: Options, notes: list[str]) -> list[Table]:
    inside = sorted(child for child in path.iterdir() if child.is_file() and matches(child))
    tables, trouble = [], []
    for child in inside:
        try:
            tables.append(_file(child, options))
        except DataError as error:
            if _stem(child):
                raise
            trouble.append(str(error))
            notes.append(f"left out: {error}")
    if not tables:
        why = "; ".join(trouble) or f"it holds {', '.join(sorted(child.name for child in path.iterdir())[:8]) or 'nothing'}"
        raise DataError(f"{path}: no file with events or items was found ({why})")
    return tables
