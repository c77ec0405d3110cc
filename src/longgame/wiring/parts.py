"""The parts of a recommender: made from a log, written to the registry, and read back as the same objects."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from longgame.algorithms.critic import network_config
from longgame.algorithms.linear_thompson import LinearThompsonConfig, LinearThompsonPolicy
from longgame.algorithms.rank import RankPolicy
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.algorithms.slateq import SlateQPolicy
from longgame.algorithms.wolpertinger import WolpertingerPolicy
from longgame.arrays import Interactions
from longgame.artefacts import Arrays, digest
from longgame.errors import ArtefactError, ConfigError
from longgame.guards import AlreadySeen, AtMost, Blocklist, InStock
from longgame.knowledge.book import Rulebook
from longgame.language import Features, Projection, reduce
from longgame.models import MODELS
from longgame.models.lift import Lifted
from longgame.models.sequence import SequenceConfig, SequenceModel
from longgame.models.stopping import Watch, unwatched
from longgame.networks import NetworkConfig
from longgame.profiles import Population, columns
from longgame.profiles import pairs as matched
from longgame.protocols import Guard, Model, Policy, Retriever, SlateRule
from longgame.retrieval.ann import choose_index
from longgame.retrieval.blend import Blend
from longgame.retrieval.ruled import RuleRetriever
from longgame.retrieval.sources import FreshRetriever, ModelRetriever, VectorRetriever
from longgame.settings import Settings
from longgame.types import Item, ItemId
from longgame.wiring.configs import Configs, as_json, from_json
from longgame.wiring.policies import POLICIES
from longgame.wiring.tracking import Track


@dataclass(frozen=True)
class Reader:
    """Text vectors -> item vectors: what the supervised model learned of an item, and what its text says, side by side.

    The learned half knows what is taken after what; the text half keeps what that does not need, such as quality,
    which a policy that looks further ahead does. It is the recipe of the features, the same for an item of tomorrow.
    """

    text: str
    """Version of the text vectors it reads."""
    projection: Projection
    sequence: SequenceModel
    traits: str = ""
    """Version of what is usual whose traits (``Population.traits``) stand behind the two halves; empty: none do."""

    @staticmethod
    def fit(text: Features, log: Interactions, width: int, config: SequenceConfig, watch: Watch = unwatched) -> Reader:
        projection = reduce(text, min(width, text.width - text.beside, max(len(text), 1)))
        sequence = SequenceModel(config, watch)
        sequence.fit(log, projection.apply(text.vectors))
        return Reader(text.version, projection, sequence)

    @property
    def width(self) -> int:
        """Of the two halves, without traits."""
        return self.sequence.config.width + int(self.projection.matrix.shape[1])

    def features(self, text: Features, usual: Population | None = None) -> Features:
        """Vectors of the whole catalogue, the items it was fitted on first.

        Raises ArtefactError where the text vectors, or what is ``usual``, are others than those that the recipe names.
        """
        if text.version != self.text:
            raise ArtefactError(f"features: were learned on text vectors {self.text}, got {text.version}; run `longgame train`")
        if self.traits and (usual is None or usual.version != self.traits):
            got = "nothing" if usual is None else usual.version
            raise ArtefactError(f"features: have traits of {self.traits}, got {got}; run `longgame train`")
        read = self.projection.apply(text.vectors)
        halves = [self.sequence.item_vectors(read), read]
        if self.traits and usual is not None:
            halves.append(usual.traits(text.ids))
        return Features(self.version, text.ids, np.concatenate(halves, axis=1))

    @property
    def version(self) -> str:
        told = f"{self.text}+{self.projection.version}+sequence-{digest(self.sequence.state_dict())}"
        return f"{told}+traits-{self.traits}" if self.traits else told

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        learned = {f"sequence.{k}": v for k, v in self.sequence.state_dict().items()}
        return {"projection.mean": self.projection.mean, "projection.matrix": self.projection.matrix, **learned}


def features_part(reader: Reader, features: Features) -> tuple[Arrays, Mapping[str, Any]]:
    """Arrays and JSON of a catalogue's vectors and of the reader that made them."""
    config = as_json(reader.sequence.config)
    about = {"text": reader.text, "config": config, "version": features.version, "ids": features.ids}
    about["traits"] = reader.traits
    return {**reader.arrays(), "vectors": features.vectors}, about


