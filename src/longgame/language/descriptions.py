"""A sentence or two about an item whose own text is thin, made of what is known of it and of nothing else.

The facts are the item's text, its categories and numbers, what a graph says of it in words, tags that it says itself, items
near it, and what its reviews say most. A model may word them; its words are held against the facts (``checks``), and where one
is too much the template says them instead. Either way every attribute that is stated is one of the facts, and says which.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from longgame.language.checks import RECIPE as CHECKS
from longgame.language.checks import troubles
from longgame.language.entailed import entailed
from longgame.language.prompt import clean
from longgame.language.shield import HEEDED, Marks, marked, shielded_name, unmarkable
from longgame.types import Item

RECIPE = "description-5"
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "description": {"type": "string", "minLength": 12, "maxLength": 240},
        "attributes": {"type": "array", "items": {"type": "string", "minLength": 2, "maxLength": 40}, "maxItems": 6},
    },
    "required": ["description", "attributes"],
    "additionalProperties": False,
}
"""What is asked of a writer."""
_FACT = 80
"""Characters of a fact's value; a name may have twice as many."""
_FACTS = 8
_CODE = re.compile(r"(?=.*\d)[\w-]{8,}")
"""A value that is the catalogue's own number of a thing, not a word about it."""
_ENTITY = re.compile(r"(?=\S*\d)\S+")
"""A graph's own name of a thing ("m.0bln8", "Q42", "2086"), not a word about it."""
_RELATIONS = 4
"""Of a graph that are told of an item."""


@dataclass(frozen=True)
class Fact:
    """One thing that is known of an item, and by what."""

    name: str
    values: tuple[str, ...]
    source: str
    """"item", "graph", "tags", "neighbours" or "reviews"."""


@dataclass(frozen=True)
class Description:
    """What is said of an item."""

    text: str
    by: str
    """"model" or "template"."""
    attributes: tuple[str, ...]
    """Values of facts that the text states."""
    troubles: tuple[str, ...] = ()
    """Why what the model wrote was not used."""


def facts(
    item: Item,
    tags: Sequence[str] = (),
    near: Sequence[str] = (),
    reviews: Sequence[str] = (),
    graph: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Fact, ...]:
    """What may be said of an item: ``tags`` that it says itself, names of items ``near`` it, words of its ``reviews``, and what
    a ``graph`` says (relation -> values).

    A tag whose name the item does not say is left out: it may have said a near-synonym, and then that stands in its text.
    """
    tags = [tag for tag in tags if entailed(tag, item)]
    title, text = title_of(item), clean(item.text).lower()
    out = [Fact("name", (title,), "item")]
    for key, value in sorted(item.attributes.items()):
        if isinstance(value, str) and (clean(value, 2 * _FACT).lower() in (title.lower(), text) or _CODE.fullmatch(value)):
            continue  # the name once more, or a number of the catalogue
        if isinstance(value, bool):
            values: tuple[str, ...] = ("yes",) if value else ()
        elif isinstance(value, float | int):
            values = (f"{value:g}" if "year" not in key.lower() else str(int(value)),) if value else ()
        else:
            values = tuple(shielded_name(v, _FACT) for v in ((value,) if isinstance(value, str) else value))
        if values := tuple(v for v in values if v and v.lower() != "unknown"):
            out.append(Fact(clean(key, 32), values[:_FACTS], "item"))
    own = {fact.name.lower() for fact in out}
    out += [Fact(key, tuple(values), "graph") for key, values in (graph or {}).items() if key.lower() not in own]
    for key, some, origin in (("tags", tags, "tags"), ("near it", near, "neighbours"), ("reviews say", reviews, "reviews")):
        if values := tuple(told for v in some if (told := clean(v, _FACT))):
            out.append(Fact(key, values[:_FACTS], origin))
    return tuple(out[: _FACTS + _RELATIONS + 4])


def of_graph(said: Mapping[str, Sequence[tuple[str, bool]]]) -> dict[str, tuple[str, ...]]:
    """What a graph says of an item (``Graph.said``) as words: names of items as they are, other things where they have one.

    >>> of_graph({"film.film.sequel": [("Se7en", True)], "film.film.country": [("m.09c7w0", False)], "by": [("Ann", False)]})
    {'sequel': ('Se7en',), 'by': ('Ann',)}
    """
    out: dict[str, tuple[str, ...]] = {}
    for relation, values in said.items():
        words = [value for value, named in values if named or not (_ENTITY.fullmatch(value) or "://" in value)]
        told = tuple(dict.fromkeys(filter(None, (clean(value, _FACT) for value in words))))[:_FACTS]
        label = clean(re.split(r"[./#]", relation)[-1].replace("_", " "), 32).lower()
        if told and label and label not in out:
            out[label] = told
    return dict(list(out.items())[:_RELATIONS])


