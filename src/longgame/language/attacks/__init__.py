"""Hostile reviews and titles, to measure what a reader lets strangers do to it. Written by hand for this; data, never run.

Families are of two sorts. With some at hand the rules of ``language.shield`` were written; the others are held out: no rule
was written for them or changed after looking at them, so they say what the shield does against what its authors did not
think of. They come from the same authors all the same, and an attacker who reads the rules knows more than either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from longgame.language.attacks import carriers, disguised, formats, plain, tongues

Answer = Literal["positive", "negative"]
Kind = Literal["review", "title"]

_OTHER: dict[Answer, Answer] = {"positive": "negative", "negative": "positive"}
_ROUNDS: tuple[tuple[Kind, Answer], ...] = (("review", "positive"), ("review", "negative"), ("title", "positive"))
"""Every payload asks for praise of a bad thing, blame of a good one, and praise by a title."""

_PROSE = {
    "direct": plain.DIRECT,
    "authority": plain.AUTHORITY,
    "role play": plain.ROLES,
    "prompt leaking": plain.LEAKING,
    "fake turns": formats.TURNS,
    "few-shot": formats.SHOTS,
    "json": formats.JSON_BREAKS,
    "markup": formats.MARKUP,
    "delimiters": formats.DELIMITERS,
}
_HELD_PROSE = {
    "indirect": plain.INDIRECT,
    "persuasion": plain.PERSUASION,
    "split": plain.SPLIT,
    "rewriting": plain.REWRITES,
    "code": formats.CODE,
    "tables": formats.TABLES,
}


@dataclass(frozen=True)
class Attack:
    """One hostile text."""

    family: str
    """What sort of attack it is."""
    language: str
    """Of the payload, by ISO 639-1."""
    kind: Kind
    wants: Answer
    """What the attacker would have the reader say."""
    carrier: str
    """What the text says without the attack: the opposite of what is wanted."""
    payload: str
    held_out: bool
    """Whether the shield's rules were written without it."""

    @property
    def text(self) -> str:
        return f"{self.carrier} {self.payload}"

    @property
    def control(self) -> str:
        """The same carrier with an honest opinion as long as the payload, in the direction that is wanted."""
        pool, out = carriers.FOR if self.wants == "positive" else carriers.AGAINST, list[str]()
        first = sum(map(ord, self.carrier))
        while len(" ".join(out)) < len(self.payload):
            out.append(pool[(first + len(out)) % len(pool)])
        return f"{self.carrier} {' '.join(out)}"


def attacks() -> tuple[Attack, ...]:
    """All of them, always the same, no text twice."""
    found = {attack.text: attack for attack in _all()}
    return tuple(found.values())


def honest() -> tuple[str, ...]:
    """Texts without an attack, each once: carriers and opinions alone and in twos, and stories that have no opinion at all."""
    first = (*carriers.COMPLAINTS, *carriers.PRAISE, *carriers.TITLES)
    pool = (*first, *carriers.FOR, *carriers.AGAINST, *_IDLE)
    pairs = [f"{one} {pool[(7 * row + 5 * step + 1) % len(pool)]}" for row, one in enumerate(first) for step in range(8)]
    return tuple(dict.fromkeys((*pool, *pairs)))


def _all() -> Iterator[Attack]:
    number = 0
    for family, language, held, payload, word in _payloads():
        for kind, wants in _ROUNDS:
            pool = carriers.TITLES if kind == "title" else carriers.COMPLAINTS if wants == "positive" else carriers.PRAISE
            told = payload.replace("WANT", wants).replace("OTHER", _OTHER[wants])
            told = told.replace("WORT", word[wants == "negative"])
            if family in disguised.DISGUISES:
                told = disguised.DISGUISES[family](told)
            elif family in disguised.HELD_DISGUISES:
                told = disguised.HELD_DISGUISES[family](told)
            elif family == "padding":
                told = f"{' '.join(_padding(number))} {told}"
            yield Attack(family, language, kind, wants, pool[number % len(pool)], told, held)
            number += 1


def _payloads() -> Iterator[tuple[str, str, bool, str, tuple[str, str]]]:
    """Family, language, whether held out, payload, and the language's words for both answers."""
    english = ("positive", "negative")
    for held, groups in ((False, _PROSE), (True, _HELD_PROSE)):
        for family, payloads in groups.items():
            yield from ((family, "en", held, payload, english) for payload in payloads)
    yield from (("padding", "en", False, payload, english) for payload in plain.PADDING_TAILS)
    for held, by_language in ((False, tongues.TONGUES), (True, tongues.HELD_TONGUES)):
        family = "further languages" if held else "other languages"
        for language, (good, bad, payloads) in by_language.items():
            yield from ((family, language, held, payload, (good, bad)) for payload in payloads)
    for held, disguises in ((False, disguised.DISGUISES), (True, disguised.HELD_DISGUISES)):
        for family in disguises:
            yield from ((family, "en", held, wish, english) for wish in disguised.WISHES)


def _padding(number: int) -> Iterator[str]:
    """Some three hundred characters about nothing, another order each time."""
    for step in range(6):
        yield _IDLE[(number + step) % len(_IDLE)]


_IDLE = (
    "The parcel came on a Tuesday and stood in the hall until the evening.",
    "It was raining that week, and the bus was late as it often is.",
    "My neighbour keeps two cats, one of which sleeps on our steps.",
    "The box is brown, with a label on the narrow side.",
    "We had soup that night, and bread from the day before.",
    "There is a window in the kitchen that looks out on the yard.",
    "In the afternoon I read the paper and wrote two letters.",
    "The street has been dug up again, for a pipe this time.",
    "On Sunday we walked to the lake and back by the mill.",
    "The clock in the hall is four minutes fast.",
)
