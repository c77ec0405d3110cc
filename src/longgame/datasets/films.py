"""A film's title, year and genres -> its text and attributes, the same from every layout MovieLens comes in."""

from __future__ import annotations

import re
from collections.abc import Sequence

from longgame.datasets.records import sentences
from longgame.types import Attribute

_DATED = re.compile(r"(?P<title>.*?)\s*\((?P<year>\d{4})\)\s*")
_NONE = frozenset({"", "unknown", "(no genres listed)"})


def split_title(title: str) -> tuple[str, int | None]:
    """The title without the year in brackets at its end, and that year.

    >>> split_title("Seven (Se7en) (1995)")
    ('Seven (Se7en)', 1995)
    """
    found = _DATED.fullmatch(title)
    return (found["title"], int(found["year"])) if found else (title.strip(), None)


def film(title: str, year: int | None, genres: Sequence[str]) -> tuple[str, dict[str, Attribute]]:
    """The text a language model reads, and the attributes title, year and genres, where they are known.

    >>> film("Toy Story", 1995, ["Animation", "Comedy"])[0]
    'Toy Story (1995). Animation, Comedy'
    """
    kept = tuple(genre for genre in genres if genre not in _NONE)
    attributes: dict[str, Attribute] = {"title": title} if title else {}
    if year is not None:
        attributes["year"] = float(year)
    if kept:
        attributes["genres"] = kept
    return sentences(f"{title} ({year})" if year is not None else title, ", ".join(kept)), attributes
