"""The tags there are, found in the catalogue itself: its categories, and words of its texts that tell items apart.

A phrase of a text is a tag where enough items say it, not too many, and those who do are about the same thing: their vectors
lie closer together than any items' do. Names that mean nearly the same are one tag of several forms. Nothing is invented: every
form of every tag stands in the catalogue.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from longgame.errors import ArtefactError
from longgame.language.prompt import clean
from longgame.protocols import LanguageModel
from longgame.types import F32, Item

RECIPE = "vocabulary-1"
LONGEST = 3
"""Words in a form, at most."""
ALIKE = 0.82
"""Cosine of two names from which on they are one tag."""
_COMMONER = 0.75
"""Power of the number of items that say a phrase, beside how close they lie: 0 prefers names of few, 1 words of many."""
_CLOSE = 0.1
"""Cosine of two items that say a phrase, beyond that of any two, on average, at least: what says nothing has .05 or so."""
_FEWEST, _SHARE, _MOST = 5, 0.002, 0.25
"""Items that say a tag: so many, or this share of the catalogue; not more than that share where a text says it."""
_PAUSE = re.compile(r"[.,;:!?()\[\]|/]")
"""What no phrase goes across."""
_WORD = re.compile(r"[^\W_]+(?:['’&-][^\W_]+)*")
_USUAL = """
a about after again all also an and any are as at back be because been before being between both but by can come could
day de did do does down each end even every few first for from get go good great had has have he her here him his how i
if in into is it its just la last le like made make many may me more most much my new no not now of off old on one only
or other our out over own part per s same set she so some such t than that the their them then there these they this
those through time to too two under up us very was way we well were what when where which while who will with without
would year years you your pack pcs piece size free best plus oz ml inch count film films movie movies product item
"""
_COMMON = frozenset(_USUAL.split())
"""Words that say nothing of what a thing is; numbers are left out beside them."""

Source = Literal["category", "text"]


@dataclass(frozen=True)
class Tag:
    """One of the things that items can be said to be."""

    name: str
    forms: tuple[str, ...]
    """What says it, folded, its own name first."""
    count: int
    """Items that say it."""
    source: Source


@dataclass(frozen=True)
class Span:
    """Where an item says something: the words themselves, and of which of its parts."""

    part: str
    """"text", or the name of an attribute."""
    words: str
    start: int = 0
    """Character of the cleaned text at which the words begin; 0 for an attribute."""


@dataclass(frozen=True)
class Vocabulary:
    """All tags, the version they have, and the catalogue they were found in."""

    tags: tuple[Tag, ...]
    catalogue: tuple[str, ...]
    """Hash of each item, sorted: how much of a catalogue is another one."""

    @cached_property
    def version(self) -> str:
        """Names the recipe and the result, the catalogue included."""
        told = json.dumps([RECIPE, [(t.name, t.forms, t.source) for t in self.tags], self.catalogue])
        return f"{RECIPE}-{blake2b(told.encode(), digest_size=4).hexdigest()}"

    @cached_property
    def _forms(self) -> dict[str, int]:
        return {form: place for place, tag in enumerate(self.tags) for form in tag.forms}

    def said(self, item: Item) -> dict[int, Span]:
        """Tags that the item says itself, by place, each with its first evidence; a category before the text."""
        found: dict[int, Span] = {}
        for name, value in _categories(item):
            place = self._forms.get(fold(value))
            if place is not None and self.tags[place].source == "category":
                found.setdefault(place, Span(name, value))
        for place, span in self.mentions(clean(item.text)):
            found.setdefault(place, span)
        return found

    def mentions(self, text: str) -> Iterator[tuple[int, Span]]:
        """Every form in a cleaned text, with the place of its tag."""
        for form, start, end in _phrases(text):
            place = self._forms.get(form)
            if place is not None:
                yield place, Span("text", text[start:end], start)

    def without(self, text: str, place: int) -> str:
        """The cleaned text without any form of a tag: what is left to tell it from."""
        told, out, at = clean(text), [], 0
        for start, end in sorted((s.start, s.start + len(s.words)) for p, s in self.mentions(told) if p == place):
            if start >= at:
                out.append(told[at:start])
            at = max(at, end)
        return " ".join("".join([*out, told[at:]]).split())

    def basis(self, items: Sequence[Item]) -> list[Item]:
        """The items that this was found in, of those that there are now."""
        known = set(self.catalogue)
        return [item for item in items if item_key(item) in known]

    def other(self, items: Sequence[Item]) -> float:
        """Share of a catalogue that this was not found in, in [0, 1]."""
        known = set(self.catalogue)
        return sum(item_key(item) not in known for item in items) / max(1, len(items))

    def to_json(self) -> dict[str, Any]:
        rows = [{"name": t.name, "forms": t.forms, "count": t.count, "source": t.source} for t in self.tags]
        return {"recipe": RECIPE, "version": self.version, "tags": rows, "catalogue": self.catalogue}

    @staticmethod
    def from_json(told: Mapping[str, Any]) -> Vocabulary:
        """The inverse of :meth:`to_json`. Raises ArtefactError where it is something else."""
        try:
            tags = tuple(Tag(t["name"], tuple(t["forms"]), int(t["count"]), t["source"]) for t in told["tags"])
            found = Vocabulary(tags, tuple(told["catalogue"]))
            if told["recipe"] != RECIPE or told["version"] != found.version:
                raise ValueError(f"its version is {told['version']!r}, its contents are {found.version!r}")
        except (KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"vocabulary: is no {RECIPE} ({error}); delete it, it is made again") from None
        return found


def drawn(items: Sequence[Item], what: str, seed: int = 0) -> list[int]:
    """Rows of the items in an order that ``what`` draws: each item's place is its own, whatever others there are.

    An item that comes or goes moves no other, so what was asked with examples drawn so need not be asked anew.
    """
    return sorted(range(len(items)), key=lambda row: blake2b(f"{seed} {what} {item_key(items[row])}".encode()).digest())


def fold(phrase: str) -> str:
    """Lower case, words parted by one space, simple plurals as their singular.

    >>> fold("Nail  Polishes"), fold("Sci-Fi"), fold("Children's")
    ('nail polish', 'sci-fi', 'children')
    """
    return " ".join(_fold(word) for word in _WORD.findall(phrase.lower()))


def _fold(word: str) -> str:
    word = word.replace("’", "'").removesuffix("'s")
    if len(word) > 4 and word.endswith(("shes", "ches", "xes", "sses")):
        return word[:-2]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def find(items: Sequence[Item], model: LanguageModel, vectors: F32, size: int = 200) -> Vocabulary:
    """At most ``size`` tags of a catalogue whose (I, D) unit ``vectors`` (of any model) say what is about the same thing.

    ``model`` reads the names of some hundred candidates, so that near-synonyms become one. The same for the same catalogue in
    any order of its items.
    """
    catalogue = tuple(sorted(item_key(item) for item in items))
    if not items:
        return Vocabulary((), catalogue)
    least = max(_FEWEST, round(_SHARE * len(items)))
    found = _by_category(items, least, size)
    taken = {form for tag in found for form in tag.forms}
    parts = {word for form in taken for word in form.split()}  # a text may list its categories: a run of them is no new tag
    found += [tag for tag in _by_text(items, vectors, least, 2 * size) if not parts.issuperset(tag.name.split())]
    return Vocabulary(tuple(_merged(found, model)[:size]), catalogue)


def _by_category(items: Sequence[Item], least: int, size: int) -> list[Tag]:
    """Values of attributes that enough items have, the commonest first."""
    count: Counter[str] = Counter()
    names: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        own = {fold(value): value for _, value in _categories(item)}
        count.update(own.keys())
        for form, value in own.items():
            names[form][value] += 1
    usual = [(form, n) for form, n in count.items() if n >= least and form and form not in _COMMON and form != "unknown"]
    best = sorted(usual, key=lambda pair: (-pair[1], pair[0]))[:size]
    return [Tag(min(names[form], key=lambda v: (-names[form][v], v)), (form,), n, "category") for form, n in best]


def _by_text(items: Sequence[Item], vectors: F32, least: int, size: int) -> list[Tag]:
    """Phrases of texts, those first whose items are most about the same thing and which most items say."""
    rows: dict[str, set[int]] = defaultdict(set)
    for row, item in enumerate(items):
        for form, _, _ in _phrases(clean(item.text)):
            words = form.split()
            if not any(word in _COMMON or word.isdigit() or len(word) < 3 for word in words):
                rows[form].add(row)
    usual = {form: sorted(own) for form, own in rows.items() if least <= len(own) <= _MOST * len(items)}
    for word in {  # that hardly ever stand alone: they are the phrase
        part
        for form, own in usual.items()
        for length in range(1, len(form.split()))
        for part in _parts(form, length)
        if part in usual and len(own) > 0.7 * len(usual[part])
    }:
        del usual[word]
    middle = vectors.mean(axis=0, dtype=np.float64)
    scored = []
    for form, own in usual.items():
        close = float(np.linalg.norm(vectors[own].mean(axis=0, dtype=np.float64) - middle) ** 2)
        by_chance = (1 - float(middle @ middle)) / len(own)
        if close - by_chance >= _CLOSE:
            scored.append(((close - by_chance) * len(own) ** _COMMONER, form, len(own)))
    best = sorted(scored, key=lambda row: (-row[0], row[1]))[:size]
    return [Tag(form, (form,), n, "text") for _, form, n in best]


def _merged(tags: list[Tag], model: LanguageModel) -> list[Tag]:
    """Each tag that means nearly what one before it does becomes a form of that one; categories stay themselves."""
    if not tags:
        return []
    close = model.embed([tag.name for tag in tags])
    kept: list[int] = []
    forms: dict[int, list[str]] = {}
    for place, tag in enumerate(tags):
        like = close[kept] @ close[place] if kept else np.zeros(0)
        if tag.source == "text" and len(like) and like.max() >= ALIKE:
            forms[kept[int(like.argmax())]].extend(tag.forms)
        else:
            kept.append(place)
            forms[place] = list(tag.forms)
    return [Tag(tags[p].name, tuple(dict.fromkeys(forms[p])), tags[p].count, tags[p].source) for p in kept]


def _categories(item: Item) -> Iterator[tuple[str, str]]:
    for name, value in sorted(item.attributes.items()):
        for one in (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ():
            if (told := clean(one, 64)) and 0 < len(_WORD.findall(told)) <= LONGEST:
                yield name, told


def _phrases(text: str) -> Iterator[tuple[str, int, int]]:
    """Every run of words, folded, with where it begins and ends; the longest at each place first."""
    words = [(_fold(m[0].lower()), m.start(), m.end()) for m in _WORD.finditer(text)]
    for first in range(len(words)):
        for last in range(min(len(words), first + LONGEST) - 1, first - 1, -1):
            run = words[first : last + 1]
            if any(_PAUSE.search(text, one[2], other[1]) for one, other in pairwise(run)):
                continue
            yield " ".join(word for word, _, _ in run), run[0][1], run[-1][2]


def _parts(form: str, length: int) -> list[str]:
    words = form.split()
    return [" ".join(words[at : at + length]) for at in range(len(words) - length + 1)]


def item_key(item: Item) -> str:
    """Names what an item says in words, whatever its id: a price or a stock that moves makes it no other item."""
    words = sorted((k, v) for k, v in item.attributes.items() if v is True or isinstance(v, str | tuple))
    told = json.dumps([item.text, words], default=str)
    return blake2b(told.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
