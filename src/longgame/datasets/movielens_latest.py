"""MovieLens "latest" as GroupLens publishes it: ratings.csv, movies.csv, tags.csv with headers. 20M, 25M and 32M too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from longgame.datasets.films import film, split_title
from longgame.datasets.records import events, id_key
from longgame.datasets.rows import Row, RowFile, delimited
from longgame.datasets.source import Column, Options, Source, Table
from longgame.errors import DataError
from longgame.types import Item, ItemId

_FORM = "ml-latest-small"


def matches(path: Path) -> bool:
    """Whether ``path`` is a folder with GroupLens' movies.csv and ratings.csv."""
    if not (path / "movies.csv").is_file() or not (path / "ratings.csv").is_file():
        return False
    with (path / "ratings.csv").open("rb") as file:
        return file.readline(200).strip() == b"userId,movieId,rating,timestamp"


def open_movielens_latest(path: Path, options: Options) -> Source:
    """Films, ratings, and the tags people wrote (events of kind "tag" with the tag as text)."""
    options.only(_FORM)
    for name in ("movies.csv", "ratings.csv"):
        if not (path / name).is_file():
            raise DataError(f"{path}: this layout of MovieLens needs {name}, which is not there")
    tables = [_items(path / "movies.csv"), events(_csv(path / "ratings.csv"), options, _FORM)]
    if (path / "tags.csv").is_file():
        tables.append(events(_csv(path / "tags.csv"), replace(options, kind="tag"), _FORM))
    return Source(_FORM, path, tuple(tables), options.known_items)


def _csv(path: Path) -> RowFile:
    return delimited(path, "utf-8", ",", quote=True)


def _items(path: Path) -> Table:
    file = _csv(path)

    def make(line: int, row: Row) -> Item:
        return Item(ItemId(row[0]), *film(*split_title(row[1]), row[2].split("|")))

    columns = (Column("movieId", "item"), Column("title", "text, title and year"), Column("genres", "text and genres"))
    return Table("items", path, columns, file.rows, make, key=id_key, facts=file.layout)
