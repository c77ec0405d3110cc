"""What a language model reads from items: a vocabulary, tags, typed attributes and descriptions, kept under the data folder.

Each is an artefact with the version of its recipe; what a model said is cached below it, so a second run asks nothing.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from longgame.artefacts import write_whole
from longgame.errors import ArtefactError, ConfigError
from longgame.language import VectorCache, attributes, describe, descriptions
from longgame.language.asked import Answers
from longgame.language.endpoint import Ledger
from longgame.language.objects import TRIES, ObjectCache
from longgame.language.remote import Remote
from longgame.language.remote_chat import Chat
from longgame.language.shield import marks_of
from longgame.language.tagging import Said, TagReader, told
from longgame.language.vocabulary import Vocabulary, drawn, find
from longgame.protocols import Chooser, Writer
from longgame.settings import Settings
from longgame.store import open_store
from longgame.types import Event, Item
from longgame.wiring import pictures
from longgame.wiring.budget import Budget, Spent, Tell
from longgame.wiring.knowledge import trusted
from longgame.wiring.language import Hear, language_model, silent
from longgame.wiring.ledgers import entered
from longgame.wiring.reading_kept import json_of, known_by
from longgame.wiring.reading_models import Models, Part, to_write

RECIPES = ("tags", "attributes", "descriptions")
"""What can be read beside vectors, in the order it is."""
_CHANGED = 0.1
"""Share of the catalogue that may be new before the vocabulary is made anew."""
_EXAMPLES = 4
_NEAR = 2
_OBJECT = 60
"""Tokens of a description that is written, or so."""


@dataclass(frozen=True)
class Forecast:
    """What a recipe will take."""

    what: str
    version: str
    items: int
    calls: int
    """Prompts that were not asked before, each once."""
    tokens: int
    """Of the prompts, as a sample of them says; what all of them begin with is counted once."""
    seconds: float | None
    """On this machine as it is now, as a sample says; None where a server is to be asked."""
    cost: float | None = None
    """Of a server, in the currency of remote.price; None where that is 0 or no server is to be asked."""


@dataclass(frozen=True)
class Read:
    """What a recipe took."""

    what: str
    version: str
    items: int
    found: int
    """Tags, attributes or descriptions, of all items."""
    left: int
    """Prompts that the budget did not reach; where there are any, nothing was written."""
    seconds: float
    ledger: Ledger
    note: str = ""


class Reader:
    """The catalogue of a workspace and the models that read it."""

    def __init__(self, settings: Settings, hear: Hear = silent, models: Models | None = None) -> None:
        """``hear`` hears how a server's batches get on; ``models`` are those of whoever reads beside."""
        self._settings = settings
        self._folder = Path(settings.data.folder) / "reading"
        self._cache = VectorCache(Path(settings.data.folder) / "vectors")
        store = open_store(settings.store.url)
        try:
            self.items: list[Item] = list(store.items())
            self._reviews = _reviews(store)
        finally:
            store.close()
        self._encoder = language_model(settings)
        self._models = models or Models(settings, hear)

    @property
    def ledger(self) -> Ledger:
        """Of all that was asked so far: the models that answer and write, and a server that makes the vectors."""
        return self._models.ledger + self._encoder.ledger if isinstance(self._encoder, Remote) else self._models.ledger

    @property
    def _chooser(self) -> Chooser | None:
        return self._models.chooser

    @property
    def _writer(self) -> Writer | None:
        return self._models.writer

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The one that is kept, or where the catalogue is another by a tenth, or its size another, a new one."""
        path = self._folder / "vocabulary.json"
        size = self._settings.reading.tags
        if path.exists():
            kept = json_of(path)
            with suppress(ArtefactError):  # of another recipe: made again below
                old = Vocabulary.from_json(kept)
                same = kept.get("size") == size and kept.get("encoder") == self._encoder.name
                if same and old.other(self.items) <= _CHANGED:
                    return old
        vectors = self._cache.embed(self._encoder, [describe(item) for item in self.items])
        new = find(self.items, self._encoder, vectors, size)
        write_whole(path, json.dumps({**new.to_json(), "size": size, "encoder": self._encoder.name}).encode())
        return new

    @cached_property
    def _tagger(self) -> TagReader:
        basis = self.vocabulary.basis(self.items)
        return TagReader(basis, self.vocabulary, self._encoder, self._chooser, self._cache)

    @cached_property
    def _wanted(self) -> list[attributes.Wanted]:
        return attributes.wanted(self._settings.reading.attributes)

    def _guessers(self) -> Iterator[tuple[attributes.Wanted, TagReader]]:
        """A reader for each attribute that may be told of items that do not say it, where enough say it."""
        basis = self.vocabulary.basis(self.items)
        for one in self._wanted:
            if not one.guessed:
                continue
            options = attributes.vocabulary(one, basis, self.vocabulary.catalogue)
            if sum(tag.count > 0 for tag in options.tags) >= 2:
                yield one, TagReader(basis, options, self._encoder, self._chooser, self._cache, asked=one.name.capitalize())

    def _must_be_read(self, flag: str) -> None:
        """A server's vectors cost money, and no plan and no budget of these recipes counts them. Raises ConfigError."""
        if isinstance(self._encoder, Remote) and self._cache.missing(self._encoder, [describe(item) for item in self.items]):
            raise ConfigError(
                f"{flag}: {self._encoder.name} has not read the whole catalogue, and reading it costs; run `longgame "
                f"understand`, which has a {flag} of its own, and then this again"
            )

    def plan(self, what: str) -> Forecast:
        """Nothing is kept but the vocabulary, without which nobody knows what will be asked; a few prompts are tried.

        Raises ConfigError where a server would have to read texts for it.
        """
        self._must_be_read("--plan")
        version, parts = self._todo(what)
        trials = [self._models.trial(part) for part in parts]
        timed = [one.seconds for one in trials if one.seconds is not None]
        costs = [one.cost for one in trials if one.cost is not None]
        return Forecast(
            what=what,
            version=version,
            items=len(self.items),
            calls=sum(len(part.todo) for part in parts),
            tokens=round(sum(one.tokens for one in trials)),
            seconds=sum(timed) if len(timed) == len(trials) else None,
            cost=sum(costs) if costs else None,
        )

    def _todo(self, what: str) -> tuple[str, list[Part]]:
        """The version of a recipe, and the prompts that were not asked before with what asks them, where there are any."""
        parts: list[Part]
        if what == "descriptions":
            writer = self._writer
            if writer is None:
                return f"{descriptions.RECIPE}+template", []
            head, prompts = self._prompts()
            parts = [to_write(writer, self._objects(writer).missing(prompts), descriptions.SCHEMA, _OBJECT)]
            return descriptions.version(writer.name, head), [part for part in parts if part.todo]
        readers = [self._tagger] if what == "tags" else [reader for _, reader in self._guessers()]
        version = self._tagger.version if what == "tags" else self._attributes_version(readers)
        asked = [(reader.asked[0], reader.texts(self.items)) for reader in readers if reader.asked]
        chooser = self._chooser

        def sent(answers: Answers, text: str) -> str:
            prompt = answers.sent(text)
            return chooser.sent(prompt, answers.options) if isinstance(chooser, Chat) else prompt

        remote = isinstance(chooser, Chat)
        parts = [Part(self._cache.missing(a, texts), a.embed, partial(sent, a), 1, remote) for a, texts in asked]
        return version, [part for part in parts if part.todo]

    def _version(self, what: str) -> str:
        """Of a recipe, as what it reads is kept by."""
        if what == "tags":
            return self._tagger.version
        if what == "attributes":
            return self._attributes_version([reader for _, reader in self._guessers()])
        writer = self._writer
        return f"{descriptions.RECIPE}+template" if writer is None else descriptions.version(writer.name, self._prompts()[0])

    def read(self, what: str, budget: float | None = None, tell: Tell = lambda done, total: None) -> Read:
        """Reads what was not read before, for ``budget`` seconds at most, to the end of the batch under way then."""
        if budget is not None:
            self._must_be_read("--budget")
        before, unanswered, bound, found, note = self.ledger, self._models.missed, Budget(budget, tell), 0, ""
        reads = {"tags": self._tags, "attributes": self._attributes, "descriptions": self._descriptions}
        with entered(self._settings, what, lambda: self._version(what), lambda: self.ledger - before, bound):
            try:
                version, found, note = reads[what](bound)
            except Spent:
                version = self._version(what)
            else:
                self._models.finish()  # the caches have it all
                if missed := self._models.missed - unanswered:
                    again = f"of {TRIES} runs each asks again" if what == "descriptions" else "the next run asks again"
                    note += f"; a server left {missed:,} prompts without an answer that can be used: {again}"
        return Read(what, version, len(self.items), found, bound.left, bound.passed, self.ledger - before, note)

    @property
    def _teller(self) -> str:
        return "the encoder" if self._chooser is None else "the model"

    def _tags(self, tell: Tell) -> tuple[str, int, str]:
        reader = self._tagger
        reader.ask(self.items, tell)
        rows = [[_said(one) for one in tags] for tags in reader.read(self.items)]
        self._keep("tags", reader.version, rows)
        told_by = sum(one["evidence"] is None for row in rows for one in row)
        note = f"{len(self.vocabulary.tags):,} tags in the vocabulary; "
        note += f"{told_by:,} told by {self._teller}, the others said by the items"
        return reader.version, sum(map(len, rows)), note

    def _attributes_version(self, readers: Sequence[TagReader]) -> str:
        asked = json.dumps([asdict(one) for one in self._wanted])
        return f"{attributes.RECIPE}+{_digest(asked + ''.join(reader.version for reader in readers))}"

    def _attributes(self, tell: Tell) -> tuple[str, int, str]:
        rows = [[_found(one) for one in attributes.found(item, self._wanted)] for item in self.items]
        readers, guessed = list(self._guessers()), 0
        for one, reader in readers:
            reader.ask(self.items, tell)
            for row, tags in zip(rows, reader.read(self.items), strict=True):
                if tags and not any(held["name"] == one.name for held in row):
                    best = tags[0]
                    row.append(
                        {"name": one.name, "value": best.name, "confidence": round(best.confidence, 3), "evidence": None}
                    )
                    guessed += 1
        version = self._attributes_version([reader for _, reader in readers])
        self._keep("attributes", version, rows)
        return version, sum(map(len, rows)), f"{guessed:,} told by {self._teller}, the others said by the items"

    @cached_property
    def _thin(self) -> list[int]:
        """Rows of items whose own text is thin."""
        return [row for row, item in enumerate(self.items) if len(item.text.split()) <= self._settings.reading.thin]

    @cached_property
    def _facts(self) -> list[tuple[descriptions.Fact, ...]]:
        near, tags = self._near(), self.vocabulary.tags
        graph = trusted(self._settings, self.items)
        known = graph.said({item.id: descriptions.title_of(item) for item in self.items}) if graph else {}
        out = []
        for row in self._thin:
            item = self.items[row]
            said = [tags[p].name for p, span in sorted(self.vocabulary.said(item).items()) if span.part == "text"]
            heard: Counter[str] = Counter()
            for review in self._reviews.get(item.id, ()):
                heard.update({tags[p].name for p, _ in self.vocabulary.mentions(review)})
            often = [name for name, n in heard.most_common(3) if n > 1]
            linked = descriptions.of_graph(known.get(item.id, {}))
            out.append(descriptions.facts(item, said, near[row], often, linked))
        return out

    def _near(self) -> dict[int, list[str]]:
        """Texts of the nearest items of each thin one, by the encoder."""
        vectors = self._cache.embed(self._encoder, [describe(item) for item in self.items])
        out: dict[int, list[str]] = {}
        for first in range(0, len(self._thin), 512):
            rows = self._thin[first : first + 512]
            close = vectors[rows] @ vectors.T
            close[np.arange(len(rows)), rows] = -np.inf
            best = np.argsort(-close, axis=1, kind="stable")[:, :_NEAR]
            for place, (row, near) in enumerate(zip(rows, best.tolist(), strict=True)):
                out[row] = [self.items[n].text for n in near if close[place, n] > 0]  # not itself, nor what is like nothing
        return out

    def _prompts(self) -> tuple[str, list[str]]:
        """What every prompt begins with, and the prompts, one an item whose text is thin."""
        by_row = dict(zip(self._thin, self._facts, strict=True))
        basis = self.vocabulary.basis([self.items[row] for row in self._thin])
        ids = {item.id: row for row, item in enumerate(self.items)}
        shots = [by_row[ids[basis[n].id]] for n in drawn(basis, "descriptions")[:_EXAMPLES]]
        marks = marks_of(self._writer)
        head = descriptions.shots(shots, marks)
        return head, [descriptions.prompt(head, known, marks) for known in self._facts]

    def _objects(self, writer: Writer) -> ObjectCache:
        return ObjectCache(self._folder / "written", writer, descriptions.SCHEMA)

    def _descriptions(self, tell: Tell) -> tuple[str, int, str]:
        writer, rows = self._writer, [[] for _ in self.items]  # type: ignore[var-annotated]
        if writer is None:
            version, texts = f"{descriptions.RECIPE}+template", [descriptions.template(known) for known in self._facts]
        else:
            head, prompts = self._prompts()
            version, written = descriptions.version(writer.name, head), self._objects(writer).generate(prompts, tell)
            texts = [descriptions.judged(one, known) for one, known in zip(written, self._facts, strict=True)]
        for row, one, known in zip(self._thin, texts, self._facts, strict=True):
            quiet = [fact for fact in known if fact.source != "reviews"]
            unheard = one.text if len(quiet) == len(known) else descriptions.template(quiet).text
            rows[row] = [{**asdict(one), "unheard": unheard, "of": known_by(self.items[row])}]
        self._keep("descriptions", version, rows)
        return version, len(texts), f"{sum(one.by == 'model' for one in texts):,} in the model's words, which passed the checks"

    def _keep(self, what: str, version: str, rows: Sequence[object]) -> None:
        told_of = {item.id: row for item, row in zip(self.items, rows, strict=True)}
        write_whole(self._folder / f"{what}.json", json.dumps({"version": version, "items": told_of}).encode())


