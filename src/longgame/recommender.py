"""decide(): request + history -> Decision. No clock, no I/O, no hidden randomness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from longgame.arrays import Candidates, State
from longgame.errors import RecordError
from longgame.language.features import Features
from longgame.profiles import UNCORRECTED, Corrections, Population, Profile, columns
from longgame.protocols import Guard, Policy, Retriever, SlateRule
from longgame.rng import derive
from longgame.slate import Exploration, rules_allow, sample_slates
from longgame.state import build_state
from longgame.types import F32, I64, Bool, Decision, DecisionId, Event, Request, User, Versions


@dataclass(frozen=True)
class Recommender:
    """Everything that makes a decision, whole: replaced by another one, never edited.

    The server, the simulator, evaluation and a bug report call the same :meth:`decide` and get the same answer.
    """

    features: Features
    retriever: Retriever
    policy: Policy
    guards: tuple[Guard, ...] = ()
    rules: tuple[SlateRule, ...] = ()
    explore: Exploration = field(default_factory=Exploration)
    candidates: int = 200
    """How many candidates are retrieved (C at most)."""
    steps: int = 50
    """How many history steps the policy sees (T)."""
    context: int = 0
    """How many context features a policy reads (F): those of the request, and behind them those of the profile."""
    seed: int = 0
    profiles: Population | None = None
    """What is usual, which profiles are told against; None where nothing was learned of it."""
    in_state: bool = False
    """Whether the last features of the context are the user's profile."""

    @property
    def versions(self) -> Versions:
        guards = "+".join([*(g.version for g in self.guards), *(r.version for r in self.rules)]) or "none"
        return Versions(self.features.version, self.retriever.version, guards, self.policy.version)

    @property
    def profile_columns(self) -> tuple[str, ...]:
        """Names of the profile's numbers in the context; none where the policy does not read it."""
        return columns(self.profiles) if self.in_state and self.profiles is not None else ()

    def informed(
        self, request: Request, history: Sequence[Event], user: User | None, corrections: Corrections = UNCORRECTED
    ) -> Request:
        """The request with the numbers of the user's profile behind its own, or as it is where the policy reads none. Pure.

        What is decided on it is logged with it, so that learning and a replay see what the policy saw. Raises RecordError
        where the request's own context has another width than the policy learned.
        """
        numbers = len(self.profile_columns)
        if not numbers or self.profiles is None:
            return request
        if len(request.context) != self.context - numbers:
            raise RecordError(
                f"Request.context: this recommender takes {self.context - numbers} numbers, got {len(request.context)}"
            )
        profile = Profile.of(self.profiles, user, history, corrections)
        return replace(request, context=(*request.context, *profile.vector().tolist()))

    def decide(self, request: Request, history: Sequence[Event]) -> Decision:
        """The slate for ``request`` and the probability of each pick; ``history`` is oldest first.

        A slate is shorter than ``request.k``, or empty, where candidates run out. Raises RecordError where the
        context has another width than the policy learned, or the history reaches into the future.
        """
        if len(request.context) != self.context:
            raise RecordError(f"Request.context: this recommender takes {self.context} numbers, got {len(request.context)}")
        state = build_state(request, history, self.features, self.steps)
        return self.draw([request], State.stack([state]), [self.eligible(request, history, state)])[0]

    def eligible(self, request: Request, history: Sequence[Event], state: State) -> Candidates:
        """The candidates that were retrieved and that every guard allows."""
        found = self.retriever.retrieve(state, self.candidates)
        allowed = np.ones(len(found), np.bool_)
        for guard in self.guards:
            allowed &= guard.eligible(request, history, found)
        return found.keep(allowed)

    def draw(self, requests: Sequence[Request], state: State, found: Sequence[Candidates]) -> list[Decision]:
        """Score and sample B slates of the same length from B sets of candidates; the rest of :meth:`decide`."""
        k, (items, mask, positions) = requests[0].k, stack_items(found)
        scores = self.policy.score(state, items, mask) if mask.any() else np.zeros(mask.shape, np.float32)
        uniforms = np.stack([derive(self.seed, r.id).random(k) for r in requests])
        picks, odds = sample_slates(scores, mask, k, self.explore, uniforms, rules_allow(self.rules, positions))
        filled = (picks >= 0).sum(axis=1).tolist()
        return [
            Decision(DecisionId(r.id), r, f.ids, tuple(p[:n]), tuple(o[:n]), self.versions)
            for r, f, p, o, n in zip(requests, found, picks.tolist(), odds.tolist(), filled, strict=True)
        ]


def stack_items(found: Sequence[Candidates]) -> tuple[F32, Bool, I64]:
    """B sets of candidates -> vectors (B, C, D), mask (B, C) and positions (B, C), padded at the end.

    No copy where all are one set.
    """
    first = found[0]
    if all(f is first for f in found):
        shape = (len(found), *first.vectors.shape)
        return np.broadcast_to(first.vectors, shape), np.ones(shape[:2], np.bool_), np.broadcast_to(first.positions, shape[:2])
    widest = max(len(f) for f in found)
    items = np.zeros((len(found), widest, first.vectors.shape[1]), np.float32)
    mask = np.zeros((len(found), widest), np.bool_)
    positions = np.full((len(found), widest), -1, np.int64)
    for row, f in enumerate(found):
        items[row, : len(f)] = f.vectors
        mask[row, : len(f)] = True
        positions[row, : len(f)] = f.positions
    return items, mask, positions
