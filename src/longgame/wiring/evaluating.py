"""How good what we have is: models on held-out events, and policies on the log of decisions, baselines beside both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longgame.algorithms.linear_thompson import LinearThompson, LinearThompsonConfig
from longgame.algorithms.rank import RankPolicy
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.errors import DataError
from longgame.evaluation.intervals import Estimate
from longgame.evaluation.ranking import METRICS, RankingResult, evaluate_model, leave_last_out, over_runs, together
from longgame.learning.batches import batches
from longgame.learning.loop import train as run
from longgame.learning.offpolicy import Replay, estimates
from longgame.models import MODELS
from longgame.protocols import Model, Policy
from longgame.rng import derive
from longgame.slate import Exploration
from longgame.wiring.configs import Configs
from longgame.wiring.parts import policy_network
from longgame.wiring.training import Say, join, logged_by, replay, split
from longgame.wiring.workspace import Workspace


@dataclass(frozen=True)
class RankingRow:
    """One model on the last event of every user, ranked among all items the user has not seen."""

    model: str
    metrics: dict[str, Estimate]
    coverage: float
    seeds: int
    """Runs the figures are the mean of; a model without randomness has one."""


@dataclass(frozen=True)
class PolicyRow:
    """One policy on the logged decisions that nobody learned from."""

    policy: str
    estimates: dict[str, Estimate]


def ranking(ws: Workspace, k: int = 10, seeds: int = 1, say: Say = lambda line: None) -> list[RankingRow]:
    """Popularity, recency item-kNN, EASE and the supervised network, fitted anew without each user's last event.

    What is live has seen those events in training, so it is not in this table: its own evidence is the log of decisions.
    Raises DataError where there is no user whose last event can be ranked.
    """
    text = ws.text()
    train, validation, test = leave_last_out(ws.interactions(text))
    before, rows = together(train, validation), []
    for name in ("popularity", "item-knn", "ease", "sequence"):
        runs = []
        for seed in range(seeds if name == "sequence" else 1):
            model = _model(name, ws, seed)
            model.fit(before, text.vectors)
            runs.append(evaluate_model(model, before, test, k))
        if not len(runs[0].users):
            raise DataError(
                "evaluate: ranking needs a user with three events or more, the last of them on an item that was new to them; "
                f"got none among {len(before.users):,} users; import or serve more, or leave it out with --no-ranking"
            )
        rows.append(_ranking_row("supervised network" if name == "sequence" else name, runs))
        say(f"{rows[-1].model}: NDCG@{k} {rows[-1].metrics['ndcg']}")
    return rows


def _model(name: str, ws: Workspace, seed: int) -> Model:
    own = {"steps": ws.settings.policy.steps, "seed": seed} if name == "sequence" else {}
    return MODELS[name].make(Configs.of(ws.settings).config(name, **own))


def _ranking_row(name: str, runs: list[RankingResult]) -> RankingRow:
    metrics: dict[str, Estimate] = {m: over_runs(runs, m, derive(0, "evaluate", m)).estimate for m in METRICS}
    return RankingRow(name, metrics, float(np.mean([r.coverage for r in runs])), len(runs))


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
    config, start = policy_network(live.reader, made.context)
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
