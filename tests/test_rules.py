"""Rules that people write: read, held against a catalogue, and at work in `decide` by the settings alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.guards import Ruled
from longgame.knowledge.book import Rulebook
from longgame.knowledge.columns import rule_columns
from longgame.knowledge.graph import Graph, keep
from longgame.knowledge.rules import parse
from longgame.models.sequence import SequenceConfig, SequenceModel
from longgame.retrieval.ruled import RuleRetriever
from longgame.settings import load_settings
from longgame.state import state_of
from longgame.types import Attribute, Event, Item, ItemId, Request, UserId
from longgame.wiring.knowledge import graph_path, idle
from longgame.wiring.training import train
from longgame.wiring.workspace import workspace
from tests.kit import event, features, items, request
from tests.kit import ids as named

SHOP: dict[ItemId, dict[str, Attribute]] = {
    ItemId("i0"): {"category": "printer", "brand": "acme", "price": 90.0, "accessories": ("i2", "i9")},
    ItemId("i1"): {"category": "printer", "brand": "best", "price": 200.0},
    ItemId("i2"): {"category": "ink", "brand": "acme", "price": 20.0, "colours": ("red", "black")},
    ItemId("i3"): {"category": "ink", "brand": "best", "price": 35.0, "colours": ("black",)},
    ItemId("i4"): {"category": "lamp", "adult": True},
}


def book(*texts: str) -> Rulebook:
    return Rulebook([parse(text) for text in texts], SHOP)


@pytest.mark.parametrize(
    ("text", "done", "said"),
    [
        ("purchase: category = printer -> category = ink", [("purchase", "i0")], {"i2", "i3"}),
        ("purchase: category = printer -> category = ink", [("click", "i0"), ("purchase", "i4")], None),
        ("category = printer and price >= 100 -> category = ink", [("click", "i0")], None),
        ("category = printer and price >= 100 -> category = ink", [("click", "i1")], {"i2", "i3"}),
        ("cart, purchase: -> same brand", [("cart", "i0"), ("click", "i1")], {"i0", "i2"}),
        ("-> same brand and category != printer", [("x", "i0"), ("x", "i1")], {"i2", "i3"}),
        ("-> in accessories", [("x", "i0")], {"i2"}),
        ("-> in accessories", [("x", "i1")], set()),
        ("-> colours = red", [("x", "i4")], {"i2"}),
        ("-> colours != red", [("x", "i4")], {"i3"}),
        ("-> adult = true", [("x", "i1")], {"i4"}),
        ("-> price = 20", [("x", "i1")], {"i2"}),
        ("-> category = ink", [("x", "gone")], None),
        ("-> category = ink", [], None),
    ],
)
def test_what_a_rule_says(text: str, done: list[tuple[str, str]], said: set[str] | None) -> None:
    assert book(text).said(0, [(kind, ItemId(item)) for kind, item in done]) == (None if said is None else frozenset(said))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("category = ink", "needs one arrow"),
        ("a = b -> c = d -> e = f", "needs one arrow"),
        ("purchase: ->", "nothing stands after the arrow"),
        ("purchase -> a = b", "must be NAME = VALUE"),
        ("purchase cart: -> a = b", "kinds of event by commas"),
        (": -> a = b", "kinds of event by commas"),
        ("same a -> b = c", "after the arrow"),
        ("-> price < cheap", "compares numbers, got 'cheap'"),
        ("-> a = two words", "double quotes"),
        ('-> a = "open', "close the quotes"),
        ("-> a = b and", "got 'nothing'"),
        ("-> a = =", "a value where '='"),
        ("-> brnd = acme", "did you mean 'brand'"),
        ("-> category < 3", "number of no item"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_what_to_write(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        book(text)
    assert text in str(caught.value)


def test_quotes_hold_blanks_and_signs() -> None:
    rule = parse('"view page": "film = genre" = "sci-fi, \\"old\\"" -> in "made by"')
    assert rule.kinds == {"view page"} and rule.named == ("made by",)
    assert (rule.when[0].name, rule.when[0].value) == ("film = genre", 'sci-fi, "old"')


@given(st.text(max_size=40))
def test_no_line_does_anything_but_be_read_or_refused(text: str) -> None:
    try:
        assert parse(text).text == text
    except ConfigError as error:
        assert "rule" in str(error)


def test_an_empty_catalogue_refuses_no_rule() -> None:
    assert Rulebook([parse("-> a = b")], {}).said(0, [("x", ItemId("i"))]) is None


def test_what_no_item_meets_is_named_with_what_may_be_meant() -> None:
    held = book(
        "purchase: category = pirnter -> category = ink",
        "category = lamp and brand = acme -> price > 1000",
        "category = lamp -> category != lamp",
    )
    assert held.unmet(0) == ["no item has category = pirnter, did you mean printer?"]
    assert held.unmet(1) == ["no item meets all that stands before the arrow", "no item has price > 1000"]
    assert held.unmet(2) == []


def test_suggestions_stand_by_voice_then_by_prior() -> None:
    shop = Rulebook([parse("category = printer -> category = ink"), parse("-> in accessories")], SHOP)
    catalogue = features(5)
    made = RuleRetriever(shop, catalogue, np.array([0, 0, 1, 5, 0], np.float32))
    after = state_of([1], (), catalogue, 4)
    assert made.retrieve(after, 9).ids == ("i3", "i2"), "both have one voice; i3 is the more popular"
    both = made.retrieve(state_of([1, 0], (), catalogue, 4), 9)
    assert both.ids == ("i2", "i3") and both.scores[0] > both.scores[1] and both.sources == ("rules",)
    assert made.retrieve(state_of([1, 0], (), catalogue, 4), 1).ids == ("i2",)
    assert len(made.retrieve(state_of([], (), catalogue, 4), 9)) == 0
    with pytest.raises(ConfigError, match="no kind of event"):
        RuleRetriever(book("purchase: -> same brand"), catalogue, np.zeros(5, np.float32))


def test_needs_opens_what_it_names_to_who_did_it() -> None:
    guard = Ruled("needs", book("purchase: category = printer -> category = ink and same brand"))
    found = RuleRetriever(book("-> category = ink"), features(5), np.zeros(5, np.float32)).retrieve(
        state_of([4], (), features(5), 2), 5
    )
    assert found.ids == ("i2", "i3")
    assert guard.eligible(request("r"), [], found).tolist() == [False, False]
    assert guard.eligible(request("r"), [event("e", -1, 0, kind="purchase")], found).tolist() == [True, False]


START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def product(tmp_path_factory: Any) -> Path:
    """Twenty items, some of them printers and inks, a log, and a graph that knows what fits what."""
    folder: Path = tmp_path_factory.mktemp("rules")
    with workspace(settings(folder)) as ws:
        kinds = ["printer", "ink", "lamp", "book"]
        ws.store.put([Item(i.id, i.text, {"category": kinds[n % 4]}) for n, i in enumerate(items(20))])
        rows = [(u, (u * 5 + s * (1 + u % 3)) % 20, s) for u in range(16) for s in range(6)]
        at = [START + timedelta(minutes=u + 60 * s) for u, _, s in rows]
        ws.store.put(
            Event(f"e{u}-{s}", when, UserId(f"u{u}"), ItemId(f"i{i}"), "click")
            for (u, i, s), when in zip(rows, at, strict=True)
        )
        links = {id: id for id in named(20)}
        keep(Graph.of([("i0", "fits", "i1"), ("i4", "fits", "i5")], links), graph_path(ws.settings), {})
        train(ws)
    return folder


def settings(folder: Path, **flags: Any) -> Any:
    where = {"store.url": f"sqlite:///{folder / 'log.db'}", "data.folder": str(folder / "data")}
    said = {"language.model": "hashing", "policy.steps": 5, "retrieval.candidates": 20, "guards.already_seen": False}
    return load_settings(None, {}, {**said, **where, **flags}).settings


def shown(folder: Path, history: list[Event], **flags: Any) -> Any:
    with workspace(settings(folder, **flags)) as ws:
        loaded = ws.load()
        assert loaded is not None
        made = loaded.recommender
        return made.decide(Request("r", START + timedelta(days=9), UserId("ann"), 20), history)


BOUGHT = [Event("b", START, UserId("ann"), ItemId("i0"), "purchase")]


def test_rules_of_the_settings_guard_what_is_decided(product: Path) -> None:
    category = {f"i{n}": ["printer", "ink", "lamp", "book"][n % 4] for n in range(20)}
    free = shown(product, BOUGHT)
    assert {category[i] for i in free.candidates} == {"printer", "ink", "lamp", "book"}
    never = {"rules.never": ["purchase: category = printer -> category = printer"]}
    after = shown(product, BOUGHT, **never)
    assert {category[i] for i in after.candidates} == {"ink", "lamp", "book"}
    assert "never-" in after.versions.guards and after.versions.guards != free.versions.guards
    assert set(shown(product, [], **never).candidates) == set(shown(product, []).candidates), "who bought nothing"
    only = shown(product, BOUGHT, **{"rules.only": ["purchase: -> category = ink"]})
    assert {category[i] for i in only.candidates} == {"ink"}
    needs = {"rules.needs": ["purchase: -> in fits", "cart: -> category = lamp"]}
    assert set(shown(product, BOUGHT, **needs).candidates) == {"i1"}, "all else needs a deed that was not done"


def test_a_training_says_which_rules_can_never_speak(product: Path) -> None:
    flags = {"rules.never": ["cart: category = lamp -> category = book"], "rules.suggest": ["category = inc -> in fits"]}
    with workspace(settings(product, **flags)) as ws:
        told = idle(ws.settings, list(ws.store.items()), {"click"})
    assert told == [
        "rules.never: 'cart: category = lamp -> category = book': no event of the log is of the kind cart; there are click",
        "rules.suggest: 'category = inc -> in fits': no item has category = inc, did you mean ink?",
    ]
    said: list[str] = []
    with workspace(settings(product, **flags)) as ws:
        train(ws, epochs=1, say=said.append)
    assert said[:2] == told


def test_a_suggestion_of_the_graph_becomes_a_candidate(product: Path) -> None:
    flags = {"retrieval.candidates": 2, "retrieval.shares": {"fresh": 1.0}, "rules.share": 50.0}
    made = shown(product, BOUGHT, **flags, **{"rules.suggest": ["-> in fits"]})
    assert made.candidates[0] == "i1"
    assert made.versions.retriever != shown(product, BOUGHT, **flags).versions.retriever


def test_a_plain_rule_is_a_column_a_side_and_a_rule_that_joins_a_product() -> None:
    ids = list(SHOP)
    plain = rule_columns(book("purchase: category = printer -> category = ink and price < 30"), ids, 4)
    np.testing.assert_array_equal(plain, [[1, 0], [1, 0], [0, 1], [0, 0], [0, 0]])
    assert rule_columns(book(), ids, 4).shape == (5, 0)
    both = rule_columns(book("-> category = ink", "-> same brand and category = ink", "-> in accessories"), ids, 20_000)
    assert both.shape == (5, 2 + 40_000)
    before, after = both[:, 2:20_002], both[:, 20_002:]
    wanted = np.zeros((5, 5))
    wanted[[0, 2], 2] = wanted[[1, 3], 3] = 1.0  # a brand is shared with the ink of it
    wanted[0, 2] += 0.5**0.5  # and an accessory named, one of two
    np.testing.assert_allclose(before @ after.T, wanted, atol=0.05)
    with pytest.raises(ConfigError, match="width must be 1 or more"):
        rule_columns(book(), ids, 0)


def test_what_two_share_counts_by_all_it_takes_and_a_new_item_moves_no_number() -> None:
    facts: dict[ItemId, dict[str, Attribute]] = {
        ItemId("a"): {"brand": "x", "room": ("hall", "bath")},
        ItemId("b"): {"brand": "x", "room": ("bath",)},
        ItemId("c"): {"brand": "x", "room": ("attic",)},
    }
    rules = [parse("-> same brand and same room")]
    made = rule_columns(Rulebook(rules, facts), list(facts), 20_000)
    before, after = made[:, :20_000], made[:, 20_000:]
    np.testing.assert_allclose((before @ after.T)[0], [1.0, 0.5**0.5, 0.0], atol=0.05)
    more: dict[ItemId, dict[str, Attribute]] = {ItemId("new"): {"brand": "y", "room": ("hall",)}, **facts}
    np.testing.assert_array_equal(rule_columns(Rulebook(rules, more), list(more), 20_000)[1:], made)


def test_an_item_that_is_named_before_it_is_there_moves_nobody_when_it_comes() -> None:
    rules = [parse("-> in accessories"), parse("-> in accessories and same brand")]
    facts: dict[ItemId, dict[str, Attribute]] = {ItemId("i0"): {"brand": "acme", "accessories": ("i2", "i9")}}
    facts |= {ItemId("i2"): {"brand": "acme"}, ItemId("i3"): {"brand": "best"}}
    before = rule_columns(Rulebook(rules, facts), list(facts), 20_000)
    after = rule_columns(Rulebook(rules, {**facts, ItemId("i9"): {"brand": "other"}}), [*facts, ItemId("i9")], 20_000)
    np.testing.assert_array_equal(after[:3], before)
    said = (after[:, :20_000] @ after[:, 20_000:].T)[0]
    np.testing.assert_allclose(said, [0.0, 2 * 0.5**0.5, 0.0, 0.5**0.5], atol=0.06)  # by both rules, by neither, by the first


def test_the_order_of_rules_is_none_of_the_recipe_and_the_graph_is(product: Path, tmp_path: Path) -> None:
    one = {"rules.never": ["category = printer -> category = lamp"], "rules.suggest": ["-> in fits"], "rules.use": True}
    two = {"rules.only": ["-> in fits"], "rules.needs": ["category = printer -> category = lamp"], "rules.use": True}
    with workspace(settings(product, **one)) as ws, workspace(settings(product, **two)) as other:
        text, same = ws.text(), other.text()
        assert text.version == same.version
        np.testing.assert_array_equal(text.vectors, same.vectors)
        before = (graph_path(ws.settings)).read_bytes()
        try:
            keep(Graph.of([("i0", "fits", "i9")], {id: id for id in named(20)}), graph_path(ws.settings), {})
            assert ws.text().version != text.version
        finally:
            graph_path(ws.settings).write_bytes(before)


def test_rules_over_what_users_did_are_never_learned_from(product: Path) -> None:
    flags = {"rules.suggest": ["-> in fits"], "rules.use": True}
    with workspace(settings(product, **flags)) as ws:
        before = (graph_path(ws.settings)).read_bytes()
        done = [(f"i{(u * 5 + s * (1 + u % 3)) % 20}", "clicked by", f"u{u}") for u in range(16) for s in range(6)]
        try:
            keep(Graph.of([*done, ("i0", "fits", "i1")], {id: id for id in named(20)}), graph_path(ws.settings), {})
            train(ws)  # the graph tells, and no rule asks it
            asks = settings(product, **{**flags, "rules.suggest": ['-> same "clicked by"']})
            with workspace(asks) as other, pytest.raises(ConfigError, match="clicked by do"):
                train(other)
        finally:
            graph_path(ws.settings).write_bytes(before)


def test_a_network_that_reads_rules_knows_what_follows_things_that_nobody_bought_yet() -> None:
    """Texts are noise. Who bought a printer buys ink next; of the new ones the rule alone says which they are."""
    kinds = ["printer", "ink", "lamp", "book"]
    facts: dict[ItemId, dict[str, Attribute]] = {ItemId(f"i{n}"): {"category": kinds[n % 4]} for n in range(80)}
    rng = np.random.default_rng(0)
    events = []
    for user in range(150):
        first = int(rng.integers(10))
        for step, kind in enumerate([0, 1, 2, 0, 1, 3]):
            item = ItemId(f"i{4 * ((first + step * step) % 10) + kind}")
            events.append(Event(f"{user}-{step}", START + timedelta(hours=step), UserId(f"u{user}"), item, "purchase"))
    noise = rng.standard_normal((80, 16)).astype(np.float32)
    told = rule_columns(Rulebook([parse("purchase: category = printer -> category = ink")], facts), list(facts), 4)
    gaps = []
    for vectors in (noise, np.concatenate([noise, 2 * told], axis=1)):
        model = SequenceModel(SequenceConfig(width=16, hidden=16, blocks=1, steps=5, epochs=8, patience=0, refit=False))
        model.fit(Interactions.of(events, list(facts)), vectors)
        scores = model.score(np.array([[n] for n in range(40, 80, 4)]))[:, 40:]  # after a new printer, of new things
        gaps.append(scores[:, 1::4].mean() - scores[:, [n for n in range(40) if n % 4 != 1]].mean())
    assert gaps[1] > 1.0 and gaps[1] > 3 * abs(gaps[0])


def test_rules_of_the_settings_stand_beside_the_texts(product: Path, tmp_path: Path) -> None:
    rules = {"rules.never": ["category = printer -> category = lamp"], "rules.suggest": ["-> in fits"], "rules.width": 3}
    with workspace(settings(product, **rules)) as ws:
        plain = ws.text()
    with workspace(settings(product, **rules, **{"rules.use": True, "rules.weight": 2.0})) as ws:
        text = ws.text()
    assert text.width == plain.width + 2 + 2 * 3 and text.beside == 8 and "rules1-" in text.version
    np.testing.assert_array_equal(text.vectors[:, : plain.width], plain.vectors)
    assert set(text.vectors[:, plain.width].tolist()) == {0.0, 2.0}
    with workspace(settings(product, **{"rules.use": True})) as ws, pytest.raises(ConfigError, match="there are no rules"):
        ws.text()


def test_a_rule_that_cannot_be_read_stops_at_the_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rules\.never.*needs one arrow"):
        settings(tmp_path, **{"rules.never": ["category = printer"]})
