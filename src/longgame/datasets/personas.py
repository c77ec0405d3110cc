"""What language models said in the role of people: ratings that personas gave, and choices from what was shown to them.

Two folders of CSV files that published sets of such users come in. Neither is a log of real people, and so neither is a form
that ``longgame import`` reads: they are for measuring.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import DataError
from longgame.types import F32, F64, I64, Bool, ItemId, UserId

RATED = ("item", "user", "rating")
"""Columns of a file of ratings."""
SHOWN = ("user", "title", "held_out_positive", "llm_align", "llm_watch", "llm_rating", "shown_mean_rating")
"""Columns of decisions.csv."""
DETAIL = ("movie_id", "title", "genres", "summary")
"""Columns of movie_detail.csv."""
_PERSONAS = "personas.csv"


@dataclass(frozen=True)
class PersonaRatings:
    """Ratings that a language model gave in the role of each of U personas."""

    log: Interactions
    """A row a rating, without a time: no order is known."""
    personas: tuple[str, ...]
    """(U,) who each user is, in words; empty where no file says so."""


@dataclass(frozen=True)
class Shown:
    """What was shown to whom, and what came of it; n rows."""

    log: Interactions
    """What users had taken before."""
    texts: tuple[str, ...]
    """(I,) of the items; empty where nothing tells of one."""
    user: I64
    item: I64
    chosen: Bool
    """(n,) whether the user truly took it later"""
    said: F32
    """(n, 3) what a language model in the user's role said: that it fits, that it takes it, what it rates it"""
    rating: F32
    """(n,) as the user was told it"""


def rated_file(folder: Path) -> Path | None:
    """The file of ratings in ``folder``: llm_ratings.csv, or beside personas.csv the first with its columns."""
    named = folder / "llm_ratings.csv"
    if named.is_file():
        return named
    if not (folder / _PERSONAS).is_file():
        return None
    return next((path for path in sorted(folder.glob("*.csv")) if set(RATED) <= set(_head(path))), None)


def is_shown(folder: Path) -> bool:
    """Whether ``folder`` holds decisions.csv, movie_detail.csv and train.txt, the first with its columns."""
    files = [folder / name for name in ("decisions.csv", "movie_detail.csv", "train.txt")]
    return all(file.is_file() for file in files) and {"user", "title", "held_out_positive"} <= set(_head(files[0]))


def persona_ratings(folder: Path) -> PersonaRatings:
    """A CSV of item, user and rating, and personas.csv, whose row number u, from 0, is about user u. Raises DataError."""
    file = rated_file(folder)
    if file is None:
        raise DataError(f"{folder}: needs llm_ratings.csv, or personas.csv and a .csv with the columns {', '.join(RATED)}")
    user, item, value = _numbers(file, ("user", "item", "rating")).T
    order = np.lexsort((item, user))
    users, row = np.unique(user[order].astype(np.int64), return_inverse=True)
    items, column = np.unique(item[order].astype(np.int64), return_inverse=True)
    names = tuple(UserId(str(u)) for u in users.tolist()), tuple(ItemId(str(i)) for i in items.tolist())
    at = np.arange(len(row), dtype=np.int64) * 1_000_000  # the file has no times, and no model here asks
    log = Interactions(*names, _offsets(row, len(users)), column.astype(np.int64), at, value[order].astype(np.float32))
    return PersonaRatings(log, _told(folder / _PERSONAS, users))


