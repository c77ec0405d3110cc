"""Small lopsided things that the tests of the core share: every axis has another length, no values are symmetric."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from longgame.arrays import Batch, Interactions, State
from longgame.language import Features
from longgame.learning.batches import Trajectories, trajectories
from longgame.learning.join import Join, Joined
from longgame.protocols import EventStore, Policy, World
from longgame.recommender import Recommender
from longgame.retrieval.whole import WholeCatalogue
from longgame.simulation.rollout import rollout
from longgame.slate import Exploration, replay_allowed, sample_slates
from longgame.state import state_of
from longgame.store.memory import MemoryStore
from longgame.types import Decision, DecisionId, Event, Item, ItemId, Objective, Request, UserId, Versions

B, C, K, T, D, F = 6, 5, 2, 4, 3, 1
START = datetime(2024, 3, 1, 12, tzinfo=UTC)
WORDS = ["lamp", "kettle", "kite", "notebook", "backpack", "puzzle", "lantern", "speaker", "dumbbell"]


def at(hours: float) -> datetime:
    """So many hours after the first moment of a test."""
    return START + timedelta(hours=hours)


def ids(n: int) -> tuple[ItemId, ...]:
    return tuple(ItemId(f"i{row}") for row in range(n))


def log_of(histories: Sequence[Sequence[int]], items: int, at: Sequence[int] | None = None) -> Interactions:
    """A log of these histories of item positions; times are the places in it unless ``at`` says them."""
    offsets = np.concatenate([[0], np.cumsum([len(h) for h in histories])]).astype(np.int64)
    item = np.array([i for h in histories for i in h], np.int64)
    when = np.arange(len(item), dtype=np.int64) if at is None else np.asarray(at, np.int64)
    users = tuple(UserId(f"u{u}") for u in range(len(histories)))
    ids = tuple(ItemId(f"i{i}") for i in range(items))
    return Interactions(users, ids, offsets, item, when, np.ones(len(item), np.float32))


def features(n: int = 7, width: int = D, seed: int = 0) -> Features:
    """Random vectors of ``n`` items."""
    return Features("kit", ids(n), np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32))


def items(n: int = 7, **attributes: Sequence[Any]) -> list[Item]:
    """Items with the attributes given, one value an item; None is no attribute."""
    kept = ({k: v[row] for k, v in attributes.items() if v[row] is not None} for row in range(n))
    return [Item(id, f"{WORDS[row % len(WORDS)]} {row}", had) for row, (id, had) in enumerate(zip(ids(n), kept, strict=True))]


def state(rng: np.random.Generator, b: int = B, t: int = T, width: int = D, context: int = F) -> State:
    """B histories of 0 to T steps, padded in front."""
    held = rng.integers(0, 7, (b, t))
    held[np.arange(t) < (t - np.arange(b)[:, None] % (t + 1))] = -1
    vectors = rng.standard_normal((b, t, width)).astype(np.float32) * (held >= 0)[:, :, None]
    return State(vectors.astype(np.float32), held, rng.standard_normal((b, context)).astype(np.float32))


def batch(seed: int = 0, b: int = B, c: int = C, k: int = K, explore: Exploration | None = None, whole: bool = False) -> Batch:
    """Random rows with what a log brings: rows of fewer candidates, slates of fewer items, or all of them ``whole``."""
    rng = np.random.default_rng(seed)
    mask = np.arange(c) < c - np.arange(b)[:, None] % (1 if whole else c)
    scores = rng.standard_normal((b, c)).astype(np.float32)
    action, odds = sample_slates(scores, mask, k, explore or Exploration(), rng.random((b, k)))
    reward = np.where(action >= 0, rng.random((b, k)), 0.0).astype(np.float32)
    return Batch(
        state=state(rng, b),
        items=rng.standard_normal((b, c, D)).astype(np.float32),
        mask=mask,
        allowed=replay_allowed(mask, action),
        action=action,
        propensity=odds,
        reward=reward,
        response=reward > 0.3,
        future=rng.random(b).astype(np.float32),
        discount=rng.uniform(0.5, 1, b).astype(np.float32),
        next_state=state(rng, b),
        next_items=rng.standard_normal((b, c, D)).astype(np.float32),
        next_mask=mask,
    )


def request(id: str, hours: float = 0.0, user: str = "ann", k: int = K, context: tuple[float, ...] = ()) -> Request:
    return Request(id, at(hours), UserId(user), k, context)


def event(id: str, hours: float, item: int | str, user: str = "ann", kind: str = "click", **more: Any) -> Event:
    """An event on item number ``item``."""
    return Event(id, at(hours), UserId(user), ItemId(item if isinstance(item, str) else f"i{item}"), kind, **more)


def decision(
    id: str, hours: float, picks: tuple[int, ...] = (3, 1), user: str = "ann", candidates: Sequence[int] = range(C)
) -> Decision:
    """A decision out of items number ``candidates``, its first pick with probability 1/2, its second with 1/4."""
    shown = tuple(ItemId(f"i{i}") for i in candidates)
    odds = tuple(0.5 ** (slot + 1) for slot in range(len(picks)))
    return Decision(DecisionId(id), request(id, hours, user), shown, picks, odds, Versions("f", "r", "g", "p"))


def feedback(on: Decision, slot: int, minutes: float, kind: str = "click", id: str = "", value: float = 1.0) -> Event:
    """Feedback on a slot of a decision, so many minutes after it."""
    moment = on.request.at + timedelta(minutes=minutes)
    name = id or f"{on.id}/{slot}/{kind}/{minutes:g}"
    return Event(name, moment, on.request.user, on.shown[slot], kind, value, "", on.id, slot)


def recommender(catalogue: Features, policy: Policy, **settings: Any) -> Recommender:
    """Every item is a candidate, and the policy decides."""
    return Recommender(catalogue, WholeCatalogue(catalogue), policy, **settings)


def joined(store: EventStore, catalogue: Features, objective: Objective, steps: int = T) -> list[Joined]:
    return list(Join(store, catalogue.index, objective, steps).rows())


def lived(made: Recommender, world: World, days: int, k: int, seed: int, objective: Objective) -> Trajectories:
    """The log of a population that lived with a recommender, joined."""
    store = MemoryStore()
    rollout(made, world, days, k, seed, store)
    return trajectories(joined(store, made.features, objective, made.steps), objective)


def state_of_nobody(catalogue: Features) -> State:
    return state_of((), (), catalogue, T)
