"""The whole of longgame in a shop whose truth is known: log, read, learn, prove, publish, and the honest table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from longgame.algorithms.rank import RankPolicy
from longgame.algorithms.reinforce import Reinforce, ReinforceConfig
from longgame.arrays import Interactions
from longgame.evaluation.intervals import Estimate, over_seeds
from longgame.language import Features, HashingModel, understand
from longgame.learning.batches import Trajectories, batches, trajectories
from longgame.learning.gate import Gate, Verdict
from longgame.learning.join import Join
from longgame.learning.loop import train as run
from longgame.learning.offpolicy import Replay, logged_marginals
from longgame.models.sequence import SequenceConfig
from longgame.protocols import EventStore, Policy, World
from longgame.recommender import Recommender
from longgame.retrieval.whole import WholeCatalogue
from longgame.rng import derive
from longgame.settings import Settings
from longgame.settings.show import secret
from longgame.simulation.pictures import write as write_pictures
from longgame.simulation.rollout import START, Returns, rollout
from longgame.simulation.shop import Shop, ShopConfig
from longgame.slate import Exploration
from longgame.store import open_store
from longgame.types import Event, Item
from longgame.wiring.language import language_model
from longgame.wiring.parts import Reader, Sources, policy_network
from longgame.wiring.pictures import fused, root
from longgame.wiring.training import Say, split
from longgame.wiring.workspace import Workspace

K = 4
"""Slots of a slate in the shop."""
STEPS = 20
"""History steps the demo's policies see."""


@dataclass(frozen=True)
class DemoSize:
    """The one dial of the demo."""

    users: int
    """Customers whose visits are logged, and learned from."""
    judged: int
    """Fresh customers who live with each policy."""
    days: int
    items: int
    epochs: int
    """Passes over the log."""
    seeds: int
    looks: float = 0.0
    """Of the shop: above 0 quality is told by pictures alone, which must lie in pictures.folder to be read."""

    def shop(self, users: int) -> Shop:
        """The demo's shop, with so many customers."""
        return Shop(ShopConfig(users=users, items=self.items, looks=self.looks, seed=CATALOGUE))


SIZES = {
    "tiny": DemoSize(500, 150, 90, 60, 2, 2),
    "small": DemoSize(4000, 500, 90, 150, 3, 5),
    "full": DemoSize(6000, 2000, 90, 300, 3, 5),
}
CATALOGUE = 10
"""Seed of the demo's shop. Learning rate, passes and the like were chosen in shops 0 and 5, which are not reported."""
FIRST = 1
"""Seed of the first run: customers, log, learning and judging differ from run to run, the shop is one."""


@dataclass(frozen=True)
class Trained:
    """What one seed's log taught."""

    reader: Reader
    features: Features
    sources: Sources
    simple: Recommender
    """The policy that made the log: catalogue order, with a lot of exploration."""
    myopic: Policy
    learned: Policy
    verdict: Verdict
    """The gate's, on the learned policy against the simple one."""
    decisions: int


def demo_settings(folder: Path, base: Settings) -> Settings:
    """Settings of the demo's workspace: a log and a registry of its own, and the shop's objective."""
    changed = {
        "store": {"url": f"sqlite:///{folder / 'longgame.db'}"},
        "data": {"folder": str(folder)},
        "language": {**base.language.model_dump(), "width": 64},
        "objective": {"rewards": {"purchase": 1.0}, "window": "12h", "discount": Shop().objective.discount},
        "policy": {"steps": STEPS, "temperature": 1.0, "uniform": 0.02, "trust": 0.0, "entropy": 1e-2, "learning_rate": 2e-3},
        "retrieval": {"candidates": 300, "shares": {"popularity": 1.0, "near": 1.0}},
        "guards": {"already_seen": False},
        "context": {"names": ("log_days_away",)},
    }
    return Settings.model_validate({name: type(getattr(base, name)).model_validate(held) for name, held in changed.items()})


