"""Which configuration of a model is best: a search on validation events alone. Test events are never handed to it.

The search is Optuna's tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) over the ``SPACE`` that the
model's config declares. The first trial is always the default, so what is found is never worse than it on what it was
searched on. Each trial's draws depend on the seed and the trial's number only, and finished trials are on disk: a
search that was killed and run again makes the trials that it would have made, and a spent budget adds none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError, DataError, LonggameError, MissingExtra, ShapeError
from longgame.evaluation.fingerprint import code
from longgame.evaluation.ranking import evaluate_model
from longgame.language.lock import exclusive
from longgame.models import MODELS
from longgame.models.space import OneOf, Range, Real, Space
from longgame.rng import derive
from longgame.types import F32

Metric = Literal["ndcg", "recall", "mrr"]
METRICS: tuple[Metric, ...] = ("ndcg", "recall", "mrr")
"""What may be searched for: the mean over users of a figure of ``evaluation.ranking``."""
HOPELESS = 5
"""Trials in a row, the first among them, after whose failure a model is given up."""
LOST = 3
"""Times a process may die in one and the same trial; then it counts as failed: it is likely what kills it."""
EXHAUSTED = 20
"""Suggestions in a row that were tried before after which there is nothing left to search."""


@dataclass(frozen=True)
class Task:
    """What configurations are judged on."""

    train: Interactions
    validation: Interactions
    """What is to be ranked by who learned from ``train`` alone. The same users and items as ``train``."""
    features: F32
    """(I, X) text vectors of the items"""
    k: int = 10
    metric: Metric = "ndcg"
    users: int = 3000
    """Users judged, at most: drawn once, the same for every configuration of every model."""

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ConfigError(f"tune: metric must be one of {', '.join(METRICS)}, got {self.metric!r}")
        if min(self.k, self.users) < 1:
            raise ConfigError(f"tune: k and users must be 1 or more, got k={self.k}, users={self.users}")
        if self.train.users != self.validation.users or self.train.items != self.validation.items:
            raise DataError("tune: train and validation must have the same users and items; select both from one log")

    def judged(self, seed: int) -> Interactions:
        """The validation events of the users drawn. Raises DataError where there are none."""
        some = np.flatnonzero(np.diff(self.validation.offsets))
        if not len(some) or not len(self.train):
            raise DataError("tune: needs events to learn from and a user with validation events; got too short a log")
        drawn = derive(seed, "tune", "judged").permutation(some)[: self.users]
        return self.validation.select(np.isin(self.validation.user, drawn))


@dataclass(frozen=True)
class Budget:
    """How long to search, over all calls on the same task together. A trial under way is not cut short."""

    minutes: float | None = None
    trials: int | None = None

    def __post_init__(self) -> None:
        given = [bound for bound in (self.minutes, self.trials) if bound is not None]
        if not given or not min(given) > 0:
            told = f"{self.minutes} minutes and {self.trials} trials"
            raise ConfigError(f"tune: needs a budget above 0 in minutes or trials, got {told}; give --minutes 10")

    def left(self, trials: Sequence[Trial]) -> bool:
        """Whether another trial may begin; the first one always may."""
        spent = sum(trial.seconds for trial in trials)
        over = self.minutes is not None and spent >= 60 * self.minutes
        return not trials or not (over or (self.trials is not None and len(trials) >= self.trials))


State = Literal["complete", "pruned", "failed", "repeated"]


@dataclass(frozen=True)
class Trial:
    """One configuration that was tried."""

    number: int
    """0 is the default configuration."""
    values: Mapping[str, Any]
    """The fields that are searched."""
    state: State
    """pruned: given up between two passes, being under the median of the others; repeated: an earlier trial's values."""
    value: float | None
    """The metric on the validation events; None where it was not measured."""
    seconds: float
    why: str = ""
    """Why it failed."""


@dataclass(frozen=True)
class Tuned:
    """What a search found."""

    model: str
    values: Mapping[str, Any]
    """Of the best trial; of equals the earliest, so that the default stays where nothing beats it."""
    value: float
    """The metric of that trial on the validation events: the best of many, so a little too good to be true."""
    default: float | None
    """The default configuration's; None where it could not be run."""
    trials: tuple[Trial, ...]
    """All of them, also those of earlier calls."""
    seconds: float
    """Spent on all of them."""


OnTrial = Callable[[str, Trial], None]
"""Takes the model's name and a trial that is done."""


def unseen(name: str, trial: Trial) -> None:
    """Looks away."""


