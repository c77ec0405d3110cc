"""MovieLens 1M as GroupLens publishes it: ratings.dat, movies.dat and users.dat, cells apart by two colons, Latin-1."""

from __future__ import annotations

from pathlib import Path

from longgame.datasets.films import film, split_title
from longgame.datasets.records import events, id_key
from longgame.datasets.rows import Row, delimited
from longgame.datasets.source import Column, Options, Source, Table
from longgame.errors import DataError
from longgame.types import Attribute, Item, ItemId, User, UserId

AGES = {"1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44", "45": "45-49", "50": "50-55", "56": "56+"}
_OCCUPATION_NAMES = (
    "other;academic/educator;artist;clerical/admin;college/grad student;customer service;doctor/health care;"
    "executive/managerial;farmer;homemaker;K-12 student;lawyer;programmer;retired;sales/marketing;scientist;"
    "self-employed;technician/engineer;tradesman/craftsman;unemployed;writer"
)
OCCUPATIONS = tuple(_OCCUPATION_NAMES.split(";"))
"""Number in users.dat -> occupation."""
_USER = ("user", "gender", "age", "occupation", "zip_code")


def matches(path: Path) -> bool:
    """Whether ``path`` is a folder with ratings.dat, or that file."""
    return (path / "ratings.dat").is_file() if path.is_dir() else path.name == "ratings.dat"


def open_movielens_1m(path: Path, options: Options) -> Source:
    """The ratings, and the films and people where their files lie beside."""
    options.only("ml-1m")
    folder = path if path.is_dir() else path.parent
    ratings = folder / "ratings.dat"
    if not ratings.is_file():
        raise DataError(f"{folder}: MovieLens 1M needs ratings.dat, which is not there")
    file = delimited(ratings, "latin-1", "::", quote=False, columns=("user_id", "movie_id", "rating", "timestamp"))
    beside = (("users.dat", _users), ("movies.dat", _items))
    tables = [make(folder / name) for name, make in beside if (folder / name).is_file()]
    return Source("ml-1m", path, (*tables, events(file, options, "ml-1m")), options.known_items)


def _users(path: Path) -> Table:
    file = delimited(path, "latin-1", "::", quote=False, columns=_USER)

    def make(line: int, row: Row) -> User:
        user, gender, age, work, zip_code = map(str, row)
        known = work.isdigit() and int(work) < len(OCCUPATIONS)
        attributes: dict[str, Attribute] = {"gender": gender, "age": AGES.get(age, age), "zip_code": zip_code}
        attributes["occupation"] = OCCUPATIONS[int(work)] if known else work
        return User(UserId(user), attributes)

    columns = tuple(Column(name, "user" if name == "user" else "attribute") for name in _USER)
    return Table("users", path, columns, file.rows, make, key=id_key, facts=file.layout)


def _items(path: Path) -> Table:
    file = delimited(path, "latin-1", "::", quote=False, columns=("item", "title", "genres"))

    def make(line: int, row: Row) -> Item:
        return Item(ItemId(row[0]), *film(*split_title(row[1]), row[2].split("|")))

    columns = (Column("item", "item"), Column("title", "text, title and year"), Column("genres", "text and genres"))
    return Table("items", path, columns, file.rows, make, key=id_key, facts=file.layout)
