"""What a profile speaks in: values of attributes that many have, each under one name.

A tag is a category ("genres=Drama"), a flag that is set ("sale"), or a band of a number ("year 1993 to 1996"). The same
rules make groups of users of their attributes, and tags of items of what a language model read of them.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from longgame.errors import RecordError
from longgame.language.prompt import clean
from longgame.types import I64, Attribute, Item, ItemId

LABEL = 40
"""Characters of a tag that people are shown."""
_BANDS = 4
"""Bands of a number, each with as many of those who have it."""
_MOST = 0.95
"""Share of those asked above which a value tells nothing."""

Read = Mapping[ItemId, Sequence[str]]
"""Tags that a language model read of items: more words for :attr:`READ`."""
READ = "read"
"""The attribute under which they stand."""


@dataclass(frozen=True, order=True)
class Tag:
    """One value of an attribute, or a band of its numbers: ``low`` < number <= ``high``."""

    attribute: str
    value: str = ""
    low: float = -math.inf
    high: float = math.inf

    @property
    def banded(self) -> bool:
        """Whether it is a band of a number."""
        return self.low > -math.inf or self.high < math.inf

    @property
    def name(self) -> str:
        """What it is called in records, columns and corrections.

        >>> Tag("genres", "Drama").name, Tag("sale").name, Tag("year", "", 1992.0, 1995.0).name
        ('genres=Drama', 'sale', 'year over 1992 to 1995')
        """
        return f"{self.attribute}={self.value}" if self.value else self.attribute + self._band

    @property
    def label(self) -> str:
        """What people are shown: one short line without anything that steers a display."""
        return clean(self.value or self.name, LABEL)

    @property
    def _band(self) -> str:
        over = f" over {self.low:g}" if self.low > -math.inf else ""
        return over + (f"{' to' if over else ' up to'} {self.high:g}" if self.high < math.inf else "")

    def of(self, value: Attribute | None) -> bool:
        """Whether an attribute of this value has the tag."""
        if self.banded:
            return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low < value <= self.high
        if self.value:
            return value == self.value if isinstance(value, str) else isinstance(value, tuple) and self.value in value
        return value is True


def choose(attributes: Sequence[Mapping[str, Attribute]], most: int, least: int) -> tuple[Tag, ...]:
    """The ``most`` values that most have, of those that at least ``least`` have and not nearly all; sorted by name."""
    words: Counter[Tag] = Counter()
    numbers: dict[str, list[float]] = {}
    for held in attributes:
        for name, value in held.items():
            if isinstance(value, bool):
                words.update([Tag(name)] if value else ())
            elif isinstance(value, (int, float)):
                numbers.setdefault(name, []).append(float(value))
            else:
                words.update(Tag(name, word) for word in ({value} if isinstance(value, str) else set(value)) if word)
    for name, told in numbers.items():
        words.update(_bands(name, np.array(told)))
    fit = [(count, tag) for tag, count in words.items() if least <= count <= _MOST * len(attributes)]
    chosen = sorted(fit, key=lambda pair: (-pair[0], pair[1].name))[:most]
    return tuple(sorted((tag for _, tag in chosen), key=lambda tag: tag.name))


def _bands(name: str, told: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[Tag, int]:
    """Bands of about as many numbers each, and how many lie in each; none where nearly all are one number."""
    edges = [-math.inf, *np.unique(np.quantile(told, np.arange(1, _BANDS) / _BANDS)).tolist(), math.inf]
    bands = [Tag(name, "", low, high) for low, high in pairwise(edges)]
    return {band: int(sum(band.of(value) for value in told.tolist())) for band in bands if band.banded}


@dataclass(frozen=True)
class Tags:
    """Which of G tags each item has."""

    chosen: tuple[Tag, ...]
    """(G,) sorted by name"""
    rows: Mapping[ItemId, I64]
    """Item -> numbers of its tags; an item that is not named has none."""

    @staticmethod
    def of(items: Iterable[Item], most: int = 32, least: int = 5, read: Read | None = None) -> Tags:
        """The tags that tell a catalogue's items apart, and which item has which."""
        held = list(items)
        return Tags.like(choose([_attributes(item, read) for item in held], most, least), held, read)

    @staticmethod
    def like(chosen: tuple[Tag, ...], items: Iterable[Item], read: Read | None = None) -> Tags:
        """The same tags on other items: those of tomorrow."""
        places: dict[str, list[tuple[int, Tag]]] = {}
        for number, tag in enumerate(chosen):
            places.setdefault(tag.attribute, []).append((number, tag))
        rows = {}
        for item in items:
            attributes = _attributes(item, read)
            found = [n for name in attributes.keys() & places.keys() for n, tag in places[name] if tag.of(attributes[name])]
            rows[item.id] = np.array(sorted(found), np.int64)
        return Tags(chosen, rows)

    def __len__(self) -> int:
        return len(self.chosen)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """(G,)"""
        return tuple(tag.name for tag in self.chosen)

    def named(self, given: Iterable[str]) -> tuple[str, ...]:
        """Names of the tags that somebody means, who may write a label for short. Raises RecordError for an unknown one."""
        out = []
        for text in given:
            number = self.find.get(text.casefold())
            if number is None:
                raise _unknown(text, self)
            out.append(self.names[number])
        return tuple(out)

    @cached_property
    def find(self) -> Mapping[str, int]:
        """Number of a tag by its name, and by its label or value where only one has that; letters of any case."""
        out = {name.casefold(): number for number, name in enumerate(self.names)}
        short = Counter(tag.label.casefold() for tag in self.chosen)
        for number, tag in enumerate(self.chosen):
            if short[tag.label.casefold()] == 1:
                out.setdefault(tag.label.casefold(), number)
        return out


def _unknown(given: str, tags: Tags) -> RecordError:
    names = tags.names
    near = difflib.get_close_matches(given.casefold(), tags.find, 1)
    hint = f"did you mean {names[tags.find[near[0]]]!r}? " if near else ""
    return RecordError(f"profile tag: must be one of the catalogue's tags, got {given!r}; {hint}they are {', '.join(names)}")


def _attributes(item: Item, read: Read | None) -> Mapping[str, Attribute]:
    more = read.get(item.id) if read else None
    return {**item.attributes, READ: tuple(more)} if more else item.attributes
