"""A small language model that learned to judge aspects, on the processor: how often it is right on SemEval's laptops.

    python benchmarks/adapting.py [--data FOLDER] [--seeds 3] [--minutes 30] [--holdout 0] [--folder FOLDER] [--json FILE]

FOLDER holds ``Laptops_Train….seg`` and ``Laptops_Test….seg``; without it, ``reviews`` under ``$LONGGAME_DATA`` or
``../shared/data``. For each seed an adapter is learned as ``longgame adapt`` does, with its defaults, in at most ``--minutes``
(a seed that ran out of time is judged as it is, and its steps are shown), but from all texts: what a tenth was held out for is
chosen, and ``--holdout 0.1`` leaves it out again. Adapters are kept in ``--folder`` and found again
there, and what is measured is written to ``--json`` seed by seed: a run that was stopped goes on. The test is looked at once
a seed.

Beside it: the commonest answer, and ridge regression on the states of the model as it is, asked with four examples. Published:
GloVe-LCF .760, LCF-BERT .8245 (110M parameters, a GPU). Goal: .79 by a model of 135M that learned in 30 minutes on two cores.
One thread, so minutes of one core are told too; the interval is over texts and seeds together.
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
from typing import Any

import numpy as np

from longgame.artefacts import write_whole
from longgame.datasets.labelled import aspects
from longgame.evaluation.intervals import bootstrap, crossed
from longgame.language import VectorCache
from longgame.language.adapter import AdaptConfig, Adapted
from longgame.language.asked import SEPARATOR, Asked, shares
from longgame.language.prompt import clean
from longgame.language.questions import ASPECT, ASPECT_BRIEF, LIMIT
from longgame.language.ridge import Ridge
from longgame.language.smollm import SmolLM
from longgame.rng import derive
from longgame.types import F64, I64
from longgame.wiring.adapting import adapt, lessons_of, load_adapter
from longgame.wiring.workspace import one_thread

GOAL, GLOVE_LCF, LCF_BERT = 0.79, 0.760, 0.8245


def only(folder: Path, beginning: str) -> Path:
    found = sorted(folder.glob(f"{beginning}*.seg"))
    if len(found) != 1:
        raise SystemExit(f"{folder}: needs one {beginning}….seg, got {len(found)}; say where with --data")
    return found[0]


def frozen(model: SmolLM, train: Path, test: Path, cache: VectorCache) -> F64:
    """(n, 3) what ridge regression on the states of the model as it is tells of the test."""
    vectors = []
    for path in (train, test):
        told = aspects(path)
        pairs = zip(told.texts, told.aspects, strict=True)
        texts = [f"{clean(text, LIMIT)}{SEPARATOR}{clean(aspect, LIMIT)}" for text, aspect in pairs]
        vectors.append(cache.embed(Asked(model, ASPECT), texts))
    return Ridge.fit(vectors[0], np.eye(3)[aspects(train).label]).predict(vectors[1])


def measure(model: SmolLM, train: Path, test: Path, config: AdaptConfig, asked: argparse.Namespace) -> dict[str, Any]:
    """One seed: learned, and judged by the test."""
    report = adapt(asked.folder, train, config, asked.minutes, print, model)
    adapted = Adapted(model, load_adapter(asked.folder, report.name))
    prompts = [ASPECT_BRIEF.prompt(*parts) for parts in lessons_of(test).parts]
    odds = adapted.choose(prompts, ASPECT_BRIEF.options)
    return {
        "config": repr(config),
        "name": report.name,
        "steps": report.steps,
        "of": report.of,
        "held_out": report.accuracy,
        "minutes": round(report.minutes, 1),
        "cpu_minutes": round(report.cpu_minutes, 1),
        "odds": np.round(odds, 4).tolist(),
    }


def show(cells: dict[str, dict[str, Any]], common: int, states: F64, wanted: I64) -> None:
    def one(name: str, guess: I64) -> None:
        print(f"{name:<42}{bootstrap((guess == wanted).astype(float), derive(0, 'interval'))}")

    def seeds(name: str, told: F64) -> None:
        ours = crossed((told.argmax(axis=2) == wanted).astype(float), derive(0, "interval"))
        print(f"{name:<42}{ours}, goal {GOAL}, ratio {ours.value / GOAL:.3f}")

    print(f"\naccuracy on {len(wanted)} aspects, 95 % intervals")
    one("the commonest answer", np.full(len(wanted), common))
    one("states as they are, ridge regression", states.argmax(axis=1))
    print(f"{'GloVe-LCF / LCF-BERT, as published':<42}{GLOVE_LCF:.4f} / {LCF_BERT:.4f}")
    for seed, cell in sorted(cells.items()):
        right = float((np.array(cell["odds"]).argmax(axis=1) == wanted).mean())
        held = "" if cell["held_out"] is None else f", held out {cell['held_out']:.4f}"
        steps = f"{cell['steps']} of {cell['of']} steps, {cell['minutes']} minutes, {cell['cpu_minutes']} of one core"
        print(f"{'adapted, seed ' + seed:<42}{right:.4f}{held}, {steps}, {cell['name']}")
    told = np.array([shares(np.array(cell["odds"], np.float32)) for _, cell in sorted(cells.items())])
    seeds(f"adapted, {len(cells)} seeds", told)
    seeds("each and the states as they are", told + states)
    one("the seeds together", told.mean(axis=0).argmax(axis=1))
    one("the seeds and the states together", (told.mean(axis=0) + states).argmax(axis=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "reviews")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=30, help="to learn in, each seed")
    parser.add_argument("--holdout", type=float, default=0.0, help="share that is not learned from")
    parser.add_argument("--folder", type=Path, default=Path(".longgame"), help="data folder that adapters are kept in")
    parser.add_argument("--json", type=Path, help="where what was measured is kept, and found again")
    asked = parser.parse_args()
    one_thread()
    train, test = only(asked.data, "Laptops_Train"), only(asked.data, "Laptops_Test")
    wanted, model = aspects(test).label, SmolLM()
    kept: dict[str, Any] = json.loads(asked.json.read_text("utf-8")) if asked.json and asked.json.exists() else {}
    cells: dict[str, dict[str, Any]] = {}

    def keep() -> None:
        if asked.json is not None:
            write_whole(asked.json, json.dumps(kept, separators=(",", ":")).encode())

    for seed in range(asked.seeds):
        config = AdaptConfig(seed=seed, holdout=asked.holdout)
        if kept.get(str(seed), {}).get("config") != repr(config):
            kept[str(seed)] = measure(model, train, test, config, asked)
            keep()
        cells[str(seed)] = kept[str(seed)]
    if "frozen" not in kept:
        kept["frozen"] = frozen(model, train, test, VectorCache(asked.folder / "vectors")).tolist()
        keep()
    common = int(np.bincount(aspects(train).label).argmax())
    show(cells, common, np.array(kept["frozen"]), wanted)


if __name__ == "__main__":
    main()