def run_seed(ws: Workspace, store: EventStore, size: DemoSize, seed: int, say: Say) -> tuple[World, Trained]:
    """Build a shop, log a simple policy in ``store``, read the texts, learn, and hold the result against the log."""
    world = size.shop(size.users)
    store.put(world.catalogue())
    read = understand(world.catalogue(), language_model(ws.settings), ws.cache)
    text = fused(ws.settings, read, world.catalogue(), ws.cache)
    simple = _simple(text)
    earned = rollout(simple, world, size.days, K, seed, store, run=f"log-{seed}")
    say(f"seed {seed}: logged {int(earned.visits.sum()):,} decisions of {size.users:,} customers over {size.days} days")
    return world, _learn(ws.settings, store, text, simple, world, size, seed, say)


def simple_recommender(items: Sequence[Item]) -> Recommender:
    """The policy before any learning, for the shop: catalogue order with a lot of exploration."""
    return _simple(understand(items, HashingModel(16)))


def _simple(features: Features) -> Recommender:
    return _recommender(features, RankPolicy(0.3), Exploration(1.0, 0.3))


def _recommender(features: Features, policy: Policy, explore: Exploration) -> Recommender:
    everything = WholeCatalogue(features)
    return Recommender(features, everything, policy, (), (), explore, len(features), STEPS, context=1)


def _learn(
    settings: Settings,
    store: EventStore,
    text: Features,
    simple: Recommender,
    world: World,
    size: DemoSize,
    seed: int,
    say: Say,
) -> Trained:
    log = Interactions.of(_events(store), text.ids)
    config = SequenceConfig(width=64, hidden=32, blocks=1, steps=STEPS, epochs=4, patience=0, batch=256, seed=seed)
    reader = Reader.fit(text, log, settings.language.width, config)
    features, sources = reader.features(text), Sources.fit(log, text, settings.retrieval.shares)
    joined = trajectories(list(Join(store, features.index, world.objective, STEPS).rows()), world.objective)
    rows, judge = split(joined, 0.33)
    policies = {}
    for name, far in (("myopic", False), ("learned", True)):
        policies[name] = _reinforce(settings, reader, features, rows, size, seed, far)
    say(f"seed {seed}: both policies learned from the same {int(rows.told.sum()):,} decisions, {size.epochs} times")
    explore = Exploration(settings.policy.temperature, settings.policy.uniform)
    maker = Replay(text, STEPS, simple.explore)
    logged = logged_marginals(joined, judge, {simple.policy.version: (maker, simple.policy)})
    held = Replay(features, STEPS, explore).columns(joined, judge, policies["learned"], logged=logged)
    before = maker.columns(joined, judge, simple.policy, logged=logged)
    verdict = Gate().judge(held, before)
    return Trained(reader, features, sources, simple, policies["myopic"], policies["learned"], verdict, len(joined.rows))


def _reinforce(
    settings: Settings, reader: Reader, features: Features, rows: Trajectories, size: DemoSize, seed: int, far: bool
) -> Policy:
    network, start = policy_network(reader, 1)
    s = settings.policy
    explore = Exploration(s.temperature, s.uniform)
    config = ReinforceConfig(
        network, s.learning_rate, trust=s.trust, entropy=s.entropy, discount_future=far, explore=explore, seed=seed
    )
    algorithm = Reinforce(config, start)
    for epoch in range(size.epochs):
        run(algorithm, batches(rows, features, STEPS, 256, derive(seed, "demo", str(epoch))))
    return algorithm.policy


def _events(store: EventStore) -> list[Event]:
    """What speaks for an item: all but its being sent back."""
    records, _ = store.read(0, 10**9)
    return [record for _, record in records if isinstance(record, Event) and record.kind != "return"]


def live_with(trained: Trained, settings: Settings, world: World, size: DemoSize, seed: int) -> dict[str, Returns]:
    """Fresh customers, the same for each policy, live with it for ``size.days`` days: the truth."""
    explore = Exploration(settings.policy.temperature, settings.policy.uniform)
    made = {
        "random": _recommender(trained.features, RankPolicy(0.0), Exploration(1.0, 1.0)),
        "popularity": popularity(trained),
        "myopic": _recommender(trained.features, trained.myopic, explore),
        "learned": _recommender(trained.features, trained.learned, explore),
    }
    crowd = size.shop(size.judged)
    return {name: rollout(r, crowd, size.days, K, 1000 + seed, run="judge") for name, r in made.items()}


