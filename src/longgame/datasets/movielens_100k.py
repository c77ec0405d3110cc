"""MovieLens 100K as GroupLens publishes it: u.data (tab), u.item and u.user (pipe, Latin-1), none with a header."""

from __future__ import annotations

from pathlib import Path

from longgame.datasets.cells import attributes, converter
from longgame.datasets.films import film, split_title
from longgame.datasets.records import events, id_key
from longgame.datasets.rows import Row, delimited
from longgame.datasets.source import Column, Options, Source, Table
from longgame.errors import DataError
from longgame.types import Item, ItemId, User, UserId

_GENRE_NAMES = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical "
    "Mystery Romance Sci-Fi Thriller War Western"
)
GENRES = tuple(_GENRE_NAMES.split())
"""The 19 flags at the end of a line of u.item, in order."""
_ITEM = ("item", "title", "release_date", "video_date", "imdb", *GENRES)
_USER = ("user", "age", "gender", "occupation", "zip_code")


def matches(path: Path) -> bool:
    """Whether ``path`` is a folder with u.data, or that file."""
    return (path / "u.data").is_file() if path.is_dir() else path.name == "u.data"


def open_movielens_100k(path: Path, options: Options) -> Source:
    """The ratings, and the films and people where their files lie beside."""
    options.only("ml-100k")
    folder = path if path.is_dir() else path.parent
    ratings = folder / "u.data"
    if not ratings.is_file():
        raise DataError(f"{folder}: MovieLens 100K needs u.data, which is not there")
    file = delimited(ratings, "utf-8", "\t", quote=False, columns=("user_id", "item_id", "rating", "timestamp"))
    tables = [make(folder / name) for name, make in (("u.user", _users), ("u.item", _items)) if (folder / name).is_file()]
    return Source("ml-100k", path, (*tables, events(file, options, "ml-100k")), options.known_items)


def _users(path: Path) -> Table:
    file = delimited(path, "latin-1", "|", quote=False, columns=_USER)
    _, age = converter("age", [1])
    _, text = converter("text", [])
    converters = [(1, "age", age), *((at, name, text) for at, name in enumerate(_USER) if at > 1)]

    def make(line: int, row: Row) -> User:
        return User(UserId(row[0]), attributes(row, converters))

    columns = tuple(Column(name, "user" if name == "user" else "attribute") for name in _USER)
    return Table("users", path, columns, file.rows, make, key=id_key, facts=file.layout)


def _items(path: Path) -> Table:
    file = delimited(path, "latin-1", "|", quote=False, columns=_ITEM)

    def make(line: int, row: Row) -> Item:
        flags = row[-len(GENRES) :]
        genres = [genre for genre, flag in zip(GENRES, flags, strict=True) if flag == "1"]
        return Item(ItemId(row[0]), *film(*split_title(row[1]), genres))

    reads = {"item": "item", "title": "text, title and year", **dict.fromkeys(GENRES, "text and genres")}
    columns = tuple(Column(name, reads.get(name, "not used")) for name in _ITEM)
    return Table("items", path, columns, file.rows, make, key=id_key, facts=file.layout)
