"""The log -> tuned configurations of its models, in ``tuned.json``: searched on validation events, test events set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from longgame.errors import ConfigError, LonggameError, MissingExtra
from longgame.evaluation.splits import Cut
from longgame.evaluation.tuning import Budget, Metric, Task, Trial, Tuned, tune_all
from longgame.models import MODELS
from longgame.settings import Settings
from longgame.wiring.configs import FILE, names_of, plain, write_tuned
from longgame.wiring.reading import of_workspace
from longgame.wiring.tracking import Track
from longgame.wiring.training import Say
from longgame.wiring.workspace import Workspace

FEW = 30
"""Users below which a figure is hardly more than chance."""


@dataclass(frozen=True)
class TuneReport:
    """What was found, and where it is written."""

    found: Mapping[str, Tuned]
    failed: Mapping[str, str]
    """Model -> why it could not be tuned."""
    file: Path
    budget: Budget
    tried: int = 0
    """Trials made by this call; others of the same search were made before."""

    @property
    def over(self) -> float:
        """Seconds by which the trials went over the minutes: the last ones of each model were not cut short."""
        spent = sum(tuned.seconds for tuned in self.found.values())
        return max(0.0, spent - 60 * self.budget.minutes) if self.budget.minutes is not None else 0.0


def tune(
    ws: Workspace,
    names: Sequence[str],
    budget: Budget,
    cut: Cut | None = None,
    k: int = 10,
    metric: Metric = "ndcg",
    say: Say = lambda line: None,
    track: Track = Track(),  # noqa: B008 - frozen
) -> TuneReport:
    """Search the spaces of the models named, on the workspace's log; what is found is used by the next training.

    Without a ``cut`` it is ``Cut.of`` the log. Raises the first model's error where none could be tuned.
    """
    settings, known = ws.settings, of_workspace(ws)
    seed, folder = settings.policy.seed, Path(settings.data.folder)
    split = (cut or Cut.of(known.log)).split(known.log, seed)
    train, validation = split.train, split.validation
    task = Task(train, validation, known.features, k, metric)
    say(f"{len(train):,} events to learn from, {len(validation):,} to judge by; set aside for a test: {split.label}")
    best, tried = dict[str, float](), list[str]()

    def watch(name: str, trial: Trial) -> None:
        tried.append(name)
        if trial.value is not None:
            best[name] = max(trial.value, best.get(name, trial.value))
            track.write(f"tune/{name}", trial.number, {metric: trial.value, "best": best[name], "seconds": trial.seconds})
        if trial.state == "repeated":
            return  # costs nothing and tells nothing new
        told = trial.state if trial.value is None else f"{metric}@{k} {trial.value:.4f}"
        values = ", ".join(f"{key}={v:.3g}" if isinstance(v, float) else f"{key}={v}" for key, v in trial.values.items())
        say(f"{name} {trial.number}: {told} in {trial.seconds:.1f} s, {trial.why or values or 'nothing to search'}")

    fixed = {"sequence": {"steps": settings.policy.steps, "seed": seed}}
    users = int(judged(task, seed))
    if users < FEW:
        say(f"{users:,} users to judge by: what is best for so few may be chance")
    on = {"split": split.label, "train": len(train), "validation": len(validation), "users": users}

    def keep(result: Tuned) -> None:
        """At once: who interrupts the search of the next model has this one."""
        write_tuned(folder, {result.model: entry(result, task, on)})

    try:
        found = tune_all(names, task, budget, fixed, seed, folder / "tuning", watch, done=keep)
    except KeyboardInterrupt:
        say(f"interrupted: {len(tried):,} trials of this call are kept, and models whose search was over are in tuned.json;")
        say("the same command goes on")
        raise
    tuned = {name: result for name, result in found.items() if isinstance(result, Tuned)}
    failed = {name: result for name, result in found.items() if isinstance(result, LonggameError)}
    if not tuned:
        raise next(iter(failed.values()))
    return TuneReport(tuned, {name: str(error) for name, error in failed.items()}, folder / FILE, budget, len(tried))


def judged(task: Task, seed: int) -> int:
    """Users that configurations are judged by."""
    return int(np.count_nonzero(np.diff(task.judged(seed).offsets)))


def entry(tuned: Tuned, task: Task, on: Mapping[str, Any]) -> dict[str, Any]:
    """One model's line of ``tuned.json``."""
    return {
        "values": plain(tuned.values),
        "metric": f"{task.metric}@{task.k}",
        "validation": tuned.value,
        "default": tuned.default,
        "trials": len(tuned.trials),
        "seconds": round(tuned.seconds, 3),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "on": dict(on),
    }


def chosen(said: str | None, settings: Settings, say: Say = lambda line: None) -> list[str]:
    """Names by commas; "all": every model with something to tune whose packages are here; None: those in use.

    Raises ConfigError for a name that is none, or a model without anything to tune.
    """
    if said is None or said == "all":
        used = {"sequence", *(name for name, share in settings.retrieval.shares.items() if share > 0)}
        names = [name for name in MODELS if (said or name in used) and _tunable(name, say)]
        if not names:
            raise ConfigError("tune: no model in use has anything to tune; name others with --models")
        return names
    names = names_of(said)
    for name in names:
        if not getattr(MODELS[name].load()[0], "SPACE", {}):
            raise ConfigError(f"--models: {name} has nothing to tune; leave it out")
    return names


def _tunable(name: str, say: Say) -> bool:
    try:
        return bool(getattr(MODELS[name].load()[0], "SPACE", {}))
    except MissingExtra as missing:
        say(f"{name} is left out: {missing}")
        return False
