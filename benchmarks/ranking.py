"""The honest table of one data set: every recommender beside popularity, recency item-kNN and EASE, tuned, tested, with errors.

    python benchmarks/ranking.py --data PATH [--models …] [--seeds 3] [--minutes M] [--k 10] [--out FOLDER]

PATH is anything ``longgame.datasets`` reads; without it, ``ml100k`` under ``$LONGGAME_DATA`` or ``../shared/data``. Where the
log has times, the last event of each user is the test and the one before it the validation; a published split without
times (adjacency lists) is taken as it is, and models that read order are left out. All unseen items are ranked.

Configurations are searched on the validation events alone, for ``--minutes``, by ``evaluation.tuning``, those of models
trained by passes only where there are three minutes for each of them; then each model is fitted on all but the test events
and judged once, with ``--seeds`` seeds where there is randomness in it. Beside the models named stand: ``ensemble`` of all of
the tuned ones that it knows and ``ensemble-small`` of the sequence model and item-kNN; the sequence model without its texts, in
a paired test; EASE with nothing that is not in its paper; and a second table in which a tenth of the items is held out of
training altogether. ``--until`` bounds the whole: further seeds, in the order in which models were named, are begun only
before it.

Out come ``ranking.json``, ``ranking.html`` and ``ranking.md`` (and ``cold.…``) in ``--out``, where runs and searches are
kept as well, and found again while the code of the models is the same: the same command goes on where it was stopped.
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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import LonggameError
from longgame.evaluation.compare import BASELINES, About, compare
from longgame.evaluation.intervals import Estimate, crossed_ratio
from longgame.evaluation.report import markdown, page
from longgame.evaluation.runs import Bench, Entry, Run, Runs, Workers, run_all
from longgame.evaluation.splits import Cut, Split, without_items
from longgame.evaluation.table import RankingTable
from longgame.evaluation.tuning import Budget, Task, Tuned, tune, tune_all
from longgame.language import VectorCache
from longgame.models import MODELS, unfit
from longgame.rng import derive
from longgame.types import F64, I64, Bool
from longgame.wiring.configs import Configs, plain
from longgame.wiring.reading import Known, read
from longgame.wiring.workspace import one_thread

SMALL = "ensemble-small"
ENSEMBLES = {
    "ensemble": ("sequence", "gru4rec", "item-knn", "ease", *["als"] * 8, "slim", "user-knn"),
    SMALL: ("sequence", "item-knn"),
}
"""Members, as far as they are named, ALS with eight seeds, for it costs little (chosen on ml1m_m1's
validation: docs/experiments.md); what each is worth is learned, and who is worth
nothing is dropped."""
SLOW = 3.0
"""Minutes of search that a model trained by passes must have: fewer would try the default, and nothing else."""
COLD = ("popularity", "item-knn", "content", "sequence")
"""Of the table with items held out, beside the ensembles."""


@dataclass(frozen=True)
class Plan:
    """What is compared on one data set."""

    known: Known
    split: Split
    models: tuple[str, ...]
    k: int
    seeds: int
    out: Path
    workers: Workers
    until: float
    """Of ``time.perf_counter``: no further seed is begun after it."""


def chosen(said: str, log: Interactions) -> tuple[str, ...]:
    names = [*MODELS, SMALL] if said == "all" else [name.strip() for name in said.split(",") if name.strip()]
    if unknown := set(names) - MODELS.keys() - {SMALL}:
        raise SystemExit(f"--models: there is no {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}, {SMALL}, and all")
    out = []
    for name in dict.fromkeys((*BASELINES, *names)):
        if why := unfit(name, log) if name in MODELS else "":
            print(f"  {name} is left out: {why}", flush=True)
        else:
            out.append(name)
    return tuple(out)


PLAIN = "ease-as-published"
PAPER = {"half_life": np.inf, "user_damping": 0.0, "item_damping": 0.0, "penalty_growth": 0.0}
"""What EASE as it was published has no word for."""


def tuned(plan: Plan, minutes: float) -> dict[str, Mapping[str, Any]]:
    """Model -> fields found on the validation events. Those trained by passes only where there is time for some trials."""
    names = [name for name in plan.models if name in MODELS and getattr(MODELS[name].load()[0], "SPACE", {})]
    quick = [name for name in names if not MODELS[name].passes]
    slow = [name for name in names if MODELS[name].passes]
    task = Task(plan.split.train, plan.split.validation, plan.known.features, plan.k)
    enough = 0.4 * minutes >= SLOW * len(slow)
    out: dict[str, Mapping[str, Any]] = {}
    left, ease_seconds = minutes, 0.0
    for some, part in ((quick, 0.6 if slow and enough else 1.0), (slow if enough else [], 1.0)):
        if not some or left <= 0:
            continue
        found = tune_all(some, task, Budget(minutes=left * part), folder=plan.out / "tuning")
        for name, result in found.items():
            if not isinstance(result, Tuned):
                print(f"  {name} was not tuned: {result}")
                continue
            left -= result.seconds / 60
            out[name] = result.values
            ease_seconds = result.seconds if name == "ease" else ease_seconds
            gain = f"{result.default:.4f} -> " if result.default is not None else ""
            print(
                f"  tuned {name}: NDCG@{plan.k} {gain}{result.value:.4f}, {len(result.trials)} trials, {result.values}",
                flush=True,
            )
    if "ease" in out:
        out[PLAIN] = _as_published(task, ease_seconds, plan)
    if slow and not enough:
        print(f"  not tuned, for want of {SLOW:g} minutes each: {', '.join(slow)}", flush=True)
    return out


def _as_published(task: Task, seconds: float, plan: Plan) -> Mapping[str, Any]:
    """The price of EASE with nothing else, searched for as long as ours was."""
    found = tune("ease", task, Budget(minutes=max(seconds, 1.0) / 60), PAPER, folder=plan.out / "tuning")
    print(f"  tuned {PLAIN}: NDCG@{plan.k} {found.value:.4f}, {len(found.trials)} trials, {found.values}", flush=True)
    return found.values


def entries(plan: Plan, found: Mapping[str, Mapping[str, Any]]) -> list[Entry]:
    """The models named, and what stands beside them."""
    configs = Configs(found)
    out = []
    for name in plan.models:
        if name in ENSEMBLES:
            members = tuple(member for member in ENSEMBLES[name] if member in plan.models)
            if len(set(members)) < 2:
                print(f"  {name} is left out: of its members only {', '.join(members) or 'none'} is in the table", flush=True)
                continue
            config = configs.config("ensemble", members=members)
            out.append(Entry(name, "ensemble", " + ".join(members), config, plan.seeds))
            continue
        baseline = name in BASELINES
        out.append(Entry(name, name, MODELS[name].title, configs.config(name), plan.seeds, baseline))
        if name == "sequence" and plan.known.features.any():
            out.append(Entry("sequence-no-text", name, "the same without texts", configs.config(name), plan.seeds, text="none"))
        if name == "ease":
            config = MODELS[name].config(**{**PAPER, **found.get(PLAIN, {})})
            out.append(Entry(PLAIN, name, "EASE with nothing that is not in the paper", config, baseline=True))
        if name == "content" and plan.known.words is not None:
            config = configs.config(name)
            out.append(Entry("content-words", name, "word vectors near the history's", config, text="words"))
    return out


def fitted(plan: Plan, bench: Bench, wanted: Sequence[Entry]) -> Runs:
    """All entries with one seed; then with more, in the order that they were named, while there is time."""

    def told(entry: Entry, seed: int, run: Run | LonggameError) -> None:
        if isinstance(run, LonggameError):
            print(f"  {entry.name}: {run}", flush=True)
        elif seed == entry.runs - 1:  # the others were told before
            figures = f"recall {run.result.recall.mean():.4f}, NDCG {run.result.ndcg.mean():.4f}"
            print(f"  {entry.name}, seed {seed}: {figures}, {run.seconds:.0f} s, {run.numbers:,} numbers", flush=True)

    runs = dict(run_all(bench, [replace(entry, seeds=1) for entry in wanted], plan.workers, told))
    going = [e for e in wanted if hasattr(e.config, "seed") and not isinstance(runs[e.name], LonggameError)]
    for seeds in range(2, plan.seeds + 1):
        late = []
        for first in range(0, len(going), plan.workers.count):
            some = going[first : first + plan.workers.count]
            if time.perf_counter() > plan.until:  # what was kept costs no time
                late += [entry for entry in some if not bench.kept(entry, seeds - 1)]
            begun = [replace(entry, seeds=seeds) for entry in some if entry not in late]
            runs |= run_all(bench, begun, plan.workers, told)
        if late:
            print(f"  out of time: {seeds - 1} of {plan.seeds} seeds of {', '.join(e.name for e in late)}", flush=True)
        going = [entry for entry in going if entry not in late]
    return runs


def chosen_values(found: Mapping[str, Mapping[str, Any]]) -> str:
    """What was found for each model, for people."""
    if not found:
        return ""
    lines = [f"- {name}: " + ", ".join(f"{key} {_told(value)}" for key, value in found[name].items()) for name in found]
    return (
        "\nConfigurations, as searched on validation events (fields that are not named have their defaults):\n\n"
        + "\n".join(lines)
    )


def _told(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def written(table: RankingTable, out: Path, name: str, more: Mapping[str, Any]) -> None:
    """The table as JSON, HTML and Markdown."""
    content = plain({**table.to_json(), **more})
    (out / f"{name}.json").write_text(json.dumps(content, indent=1, default=str), "utf-8")
    (out / f"{name}.html").write_text(page(table), "utf-8")
    (out / f"{name}.md").write_text(markdown(table) + chosen_values(more.get("tuned", {})), "utf-8")
    print("\n" + markdown(table), flush=True)


def cold(plan: Plan, wanted: Sequence[Entry], share: float = 0.1) -> None:
    """The table with a tenth of the items held out, and how the new ones fare beside the others."""
    split, new = without_items(plan.split, share)
    bench = Bench(split, plan.known.features, plan.k, plan.known.words, plan.out / "runs")
    some = [entry for entry in wanted if entry.name in COLD or entry.kind == "ensemble"]
    for entry in wanted:
        if entry.name == "item-knn":  # the ensembles have the lift built in
            title = f"{entry.title}, new items by their texts"
            some.append(replace(entry, name=f"{entry.name}-lifted", title=title, baseline=False, lifted=True))
    runs = fitted(plan, bench, some)
    table = compare(bench, some, runs, about(plan.known))
    ratios = {name: ratio(found, new) for name, found in runs.items() if not isinstance(found, LonggameError)}
    figures = {name: {"known": warm, "new": fresh, "share": asdict(share)} for name, (warm, fresh, share) in ratios.items()}
    written(table, plan.out, "cold", {"cold": figures})
    lines = [f"| model | recall@{plan.k}, known items | new items | share | seeds |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, (warm, fresh, share_of) in ratios.items():
        told = f"{share_of.value:.0%} [{share_of.low:.0%}, {share_of.high:.0%}]"
        lines.append(f"| {name} | {warm:.4f} | {fresh:.4f} | {told} | {len(runs[name])} |")  # type: ignore[arg-type]
    (plan.out / "cold.md").write_text("\n".join(lines) + "\n\n" + markdown(table), "utf-8")
    print("\n".join(lines), flush=True)


def ratio(runs: Sequence[Run], new: I64) -> tuple[float, float, Estimate]:
    """Recall of held-out events on known items and on new ones, all items being ranked together, and the latter's share."""
    parts = [np.stack([_by_user(run, np.isin(run.result.item, new) == fresh) for run in runs]) for fresh in (False, True)]
    share = crossed_ratio(parts[1], parts[0], derive(0, "cold"))
    return float(np.nanmean(parts[0])), float(np.nanmean(parts[1])), share


