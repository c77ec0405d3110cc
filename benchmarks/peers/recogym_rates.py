"""Runs in an environment of its own (``pip install recogym "numpy<2" "scipy<1.11"``): what RecoGym's own agents are clicked.

    python benchmarks/peers/recogym_rates.py PRODUCTS FLIPS SEED OFFLINE_USERS ONLINE_USERS AGENT…

trains each agent in RecoGym on users who are shown anything, and prints a JSON object: agent -> clicks, ads, seconds.
"""

import json
import sys
import time
from copy import deepcopy
from typing import Any

import gym
from recogym import Configuration, env_1_args
from recogym.agents import (
    BanditMFSquare,
    LogregPolyAgent,
    OrganicCount,
    RandomAgent,
    bandit_mf_square_args,
    logreg_poly_args,
    organic_count_args,
    random_args,
)

AGENTS = {
    "random": (RandomAgent, random_args),
    "organic counter": (OrganicCount, organic_count_args),
    "LogReg-poly": (LogregPolyAgent, logreg_poly_args),
    "BanditMF": (BanditMFSquare, bandit_mf_square_args),
}


def learn(env: Any, agent: Any, users: int) -> None:
    """What ``recogym.bench_agents`` does: organic views and ads of users who are shown anything."""
    for user in range(users):
        env.reset(user)
        seen, _, done, reward = env.step(None)
        while not done:
            before = seen
            action, seen, reward, done, _ = env.step_offline(before, reward, done)
            agent.train(before, action, reward, False)
        action, _, reward, done, _ = env.step_offline(seen, reward, done)
        agent.train(seen, action, reward, True)


def main() -> None:
    products, flips, seed, offline, online = map(int, sys.argv[1:6])
    given = {**env_1_args, "random_seed": seed, "num_products": products, "number_of_flips": flips}
    env = gym.make("reco-gym-v1", disable_env_checker=True).unwrapped
    env.init_gym(given)
    out = {}
    for name in sys.argv[6:]:
        kind, settings = AGENTS[name]
        begun = time.perf_counter()
        agent, living = kind(Configuration({**settings, **given})), deepcopy(env)
        learn(living, agent, offline)
        log = living.generate_logs(online, agent)
        ads = log[log["z"] == "bandit"]
        figures = {"clicks": float(ads["c"].sum()), "ads": len(ads)}
        out[name] = {**figures, "seconds": time.perf_counter() - begun}
        print(name, out[name], file=sys.stderr)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
