"""Stable-Baselines3's PPO learns in one of our worlds: random users beside it, new users for both. docs/gym.md

    python benchmarks/peers/stable_baselines3_ppo.py [--world InterestEvolution] [--steps 50000] [--seeds 3] [--plain]

The environment: Python 3.11 with ``longgame[gym]`` and ``stable-baselines3==2.9.2``. One thread.

Two things are told to Stable-Baselines3, each in a class below: that 64 users are one environment (its own vectors step one
after the other), and that what is offered comes in no order, so that each item is scored by the same small network. ``--plain``
leaves the second out: ``MultiInputPolicy`` as it is has to learn for each column anew what an item is worth.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch loads: two threads are slower beside a busy neighbour

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO  # type: ignore[import-not-found]  # only in an environment of its own
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor  # type: ignore[import-not-found]  # the same
from stable_baselines3.common.vec_env import VecEnv, VecNormalize  # type: ignore[import-not-found]  # the same
from torch import nn

import longgame.simulation.gym  # noqa: F401 - registers the worlds


class Users(VecEnv):  # type: ignore[misc]  # the base is unknown here
    """Gymnasium's vector environment as Stable-Baselines3's: the same arrays, what was last seen of a user in ``infos``."""

    def __init__(self, many: Any, seed: int) -> None:
        super().__init__(many.num_envs, many.single_observation_space, many.single_action_space)
        self.many = many
        self.first: int | None = seed

    def reset(self) -> Any:
        told, _ = self.many.reset(seed=self.first)
        self.first = None
        return told

    def step_async(self, actions: Any) -> None:
        self.actions = actions

    def step_wait(self) -> Any:
        told, reward, left, cut, info = self.many.step(self.actions)
        infos: list[dict[str, Any]] = [{} for _ in left]
        for row in np.flatnonzero(left | cut):
            infos[row] = {"terminal_observation": info["final_obs"][row], "TimeLimit.truncated": bool(cut[row])}
        return told, reward, left | cut, infos

    def close(self) -> None:
        self.many.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.many, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("there is one environment")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError("there is one environment")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


class Scores(BaseFeaturesExtractor):  # type: ignore[misc]  # the base is unknown here
    """What is seen -> a score of each item, by one network for all, and what is known of the user."""

    def __init__(self, space: Any, hidden: int = 64) -> None:
        (count, width), context = space["offered"].shape, space["context"].shape[0]
        super().__init__(space, count + hidden)
        self.item = nn.Sequential(nn.Linear(width + context, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.user = nn.Sequential(nn.Linear(context, hidden), nn.Tanh())

    def forward(self, seen: dict[str, torch.Tensor]) -> torch.Tensor:
        offered, context = seen["offered"], seen["context"]
        beside = context[:, None].expand(-1, offered.shape[1], -1)
        return torch.cat([self.item(torch.cat([offered, beside], dim=2))[:, :, 0], self.user(context)], dim=1)


def lived(many: Any, choose: Any, seed: int) -> np.ndarray[Any, Any]:
    """What new users bring, each until the first end."""
    told, _ = many.reset(seed=seed)
    total, going = np.zeros(many.num_envs), np.ones(many.num_envs, np.bool_)
    while going.any():
        told, reward, left, cut, _ = many.step(choose(told))
        total += np.where(going, reward, 0.0)
        going &= ~(left | cut)
    return total


def learned(world: str, settings: dict[str, Any], steps: int, seed: int, plain: bool) -> Any:
    users = Users(gymnasium.make_vec(world, num_envs=64, **settings), seed)
    policy = {} if plain else {"features_extractor_class": Scores, "net_arch": {"pi": [], "vf": [64]}}
    model = PPO(
        "MultiInputPolicy",
        VecNormalize(users, norm_obs=False, gamma=0.995),
        n_steps=128,
        batch_size=512,
        n_epochs=8,
        gamma=0.995,
        gae_lambda=0.99,  # what a choice costs is seen when the session ends
        learning_rate=1e-3,
        policy_kwargs=policy,
        seed=seed,
        device="cpu",
    )
    if not plain:  # begins at the scores themselves, not at a mixture of them
        layer, count = model.policy.action_net, model.action_space.n
        with torch.no_grad():
            layer.weight.zero_()
            layer.weight[:, :count] = torch.eye(count)
    return model.learn(steps)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="InterestEvolution")
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--users", type=int, default=500, help="new users that each seed is tried on")
    parser.add_argument("--plain", action="store_true", help="MultiInputPolicy as it is")
    given = parser.parse_args(words)
    packages = ", ".join(f"{name} {version(name)}" for name in ("stable-baselines3", "gymnasium", "torch"))
    world: str = f"longgame/{given.world}-v0"
    settings: dict[str, Any] = {"candidates": 10, "slots": 1}
    print(f"{world}, 10 candidates, 1 slot; {packages}", flush=True)
    gains = []
    for seed in range(given.seeds):
        start = time.perf_counter()
        model = learned(world, settings, given.steps, seed, given.plain)
        took = time.perf_counter() - start
        many = gymnasium.make_vec(world, num_envs=given.users, **settings)
        many.action_space.seed(seed)
        told = lived(many, lambda seen, model=model: model.predict(seen, deterministic=True)[0], 10_000 + seed)
        chance = lived(many, lambda seen, many=many: many.action_space.sample(), 20_000 + seed)
        error = 1.96 * np.sqrt((told.var() + chance.var()) / given.users)
        gains.append(told.mean() - chance.mean())
        print(
            f"seed {seed}: {given.steps:,} steps in {took:.0f} s; PPO {told.mean():.1f}, random {chance.mean():.1f}, "
            f"difference {gains[-1]:+.1f} +- {error:.1f}",
            flush=True,
        )
    print(f"{given.seeds} seeds: {np.mean(gains):+.1f}, from {min(gains):+.1f} to {max(gains):+.1f}")


if __name__ == "__main__":
    main()
