"""Whether items that are near by their texts are those that the same people took: each reader alone, together, and aligned.

    python benchmarks/text_neighbours.py [--data PATH] [--seeds 3] [--width 64] [--json FILE]

PATH is anything ``longgame.datasets`` reads, without it ``ml1m_text`` under ``$LONGGAME_DATA`` or ``../shared/data``; where
descriptions lie beside the events, as ``llm_response_item.json`` and ``item_map.txt``, they are the texts. What is measured is
``longgame.evaluation.neighbours``'; ``longgame evaluate language --only neighbours`` prints the same. The goal, .174, is that
of the best published embedding, which costs money and is 3,072 wide. *Shuffled* has texts of other items. Intervals are of
means over items, by bootstrap over items and draws.
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

from longgame.datasets.catalogue import catalogue
from longgame.evaluation.language import Reading
from longgame.evaluation.neighbours import NEAR, WIDTH, neighbours
from longgame.language import VectorCache
from longgame.wiring.ablations import neighbour_readers

GOAL = 0.174


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "ml1m_text")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=WIDTH, help="directions of who took what")
    parser.add_argument("--cache", type=Path, default=Path(".longgame/benchmarks"))
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    log, items = catalogue(given.data).taken()
    print(f"{given.data.name}: {len(items):,} items with a text, {len(log):,} events; Recall@{NEAR}, mean and 95 % interval")
    readers, plain = neighbour_readers(items, VectorCache(given.cache / "vectors"))
    rows = list[dict[str, Any]]()

    def told(row: Reading) -> None:
        found = row.figures[f"recall@{NEAR}"]
        print(f"  {row.name:<42} {row.told:<9} {found}  goal {GOAL}: {found.value / GOAL:.2f}", flush=True)
        rows.append({"name": row.name, "told": row.told, "recall": found.value, "low": found.low, "high": found.high})

    neighbours(log, readers, plain, given.seeds, given.width, told)
    if given.json:
        given.json.write_text(json.dumps({"data": given.data.name, "items": len(items), "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
