"""Rules as numbers of an item: what it sets off, and what speaks of it. For who learns, beside the vector of its text.

A rule without ``same`` and ``in`` is two columns of 0 and 1: whether the item meets what stands before the arrow, and what
stands after it. A policy that reads a history of the first and scores candidates by the second can learn what the rule is
worth. Rules that join both sides are too many pairs for that: each value that two items may share (or each item that may be
named) gets a random direction, and both sides get the sum of theirs, so that the product of the sides is about the share that
they have in common (random projection: Johnson and Lindenstrauss, 1984; the error is about width ** -.5). Directions are of
the rule and the value alone: an item of tomorrow moves nobody's numbers.

A state tells what a user met and not how: kinds of event are not told apart here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import product

import numpy as np

from longgame.errors import ConfigError
from longgame.knowledge.book import Rulebook
from longgame.rng import derive
from longgame.types import F32, F64, ItemId

RECIPE = "rules1"
"""Changes whenever the same rules would give other numbers."""


def rule_columns(book: Rulebook, ids: Sequence[ItemId], width: int) -> F32:
    """(n, 2 R) of R plain rules, and 2 ``width`` more where any rule joins both sides: before the arrow first, then after it.

    Raises ConfigError for a ``width`` below 1.
    """
    if width < 1:
        raise ConfigError(f"rule_columns: width must be 1 or more, got {width}")
    plain: list[F64] = []
    sides = np.zeros((2, len(ids), width))
    for number, rule in enumerate(book.rules):
        starts, ends = book.starts(number), book.targets(number)
        if not (rule.same or rule.named):
            plain += [np.array([item in held for item in ids], np.float64) for held in (starts, ends)]
            continue
        toward = _directions(rule.text, width)
        shared = [_shared(book, rule.same, item) for item in ids]
        told, met = shared, shared
        if rule.named:  # both sides have the id of an item: the ids that are named, there or not, and the item's own
            named = [sorted(set.intersection(*(set(book.values(name, item)) for name in rule.named))) for item in ids]
            told = [_pairs(names, values) for names, values in zip(named, shared, strict=True)]
            met = [_pairs([item], values) for item, values in zip(ids, shared, strict=True)]
        sides[0] += _sums([values if item in starts else [] for item, values in zip(ids, told, strict=True)], toward, width)
        sides[1] += _sums([values if item in ends else [] for item, values in zip(ids, met, strict=True)], toward, width)
    joined = [*sides] if any(rule.same or rule.named for rule in book.rules) else []
    parts = [np.stack(plain, axis=1)] if plain else []
    return np.concatenate([np.zeros((len(ids), 0)), *parts, *joined], axis=1).astype(np.float32)


def _shared(book: Rulebook, names: Sequence[str], item: ItemId) -> list[str]:
    """What an item and another must both have for all of ``names`` to be shared: one value of each."""
    return ["\x1f".join(values) for values in product(*(book.values(name, item) for name in names))]


def _pairs(names: Sequence[str], values: Sequence[str]) -> list[str]:
    return [f"{name}\x1f{value}" for name in names for value in values]


def _directions(rule: str, width: int) -> Callable[[str], F64]:
    @cache
    def toward(value: str) -> F64:
        drawn: F64 = derive(0, "rule", rule, value).standard_normal(width) / np.sqrt(width)
        return drawn

    return toward


def _sums(told: Sequence[Sequence[str]], toward: Callable[[str], F64], width: int) -> F64:
    """(n, width) of n lists of values the sum of their directions, about one long each."""
    out = np.zeros((len(told), width))
    for row, values in enumerate(told):
        if values:
            out[row] = np.sum([toward(value) for value in values], axis=0) / np.sqrt(len(values))
    return out
