"""What a user likes, in a sentence that a language model words and nothing but what was counted stands in.

A profile is counted; a model may word what it leans to, one side at a time: what is liked, and what is liked less. Its
sentence is believed in one shape alone: words that like, or that like less, then the names of all the tags, then a stop. So it
can say of none of them anything else, and nothing of anybody. What fails is not mended: the profile's own line says it. A
sentence is of tags and not of a user: people who lean alike have it in common, and whose leanings change, or are corrected, has
another or none.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from longgame.language.shield import HEEDED, Marks, marked, shielded_name

RECIPE = "portrait-1"
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"sentence": {"type": "string", "minLength": 7, "maxLength": 200}},
    "required": ["sentence"],
    "additionalProperties": False,
}
"""What is asked of a writer."""
Side = Literal["likes", "less"]
SIDES: tuple[Side, ...] = ("likes", "less")

_HEADS: Mapping[Side, tuple[str, tuple[tuple[tuple[str, ...], str], ...]]] = {
    "likes": (
        "Say in one sentence what a person likes. Name each thing as it is, and no other.",
        (
            (("jazz", "size over 12 to 20", "long walks"), "Enjoys jazz, size over 12 to 20 and long walks."),
            (("maps",), "Is especially fond of maps."),
            (("Old-Clocks", "chess"), "Likes Old-Clocks and chess."),
            (("Dogs' Toys", "opera", "rowing"), "Likes Dogs' Toys, opera and rowing."),
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

_MORE = r"(?:(?:so|very|really|especially|particularly) )*"
_FOND = r"(?:fond of|keen on|drawn to)"
_LIKE = r"(?:like|enjoy|love|favou?r|care for)"
_SHAPES: Mapping[Side, str] = {
    "likes": rf"{_MORE}(?:likes|enjoys|loves|favou?rs|cares for|does {_MORE}{_LIKE}|is {_MORE}{_FOND}) ",
    "less": (
        rf"(?:is (?:not|less) {_MORE}{_FOND}|isn't {_MORE}{_FOND}|cares (?:less|little) for"
        r"|(?:seldom|rarely|hardly) (?:likes|enjoys|loves|favou?rs|cares for)"
        rf"|(?:does not|doesn't) {_MORE}(?:{_LIKE}|care (?:so |very )?much for|much {_LIKE})) "
    ),
}
"""How a sentence may begin, lowered."""
_AFTER = r"(?: (?:so|very) much)?\.$"
_BETWEEN = (", and ", ", ", " and ")


@dataclass(frozen=True)
class Leaning:
    """Tags on one side."""

    side: Side
    labels: tuple[str, ...]
    """The strongest first, or in no order that says anything (:attr:`unordered`)."""

    @property
    def unordered(self) -> Leaning:
        """By what sentences are asked for and kept: who likes the same in another order has the same."""
        return Leaning(self.side, tuple(sorted(self.labels)))

    def prompt(self, marks: Marks = "none") -> str:
        """What a writer is given, marked as it wants; empty where the shield takes something off a tag's name, which a seller
        wrote."""
        if any(shielded_name(label) != label for label in self.labels):
            return ""
        asked, (said, shots) = _ASKED[self.side], _HEADS[self.side]
        cases = [f"{asked}: {marked(', '.join(shot), marks)}\n{_written(answer)}\n\n" for shot, answer in shots]
        told = " ".join(filter(None, (said, HEEDED[marks])))
        return f"{told}\n\n{''.join(cases)}{asked}: {marked(', '.join(self.labels), marks)}\n"


def _written(sentence: str) -> str:
    return json.dumps({"sentence": sentence})


def version(writer: str, marks: Marks = "none") -> str:
    """Names all that changes a sentence, apart from the tags."""
    told = repr((RECIPE, SCHEMA, sorted(_HEADS.items()), sorted(_SHAPES.items()), _AFTER, _BETWEEN, marks))
    return f"{RECIPE}-{blake2b(told.encode(), digest_size=4).hexdigest()}+{writer}"


def judged(written: Mapping[str, Any] | None, leaning: Leaning) -> tuple[str, str]:
    """The sentence, or "" and why it may not be used.

    >>> judged({"sentence": "Enjoys War and Drama."}, Leaning("likes", ("Drama", "War")))
    ('Enjoys War and Drama.', '')
    >>> judged({"sentence": "Enjoys Drama."}, Leaning("less", ("Drama",)))
    ('', 'does not begin as one that says what is liked less')
    """
    if written is None:
        return "", "was not ended"
    text = " ".join(str(written["sentence"]).split())
    low = _plain(text)
    begins = re.match(_SHAPES[leaning.side], low)
    if begins is None:
        return "", f"does not begin as one that says what is {'liked less' if leaning.side == 'less' else 'liked'}"
    if not _names(low[begins.end() :], [_plain(one) for one in leaning.labels]):
        return "", "does not name all of the tags and nothing else, each once"
    return text, ""


def _plain(text: str) -> str:
    """In one of the forms that look alike."""
    return unicodedata.normalize("NFC", text).lower().replace("\u2019", "'")


def _names(rest: str, labels: Sequence[str]) -> bool:
    """Whether all the labels stand there in some order, joined as names are, and then the end of a sentence."""
    for at, label in enumerate(labels):
        if not rest.startswith(label):
            continue
        behind, others = rest[len(label) :], [*labels[:at], *labels[at + 1 :]]
        if not others and re.match(_AFTER, behind):
            return True
        if any(behind.startswith(join) and _names(behind[len(join) :], others) for join in _BETWEEN):
            return True
    return False
