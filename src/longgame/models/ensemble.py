"""Several models as one: a weighted sum of their standardised scores, the weights learned on events none of them saw.

Stacking (Wolpert, Neural Networks 1992) with a conditional logit (McFadden 1974) on top: the weights w >= 0 are those
under which held-out events are likeliest, P(i | history) ~ exp(sum_m w_m z_m(i)) over the items not seen, where z_m is
member m's row of scores less its mean, over its deviation. A handful of numbers from thousands of events does not
overfit, and a member that adds nothing gets weight 0 and is dropped. Items without events are scored by their texts, on
the same scale (``lift``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ArtefactError, ConfigError
from longgame.models.lift import Lift
from longgame.models.space import Space
from longgame.models.stopping import Watch, unwatched
from longgame.models.windows import held_out
from longgame.protocols import Model
from longgame.rng import derive
from longgame.types import F32, F64, I64, Bool

Make = Callable[[str, Mapping[str, Any]], Model]
"""Name of a model and fields of its config -> a model that has learned nothing yet."""

_HELD = 50_000_000
"""Scores held at once while the weights are learned: 400 MB."""


@dataclass(frozen=True)
class EnsembleConfig:
    """Who is in it."""

    members: tuple[str, ...] = ("sequence", "item-knn", "ease")
    """Names in ``MODELS``. A name that stands there again is another seed of the same model."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Model -> fields of its config that are not the default."""
    judges: int = 2000
    """Users whose last event is held out to learn the weights by, at most."""
    penalty: float = 1e-3
    """Price of the squared weights, per event."""
    seed: int = 0

    SPACE: ClassVar[Space] = {}

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(self.members))
        if not self.members or "ensemble" in self.members:
            raise ConfigError(f"EnsembleConfig.members: must name other models, one at least, got {self.members}")
        if unknown := sorted(set(self.settings) - set(self.members)):
            raise ConfigError(f"EnsembleConfig.settings: must be of members, got {', '.join(unknown)}; add them to members")
        if self.judges < 1 or self.penalty < 0:
            raise ConfigError(f"EnsembleConfig: judges must be 1 or more and penalty 0 or more, got {self}")


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
        """Fits every member twice: without the held-out events, to weigh it, and then on the whole log.

        A member that refuses the log with a ConfigError is left out (``left_out``); raises ConfigError where all do.
        """
        self.left_out, self._items, self._lift = {}, len(log.items), None
        train, history, target = held_out(log, derive(self.config.seed, "ensemble"), self._judges())
        first: dict[int, Model] = {}
        if len(target) and len(train):
            first = self._fitted(train, features, {place: self._values(place) for place in range(len(self._weights))})
            scores = [standardised(model.score(history)) for model in first.values()]
            self._weights = np.zeros(len(self.config.members))
            self._weights[list(first)] = logit_weights(scores, history, target, self.config.penalty)
            together = sum(w * s for w, s in zip(self._weights[list(first)], scores, strict=True))
            self._lift = Lift.learn(np.asarray(together, np.float32), history, target, train, features, self.config.seed)
            self.watch(0, {f"weight {self.config.members[m]} {m}": float(self._weights[m]) for m in first})
        else:
            self._weights = np.ones(len(self.config.members))
        if not self._weights.any():  # nothing was better than chance: what is left is to listen to all
            self._weights = np.ones(len(self.config.members))
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
            values["seed"] = config.seed + repeat + self.config.seed
        elif repeat:
            raise ConfigError(f"EnsembleConfig.members: {name} is always the same, so it can stand there once")
        if hasattr(config, "refit"):
            values["refit"] = False
        return values

    def _final(self, place: int, first: Model | None) -> dict[str, Any]:
        """As many passes as were best the first time, over everything."""
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


def standardised(scores: F32) -> F32:
    """(B, I) -> each row less its mean, over its deviation; zeros where a row says nothing."""
    if not scores.shape[1]:
        return scores
    centred = scores - scores.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1, keepdims=True)
    out: F32 = centred / np.where(deviation > 1e-12, deviation, np.inf)
    return out


def logit_weights(scores: list[F32], history: I64, target: I64, penalty: float) -> F64:
    """Members' (n, I) scores, (n, T) histories and the item (n,) that came -> weights (M,), none negative.

    Minimises the mean of -log P(target) + penalty |w|^2, which is convex; what a history holds is left out of P.
    """
    from scipy.optimize import Bounds, minimize

    row, column = np.nonzero(history >= 0)
    seen: Bool = np.zeros(scores[0].shape, np.bool_)
    seen[row, history[row, column]] = True
    table = np.stack(scores, axis=2).astype(np.float64)  # (n, I, M)
    every = np.arange(len(target))
    own = table[every, target]  # (n, M)

    def loss(weights: F64) -> tuple[float, F64]:
        total = table @ weights
        total[seen] = -np.inf
        top = total.max(axis=1, keepdims=True)
        share = np.exp(total - top)
        norm = share.sum(axis=1, keepdims=True)
        share /= norm
        told = float((top + np.log(norm)).mean() - (own @ weights).mean())
        expected = np.einsum("ni,nim->m", share, table) / len(target)
        return told + penalty * float(weights @ weights), expected - own.mean(axis=0) + 2 * penalty * weights

    found = minimize(
        loss,
        np.full(len(scores), 0.3),
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(np.zeros(len(scores)), np.full(len(scores), np.inf)),
        options={"maxiter": 100, "ftol": 1e-12, "gtol": 1e-7},  # so tight that no order of additions shows in the weights
    )
    out: F64 = np.where(found.x > 1e-3, found.x, 0.0)
    return out