def _by_user(run: Run, which: Bool) -> F64:
    """(n,) share of each user's held-out events, of those that are meant, that are found; NaN of who has none."""
    result = run.result
    sums, count = (np.bincount(result.row[which], weights, len(result.users)) for weights in (result.found[which], None))
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)


def about(known: Known) -> About:
    return About(known.name, known.groups, known.mix)


def split_of(known: Known, said: str | None, at: str | None) -> Split:
    """As asked, or as the log allows."""
    when = datetime.fromisoformat(at).replace(tzinfo=UTC) if at else None
    cut = Cut(said or "time", when) if said or at else Cut.of(known.log)
    return cut.split(known.log)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "ml100k")
    parser.add_argument("--models", default="all", help="names by commas, or all; the baselines come unasked")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=15, help="of search on the validation events")
    parser.add_argument("--until", type=float, default=60, help="minutes after which no run with a further seed is begun")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--split", choices=("leave-one-out", "time"))
    parser.add_argument("--at", help="with --split time: where the test begins")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--no-cold", action="store_true", help="leave out the table with items held out")
    parser.add_argument("--out", type=Path, help="folder for results and for what was done already; ranking/NAME if left out")
    asked = parser.parse_args()
    if not asked.data.exists():
        raise SystemExit(f"{asked.data}: there is no such data; say where it is with --data or LONGGAME_DATA")
    return asked


