"""Which tags an item has: those it says itself, and those a model tells from what it says, each with how sure that is.

A model of this size cannot say whether a tag fits (asked yes or no it is at chance, docs/experiments.md), but asked for *a* tag
it finds the right ones more probable than others. So all tags are the options of one closed question, its examples from the
catalogue, asked once an item. Beside that stand what a sentence encoder makes of the text: how near it lies to the tag's name,
and on which side of the tag's own items (a linear discriminant, each item judged without itself). What the three are worth
together is learned from items that say a tag, with the words that say it withheld: a confidence is how often, of items that
look like this one, the tag was said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np

from longgame.errors import ConfigError, DataError
from longgame.language.asked import Answers
from longgame.language.cache import OnProgress, VectorCache
from longgame.language.calibrated import logistic, probability
from longgame.language.prompt import clean
from longgame.language.questions import Question
from longgame.language.sides import Sides
from longgame.language.vocabulary import Span, Vocabulary, drawn, item_key
from longgame.protocols import Chooser, LanguageModel
from longgame.types import F64, Bool, Item

RECIPE = "tags-1"
SURE = 0.5
"""Confidence from which on a tag that an item does not say itself is told."""
MOST = 8
"""Such tags of an item, at most: the surest."""
_SHOTS = 8
"""Examples in the question."""
_SAMPLE, _OWN, _SAYING = 400, 100, 20
"""Items that the confidence is learned from, and that a tag's own side is learned from, at most; and how many of a sample
say a tag, where there are as many."""
_PRICES = (0.1, 1.0, 10.0)
"""Mean variances that are added to each direction's: the best for the sample is taken."""


@dataclass(frozen=True)
class Said:
    """A tag of an item."""

    name: str
    confidence: float
    """In [0, 1]: 1 where a category says it."""
    evidence: Span | None
    """Where the item says it; None where the model does."""

    @property
    def by(self) -> str:
        """The evidence in words."""
        return f'{self.evidence.part} "{self.evidence.words}"' if self.evidence else f"model {self.confidence:.2f}"


def told(item: Item) -> str:
    """What is read of an item to tell its tags: its text and its year, never its categories.

    >>> told(Item("1", "GoldenEye", {"year": 1995.0, "genre": ("Action",)}))
    'GoldenEye (1995)'
    """
    years = [value for name, value in sorted(item.attributes.items()) if "year" in name.lower()]
    text, year = clean(item.text), str(int(float(str(years[0])))) if years and _is_year(years[0]) else ""
    return f"{text} ({year})" if year and year not in text else text


def _is_year(value: object) -> bool:
    try:
        return 1000 < float(str(value)) < 3000
    except ValueError:
        return False


def question(
    items: Sequence[Item], vocabulary: Vocabulary, chooser: Chooser, seed: int = 0, asked: str = "Tag"
) -> tuple[Question, list[int]]:
    """What is asked of each item, its examples items that say a tag, and for every tag which of the answers stands for it.

    A chooser tells an answer by its first token: tags that begin alike share an answer. Raises DataError where nothing is said.
    """
    names = [tag.name for tag in vocabulary.tags]
    groups = _told_apart(chooser, names)
    answers = tuple(names[groups.index(group)] for group in range(max(groups, default=-1) + 1))
    shots: list[tuple[tuple[str, ...], str]] = []
    shown: set[int] = set()
    for row in drawn(items, "shots", seed):
        for place in sorted(vocabulary.said(items[row]), key=lambda p: vocabulary.tags[p].count):
            text = vocabulary.without(told(items[row]), place)
            if groups[place] not in shown and len(text.split()) >= 2:
                shown.add(groups[place])
                shots.append(((text,), answers[groups[place]]))
                break
        if len(shots) == _SHOTS:
            break
    if not shots or len(answers) < 2:
        raise DataError(f"tags: needs two tags or more that items say, got {len(names)} and {len(shots)} examples")
    return Question("tags", "Name what each thing is.", ("Thing",), asked, answers, tuple(shots)), groups


def _told_apart(chooser: Chooser, names: Sequence[str]) -> list[int]:
    """Number of the group of each name; names of different groups are options that can be told apart."""

    def apart(*some: str) -> bool:
        try:
            chooser.choose([], [f" {name}" for name in some])
        except ConfigError:
            return False
        return True

    if len(names) > 1 and apart(*names):
        return list(range(len(names)))
    first: list[str] = []
    out = []
    for name in names:
        same = (g for g, other in enumerate(first) if other[:1].casefold() == name[:1].casefold() and not apart(other, name))
        group = next(same, len(first))
        if group == len(first):
            first.append(name)
        out.append(group)
    return out


Pair = tuple[int, int]
"""Row of an item, place of a tag that it says."""


