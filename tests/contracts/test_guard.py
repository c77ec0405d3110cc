"""The contract of Guard and SlateRule, run on every implementation, and what each of them refuses.

A new one adds a line to GUARDS or RULES.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longgame.algorithms.rank import RankPolicy
from longgame.errors import ConfigError
from longgame.guards import AlreadySeen, AtMost, Blocklist, InStock, Ruled
from longgame.knowledge.book import Rulebook
from longgame.knowledge.rules import parse
from longgame.retrieval.whole import WholeCatalogue
from longgame.slate import Exploration
from longgame.types import ItemId
from tests.kit import event, features, ids, items, recommender, request, state_of_nobody

N = 7
SHOP = features(N)
FOUND = WholeCatalogue(SHOP).retrieve(state_of_nobody(SHOP), N)
STOCK = [True, False, 3, 0, "out", None, " No "]
GROUPS = [("a",), ("b", "a"), None, ("b",), "c", None, ("c", "b")]
HISTORY = [event("e0", -3, 1), event("e1", -2, 4, kind="purchase"), event("e2", -1, "gone"), event("e3", -1, 1)]

FACTS = {i.id: i.attributes for i in items(N, group=GROUPS, price=[1, 2, 3, 4, 5, 6, 7])}


def ruled(effect, text):
    return Ruled(effect, Rulebook([parse(text)], FACTS))


GUARDS = {
    "already seen": lambda: AlreadySeen(),
    "already bought": lambda: AlreadySeen(frozenset({"purchase"})),
    "blocklist": lambda: Blocklist([ids(N)[2], ids(N)[5], ItemId("unknown")]),
    "in stock": lambda: InStock(items(N, stock=STOCK)),
    "never": lambda: ruled("never", "purchase: group = c -> same group and price > 5"),
    "only": lambda: ruled("only", "purchase: -> price >= 2"),
    "needs": lambda: ruled("needs", "purchase: group = a -> group = b and price < 4"),
}
REFUSED = {"already seen": {1, 4}, "already bought": {4}, "blocklist": {2, 5}, "in stock": {1, 3, 4, 6}}
REFUSED |= {"never": {6}, "only": {0}, "needs": {1}}
RULES = {
    "at most 1": lambda: AtMost(items(N, group=GROUPS), "group", 1),
    "at most 2": lambda: AtMost(items(N, group=GROUPS), "group", 2),
}


@pytest.fixture(params=GUARDS)
def guard(request):
    return GUARDS[request.param]()


@pytest.fixture(params=RULES)
def rule(request):
    return RULES[request.param]()


def asked(guard, found=FOUND, history=HISTORY):
    return guard.eligible(request("r"), history, found)


@pytest.mark.parametrize("name", GUARDS)
def test_each_guard_refuses_what_it_says(name):
    allowed = asked(GUARDS[name]())
    assert allowed.dtype == np.bool_ and allowed.shape == (N,)
    assert set(np.flatnonzero(~allowed).tolist()) == REFUSED[name]


def test_a_guard_is_pure_and_looks_at_each_candidate_alone(guard):
    whole = asked(guard)
    order = np.array([4, 1, 6, 0, 3])
    part = WholeCatalogue(SHOP, order).retrieve(state_of_nobody(SHOP), N)
    np.testing.assert_array_equal(asked(guard, part), whole[order])
    np.testing.assert_array_equal(asked(guard), whole)
    none = FOUND.keep(np.zeros(N, np.bool_))
    assert asked(guard, none).shape == (0,)


def test_who_did_nothing_has_seen_nothing():
    assert asked(AlreadySeen(), history=[]).all()
    assert asked(AlreadySeen(frozenset({"rating"}))).all()


@pytest.mark.parametrize(
    "value, out",
    [(False, True), (0, True), (-1.0, True), ("OUT", True), ("yes", False), (2, False), (None, False), (("out",), False)],
)
def test_what_counts_as_out_of_stock(value, out):
    assert asked(InStock(items(1, left=[value]), "left"))[0] == (not out)


def test_versions_name_the_contents():
    versions = [
        AlreadySeen().version,
        AlreadySeen(frozenset({"a"})).version,
        AlreadySeen(frozenset({"a", "b"})).version,
        Blocklist([]).version,
        Blocklist(ids(2)).version,
        Blocklist(ids(3)).version,
        InStock(items(3, stock=[1, 1, 1])).version,
        InStock(items(3, stock=[1, 0, 1])).version,
        InStock(items(3, left=[1, 0, 1]), "left").version,
        ruled("never", "-> group = a").version,
        ruled("only", "-> group = a").version,
        ruled("only", "-> group = b").version,
        AtMost(items(3, a="xyz"), "a", 1).version,
        AtMost(items(3, a="xyz"), "a", 2).version,
        AtMost(items(3, a="xyy"), "a", 1).version,
        AtMost(items(3, b="xyz"), "b", 1).version,
    ]
    assert len(set(versions)) == len(versions)
    assert Blocklist(ids(2)[::-1]).version == Blocklist([*ids(2), *ids(1)]).version
    assert AtMost(items(3, a="xyz"), "a", 1).version == versions[12]


def held(position):
    value = GROUPS[position] if position < N else None
    return set(value if isinstance(value, tuple) else [] if value is None else [value])


def most(positions, columns):
    """How often the commonest value occurs among the columns."""
    values = [v for c in columns for v in held(positions[c])]
    return max((values.count(v) for v in values), default=0)


@pytest.mark.parametrize("limit", [1, 2, 3])
@given(order=st.permutations(range(N + 2)), chosen=st.integers(0, 4))
def test_at_most_allows_exactly_what_keeps_the_limit(limit, order, chosen):
    """Items N and N+1 joined the catalogue after the rule was made: they are never refused."""
    rule, positions = AtMost(items(N, group=GROUPS), "group", limit), np.array(order)
    columns: list[int] = []
    for column in range(chosen):
        if rule.allow(positions, columns)[column]:
            columns.append(column)
    allowed = rule.allow(positions, columns)
    for column in range(N + 2):
        if column not in columns:
            fits = all([v for c in columns for v in held(order[c])].count(v) < limit for v in held(order[column]))
            assert allowed[column] == fits, (order, columns, column)


def test_a_rule_is_pure_and_takes_padding(rule):
    positions = np.array([2, -1, 1, -1, 5])
    before = positions.copy()
    got = rule.allow(positions, [0])
    np.testing.assert_array_equal(rule.allow(positions, [0]), got)
    np.testing.assert_array_equal(positions, before)
    assert got.shape == (5,) and got.dtype == np.bool_ and got[[1, 3]].all()
    assert rule.allow(positions, []).all()


def test_a_limit_below_one_is_refused():
    with pytest.raises(ConfigError, match="AtMost"):
        AtMost(items(2), "group", 0)


def test_an_attribute_that_nobody_has_refuses_nothing():
    assert AtMost(items(4), "colour", 1).allow(np.arange(4), [0, 1, 2]).all()


@given(st.integers(0, 2**40), st.integers(1, 6))
def test_no_slate_breaks_a_guard_or_a_rule(seed, k):
    """Whatever the draw: nothing refused is a candidate, and no value of the attribute occurs too often."""
    guards = tuple(make() for name, make in GUARDS.items() if name not in ("in stock", "never", "only"))
    rules = tuple(make() for make in RULES.values())
    made = recommender(SHOP, RankPolicy(0.5), guards=guards, rules=rules, explore=Exploration(1.0, 0.5))
    got = made.decide(request(f"r{seed}", k=k), HISTORY)
    assert not {f"i{i}" for i in {1, 4, 2, 5}} & set(got.candidates)
    assert most([int(i[1:]) for i in got.shown], range(len(got.shown))) <= 1
    assert len(got.shown) == min(k, 2)  # of items 0, 3 and 6 the last two share a value
    assert got.versions.guards.count("+") == len(guards) + len(rules) - 1


@given(st.integers(0, 2**40))
def test_a_rule_shortens_a_slate_and_no_more(seed):
    made = recommender(SHOP, RankPolicy(0.0), rules=(RULES["at most 1"](),), explore=Exploration(1.0, 0.0))
    got = made.decide(request(f"r{seed}", k=N), [])
    shown = [int(i[1:]) for i in got.shown]
    assert most(shown, range(len(shown))) <= 1
    left = [p for p in range(N) if p not in shown]
    assert all(most([*shown, p], range(len(shown) + 1)) > 1 for p in left), "an item that fitted was left out"
