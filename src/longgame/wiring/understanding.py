"""The catalogue's texts into vectors: what it will take, told beforehand, and how far a budget of time goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from longgame.language import VectorCache, describe
from longgame.language import understand as read
from longgame.language.batches import SHARE
from longgame.language.endpoint import Ledger
from longgame.language.features import Features
from longgame.language.remote import Remote
from longgame.settings import Settings
from longgame.store import open_store
from longgame.types import Item
from longgame.wiring.budget import Budget, Spent, Tell
from longgame.wiring.language import CHARACTERS, Hear, descriptions_of, language_model, silent
from longgame.wiring.ledgers import entered, used_by

_SAMPLE = 24
"""Texts that are read to see how fast a model on this machine is."""


@dataclass(frozen=True)
class Plan:
    """What reading the catalogue will take."""

    model: str
    items: int
    texts: int
    """To be read: not read before, each once."""
    characters: int
    tokens: int
    """Of them, roughly."""
    seconds: float | None
    """As a sample of them says; None where the model is a server, which is not asked."""
    calls: int | None
    """Of a server, if none fails; None where the model is none."""
    cost: float | None
    """In the currency of remote.price, and half of it in batches; None where that is 0 or the model is no server."""


@dataclass(frozen=True)
class Done:
    """What reading the catalogue took."""

    model: str
    items: int
    new: int
    """Items whose text was read now."""
    left: int
    """Items that the budget did not reach."""
    seconds: float
    features: Features | None
    """None where some are left."""
    ledger: Ledger | None
    """Of a server."""


def plan(settings: Settings) -> Plan:
    """Nothing is written and no server is asked; a model on this machine reads a few of the texts."""
    items, model = _items(settings), language_model(settings)
    told = [*(describe(item) for item in items), *descriptions_of(settings, items)[1].values()]
    todo = [text for text in _cache(settings).missing(model, told) if text.strip()]
    characters = sum(map(len, todo))
    tokens = sum(-(-len(text) // CHARACTERS) for text in todo)
    if isinstance(model, Remote):
        calls = len(todo) if model.patient else -(-len(todo) // model.endpoint.batch)
        return Plan(model.name, len(items), len(todo), characters, tokens, None, calls, cost_of(settings, model, todo))
    return Plan(model.name, len(items), len(todo), characters, tokens, seconds_of(model.embed, todo), None, None)


def cost_of(settings: Settings, model: Remote, todo: Sequence[str]) -> float | None:
    """What a server will want for reading texts, roughly; None where it has no price."""
    tokens = sum(-(-len(text) // CHARACTERS) for text in todo)
    return model.endpoint.cost(tokens, 0, SHARE if model.patient else 1.0) if settings.remote.price else None


def understand(
    settings: Settings, budget: float | None = None, tell: Tell = lambda done, total: None, hear: Hear = silent
) -> Done:
    """Reads what was not read before, for ``budget`` seconds at most, to the end of the batch that is under way then."""
    items, model, cache = _items(settings), language_model(settings, hear), _cache(settings)
    bound, server = Budget(budget, tell), model if isinstance(model, Remote) else None
    with entered(settings, "vectors", lambda: model.name, lambda: used_by([model], bound), bound):
        try:
            features: Features | None = read(items, model, cache, bound)
            if said := descriptions_of(settings, items)[1]:
                cache.embed(model, list(said.values()), bound)
        except Spent:
            features = None
        if server:
            server.finish()  # the cache has it all
    ledger = server.ledger if server else None
    return Done(model.name, len(items), bound.done - bound.held, bound.left, bound.passed, features, ledger)


def _items(settings: Settings) -> Sequence[Item]:
    store = open_store(settings.store.url)
    try:
        return list(store.items())
    finally:
        store.close()


def _cache(settings: Settings) -> VectorCache:
    return VectorCache(Path(settings.data.folder) / "vectors")


def seconds_of(embed: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    """For all of ``texts``, by the time for some of every length: a text takes as long as it is."""
    if not texts:
        return 0.0
    ordered = sorted(texts, key=len)
    sample = ordered[:: max(1, len(ordered) // _SAMPLE)]
    embed(sample[:1])  # loading is no part of it
    began = time.perf_counter()
    embed(sample)
    return (time.perf_counter() - began) * sum(map(len, texts)) / max(1, sum(map(len, sample)))
