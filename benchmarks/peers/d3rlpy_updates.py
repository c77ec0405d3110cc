"""Updates a second of d3rlpy's discrete algorithms, in its own environment. ``benchmarks/speed.py`` starts it.

    python benchmarks/peers/d3rlpy_updates.py WIDTH ACTIONS BATCH

Prints ``@ {"parameters"}`` by algorithm; then for every line it reads, an algorithm and a number, makes so many updates and
prints ``@ {"draw", "update"}``, seconds of the processor's time. d3rlpy is as it comes: two layers of 256, a head of ACTIONS.
The environment: Python 3.11 with ``d3rlpy==2.8.1`` and the torch of the same version as ours.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch loads

import d3rlpy  # type: ignore[import-not-found]  # only in an environment of its own
import numpy as np
import torch

MADE = {
    "DQN": d3rlpy.algos.DQNConfig,
    "DoubleDQN": d3rlpy.algos.DoubleDQNConfig,
    "DiscreteCQL": d3rlpy.algos.DiscreteCQLConfig,
}
ROWS, EPISODE = 20_000, 50


def tell(what: Any) -> None:
    print("@ " + json.dumps(what), flush=True)


def main(width: int, actions: int, batch: int) -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    ends = (np.arange(ROWS) % EPISODE == EPISODE - 1).astype(np.float32)
    seen, reward = rng.standard_normal((ROWS, width)).astype(np.float32), rng.random(ROWS).astype(np.float32)
    log = d3rlpy.dataset.MDPDataset(seen, rng.integers(actions, size=ROWS), reward, ends, action_size=actions)
    made, sizes = {}, {}
    for name, config in MADE.items():
        made[name] = config(batch_size=batch).create(device=None)
        made[name].build_with_dataset(log)
        sizes[name] = sum(p.numel() for p in made[name].impl._modules.q_funcs.parameters())
    tell({"parameters": sizes})
    for line in sys.stdin:
        name, count = line.split()
        draw = update = 0.0
        for _ in range(int(count)):
            start = time.process_time()
            rows = log.sample_transition_batch(batch)
            drawn = time.process_time()
            made[name].update(rows)
            draw, update = draw + drawn - start, update + time.process_time() - drawn
        tell({"draw": draw, "update": update})


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
