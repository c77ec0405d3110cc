"""Steps a second of RecSim's worlds under random slates, in its own environment. ``benchmarks/speed.py`` starts it.

    python benchmarks/peers/recsim_steps.py WORLD CANDIDATES SLOTS SECONDS SEED

WORLD is interest_evolution or long_term_satisfaction. Prints one line ``@ {"rate"}``, steps a second of the processor's time.
New videos for each slate, as in RecSim's own experiments. The environment: Python 3.11 with ``recsim-no-tf``.
"""

from __future__ import annotations

import importlib
import json
import sys
import time

import numpy as np


def main(name: str, candidates: int, slots: int, seconds: float, seed: int) -> None:
    module = importlib.import_module(f"recsim.environments.{name}")
    world = module.create_environment(
        {"num_candidates": candidates, "slate_size": slots, "seed": seed, "resample_documents": True}
    )
    rng = np.random.default_rng(seed)
    world.reset()
    steps, start = 0, time.process_time()
    while (spent := time.process_time() - start) < seconds:
        first = int(rng.integers(candidates))
        shown = [(first + slot) % candidates for slot in range(slots)]
        if world.step(np.array(shown))[2]:
            world.reset()
        steps += 1
    print("@ " + json.dumps({"rate": steps / spent}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
