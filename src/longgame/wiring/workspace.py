"""One product's longgame: its log, its registry, its vectors, and the recommender that is live."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from longgame.arrays import Interactions
from longgame.artefacts import Arrays
from longgame.errors import ArtefactError, ConfigError
from longgame.language import Features, VectorCache, understand
from longgame.learning.gate import Gate
from longgame.learning.learner import LearnerConfig
from longgame.learning.publish import Registry, Snapshot
from longgame.profiles import Population, ProfileConfig, Tags, columns
from longgame.profiles.tags import Read
from longgame.protocols import EventStore, Policy
from longgame.recommender import Recommender
from longgame.settings import Settings
from longgame.settings.show import secret
from longgame.slate import Exploration
from longgame.store import open_store
from longgame.types import Event, Item
from longgame.wiring.aspects import Aspects, heard, names_of, reader_of
from longgame.wiring.budget import Budget
from longgame.wiring.knowledge import book_of, joined, ruled, tagged, with_rules
from longgame.wiring.language import described, language_model
from longgame.wiring.ledgers import entered, used_by
from longgame.wiring.parts import Reader, Sources, features_part, guards_of, load_features, load_policy
from longgame.wiring.pictures import fused
from longgame.wiring.reading_kept import tags_read
from longgame.wiring.reviews import Voices, asked_of, hear, readers_of

_EVENTS = 500_000
"""Newest events that tell what is usual, at most."""

OnProgress = Callable[[int, int], None]


def one_thread() -> None:
    """One thread a process for torch and numpy: with two, another busy process slows both a hundredfold.

    The one place where it is set.
    """
    from threadpoolctl import threadpool_limits

    if find_spec("torch") is not None:  # what needs no network runs without it
        import torch

        torch.set_num_threads(1)
    threadpool_limits(1)


def exploration(settings: Settings) -> Exploration:
    return Exploration(settings.policy.temperature, settings.policy.uniform)


def gate(settings: Settings) -> Gate:
    s = settings.gate
    return Gate(s.confidence, s.min_effective_n, s.margin)


def learner_config(settings: Settings) -> LearnerConfig:
    s = settings.learner
    return LearnerConfig(s.block, s.updates, s.batch, s.memory, s.judged, s.holdout, settings.policy.seed)


@dataclass(frozen=True)
class Loaded:
    """The parts of a snapshot, as objects."""

    snapshot: Snapshot
    reader: Reader
    sources: Sources
    recommender: Recommender
    algorithm: Arrays = field(default_factory=dict)
    """State of what learned the policy; empty where nothing did."""
    learned_by: str = ""
    """The algorithm whose state that is, as ``policy.algorithm`` names it."""


@dataclass(frozen=True)
class Workspace:
    """Where everything of one product is. Opened with :func:`workspace`."""

    settings: Settings
    store: EventStore
    registry: Registry
    cache: VectorCache

    def text(self, on_progress: OnProgress | None = None, opinions: bool = True) -> Features:
        """Text vectors of every item, with what pictures, a graph, tags, rules and reviews say where the settings want that.

        What was read before is not read again.
        """
        items, model = list(self.store.items()), language_model(self.settings)
        bound = Budget(None, on_progress or (lambda done, total: None))
        with entered(self.settings, "vectors", lambda: model.name, lambda: used_by([model], bound), bound):
            read = understand(items, model, self.cache, bound)
            read = described(self.settings, items, read, self.cache, model, bound, opinions)
        told = tagged(self.settings, joined(self.settings, fused(self.settings, read, items, self.cache)))
        told = with_rules(self.settings, told, items)
        if not opinions or not self.settings.reviews.features:
            return told
        voices, aspects = self._opinions(self.settings.reviews.aspects != ())
        told = voices.beside(told)
        return told if aspects is None else aspects.beside(told)

    def voices(self) -> Voices:
        """What the log's reviews say. Raises DataError where there is nothing to learn it from."""
        return self._opinions(False)[0]

    def _opinions(self, aspects: bool) -> tuple[Voices, Aspects | None]:
        """On the whole and of aspects, by one server where one reads them: its bounds hold for both."""
        server, bound = asked_of(self.settings), Budget(None)
        readers = readers_of(self.settings, server=server)
        name, models = names_of(self.settings, readers, server), [*readers, server]
        with entered(self.settings, "reviews", lambda: name, lambda: used_by(models, bound), bound):
            voices = hear(self.settings, self.events(), self.cache, readers, bound)
            if not aspects:
                return voices, None
            reader = reader_of(self.settings, server)
            return voices, heard(self.settings, self.events(), voices, self.cache, reader, bound)

    def said(self) -> Mapping[str, float]:
        """What texts are worth, by event id; empty where the objective does not go by them."""
        return self.voices().said if self.settings.objective.by_text else {}

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
            raise ConfigError(f"the log {secret(self.settings.store.url)} holds no items; run `longgame import PATH` first")
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
        names = tuple(snapshot.recommender["context"])
        if names != self.settings.context.names:
            wanted = ", ".join(self.settings.context.names) or "nothing"
            raise ArtefactError(
                f"snapshot {snapshot.number}: learned with the context {', '.join(names) or 'nothing'}, the settings say "
                f"{wanted}; set context.names back, or run `longgame train` on a new log"
            )
        in_state = bool(snapshot.recommender.get("profile", False))
        if in_state != self.settings.profile.in_state:
            raise ArtefactError(
                f"snapshot {snapshot.number}: its policy {'reads' if in_state else 'does not read'} profiles, the settings say "
                "otherwise; set profile.in_state back, or run `longgame train` on a new log"
            )
        held = items if items is not None else list(self.store.items())
        profiles = Population.load(*parts["profiles"], held, self.read()) if "profiles" in parts else None
        made = self.recommender(reader, features, sources, policy, held, profiles)
        explore = Exploration(**snapshot.recommender["explore"])
        state, about = parts.get("algorithm", ({}, {}))
        return Loaded(snapshot, reader, sources, replace(made, explore=explore), state, about.get("kind", ""))

    def loggers(self, versions: Iterable[str]) -> dict[str, Loaded]:
        """The newest snapshot of each policy named that the registry still has, loaded: what made those decisions."""
        wanted, found = set(versions), dict[str, Loaded]()
        for snapshot in reversed(self.registry.history()):
            if snapshot.policy in wanted - found.keys():
                loaded = self.load(snapshot)
                assert loaded is not None
                found[snapshot.policy] = loaded
        return found

    def recommender(
        self,
        reader: Reader,
        features: Features,
        sources: Sources,
        policy: Policy,
        items: list[Item] | None = None,
        profiles: Population | None = None,
    ) -> Recommender:
        """The parts, put together as the settings say."""
        place = {id: row for row, id in enumerate(features.ids)}
        held = items if items is not None else list(self.store.items())
        known = sorted((i for i in held if i.id in place), key=lambda i: place[i.id])
        guards, rules = guards_of(self.settings, known)
        suggested = book_of(self.settings, "suggest", known)
        extra = (suggested, self.settings.rules.share) if suggested is not None else None
        return Recommender(
            features,
            sources.retriever(features, reader.sequence, extra),
            policy,
            (*guards, *ruled(self.settings, known)),
            rules,
            exploration(self.settings),
            self.settings.retrieval.candidates,
            self.settings.policy.steps,
            self.width(profiles),
            self.settings.policy.seed,
            profiles,
            self.settings.profile.in_state,
        )

    def width(self, profiles: Population | None) -> int:
        """F, numbers of a context: those of a request, and those of its user's profile where the policy reads it."""
        read = profiles is not None and self.settings.profile.in_state
        return len(self.settings.context.names) + (len(columns(profiles)) if read and profiles is not None else 0)

    def read(self) -> Read:
        """Tags that a language model read of items; none where it read none."""
        return tags_read(self.settings)

    def population(self) -> Population:
        """What was usual when the live policy was trained, over today's catalogue. Raises ArtefactError where there is none."""
        snapshot = self.registry.current()
        if snapshot is None or "profiles" not in snapshot.parts:
            raise ArtefactError("profiles: nothing was learned of what is usual yet; run `longgame train`")
        return Population.load(*self.registry.get(snapshot.parts["profiles"]), self.store.items(), self.read())

    def profiles(self, live: Population | None = None) -> Population:
        """What is usual in the newest events. Its tags are those of ``live``: a policy's context keeps its columns."""
        s = self.settings.profile
        config = ProfileConfig.told(
            self.settings.objective.build(),
            rated=frozenset(s.rated),
            by_text=frozenset(s.by_text),
            half_life=s.half_life,
            shrink=s.shrink,
            tags=s.tags,
            tastes=s.tastes,
        )
        items, read = list(self.store.items()), self.read()
        tags = Tags.like(live.tags.chosen, items, read) if live is not None else Tags.of(items, s.tags, read=read)
        said = self.voices().said if s.by_text else {}
        return Population.fit(config, tags, deque(self.events(), _EVENTS), self.store.users(), live, said)

    def publish(
        self,
        reader: Reader,
        features: Features,
        sources: Sources,
        policy: Policy,
        proof: Mapping[str, Any],
        cursor: int,
        algorithm: Arrays | None = None,
        profiles: Population | None = None,
    ) -> Snapshot:
        """Write the parts that are not there yet and make them live; ``cursor`` is how far the log was learned from.

        ``algorithm`` is the state of what learned the policy, for the learner that goes on from here.
        """
        parts = {
            "features": self.registry.put("features", *features_part(reader, features)),
            "retriever": self.registry.put("retriever", *sources.part()),
            "policy": self.registry.put("policy", policy.state_dict(), policy.about()),
        }
        if algorithm is not None:
            parts["algorithm"] = self.registry.put("algorithm", algorithm, {"kind": self.settings.policy.algorithm})
        if profiles is not None:
            parts["profiles"] = self.registry.put("profiles", *profiles.part())
        how = {
            "explore": asdict(exploration(self.settings)),
            "steps": self.settings.policy.steps,
            "context": self.settings.context.names,
            "profile": self.settings.profile.in_state,
            "cursor": cursor,
            "catalogue": self.catalogue(),
        }
        return self.registry.publish(Snapshot(policy.version, parts, how, dict(proof)))

    def catalogue(self) -> str:
        """Names the contents of all items: another text, price or stock is another name."""
        hasher = blake2b(digest_size=8)
        for item in self.store.items():
            hasher.update(repr((item.id, item.text, sorted(item.attributes.items()), sorted(item.media.items()))).encode())
        return hasher.hexdigest()


@contextmanager
def workspace(settings: Settings) -> Iterator[Workspace]:
    """Open everything; closes the log at the end."""
    folder = Path(settings.data.folder)
    store = open_store(settings.store.url)
    try:
        yield Workspace(settings, store, Registry(folder / "registry"), VectorCache(folder / "vectors"))
    finally:
        store.close()
