"""d3rlpy's discrete CQL learns from a log that `longgame export` wrote. docs/gym.md

    python benchmarks/peers/d3rlpy_cql.py FILE [--updates 2000]

The environment: Python 3.11 with ``d3rlpy==2.8.1`` and the CPU's torch. One thread.
"""

from __future__ import annotations

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch loads

import d3rlpy  # type: ignore[import-not-found]  # only in an environment of its own
import numpy as np
from d3rlpy.dataset import MDPDataset  # type: ignore[import-not-found]  # the same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--updates", type=int, default=2_000)
    given = parser.parse_args()
    log = np.load(given.file)
    data = MDPDataset(**{name: log[name] for name in log.files[:5]}, action_size=len(log["items"]))
    episodes = [data.episodes[i] for i in range(len(data.episodes))]
    print(
        f"{len(log['actions']):,} steps, {data.transition_count:,} to learn from; {log['timeouts'].sum():,.0f} cuts, of which "
        f"d3rlpy learns no next state; {sum(e.terminated for e in episodes):,} of {len(episodes):,} episodes end"
    )
    cql = d3rlpy.algos.DiscreteCQLConfig(batch_size=256, gamma=0.8, learning_rate=3e-4, target_update_interval=200).create()
    epoch = max(given.updates // 4, 1)
    told = cql.fit(
        data,
        n_steps=given.updates,
        n_steps_per_epoch=epoch,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        show_progress=False,
    )
    for number, metrics in told:
        print(
            f"after {number * epoch:,} updates: TD loss {metrics['td_loss']:.4f}, "
            f"CQL's term {metrics['conservative_loss']:.3f} (at random {np.log(len(log['items'])):.3f})"
        )
    seen = log["observations"][log["slots"] == 0]
    best, count = np.unique(cql.predict(seen), return_counts=True)
    print(f"shows {len(best)} items at {len(seen):,} states, most often {log['items'][best[count.argmax()]]}")


if __name__ == "__main__":
    main()
