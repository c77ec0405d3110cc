"""Objects that a language model wrote of items: valid by their schema, and every attribute they state entailed by the records.

*valid* is the share of objects that ``jsonschema``, which had no part in the writing, finds no fault with as they were written;
*entailed* that of items whose every stated attribute stands in their own records (``language.entailed``), *words entailed* that
of items of whom no word is said that does not; *by the model* that of items told of in a model's words. Wilson's intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longgame.errors import DataError
from longgame.evaluation.intervals import Estimate
from longgame.evaluation.language import Reading, Told
from longgame.language import schemas
from longgame.language.checks import unsaid
from longgame.language.descriptions import SCHEMA, Description, Fact, judged, template
from longgame.language.entailed import entailed, records
from longgame.rng import derive
from longgame.types import Item

FEWEST = 10
"""Items that anything is said of, at least."""


@dataclass(frozen=True)
class Written:
    """One item, what was told of it, and what a model wrote."""

    item: Item
    near: tuple[str, ...]
    """Names of items near it."""
    known: tuple[Fact, ...]
    object: Mapping[str, Any] | None
    """As it was written; None where it was not ended."""

    @property
    def used(self) -> Description:
        """What is used in the end."""
        return judged(self.object, self.known)


def share(true: Sequence[bool]) -> Estimate:
    """Of (n,) items those for which it is so, with Wilson's 95 % interval; NaN of none."""
    from scipy.stats import binomtest

    if not true:
        return Estimate(np.nan, np.nan, np.nan, 0, 0.0)
    found = binomtest(sum(true), len(true))
    bounds = found.proportion_ci(method="wilson")
    return Estimate(float(np.mean(true)), float(bounds.low), float(bounds.high), len(true), float(len(true)))


def objects(written: Sequence[Written], rate: float | None = None) -> list[Reading]:
    """What is used, what the model wrote as it wrote it, the template alone, and what is used beside other items' records.

    Raises DataError for fewer than ``FEWEST`` items.
    """
    if len(written) < FEWEST:
        raise DataError(f"objects: needs {FEWEST} items or more, got {len(written)}")
    valid = schemas.checked(SCHEMA)
    written_well = share([one.object is not None and bool(valid.is_valid(one.object)) for one in written])
    nothing = Estimate(np.nan, np.nan, np.nan, 0, 0.0)
    order = derive(0, "shuffled").permutation(len(written)).tolist()
    after = dict(zip(order, [*order[1:], order[0]], strict=True))  # a ring of all items: none is held against itself
    others = [written[after[row]] for row in range(len(written))]
    used = [one.used for one in written]

    def row(name: str, told: Told, made: Sequence[Description | None], beside: Sequence[Written], well: Estimate) -> Reading:
        pairs = list(zip(made, beside, strict=True))
        figures = {
            "valid": well,
            "entailed": share([one is not None and _attributes_said(one, other) for one, other in pairs]),
            "words entailed": share([one is not None and _words_said(one, other) for one, other in pairs]),
            "by the model": share([one is not None and one.by == "model" for one, _ in pairs]),
        }
        return Reading(name, figures, rate if made is used else None, told)

    return [
        row("the model's words, checked", "with", used, written, written_well),
        row("the model's words as they come", "with", [_as_written(one) for one in written], written, written_well),
        row("the template", "without", [template(one.known) for one in written], written, nothing),
        row("the first, beside other items", "shuffled", list(used), others, written_well),
    ]


def _as_written(one: Written) -> Description | None:
    told = one.object
    return None if told is None else Description(str(told["description"]), "model", tuple(map(str, told["attributes"])))


def _attributes_said(told: Description, of: Written) -> bool:
    return all(entailed(value, of.item, of.near) for value in told.attributes)


def _words_said(told: Description, of: Written) -> bool:
    """The names of facts, as in "Genre: Horror", are no words about the item."""
    free = [word for fact in of.known for word in fact.name.split()]
    return not unsaid(told.text, "; ".join(records(of.item, of.near)), free)
