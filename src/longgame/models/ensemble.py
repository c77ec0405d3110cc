"""Several models as one: a weighted sum of their standardised scores, the weights chosen on events none of them saw.

Ensemble selection (Caruana, Niculescu-Mizil, Crew and Ksikes, ICML 2004): start from nothing, and as often as ``rounds``
says add the member, again if need be, with which held-out events stand highest; the best of these sums is the ensemble.
A weight is how often a member was added. With a handful of members and thousands of events that does not overfit, and
who adds nothing is dropped. Items without events are scored by their texts, on the same scale (``lift``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ArtefactError, ConfigError
from longgame.models.lift import Lift, standardised
from longgame.models.space import Space
from longgame.models.stopping import Watch, unwatched
from longgame.models.windows import held_out
from longgame.protocols import Model
from longgame.rng import derive
from longgame.types import F32, F64, I64

Make = Callable[[str, Mapping[str, Any]], Model]
"""Name of a model and fields of its config -> a model that has learned nothing yet."""

_HELD = 100_000_000
"""Scores held at once while the weights are chosen: 400 MB."""
_DEEP = 100
"""Places that count while the weights are chosen."""


@dataclass(frozen=True)
class EnsembleConfig:
    """Who is in it."""

    members: tuple[str, ...] = ("sequence", "item-knn", "ease")
    """Names in ``MODELS``. A name that stands there again is another seed of the same model."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Model -> fields of its config that are not the default."""
    judges: int = 2000
    """Users whose last event is held out to learn the weights by, at most."""
    rounds: int = 40
    """Times that a member is added: weights are multiples of one over these, or fewer."""
    seed: int = 0

    SPACE: ClassVar[Space] = {}

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(self.members))
        if not self.members or "ensemble" in self.members:
            raise ConfigError(f"EnsembleConfig.members: must name other models, one at least, got {self.members}")
        if unknown := sorted(set(self.settings) - set(self.members)):
            raise ConfigError(f"EnsembleConfig.settings: must be of members, got {', '.join(unknown)}; add them to members")
        if min(self.judges, self.rounds) < 1:
            raise ConfigError(f"EnsembleConfig: judges and rounds must be 1 or more, got {self}")


