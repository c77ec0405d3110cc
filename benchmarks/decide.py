"""Scoring 200 candidates and drawing 10 slots, alone and with everything round it: goal 2 ms on one thread.

Run as ``python benchmarks/decide.py [--items I] [--json FILE]``. Prints our figure, the goal and the ratio (1 or more:
the goal is met), in milliseconds, median and 99th percentile.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from longgame.algorithms.linear_thompson import LinearThompson, LinearThompsonConfig
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.arrays import Interactions, State
from longgame.guards import AlreadySeen, AtMost
from longgame.language import Features
from longgame.models.sequence import SequenceConfig
from longgame.networks import NetworkConfig, UserNetwork, to_arrays
from longgame.protocols import Policy
from longgame.recommender import Recommender
from longgame.rng import derive
from longgame.slate import Exploration, sample_slates
from longgame.state import state_of
from longgame.types import Event, Item, ItemId, Request, UserId
from longgame.wiring.parts import Sources
from longgame.wiring.workspace import one_thread

T, D, C, K, GOAL = 50, 128, 200, 10, 2.0


def quantiles(call: Callable[[int], object], repeats: int) -> tuple[float, float]:
    """Median and 99th percentile of one call, in milliseconds, after a warm-up."""
    for n in range(20):
        call(n)
    taken = np.empty(repeats)
    for n in range(repeats):
        begun = time.perf_counter()
        call(n)
        taken[n] = time.perf_counter() - begun
    return float(np.median(taken) * 1e3), float(np.quantile(taken, 0.99) * 1e3)


def policies() -> dict[str, Policy]:
    """An untrained network of the default size, and a linear Thompson sampler: neither is slower when trained."""
    config = SequenceConfig()
    network = NetworkConfig(D, 0, config.hidden, config.heads, config.blocks, config.steps)
    return {
        "network": NetworkPolicy(network, to_arrays(UserNetwork(network)), "network"),
        "linear-thompson": LinearThompson(LinearThompsonConfig(D)).policy,
    }


def score_and_draw(policy: Policy, rng: np.random.Generator) -> Callable[[int], object]:
    """One state with a full history, 200 candidates, 10 slots."""
    vectors = rng.standard_normal((C, D)).astype(np.float32)
    features = Features("random", tuple(ItemId(str(i)) for i in range(C)), vectors / np.linalg.norm(vectors, axis=1)[:, None])
    state = State.stack([state_of(rng.integers(C, size=T).tolist(), (), features, T)])
    items, mask, explore = features.vectors[None], np.ones((1, C), np.bool_), Exploration()

    def call(n: int) -> object:
        return sample_slates(policy.score(state, items, mask), mask, K, explore, derive(0, str(n)).random((1, K)))

    return call


def whole_decision(policy: Policy, items: int, rng: np.random.Generator) -> Callable[[int], object]:
    """``decide`` with a blend of four sources over ``items`` items, two guards and a slate rule."""
    vectors = rng.standard_normal((items, D)).astype(np.float32)
    catalogue = [Item(ItemId(str(i)), "", {"genre": f"g{i % 20}"}) for i in range(items)]
    features = Features("random", tuple(i.id for i in catalogue), vectors / np.linalg.norm(vectors, axis=1)[:, None])
    at = datetime(2026, 1, 1, tzinfo=UTC)
    events = [
        Event(f"{u}-{n}", at, UserId(str(u)), ItemId(str(i)), "view")
        for u in range(300)
        for n, i in enumerate(rng.zipf(1.3, 60) % items)
    ]
    shares = {"ease": 4.0, "item-knn": 2.0, "near": 2.0, "fresh": 1.0}
    sources = Sources.fit(Interactions.of(events, features.ids), features, shares)
    rules = (AtMost(catalogue, "genre", 3),)
    made = Recommender(features, sources.retriever(features, sources.models["popularity"]), policy, (AlreadySeen(),), rules)
    history, later = events[:60], datetime(2026, 1, 2, tzinfo=UTC)
    return lambda n: made.decide(Request(f"r{n}", later, UserId("0"), K), history)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1682, help="size of the catalogue")
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    one_thread()
    rows = []
    for name, policy in policies().items():
        calls = {"score 200 and draw 10": score_and_draw(policy, derive(0, "score"))}
        calls["decide, all of it"] = whole_decision(policy, given.items, derive(0, "decide"))
        for claim, call in calls.items():
            median, tail = quantiles(call, given.repeats)
            rows.append(
                {"policy": name, "claim": claim, "median_ms": median, "p99_ms": tail, "goal_ms": GOAL, "ratio": GOAL / median}
            )
            print(
                f"{name:16} {claim:24} median {median:6.2f} ms  p99 {tail:6.2f} ms  goal {GOAL} ms  ratio {GOAL / median:5.2f}"
            )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