def title_of(item: Item) -> str:
    """The title, where the text begins with one, else the text."""
    text = shielded_name(item.text, 2 * _FACT)
    titles = (
        shielded_name(v, 2 * _FACT) for k, v in sorted(item.attributes.items()) if k in ("name", "title") and isinstance(v, str)
    )
    return next((title for title in titles if title and text.startswith(title)), text)


def source(known: Sequence[Fact]) -> str:
    """An item's own facts as one line: what a writer reads, and what its words are held against.

    Neighbours are left out: a small model says of an item what is only near it, in words that are all in the source.
    """
    return "; ".join(f"{fact.name}: {', '.join(fact.values)}" for fact in _own(known))


def _own(known: Sequence[Fact]) -> list[Fact]:
    return [fact for fact in known if fact.source != "neighbours"]


def template(known: Sequence[Fact]) -> Description:
    """The facts as a sentence, word for word.

    >>> template(facts(Item("1", "Jaws", {"genre": ("Thriller", "Horror"), "year": 1975.0}))).text
    'Jaws. Genre: Thriller, Horror. Year: 1975.'
    """
    text = " ".join(_sentence(fact) for fact in known if fact.values[0])
    return Description(text, "template", tuple(v for fact in known if fact.name != "name" for v in fact.values))


def _sentence(fact: Fact) -> str:
    said = fact.values[0] if fact.name == "name" else f"{fact.name[:1].upper()}{fact.name[1:]}: {', '.join(fact.values)}"
    return said if said.endswith((".", "!", "?")) else f"{said}."


def shots(known: Sequence[Sequence[Fact]], marks: Marks = "none") -> str:
    """The prompt's head: what is asked, and examples of it made from the catalogue's own facts, marked as the writer wants."""
    told = [f"{_asked(one, marks)}{unmarkable(_example(one), marks)}\n\n" for one in known]
    said = " ".join(filter(None, ("Say the facts about a thing in one sentence, with no other word.", HEEDED[marks])))
    return f"{said}\n\n{''.join(told)}"


def _asked(known: Sequence[Fact], marks: Marks) -> str:
    return f"Facts: {marked(source(known), marks)}\n"


def _example(known: Sequence[Fact]) -> str:
    name, *others = _own(known)
    parts = [f"{fact.name} {_listed(fact.values)}" for fact in others]
    stated = [value for fact in others for value in fact.values][:6]
    ending = f" has the {_listed(parts)}." if parts else " is what it is called."
    return json.dumps({"description": f"{name.values[0]}{ending}", "attributes": stated}, ensure_ascii=False)


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def prompt(head: str, known: Sequence[Fact], marks: Marks = "none") -> str:
    """What a writer is given. The facts are cleaned: one line, bounded, so they end neither it nor the question."""
    return f"{head}{_asked(known, marks)}"


def version(writer: str, head: str) -> str:
    """Names all that changes a description, apart from its facts."""
    told = blake2b(repr((RECIPE, CHECKS, SCHEMA, head)).encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{RECIPE}-{told}+{writer}"


def judged(written: Mapping[str, Any] | None, known: Sequence[Fact], avoid: Sequence[str] = ()) -> Description:
    """The model's words where they say no more than the facts, the template where they do, with the reasons."""
    if written is None:
        return replace(template(known), troubles=("was not ended",))
    text, told = " ".join(str(written["description"]).split()), source(known)
    wrong = troubles(text, told, avoid=avoid)
    values = {value.lower(): value for fact in _own(known) if fact.name != "name" for value in fact.values}
    if invented := [str(one) for one in written["attributes"] if str(one).lower() not in values]:
        wrong.append(f"lists what is no fact: {', '.join(invented[:3])}")
    name = next((fact.values[0] for fact in known if fact.name == "name"), "")
    if name and name.lower() not in text.lower():
        wrong.append("does not name the thing")
    elif name and re.search(rf"{re.escape(name.lower())}\s*[(\[]", text.lower()):
        wrong.append("adds to the name")
    if wrong:
        fallback = template(known)
        return Description(fallback.text, fallback.by, fallback.attributes, tuple(wrong))
    stated = tuple(value for low, value in values.items() if re.search(rf"(?<!\w){re.escape(low)}(?!\w)", text.lower()))
    beside = [fact for fact in known if fact not in _own(known)]
    more = [value for fact in beside for value in fact.values]
    return Description(" ".join([text, *map(_sentence, beside)]), "model", (*stated, *more))