class Ensemble:
    """Members fitted on the same log, and what each one's voice is worth."""

    name = "ensemble"

    def __init__(self, make: Make, config: EnsembleConfig | None = None, watch: Watch = unwatched) -> None:
        self.config = config or EnsembleConfig()
        self.watch = watch
        self.left_out: dict[int, str] = {}
        """Member (its place in the config) -> why it could not be fitted, where it could not."""
        self._make = make
        self._models: dict[int, Model] = {}
        self._weights: F64 = np.zeros(len(self.config.members))
        self._items = 0
        self._lift: Lift | None = None

    def fit(self, log: Interactions, features: F32) -> None:
        """Fits every member without the held-out events, to weigh it, and those that count again on the whole log.

        A member that refuses the log with a ConfigError is left out (``left_out``); raises ConfigError where all do.
        """
        self.left_out, self._items, self._lift = {}, len(log.items), None
        train, history, target = held_out(log, derive(self.config.seed, "ensemble"), self._judges())
        first: dict[int, Model] = {}
        if len(target) and len(train):
            first = self._fitted(train, features, {place: self._values(place) for place in range(len(self._weights))})
            scores = [standardised(model.score(history)) for model in first.values()]
            self._weights = np.zeros(len(self.config.members))
            self._weights[list(first)] = selected(scores, history, target, self.config.rounds)
            together = sum(w * s for w, s in zip(self._weights[list(first)], scores, strict=True))
            self._lift = Lift.learn(np.asarray(together, np.float32), history, target, train, features, self.config.seed)
            self.watch(0, {f"weight {self.config.members[m]} {m}": float(self._weights[m]) for m in first})
        else:
            self._weights = np.full(len(self.config.members), 1 / len(self.config.members))
        again = {place: self._final(place, first.get(place)) for place in np.flatnonzero(self._weights).tolist()}
        self._models = self._fitted(log, features, {p: v for p, v in again.items() if p not in self.left_out})

    def _judges(self) -> int:
        return max(1, min(self.config.judges, _HELD // max(1, self._items * len(self.config.members))))

    def _fitted(self, log: Interactions, features: F32, values: Mapping[int, Mapping[str, Any]]) -> dict[int, Model]:
        models = {}
        for place, settings in values.items():
            model = self._make(self.config.members[place], settings)
            if hasattr(model, "watch"):
                model.watch = self.watch
            try:
                model.fit(log, features)
            except ConfigError as refused:
                self.left_out[place] = str(refused)
                continue
            models[place] = model
        if not models:
            raise ConfigError("Ensemble.fit: no member could be fitted: " + "; ".join(self.left_out.values()))
        return models

    def _values(self, place: int) -> dict[str, Any]:
        """The config's fields of one member; trained by passes, it need not train anew on what it stopped by."""
        name = self.config.members[place]
        values = dict(self.config.settings.get(name, {}))
        repeat = self.config.members[:place].count(name)
        config: Any = getattr(self._make(name, values), "config", None)
        if hasattr(config, "seed"):
            values["seed"] = config.seed + repeat + self.config.seed * len(self.config.members)
        elif repeat:
            raise ConfigError(f"EnsembleConfig.members: {name} is always the same, so it can stand there once")
        if hasattr(config, "refit"):
            values["refit"] = False
        return values

    def _final(self, place: int, first: Model | None) -> dict[str, Any]:
        """As many passes as were best the first time, over everything; who is not told by one number of them seeks anew."""
        values = self._values(place)
        best = getattr(first, "best_epoch", 0)
        if best:
            values |= {"epochs": best, "patience": 0}
        return values

    def score(self, histories: I64) -> F32:
        out = np.zeros((len(histories), self._items), np.float32)
        for place, model in self._models.items():
            out += np.float32(self._weights[place]) * standardised(model.score(histories))
        return out if self._lift is None else self._lift.apply(out, histories)

    @property
    def weights(self) -> dict[str, float]:
        """Member -> weight; repeats of a model are added up."""
        out: dict[str, float] = {}
        for name, weight in zip(self.config.members, self._weights.tolist(), strict=True):
            out[name] = out.get(name, 0.0) + weight
        return out

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        held = {f"{place}.{key}": a for place, model in self._models.items() for key, a in model.state_dict().items()}
        lifted = self._lift.state_dict() if self._lift else {}
        return {"weights": self._weights.copy(), "items": np.array([self._items]), **held, **lifted}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Raises ArtefactError where the arrays are those of other members."""
        weights = np.array(state["weights"], np.float64)
        if len(weights) != len(self.config.members):
            raise ArtefactError(f"checkpoint: must have {len(self.config.members)} members, got {len(weights)}")
        places = sorted({int(key.split(".", 1)[0]) for key in state if key[0].isdigit()})
        models = {}
        for place in places:
            model = self._make(self.config.members[place], self._values(place))
            own = {key.split(".", 1)[1]: a for key, a in state.items() if key.startswith(f"{place}.")}
            model.load_state_dict(own)
            models[place] = model
        self._models, self._weights, self._items = models, weights, int(state["items"][0])
        self._lift = Lift.load(state)


def selected(scores: list[F32], history: I64, target: I64, rounds: int) -> F64:
    """Members' (n, I) scores, (n, T) histories and the item (n,) that came -> weights (M,), adding up to 1.

    What is maximised is the mean of 1 / log2(1 + place) over the events that stand among the first ``_DEEP`` unseen
    items: deeper than any list, so that few events decide less. A tie counts against the event.
    """
    row, column = np.nonzero(history >= 0)
    every, hidden = np.arange(len(target)), (row, history[row, column])

    def worth(total: F32) -> float:
        own = total[every, target][:, None]
        ahead = total >= own
        ahead[hidden] = False
        place = np.maximum(ahead.sum(axis=1), 1)  # the event itself among them
        return float(np.where(place <= _DEEP, 1 / np.log2(place + 1), 0.0).mean())

    total, count = np.zeros_like(scores[0]), np.zeros(len(scores))
    best, kept = -1.0, count.copy()
    for _ in range(rounds):
        values = [worth(total + member) for member in scores]
        chosen = int(np.argmax(values))
        total = total + scores[chosen]
        count[chosen] += 1
        if values[chosen] > best + 1e-9:
            best, kept = values[chosen], count.copy()
    out: F64 = kept / kept.sum()
    return out
