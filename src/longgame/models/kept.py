"""What a model that learns on keeps of the log it has seen: who took what, in which order, out of which catalogue.

Without times and values, for order is all that the models here use. It is part of their checkpoints, users' ids included.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import DataError
from longgame.types import I64, ItemId, UserId

Arrays = dict[str, np.ndarray[Any, Any]]


def timeless(users: Sequence[UserId], items: Sequence[ItemId], offsets: I64, item: I64) -> Interactions:
    """A log whose events are all of one moment and worth 1; the order of a user's events is that of the rows."""
    moment, worth = np.broadcast_to(np.int64(0), item.shape), np.broadcast_to(np.float32(1), item.shape)
    return Interactions(tuple(users), tuple(items), offsets, item, moment, worth)


def kept(log: Interactions) -> Interactions:
    """A copy of ``log`` without its times and values."""
    return timeless(log.users, log.items, log.offsets.copy(), log.item.copy())


def nothing() -> Interactions:
    """Of an empty catalogue."""
    return timeless((), (), np.zeros(1, np.int64), np.zeros(0, np.int64))


def then(log: Interactions, more: Interactions) -> Interactions:
    """``log`` and ``more`` after it: users matched by id, new ones at the end.

    Raises DataError where the catalogue of ``more`` does not begin with that of ``log``.
    """
    check_grown("update", log.items, more.items)
    place = {user: row for row, user in enumerate(log.users)}
    people = np.array([place.setdefault(user, len(place)) for user in more.users], np.int64)
    user = np.concatenate([log.user, people[more.user]])
    order = np.argsort(user, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=len(place)))]).astype(np.int64)
    return timeless(tuple(place), more.items, offsets, np.concatenate([log.item, more.item])[order])


def check_grown(where: str, before: Sequence[ItemId], after: Sequence[ItemId]) -> None:
    """Raises DataError unless ``after`` begins with ``before``."""
    if tuple(after[: len(before)]) != tuple(before):
        raise DataError(
            f"{where}: the catalogue must begin with the {len(before)} items that were there, got {len(after)} that do not; "
            "append new items at the end, or fit anew"
        )


def to_arrays(log: Interactions) -> Arrays:
    """Users, items, who took what and in which order, as arrays that :func:`from_arrays` reads."""
    return {
        "log users": ids_to_array(log.users),
        "log items": ids_to_array(log.items),
        "log offsets": log.offsets.copy(),
        "log item": log.item.astype(np.int32),
    }


def from_arrays(state: Mapping[str, np.ndarray[Any, Any]]) -> Interactions:
    users = tuple(UserId(user) for user in array_to_ids(state["log users"]))
    items = tuple(ItemId(item) for item in array_to_ids(state["log items"]))
    return timeless(users, items, np.array(state["log offsets"], np.int64), np.array(state["log item"], np.int64))


def ids_to_array(ids: Sequence[str]) -> np.ndarray[Any, Any]:
    """As bytes of JSON: arrays of a checkpoint hold numbers only."""
    return np.frombuffer(json.dumps(ids).encode(), np.uint8).copy()


def array_to_ids(array: np.ndarray[Any, Any]) -> list[str]:
    ids: list[str] = json.loads(array.tobytes())
    return ids
