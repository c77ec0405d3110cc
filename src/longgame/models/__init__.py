"""Log -> scores over the whole catalogue: every recommender of the field behind one seam. One file a model.

Every one keeps ``protocols.Model``; ``tests/contracts/test_model.py`` runs on each line of the table. A model's config is
a frozen dataclass in the model's own file: each field with its meaning below it, ``SPACE`` with what is worth tuning,
and a field ``seed`` if, and only if, there is randomness in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.models.ease import Ease, EaseConfig
from longgame.models.item_knn import ItemKNN, ItemKNNConfig
from longgame.models.popularity import Popularity, PopularityConfig
from longgame.models.stopping import Watch, unwatched
from longgame.protocols import Model

Load = Callable[[], tuple[Callable[..., Any], Callable[..., Model]]]


@dataclass(frozen=True)
class Kind:
    """One line of the table."""

    load: Load
    """Imports what it needs and returns the config's class and the model's."""
    title: str
    """What it is, for people, in a few words."""
    passes: bool = False
    """Whether it is trained by passes over the log, which can be watched."""
    ordered: bool = False
    """Whether it says nothing without knowing what came after what."""
    rated: bool = False
    """Whether it foretells ratings, and says nothing where all are alike."""

    def config(self, **values: Any) -> Any:
        """A config with these fields and the defaults for the rest. Raises ConfigError for what cannot work."""
        return self.load()[0](**values)

    def make(self, config: Any = None, watch: Watch = unwatched) -> Model:
        """A model of ``config``, or of the default one, that has learned nothing yet: one of an empty catalogue.

        ``watch`` is told of every pass of a model that is trained by passes.
        """
        of_config, of_model = self.load()
        config = config if config is not None else of_config()
        return of_model(config, watch) if self.passes else of_model(config)


def _sequence() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.sequence import SequenceConfig, SequenceModel  # torch loads here, not with the package

    return SequenceConfig, SequenceModel


def _user_knn() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.user_knn import UserKNN, UserKNNConfig

    return UserKNNConfig, UserKNN


def _content() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.content import Content, ContentConfig

    return ContentConfig, Content


def _slim() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.slim import Slim, SlimConfig

    return SlimConfig, Slim


def _als() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.als import Als, AlsConfig

    return AlsConfig, Als


def _bpr() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.bpr import Bpr, BprConfig

    return BprConfig, Bpr


def _svd() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.svd import Svd, SvdConfig

    return SvdConfig, Svd


def _svd_plus_plus() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.svdpp import SvdPlusPlus, SvdPlusPlusConfig

    return SvdPlusPlusConfig, SvdPlusPlus


def _time_factors() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.time_factors import TimeFactors, TimeFactorsConfig

    return TimeFactorsConfig, TimeFactors


def _lightgcn() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.lightgcn import LightGCN, LightGCNConfig

    return LightGCNConfig, LightGCN


def _neumf() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.neumf import NeuMF, NeuMFConfig

    return NeuMFConfig, NeuMF


def _deepfm() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.deepfm import DeepFM, DeepFMConfig

    return DeepFMConfig, DeepFM


def _gru4rec() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.gru4rec import GRU4Rec, GRU4RecConfig

    return GRU4RecConfig, GRU4Rec


def _youtube() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.youtube import YouTube, YouTubeConfig

    return YouTubeConfig, YouTube


def _ensemble() -> tuple[Callable[..., Any], Callable[..., Model]]:
    from longgame.models.ensemble import Ensemble, EnsembleConfig

    return EnsembleConfig, partial(Ensemble, _member)


def _member(name: str, values: Mapping[str, Any]) -> Model:
    if name not in MODELS:
        raise ConfigError(f"EnsembleConfig.members: knows {', '.join(MODELS)}, got {name!r}")
    return MODELS[name].make(MODELS[name].config(**values))


MODELS: dict[str, Kind] = {
    "popularity": Kind(lambda: (PopularityConfig, Popularity), "popularity"),
    "item-knn": Kind(lambda: (ItemKNNConfig, ItemKNN), "recency item-kNN"),
    "user-knn": Kind(_user_knn, "user-kNN"),
    "content": Kind(_content, "text vectors near the history's"),
    "ease": Kind(lambda: (EaseConfig, Ease), "EASE"),
    "slim": Kind(_slim, "SLIM"),
    "als": Kind(_als, "implicit ALS"),
    "bpr": Kind(_bpr, "BPR", passes=True),
    "svd": Kind(_svd, "SVD of ratings", passes=True, rated=True),
    "svd-plus-plus": Kind(_svd_plus_plus, "SVD++", passes=True, rated=True),
    "time-factors": Kind(_time_factors, "rating factors that move with time", passes=True, rated=True),
    "sequence": Kind(_sequence, "attention over the history", passes=True, ordered=True),
    "lightgcn": Kind(_lightgcn, "LightGCN", passes=True),
    "neumf": Kind(_neumf, "NeuMF, factors beside a perceptron", passes=True),
    "deepfm": Kind(_deepfm, "DeepFM, fields multiplied and mixed", passes=True),
    "gru4rec": Kind(_gru4rec, "GRU4Rec, a recurrent network over the history", passes=True, ordered=True),
    "youtube": Kind(_youtube, "YouTube's two stages, candidates and ranking", passes=True, ordered=True),
    "ensemble": Kind(_ensemble, "several models, weighed", passes=True),
}
"""Name -> how to make one."""


def unfit(name: str, log: Interactions) -> str:
    """Why a model cannot say anything on this log; empty where it can."""
    if MODELS[name].ordered and not log.ordered:
        return "the log has no times, so no order"
    if MODELS[name].rated and len(np.unique(log.value)) < 2:
        return "nothing is rated"
    return ""


__all__ = ["MODELS", "Ease", "EaseConfig", "ItemKNN", "ItemKNNConfig", "Kind", "Popularity", "PopularityConfig", "unfit"]
