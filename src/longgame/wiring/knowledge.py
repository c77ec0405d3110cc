"""What is known beforehand, in a product's folder: the graph that is kept, its vectors beside the texts', rules over both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longgame.artefacts import digest, load, save
from longgame.errors import ArtefactError, ConfigError
from longgame.guards import Ruled
from longgame.knowledge.agreement import Agreement, agreement
from longgame.knowledge.book import Facts, Rulebook
from longgame.knowledge.columns import RECIPE, rule_columns
from longgame.knowledge.graph import Graph, keep, kept
from longgame.knowledge.rules import parse
from longgame.knowledge.vectors import GraphVectors, VectorConfig, embed
from longgame.language.features import Features
from longgame.protocols import EventStore
from longgame.settings import Settings
from longgame.types import Event, Item, ItemId
from longgame.wiring.reading_kept import facts_read

AGREES = 0.01
"""Share of joins at random that may agree with the items' attributes as well as the given one, at most."""
_CHUNK = 10_000


@dataclass(frozen=True)
class Told:
    """What is known of a graph and of how it fits the log."""

    facts: int
    """As stated."""
    once: int
    """Without those that say others backwards."""
    entities: int
    relations: int
    items: int
    """Of the catalogue."""
    linked: int
    """Of them with an entity."""
    left_out: tuple[str, ...]
    """Relations that say what users did."""
    agreement: Agreement | None
    """None where the items have no attributes that could tell."""

    @property
    def doubtful(self) -> bool:
        """Whether the graph seems to be joined to the wrong items."""
        return self.agreement is not None and self.agreement.p > AGREES


def graph_path(settings: Settings) -> Path:
    return Path(settings.data.folder) / "knowledge" / "graph.safetensors"


def graph_of(settings: Settings) -> Graph | None:
    """The graph that is kept; None where there is none."""
    return kept(graph_path(settings))


def trusted(settings: Settings, items: Sequence[Item]) -> Graph | None:
    """The graph that is kept, where it does not seem to be joined to the wrong items: what it says is said to people."""
    graph = graph_of(settings)
    if graph is None or not {item.id for item in items}.intersection(graph.items):
        return None
    fits = agreement(vectors_of(settings, graph), {item.id: item.attributes for item in items})
    return None if fits is not None and fits.p > AGREES else graph


def source_of(settings: Settings) -> str | None:
    """Where the graph that is kept came from; None where there is none."""
    path = graph_path(settings)
    return str(load(path)[1].get("source", "")) if path.exists() else None


def keep_graph(settings: Settings, store: EventStore, graph: Graph, source: str) -> Told:
    """Keep ``graph`` in the place of the one that was, without what it says of users' deeds."""
    leaks = graph.leaks(pairs(store))
    clean = graph.without(leaks) if leaks else graph
    keep(clean, graph_path(settings), {"source": source, "left_out": list(leaks)})
    return told(settings, store, clean, leaks)


def told(settings: Settings, store: EventStore, graph: Graph, leaks: tuple[str, ...] = ()) -> Told:
    items = list(store.items())
    ids = {item.id for item in items}
    linked = sum(item in ids for item in graph.items)
    fits = agreement(vectors_of(settings, graph), {item.id: item.attributes for item in items}) if linked else None
    return Told(len(graph), len(graph.once()), len(graph.entities), len(graph.relations), len(items), linked, leaks, fits)


def pairs(store: EventStore) -> Iterable[tuple[str, ItemId]]:
    """User and item of every event."""
    after = 0
    while True:
        records, end = store.read(after, _CHUNK)
        if end == after:
            return
        yield from ((record.user, record.item) for _, record in records if isinstance(record, Event))
        after = end


def vectors_of(settings: Settings, graph: Graph) -> GraphVectors:
    """Made once for a graph and a configuration, and kept beside it."""
    config = VectorConfig(settings.knowledge.width)
    version = f"{graph.version}+{config.version}"
    path = graph_path(settings).with_name(f"vectors-{version}.safetensors")
    if path.exists():
        try:
            arrays, about = load(path)
            if about.get("version") == version and len(arrays["vectors"]) == len(graph.items):
                return GraphVectors(version, graph.items, np.asarray(arrays["vectors"], np.float32))
        except (ArtefactError, KeyError):
            path.unlink()  # half a file: made again below
    made = embed(graph, config)
    save(path, {"vectors": made.vectors}, {"version": version})
    return made


def joined(settings: Settings, text: Features) -> Features:
    """The texts' vectors with the graph's beside them, where the settings want them; both are unit rows or zeros.

    Raises ConfigError where they want a graph and none is kept.
    """
    if not settings.knowledge.use:
        return text
    graph = graph_of(settings)
    if graph is None:
        raise ConfigError(
            f"knowledge.use is true, and {graph_path(settings)} does not exist: run `longgame knowledge PATH` on the facts, or "
            "set knowledge.use = false"
        )
    return _beside(text, vectors_of(settings, graph), settings.knowledge.weight)


