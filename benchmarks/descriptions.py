"""What a small model writes of items: is it valid, does it pass the checks, and a file to read it in beside its source.

    python benchmarks/descriptions.py --data PATH [--count 100] [--out descriptions.txt]

Half of the items are films of MovieLens 100K (a title, genres, a year), half things of Beauty (a title, words of it that are
tags, two items near it). *valid* is judged by ``jsonschema``; *passed* by ``language.checks``. The file has each item's facts,
what the model wrote, what is used in the end and why. That what is used states nothing but facts is for a person to see:
docs/reading.md tells what one saw. It is deterministic, and so the interval is the binomial one over items.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jsonschema import Draft202012Validator
from scipy.stats import binomtest

from longgame.language import MiniLM, VectorCache, describe
from longgame.language.checks import unsaid
from longgame.language.descriptions import SCHEMA, Fact, facts, judged, prompt, shots, source, template
from longgame.language.objects import ObjectCache
from longgame.language.smollm_writer import SmolLMWriter
from longgame.language.vocabulary import drawn, find
from longgame.types import Item, ItemId
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


def known_of(items: Sequence[Item], some: Sequence[int], cache: VectorCache, near: bool) -> list[tuple[Fact, ...]]:
    """The facts of some of the items."""
    if not near:
        return [facts(items[row]) for row in some]
    model = MiniLM()
    vectors = cache.embed(model, [describe(item) for item in items])
    vocabulary = find(items, model, vectors)
    out = []
    for row in some:
        said = [vocabulary.tags[p].name for p in sorted(vocabulary.said(items[row]))]
        close = vectors @ vectors[row]
        close[row] = -np.inf
        out.append(facts(items[row], said, [items[n].text for n in np.argsort(-close, kind="stable")[:2].tolist()]))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=1, help="of the draw of items; the last is used")
    parser.add_argument("--cache", type=Path, default=Path(".longgame/benchmarks"))
    parser.add_argument("--out", type=Path, default=Path("descriptions.txt"))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    one_thread()
    cache, writer, report, lines = VectorCache(args.cache / "vectors"), SmolLMWriter(), {}, []
    objects = ObjectCache(args.cache / "written", writer, SCHEMA)
    for name, items, near in (("films", films(args.data), False), ("things", things(args.data), True)):
        rows = drawn(items, "descriptions", args.seeds)[: args.count // 2 + EXAMPLES]
        known = known_of(items, rows, cache, near)
        head, told = shots(known[:EXAMPLES]), known[EXAMPLES:]
        began, before = time.perf_counter(), writer.ledger.calls
        written = objects.generate([prompt(head, one) for one in told])
        seconds = time.perf_counter() - began
        final = [judged(one, facts_) for one, facts_ in zip(written, told, strict=True)]
        valid = sum(not list(Draft202012Validator(SCHEMA).iter_errors(one)) for one in written)
        passed = sum(one.by == "model" for one in final)
        beside = [(str(one["description"]), source(k)) for one, k in zip(written, told, strict=True) if one is not None]
        wrong = sum(bool(unsaid(own, said)) for own, said in beside)
        same = sum(bool(template(k).text) for k in told)
        share = binomtest(passed, len(told)).proportion_ci(method="wilson")
        report[name] = {
            "items": len(told), "valid": valid, "passed": passed, "passed low": share.low, "passed high": share.high,
            "said more than the source": wrong, "template can say": same, "asked": writer.ledger.calls - before,
            "seconds": seconds,
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
        print(f"{name}: {r['valid']:.0f} of {r['items']:.0f} valid (goal all, ratio {r['valid'] / r['items']:.2f}); ", end="")
        print(
            f"{r['passed']:.0f} passed, {r['passed'] / r['items']:.2f} [{r['passed low']:.2f}, {r['passed high']:.2f}]; ",
            end="",
        )
        print(
            f"{r['said more than the source']:.0f} said more than the source; {r['asked']:.0f} asked in {r['seconds']:,.0f} s"
        )
    print(f"for a person to read: {args.out}")


if __name__ == "__main__":
    main()
