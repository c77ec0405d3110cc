"""Which items to ask a new user about: the error of what is predicted after 1, 3 and 5 answers, for each strategy.

    python benchmarks/asking.py [--data PATH] [--seeds 3] [--width 8] [--noise 0,0.05,0.2] [--json FILE]

PATH is anything with ratings that ``longgame.datasets`` reads; without it ``ml100k`` under ``$LONGGAME_DATA`` or
``../shared/data``. Every seed holds out another fifth of the users (so at most five), fits ``models/population.py`` on
the others, and interviews the held-out ones by ``models/asking.py``: of a user's ratings one half, drawn, is what he can
answer, the other half is the test. Any item of the catalogue may be asked about but those of his test half; what he has not
rated he does not know, which costs a question. After n questions, answered or not, and after n answers, all his test ratings
are predicted by the same posterior mean, whatever the strategy.

With ``--noise`` a share of the ratings that the population is learned from is put on other items (``evaluation.noise``); what
is answered and what is tested stay as they are.

RMSE is the root of the mean over users of the mean squared error. N@10 orders a user's own test items, gain 2^rating - 1: it
says how well rated items are told apart, not how well a catalogue is ranked. Intervals are bootstraps over users, gaps are
paired with ``popularity``, user by user, in RMSE of the user: below 0 is better than popularity. The lines "whatever the
chance" leave out the chance that a user knows the item; "all of the pool" is where every answer was given.
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
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from longgame.arrays import Interactions
from longgame.datasets import open_source
from longgame.datasets.report import Report
from longgame.evaluation.intervals import Estimate, bootstrap
from longgame.evaluation.noise import noisy
from longgame.models.asking import STRATEGIES, Interview
from longgame.models.population import Population
from longgame.models.rating_fit import newest
from longgame.rng import derive
from longgame.types import F32, F64, I64, Event

AFTER, K, FOLDS = (1, 3, 5), 10, 5
BLIND = ("information", "error")
"""Strategies that are tried without the chance of an answer, too."""


@dataclass(frozen=True)
class Person:
    """A held-out user: what he can answer, and what he is tested on."""

    name: str
    pool: dict[int, float]
    items: I64
    """(n,) of the test half"""
    values: F32
    """(n,)"""


def people(log: Interactions, users: I64, seed: int) -> list[Person]:
    """Those with a rating in both halves."""
    out = []
    for user in users.tolist():
        row = slice(int(log.offsets[user]), int(log.offsets[user + 1]))
        item, value = log.item[row], log.value[row]
        half = derive(seed, "half", log.users[user]).permutation(len(item)) < len(item) // 2
        if half.any():
            pool = dict(zip(item[half].tolist(), value[half].tolist(), strict=True))
            out.append(Person(str(log.users[user]), pool, item[~half], value[~half]))
    return out


def judge(rated: F64, person: Person) -> tuple[float, float]:
    """Mean squared error and N@10 of (I,) predicted ratings on the test half."""
    guess, gain = rated[person.items], 2.0**person.values - 1
    worth = 1 / np.log2(np.arange(2, K + 2))
    ideal = np.sort(gain)[::-1][:K]
    got = gain[np.argsort(-guess, kind="stable")][:K]
    return float(((guess - person.values) ** 2).mean()), float(
        (got * worth[: len(got)]).sum() / (ideal * worth[: len(ideal)]).sum()
    )


def interview(population: Population, strategy: str, person: Person, seed: int) -> dict[str, tuple[float, float]]:
    """The user's error after n questions and after n answers; with fewer answers to give, after all of them."""
    talk = Interview(population, strategy, derive(seed, "interview", person.name))
    askable = np.ones(len(population.offset), np.bool_)
    askable[person.items] = False
    enough = min(max(AFTER), len(person.pool))
    out, now, answers = {}, judge(talk.rate(), person), 0
    while answers < enough or len(talk.asked) < max(AFTER):
        item = talk.question(askable)
        talk.answer(item, person.pool.get(item))
        if len(talk.items) > answers:
            answers, now = len(talk.items), judge(talk.rate(), person)
            out[f"{answers} answers"] = now
        if len(talk.asked) in AFTER:
            out[f"{len(talk.asked)} questions"] = now
        if len(talk.asked) == max(AFTER):
            out["answered"] = (float(answers), 0.0)
    for count in range(enough + 1, max(AFTER) + 1):
        out[f"{count} answers"] = now
    return {**out, "asked for 5": (float(len(talk.asked)), 0.0)}


