"""What a small model writes of items: is it valid, does it pass the checks, and a file to read it in beside its source.

    python benchmarks/descriptions.py --data PATH [--count 100] [--out descriptions.txt]
    python benchmarks/descriptions.py --data PATH --worth

Half of the items are films of MovieLens 100K (a title, genres, a year), half things of Beauty (a title, words of it that are
tags, two items near it). What is measured is ``longgame.evaluation.objects``'; ``longgame evaluate language --only objects``
prints the same for any catalogue. The file has each item's facts, what the model wrote, what is used in the end and why. That
what is used states nothing but facts is for a person to see too: docs/reading.md tells what one saw. It is deterministic, so
the interval is the binomial one over items.

With ``--worth`` the things of Beauty are read by the encoder, by their titles, by their descriptions (in the template's words:
the model would take hours, and states the same facts) and by both: whether the things that the same people took are nearer then
(``longgame.evaluation.neighbours``), and whether descriptions of other things do the same.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from longgame.datasets.catalogue import catalogue
from longgame.evaluation.intervals import bootstrap
from longgame.evaluation.neighbours import NEAR, Truth, centred
from longgame.evaluation.objects import Written
from longgame.evaluation.objects import objects as judged
from longgame.language import MiniLM, VectorCache, describe
from longgame.language.descriptions import SCHEMA, prompt, shots, source, template
from longgame.language.objects import ObjectCache
from longgame.language.smollm_writer import SmolLMWriter
from longgame.language.vocabulary import drawn
from longgame.rng import derive
from longgame.types import Item, ItemId
from longgame.wiring.ablations import facts_of
from longgame.wiring.workspace import one_thread

EXAMPLES = 4


def films(data: Path) -> list[Item]:
    with (data / "ml100k" / "ml-100k.item").open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return [Item(ItemId(i), t, {"genre": tuple(g.split()), "year": float(y) if y.isdigit() else 0.0}) for i, t, y, g in rows]


def things(data: Path) -> list[Item]:
    with (data / "beauty" / "items.tsv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return [Item(ItemId(row[0]), row[2]) for row in rows if row[2]]


def worth(data: Path, cache: VectorCache) -> None:
    """A line each way of reading: Recall of the same people's things among the nearest, and how much more than by titles."""
    log, items = catalogue(data / "beauty").taken()
    _, known = facts_of(items, range(len(items)), cache)
    texts = [describe(item) for item in items]
    said = cache.embed(MiniLM(), [template(one).text for one in known])
    told, other = cache.embed(MiniLM(), texts), said[derive(0, "shuffled").permutation(len(items))]
    both, wrong = (np.concatenate([told, one], axis=1) / np.sqrt(np.float32(2)) for one in (said, other))
    ways = {"titles": told, "descriptions": said, "both": both, "titles, and descriptions of other things": wrong}
    truth = Truth.of(log)
    found = {name: truth.by_vectors(centred(log, vectors)) for name, vectors in ways.items()}
    print(f"{len(items)} things with a title and events, recall@{NEAR} of the same people's; 95 % intervals over things")
    for name, recall in found.items():
        some = ~np.isnan(recall)
        own = bootstrap(recall[some], derive(0, name))
        more = bootstrap((recall - found["titles"])[some], derive(0, name, "more"))
        gap = "" if name == "titles" else f", {more.value:+.4f} [{more.low:+.4f}, {more.high:+.4f}]"
        print(f"  {name:<42} {own.value:.4f} [{own.low:.4f}, {own.high:.4f}]{gap}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=1, help="of the draw of items; the last is used")
    parser.add_argument("--cache", type=Path, default=Path(".longgame/benchmarks"))
    parser.add_argument("--out", type=Path, default=Path("descriptions.txt"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worth", action="store_true", help="what descriptions tell the encoder beyond titles, and no more")
    args = parser.parse_args()
    one_thread()
    if args.worth:
        worth(args.data, VectorCache(args.cache / "vectors"))
        return
    cache, writer, lines = VectorCache(args.cache / "vectors"), SmolLMWriter(), list[str]()
    report: dict[str, dict[str, Any]] = {}
    objects = ObjectCache(args.cache / "written", writer, SCHEMA)
    for name, items in (("films", films(args.data)), ("things", things(args.data))):
        rows = drawn(items, "descriptions", args.seeds)[: args.count // 2 + EXAMPLES]
        near, known = facts_of(items, rows, cache)
        head, told = shots(known[:EXAMPLES]), known[EXAMPLES:]
        began, before = time.perf_counter(), writer.ledger.calls
        written = objects.generate([prompt(head, one) for one in told])
        seconds = time.perf_counter() - began
        parts = zip(rows[EXAMPLES:], near[EXAMPLES:], told, written, strict=True)
        made = [Written(items[row], n, k, one) for row, n, k, one in parts]
        final = [one.used for one in made]
        report[name] = {
            "items": len(told), "asked": writer.ledger.calls - before, "seconds": seconds,
            "rows": [{"name": r.name, "told": r.told, **{m: vars(e) for m, e in r.figures.items()}} for r in judged(made)],
        }  # fmt: skip
        for row, k, one, end in zip(rows[EXAMPLES:], told, written, final, strict=True):
            lines += [f"{name} {items[row].id}", f"  facts:  {source(k)}", f"  wrote:  {json.dumps(one, ensure_ascii=False)}",
                      f"  used:   [{end.by}] {end.text}", f"  states: {', '.join(end.attributes)}",
                      *(f"  not used, for it {trouble}" for trouble in end.troubles), ""]  # fmt: skip
    args.out.write_text("\n".join(lines), "utf-8")
    if args.json:
        print(json.dumps(report))
        return
    for name, r in report.items():
        print(f"{name}: {r['items']} items, {r['asked']} asked in {r['seconds']:,.0f} s; goal: all valid, all entailed")
        for row in r["rows"]:
            figures = (f"{m} {v['value']:.2f} [{v['low']:.2f}, {v['high']:.2f}]" for m, v in row.items() if isinstance(v, dict))
            print(f"  {row['name']:<34} {row['told']:<9} {', '.join(figures)}")
    print(f"for a person to read: {args.out}")


if __name__ == "__main__":
    main()