def load_features(arrays: Arrays, about: Mapping[str, Any]) -> tuple[Reader, Features]:
    """The inverse of :func:`features_part`."""
    sequence = SequenceModel(from_json("sequence", about["config"]))
    sequence.load_state_dict({k.removeprefix("sequence."): v for k, v in arrays.items() if k.startswith("sequence.")})
    projection = Projection(arrays["projection.mean"], arrays["projection.matrix"])
    reader = Reader(about["text"], projection, sequence, about.get("traits", ""))
    return reader, Features(about["version"], tuple(ItemId(i) for i in about["ids"]), np.array(arrays["vectors"], np.float32))


TEXTUAL = ("content", "deepfm", "ensemble", "popularity")
"""Models that place new items by their texts themselves, and the one that is for users without a history."""


@dataclass(frozen=True)
class Sources:
    """Fitted models and shares: what a retriever is made of, whatever the catalogue has grown to since."""

    models: Mapping[str, Model]
    configs: Mapping[str, Any]
    """The config that each model was made of."""
    shares: Mapping[str, float]
    fresh: np.ndarray[Any, np.dtype[np.int64]]
    """(n,) positions without an event when the models were fitted"""
    known: int
    """Items the models were fitted on."""
    lift: bool = False
    """Whether items without events are scored by their texts."""

    @staticmethod
    def fit(
        log: Interactions,
        text: Features,
        shares: Mapping[str, float],
        configs: Configs = Configs(),  # noqa: B008 - frozen
        track: Track = Track(),  # noqa: B008 - frozen
        lift: bool = False,
    ) -> Sources:
        """With ``lift``, items without events are scored by their texts by all models that know events alone."""
        wanted = [name for name, share in shares.items() if share > 0]
        # Popularity is what a user without history gets.
        names = dict.fromkeys([name for name in wanted if name in MODELS and name != "sequence"] + ["popularity"])
        made = {name: configs.config(name) for name in names}
        models = {name: _source(name, config, lift, track.watch(f"candidates/{name}")) for name, config in made.items()}
        for model in models.values():
            model.fit(log, text.vectors)
        met = np.bincount(log.item, minlength=len(log.items)) > 0
        return Sources(models, made, {n: shares[n] for n in wanted}, np.flatnonzero(~met), len(log.items), lift)

    def retriever(self, features: Features, sequence: Model, rules: tuple[Rulebook, float] | None = None) -> Retriever:
        """The blend over ``features``, which begin with the catalogue the models know. ``rules`` have a share of their own."""
        fresh = np.concatenate([self.fresh, np.arange(self.known, len(features))])
        parts: list[tuple[str, Retriever, float]] = []
        for name, share in {"popularity": min(self.shares.values()) / 4, **self.shares}.items():
            if name == "near":
                parts.append((name, VectorRetriever(features, choose_index(features.vectors)), share))
            elif name == "fresh":
                parts.append((name, FreshRetriever(features, fresh), share))
            else:
                model = sequence if name == "sequence" else self.models[name]
                parts.append((name, ModelRetriever(model, features, self._version(name)), share))
        if rules is not None:
            prior = self.models["popularity"].score(np.full((1, 1), -1, np.int64))[0]
            parts.append(("rules", RuleRetriever(rules[0], features, prior), rules[1]))
        return Blend(parts)

    def _version(self, name: str) -> str:
        """Names a model that has another config than the default: it may score otherwise with the same arrays."""
        config = self.configs.get(name)
        if config is None or config == MODELS[name].config():
            return ""
        told = np.frombuffer(json.dumps(as_json(config), sort_keys=True).encode(), np.uint8)
        return f"{name}-{digest({**self.models[name].state_dict(), 'its config': told})}"

    def part(self) -> tuple[Arrays, Mapping[str, Any]]:
        """Arrays and JSON of the fitted models."""
        arrays = {f"{name}.{key}": a for name, model in self.models.items() for key, a in model.state_dict().items()}
        configs = {name: as_json(config) for name, config in self.configs.items()}
        about = {"models": list(self.models), "configs": configs, "shares": dict(self.shares), "known": self.known}
        about["lift"] = self.lift
        return {**arrays, "fresh": self.fresh}, about

    @staticmethod
    def load(arrays: Arrays, about: Mapping[str, Any]) -> Sources:
        """The inverse of :meth:`part`."""
        models = {}
        written = about.get("configs", {})  # a snapshot of before they were written down has the defaults
        configs = {name: from_json(name, written.get(name, {})) for name in about["models"]}
        lift = bool(about.get("lift", False))
        for name, config in configs.items():
            models[name] = _source(name, config, lift)
            models[name].load_state_dict({k.removeprefix(f"{name}."): v for k, v in arrays.items() if k.startswith(f"{name}.")})
        return Sources(models, configs, about["shares"], np.array(arrays["fresh"], np.int64), about["known"], lift)