def tagged(settings: Settings, text: Features) -> Features:
    """The same with what was read of the items beside, where the settings want it.

    Raises ConfigError where they do and nothing was read.
    """
    if not settings.reading.use:
        return text
    graph = facts_read(Path(settings.data.folder))
    if graph is None:
        raise ConfigError(
            "reading.use is true, and no tags or attributes were read: run `longgame understand --what tags,attributes`, or "
            "set reading.use = false"
        )
    return _beside(text, embed(graph, VectorConfig(settings.reading.width)), settings.reading.weight)


def _beside(text: Features, vectors: GraphVectors, weight: float) -> Features:
    both = np.concatenate([text.vectors, np.float32(weight) * vectors.rows(text.ids)], axis=1)
    return Features(f"{text.version}+{vectors.version}x{weight:g}", text.ids, both)


def without_leaks(settings: Settings, store: EventStore) -> None:
    """Raises ConfigError where the graph that is to be learned from says what users did: events that came after it show it."""
    lines = lines_of(settings) if settings.rules.use else []
    ruled = {name.removeprefix("~") for line in lines for name in parse(line).names}
    graph = graph_of(settings) if settings.knowledge.use or ruled else None
    leaks = graph.leaks(pairs(store)) if graph is not None else ()
    if leaks := tuple(name for name in leaks if settings.knowledge.use or name in ruled):
        raise ConfigError(
            f"{graph_path(settings)}: the facts must not say what users did, and {', '.join(leaks)} do: they are events of the "
            "log; run `longgame knowledge PATH` again, which leaves them out"
        )


def lines_of(settings: Settings) -> list[str]:
    """All rules of the settings, whatever their effect, in an order of their own."""
    return sorted({line for effect in (*Ruled.EFFECTS, "suggest") for line in getattr(settings.rules, effect)})


def _of_graph(items: Sequence[Item], names: Iterable[str]) -> set[str]:
    """Names that no item has as an attribute: the graph is asked for them."""
    return set(names) - {name for item in items for name in item.attributes}


def facts_of(settings: Settings, items: Sequence[Item], names: Iterable[str]) -> Facts:
    """Attributes of the items and, of what ``names`` asks for and no item has, what the graph says."""
    own = {item.id: item.attributes for item in items}
    missing = _of_graph(items, names)
    graph = graph_of(settings) if missing else None
    if graph is None:
        return own
    said = graph.facts([item.id for item in items])
    return {
        id: {**held, **{name: values for name, values in said.get(id, {}).items() if name in missing}}
        for id, held in own.items()
    }


def book_of(settings: Settings, effect: str, items: Sequence[Item]) -> Rulebook | None:
    """The rules of the settings with this effect, over the catalogue; None where there are none."""
    return _book(settings, getattr(settings.rules, effect), items, f"rules.{effect}")


def idle(settings: Settings, items: Sequence[Item], kinds: Collection[str]) -> list[str]:
    """Rules of the settings that never speak in this log, or of nothing, in words; ``kinds`` are those of its events."""
    out = []
    for effect in (*Ruled.EFFECTS, "suggest") if items else ():
        book = book_of(settings, effect, items)
        if book is None:
            continue
        for number, rule in enumerate(book.rules):
            wrong = book.unmet(number)
            if rule.kinds and not rule.kinds & set(kinds):
                there = ", ".join(sorted(kinds)) or "none"
                wrong.append(f"no event of the log is of the kind {' or '.join(sorted(rule.kinds))}; there are {there}")
            out += [f"rules.{effect}: {rule.text!r}: {one}" for one in wrong]
    return out


def _book(settings: Settings, texts: Sequence[str], items: Sequence[Item], where: str) -> Rulebook | None:
    rules = [parse(text) for text in texts]
    if not rules:
        return None
    names = {name for rule in rules for name in rule.names}
    return Rulebook(rules, facts_of(settings, items, names), where)


def with_rules(settings: Settings, text: Features, items: Sequence[Item]) -> Features:
    """The same with what all rules of the settings say of each item beside, where the settings want it.

    Raises ConfigError where they do and there is no rule. The version is that of the rules and of the graph that they ask, and
    not the catalogue's: a new item moves nothing of the others. What an effect a rule has and where it stands is none of its.
    """
    if not settings.rules.use:
        return text
    lines = lines_of(settings)
    book = _book(settings, lines, items, "rules")
    if book is None:
        raise ConfigError("rules.use is true, and there are no rules; write some in [rules], or set rules.use = false")
    s = settings.rules
    asked = _of_graph(items, {name for rule in book.rules for name in rule.names})
    graph = graph_of(settings) if asked else None
    names = "\n".join([*lines, *sorted(asked), graph.version if graph else ""])
    told = digest({"rules": np.frombuffer(names.encode(), np.uint8)})
    columns = np.float32(s.weight) * rule_columns(book, text.ids, s.width)
    return text.widened(f"{RECIPE}-{told}-{s.width}x{s.weight:g}", columns)


def ruled(settings: Settings, items: Sequence[Item]) -> tuple[Ruled, ...]:
    """The guards that the settings' rules make."""
    books = [(effect, book_of(settings, effect, items)) for effect in Ruled.EFFECTS]
    return tuple(Ruled(effect, book) for effect, book in books if book is not None)
