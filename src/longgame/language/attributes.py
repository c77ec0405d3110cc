"""Attributes of a type that somebody asked for: one of some options, a year, a size; each with what says it.

An option is told like a tag: where an item says it, that is that; where not, a reader that was calibrated on the items that do
say one may tell it. Numbers are only ever found in the text, by a pattern, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from longgame.errors import ConfigError
from longgame.language.prompt import clean
from longgame.language.vocabulary import Span, Tag, Vocabulary, fold
from longgame.types import Item

RECIPE = "attributes-1"
PATTERNS: Mapping[str, re.Pattern[str]] = {
    "year": re.compile(r"\b(?:18|19|20)\d\d\b(?!\s*(?:ml|mg|g|oz|watt|w|mm|cm)\b)"),
    "size": re.compile(
        r"\b\d+(?:[.,]\d+)?\s?-?(?:fl\.?\s?oz|fluid ounces?|ounces?|oz|ml|litres?|liters?|kg|mg|g|grams?|lbs?|inch(?:es)?|mm|cm"
        r"|pcs|pieces?|pack|count|ct)\b",
        re.IGNORECASE,
    ),
}
"""Types that are found in the text."""
_COLOURS = """
black white red blue green pink purple brown grey gold silver orange yellow beige violet turquoise nude
"""
COLOURS = tuple(_COLOURS.split())
"""Options of the type colour."""
_FREE = re.compile(r"[^\W_][\w &'’-]{0,39}")


@dataclass(frozen=True)
class Wanted:
    """An attribute that is asked for."""

    name: str
    type: str
    """year, size, or option."""
    options: tuple[str, ...] = ()
    guessed: bool = False
    """Whether a model may tell it of items that do not say it."""


@dataclass(frozen=True)
class Found:
    """An attribute of an item."""

    name: str
    value: str
    confidence: float
    """In [0, 1]: 1 where the item says it."""
    evidence: Span | None
    """Where the item says it; None where the model does."""


def wanted(config: Mapping[str, str | Sequence[str]]) -> list[Wanted]:
    """From names to a type (year, size, colour) or to options. Raises ConfigError."""
    out = []
    for name, told in config.items():
        if isinstance(told, str):
            if told == "colour":
                out.append(Wanted(name, "option", COLOURS))
            elif told in PATTERNS:
                out.append(Wanted(name, told))
            else:
                types = ", ".join([*PATTERNS, "colour"])
                raise ConfigError(f"reading.attributes: {name} must be one of {types}, or a list of options, got {told!r}")
            continue
        options = tuple(told)
        folded = {fold(option) for option in options}
        if len(folded) < 2 or len(folded) != len(options) or not all(_FREE.fullmatch(option) for option in options):
            raise ConfigError(
                f"reading.attributes: {name} needs two different options or more, words each, got {list(options)}"
            )
        out.append(Wanted(name, "option", options, True))
    return out


def vocabulary(asked: Wanted, items: Sequence[Item], catalogue: tuple[str, ...]) -> Vocabulary:
    """The options as tags, which :class:`tagging.TagReader` reads; those that no item says are there, too."""
    plain = Vocabulary(tuple(Tag(o, (fold(o),), 0, "category") for o in asked.options), catalogue)
    count = [0] * len(asked.options)
    for item in items:
        for place in plain.said(item):
            count[place] += 1
    tags = tuple(Tag(t.name, t.forms, n, t.source) for t, n in zip(plain.tags, count, strict=True))
    return Vocabulary(tags, catalogue)


def found(item: Item, asked: Sequence[Wanted]) -> Iterator[Found]:
    """What the item says itself, in the order asked; of several options or sizes the first."""
    text = clean(item.text)
    for one in asked:
        if one.type == "option":
            said = vocabulary(one, (), ()).said(item)
            first = min(said, key=lambda p: (said[p].part == "text", said[p].start), default=None)
            if first is not None:
                yield Found(one.name, one.options[first], 1.0, said[first])
            continue
        key, held = next(
            ((k, v) for k, v in sorted(item.attributes.items()) if one.type in k.lower() and isinstance(v, float | int | str)),
            ("", None),
        )
        if (
            held
            and not isinstance(held, bool)
            and (match := PATTERNS[one.type].search(f"{held:g}" if not isinstance(held, str) else held))
        ):
            yield Found(one.name, match[0], 1.0, Span(key, match[0]))
        elif match := PATTERNS[one.type].search(text):
            yield Found(one.name, match[0], 1.0, Span("text", match[0], match.start()))