class TagReader:
    """Texts -> how sure each tag is. Learned from a catalogue by :meth:`fit`; reads any text after that."""

    def __init__(
        self,
        items: Sequence[Item],
        vocabulary: Vocabulary,
        encoder: LanguageModel,
        chooser: Chooser | None,
        cache: VectorCache,
        seed: int = 0,
        asked: str = "Tag",
    ) -> None:
        """Without a ``chooser`` the encoder reads alone, less well. Nothing is read yet."""
        self.vocabulary, self._items, self._seed, self._word = vocabulary, items, seed, asked
        self._encoder, self._chooser, self._cache = encoder, chooser, cache
        self._said = [vocabulary.said(item) for item in items]
        self._sample = _sampled(drawn(items, "sample", seed), self._said)
        self._fitted: _Fitted | None = None

    @cached_property
    def asked(self) -> tuple[Answers, list[int]] | None:
        """What the chooser is asked, and which answer stands for each tag; None without a chooser."""
        if self._chooser is None:
            return None
        asked, groups = question(self._items, self.vocabulary, self._chooser, self._seed, self._word)
        return Answers(self._chooser, asked), groups

    @cached_property
    def version(self) -> str:
        """Names all that changes a confidence: the vocabulary, the items it is learned from, the models and the question.

        The items are those of the vocabulary's catalogue that are still there: it stays when some of them go.
        """
        models = f"{self._encoder.name} {self.asked[0].name if self.asked else None}"
        basis = sorted(map(item_key, self._items))
        recipe = blake2b(f"{RECIPE} {self._seed} {models} {basis}".encode(), digest_size=4).hexdigest()
        return f"{RECIPE}-{recipe}+{self.vocabulary.version}"

    @cached_property
    def _withheld(self) -> dict[Pair, str]:
        """What is left of the sample's items for each tag they say, without what says it."""
        return {(row, p): self._without(row, p) for row in self._sample for p in sorted(self._said[row])}

    def _without(self, row: int, place: int) -> str:
        return self.vocabulary.without(told(self._items[row]), place)

    def texts(self, items: Sequence[Item]) -> list[str]:
        """Every text that the chooser is asked about to learn and then to read these items, each once."""
        own = [told(self._items[row]) for row in self._sample]
        return list(dict.fromkeys([*own, *self._withheld.values(), *map(told, items)]))

    def ask(self, items: Sequence[Item], on_progress: OnProgress | None = None) -> None:
        """Have the chooser asked all that it will be, so that the rest takes seconds. What is known already is not asked."""
        if self.asked:
            self._cache.embed(self.asked[0], self.texts(items), on_progress)

    def scores(self, texts: Sequence[str]) -> F64:
        """(n, T, 3) how much more than usual, in deviations, the answer, the name and the side speak for each tag."""
        fitted = self._fit()
        raw = self.raw(texts)
        known = np.array([text in self._inside for text in texts], np.bool_)[:, None]
        vectors = self._vectors(texts)
        alone = fitted.sides.without_themselves(vectors, np.zeros(raw.shape[:2], np.bool_))
        raw[:, :, 2] = np.where(known, alone, fitted.sides.score(vectors))
        out: F64 = (raw - fitted.centre) / fitted.width
        return out

    def confidence(self, texts: Sequence[str]) -> F64:
        """(n, T) in (0, 1), of tags that the texts do not say. Raises DataError where no item of the sample says a tag."""
        fitted = self._fit()
        scored = self.scores(texts)
        return probability(_table(scored, fitted.base), fitted.worth).reshape(len(texts), -1)

    def read(self, items: Sequence[Item]) -> list[tuple[Said, ...]]:
        """The tags of each item: what it says first, then what the model is sure of, the surest first."""
        chance = self.confidence([told(item) for item in items])
        tags, out = self.vocabulary.tags, []
        for row, item in enumerate(items):
            said = self.vocabulary.said(item)
            own = [Said(tags[p].name, self._trust(p, span), span) for p, span in sorted(said.items())]
            sure = [p for p in np.argsort(-chance[row], kind="stable").tolist() if p not in said and chance[row, p] >= SURE]
            out.append((*own, *(Said(tags[p].name, float(chance[row, p]), None) for p in sure[:MOST])))
        return out

    @cached_property
    def mentions(self) -> float:
        """How often an item whose text names one of the categories is filed under it, of those filed under any."""
        hit = every = 1.0  # one of each is given, so that few tell little
        for item, said in zip(self._items, self._said, strict=True):
            filed = {p for p, span in said.items() if span.part != "text"}
            if filed:
                named = {
                    p for p, _ in self.vocabulary.mentions(clean(item.text)) if self.vocabulary.tags[p].source == "category"
                }
                hit, every = hit + len(named & filed), every + len(named)
        return hit / (every + 1)

    def _trust(self, place: int, span: Span) -> float:
        if span.part != "text" or self.vocabulary.tags[place].source == "text":
            return 1.0  # such a tag means no more than that a text says it
        return self.mentions

    @cached_property
    def _inside(self) -> set[str]:
        return {told(item) for item in self._items}

    def _vectors(self, texts: Sequence[str]) -> F64:
        return self._cache.embed(self._encoder, list(texts)).astype(np.float64)

    @cached_property
    def _names(self) -> F64:
        return self._vectors([tag.name for tag in self.vocabulary.tags])

    def raw(self, texts: Sequence[str]) -> F64:
        """(n, T, 3): the log-probability of each tag among the answers, the cosine of its name, and room for the side."""
        out = np.zeros((len(texts), len(self.vocabulary.tags), 3))
        if self.asked and len(texts):
            answers, groups = self.asked
            found = self._cache.embed(answers, list(texts)).astype(np.float64)
            found -= np.log(np.exp(found - found.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)) + found.max(
                axis=1, keepdims=True
            )
            out[:, :, 0] = found[:, groups]
        out[:, :, 1] = self._vectors(texts) @ self._names.T
        return out

    def _fit(self) -> _Fitted:
        """What the three are worth, learned once from the sample: the best of ``_PRICES`` by its own log-likelihood."""
        if self._fitted is None:
            pairs, lines = list(self._withheld), list(self._withheld.values())
            if not pairs:
                raise DataError("tags: no item says any of them, so nothing can be learned of them; import more items")
            so = np.zeros((len(self._sample), len(self.vocabulary.tags)), np.bool_)
            at = {row: n for n, row in enumerate(self._sample)}
            where = tuple(np.array([(at[row], place) for row, place in pairs]).T)
            so[where] = True
            texts = [told(self._items[row]) for row in self._sample]
            raw, bare = self.raw(texts), self.raw(lines)
            raw[where] = bare[np.arange(len(pairs)), where[1]]
            base = np.log((so.sum(axis=0) + 0.5) / (len(so) - so.sum(axis=0) + 0.5))
            every, own, rows = self._vectors([told(i) for i in self._items]), *self._own()
            theirs = np.zeros((len(pairs), so.shape[1]), np.bool_)
            theirs[np.arange(len(pairs)), where[1]] = [row in rows[place] for row, place in pairs]
            best = np.inf
            for price in _PRICES:
                sides = Sides.fit(every, own, self._names, price)
                raw[:, :, 2] = sides.without_themselves(self._vectors(texts), np.zeros_like(so))
                raw[(*where, 2)] = sides.without_themselves(self._vectors(lines), theirs)[np.arange(len(pairs)), where[1]]
                fitted = _weighed(sides, raw, base, so)
                if fitted.loss < best:
                    best, self._fitted = fitted.loss, fitted
        assert self._fitted is not None
        return self._fitted

    def _own(self) -> tuple[list[F64], list[set[int]]]:
        """Vectors of each tag's own items without what says it, and their rows."""
        by: list[list[int]] = [[] for _ in self.vocabulary.tags]
        for row in drawn(self._items, "own", self._seed):
            for place in self._said[row]:
                if len(by[place]) < _OWN:
                    by[place].append(row)
        lines = [[self._without(row, place) for row in rows] for place, rows in enumerate(by)]
        every = self._vectors([line for tag in lines for line in tag])
        ends = np.cumsum([len(tag) for tag in lines])[:-1]
        return np.split(every, ends), [set(rows) for rows in by]


@dataclass(frozen=True)
class _Fitted:
    sides: Sides
    centre: F64
    width: F64
    base: F64
    """(T,) log-odds of each tag in the sample"""
    worth: F64
    loss: float


def _table(scored: F64, base: F64) -> F64:
    out: F64 = np.dstack([scored, np.broadcast_to(base, scored.shape[:2])]).reshape(-1, scored.shape[2] + 1)
    return out


def _weighed(sides: Sides, raw: F64, base: F64, so: Bool) -> _Fitted:
    centre, width = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-6)
    table = _table((raw - centre) / width, base)
    worth = logistic(table, so.ravel())
    chance = probability(table, worth)
    loss = -float(np.log(np.where(so.ravel(), chance, 1 - chance)).mean())
    return _Fitted(sides, centre, width, base, worth, loss)


def _sampled(order: Sequence[int], said: Sequence[Mapping[int, Span]]) -> list[int]:
    """The first of the order and, where hardly any of them says a tag, the first that do: of others nothing is learned."""
    first, rest = list(order[:_SAMPLE]), order[_SAMPLE:]
    lacking = max(0, _SAYING - sum(bool(said[row]) for row in first))
    return [*first, *[row for row in rest if said[row]][:lacking]]
