"""What a profile in the state is worth: who is liked by a network that reads it, and by the same network that does not.

    python benchmarks/profiles.py [--data PATH] [--seeds 3] [--judge test|validation] [--arms NAMES] [--json FILE]
    python benchmarks/profiles.py --heard FILE

PATH is anything ``longgame.datasets`` reads that has ratings; without it ``ml100k`` under ``$LONGGAME_DATA`` or
``../shared/data``. Who is new, what is learned and how it is judged is said in ``longgame.evaluation.newcomers`` and
``longgame.wiring.newcomers``: ``longgame evaluate language --only profiles`` is the same with the main arms.

"plain" is a product without ``profile.in_state``. "without" has item vectors with traits and no profile; "profile" is a product
with ``profile.in_state``: the same, and the profile's numbers in the context, paired with the traits; "shuffled" has those of
somebody else with as many events. "plain and profile" is a profile without traits, "unpaired and profile" one with traits and
no pairs; "liked" is a history of liked items alone, for the product's says what was taken and not how it was liked.

With ``--heard`` nobody rates: people write sentences (``profile.by_text``), which FILE (id, score and text by tabs) has with
what others say of them. Figures are of the profile's plain sum, without a network.

The goal: +2 points for new users (1 to 100 events) of "profile" over "without", which is the same state, warm users not worse.
Beside it stands gorse's 8B reranker, +2.1 points for new users and -7 for warm ones, on other data.
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
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from longgame.datasets import open_source
from longgame.datasets.labelled import scored
from longgame.datasets.report import Report
from longgame.evaluation.intervals import crossed
from longgame.evaluation.newcomers import Ratings, States, profiles
from longgame.language import VectorCache
from longgame.language.sentiment import Sentiment
from longgame.learning.likes import Lessons
from longgame.profiles import Population
from longgame.rng import derive
from longgame.settings import Settings
from longgame.types import F64, I64, Event
from longgame.wiring.newcomers import ARMS, MORE, Arm, Setting, arm, groups_of, of_users, setting, sums
from longgame.wiring.reviews import readers_of

GOAL = 2.0
BASES = ("without", "plain")


def read(path: Path) -> Ratings:
    data = Ratings.among(open_source(path).read(Report()))
    dealt = " / ".join(str(len(part)) for part in (data.train, data.chosen, data.test))
    count = sum(map(len, data.events))
    print(f"{path.name}: {len(data.events)} users ({dealt}), {len(data.items)} items, {count} ratings", flush=True)
    return data


def heard(held: Setting, file: Path, cache: VectorCache) -> dict[str, Setting]:
    """The same people, who say in words what they rated: each rating becomes a sentence that people judged as high among its
    kin, drawn of a third of the file, and is read by what was learned of the other two thirds.

    "read" knows what was read, "judged" what people said of the sentence; "likes" takes each for a like, as any event is that
    has no value.
    """
    told = scored(file)
    order = derive(0, "heard").permutation(len(told.texts))
    known, own = order[len(order) // 3 :], order[: len(order) // 3]
    model = Sentiment.fit(readers_of(Settings()), [told.texts[i] for i in known], told.scores[known], cache)
    found, _ = model.hear([told.texts[i] for i in own], cache)
    print(f"{len(own)} sentences, read with a correlation of {np.corrcoef(found, told.scores[own])[0, 1]:.3f}", flush=True)
    events = [event for one in held.data.events for event in one]
    place = drawn(np.array([event.value for event in events]), told.scores[own])
    said = {event.id: at for event, at in zip(events, place.tolist(), strict=True)}
    texts = {event.id: told.texts[own[at]] for event, at in zip(events, place.tolist(), strict=True)}

    def worded(event: Event) -> Event:
        return replace(event, kind="review", value=0.0, text=texts[event.id])

    data = replace(held.data, events=[[worded(event) for event in one] for one in held.data.events])
    out = {}
    for name, values in (("read", found), ("judged", told.scores[own]), ("likes", None)):
        words = {} if values is None else {id: float(values[at]) for id, at in said.items()}
        config = replace(held.population.config, by_text=frozenset() if values is None else frozenset({"review"}))
        usual = Population.fit(config, held.population.tags, data.held(), data.users.values(), said=words)
        out[name] = replace(
            held, data=data, population=usual, numbers={n: profiles(data, held.parts[n], usual) for n in ("new", "warm")}
        )
    return out


def drawn(ratings: F64, scores: F64) -> I64:
    """For each rating one of the sentences whose place among the scores is a place of that rating among the ratings."""
    by_score, rng, out = np.argsort(scores, kind="stable"), derive(0, "heard", "draws"), np.empty(len(ratings), np.int64)
    low = 0.0
    for value in np.unique(ratings):
        rows = np.flatnonzero(ratings == value)
        high = low + len(rows) / len(ratings)
        at = (rng.uniform(low, high, len(rows)) * len(scores)).astype(np.int64)
        out[rows] = by_score[np.minimum(at, len(scores) - 1)]
        low = high
    return out


def say(parts: Mapping[str, States], found: list[dict[str, Arm]], bases: tuple[str, ...] = BASES) -> list[dict[str, object]]:
    """A line an arm: grouped AUC, and points more than the bases, paired by user, over seeds and users together."""
    rows: list[dict[str, object]] = []
    for title, part, keep in groups_of(parts):
        users = len(np.unique(parts[part].user[keep]))
        print(f"after {title} events, {users} users:" if part == "new" else f"warm, {users} users:")
        for name in found[0]:
            values = of_users(found, name, part, parts[part], keep)
            held = {base: of_users(found, base, part, parts[part], keep) for base in bases if base in found[0]}
            told = {base: crossed(100 * (values - one), derive(0, title, name, base)) for base, one in held.items()}
            more = "   ".join(f"than {base}: {gap.value:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]" for base, gap in told.items())
            print(f"  {name:<24} AUC {values.mean():.4f}   points more {more}")
            gaps = {base: {"points": gap.value, "low": gap.low, "high": gap.high} for base, gap in told.items()}
            rows.append({"events": title, "arm": name, "users": users, "auc": float(values.mean()), **gaps})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(os.environ.get("LONGGAME_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=shared / "ml100k")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--judge", choices=("test", "validation"), default="test", help="whom the figures are of")
    parser.add_argument("--arms", type=lambda text: text.split(","), default=list(ARMS), help=f"of {', '.join(MORE)}")
    for name in ("epochs", "patience", "passes", "dropout", "rate", "shrink", "tastes"):
        default = getattr(Lessons(), name)
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument(
        "--heard", type=Path, metavar="FILE", help="scored sentences that say the ratings; no network is learned"
    )
    kept = Path(tempfile.gettempdir()) / "longgame-profiles"
    parser.add_argument("--cache", type=Path, default=kept, help="folder where vectors of texts and items are kept")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if unknown := sorted(set(asked.arms) - set(MORE)):
        parser.error(f"--arms: must be of {', '.join(MORE)}, got {', '.join(unknown)}")
    torch.set_num_threads(1)
    named = {n: getattr(asked, n) for n in ("epochs", "patience", "passes", "dropout", "rate", "shrink", "tastes")}
    held = setting(read(asked.data), Lessons(**named, final=asked.judge == "test"), asked.cache, print)
    judged = ("new", "warm")
    if asked.heard:
        ways = {"rated": held, **heard(held, asked.heard, VectorCache(asked.cache))}
        say(
            held.parts,
            [{n: {part: sums(one, part)["all of these"] for part in judged} for n, one in ways.items()}],
            ("likes",),
        )
        return
    found: list[dict[str, Arm]] = []
    for seed in range(asked.seeds):
        print(f"seed {seed}:")
        plain = {part: sums(held, part) for part in judged}
        told: dict[str, Arm] = {name: {part: plain[part][name] for part in judged} for name in plain["new"]}
        found.append(told | {name: arm(held, name, seed, print) for name in asked.arms})
    rows = say(held.parts, found)
    print(f"goal: {GOAL:+.1f} of profile than without, after 1 to 100 events, and warm not worse; gorse +2.1 and -7")
    if asked.json:
        asked.json.write_text(json.dumps({"judge": asked.judge, "seeds": asked.seeds, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
