"""Joining a million logged decisions with their feedback: goal 60 s and 4 GB.

Run as ``python benchmarks/join.py [--decisions N] [--data URL] [--json FILE]``. Writes a log of N decisions with 200
candidates and a click on every third into a temporary SQLite file (or reads the log at ``--data``, a store URL), joins
it in one pass, and follows every user's future. Prints our figure, the goal and the ratio (1 or more: the goal is met).
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from longgame.learning.batches import trajectories
from longgame.learning.join import Join
from longgame.protocols import EventStore
from longgame.rng import derive
from longgame.store import open_store
from longgame.types import Decision, DecisionId, Event, Item, ItemId, Objective, Record, Request, UserId, Versions

SECONDS, GIGABYTES, MILLION = 60.0, 4.0, 1_000_000
ITEMS, CANDIDATES, K, USERS = 20_000, 200, 10, 50_000
START = datetime(2026, 1, 1, tzinfo=UTC)


def fill(store: EventStore, decisions: int, seed: int) -> None:
    """A log as serving writes it: decisions in time order, each third followed by a click within a minute."""
    rng, ids = derive(seed, "join"), [ItemId(f"item-{i}") for i in range(ITEMS)]
    versions = Versions("features", "retriever", "guards", "policy")
    store.put([Item(i, "") for i in ids])
    batch: list[Record] = []
    for n in range(decisions):
        at, user = START + timedelta(seconds=n), UserId(f"user-{rng.integers(USERS)}")
        candidates = tuple(ids[i] for i in (rng.integers(ITEMS) + np.arange(CANDIDATES) * 97) % ITEMS)
        id = DecisionId(f"r{n}")
        batch.append(Decision(id, Request(id, at, user, K), candidates, tuple(range(K)), (0.1,) * K, versions))
        if n % 3 == 0:
            batch.append(Event(f"e{n}", at + timedelta(seconds=30), user, candidates[n % K], "click", 1.0, "", id, n % K))
        if len(batch) >= 2_000:
            store.put(batch)
            batch = []
    store.put(batch)


def memory() -> float:
    """Most memory this process has held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(store: EventStore) -> dict[str, float]:
    """Join everything in ``store``; rows are kept, as a learner keeps them."""
    index = {item.id: row for row, item in enumerate(store.items())}
    objective = Objective({"click": 1.0}, window=timedelta(minutes=5), discount=0.9)
    begun = time.perf_counter()
    rows = list(Join(store, index, objective, 50).rows())
    joined = time.perf_counter() - begun
    log = trajectories(rows, objective)
    followed = time.perf_counter() - begun - joined
    rewards = float(sum(sum(r.rewards) for r in rows))
    return {"decisions": len(rows), "rewards": rewards, "told": int(log.told.sum()), "join_s": joined, "futures_s": followed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=MILLION)
    parser.add_argument("--data", help="URL of a log to read instead, for instance sqlite:///longgame.db")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(given.data or f"sqlite:///{folder}/log.db")
        if not given.data:
            begun = time.perf_counter()
            fill(store, given.decisions, given.seed)
            print(f"wrote {given.decisions:,} decisions in {time.perf_counter() - begun:.0f} s")
        figures = measure(store)
        store.close()
    figures["gigabytes"] = memory()
    scaled = (figures["join_s"] + figures["futures_s"]) * MILLION / max(figures["decisions"], 1)
    print(f"joined {figures['decisions']:,} decisions in {figures['join_s']:.1f} s, futures in {figures['futures_s']:.1f} s")
    held = figures["gigabytes"]
    print(f"a million decisions   ours {scaled:6.1f} s   goal {SECONDS:.0f} s   ratio {SECONDS / scaled:5.2f}")
    print(f"memory                ours {held:6.2f} GB  goal {GIGABYTES:.0f} GB  ratio {GIGABYTES / held:5.2f}")
    if given.json:
        given.json.write_text(json.dumps({**figures, "scaled_s": scaled}, indent=2))


if __name__ == "__main__":
    main()