Told = dict[str, dict[str, list[tuple[float, float]]]]
"""Strategy -> moment -> (squared error, N@10) of each user, the same order of users everywhere."""


def fold(log: Interactions, number: int, width: int, noise: float, told: Told) -> None:
    """Everybody of one fifth of the users, interviewed by every strategy."""
    start = time.perf_counter()
    share = derive(0, "folds").permutation(len(log.users)) % FOLDS
    train = newest(noisy(log.select((share != number)[log.user]), noise, derive(number, "noise", f"{noise:g}")))
    population = Population.of(train, width, seed=number)
    blind = replace(population, chance=np.ones(len(log.items)))
    asked = people(log, np.flatnonzero(share == number), number)
    kinds = [(name, population, name) for name in STRATEGIES]
    kinds += [(f"{name}, whatever the chance", blind, name) for name in BLIND]
    fitted = time.perf_counter() - start
    for person in asked:
        told["nothing asked"]["0"].append(judge(population.rate(population.prior), person))
        all_told = np.array(list(person.pool), np.int64), np.array(list(person.pool.values()), np.float32)
        told["all of the pool"]["0"].append(judge(population.rate(population.belief(*all_told)), person))
        for title, known, name in kinds:
            for moment, figures in interview(known, name, person, number).items():
                told[title][moment].append(figures)
    print(
        f"  fold {number}: {len(asked)} users, noise {np.median(population.noise):.3f}, fitted in {fitted:.1f} s, "
        f"interviews {time.perf_counter() - start - fitted:.1f} s",
        flush=True,
    )


def root(squared: Estimate) -> Estimate:
    """An estimate of a mean square as one of its root: the interval's ends are ranks, which a root keeps."""
    return replace(squared, value=squared.value**0.5, low=squared.low**0.5, high=squared.high**0.5)


def table(told: Told) -> dict[str, Any]:
    """Prints it; returns the same figures."""
    out: dict[str, Any] = {}
    plain = told["popularity"]
    for kind in ("questions", "answers"):
        print(f"\n  after so many {kind}: RMSE [95 %], (its gap to popularity [95 %]), N@{K}")
        for title, moments in told.items():
            steps = ["0"] if "0" in moments else [f"{count} {kind}" for count in AFTER]
            line = f"  {title:<34}"
            for step in steps:
                pairs = np.array(moments[step])
                error, ndcg = root(bootstrap(pairs[:, 0], derive(0, "users"))), bootstrap(pairs[:, 1], derive(0, "users"))
                line += f"  {step.split()[0]}: {error.value:.3f} [{error.low:.3f}, {error.high:.3f}]"
                told_of: dict[str, Any] = {"rmse": vars(error), "ndcg": vars(ndcg)}
                if step != "0" and title != "popularity":
                    gap = bootstrap(np.sqrt(pairs[:, 0]) - np.sqrt(np.array(plain[step])[:, 0]), derive(0, "users"))
                    line += f" ({gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}])"
                    told_of["gap"] = vars(gap)
                line += f" {ndcg.value:.3f}"
                out.setdefault(title, {})[step] = told_of
            if kind == "questions" and "answered" in moments:
                line += f"  answered of 5: {np.array(moments['answered'])[:, 0].mean():.1f}"
            if kind == "answers" and "asked for 5" in moments:
                line += f"  asked for 5 answers: {np.array(moments['asked for 5'])[:, 0].mean():.0f}"
            print(line)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "ml100k")
    parser.add_argument(
        "--seeds", type=int, default=3, choices=range(1, FOLDS + 1), help="fifths of the users, each held out once"
    )
    parser.add_argument("--width", type=int, default=8, help="factors of an item")
    parser.add_argument("--noise", default="0", help="shares of the ratings learned from, by commas")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    events = [record for record in open_source(given.data).read(Report()) if isinstance(record, Event)]
    log = newest(Interactions.of(events, tuple(dict.fromkeys(event.item for event in events))))
    print(f"{given.data.name}: {len(log.users):,} users, {len(log.items):,} items, {len(log):,} ratings", flush=True)
    figures: dict[str, Any] = {"data": given.data.name, "seeds": given.seeds, "width": given.width, "strategies": {}}
    for noise in (float(part) for part in given.noise.split(",")):
        told: Told = defaultdict(lambda: defaultdict(list))
        print(f"\n{noise:.0%} of the ratings learned from on other items", flush=True)
        for number in range(given.seeds):
            fold(log, number, given.width, noise, told)
        figures["strategies"][f"{noise:g}"] = table(told)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
