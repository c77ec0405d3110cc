"""Rules that no policy can break. Guards say who is eligible; slate rules say what may come next.

Both act before the draw and are pure, so every logged probability is true. A guard depends on the request and
the user's history and runs before the decision is formed: the logged candidates are the eligible ones. A slate
rule depends on the slate so far, runs slot by slot, and is replayed by learning and evaluation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from longgame.arrays import Candidates
from longgame.errors import ConfigError
from longgame.knowledge.book import Rulebook
from longgame.types import I64, Bool, Event, Item, ItemId, Request


def _digest(parts: Iterable[str]) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=4).hexdigest()


class AlreadySeen:
    """Refuses what is in the user's history, for all kinds of event or only for ``kinds``."""

    def __init__(self, kinds: frozenset[str] | None = None) -> None:
        self._kinds = kinds
        self.version = "seen" if kinds is None else f"seen-{_digest(sorted(kinds))}"

    def eligible(self, request: Request, history: Sequence[Event], candidates: Candidates) -> Bool:
        seen = {e.item for e in history if self._kinds is None or e.kind in self._kinds}
        if not seen:
            return np.ones(len(candidates), np.bool_)
        return np.array([i not in seen for i in candidates.ids], np.bool_)


class Blocklist:
    """Refuses the items named."""

    def __init__(self, banned: Iterable[ItemId]) -> None:
        self._banned = frozenset(banned)
        self.version = f"blocklist-{_digest(sorted(self._banned))}"

    def eligible(self, request: Request, history: Sequence[Event], candidates: Candidates) -> Bool:
        return np.array([i not in self._banned for i in candidates.ids], np.bool_)


class InStock:
    """Refuses items whose attribute says that there are none: False, 0 or less, or "out"/"no"/"false".

    An item without the attribute is in stock.
    """

    def __init__(self, items: Iterable[Item], attribute: str = "stock") -> None:
        self._gone = frozenset(i.id for i in items if _is_out(i.attributes.get(attribute)))
        self.version = f"in-{attribute}-{_digest(sorted(self._gone))}"

    def eligible(self, request: Request, history: Sequence[Event], candidates: Candidates) -> Bool:
        return np.array([i not in self._gone for i in candidates.ids], np.bool_)


def _is_out(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in {"out", "no", "false", "0"}
    return isinstance(value, (bool, int, float)) and value <= 0


class Ruled:
    """What people's rules refuse, with one of three effects for who did what stands before the arrow.

    ``never``: is not shown what stands after it. ``only``: is shown nothing else. ``needs`` is for everybody: what stands
    after the arrow is shown only to who did what stands before it.
    """

    EFFECTS = ("never", "only", "needs")

    def __init__(self, effect: str, book: Rulebook) -> None:
        if effect not in self.EFFECTS:
            raise ConfigError(f"Ruled: effect must be one of {', '.join(self.EFFECTS)}, got {effect!r}")
        self._effect, self._book = effect, book
        self.version = f"{effect}-{book.version}"

    def eligible(self, request: Request, history: Sequence[Event], candidates: Candidates) -> Bool:
        done = dict.fromkeys((e.kind, e.item) for e in history)
        out = np.ones(len(candidates), np.bool_)
        for rule in range(len(self._book.rules)):
            said = self._book.said(rule, done)
            if self._effect == "needs":
                meant, allowed = self._book.targets(rule), said or frozenset()
                out &= np.array([i not in meant or i in allowed for i in candidates.ids], np.bool_)
            elif said is not None:
                out &= np.array([(i in said) == (self._effect == "only") for i in candidates.ids], np.bool_)
        return out


class AtMost:
    """At most ``limit`` items of a slate share a value of an attribute, also of one with several values.

    ``items`` is the catalogue in its order; an item without the attribute is never refused.
    """

    def __init__(self, items: Sequence[Item], attribute: str, limit: int) -> None:
        if limit < 1:
            raise ConfigError(f"AtMost({attribute!r}): limit must be 1 or more, got {limit}")
        values = [_values(i.attributes.get(attribute)) for i in items]
        names = {name: code for code, name in enumerate(sorted({v for vs in values for v in vs}))}
        self._codes = np.full((len(items) + 1, max((len(v) for v in values), default=0) or 1), len(names), np.int64)
        for row, held in enumerate(values):
            self._codes[row, : len(held)] = [names[v] for v in held]
        self._width, self._limit = len(names), limit
        self.version = f"at-most-{limit}-{attribute}-{_digest(f'{i.id}={v}' for i, v in zip(items, values, strict=True))}"

    def allow(self, positions: I64, chosen: Sequence[int]) -> Bool:
        if not chosen:
            return np.ones(len(positions), np.bool_)
        # Items that joined the catalogue later have no row: they read the last one, which holds no value.
        codes = self._codes[np.minimum(positions, len(self._codes) - 1)]
        counts = np.bincount(codes[list(chosen)].ravel(), minlength=self._width + 1)
        full = np.asarray(counts >= self._limit, np.bool_)
        full[self._width] = False
        return np.asarray(~full[codes].any(axis=1), np.bool_)


def _values(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(sorted(set(value))) if isinstance(value, tuple) else (str(value),)
