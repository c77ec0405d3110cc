"""How long a person waits before anything happens: ``import longgame`` (goal .5 s) and ``longgame --help`` (goal .4 s).

Whole processes, from start to end, the median of several runs after one that fills the disk cache.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

GOALS = {
    "import longgame": ([sys.executable, "-c", "import longgame"], 0.5),
    "longgame --help": ([sys.executable, "-m", "longgame", "--help"], 0.4),
}
"""What is measured -> the command and the seconds it may take."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    runs = parser.parse_args().runs
    bare = median([sys.executable, "-c", "pass"], runs)
    print(f"bare python          {bare:.3f} s")
    for name, (command, goal) in GOALS.items():
        took = median(command, runs)
        print(f"{name:20} {took:.3f} s  goal {goal:g} s, ratio {goal / took:.2f}")


def median(command: list[str], runs: int) -> float:
    """Seconds."""
    times = []
    for _ in range(runs + 1):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:])


if __name__ == "__main__":
    main()
