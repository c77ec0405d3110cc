"""A small shop that can be served without training, for the tests of serving and for its benchmark."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from longgame.algorithms.rank import RankPolicy
from longgame.arrays import Interactions
from longgame.guards import AlreadySeen
from longgame.language import HashingModel, understand
from longgame.models import Ease
from longgame.protocols import EventStore
from longgame.recommender import Recommender
from longgame.retrieval import Blend, ExactIndex, ModelRetriever, VectorRetriever
from longgame.slate import Exploration
from longgame.store import open_store
from longgame.types import Event, Item, ItemId, User, UserId

START = datetime(2020, 1, 1, tzinfo=UTC)


def fill(store: EventStore, items: int = 60, users: int = 20, events: int = 400) -> None:
    """A catalogue and a log."""
    rng = np.random.default_rng(1)
    words = ["red", "blue", "nail", "polish", "oil", "argan", "hair", "brush", "soap", "rose"]
    store.put(Item(ItemId(f"i{n}"), " ".join(rng.choice(words, 3))) for n in range(items))
    store.put(User(UserId(f"u{n}")) for n in range(users))
    who, what = rng.integers(users, size=events), (items * rng.random(events) ** 2).astype(int)
    store.put(
        Event(f"e{n}", START + timedelta(seconds=n), UserId(f"u{u}"), ItemId(f"i{i}"), "click")
        for n, (u, i) in enumerate(zip(who, what, strict=True))
    )


def recommender(
    store: EventStore, sharpness: float = 1.0, candidates: int = 40, context: int = 0, width: int = 32
) -> Recommender:
    """Hashed texts, two sources and a policy that follows their order."""
    features = understand(store.items(), HashingModel(width))
    events = [record for _, record in store.read(0, 10_000_000)[0] if isinstance(record, Event)]
    model = Ease()
    log = Interactions.of(events, features.ids)
    model.fit(log, features.vectors)
    blend = Blend(
        [
            ("ease", ModelRetriever(model, features), 2.0),
            ("near", VectorRetriever(features, ExactIndex(features.vectors)), 1.0),
        ]
    )
    policy, explore = RankPolicy(sharpness), Exploration(1.0, 0.1)
    return Recommender(features, blend, policy, (AlreadySeen(),), (), explore, 40, 50, context)


def shop(folder: Path) -> EventStore:
    """A filled SQLite log in ``folder``."""
    store = open_store(f"sqlite:///{folder / 'log.db'}")
    fill(store)
    return store


def main(folder: str) -> None:
    """Serve the shop in ``folder`` until stopped; says its address on stdout. For tests that kill it."""
    from longgame.serving.http import create_app
    from longgame.serving.server import run
    from longgame.serving.service import Live, Service

    store = open_store(f"sqlite:///{Path(folder) / 'log.db'}")
    app = create_app(Service(store, Live(recommender(store))))
    try:
        run(app, "127.0.0.1", 0, lambda url: print(url, flush=True))
    finally:
        store.close()


if __name__ == "__main__":
    main(sys.argv[1])