def show(settings: Settings, id: str) -> dict[str, Any]:
    """What is known of an item: its own text and attributes, and what was read. Raises ConfigError for an unknown item."""
    store = open_store(settings.store.url)
    try:
        item = next((item for item in store.items() if item.id == id), None)
    finally:
        store.close()
    if item is None:
        raise ConfigError(f"understand --show: there is no item {id!r} in the log; ids are as they were imported")
    out: dict[str, Any] = {"item": id, "text": item.text, "own": dict(item.attributes), "read as": told(item)}
    out["picture"] = pictures.told(settings, item) if item.media else ""
    for what in (*RECIPES, "reviews"):
        path = Path(settings.data.folder) / "reading" / f"{what}.json"
        if path.exists():
            kept = json_of(path)
            out[what] = {"version": kept["version"], "found": kept["items"].get(id, {} if what == "reviews" else [])}
    return out


def _said(one: Said) -> dict[str, Any]:
    return {
        "name": one.name,
        "confidence": round(one.confidence, 3),
        "evidence": asdict(one.evidence) if one.evidence else None,
    }


def _found(one: attributes.Found) -> dict[str, Any]:
    return {**asdict(one), "confidence": round(one.confidence, 3)}


def _digest(told_of: str) -> str:
    from hashlib import blake2b

    return blake2b(told_of.encode(), digest_size=4).hexdigest()


def _reviews(store: Any, chunk: int = 10_000) -> Mapping[str, list[str]]:
    """What users wrote of each item."""
    out: dict[str, list[str]] = defaultdict(list)
    after = 0
    while True:
        records, end = store.read(after, chunk)
        if end == after:
            return out
        for _, record in records:
            if isinstance(record, Event) and record.text:
                out[record.item].append(record.text)
        after = end
