"""Learning with little and with noise: each option of a model with and without, on clean and on noisy events.

    python benchmarks/noise.py [--data PATH] [--options …] [--noise 0,0.05,0.2] [--seeds 3] [--minutes M] [--json FILE]

PATH is anything ``longgame.datasets`` reads; without it, ``ml100k`` under ``$LONGGAME_DATA`` or ``../shared/data``. The last
event of each user is the test and is never touched. Of the events before it a share is put on other items
(``evaluation.noise``), and models are fitted on that; histories are asked for as they were, unless ``--histories noisy``.
So a row says what the noise did to what was *learned*. All unseen items are ranked.

Every option is one field moved from the plain model's, which is smaller than the default and trained for fewer passes, so
that a cell takes seconds: 32 wide, at most 15 passes, the best by held-out events of the (noisy) log kept. The
difference to the plain model of the same seed and noise is paired over users, the interval a bootstrap over users of the mean
over seeds. Cells are written to ``--json`` as they finish, seed by seed; the same command goes on where it was stopped,
and ``--minutes`` stops it: no cell is begun after them. ``--show`` only prints what there is.
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
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from longgame.artefacts import write_whole
from longgame.evaluation.intervals import bootstrap
from longgame.evaluation.noise import noisy
from longgame.evaluation.ranking import evaluate_model
from longgame.evaluation.splits import Cut, Split
from longgame.models import MODELS
from longgame.rng import derive
from longgame.types import F64
from longgame.wiring.reading import Known, read
from longgame.wiring.workspace import one_thread

SMALL = {"width": 32, "hidden": 32, "epochs": 15, "patience": 3, "refit": False, "learning_rate": 4e-3}
"""The plain sequence model here. Twice the default learning rate: there are fewer passes."""


@dataclass(frozen=True)
class Option:
    """One row of the table."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the config that are not the plain model's."""
    kind: str = "sequence"
    plain: str = "plain"
    """The row that it is held against."""

    def config(self, seed: int) -> Any:
        if self.kind == "ensemble":
            return MODELS["ensemble"].config(seed=seed, settings={"sequence": SMALL}, **self.values)
        return MODELS[self.kind].config(**{**(SMALL if self.kind == "sequence" else {}), **self.values, "seed": seed})


OPTIONS = {
    "plain": Option(),
    "dropout 0": Option({"dropout": 0.0}),
    "weight decay 0": Option({"weight_decay": 0.0}),
    "crop": Option({"augment": ("crop",)}),
    "mask": Option({"augment": ("mask",)}),
    "reorder": Option({"augment": ("reorder",)}),
    "substitute": Option({"augment": ("substitute",)}),
    "contrast": Option({"contrast": 0.1}),
    "contrast first": Option({"pretrain": 3}),
    "unlabelled": Option({"unlabelled": 0.1}),
    "adversary": Option({"adversary": 0.1}),
    "ensemble": Option({"members": ("sequence", "item-knn", "ease")}, "ensemble"),
    "bpr": Option({}, "bpr", "bpr"),
    "bpr, adversary": Option({"adversary": 0.2}, "bpr", "bpr"),
}


@dataclass(frozen=True)
class Cells:
    """What was measured so far, kept in a file."""

    path: Path | None
    held: dict[str, dict[str, Any]]

    @staticmethod
    def of(path: Path | None, about: Mapping[str, Any]) -> Cells:
        """Those in the file, where it is of the same data and question; else none."""
        if path is None or not path.exists():
            return Cells(path, {"about": dict(about)})
        held = json.loads(path.read_text("utf-8"))
        if held.get("about") != about:
            raise SystemExit(f"{path}: holds cells of another run, {held.get('about')}; name another file with --json")
        return Cells(path, held)

    def get(self, option: str, noise: float, seed: int) -> dict[str, Any] | None:
        """A cell of the same config; None where there is none, or one of an option that has changed since."""
        cell = self.held.get(f"{option} | {noise:g} | {seed}")
        return cell if cell and cell["config"] == repr(OPTIONS[option].config(seed)) else None

    def put(self, option: str, noise: float, seed: int, cell: dict[str, Any]) -> None:
        self.held[f"{option} | {noise:g} | {seed}"] = cell
        if self.path is not None:
            write_whole(self.path, json.dumps(self.held, separators=(",", ":")).encode())

    def gains(self, option: str, noise: float, seeds: int) -> dict[int, F64]:
        """Seed -> (n,) each user's NDCG@10, of the seeds that are there; 0 for a user whose test event cannot be ranked."""
        out = {}
        for seed in range(seeds):
            if (cell := self.get(option, noise, seed)) is not None:
                out[seed] = np.zeros(cell["users"])
                out[seed][cell["where"]] = cell["ndcg"]
                out[seed] *= cell["users"] / cell["judged"]  # so that the mean is that of the users who have one
        return out