def tune(
    name: str,
    task: Task,
    budget: Budget,
    fixed: Mapping[str, Any] | None = None,
    seed: int = 0,
    folder: Path | None = None,
    watch: OnTrial = unseen,
    clock: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Search the space of model ``name``, or go on with the search of the same task in ``folder``.

    ``fixed`` fields of the config have these values and are not searched. Without ``folder`` nothing is kept. Raises
    ConfigError where no configuration could be run, ArtefactError where another process searches the same.
    """
    search = _Search(name, task, dict(fixed or {}), seed, clock)
    if folder is None:
        return search.run(None, budget, watch)
    path = folder / f"{name}-{search.key()}.journal"
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_suffix(".held")):
        return search.run(path, budget, watch)


def tune_all(
    names: Sequence[str],
    task: Task,
    budget: Budget,
    fixed: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    folder: Path | None = None,
    watch: OnTrial = unseen,
    clock: Callable[[], float] = time.monotonic,
    done: Callable[[Tuned], None] = lambda found: None,
) -> dict[str, Tuned | LonggameError]:
    """Each model in turn, told to ``done`` as it is; what could not be tuned has its error. ``fixed`` is by model.

    The minutes are divided: a model gets an equal part of what those before it left. ``budget.trials`` is for each.
    """
    out: dict[str, Tuned | LonggameError] = {}
    left = budget.minutes
    for number, name in enumerate(names):
        part = Budget(max(left, 1e-9) / (len(names) - number) if left is not None else None, budget.trials)
        try:
            out[name] = found = tune(name, task, part, (fixed or {}).get(name), seed, folder, watch, clock)
            left = left - found.seconds / 60 if left is not None else None
            done(found)
        except LonggameError as error:
            out[name] = error
    return out


@dataclass
class _Search:
    """One model on one task."""

    name: str
    task: Task
    fixed: dict[str, Any]
    seed: int
    clock: Callable[[], float]
    space: Space = field(init=False)
    whole: str = field(init=False)
    """The config, fields that are not searched among them: with another default of one of them it is another task."""
    default: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        if self.name not in MODELS:
            raise ConfigError(f"tune: there is no model {self.name!r}; there are {', '.join(MODELS)}")
        self.kind = MODELS[self.name]
        space: Space = getattr(self.kind.load()[0], "SPACE", {})
        self.space = {key: held for key, held in space.items() if key not in self.fixed}
        config = self.kind.config(**self.fixed)
        self.default = {key: getattr(config, key) for key in self.space}
        self.whole = repr(config)

    def key(self) -> str:
        """Names all that decides what a trial's value is, and which trials are made."""
        task = self.task
        hasher = blake2b(digest_size=8)
        told = (code(), self.name, self.space, self.whole, self.seed, task.k, task.metric, task.users)
        hasher.update(repr((told, task.train.users, task.train.items)).encode())
        for log in (task.train, task.validation):
            for column in (log.offsets, log.item, log.at, log.value):
                hasher.update(column.tobytes())
        hasher.update(np.ascontiguousarray(task.features).tobytes())
        return hasher.hexdigest()

    def run(self, path: Path | None, budget: Budget, watch: OnTrial) -> Tuned:
        self.optuna = _optuna()
        self.target = self.task.judged(self.seed)
        study = self._study(path)
        trials = _told(study)
        while budget.left(trials) and not self._over(trials):
            trials.append(self._next(study, trials))
            watch(self.name, trials[-1])
        done = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
        if not done:
            raise ConfigError(
                f"tune {self.name}: none of {len(trials)} configurations could be run; the last: {trials[-1].why}"
            )
        best = max(done, key=lambda trial: (trial.value, -trial.number))
        assert best.value is not None
        seconds = sum(trial.seconds for trial in trials)
        return Tuned(self.name, best.values, best.value, trials[0].value, tuple(trials), seconds)

    def _over(self, trials: Sequence[Trial]) -> bool:
        """Whether another trial would tell nothing new."""
        states = [trial.state for trial in trials]
        hopeless = len(states) >= HOPELESS and not {"complete", "pruned"} & set(states)
        repeats = len(states) >= EXHAUSTED and set(states[-EXHAUSTED:]) == {"repeated"}
        return hopeless or repeats or bool(trials and not self.space)

    def _study(self, path: Path | None) -> Any:
        """The search so far. What a killed process left half-done is taken out; the caller holds the lock."""
        optuna = self.optuna
        storage = optuna.storages.InMemoryStorage()
        if path is not None:
            _mend(path)
            journal = optuna.storages.journal
            lock = journal.JournalFileOpenLock(str(path))
            storage = optuna.storages.JournalStorage(journal.JournalFileBackend(str(path), lock))
        pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=3)
        loud = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces every study on stderr
        try:
            study = optuna.create_study(
                storage=storage, study_name=self.name, direction="maximize", load_if_exists=True, pruner=pruner
            )
        finally:
            optuna.logging.set_verbosity(loud)
        for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            storage.set_trial_user_attr(trial._trial_id, "interrupted", True)
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        return study

    def _next(self, study: Any, trials: Sequence[Trial]) -> Trial:
        states = self.optuna.trial.TrialState
        draws = derive(self.seed, "tune", self.name, str(len(trials)))
        study.sampler = self.optuna.samplers.TPESampler(seed=int(draws.integers(2**31)))
        if not trials and not study.get_trials(deepcopy=False, states=(states.WAITING,)):
            study.enqueue_trial({key: _inside(self.space[key], value) for key, value in self.default.items()})
        ranges = {key: _distribution(self.optuna, held, self.default[key]) for key, held in self.space.items()}
        asked = study.ask(ranges)
        values = {key: asked.params[key] for key in self.space} if trials else dict(self.default)
        earlier = next((trial for trial in trials if trial.values == values), None)
        gone = [trial for trial in study.get_trials(deepcopy=False) if "interrupted" in trial.user_attrs]
        if sum(trial.params == asked.params for trial in gone) >= LOST:
            trial = Trial(len(trials), values, "failed", None, 0.0, f"{LOST} processes were stopped or killed while it ran")
        elif earlier is not None:
            trial = Trial(len(trials), values, "repeated", earlier.value, 0.0, f"as trial {earlier.number}")
        else:
            trial = self._try(asked, len(trials), values)
        for key in ("values", "state", "value", "seconds", "why"):
            asked.set_user_attr(key, getattr(trial, key))
        if trial.state == "pruned":
            study.tell(asked, state=states.PRUNED)
        elif trial.value is None:
            study.tell(asked, state=states.FAIL)
        else:
            study.tell(asked, trial.value)
        return trial

    def _try(self, asked: Any, number: int, values: Mapping[str, Any]) -> Trial:
        """Fit and judge one configuration."""
        task, begun, why, value = self.task, self.clock(), "", None
        state: State = "complete"
        told = set[int]()

        def watch(done: int, metrics: Mapping[str, float]) -> None:
            if "ndcg" in metrics and done not in told:
                told.add(done)
                asked.report(float(metrics["ndcg"]), done)
                if asked.should_prune():
                    raise self.optuna.TrialPruned

        try:
            model = self.kind.make(self.kind.config(**self.fixed, **values), watch)
            model.fit(task.train, task.features)
            result = evaluate_model(model, task.train, self.target, task.k)
            if not len(result.users):
                raise DataError("tune: no validation event is on an item that was new to its user; there is nothing to rank")
            value = float(getattr(result, task.metric).mean())
        except self.optuna.TrialPruned:
            state = "pruned"
        except (ConfigError, ShapeError, MemoryError, ArithmeticError, np.linalg.LinAlgError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):  # torch's way to say MemoryError
                raise
            state, why = "failed", f"{type(error).__name__}: {error}"
        return Trial(number, values, state, value, self.clock() - begun, why)


