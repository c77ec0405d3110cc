"""An algorithm learns in a world, and a policy is tried there.

from longgame.algorithms.slateq import SlateQ, SlateQConfig
from longgame.algorithms.towers import TowersConfig
from longgame.simulation import Environment, Training, train, trial
from longgame.simulation.interest_evolution import InterestEvolution

world = Environment(InterestEvolution(), slots=2)
mind = SlateQ(SlateQConfig(TowersConfig(world.width, world.context), slots=2, scale=100.0))
train(world, mind, Training(steps=120_000), seed=0)
print(trial(world, mind.policy, users=1000, seed=1).mean())
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from longgame.arrays import Batch, State
from longgame.errors import ConfigError
from longgame.protocols import Algorithm, Policy
from longgame.rng import derive
from longgame.simulation.environment import Environment, Observation, Step
from longgame.simulation.replay import Replay
from longgame.slate import Exploration, replay_allowed, sample_slates
from longgame.types import F64, I64

Watch = Callable[[int, Mapping[str, float], Policy], None]
"""Told after each pass over all users: decisions so far, the newest metrics, the policy."""
GREEDY = Exploration(1e-6, 0.0)
"""The best score wins: for policies whose scores are values."""


@dataclass(frozen=True)
class Training:
    """How much is lived, and how often is learned from it."""

    steps: int = 100_000
    """Decisions, of all users together."""
    batch: int = 256
    """B of an update."""
    every: int = 32
    """Decisions an update."""
    warm: int = 4_000
    """Decisions, made at random, before the first update."""
    explore: tuple[float, float] = (0.5, 0.02)
    """Share of picks made at random, at first and from ``settled`` on: it falls evenly between."""
    temperature: float = 1e-6
    """Of the draw, above 0; small for scores that are values, 1 for scores that are log-preferences."""
    settled: float = 0.6
    """Share of the steps after which exploration stays as it is."""
    ahead: int = 1
    """n of n-step returns."""
    priority: float = 0.0
    """0: all decisions are learned from alike; up to 1: those that surprised more often (``Replay``)."""
    capacity: int = 200_000
    """Decisions that are held, 1 or more. On-policy (below) more than ``days``, and no fewer than ``ahead``, of each user."""
    days: int = 16
    """Of algorithms that learn on-policy (those that have ``lives_by``): steps of the world that are lived through with one
    policy. Such an algorithm says how it draws: ``explore``, ``temperature``, ``warm``, ``every`` and ``priority`` are not
    looked at."""
    passes: int = 4
    """Of those: over all decisions of which has become known what followed, each of which is learned from this often."""

    def __post_init__(self) -> None:
        counts = (self.steps, self.batch, self.every, self.warm, self.ahead, self.capacity, self.days, self.passes)
        if min(counts) < 1:
            raise ConfigError(
                f"Training: steps, batch, every, warm, ahead, capacity, days and passes must be 1 or more, got {self}"
            )
        if self.warm >= self.steps:
            raise ConfigError(f"Training.warm: must be below steps, else nothing is learned, got {self.warm} of {self.steps}")
        if not 0 < self.settled <= 1 or not all(0 <= share <= 1 for share in self.explore):
            raise ConfigError(f"Training: settled must lie in (0, 1] and explore hold two shares, got {self}")


def train(world: Environment, algorithm: Algorithm, training: Training, seed: int, watch: Watch | None = None) -> None:
    """``algorithm`` learns while a population lives with it. The same arguments give the same policy, to the last bit."""
    if getattr(algorithm, "needs_future", False):
        raise ConfigError(
            f"train: {type(algorithm).__name__} learns from logged futures, which a life in a world does not tell; take SlateQ "
            "or Dqn, or let it learn from a log (simulation.rollout, longgame train)"
        )
    if getattr(algorithm, "counts", False):
        raise ConfigError(
            f"train: {type(algorithm).__name__} counts every decision that it is told, and a replay tells of each many times; "
            "call train_once(world, algorithm, steps, seed, Exploration(1.0, 0.1))"
        )
    held = max(training.capacity // world.users, 2)
    replay = Replay(held, world.users, world.vectors, world.objective.discount, training.ahead, training.priority)
    lives_by: Exploration | None = getattr(algorithm, "lives_by", None)
    if lives_by is None:
        _from_replay(world, algorithm, training, replay, seed, watch)
    else:
        if held <= training.days or held < training.ahead:
            raise ConfigError(
                f"train: {type(algorithm).__name__} learns from whole rounds of what it did, so Training.capacity for each of "
                f"{world.users} users must be above days ({training.days}) and no less than ahead ({training.ahead}), got "
                f"{training.capacity}, {held} a user; make it {world.users * max(training.days + 1, training.ahead)} or more"
            )
        _from_what_it_did(world, algorithm, training, lives_by, replay, seed, watch)


def _from_replay(
    world: Environment, algorithm: Algorithm, training: Training, replay: Replay, seed: int, watch: Watch | None
) -> None:
    rng = derive(seed, "training")
    seen = world.reset(seed)
    made, owed, metrics, policy = 0, 0.0, {}, algorithm.policy
    while made < training.steps:
        share = 1.0 if made < training.warm else _share(training, made)
        slates, odds = draw(policy, seen, world.slots, Exploration(training.temperature, share), rng)
        step = world.step(slates)
        replay.add(seen, slates, odds, _clipped(step, algorithm))
        made += int(seen.here.sum())
        seen = world.observe()
        if made >= training.warm and replay.ready:
            owed += seen.here.sum() / training.every
            for _ in range(int(owed)):
                metrics = dict(algorithm.update(replay.draw(training.batch, rng)))
                if training.priority:
                    replay.learned(_errors(algorithm))
            policy = algorithm.policy if owed >= 1 else policy
            owed -= int(owed)
            if watch is not None:
                watch(made, metrics, policy)


def _from_what_it_did(
    world: Environment,
    algorithm: Algorithm,
    training: Training,
    lives_by: Exploration,
    replay: Replay,
    seed: int,
    watch: Watch | None,
) -> None:
    """On-policy: some days with the newest policy, then what came of them, and what had been open before; and on.

    What follows the decisions of the last day is known only in the next round: they are learned from then, by the chance that
    they were logged with.
    """
    rng = derive(seed, "training")
    seen = world.reset(seed)
    made, metrics, policy = 0, dict[str, float](), algorithm.policy
    while made < training.steps:
        for _ in range(training.days):
            slates, odds = draw(policy, seen, world.slots, lives_by, rng)
            step = world.step(slates)
            replay.add(seen, slates, odds, _clipped(step, algorithm))
            made += int(seen.here.sum())
            seen = world.observe()
        fresh = replay.fresh()
        for _ in range(training.passes):
            for batch in replay.batches(fresh, training.batch, rng):
                metrics = dict(algorithm.update(batch))
        policy = algorithm.policy
        if watch is not None:
            watch(made, metrics, policy)


def _clipped(step: Step, algorithm: Algorithm) -> Step:
    """As the algorithm is to see it (``robust.Clipped``): a replay adds up days, and a sum no longer says of how many."""
    limit: float | None = getattr(algorithm, "clips_rewards", None)
    return step if limit is None else replace(step, reward=np.clip(step.reward, -limit, limit))


def train_once(
    world: Environment, algorithm: Algorithm, steps: int, seed: int, explore: Exploration, watch: Watch | None = None
) -> None:
    """``algorithm`` learns from every one of ``steps`` decisions, once: for what is exact, and counts each that it is told.

    A day's decisions are a batch, made with the policy of the day before. Nothing after a slate is in it (``Batch.discount`` is
    0): a bandit's way to learn. The same arguments give the same policy, to the last bit.
    """
    rng, seen, made = derive(seed, "training"), world.reset(seed), 0
    while made < steps:
        slates, odds = draw(algorithm.policy, seen, world.slots, explore, rng)
        step = world.step(slates)
        metrics = algorithm.update(_today(seen, slates, odds, step))
        made += int(seen.here.sum())
        seen = world.observe()
        if watch is not None:
            watch(made, metrics, algorithm.policy)


def _today(seen: Observation, slates: I64, odds: F64, step: Step) -> Batch:
    """The decisions of one day, of those who were here."""
    here = seen.here
    state = State(seen.state.history[here], seen.state.items[here], seen.state.context[here])
    items, mask, nothing = seen.items[here], seen.mask[here], np.zeros(int(here.sum()), np.float32)
    slates, odds, allowed = slates[here], odds[here], replay_allowed(mask, slates[here])
    reward, response = step.reward[here], step.response[here]
    return Batch(state, items, mask, allowed, slates, odds, reward, response, nothing, nothing, state, items, mask)


def _errors(algorithm: Algorithm) -> F64:
    """(B,) of the batch that it learned from last."""
    found: F64 | None = getattr(algorithm, "errors", None)
    if found is None:
        raise ConfigError(f"Training.priority: {type(algorithm).__name__} does not tell its errors; leave it 0")
    return found


def _share(training: Training, made: int) -> float:
    first, last = training.explore
    return last + (first - last) * max(0.0, 1.0 - made / (training.settled * training.steps))


def draw(policy: Policy, seen: Observation, slots: int, explore: Exploration, rng: np.random.Generator) -> tuple[I64, F64]:
    """Slates for all users, and the probability of each pick, by the one sampler."""
    scores = policy.score(seen.state, seen.items, seen.mask)
    return sample_slates(scores, seen.mask, slots, explore, rng.random((len(scores), slots)))


def trial(world: Environment, policy: Policy, users: int, seed: int, explore: Exploration = GREEDY, days: int = 1_000) -> F64:
    """(users,) what new users bring, undiscounted, until they leave or ``days`` are over, with ``policy`` as it is."""
    rng = derive(seed, "trial")
    out: list[F64] = []
    for run in range(-(-users // world.users)):
        seen = world.reset(seed, "trial", str(run))  # others than those that were learned from
        reward, alive = np.zeros(world.users), np.ones(world.users, np.bool_)
        for _ in range(days):
            slates, _ = draw(policy, seen, world.slots, explore, rng)
            step = world.step(slates)
            reward += np.where(alive, step.reward.sum(axis=1), 0.0)
            alive &= ~step.left
            if not alive.any():
                break
            seen = world.observe()
        out.append(reward)
    return np.concatenate(out)[:users]