def popularity(trained: Trained) -> Recommender:
    """The most bought and clicked first, with as much exploration as the learned policies have."""
    counts = trained.sources.models["popularity"].score(np.full((1, 1), -1, np.int64))[0]
    order = np.argsort(-counts, kind="stable")
    everything = WholeCatalogue(trained.features, order, "popularity")
    explore = Exploration(1.0, 0.02)
    return Recommender(trained.features, everything, RankPolicy(2.0), (), (), explore, len(order), STEPS, context=1)


@dataclass(frozen=True)
class Table:
    """Return per customer over the run, each policy's mean over seeds with a 95 % interval."""

    returns: dict[str, Estimate]
    visits: dict[str, Estimate]
    verdicts: list[Verdict]
    days: int

    @property
    def conclusion(self) -> str:
        """Whether the long game paid, said as the figures have it."""
        learned, myopic = self.returns["learned"], self.returns["myopic"]
        if learned.low > myopic.high:
            return f"The learned policy's interval lies above the myopic one's: {learned} against {myopic}."
        return f"The learned policy's interval does NOT lie above the myopic one's: {learned} against {myopic}."


def demo(ws: Workspace, size: DemoSize, say: Say) -> Table:
    """Every seed through the whole of it; the first one in the workspace's log, and its policy goes live there."""
    runs: list[dict[str, Returns]] = []
    verdicts: list[Verdict] = []
    for seed in range(FIRST, FIRST + size.seeds):
        store = ws.store if seed == FIRST else open_store("memory:")
        world, trained = run_seed(ws, store, size, seed, say)
        say(f"seed {seed}: gate {trained.verdict.reason}")
        if seed == FIRST:
            _publish(ws, trained, say)
        runs.append(live_with(trained, ws.settings, world, size, seed))
        verdicts.append(trained.verdict)
        told = ", ".join(f"{name} {r.reward.mean():.2f}" for name, r in runs[-1].items())
        say(f"seed {seed}: purchases per customer in {size.days} days: {told}")
        if seed != FIRST:
            store.close()
    returns = {name: over_seeds(np.array([r[name].reward.mean() for r in runs])) for name in runs[0]}
    visits = {name: over_seeds(np.array([r[name].visits.mean() for r in runs])) for name in runs[0]}
    return Table(returns, visits, verdicts, size.days)


def _publish(ws: Workspace, trained: Trained, say: Say) -> None:
    """The simple policy goes live first, as in life; the learned one replaces it if the gate lets it."""
    cursor = ws.store.read(0, 10**9)[1]
    held = (trained.reader, trained.features, trained.sources)
    usual = None if ws.settings.profile.in_state else ws.profiles()  # these policies learned without
    ws.publish(*held, trained.simple.policy, {"reason": "the first policy: it made the log"}, cursor, profiles=usual)
    if trained.verdict.passed:
        snapshot = ws.publish(*held, trained.learned, asdict(trained.verdict), cursor, profiles=usual)
        say(f"published: snapshot {snapshot.number}, policy {snapshot.policy}")


def simulate(
    ws: Workspace,
    users: int,
    items: int,
    days: int,
    k: int,
    seed: int,
    log: bool,
    looks: float = 0.0,
    draw: bool = False,
    after: datetime | None = None,
) -> dict[str, object]:
    """One shop with the simple policy, in the workspace's log unless ``log`` is False; what it came to.

    ``after``: the newest time of that log, whose users live on as others do; what is added comes on later days.
    """
    world = Shop(ShopConfig(users=users, items=items, looks=looks, seed=seed))
    simple = simple_recommender(world.catalogue())
    drawn = write_pictures(world, root(ws.settings)) if draw else 0
    if log:
        ws.store.put(world.catalogue())
    start, run = START, f"simulate-{seed}"
    if after is not None:  # other users, in days of their own
        start = START + timedelta(days=(after - START).days + 2)
        run = f"{run}/later-{(start - START).days}"
    earned = rollout(simple, world, days, k, seed, ws.store if log else None, start, run)
    return {
        "decisions": int(earned.visits.sum()),
        "purchases": float(earned.reward.mean()),
        "visits": float(earned.visits.mean()),
        "store": secret(ws.settings.store.url) if log else None,
        "drawn": drawn,
        "pictures": str(root(ws.settings)) if draw else None,
    }
