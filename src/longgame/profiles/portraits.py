"""What a user likes, in a sentence that a language model words and nothing but what was counted stands in.

A profile is counted; a model may word what it leans to, one side at a time: what is liked, and what is liked less. So it cannot
turn one into the other unseen. Its sentence is held against the names of the tags (``language.checks``): all of them are in it,
no other thing is, and it says once, and only of the second side, that something is not liked. What fails is not mended: the
profile's own line says it. A sentence is of tags and not of a user: people who lean alike have it in common, and whose leanings
change, or are corrected, has another or none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from longgame.language.checks import RECIPE as CHECKS
from longgame.language.checks import troubles
from longgame.language.shield import HEEDED, Marks, marked, shielded_name

RECIPE = "portrait-1"
_LEAST = 7
"""Characters of a sentence: "Likes X"."""
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"sentence": {"type": "string", "minLength": _LEAST, "maxLength": 200}},
    "required": ["sentence"],
    "additionalProperties": False,
}
"""What is asked of a writer."""
Side = Literal["likes", "less"]
SIDES: tuple[Side, ...] = ("likes", "less")
_LABEL = 80
"""Characters of a tag's name."""

_HEADS: Mapping[Side, tuple[str, tuple[tuple[tuple[str, ...], str], ...]]] = {
    "likes": (
        "Say in one sentence what a person likes. Name each thing as it is, and no other.",
        (
            (("jazz", "size over 12 to 20", "long walks"), "Enjoys jazz, size over 12 to 20 and long walks."),
            (("maps",), "Is especially fond of maps."),
            (("Old-Clocks", "chess"), "Likes Old-Clocks and chess."),
            (("Dogs' Toys", "rowing", "opera"), "Likes Dogs' Toys most, and rowing and opera."),
        ),
    ),
    "less": (
        "Say in one sentence what a person does not like so much. Name each thing as it is, and no other.",
        (
            (("crowds",), "Seldom cares for crowds."),
            (("opera", "size over 12 to 20"), "Is not so fond of opera and size over 12 to 20."),
            (("chess",), "Does not care much for chess."),
            (("Dogs' Toys", "Old-Clocks"), "Is less fond of Dogs' Toys and Old-Clocks."),
        ),
    ),
}
"""What is asked of each side, and examples: tags, and the sentence."""
_ASKED: Mapping[Side, str] = {"likes": "Likes", "less": "Not so much"}
_LIKES = """
like likes enjoy enjoys love loves favour favours favor favors fond keen drawn care cares
"""
_LIKING = frozenset(_LIKES.split())
_TURNS = """
not seldom rarely hardly less little never doesn't isn't avoids dislikes
"""
_TURNING = frozenset(_TURNS.split())
"""One of them, once, and before the first tag, makes a sentence one of what is not liked so much."""
_MORE = """
a also and both for in is of on the with person someone best most so much very do does really especially particularly
"""
_FREE = _LIKING | frozenset(_MORE.split())
"""All that may stand beside the tags. No "to", "as", "was" or "than": "likes A to B" and "cares for little so much as A" say
what was not counted."""
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True)
class Leaning:
    """Tags on one side, the strongest first."""

    side: Side
    labels: tuple[str, ...]

    def prompt(self, marks: Marks = "line") -> str:
        """What a writer is given, marked as it wants; empty where the shield takes something off a tag's name, which a seller
        wrote."""
        if any(shielded_name(label, _LABEL) != label for label in self.labels):
            return ""
        asked, (said, shots) = _ASKED[self.side], _HEADS[self.side]
        cases = [f"{asked}: {marked(', '.join(shot), marks)}\n{_written(answer)}\n\n" for shot, answer in shots]
        told = " ".join(filter(None, (said, HEEDED[marks])))
        return f"{told}\n\n{''.join(cases)}{asked}: {marked(', '.join(self.labels), marks)}\n"


def _written(sentence: str) -> str:
    return json.dumps({"sentence": sentence})


def version(writer: str, marks: Marks = "line") -> str:
    """Names all that changes a sentence, apart from the tags."""
    told = repr((RECIPE, CHECKS, SCHEMA, sorted(_HEADS.items()), sorted(_FREE), sorted(_TURNING), marks))
    return f"{RECIPE}-{blake2b(told.encode(), digest_size=4).hexdigest()}+{writer}"


def judged(written: Mapping[str, Any] | None, leaning: Leaning) -> tuple[str, tuple[str, ...]]:
    """The sentence, or "" and why it may not be used.

    >>> judged({"sentence": "Enjoys Drama and War."}, Leaning("likes", ("Drama", "War")))
    ('Enjoys Drama and War.', ())
    >>> judged({"sentence": "Enjoys Drama."}, Leaning("less", ("Drama",)))
    ('', ('says 0 times, not once, that they are not liked so much',))
    """
    if written is None:
        return "", ("was not ended",)
    text, free = " ".join(str(written["sentence"]).split()), _FREE | (_TURNING if leaning.side == "less" else frozenset())
    wrong = troubles(text, ", ".join(leaning.labels), free, denying=leaning.side == "less", least=_LEAST)
    return ("", tuple(wrong)) if (wrong := [*wrong, *_astray(text, leaning)]) else (text, ())


def _astray(text: str, leaning: Leaning) -> list[str]:
    """What is wrong with how a sentence speaks of the tags, the words of which are known to be theirs or free."""
    out, rest, first = [], text.lower(), len(text)
    for label in sorted(leaning.labels, key=len, reverse=True):  # the name of one may be in that of another
        found = list(re.finditer(rf"(?<!\w){re.escape(label.lower())}(?!\w)", rest))
        if len(found) != 1:
            out.append(f"names {label} {len(found)} times")
        for one in found:
            first = min(first, one.start())
            rest = rest[: one.start()] + " " * len(one[0]) + rest[one.end() :]
    before, after = ([word.replace("’", "'") for word in _WORD.findall(part)] for part in (rest[:first], rest[first:]))
    less = leaning.side == "less"
    if strange := [word for word in (*before, *after) if word not in _FREE and not (less and word in _TURNING)]:
        out.append(f"says {', '.join(strange[:5])} of them")
    turns = sum(word in _TURNING for word in before)
    if less and turns != 1:
        out.append(f"says {turns} times, not once, that they are not liked so much")
    elif not turns and not _LIKING & {*before, *after}:
        out.append("does not say that they are liked")
    if less and (_LIKING | _TURNING) & set(after):
        out.append("says of some of them something else")
    return out