def _told(study: Any) -> list[Trial]:
    """The trials that are done, by their order."""
    kept = [trial.user_attrs for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    kept = [told for told in kept if "interrupted" not in told]
    return [
        Trial(number, told["values"], told["state"], told["value"], told["seconds"], told["why"])
        for number, told in enumerate(kept)
    ]


def _distribution(optuna: Any, held: Range, default: Any) -> Any:
    """A range as Optuna says it; among a few values the default is always one."""
    d = optuna.distributions
    if isinstance(held, OneOf):
        return d.CategoricalDistribution(held.values if default in held.values else (*held.values, default))
    if isinstance(held, Real):
        return d.FloatDistribution(float(held.low), float(held.high), log=held.log)
    return d.IntDistribution(held.low, held.high, log=held.log)


def _inside(held: Range, value: Any) -> Any:
    """``value``, or the bound next to it: where the default lies outside what is searched, the search hears of the bound."""
    return value if isinstance(held, OneOf) else min(max(value, held.low), held.high)


def _mend(path: Path) -> None:
    """Take away what a killed process left: a line that is not whole, a lock. The caller is the only one who writes."""
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        with path.open("r+b") as file:
            file.truncate(whole)


def _optuna() -> Any:
    try:
        import optuna
        import optuna.storages.journal
    except ImportError:
        raise MissingExtra("tuning", "optuna", "tune") from None
    return optuna
