"""Whether a user would choose what is shown: a calibrated model of choices beside language models that play the user.

    python benchmarks/choices.py [--data PATH] [--folds 5] [--seeds 3] [--json FILE]

PATH is a folder with ``decisions.csv`` (user, film shown, whether it truly is among the user's held-out films, what a language
model in the user's role said), ``movie_detail.csv`` and ``train.txt`` (what each user had seen before); without it
``llm_users`` under ``$LONGGAME_DATA`` or ``../shared/data``. What is measured is ``longgame.evaluation.choices``';
``longgame evaluate language --only choices`` prints the same. Intervals are bootstrapped over users and seeds.

The goal: .60 (the language model in the user's role .551).
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

import numpy as np

from longgame.datasets.personas import shown
from longgame.evaluation.choices import FOLDS, RANKERS, choices, places
from longgame.language import MiniLM

GOAL = 0.60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "llm_users")
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    told = shown(given.data)
    users = len(np.unique(told.user))
    print(f"{given.data.name}: {len(told.user):,} films shown to {users:,} users, {told.chosen.mean():.1%} chosen")
    plain = places(told, RANKERS, np.zeros((len(told.texts), 0), np.float32))
    read = places(told, ("content",), MiniLM().embed(told.texts)) if MiniLM.installed() else {}
    rows = []
    for row in choices(told, plain, read, given.folds, given.seeds):
        found, off = row.figures["balanced accuracy"], row.figures["off by"].value
        goal = f"goal {GOAL}: {found.value / GOAL:.2f}"
        print(f"  {row.name:<46} {row.told:<9} balanced accuracy {found}   off by {off:.3f}   {goal}")
        rows.append(
            {"name": row.name, "told": row.told, "value": found.value, "low": found.low, "high": found.high, "off": off}
        )
    if given.json:
        given.json.write_text(json.dumps({"data": given.data.name, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
