"""The vocabulary of a catalogue: what becomes a tag, where an item says it, and what a version stands for."""

from __future__ import annotations

import json

import pytest

from longgame.errors import ArtefactError
from longgame.language import HashingModel
from longgame.language.vocabulary import Vocabulary, drawn, find, fold
from longgame.types import Item, ItemId

GREEK = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "zeta",
    "theta",
    "kappa",
    "sigma",
    "tau",
    "phi",
    "chi",
    "psi",
    "omega",
    "rho",
    "iota",
]
MODEL = HashingModel(128)


def shop() -> list[Item]:
    """Lopsided on purpose: 9 lipsticks, 7 shampoos, 5 nail lacquers, 15 words, a third of them not filed."""
    colours = ["red", "pink", "nude", "plum", "coral", "wine", "rose", "mauve", "berry"]
    texts = [f"{c} velvet lipstick, matte" for c in colours]
    texts += [f"Herbal shampoos for {h} hair" for h in ("dry", "oily", "curly", "fine", "long", "short", "dyed")]
    texts += [f"{c} nail lacquer 15 ml" for c in ("teal", "ruby", "jade", "opal", "onyx")]
    texts += [f"{word} {word}s" for word in GREEK]
    kind = ["Lips"] * 9 + ["Hair"] * 7 + ["Nails"] * 5 + [""] * 15
    return [Item(ItemId(str(n)), t, {"kind": kind[n]} if n % 3 else {}) for n, t in enumerate(texts)]


def built(items: list[Item], size: int = 30) -> Vocabulary:
    return find(items, MODEL, MODEL.embed([item.text for item in items]), size)


def test_tags_are_what_the_catalogue_says_often_and_of_like_things():
    found = built(shop())
    names = {tag.name: tag for tag in found.tags}
    assert names["Lips"].source == "category" and names["Lips"].count == 6
    forms = {form for tag in found.tags for form in tag.forms}
    assert {"herbal shampoo", "nail lacquer", "velvet lipstick"} <= forms, (
        "plurals are folded; a word that never stands alone is its phrase"
    )
    assert not forms & {"for", "15", "ml", "nail", "lacquer", "shampoo", "red"}
    assert "lipstick matte" not in forms, "no phrase goes across a comma"
    assert len(built(shop(), 2).tags) == 2


def test_the_version_follows_the_catalogue_and_not_its_order():
    items = shop()
    once = built(items)
    assert built(items[::-1]).version == once.version
    changed = [*items[:-1], Item(ItemId("35"), "garnet nail lacquer 15 ml")]
    other = built(changed)
    assert other.version != once.version
    assert once.other(changed) == pytest.approx(1 / 36) and once.other(items) == 0 and len(once.basis(changed)) == 35


def test_an_item_says_a_tag_where_the_span_says_so():
    found = built(shop())
    place = {form: n for n, tag in enumerate(found.tags) for form in tag.forms}
    item = Item(ItemId("x"), "Two herbal  SHAMPOOS,\u200b one Nail  Lacquer", {"kind": "lips", "size": 3.0})
    said = found.said(item)
    assert said[place["lip"]].part == "kind" and said[place["lip"]].words == "lips"
    span = said[place["nail lacquer"]]
    assert span.words == "Nail Lacquer" and "Two herbal SHAMPOOS, one Nail Lacquer"[span.start :] == span.words
    assert found.without(item.text, place["herbal shampoo"]) == "Two , one Nail Lacquer"
    assert set(said) == {place["lip"], place["herbal shampoo"], place["nail lacquer"]}


def test_it_survives_being_written_and_refuses_what_was_tampered_with():
    found = built(shop())
    told = json.loads(json.dumps(found.to_json()))
    assert Vocabulary.from_json(told) == found and Vocabulary.from_json(told).version == found.version
    told["tags"][0]["name"] = "Gold"
    for bad in (told, {}, {"recipe": "vocabulary-0"}):
        with pytest.raises(ArtefactError, match="vocabulary"):
            Vocabulary.from_json(bad)


def test_what_is_drawn_stays_where_it_was_when_the_catalogue_grows():
    items = shop()
    before = [items[row].id for row in drawn(items, "shots")]
    grown = [Item(ItemId("new"), "a comb"), *items]
    after = [grown[row].id for row in drawn(grown, "shots")]
    assert [id for id in after if id != "new"] == before
    assert before != [items[row].id for row in drawn(items, "sample")], "another draw is another order"


def test_folding_leaves_words_that_only_look_like_plurals():
    assert [fold(word) for word in ("glass", "Iris", "brushes", "berries", "bus", "L’Oreal’s")] == [
        "glass", "iris", "brush", "berry", "bus", "l'oreal"]  # fmt: skip


def test_an_empty_catalogue_has_no_tags():
    assert built([]).tags == ()
