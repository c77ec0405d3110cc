"""YouTube's two stages: a network that finds candidates, and one that ranks them by expected watch time. Covington, Adams and
Sargin: "Deep Neural Networks for YouTube Recommendations", RecSys 2016.

*Candidate generation* (section 3, ``youtube_candidates``): the mean of the history's embeddings, how long the history is and
the example's age go through a tower of ReLU layers to a user's vector u; the next item is told by a softmax with u . v_j + b_j
over the catalogue, in training over a draw from it. The history is only ever what came before (section 3.4).

*Ranking* (section 4, ``youtube_ranking``): the first ``candidates`` are ranked by a second network, which has embeddings of its
own and sees the history's mean, its last item, the candidate, products of these, and numbers: what the first stage said, the
candidate's popularity, the history's length. It is logistic regression of taken against not taken candidates, a taken one
weighing as long as it was watched (``Interactions.value``), so e^logit estimates expected watch time (section 4.2) and is the
score. Where values are not all above 0, or all alike, each weighs 1, and it is a re-ranker. The others follow below 0.

Deviations. No searches, demographics or videos' languages. The user's vector leaves a linear layer, not a ReLU; items have
biases; numbers are normalised by logarithms or ranks, with their squares and roots; the age is 0 to 1 over the log's time, and
can be left out. The mean fades by ``half_life``, and the first stage reads the history's last item beside it: both can be
switched off. An organic log has no impressions, so the candidates that were not taken are drawn from lists that first stages
fitted on other users make. The ranking's logit begins as the first stage's logarithm of the probability. Training is by AdamW
with a running mean of the weights. Towers are small, where the paper's begin 2048 wide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ArtefactError, ConfigError
from longgame.models import stopping
from longgame.models.space import OneOf, Real, Space, Whole
from longgame.models.stopping import Watch, unwatched
from longgame.models.warm import Warm
from longgame.models.youtube_candidates import CandidateNetwork, CandidateTrainer, candidate_network, served
from longgame.models.youtube_ranking import Halves, RankingTrainer, Stage, ranking_network
from longgame.networks import from_arrays, to_arrays
from longgame.rng import derive
from longgame.types import F32, I64


@dataclass(frozen=True)
class YouTubeConfig:
    """The size of both networks and how they are trained."""

    width: int = 64
    """D, width of an item's embedding and of a user's vector in the first stage."""
    hidden: int = 128
    """Width of the first stage's first layer; each further one is half as wide."""
    layers: int = 1
    """Layers of the first stage's tower, below the one that the user's vector leaves."""
    steps: int = 50
    """The last events of a history that are read."""
    half_life: float = 8.0
    """Events after which an item counts half in a history's mean; inf: the paper's mean."""
    last: bool = True
    """Whether the first stage reads the history's last item beside the mean, which the paper's does not."""
    example_age: bool = True
    """Whether the first stage is told how long ago an example was; 0 when it serves."""
    negatives: int = 2000
    """Items drawn for each training step that stand for the catalogue in the first stage's softmax. 0: the whole catalogue."""
    ranking: bool = True
    """Whether the second stage ranks the candidates; without it the first stage's order is the model."""
    candidates: int = 100
    """N, candidates that the second stage ranks, 2 or more."""
    ranking_width: int = 32
    """Width of an item's embedding in the second stage."""
    ranking_hidden: int = 64
    """Width of the second stage's first layer, 2 or more; the next is half as wide."""
    untaken: int = 8
    """Candidates that were not taken, drawn against each event in the second stage."""
    dropout: float = 0.2
    """Share of activations dropped in training, in [0, 1)."""
    learning_rate: float = 4e-3
    """Of Adam, above 0."""
    weight_decay: float = 0.3
    """Of Adam, decoupled from the gradient (AdamW), 0 or more."""
    average: float = 0.995
    """Share of the running mean of the weights that a training step keeps; the mean is the model. 0: the last weights."""
    epochs: int = 40
    """At most so many passes over the log, in each stage."""
    patience: int = 4
    """Passes without a better ranking of held-out events before a stage stops; 0: all passes, nothing is held out."""
    seed: int = 0

    SPACE: ClassVar[Space] = {
        "width": OneOf((32, 64, 128)),
        "layers": Whole(1, 3),
        "half_life": OneOf((np.inf, 32.0, 16.0, 8.0, 4.0, 2.0)),
        "last": OneOf((True, False)),
        "example_age": OneOf((True, False)),
        "ranking": OneOf((True, False)),
        "candidates": OneOf((50, 100, 200, 400)),
        "dropout": Real(0.0, 0.6),
        "learning_rate": Real(5e-4, 8e-3, log=True),
        "weight_decay": Real(0.01, 1.0, log=True),
    }

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.steps, self.ranking_width, self.untaken, self.epochs) < 1:
            raise ConfigError(
                f"YouTubeConfig: width, layers, steps, ranking_width, untaken and epochs must be 1 or more, got {self}"
            )
        if min(self.candidates, self.ranking_hidden) < 2 or min(self.negatives, self.patience) < 0:
            raise ConfigError(
                f"YouTubeConfig: candidates, ranking_hidden must be 2 or more, negatives, patience 0 or more, got {self}"
            )
        if self.hidden < 2 ** (self.layers - 1):
            raise ConfigError(f"YouTubeConfig.hidden: must be halved {self.layers - 1} times by the layers, got {self.hidden}")
        if not 0 <= self.dropout < 1 or not 0 <= self.average < 1:
            raise ConfigError(f"YouTubeConfig: dropout and average must lie in [0, 1), got {self}")
        if not min(self.learning_rate, self.half_life) > 0 or not self.weight_decay >= 0:
            raise ConfigError(f"YouTubeConfig: learning_rate, half_life must be above 0, weight_decay not below, got {self}")


