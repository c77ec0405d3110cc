"""How fast the sequence model trains, beside RecBole's SASRec of the same size: one machine, one run, one thread each.

    python benchmarks/training_speed.py [--data PATH] [--peer PYTHON] [--batch 128] [--rounds 3] [--seconds 15] [--json FILE]

PATH is anything ``longgame.datasets`` reads; without it ``beauty`` under ``$LONGGAME_DATA`` or ``../shared/data``. PYTHON is
that of an environment with RecBole 1.2.1 (see ``peers/recbole_sasrec.py``); without it ours is measured alone.

Equal are the data, the width (64), heads (2), blocks (2), the width inside the feed-forward layers (128), the longest
history (50), the dropout of activations, the rate and Adam. RecBole's attention dropout is off, as ours has none: that makes
it faster. Its softmax is over the whole catalogue; ours as it is by default, over a draw of 1,500 and the batch's targets,
or with ``--negatives 0`` over the whole too. Ours also clips gradients, keeps a mean of the weights and predicts
first events; all of that is in its time.

What is counted. RecBole trains on prefixes: each next event is a sequence of its own, padded to 50, with one target. Ours
reads a window once and learns from all of its events. So a sequence is not the same thing in both, and the fair figure is
targets a second: pairs (history, next event), each trained once in a pass by both. First events, which only ours trains, are
not counted. The price of ours: in a history above 50 events a target sees what precedes it in its window, 25 events on
average at most; each pass cuts elsewhere. RecBole is measured at our batch (the same number of its sequences a step)
and at its own default of 2,048, and the ratio is to the faster one.

Preparation is not timed, nor is the first round of each. The two take turns, a pass of ours, then about ``--seconds`` of
RecBole's steps, every step of which costs the same; the figure is the fastest round.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

for _name in (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
):  # before numpy loads: beside a busy neighbour two threads are slower than one
    os.environ[_name] = "1"

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from longgame.arrays import Interactions
from longgame.datasets import open_source
from longgame.datasets.report import Report
from longgame.models.sequence import SequenceConfig, SequenceModel
from longgame.models.windows import batches, sequences
from longgame.rng import derive
from longgame.types import Event

GOAL, THEIR_BATCH, STEPS, WIDTH, HEADS, BLOCKS, DROPOUT, RATE = 3.0, 2048, 50, 64, 2, 2, 0.2, 1e-3

THEIR_SETTINGS = {
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "eval_args": {"split": {"RS": [1.0, 0.0, 0.0]}, "group_by": "user", "order": "TO", "mode": "full"},  # train on all
    "MAX_ITEM_LIST_LENGTH": STEPS,
    "train_neg_sample_args": None,
    "loss_type": "CE",
    "learning_rate": RATE,
    "show_progress": False,
    "n_layers": BLOCKS,
    "n_heads": HEADS,
    "hidden_size": WIDTH,
    "inner_size": 2 * WIDTH,
    "hidden_act": "gelu",
    "hidden_dropout_prob": DROPOUT,
    "attn_dropout_prob": 0.0,
}


def read(path: Path) -> Interactions:
    """The log without repeats in a row, which our model counts once."""
    events = [record for record in open_source(path).read(Report()) if isinstance(record, Event)]
    log = Interactions.of(events, tuple(dict.fromkeys(event.item for event in events)))
    user = log.user
    fresh = np.append(True, (log.item[1:] != log.item[:-1]) | (user[1:] != user[:-1]))
    return log.select(fresh)


class Peer:
    """RecBole's SASRec in a process of its own, which trains when asked."""

    def __init__(self, python: str, log: Interactions, folder: Path, batch: int) -> None:
        (folder / "log").mkdir(parents=True)
        number = np.arange(len(log)) - log.offsets[log.user]  # an event's place: microseconds do not survive its float32
        rows = zip(log.user.tolist(), log.item.tolist(), number.tolist(), strict=True)
        text = "".join(f"{user}\t{item}\t{at}\n" for user, item, at in rows)
        (folder / "log" / "log.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + text)
        script = Path(__file__).parent / "peers" / "recbole_sasrec.py"
        settings = json.dumps({**THEIR_SETTINGS, "train_batch_size": batch})
        self._process = subprocess.Popen(
            [python, "-W", "ignore", str(script.resolve()), str(folder), settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.batch, self.rates, self._step = batch, list[float](), 0.0
        told = self._hear()
        self.parameters, self.sequences = int(told["parameters"]), int(told["sequences"])

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("@ "):
                return dict(json.loads(line[2:]))
        raise SystemExit("training_speed: RecBole's process ended; its message stands above")

    def round(self, seconds: float) -> None:
        """A few steps at first, to learn how long one takes; then so many as fill ``seconds``."""
        assert self._process.stdin
        steps = max(1, round(seconds / self._step)) if self._step else 4
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        told = self._hear()
        if self._step:
            self.rates.append(told["sequences"] / told["seconds"])
        self._step = told["seconds"] / min(steps, told["sequences"] / self.batch)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


@dataclass
class Turns:
    """A watch of our model that times its passes and gives each peer its turn between them."""

    peers: list[Peer]
    seconds: float
    passes: list[float] = field(default_factory=list)
    """Seconds of each pass of ours, the first included."""
    start: float = 0.0

    def __call__(self, number: int, metrics: Mapping[str, float]) -> None:
        self.passes.append(time.perf_counter() - self.start)
        told = f"  round {number}: ours {self.passes[-1]:.2f} s a pass, loss {metrics['loss']:.3f}"
        for peer in self.peers:
            peer.round(self.seconds)
            told += f"; RecBole, batch {peer.batch}: " + (f"{peer.rates[-1]:,.0f}/s" if peer.rates else "warm")
        print(told, flush=True)
        self.start = time.perf_counter()


def measure(log: Interactions, peers: list[Peer], given: argparse.Namespace) -> dict[str, Any]:
    config = SequenceConfig(
        width=WIDTH,
        hidden=WIDTH,
        heads=HEADS,
        blocks=BLOCKS,
        steps=STEPS,
        dropout=DROPOUT,
        learning_rate=RATE,
        batch=given.batch,
        negatives=given.negatives,
        epochs=given.rounds + 1,
        patience=0,
    )
    turns = Turns(peers, given.seconds)
    model = SequenceModel(config, turns)
    turns.start = time.perf_counter()
    model.fit(log, np.zeros((len(log.items), 0), np.float32))
    parameters = sum(array.size for name, array in model.state_dict().items() if name != "items")
    lengths = [len(before) for before, _ in batches(sequences(log), STEPS, given.batch, derive(0))]
    targets = len(log) - int((np.diff(log.offsets) > 0).sum())
    best = min(turns.passes[1:])
    return {
        "parameters": parameters,
        "windows": sum(lengths),
        "targets": targets,
        "pass_seconds": turns.passes,
        "windows_a_second": sum(lengths) / best,
        "targets_a_second": targets / best,
    }


def report(ours: dict[str, Any], peers: list[Peer]) -> dict[str, Any]:
    """Prints the figures and returns those of RecBole with the ratios."""
    head = (
        f"  {'':<36} {'parameters':>11} {'sequences a pass':>17} {'sequences/s':>12} {'targets a pass':>15} {'targets/s':>10}"
    )
    print(head)
    rows = [("ours", ours["parameters"], ours["windows"], ours["windows_a_second"], ours["targets"], ours["targets_a_second"])]
    for peer in peers:
        rate = max(peer.rates)
        rows.append((f"RecBole's SASRec, batch {peer.batch:,}", peer.parameters, peer.sequences, rate, peer.sequences, rate))
    for name, parameters, count, rate, targets, pairs in rows:
        print(f"  {name:<36} {parameters:>11,} {count:>17,} {rate:>12,.0f} {targets:>15,} {pairs:>10,.0f}")
    if not peers:
        return {}
    theirs = max(rate for peer in peers for rate in peer.rates)
    ratio, windows = ours["targets_a_second"] / theirs, ours["windows_a_second"] / theirs
    print(
        f"  targets/s: {ratio:.1f} times RecBole's; goal {GOAL:g}: {ratio / GOAL:.2f}\n"
        f"  windows of up to {STEPS} targets against RecBole's sequences of one target, per second: {windows:.2f} times"
    )
    rates = [{"batch": peer.batch, "parameters": peer.parameters, "sequences_a_second": peer.rates} for peer in peers]
    return {"recbole": rates, "targets_ratio": ratio, "sequences_ratio": windows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "beauty")
    parser.add_argument("--peer", help="the Python of an environment with RecBole 1.2.1")
    parser.add_argument("--batch", type=int, default=128, help="sequences a training step")
    parser.add_argument("--negatives", type=int, default=SequenceConfig().negatives, help="of ours; 0: the whole catalogue")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that are timed")
    parser.add_argument("--seconds", type=float, default=15.0, help="of RecBole's training a round and batch size")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    log = read(given.data)
    print(
        f"{given.data.name}: {len(log.users):,} users, {len(log.items):,} items, {len(log):,} events; one thread each",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        sizes = dict.fromkeys([given.batch, THEIR_BATCH]) if given.peer else ()
        peers = [Peer(given.peer, log, Path(folder) / str(size), size) for size in sizes]
        ours = measure(log, peers, given)
        for peer in peers:
            peer.close()
    figures = {"data": given.data.name, "batch": given.batch, "ours": ours, **report(ours, peers)}
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
