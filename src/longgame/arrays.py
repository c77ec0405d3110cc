"""The nouns that are arrays: frozen shells round numpy, shapes checked once, when built.

The axis letters are those of ``types``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from longgame.errors import ShapeError
from longgame.shapes import check
from longgame.types import F32, F64, I64, Bool, Event, ItemId, UserId, microseconds

_MOMENTS = 10
"""Moments that a log without an order has, at most."""


@dataclass(frozen=True)
class Interactions:
    """Who did something with what, and when: the columns of a log that models are fitted on.

    Rows are sorted by user, then time, then event id, so that one user's history is one slice.
    """

    users: tuple[UserId, ...]
    items: tuple[ItemId, ...]
    """The whole catalogue, also items without a row."""
    offsets: I64
    """(U+1,) user u's rows are ``offsets[u]:offsets[u+1]``."""
    item: I64
    """(N,) position in ``items``"""
    at: I64
    """(N,) microseconds since the epoch"""
    value: F32
    """(N,) NaN: took it, and what it was worth to him is not known"""

    def __post_init__(self) -> None:
        check({}, ("item", self.item, "N"), ("at", self.at, "N"), ("value", self.value, "N"))
        if self.offsets.shape != (len(self.users) + 1,) or (len(self.users) and self.offsets[-1] != len(self.item)):
            raise ShapeError(f"Interactions.offsets: must be U+1 = {len(self.users) + 1} bounds up to N = {len(self.item)}")

    def __len__(self) -> int:
        return len(self.item)

    @property
    def user(self) -> I64:
        """(N,) position in ``users`` of each row."""
        return np.repeat(np.arange(len(self.users)), np.diff(self.offsets))

    @property
    def ordered(self) -> bool:
        """Whether the times tell what came after what: not where most of a user's events share a moment, of few that there are.

        So is a published split without times, whose parts have a moment each (``datasets.adjacency``).
        """
        same = self.user[1:] == self.user[:-1]
        tied = same & (self.at[1:] == self.at[:-1])
        return 2 * int(tied.sum()) <= int(same.sum()) or len(np.unique(self.at)) > _MOMENTS

    def history(self, user: int) -> I64:
        """(n,) positions of the items of user number ``user``, oldest first."""
        return self.item[self.offsets[user] : self.offsets[user + 1]]

    def padded(self, users: I64) -> I64:
        """(B,) -> (B, T) positions of the users' items, newest last, -1 in front; T is the longest of them, at least 1."""
        length = self.offsets[users + 1] - self.offsets[users]
        longest = int(length.max(initial=1))
        place = np.arange(longest) - (longest - length)[:, None]
        out = np.full(place.shape, -1, np.int64)
        inside = place >= 0
        out[inside] = self.item[(self.offsets[users][:, None] + place)[inside]]
        return out

    def select(self, keep: Bool) -> Interactions:
        """The same users and items with only the rows where ``keep`` (N,) is True."""
        counts = np.bincount(self.user[keep], minlength=len(self.users))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Interactions(self.users, self.items, offsets, self.item[keep], self.at[keep], self.value[keep])

    @staticmethod
    def of(events: Iterable[Event], items: Sequence[ItemId], valued: str | None = None) -> Interactions:
        """Columns of ``events``; events whose item is not in ``items`` are left out.

        ``valued``: the kind of event that has a value, others get NaN; None: all have.
        """
        index = {item: row for row, item in enumerate(items)}
        people: dict[UserId, int] = {}
        rows = [
            (people.setdefault(e.user, len(people)), microseconds(e.at), e.id, index[e.item], _worth(e, valued))
            for e in events
            if e.item in index
        ]
        rows.sort(key=lambda row: row[:3])
        counts = np.bincount(np.array([r[0] for r in rows], np.int64), minlength=len(people))
        return Interactions(
            tuple(people),
            tuple(items),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.array([r[3] for r in rows], np.int64),
            np.array([r[1] for r in rows], np.int64),
            np.array([r[4] for r in rows], np.float32),
        )


def _worth(event: Event, valued: str | None) -> float:
    return event.value if valued in (None, event.kind) else math.nan


