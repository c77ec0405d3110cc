"""Stable-Baselines3's PPO learns in one of our worlds, as it is: random users beside it, new users for both. docs/gym.md

    python benchmarks/peers/stable_baselines3_ppo.py [--world InterestEvolution] [--steps 60000] [--seeds 3]

The environment: Python 3.11 with ``longgame[gym]`` and ``stable-baselines3==2.9.2``. One thread.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch loads: two threads are slower beside a busy neighbour

import argparse
import time
from importlib.metadata import version

import gymnasium
import numpy as np
from stable_baselines3 import PPO  # type: ignore[import-not-found]  # only in an environment of its own
from stable_baselines3.common.env_util import make_vec_env  # type: ignore[import-not-found]  # the same
from stable_baselines3.common.evaluation import evaluate_policy  # type: ignore[import-not-found]  # the same

import longgame.simulation.gym  # noqa: F401 - registers the worlds


def by_chance(world: str, users: int, seed: int) -> list[float]:
    """Returns of users who are shown random columns."""
    many = gymnasium.make_vec(world, num_envs=users, candidates=10, slots=2)
    many.reset(seed=seed)
    many.action_space.seed(seed)
    total, going = np.zeros(users), np.ones(users, np.bool_)
    while going.any():
        _, reward, left, cut, _ = many.step(many.action_space.sample())
        total += np.where(going, reward, 0.0)
        going &= ~(left | cut)
    return list(total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="InterestEvolution")
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--users", type=int, default=200, help="new users that each seed is tried on")
    given = parser.parse_args()
    packages = ", ".join(f"{name} {version(name)}" for name in ("stable-baselines3", "gymnasium", "torch"))
    world = f"longgame/{given.world}-v0"
    print(f"{world}, 10 candidates, 2 slots; {packages}", flush=True)
    means = []
    for seed in range(given.seeds):
        start = time.perf_counter()
        users = make_vec_env(world, n_envs=8, seed=seed, env_kwargs={"candidates": 10, "slots": 2})
        model = PPO("MultiInputPolicy", users, n_steps=256, batch_size=256, gamma=0.99, seed=seed, device="cpu")
        model.learn(given.steps)
        took = time.perf_counter() - start
        new = make_vec_env(world, n_envs=8, seed=10_000 + seed, env_kwargs={"candidates": 10, "slots": 2})
        told, _ = evaluate_policy(model, new, given.users, return_episode_rewards=True)
        chance = by_chance(world, given.users, 20_000 + seed)
        means.append((np.mean(told), np.mean(chance)))
        error = np.sqrt(np.var(told) / len(told) + np.var(chance) / len(chance))
        gain = means[-1][0] - means[-1][1]
        print(
            f"seed {seed}: {given.steps:,} steps in {took:.0f} s; PPO {means[-1][0]:.1f}, random {means[-1][1]:.1f}, "
            f"difference {gain:+.1f} +- {1.96 * error:.1f}",
            flush=True,
        )
    told, chance = np.mean(means, axis=0)
    print(f"mean of {given.seeds} seeds: PPO {told:.1f}, random {chance:.1f}")


if __name__ == "__main__":
    main()