def main() -> None:
    asked = arguments()
    one_thread()
    started = time.perf_counter()
    out = asked.out or Path("ranking") / asked.data.name
    out.mkdir(parents=True, exist_ok=True)
    known = read(asked.data, cache=VectorCache(out / "vectors"), say=print, words=True)
    split = split_of(known, asked.split, asked.at)
    counts = ", ".join(
        f"{len(part):,} to {what}"
        for part, what in ((split.train, "learn from"), (split.validation, "choose by"), (split.test, "test"))
    )
    print(f"{split.label}: {counts}")
    names = chosen(asked.models, split.before)
    plan = Plan(known, split, names, asked.k, asked.seeds, out, Workers(asked.workers, one_thread), started + 60 * asked.until)
    found = tuned(plan, asked.minutes)
    wanted = entries(plan, found)
    bench = Bench(split, known.features, plan.k, known.words, out / "runs")
    runs = fitted(plan, bench, wanted)
    table = compare(bench, wanted, runs, about(known), [("sequence", "sequence-no-text")])
    written(table, out, "ranking", {"tuned": found, "encoder": known.encoder})
    if known.features.any() and not asked.no_cold:
        cold(plan, wanted)
    print(f"{(time.perf_counter() - started) / 60:.1f} minutes; written to {out}")


if __name__ == "__main__":
    main()
