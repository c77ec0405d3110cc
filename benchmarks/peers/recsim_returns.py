"""Runs in an environment of its own (``pip install recsim-no-tf six "numpy<2"``): what plain policies bring in RecSim itself.

    python benchmarks/peers/recsim_returns.py WORLD CANDIDATES SLOTS EPISODES POLICY…

prints a JSON object: policy -> mean, standard error, steps a second.
"""

import json
import sys
import time

import numpy as np
from recsim.environments import interest_evolution, long_term_satisfaction

RULES = {
    "random": lambda user, docs, rng: rng.random(len(docs)),
    "myopic": lambda user, docs, rng: docs @ user,
    "topics in order": lambda user, docs, rng: docs.argmax(axis=1),
    "clickbait": lambda user, docs, rng: docs[:, 0],
    "kale": lambda user, docs, rng: -docs[:, 0],
}


def main() -> None:
    world, candidates, slots, episodes = sys.argv[1], *map(int, sys.argv[2:5])
    made = interest_evolution if world == "interest evolution" else long_term_satisfaction
    np.random.seed(0)
    rng = np.random.default_rng(0)
    config = {"num_candidates": candidates, "slate_size": slots, "seed": 0, "resample_documents": True}
    env, out = made.create_environment(config), {}
    for name in sys.argv[5:]:
        returns, steps, begun = [], 0, time.perf_counter()
        for _ in range(episodes):
            seen, done, total = env.reset(), False, 0.0
            while not done:
                docs = np.array(list(seen["doc"].values()))
                slate = np.argsort(-RULES[name](seen["user"], docs, rng), kind="stable")[:slots]
                seen, reward, done, _ = env.step(slate)
                total, steps = total + reward, steps + 1
            returns.append(total)
        error = np.std(returns) / np.sqrt(episodes)
        out[name] = {"mean": np.mean(returns), "error": error, "rate": steps / (time.perf_counter() - begun)}
    print(json.dumps(out))


if __name__ == "__main__":
    main()