def shown(folder: Path) -> Shown:
    """decisions.csv (what was shown), movie_detail.csv (what it is), train.txt (user item item …). Raises DataError.

    Rows of decisions about titles that movie_detail.csv lacks are left out.
    """
    if not is_shown(folder):
        raise DataError(f"{folder}: needs decisions.csv ({', '.join(SHOWN)}), movie_detail.csv and train.txt")
    detail = folder / "movie_detail.csv"
    films, numbers = _rows(detail, DETAIL), _numbers(detail, ("movie_id",), DETAIL)[:, 0].astype(np.int64)
    if numbers.min() < 0:
        raise DataError(f"{detail}: movie_id must be 0 or more, got {numbers.min()}")
    place = {row["title"]: number for row, number in zip(films, numbers.tolist(), strict=True)}
    seen = _taken(folder / "train.txt")
    count = 1 + max(int(numbers.max()), *(int(items.max(initial=0)) for items in seen.values()))
    texts = [""] * count
    for row in films:
        texts[place[row["title"]]] = f"{row['title']}. {row['genres']}. {row['summary']}"
    table = _rows(folder / "decisions.csv", SHOWN)
    keep = np.array([row["title"] in place for row in table], np.bool_)
    if not keep.any():
        raise DataError(f"{folder}/decisions.csv: none of its titles is in movie_detail.csv")
    told = _numbers(folder / "decisions.csv", tuple(name for name in SHOWN if name != "title"), SHOWN)[keep]
    user = told[:, 0].astype(np.int64)
    users = 1 + int(max(user.max(), max(seen, default=0)))
    owner = np.repeat(np.arange(users), [len(seen.get(u, ())) for u in range(users)])
    item = np.concatenate([seen.get(u, np.zeros(0, np.int64)) for u in range(users)])
    names = tuple(UserId(str(u)) for u in range(users)), tuple(ItemId(str(i)) for i in range(count))
    at, ones = np.zeros(len(item), np.int64), np.ones(len(item), np.float32)
    log = Interactions(*names, _offsets(owner, users), item, at, ones)
    where = np.array([place[one["title"]] for one, kept in zip(table, keep, strict=True) if kept], np.int64)
    said, rating = told[:, 2:5].astype(np.float32), told[:, 5].astype(np.float32)
    return Shown(log, tuple(texts), user, where, told[:, 1] == 1, said, rating)


def _offsets(row: I64, count: int) -> I64:
    return np.concatenate([[0], np.cumsum(np.bincount(row, minlength=count))]).astype(np.int64)


def _taken(path: Path) -> Mapping[int, I64]:
    """User -> positions of the items of a line, sorted: the file has no order."""
    out: dict[int, I64] = {}
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        parts = line.split()
        if not all(part.isdigit() for part in parts):
            raise DataError(f"{path}, line {number}: must be a user and items as whole numbers, got {line[:60]!r}")
        if parts:
            out[int(parts[0])] = np.unique(np.array(parts[1:], np.int64))
    if not out:
        raise DataError(f"{path}: holds no line; needs a user and what they took, as whole numbers")
    return out


def _told(path: Path, users: I64) -> tuple[str, ...]:
    """(U,) each persona as one line of all that its row says; empty without the file."""
    if not path.is_file():
        return ("",) * len(users)
    rows = [". ".join(value.strip() for value in row.values() if value and value.strip()) for row in _rows(path, ())]
    if len(users) and int(users.max()) >= len(rows):
        raise DataError(f"{path}: has {len(rows):,} personas, and there is a user {int(users.max())}; row u is about user u")
    return tuple(rows[u] for u in users.tolist())


def _numbers(path: Path, columns: Sequence[str], needed: Sequence[str] = ()) -> F64:
    """(n, columns) the cells as numbers, an empty one as 0. Raises DataError where one is none."""
    rows = _rows(path, needed or columns)
    out = np.zeros((len(rows), len(columns)))
    for number, row in enumerate(rows):
        try:
            out[number] = [float(row[name] or 0) for name in columns]
        except ValueError:
            got = ", ".join(f"{name} {row[name]!r}" for name in columns)
            raise DataError(f"{path}, row {number + 1}: must hold numbers, got {got}") from None
    if not np.isfinite(out).all():
        raise DataError(f"{path}: holds a number that is not finite")
    return out


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Raises DataError where a column is missing, or there are no rows."""
    with _opened(path) as file:
        table = csv.DictReader(file)
        names = list(table.fieldnames or ())
        if lacks := [name for name in columns if name not in names]:
            raise DataError(f"{path}: lacks the columns {', '.join(lacks)}; it has {', '.join(names) or 'none'}")
        out = [{name: row.get(name) or "" for name in names} for row in table]
    if not out:
        raise DataError(f"{path}: holds no row under its header")
    return out


def _head(path: Path) -> list[str]:
    with _opened(path) as file:
        return next(csv.reader(file), [])


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            yield file
    except csv.Error as wrong:
        raise DataError(f"{path}: is no CSV file: {wrong}") from None
