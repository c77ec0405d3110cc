"""A knowledge graph as columns: facts about things, and which of the things are items of the catalogue.

A fact is a triple: head, relation, tail ("Heat", "directed by", "Michael Mann"). A graph says what is true of items whoever
looks at them. What users did is in the log and must not come in by this door: see :meth:`Graph.leaks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from longgame.artefacts import digest, load, save
from longgame.errors import ArtefactError, DataError
from longgame.shapes import check
from longgame.types import I64, Bool, ItemId

SCHEMA = 1
INVERSE = 0.9
"""Share of a relation's facts that another must state the other way round to be the same relation, said backwards."""
LEAK = 0.05
"""Share of a relation's facts that are events of the log from which on the relation is what users did."""


@dataclass(frozen=True, eq=False)
class Graph:
    """N facts between E entities by R relations. Entities come before they are asked for by name, each once."""

    entities: tuple[str, ...]
    relations: tuple[str, ...]
    triples: I64
    """(N, 3) head, relation, tail"""
    items: tuple[ItemId, ...]
    """The items that have an entity."""
    entity: I64
    """(n,) the entity of each of them"""

    def __post_init__(self) -> None:
        check({"n": len(self.items), "3": 3}, ("Graph.triples", self.triples, "N 3"), ("Graph.entity", self.entity, "n"))
        for what, column, count in (
            ("triples", self.triples[:, [0, 2]], len(self.entities)),
            ("triples", self.triples[:, 1], len(self.relations)),
            ("entity", self.entity, len(self.entities)),
        ):
            if column.size and not 0 <= column.min() <= column.max() < count:
                raise DataError(f"Graph.{what}: must be places in {count}, got {column.min()} to {column.max()}")
        if len(set(self.items)) != len(self.items):
            raise DataError("Graph.items: every item must have one entity, got an item twice")

    def __len__(self) -> int:
        return len(self.triples)

    @staticmethod
    def of(triples: Iterable[tuple[str, str, str]], links: Mapping[ItemId, str] | None = None) -> Graph:
        """From names. Without ``links`` an item's entity is the one that has its id, whichever the catalogue then names.

        A fact stated twice counts once. An item whose entity no fact names is left out.
        """
        entities: dict[str, int] = {}
        relations: dict[str, int] = {}
        rows = dict.fromkeys(
            (
                entities.setdefault(head, len(entities)),
                relations.setdefault(relation, len(relations)),
                entities.setdefault(tail, len(entities)),
            )
            for head, relation, tail in triples
        )
        named = links if links is not None else {ItemId(name): name for name in entities}
        linked = {item: entities[name] for item, name in named.items() if name in entities}
        places = np.array(list(linked.values()), np.int64)
        return Graph(tuple(entities), tuple(relations), np.array(list(rows), np.int64).reshape(-1, 3), tuple(linked), places)

    @property
    def version(self) -> str:
        """Names the contents."""
        names = np.frombuffer("\x1f".join((*self.entities, "", *self.relations, "", *self.items)).encode(), np.uint8)
        return f"graph-{digest({'triples': self.triples, 'entity': self.entity, 'names': names})}"

    def without(self, relations: Iterable[str]) -> Graph:
        """The same entities and items without the facts of some relations."""
        gone = [row for row, name in enumerate(self.relations) if name in set(relations)]
        kept = self.triples[~np.isin(self.triples[:, 1], gone)]
        return Graph(self.entities, self.relations, kept, self.items, self.entity)

    def once(self) -> Graph:
        """Without the relations that say others backwards ("film of" beside "actor in"): they add no fact.

        Of two that are each other's inverse the one with more facts stays, of equals the first by name.
        """
        count = np.bincount(self.triples[:, 1], minlength=len(self.relations))
        order = sorted(range(len(self.relations)), key=lambda r: (-count[r], self.relations[r]))
        kept: list[set[tuple[int, int]]] = []
        gone = []
        for relation in order:
            rows = self.triples[self.triples[:, 1] == relation]
            backwards = {(int(tail), int(head)) for head, _, tail in rows}
            if backwards and any(len(backwards & other) >= INVERSE * len(backwards) for other in kept):
                gone.append(self.relations[relation])
            else:
                kept.append({(tail, head) for head, tail in backwards})
        return self.without(gone)

    def leaks(self, pairs: Iterable[tuple[str, ItemId]]) -> tuple[str, ...]:
        """Relations that say what users did: ``pairs`` are the (user, item) of the log's events.

        A relation leaks where one fact in twenty or more is an event, in either direction: by chance it is the density of
        the log at most, and only where users and entities have names in common.
        """
        items_of = self._items_of(self.items)
        did = set(pairs)
        hits = np.zeros(len(self.relations), np.int64)
        for head, relation, tail in self.triples.tolist():
            for one, other in ((head, tail), (tail, head)):
                if any((self.entities[one], item) in did for item in items_of.get(other, ())):
                    hits[relation] += 1
                    break
        count = np.bincount(self.triples[:, 1], minlength=len(self.relations))
        found: Bool = (hits > 0) & (hits >= LEAK * count)
        return tuple(self.relations[row] for row in np.flatnonzero(found).tolist())

    def _items_of(self, ids: Sequence[ItemId]) -> dict[int, list[ItemId]]:
        """Entity -> the items that it is, of those asked for: editions of one thing share an entity."""
        wanted = set(ids)
        out: dict[int, list[ItemId]] = {}
        for item, entity in zip(self.items, self.entity.tolist(), strict=True):
            if item in wanted:
                out.setdefault(entity, []).append(item)
        return out

    def facts(self, ids: Sequence[ItemId]) -> dict[ItemId, dict[str, tuple[str, ...]]]:
        """Relation -> what is said of each item by it, items by their id and other entities by their name.

        Facts whose tail is the item are under the relation's name with ``~`` before it.
        """
        items_of = self._items_of(ids)
        out: dict[ItemId, dict[str, list[str]]] = {}
        for head, relation, tail in self.triples.tolist():
            for one, other, name in ((head, tail, self.relations[relation]), (tail, head, f"~{self.relations[relation]}")):
                for item in items_of.get(one, ()):
                    out.setdefault(item, {}).setdefault(name, []).extend(items_of.get(other) or [self.entities[other]])
        return {item: {name: tuple(values) for name, values in held.items()} for item, held in out.items()}

    def said(self, names: Mapping[ItemId, str]) -> dict[ItemId, dict[str, tuple[tuple[str, bool], ...]]]:
        """Relation -> what is said by it of each item that is its head: words, and whether they are the name of an item.

        ``names`` are of all items there are; an item that has none is not told.
        """
        items_of = self._items_of(list(names))
        out: dict[ItemId, dict[str, list[tuple[str, bool]]]] = {}
        for head, relation, tail in self.triples.tolist():
            if head in items_of:
                items = items_of.get(tail, [])
                told = [(names[item], True) for item in items if names[item]] if items else [(self.entities[tail], False)]
                for item in items_of[head]:
                    out.setdefault(item, {}).setdefault(self.relations[relation], []).extend(told)
        return {item: {name: tuple(values) for name, values in held.items()} for item, held in out.items()}


def keep(graph: Graph, path: Path, about: Mapping[str, Any]) -> None:
    """Write it whole, with where it came from."""
    names = {"entities": graph.entities, "relations": graph.relations, "items": graph.items}
    save(path, {"triples": graph.triples, "entity": graph.entity}, {"schema": SCHEMA, **about, "names": names})


def kept(path: Path) -> Graph | None:
    """What :func:`keep` wrote; None where there is nothing. Raises ArtefactError where it is torn or of another version."""
    if not path.exists():
        return None
    arrays, about = load(path)
    try:
        if about["schema"] != SCHEMA:
            raise KeyError(f"schema {about['schema']}")
        names = about["names"]
        items = tuple(ItemId(item) for item in names["items"])
        triples, entity = np.array(arrays["triples"], np.int64), np.array(arrays["entity"], np.int64)
        return Graph(tuple(names["entities"]), tuple(names["relations"]), triples, items, entity)
    except (KeyError, DataError) as error:
        raise ArtefactError(
            f"{path}: not a graph that this version keeps ({error}); run `longgame knowledge PATH` again"
        ) from error
