"""Whether what a model wrote may be used: it says nothing that its source does not say.

A small model's words are believed one by one. Each word of meaning must stand in the source, in some form of itself, and so
must each number; only words that join others, and the few that name the thing, are free. Nothing is denied, since a denial can
be put together of a source's own words. What fails is not mended: the template takes its place.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

from longgame.language.vocabulary import fold

LEAST, MOST = 12, 320
"""Characters of a description."""
RUN = 3
"""Words that may not come twice in a row of the same order."""
RECIPE = "checks-2"

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SIGNS = re.compile(r"(?:(?<!\S)[\W_]+(?:\s|$)){3}")
"""Three signs in a row with blanks round them: dots and dashes can say what no word of the source does."""
_JOINS = """
a an and are as at be been both by for from has have in into is it its of on or that the their them these they this
those to was were which who with also one
"""
JOINS = frozenset(_JOINS.split())
"""Words that join others and say nothing by themselves."""
_DENYING = """
no not never none nor without neither isn't wasn't aren't doesn't don't cannot can't won't
"""
_DENIALS = frozenset(_DENYING.split())


def unsaid(text: str, source: str, free: Collection[str] = ()) -> list[str]:
    """Words of the text that its source does not say, in their order. ``free`` may always be said.

    >>> unsaid("Jaws is a heartwarming thriller from 1976.", "Jaws. genre: Thriller. year: 1975")
    ['heartwarming', '1976']
    """
    known = set(_words(source)) | JOINS | {fold(word) for word in free}
    return [word for word in _words(text) if word not in known]


def troubles(text: str, source: str, free: Collection[str] = (), avoid: Sequence[str] = ()) -> list[str]:
    """Why a text may not be used, in words; empty where it may. ``avoid`` are texts that it must not repeat."""
    out = []
    if not LEAST <= len(text) <= MOST:
        out.append(f"has {len(text)} characters, not {LEAST} to {MOST}")
    if not text.isprintable():
        out.append("holds what cannot be printed")
    if wrong := unsaid(text, source, free):
        out.append(f"says what the source does not: {', '.join(wrong[:5])}")
    if _SIGNS.search(text):
        out.append("holds signs that are no words")
    words = _WORD.findall(text.lower())
    if denied := [word for word in words if word.replace("’", "'") in _DENIALS]:
        out.append(f"denies: {denied[0]}")
    runs = Counter(tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1))
    if runs and runs.most_common(1)[0][1] > 1:
        out.append(f"repeats itself: {' '.join(runs.most_common(1)[0][0])}")
    said = Counter(word for word in _words(text) if word not in JOINS)
    heard = Counter(_words(source))
    if more := [word for word, n in said.items() if n > max(2, heard[word])]:
        out.append(f"says {more[0]} {said[more[0]]} times")
    if text.rstrip()[-1:] not in ".!":
        out.append("does not end")
    if fold(text) in {fold(other) for other in avoid}:
        out.append("is one of the examples")
    return out


def _words(text: str) -> list[str]:
    return [fold(word) for word in _WORD.findall(text)]
