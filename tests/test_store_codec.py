"""The rows of the log: how small they are, and what a damaged one says."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from longgame.errors import StoreError
from longgame.store.codec import COLUMNS, decode, encode, words_of
from longgame.store.words import WordCache
from longgame.types import Decision, DecisionId, Event, Item, ItemId, Request, UserId, Versions

AT = datetime(2024, 5, 17, tzinfo=UTC)


def decision(names: list[str]) -> Decision:
    request = Request("ask-1", AT, UserId("ann"), 10, (0.5, -2.0, 1e300), "home")
    ids = tuple(map(ItemId, names))
    return Decision(DecisionId("d"), request, ids, (7, 0, 3), (0.5, 0.25, 1.0), Versions("f", "r", "g", "p"))


@pytest.mark.parametrize(("catalogue", "width"), [(60_000, 2), (90_000, 4)])
def test_two_hundred_candidates_take_a_few_hundred_bytes(catalogue: int, width: int) -> None:
    names = [f"item-{n:08}" for n in range(catalogue)]
    d = decision([*random.Random(3).sample(names, 199), names[-1]])
    known = WordCache(lambda start: (["f", "r", "g", "p", *names])[start:])
    known.catch_up()
    row = encode(d, known.numbers)
    assert len(row[-1] or b"") == 16 + 8 * (3 + 3) + width * (4 + 3 + 200)
    assert decode((9, *row), known) == d


def test_words_are_fetched_when_a_number_is_new() -> None:
    database = ["f", "r", "g", "p"]
    loads: list[int] = []

    def load(start: int) -> list[str]:
        loads.append(start)
        return database[start:]

    words = WordCache(load)
    assert words(np.array([3, 0])) == ["p", "f"]
    database += [f"i{n}" for n in range(5_000)]
    assert words(np.array([4, 1, 5_003])) == ["i0", "r", "i4999"]
    assert words(np.array([2_000])) == ["i1996"]
    assert loads == [0, 4]
    with pytest.raises(IndexError):
        words(np.array([9_999]))
    assert [words.numbers[word] for word in words_of(decision(["i9"] * 8))] == [0, 1, 2, 3] + [13] * 8


def test_a_damaged_row_is_reported_with_its_place() -> None:
    d = decision(["a"] * 8)
    words = WordCache(lambda start: ["f", "r", "g", "p", "a"][start:])
    words.catch_up()
    row = (41, *encode(d, words.numbers))
    damaged: list[tuple[Any, ...]] = [
        (*row[:-1], b""),
        (*row[:-1], (row[-1] or b"")[:-1]),
        (*row[:-1], b"\x07" + (row[-1] or b"")[1:]),
        (*row[:-1], (row[-1] or b"")[:-2] + b"\xff\x00"),
        (41, 9, *row[2:]),
        (41, *encode(Item(ItemId("i"), "x"), {})[:-1], b"{"),
        (41, *encode(Item(ItemId("i"), "x"), {})[:-1], b"{}"),
        (41, *encode(Event("e", AT, UserId("u"), ItemId("i"), "click"), {})[:2], None, *row[4:]),
    ]
    assert all(len(bad) == len(COLUMNS) for bad in damaged)
    for bad in damaged:
        with pytest.raises(StoreError, match=r"log row 41: .* restore a backup"):
            decode(bad, words)