class YouTube:
    """History -> expected watch time of the candidates, and all other items below them."""

    name = "youtube"

    def __init__(self, config: YouTubeConfig | None = None, watch: Watch = unwatched) -> None:
        self.config = config or YouTubeConfig()
        self.watch = watch
        self.best_candidates_epoch = 0
        """Passes of the first stage after which the held-out events were ranked best; 0 where nothing was held out."""
        self.best_ranking_epoch = 0
        """The same of the second stage."""
        self._stage = self._nothing(0)

    def _nothing(self, items: int) -> Stage:
        warm = Warm(np.zeros(0, np.int64), np.zeros(items, np.float32))
        return Stage(candidate_network(0, self.config), ranking_network(0, self.config), warm, 1.0)

    def fit(self, log: Interactions, features: F32) -> None:
        self.best_candidates_epoch, self.best_ranking_epoch, self._stage = 0, 0, self._nothing(len(log.items))
        if not len(log):
            return
        c, warm = self.config, Warm.of(log)
        passes = _Passes(self.watch)
        # Not refitted by ``stopping``: the second stage is to be stopped by events that its first stage has not seen either.
        search = stopping.fit(lambda part: CandidateTrainer(c, part, warm), log, c.epochs, c.patience, False, c.seed, passes)
        self.best_candidates_epoch = search.best_epoch
        searched = first = search.trainer.mean
        count = search.best_epoch or c.epochs
        if search.best_epoch:
            first = _trained(c, log, warm, count, passes)
        self._stage = Stage(first, ranking_network(len(warm), c), warm, 1.0)
        if not c.ranking or len(warm) < 2:
            return
        apart = _halves(c, log, warm, -(-count // 2), passes, first)  # of half the events so many overfit

        def ranker(part: Interactions) -> RankingTrainer:
            return RankingTrainer(c, part, warm, first if len(part) == len(log) else searched, apart)

        done = stopping.fit(ranker, log, c.epochs, c.patience, True, c.seed, passes.then())
        self.best_ranking_epoch, self._stage = done.best_epoch, done.trainer.stage()

    def score(self, histories: I64) -> F32:
        """As ``protocols.Model`` says; the last ``steps`` items with events count, and of those before how many they are.

        With the second stage, a candidate's score is its expected watch time, in the unit of the log's values or in times
        taken, were it shown; all others are below 0.
        """
        stage = self._stage
        if self.config.ranking and len(stage.warm) > 1:
            return stage.score(histories, self.config)
        told = served(stage.candidates, stage.warm, histories, self.config.steps)[0].numpy()
        return stage.warm.spread(told + stage.warm.own_tie)

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        stage = self._stage
        own = {**stage.warm.arrays(), "unit": np.array(stage.unit), **to_arrays(stage.candidates, "candidates.")}
        return {**own, **(to_arrays(stage.ranking, "ranking.") if self.config.ranking else {})}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Raises ArtefactError where the arrays are those of another config."""
        warm = Warm.of_arrays(state)
        if "unit" not in state:
            raise ArtefactError(f"checkpoint: unit must be there, got {', '.join(sorted(state))}")
        candidates, ranking = candidate_network(len(warm), self.config), ranking_network(len(warm), self.config)
        from_arrays(candidates, state, "candidates.")
        if self.config.ranking:
            from_arrays(ranking, state, "ranking.")
        self._stage = Stage(candidates, ranking, warm, float(state["unit"]))


class _Passes:
    """A watch that counts on through several trainings."""

    def __init__(self, watch: Watch) -> None:
        self._watch, self._done, self._last = watch, 0, 0

    def __call__(self, number: int, metrics: Mapping[str, float]) -> None:
        self._last = self._done + number
        self._watch(self._last, metrics)

    def then(self) -> _Passes:
        """The next training's passes come after those told so far."""
        self._done = self._last + 1
        return self


def _trained(c: YouTubeConfig, log: Interactions, warm: Warm, passes: int, watch: _Passes) -> CandidateNetwork:
    """A first stage after so many passes over ``log``."""
    trainer, watch = CandidateTrainer(c, log, warm), watch.then()
    for number in range(passes):
        watch(number, {"refit loss": trainer.epoch(number)})
    return trainer.mean


def _halves(c: YouTubeConfig, log: Interactions, warm: Warm, passes: int, watch: _Passes, whole: CandidateNetwork) -> Halves:
    """Two first stages, each without a half of the users; where a half has no events, the one of all."""
    active = np.flatnonzero(np.diff(log.offsets))
    half = np.zeros(len(log.users), np.int64)
    half[derive(c.seed, "youtube halves").permutation(active)[len(active) // 2 :]] = 1
    if len(active) < 2:
        return Halves(half, (whole, whole))
    # A half's lists are made by who was fitted on the other.
    one, other = (_trained(c, log.select(half[log.user] != number), warm, passes, watch) for number in (0, 1))
    return Halves(half, (one, other))
