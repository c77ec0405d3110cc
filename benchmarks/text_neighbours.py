"""Whether items that are near by their texts are those that the same people took: each reader alone, together, and aligned.

    python benchmarks/text_neighbours.py [--data PATH] [--seeds 3] [--width 64] [--json FILE]

PATH is anything ``longgame.datasets`` reads, without it ``ml1m_text`` under ``$LONGGAME_DATA`` or ``../shared/data``; where
descriptions lie beside the events, as ``llm_response_item.json`` and ``item_map.txt``, they are the texts. An item's true
neighbours are the 100 whose takers are most like its own, by cosine, over all events; Recall@100 is the share of them among the
100 nearest by text. The goal, .174, is that of the best published embedding, which costs money and is 3,072 wide.

*As they are*: the product of the readers' vectors. *Centred*: the mean of the catalogue taken off (``content.centre``).
*Aligned* (``content.aligned``): turned by who took the other items. Nothing of an item that is asked for is known then: items
are drawn into five parts, and each part's neighbours are found by what was learned from the four others' takers; ``--seeds``
draws. *Shuffled* is the same with texts of other items. Intervals are of means over items, by bootstrap over items and draws.
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

from longgame.arrays import Interactions
from longgame.datasets import open_source
from longgame.datasets.report import Report
from longgame.evaluation.intervals import crossed
from longgame.language import Features, HashingModel, MiniLM, WordVectors, reduce, understand
from longgame.language.combined import Combined
from longgame.models.alignment import aligned
from longgame.models.histories import seen_matrix
from longgame.protocols import LanguageModel
from longgame.rng import derive
from longgame.types import F32, F64, Bool, Event, Item, ItemId
from longgame.wiring.language import SPELLING

GOAL, NEAR, PARTS = 0.174, 100, 5


def read(path: Path) -> tuple[Interactions, list[Item]]:
    """The log of items that have a text and were taken, and those items."""
    records = list(open_source(path).read(Report()))
    events = [record for record in records if isinstance(record, Event)]
    items = {record.id: record for record in records if isinstance(record, Item)} | described(path)
    taken = [id for id in dict.fromkeys(event.item for event in events) if id in items and items[id].text.strip()]
    if len(taken) < 2 * NEAR:
        raise SystemExit(f"{path}: {len(taken)} items have a text and events, and {2 * NEAR} are needed")
    known = set(taken)
    return Interactions.of([event for event in events if event.item in known], tuple(taken)), [items[id] for id in taken]


def described(path: Path) -> dict[ItemId, Item]:
    """Items from the descriptions beside the events, where there are any."""
    texts, names = path / "llm_response_item.json", path / "item_map.txt"
    if not (texts.is_file() and names.is_file()):
        return {}
    told = json.loads(texts.read_text("utf-8"))
    pairs = (line.split() for line in names.read_text("utf-8").splitlines())
    return {ItemId(own): Item(ItemId(own), told[name]) for name, own in pairs if name in told}


def true_neighbours(log: Interactions) -> Bool:
    """(I, I) True for the items whose takers are most like a row's."""
    taken = seen_matrix(log).astype(np.float64)
    length = np.sqrt(np.asarray(taken.sum(axis=0)).ravel())
    likeness = np.asarray((taken.T @ taken).todense()) / np.outer(length, length)
    return nearest(likeness)


def nearest(likeness: F64) -> Bool:
    """(I, I) True for the ``NEAR`` largest of each row but the diagonal; of equals the first."""
    np.fill_diagonal(likeness, -np.inf)
    best = np.argsort(-likeness, axis=1, kind="stable")[:, :NEAR]
    out = np.zeros(likeness.shape, np.bool_)
    np.put_along_axis(out, best, True, axis=1)
    return out


def found(vectors: F32, true: Bool) -> F64:
    """(I,) share of each item's true neighbours among the nearest of unit ``vectors``."""
    near = nearest((vectors @ vectors.T).astype(np.float64))
    return np.asarray((near & true).sum(axis=1) / NEAR, np.float64)


def found_unseen(log: Interactions, features: F32, true: Bool, width: int, seed: int) -> F64:
    """(I,) the same where the vectors of a fifth of the items at a time are learned from the takers of the others."""
    out = np.full(len(log.items), np.nan)
    part = derive(seed, "parts").permutation(len(log.items)) % PARTS
    for number in range(PARTS):
        new = part == number
        vectors = aligned(log.select(~new[log.item]), features, width)
        if vectors is None:
            raise SystemExit("too few items are known by their events to learn from")
        out[new] = found(vectors, true)[new]
    return out


def shuffled(features: F32) -> F32:
    return features[derive(0, "shuffled").permutation(len(features))]


def unit(vectors: F32) -> F32:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def centred(items: tuple[ItemId, ...], vectors: F32) -> F32:
    wide = Features("text", items, vectors)
    return reduce(wide, wide.width, 0.0).apply(wide.vectors)


def row(name: str, way: str, values: F64) -> dict[str, Any]:
    """Prints and returns the mean of (draws, I) with its interval."""
    told = crossed(values, derive(0, "text neighbours"))
    print(
        f"  {name:<30} {way:<12} {told.value:.3f} [{told.low:.3f}, {told.high:.3f}]  goal {GOAL}: {told.value / GOAL:.2f}",
        flush=True,
    )
    return {"reader": name, "way": way, "recall": told.value, "low": told.low, "high": told.high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "ml1m_text")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=64, help="directions of who took what")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    log, items = read(given.data)
    true = true_neighbours(log)
    print(f"{given.data.name}: {len(items):,} items with a text, {len(log):,} events; Recall@{NEAR}, mean and 95 % interval")
    spelling = HashingModel(SPELLING)
    readers: dict[str, LanguageModel] = {"MiniLM": MiniLM(), "word vectors": WordVectors(), "spelling": spelling}
    readers["combined"] = Combined((MiniLM(), WordVectors(), spelling))
    told, rows = list[F32](), list[dict[str, Any]]()
    for name, reader in readers.items():
        if name == "combined":  # as Combined would read, without reading again
            vectors = np.concatenate(told, axis=1) / np.sqrt(np.float32(len(told)))
        else:
            vectors = understand(items, reader).vectors
            told.append(vectors)
        rows.append(row(name, "as they are", found(unit(vectors), true)[None]))
        rows.append(row(name, "centred", found(centred(log.items, vectors), true)[None]))
        draws = [found_unseen(log, vectors, true, given.width, seed) for seed in range(given.seeds)]
        rows.append(row(name, "aligned", np.stack(draws)))
    rows.append(row(name, "shuffled", found_unseen(log, shuffled(vectors), true, given.width, 0)[None]))
    if given.json:
        given.json.write_text(json.dumps({"data": given.data.name, "items": len(items), "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