@dataclass(frozen=True)
class State:
    """What the policy may know of a user. :meth:`stack` adds a leading B."""

    history: F32
    """([B,] T, D) item vectors, newest last, zeros in front"""
    items: I64
    """([B,] T) positions of those items in the catalogue, -1 on the padding"""
    context: F32
    """([B,] F)"""

    @property
    def present(self) -> Bool:
        """([B,] T) False on the padding."""
        return self.items >= 0

    @staticmethod
    def stack(states: Sequence[State]) -> State:
        """B states of one user each -> one state of B."""
        return State(
            np.stack([s.history for s in states]),
            np.stack([s.items for s in states]),
            np.stack([s.context for s in states]),
        )


@dataclass(frozen=True)
class Candidates:
    """What may be shown to one user, best first, and where each came from."""

    ids: tuple[ItemId, ...]
    positions: I64
    """(C,) positions in the catalogue"""
    vectors: F32
    """(C, D)"""
    scores: F32
    """(C,) the retriever's own score, higher is closer; comparable within one source only"""
    sources: tuple[str, ...]
    """Names of the sources"""
    origin: I64
    """(C,) which source named each candidate first"""

    def __post_init__(self) -> None:
        check(
            {"C": len(self.ids)},
            ("positions", self.positions, "C"),
            ("vectors", self.vectors, "C D"),
            ("scores", self.scores, "C"),
            ("origin", self.origin, "C"),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def keep(self, allowed: Bool) -> Candidates:
        """Only the candidates where ``allowed`` (C,) is True."""
        if allowed.all():
            return self
        rows = np.flatnonzero(allowed)
        ids = tuple(self.ids[i] for i in rows.tolist())
        return Candidates(ids, self.positions[rows], self.vectors[rows], self.scores[rows], self.sources, self.origin[rows])


@dataclass(frozen=True)
class Batch:
    """Rows to learn from: decisions with what came of them. Built in one place, ``learning.batches``."""

    state: State
    items: F32
    """(B, C, D)"""
    mask: Bool
    """(B, C) False on padding"""
    allowed: Bool
    """(B, K, C) what could be drawn in slot k: not padding, not picked before, not refused by a slate rule"""
    action: I64
    """(B, K) column of C, -1 in an empty slot"""
    propensity: F64
    """(B, K) P(action k | actions before k) when it was logged; 1 in an empty slot"""
    reward: F32
    """(B, K) reward of each slot within the objective's window"""
    response: Bool
    """(B, K) True where the user did anything at all with the slot, whatever it is worth"""
    future: F32
    """(B,) discounted sum of all rewards of the user's later decisions"""
    discount: F32
    """(B,) worth now of a reward at the next decision: 0 where the user left. Cut rows are never in a batch."""
    next_state: State
    next_items: F32
    """(B, C, D)"""
    next_mask: Bool
    """(B, C)"""
    between: F32 | float = 0.0
    """(B,) discounted rewards of the decisions between this one and the next that is looked at: n-step returns; 0: none."""

    def __post_init__(self) -> None:
        sizes = check(
            {},
            ("state.history", self.state.history, "B T D"),
            ("state.items", self.state.items, "B T"),
            ("state.context", self.state.context, "B F"),
            ("items", self.items, "B C D"),
            ("mask", self.mask, "B C"),
            ("allowed", self.allowed, "B K C"),
            ("action", self.action, "B K"),
            ("propensity", self.propensity, "B K"),
            ("reward", self.reward, "B K"),
            ("response", self.response, "B K"),
            ("future", self.future, "B"),
            ("discount", self.discount, "B"),
            ("next_state.history", self.next_state.history, "B T D"),
            ("next_items", self.next_items, "B C D"),
            ("next_mask", self.next_mask, "B C"),
        )
        if isinstance(self.between, np.ndarray):
            check(sizes, ("between", self.between, "B"))
        if not np.isfinite(self.between).all():
            raise ShapeError("Batch.between: must be finite")
        if not ((self.propensity > 0) & (self.propensity <= 1)).all():
            raise ShapeError("Batch.propensity: every value must lie in (0, 1]")
        if self.action.size and not -1 <= self.action.min() <= self.action.max() < sizes["C"]:
            got = f"{self.action.min()} to {self.action.max()}"
            raise ShapeError(f"Batch.action: must be columns of C = {sizes['C']} or -1, got {got}")

    def __len__(self) -> int:
        return len(self.reward)