def _source(name: str, config: Any, lift: bool, watch: Watch = unwatched) -> Model:
    """One that has learned nothing yet."""
    make = partial(MODELS[name].make, config, watch)
    return Lifted(make, getattr(config, "seed", 0)) if lift and name not in TEXTUAL else make()


def load_policy(arrays: Arrays, about: Mapping[str, Any]) -> Policy:
    """The policy that ``policy.about()`` and ``policy.state_dict()`` describe."""
    kind = about.get("kind")
    if kind == "network":
        return NetworkPolicy(network_config(about["network"]), arrays, about["name"])
    if kind == "linear-thompson":
        return LinearThompsonPolicy(LinearThompsonConfig(**about["config"]), np.array(arrays["draws"], np.float32))
    if kind == "rank":
        return RankPolicy(about["sharpness"])
    if kind == "slateq":
        said = {name: about[name] for name in ("network", "slots", "way")}
        return SlateQPolicy({**said, "critics": about.get("critics", 1)}, arrays)
    if isinstance(kind, str) and kind in POLICIES:
        return POLICIES[kind](arrays, about)
    if kind == "wolpertinger":
        return WolpertingerPolicy({name: about[name] for name in ("name", "network", "near", "slots")}, arrays)
    raise ArtefactError(f"policy: longgame knows no policy of kind {kind!r}; it is of another version")


def policy_network(
    reader: Reader, context: int, usual: Population | None = None, profile: bool = True
) -> tuple[NetworkConfig, Arrays]:
    """The network of the supervised model as the start of a policy, with room for the text half and ``context`` features.

    All weights of those start at zero, so the policy begins as the supervised model, to the last preference. Where the item
    vectors have traits of what is ``usual``, it begins as that and, added to it, what an item is expected to be worth to the
    user by the ``profile`` at the end of the context; without one, to anybody.
    """
    learned = reader.sequence.config.network()
    traits = 0
    pairs: tuple[tuple[int, int], ...] = ()
    if reader.traits:
        assert usual is not None and usual.version == reader.traits
        traits = usual.traits([]).shape[1]
        pairs = matched(usual, context - len(columns(usual)), reader.width) if profile else ()
        pairs = (*pairs, (-1, reader.width + traits - 1))
    config = replace(learned, width=reader.width + traits, context=context, dropout=0.0, pairs=pairs)
    arrays = dict(reader.sequence.network_arrays())
    for name in ("enter.weight", "item.weight", "appeal.0.weight"):
        arrays[name] = np.pad(arrays[name], ((0, 0), (0, config.width - learned.width)))
    if context:
        arrays["context.weight"] = np.zeros((config.hidden, context), np.float32)
    if pairs:
        arrays["match"] = np.ones(len(pairs), np.float32)
    return config, arrays


def guards_of(settings: Settings, items: Sequence[Item]) -> tuple[tuple[Guard, ...], tuple[SlateRule, ...]]:
    """The rules of the settings, over the catalogue in its order.

    Raises ConfigError where one names an attribute that no item has: it would never refuse anything, and nobody would know.
    """
    s = settings.guards
    named = {f"guards.at_most.{name}": name for name in s.at_most} | ({"guards.in_stock": s.in_stock} if s.in_stock else {})
    held = sorted({name for item in items for name in item.attributes}) if named else []
    for key, name in named.items() if items else ():
        if name not in held:
            near = difflib.get_close_matches(name, held, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(
                f"{key}: must name an attribute of the items, got {name!r}; they have {', '.join(held) or 'none'}; "
                f"{hint}correct the settings, or import items that have it"
            )
    guards: list[Guard] = []
    if s.already_seen:
        guards.append(AlreadySeen(frozenset(s.seen_kinds) or None))
    if s.blocklist:
        guards.append(Blocklist(ItemId(i) for i in s.blocklist))
    if s.in_stock:
        guards.append(InStock(items, s.in_stock))
    return tuple(guards), tuple(AtMost(items, name, limit) for name, limit in s.at_most.items())
