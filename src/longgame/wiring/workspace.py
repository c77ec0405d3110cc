"""One product's longgame: its log, its registry, its vectors, and the recommender that is live."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.language import Features, VectorCache, understand
from longgame.learning.gate import Gate
from longgame.learning.learner import LearnerConfig
from longgame.learning.publish import Registry, Snapshot
from longgame.protocols import EventStore, Policy
from longgame.recommender import Recommender
from longgame.settings import Settings
from longgame.slate import Exploration
from longgame.store import open_store
from longgame.types import Event, Item
from longgame.wiring.language import language_model
from longgame.wiring.parts import Reader, Sources, features_part, guards_of, load_features, load_policy

OnProgress = Callable[[int, int], None]


def one_thread() -> None:
    """One thread a process for torch and numpy: with two, another busy process slows both a hundredfold.

    The one place where it is set.
    """
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1)


def exploration(settings: Settings) -> Exploration:
    return Exploration(settings.policy.temperature, settings.policy.uniform)


def gate(settings: Settings) -> Gate:
    s = settings.gate
    return Gate(s.confidence, s.min_effective_n, s.margin)


def learner_config(settings: Settings) -> LearnerConfig:
    s = settings.learner
    return LearnerConfig(s.block, s.updates, s.batch, s.memory, s.holdout, settings.policy.seed)


@dataclass(frozen=True)
class Loaded:
    """The parts of a snapshot, as objects."""

    snapshot: Snapshot
    reader: Reader
    sources: Sources
    recommender: Recommender


@dataclass(frozen=True)
class Workspace:
    """Where everything of one product is. Opened with :func:`workspace`."""

    settings: Settings
    store: EventStore
    registry: Registry
    cache: VectorCache

    def text(self, on_progress: OnProgress | None = None) -> Features:
        """Text vectors of every item in the log. What was read before is not read again."""
        return understand(self.store.items(), language_model(self.settings), self.cache, on_progress)

    def events(self, chunk: int = 10_000) -> Iterator[Event]:
        """Every event of the log, feedback included, in commit order."""
        after = 0
        while True:
            records, end = self.store.read(after, chunk)
            if end == after:
                return
            yield from (record for _, record in records if isinstance(record, Event))
            after = end

    def interactions(self, text: Features) -> Interactions:
        """The log as columns over the catalogue of ``text``. Raises ConfigError where there is nothing to learn from."""
        log = Interactions.of(self.events(), text.ids)
        if not len(text):
            raise ConfigError(f"train: the log {self.settings.store.url} holds no items; run `longgame import PATH` first")
        return log

    def load(self, snapshot: Snapshot | None = None, items: list[Item] | None = None) -> Loaded | None:
        """The recommender of ``snapshot``, or of the live one; None where nothing is published yet."""
        snapshot = snapshot or self.registry.current()
        if snapshot is None:
            return None
        parts = {part: self.registry.get(name) for part, name in snapshot.parts.items()}
        reader, features = load_features(*parts["features"])
        sources = Sources.load(*parts["retriever"])
        policy = load_policy(*parts["policy"])
        return Loaded(snapshot, reader, sources, self.recommender(reader, features, sources, policy, items))

    def recommender(
        self, reader: Reader, features: Features, sources: Sources, policy: Policy, items: list[Item] | None = None
    ) -> Recommender:
        """The parts, put together as the settings say."""
        place = {id: row for row, id in enumerate(features.ids)}
        held = items if items is not None else list(self.store.items())
        known = sorted((i for i in held if i.id in place), key=lambda i: place[i.id])
        guards, rules = guards_of(self.settings, known)
        return Recommender(
            features,
            sources.retriever(features, reader.sequence),
            policy,
            guards,
            rules,
            exploration(self.settings),
            self.settings.retrieval.candidates,
            self.settings.policy.steps,
            len(self.settings.context.names),
            self.settings.policy.seed,
        )

    def publish(
        self, reader: Reader, features: Features, sources: Sources, policy: Policy, proof: Mapping[str, Any], cursor: int
    ) -> Snapshot:
        """Write the parts that are not there yet and make them live; ``cursor`` is how far the log was learned from."""
        parts = {
            "features": self.registry.put("features", *features_part(reader, features)),
            "retriever": self.registry.put("retriever", *sources.part()),
            "policy": self.registry.put("policy", policy.state_dict(), policy.about()),
        }
        how = {"explore": asdict(exploration(self.settings)), "steps": self.settings.policy.steps, "cursor": cursor}
        return self.registry.publish(Snapshot(policy.version, parts, how, dict(proof)))


@contextmanager
def workspace(settings: Settings) -> Iterator[Workspace]:
    """Open everything; closes the log at the end."""
    folder = Path(settings.data.folder)
    store = open_store(settings.store.url)
    try:
        yield Workspace(settings, store, Registry(folder / "registry"), VectorCache(folder / "vectors"))
    finally:
        store.close()
