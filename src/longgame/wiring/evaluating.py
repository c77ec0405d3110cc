"""How good what we have is: models on held-out events, and policies on the log of decisions, baselines beside both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from longgame.algorithms.linear_thompson import LinearThompson, LinearThompsonConfig
from longgame.algorithms.rank import RankPolicy
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.arrays import Interactions
from longgame.errors import DataError, LonggameError, MissingExtra
from longgame.evaluation.compare import BASELINES, About, compare
from longgame.evaluation.intervals import Estimate
from longgame.evaluation.runs import Bench, Entry, Run, Workers, run_all
from longgame.evaluation.splits import Cut, Split
from longgame.evaluation.table import RankingTable
from longgame.learning.batches import batches
from longgame.learning.loop import train as run
from longgame.learning.offpolicy import Replay, estimates
from longgame.models import MODELS, unfit
from longgame.protocols import Policy
from longgame.rng import derive
from longgame.slate import Exploration
from longgame.types import moment
from longgame.wiring.configs import Configs
from longgame.wiring.parts import TEXTUAL, policy_network
from longgame.wiring.reading import of_workspace
from longgame.wiring.training import Say, join, logged_by, replay, split
from longgame.wiring.workspace import Workspace, one_thread


@dataclass(frozen=True)
class PolicyRow:
    """One policy on the logged decisions that nobody learned from."""

    policy: str
    estimates: dict[str, Estimate]


@dataclass(frozen=True)
class Wish:
    """What the table of models shall hold."""

    models: tuple[str, ...] | None = ("sequence",)
    """Names in ``MODELS``; the baselines come unasked. None: all that this log and this machine have what they need for."""
    k: int = 10
    seeds: int = 1
    """Runs of models with randomness."""
    cut: Cut | None = None
    """None: ``Cut.of`` the log."""
    workers: int = 1
    """Processes."""
    liked: float | None = None
    """Held-out events count from this value on; None: all of them, whatever they are worth."""
    lift: bool = False
    """Whether each model named is there a second time, items without events scored by their texts (``models.lift``)."""


def ranking(ws: Workspace, wish: Wish = Wish(), say: Say = lambda line: None) -> RankingTable:
    """Models fitted anew without the test events, and judged by those. Runs are kept in the data folder, and found again.

    What is live has seen those events in training, so it is not in this table: its own evidence is the log of decisions.
    Raises DataError where there is no user whose held-out event can be ranked.
    """
    known = of_workspace(ws)
    split = (wish.cut or Cut.of(known.log)).split(known.log, ws.settings.policy.seed)
    configs = Configs.of(ws.settings, split.label)
    if wish.liked is not None:
        split = _wanted(split, wish.liked)
    if not len(split.test):
        newest = f"last event is of {moment(int(known.log.at.max()))}" if len(known.log) else "has no events; import some"
        raise DataError(f"evaluate: the test is empty ({split.label}); the log {newest}")
    k = min(wish.k, max(1, len(known.log.items)))
    if k < wish.k:
        say(f"--k {wish.k:,} is more than the catalogue has: {k:,}, all of it, is taken")
    bench = Bench(split, known.features, k, folder=Path(ws.settings.data.folder) / "runs")
    names = wish.models if wish.models is not None else everyone(split.before, say)
    wanted = [_entry(name, ws, wish, configs) for name in dict.fromkeys((*BASELINES, *names))]
    if used := [entry.name for entry in wanted if _tuned(entry.name, entry.config, configs)]:
        say(f"uses what `longgame tune` found for {', '.join(used)}; the others have their defaults")
    else:
        say("all models have their defaults, the baselines too: `longgame tune` searches better ones, and they are used then")
    if wish.lift:
        wanted += [_lifted(entry) for entry in wanted if entry.name in names and entry.name not in TEXTUAL]
    for name in [entry.name for entry in wanted if entry.name in configs.other]:
        say(f"{name} has its defaults: it was tuned on another split ({configs.other[name]}), which may know this one's test")

    def told(entry: Entry, seed: int, run: Run | LonggameError) -> None:
        which = f"{entry.name}, seed {seed}" if entry.runs > 1 else entry.name
        if isinstance(run, Run) and len(run.result.users):
            say(f"{which}: NDCG@{k} {run.result.ndcg.mean():.4f}")
        else:
            say(f"{which}: {run if isinstance(run, LonggameError) else 'no held-out event could be ranked'}")

    runs = run_all(bench, wanted, Workers(wish.workers, one_thread), told)
    return compare(bench, wanted, runs, About(known.name, known.groups, known.mix))


def _wanted(split: Split, liked: float) -> Split:
    """With a test of what was liked alone; an event without a value is not known to be."""
    return replace(split, label=f"{split.label}, worth {liked:g} or more", test=split.test.select(split.test.value >= liked))


def everyone(log: Interactions, say: Say = lambda line: None) -> list[str]:
    """All models whose packages are here and that can say something on this log."""
    out = []
    for name, kind in MODELS.items():
        if why := unfit(name, log):
            say(f"{name} is left out: {why}")
            continue
        try:
            kind.load()
            out.append(name)
        except MissingExtra as missing:
            say(f"{name} is left out: {missing}")
    return out


def _entry(name: str, ws: Workspace, wish: Wish, configs: Configs) -> Entry:
    own = {"steps": ws.settings.policy.steps, "seed": ws.settings.policy.seed} if name == "sequence" else {}
    config = configs.config(name, **own)
    title = f"{MODELS[name].title}, tuned" if _tuned(name, config, configs) else MODELS[name].title
    return Entry(name, name, title, config, wish.seeds, name in BASELINES)


def _tuned(name: str, config: Any, configs: Configs) -> bool:
    """Whether anything that was tuned is in the config, of a member too."""
    return bool(configs.tuned.get(name) or getattr(config, "settings", None))


def _lifted(entry: Entry) -> Entry:
    title = f"{entry.title}, new items by their texts"
    return replace(entry, name=f"{entry.name}-lifted", title=title, baseline=False, lifted=True)


def off_policy(ws: Workspace) -> tuple[list[PolicyRow], int]:
    """Every estimate of the reward of a slate: live, supervised and uniformly random, and the decisions they rest on.

    The reward model of the doubly robust estimate is learned from the decisions that the estimates do not use. Nothing
    where nothing is live or no decision's window has closed.
    """
    live = ws.load()
    if live is None:
        return [], 0
    made = live.recommender
    log, _ = join(ws, made.features)
    rows, judge = split(log, ws.settings.learner.holdout)
    if not len(judge):
        return [], 0
    model = LinearThompson(LinearThompsonConfig(made.features.width, made.context))
    run(model, batches(rows, made.features, made.steps, 256, derive(0, "reward model"), made.rules))
    config, start = policy_network(live.reader, made.context, made.profiles)
    uniform = Replay(made.features, made.steps, Exploration(1.0, 1.0), made.rules)
    wanted: list[tuple[str, Policy, Replay]] = [
        ("random", RankPolicy(0.0), uniform),
        ("supervised", NetworkPolicy(config, start, "supervised"), replay(made)),
        (f"live: {made.policy.version}", made.policy, replay(made)),
    ]
    logged = logged_by(log, judge, made, ws)
    known = ~np.isnan(logged).any(axis=1)
    judge, logged = judge[known], logged[known]
    table = [
        PolicyRow(name, estimates(held.columns(log, judge, policy, model.predict, logged))) for name, policy, held in wanted
    ]
    return table, len(judge)
