"""Rules that people write: who did this, for whom that holds. A small typed language over attributes and kinds of event.

    purchase: category = printer -> category = ink and price < 40
    purchase, cart: -> same brand
    -> in accessories

Before the arrow stands what a user did: kinds of event (none: any) before a colon, and conditions on the item it was done
with (none: any item). After it stands which candidates the rule speaks of: conditions on their own attributes, ``same NAME``
(a value of that attribute is shared with the item before the arrow) and ``in NAME`` (that attribute of the item before the
arrow names the candidate's id). All parts joined by ``and`` must hold. A condition is NAME = VALUE, or with != < <= > >=; on
an attribute with several values = asks whether one of them is it, and an item that lacks the attribute meets no condition.
Names and values with blanks or signs go into double quotes. What follows from a rule is its user's matter: a guard refuses,
a source of candidates proposes.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from longgame.errors import ConfigError
from longgame.types import Attribute

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|->|!=|<=|>=|[=<>:,]|[^\s"=<>!:,]+)')
_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SIGNS = ("=", "!=", *_ORDER)
_EXAMPLE = 'write for instance "purchase: category = printer -> category = ink"'


@dataclass(frozen=True)
class Condition:
    """One attribute held against one value."""

    name: str
    sign: str
    """One of = != < <= > >=."""
    value: str

    def holds(self, attributes: Mapping[str, Attribute]) -> bool:
        held = attributes.get(self.name)
        if held is None:
            return False
        if self.sign in _ORDER:
            return isinstance(held, (int, float)) and _ORDER[self.sign](float(held), float(self.value))
        return _is(held, self.value) == (self.sign == "=")


def _is(held: Attribute, value: str) -> bool:
    if isinstance(held, tuple):
        return value in held
    if isinstance(held, bool):
        return value.lower() == str(held).lower()
    if isinstance(held, (int, float)):
        number = _number(value)
        return number is not None and float(held) == number
    return held == value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class Rule:
    """What a line says. Made by :func:`parse`."""

    text: str
    kinds: frozenset[str]
    """Of the event; empty: any."""
    when: tuple[Condition, ...]
    """What holds of the item before the arrow."""
    then: tuple[Condition, ...]
    """What holds of the candidate."""
    same: tuple[str, ...]
    """Attributes of which both share a value."""
    named: tuple[str, ...]
    """Attributes of the item before the arrow that name the candidate."""

    @property
    def names(self) -> frozenset[str]:
        """Attributes that it speaks of."""
        return frozenset((*(c.name for c in (*self.when, *self.then)), *self.same, *self.named))

    @property
    def ordered(self) -> frozenset[str]:
        """Those that must be numbers."""
        return frozenset(c.name for c in (*self.when, *self.then) if c.sign in _ORDER)


def parse(text: str) -> Rule:
    """A line as a rule. Raises ConfigError: where in it, what must stand there, what was got.

    >>> parse('purchase: category = printer -> same brand').same
    ('brand',)
    """
    tokens = _tokens(text)
    if tokens.count("->") != 1:
        raise ConfigError(f"rule {text!r}: needs one arrow -> between what was done and what follows; {_EXAMPLE}")
    arrow = tokens.index("->")
    left, right = tokens[:arrow], tokens[arrow + 1 :]
    kinds: list[str] = []
    if ":" in left:
        colon = left.index(":")
        kinds = [_bare(token, text, "a kind of event") for token in left[:colon:2]]
        if not kinds or any(token != "," for token in left[1:colon:2]) or colon % 2 == 0:
            raise ConfigError(f"rule {text!r}: before the colon stand kinds of event by commas; {_EXAMPLE}")
        left = left[colon + 1 :]
    when, same, named = _parts(left, text)
    if same or named:
        raise ConfigError(f"rule {text!r}: 'same' and 'in' go after the arrow: they join the candidate to what was done")
    then, same, named = _parts(right, text)
    if not (then or same or named):
        raise ConfigError(f"rule {text!r}: nothing stands after the arrow; {_EXAMPLE}")
    return Rule(text, frozenset(kinds), when, then, same, named)


def _tokens(text: str) -> list[str]:
    out, place = [], 0
    while place < len(text.rstrip()):
        found = _TOKEN.match(text, place)
        if found is None:
            raise ConfigError(
                f"rule {text!r}: cannot be read from {text[place:].strip()[:30]!r} on; close the quotes, or use them"
            )
        out.append(found[1])
        place = found.end()
    return out


def _parts(tokens: list[str], text: str) -> tuple[tuple[Condition, ...], tuple[str, ...], tuple[str, ...]]:
    """Conditions, names after ``same`` and names after ``in`` of what is joined by ``and``."""
    conditions: list[Condition] = []
    joined: dict[str, list[str]] = {"same": [], "in": []}
    part: list[str] = []
    for token in [*tokens, "and"] if tokens else []:
        if token != "and":
            part.append(token)
            continue
        if len(part) == 2 and part[0] in joined:
            joined[part[0]].append(_bare(part[1], text, "the name of an attribute"))
        elif len(part) == 3 and part[1] in _SIGNS:
            conditions.append(_condition(part, text))
        else:
            got = " ".join(part) or "nothing"
            raise ConfigError(
                f"rule {text!r}: must be NAME = VALUE (or {' '.join(_SIGNS[1:])}), 'same NAME' or 'in NAME', joined by 'and', "
                f"got {got!r}; put names and values of several words in double quotes"
            )
        part = []
    return tuple(conditions), tuple(joined["same"]), tuple(joined["in"])


def _condition(part: list[str], text: str) -> Condition:
    name, value = _bare(part[0], text, "the name of an attribute"), _bare(part[2], text, "a value")
    if part[1] in _ORDER and _number(value) is None:
        raise ConfigError(f"rule {text!r}: {part[1]} compares numbers, got {value!r}; write a number, or = for a word")
    return Condition(name, part[1], value)


def _bare(token: str, text: str, what: str) -> str:
    """A word without its quotes."""
    if token.startswith('"'):
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    if token in (*_SIGNS, ":", ",", "->"):
        raise ConfigError(f"rule {text!r}: must have {what} where {token!r} stands; {_EXAMPLE}")
    return token


def texts(value: Any) -> Any:
    """For settings: the lines as they are, once each of them can be read; ValueError otherwise."""
    for line in value:
        parse(line)
    return value
