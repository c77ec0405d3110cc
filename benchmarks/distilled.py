"""A language model's ratings, foretold without it: how near a model of its ratings comes, and how fast, against asking it.

    python benchmarks/distilled.py [--data PATH] [--models svd,svd-plus-plus] [--folds 5] [--seeds 3] [--json FILE]

PATH is a folder with ``llm_ratings.csv`` (item, user, rating: what a language model in the role of a persona gave a film) and
``personas.csv``; without it ``llm_ratings`` under ``$LONGGAME_DATA`` or ``../shared/data``. What is measured is
``longgame.evaluation.distilled``'s; ``longgame evaluate language --only ratings`` prints the same of SVD alone. Beside each
model: what the personas' texts add, and those of other personas. Intervals are Student's over the seeds' draws of the folds.

The goal: RMSE .80 (SVD++ in the data's paper .849), 10,000 ratings a second (an LLM call gives about three).
"""

# ruff: noqa: E402
from __future__ import annotations

import os

for _name in (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
):  # before numpy loads: beside a busy neighbour two threads are slower than one
    os.environ.setdefault(_name, "1")

import argparse
import json
from pathlib import Path

from longgame.datasets.personas import persona_ratings
from longgame.evaluation.distilled import FOLDS, distilled
from longgame.language import MiniLM, VectorCache

GOAL, RATE = 0.80, 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "llm_ratings")
    parser.add_argument("--models", default="svd,svd-plus-plus", help="by commas")
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path(".longgame/benchmarks"))
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    told = persona_ratings(given.data)
    log = told.log
    print(f"{given.data.name}: {len(log):,} ratings of {len(log.items):,} items by {len(log.users):,} personas")
    read = MiniLM.installed() and any(told.personas)
    vectors = VectorCache(given.cache / "vectors").embed(MiniLM(), told.personas) if read else None
    rows = distilled(
        log, vectors, given.models.split(","), given.folds, given.seeds, on_fold=lambda line: print(f"  {line}", flush=True)
    )
    figures = {}
    for row in rows:
        found, speed = row.figures["rmse"], row.rate or 0.0
        figures[row.name] = {"told": row.told, "rmse": vars(found), "ratings a second": speed}
        goal = f"goal {GOAL}: {GOAL / found.value:.3f}; {RATE:,} a second: {speed / RATE:,.0f}"
        print(f"  {row.name:<40} {row.told:<9} RMSE {found}  {speed:>12,.0f} ratings/s   {goal}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