def measure(option: Option, noise: float, seed: int, split: Split, known: Known, asked: argparse.Namespace) -> dict[str, Any]:
    """Fit on the noisy log and rank the clean test: one cell."""
    clean, config = split.before, option.config(seed)
    log = noisy(clean, noise, derive(seed, "noise", f"{noise:g}"), asked.source)
    start = time.process_time()
    model = MODELS[option.kind].make(config)
    model.fit(log, known.features)
    seconds = time.process_time() - start
    if asked.histories == "noisy":  # of the users' own events; the test event is ranked wherever noise has put it
        result = evaluate_model(model, log, split.test)
    else:
        result = evaluate_model(model, clean, split.test)
    gain = np.zeros(len(clean.users))
    gain[result.users] = result.ndcg
    where = np.flatnonzero(gain)
    return {
        "config": repr(config),
        "seconds": round(seconds, 1),
        "users": len(gain),
        "judged": len(result.users),
        "where": where.tolist(),
        "ndcg": np.round(gain[where], 4).tolist(),
        "recall": round(float(result.recall.mean()), 4),
    }


def line(cells: Cells, name: str, noise: float, seeds: int) -> str:
    """NDCG@10, and the paired difference to the plain row over the seeds that both have."""
    own, plain = cells.gains(name, noise, seeds), cells.gains(OPTIONS[name].plain, noise, seeds)
    if not own:
        return ""
    text = f"{np.mean(list(own.values())):.4f}"
    both = sorted(own.keys() & plain.keys())
    if name == OPTIONS[name].plain or not both:
        return text
    difference = bootstrap(np.mean([own[seed] - plain[seed] for seed in both], axis=0), derive(0, "interval"))
    sure = "*" if difference.low > 0 or difference.high < 0 else " "
    return f"{text} {difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]{sure}"


def table(cells: Cells, names: list[str], noises: list[float], seeds: int) -> None:
    columns = "".join(f"{f'noise {noise:.0%}, less plain':<35}" for noise in noises)
    print(f"\n{'NDCG@10':<16}{columns}{'seeds':<8}s a fit")
    for name in names:
        found = [cells.gains(name, noise, seeds) for noise in noises]
        if any(found):
            each = [cell["seconds"] for noise in noises for seed in range(seeds) if (cell := cells.get(name, noise, seed))]
            values = "".join(f"{line(cells, name, noise, seeds):<35}" for noise in noises)
            print(f"{name:<16}{values}{'/'.join(str(len(gains)) for gains in found):<8}{np.mean(each):.0f}", flush=True)
    print("* the interval, 95 % over users, does not hold 0")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "ml100k")
    parser.add_argument("--options", default="all", help=f"by semicolons, of: {'; '.join(OPTIONS)}")
    parser.add_argument("--noise", default="0,0.05,0.2", help="shares of the events, by commas")
    parser.add_argument("--source", choices=("uniform", "popular"), default="uniform", help="of the items that are wrong")
    parser.add_argument("--histories", choices=("clean", "noisy"), default="clean", help="that models are asked about")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--json", type=Path, help="where cells are kept, and found again")
    parser.add_argument("--show", action="store_true", help="measure nothing, print what there is")
    asked = parser.parse_args()
    asked.names = list(OPTIONS) if asked.options == "all" else [name.strip() for name in asked.options.split(";")]
    if unknown := set(asked.names) - OPTIONS.keys():
        parser.error(f"--options: there is no {', '.join(sorted(unknown))}; there are {'; '.join(OPTIONS)}")
    asked.shares = [float(share) for share in asked.noise.split(",")]
    return asked


def main() -> None:
    asked = arguments()
    one_thread()
    until = time.perf_counter() + 60 * asked.minutes
    cells = Cells.of(asked.json, {"data": asked.data.name, "source": asked.source, "histories": asked.histories})
    if not asked.show:
        known = read(asked.data, say=print)
        split = Cut().split(known.log)
        jobs = [(name, noise, seed) for seed in range(asked.seeds) for noise in asked.shares for name in asked.names]
        for name, noise, seed in jobs:
            if cells.get(name, noise, seed) is not None:
                continue
            if time.perf_counter() > until:
                print("out of time: the same command goes on from here")
                break
            cell = measure(OPTIONS[name], noise, seed, split, known, asked)
            cells.put(name, noise, seed, cell)
            ndcg = sum(cell["ndcg"]) / cell["judged"]
            print(f"  {name}, noise {noise:.0%}, seed {seed}: NDCG@10 {ndcg:.4f}, {cell['seconds']:.0f} s", flush=True)
    table(cells, asked.names, asked.shares, asked.seeds)


if __name__ == "__main__":
    main()
