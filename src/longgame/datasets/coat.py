"""Coat: what people think of coats that they chose to rate, and of coats that were chosen for them by chance.

Schnabel et al., "Recommendations as Treatments", ICML 2016. Who rates what he chose rates what he likes; the second half says
how far that leads astray. It is no log with times, and so no form that ``longgame import`` reads: it is for measuring.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import DataError
from longgame.types import F32, F64, Item, ItemId, UserId

_FILES = ("train.ascii", "test.ascii", "propensities.ascii")
_FEATURES = "user_item_features"


@dataclass(frozen=True)
class Coat:
    """Ratings from 1 to 5 of U people and I coats."""

    chosen: Interactions
    """Of coats that they chose themselves; without times."""
    dealt: Interactions
    """Of coats that were dealt to them at random: the same users and coats."""
    propensity: F64
    """(N,) how probable it was that each rating of ``chosen`` was given, as the publishers estimate it"""
    items: tuple[Item, ...]
    people: F32
    """(U, F) what is known of each person, in ones and zeros"""


def is_coat(folder: Path) -> bool:
    """Whether ``folder`` has its files."""
    return all((folder / name).is_file() for name in _FILES) and (folder / _FEATURES).is_dir()


def coat(folder: Path) -> Coat:
    """The files as they are published. Raises DataError where they are not of one size, or hold no numbers."""
    if not is_coat(folder):
        raise DataError(f"{folder}: needs {', '.join(_FILES)} and the folder {_FEATURES}")
    chosen, dealt, propensity = (_numbers(folder / name) for name in _FILES)
    people, coats = (_numbers(folder / _FEATURES / f"{who}_features.ascii") for who in ("user", "item"))
    size = (len(people), len(coats))
    for name, table in zip(_FILES, (chosen, dealt, propensity), strict=True):
        if table.shape != size:
            raise DataError(
                f"{folder / name}: must have a line for each of {size[0]} people and {size[1]} coats, got {table.shape}"
            )
    map_ = folder / _FEATURES / "item_features_map.txt"
    words = map_.read_text("utf-8").split("\n")
    names = [word.strip() for word in words if word.strip()]
    if len(names) != coats.shape[1]:
        raise DataError(f"{map_}: must name {coats.shape[1]} features, got {len(names)}")
    items = tuple(_described(row, names, told) for row, told in enumerate(coats))
    return Coat(_log(chosen), _log(dealt), propensity[chosen > 0], items, people.astype(np.float32))


def _numbers(path: Path) -> F64:
    try:
        return np.loadtxt(path, np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: must be lines of as many numbers each: {error}") from None


def _log(ratings: F64) -> Interactions:
    """(U, I), 0 where nothing was rated."""
    user, item = np.nonzero(ratings)
    names = tuple(UserId(str(u)) for u in range(len(ratings))), tuple(ItemId(str(i)) for i in range(ratings.shape[1]))
    offsets = np.searchsorted(user, np.arange(len(ratings) + 1)).astype(np.int64)
    return Interactions(*names, offsets, item, np.zeros(len(item), np.int64), ratings[user, item].astype(np.float32))


def _described(row: int, names: list[str], told: F64) -> Item:
    """A coat by what its features say: "men, packable, black, onfrontpage no"."""
    said = [names[column].partition(":") for column in np.flatnonzero(told)]
    attributes = {name: value for name, _, value in said}
    text = ", ".join(value if name != "onfrontpage" else f"{name} {value}" for name, value in attributes.items())
    return Item(ItemId(str(row)), f"A coat: {text}.", attributes)
