"""The join: exact rewards whatever the order of arrival, the state that was served, and a cursor that loses nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longgame.algorithms.rank import RankPolicy
from longgame.guards import AlreadySeen
from longgame.learning.batches import trajectories
from longgame.learning.join import Join, Joined
from longgame.protocols import EventStore
from longgame.simulation.rollout import rollout
from longgame.simulation.shop import Shop, ShopConfig
from longgame.slate import Exploration
from longgame.state import build_state, events_read
from longgame.store import open_store
from longgame.store.memory import MemoryStore
from longgame.types import Decision, Event, Item, ItemId, Objective, Record, User, UserId
from tests.kit import START, C, T, decision, event, features, feedback, items, recommender

SHOP = features(7)
CLICKS = Objective({"click": 1.0, "purchase": 5.0}, frozenset({"purchase"}), timedelta(hours=2))
LATER = event("later", 99, 0, "zoe")
"""Closes every window."""


def store_of(records: Sequence[Record]) -> MemoryStore:
    store = MemoryStore()
    store.put(records)
    return store


def rows_of(*records: Record, objective: Objective = CLICKS) -> tuple[list[Joined], Join]:
    join = Join(store_of(records), SHOP.index, objective, T)
    return list(join.rows()), join


def only(*records: Record) -> Joined:
    (row,) = rows_of(*records, LATER)[0]
    return row


D1 = decision("d1", 0.0, (3, 1))


def test_a_row_is_the_decision_with_what_came_of_it():
    row = only(D1, feedback(D1, 0, 5), feedback(D1, 1, 6), feedback(D1, 1, 7, "purchase", value=3.0))
    assert row.rewards == [1.0, 16.0] and row.responses == [True, True]
    assert row.candidates.tolist() == [0, 1, 2, 3, 4]
    assert (row.id, row.user, row.picks, row.propensities) == ("d1", "ann", (3, 1), (0.5, 0.25))
    assert (row.cursor, row.history, row.context, row.versions) == (1, (), (), D1.versions)


def test_feedback_arrives_in_any_order_and_counts_once():
    wanted = only(D1, feedback(D1, 0, 5), feedback(D1, 1, 90)).rewards
    assert wanted == [1.0, 1.0]
    assert only(D1, feedback(D1, 1, 90), feedback(D1, 0, 5)).rewards == wanted
    twice: list[Record] = [D1, feedback(D1, 0, 5), feedback(D1, 0, 5), feedback(D1, 1, 90), D1]
    assert only(*twice).rewards == wanted


def test_a_skip_is_no_response():
    """As ``simulation.Environment`` has it: what counts against the product is nothing that the user took."""
    objective = replace(CLICKS, rewards={**CLICKS.rewards, "skip": -0.5})
    skipped = feedback(D1, 0, 5, "skip"), feedback(D1, 1, 6, "skip"), feedback(D1, 1, 7, "unheard of")
    (row,), _ = rows_of(D1, *skipped, LATER, objective=objective)
    assert row.rewards == [-0.5, -0.5] and row.responses == [False, True]


@pytest.mark.parametrize("minutes, counts", [(0.0, True), (119.999, True), (120.0, True), (120.001, False), (500.0, False)])
def test_the_window_has_an_edge(minutes, counts):
    (row,), join = rows_of(D1, feedback(D1, 0, minutes), LATER)
    assert row.rewards == [float(counts), 0.0] and join.late == (not counts)


def test_a_window_closes_only_on_a_record_that_lies_behind_it():
    edge = replace(event("edge", 0, 2, "bob"), at=START + CLICKS.window)
    assert rows_of(D1, edge)[0] == []
    assert len(rows_of(D1, replace(edge, at=edge.at + timedelta(microseconds=1)))[0]) == 1
    assert len(rows_of(D1, decision("d2", 2.5))[0]) == 1
    assert rows_of(D1, Item(ItemId("i9"), ""), User(UserId("u")))[0] == []


def test_feedback_that_was_written_after_the_window_closed_is_late():
    (row,), join = rows_of(D1, LATER, feedback(D1, 0, 5))
    assert row.rewards == [0.0, 0.0] and (join.late, join.mismatched) == (1, 0)


def test_feedback_on_what_was_not_shown_counts_nothing():
    wrong = [
        replace(feedback(D1, 0, 5), slot=2, id="a"),
        replace(feedback(D1, 0, 5), slot=None, id="b"),
        replace(feedback(D1, 0, 5), item=ItemId("i1"), id="c"),
        replace(feedback(D1, 0, 5), item=ItemId("elsewhere"), id="d"),
    ]
    (row,), join = rows_of(D1, *wrong, LATER)
    assert row.rewards == [0.0, 0.0] and not any(row.responses)
    assert (join.late, join.mismatched) == (0, 4)
    _, join = rows_of(D1, feedback(decision("never", 0), 0, 5), LATER)
    assert (join.late, join.mismatched) == (1, 0)


def test_a_clock_that_runs_ahead_harms_only_what_is_open():
    """One event from the year 2124 closes D1 too soon; the decisions after it still get their feedback."""
    ahead = event("ahead", 24 * 36_500, 0, "bob")
    d2 = decision("d2", 1.0, user="cid")
    rows, _ = rows_of(D1, ahead, feedback(D1, 0, 5), d2, feedback(d2, 1, 5), LATER)
    assert [r.rewards for r in rows] == [[0.0, 0.0], [0.0, 1.0]]


def test_items_that_were_written_are_counted():
    changed = [*items(3), Item(ItemId("i0"), "new text")]
    assert rows_of(D1, *changed)[1].items_written == 4


def test_an_item_the_catalogue_forgot_is_minus_one():
    gone = decision("d", 0, (1,), candidates=[0, 77, 2])
    row = only(gone, feedback(gone, 0, 5))
    assert row.candidates.tolist() == [0, -1, 2]


# A log in which everything is out of order that may be.


def tangled(seed: int, n: int = 60) -> list[Record]:
    rng = random.Random(seed)
    timed: list[tuple[float, Record]] = [(0.0, item) for item in items(7)]
    for number in range(n):
        hours, user = rng.uniform(0, 40), rng.choice(["ann", "bob", "cid"])
        if rng.random() < 0.5:
            picks = tuple(rng.sample(range(C), rng.randrange(0, 4)))
            d = decision(f"d{number}", hours, picks, user, rng.sample(range(9), C))
            timed.append((hours, d))
            for slot in range(len(picks)):
                for kind in rng.sample(["click", "purchase", "view"], rng.randrange(0, 3)):
                    minutes = rng.uniform(0, 180)
                    timed.append((hours + minutes / 60 + rng.choice([0, 0, 0, 3]), feedback(d, slot, minutes, kind, value=2.5)))
        else:
            item = rng.choice([*range(7), "unknown"])
            timed.append((hours + rng.choice([0, 0, -5, 2]), event(f"e{number}", hours, item, user)))
    timed.sort(key=lambda pair: pair[0])
    return [record for _, record in timed]


def plain(rows: Sequence[Joined]) -> list[tuple[object, ...]]:
    return [
        (r.cursor, r.id, r.user, r.at, r.candidates.tolist(), r.picks, r.propensities, r.rewards, r.responses, r.history)
        for r in rows
    ]


@pytest.mark.parametrize("seed", range(6))
def test_rewards_are_those_of_the_definition(seed):
    """Brute force: an event counts if it fits its slot, lies in the window, and came before a record behind it."""
    log = [*tangled(seed), LATER]
    rows, join = rows_of(*log)
    decisions = [(at, r) for at, r in enumerate(log) if isinstance(r, Decision)]
    assert [r.id for r in rows] == [d.id for _, d in decisions]
    for row, (place, d) in zip(rows, decisions, strict=True):
        rewards = [0.0] * len(d.picks)
        closed = max(closing(log, place), *(closing(log, p) for p, _ in decisions if p <= place))
        for e in log[place:closed]:
            if isinstance(e, Event) and e.decision == d.id and e.at <= d.request.at + CLICKS.window:
                assert e.slot is not None
                if e.item in SHOP.index:
                    rewards[e.slot] += CLICKS.reward(e.kind, e.value)
        known = [r if d.shown[i] in SHOP.index else None for i, r in enumerate(row.rewards)]
        assert [r for r in known if r is not None] == [r for i, r in enumerate(rewards) if known[i] is not None]
    assert join.late > 0


def closing(log: Sequence[Record], place: int) -> int:
    """Place of the first record after the decision at ``place`` that lies behind its window."""
    d = log[place]
    assert isinstance(d, Decision)
    behind = d.request.at + CLICKS.window
    moments = {
        n: r.request.at if isinstance(r, Decision) else r.at for n, r in enumerate(log) if isinstance(r, (Decision, Event))
    }
    return next(n for n, at in sorted(moments.items()) if n > place and at > behind)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("chunk", [1, 3, 10_000])
def test_what_is_handed_out_does_not_depend_on_when_it_is_read(seed, chunk):
    log = tangled(seed)
    whole, _ = rows_of(*log)
    store, rng = MemoryStore(), random.Random(seed)
    join, rows, left = Join(store, SHOP.index, CLICKS, T), [], list(log)
    while left:
        n = rng.randrange(1, 9)
        store.put(left[:n])
        left = left[n:]
        rows += list(join.rows(chunk))
    assert plain(rows) == plain(whole) and len(rows) > 10


@pytest.mark.parametrize("seed", range(4))
def test_a_join_from_any_cursor_gives_exactly_the_rest(seed):
    log = tangled(seed)
    store = store_of(log)
    whole = plain(list(Join(store, SHOP.index, CLICKS, T).rows()))
    growing = MemoryStore()
    join, seen = Join(growing, SHOP.index, CLICKS, T), 0
    for record in log:
        growing.put([record])
        seen += len(list(join.rows()))
        rest = list(Join(store, SHOP.index, CLICKS, T, after=join.cursor).rows())
        assert plain(rest) == whole[seen:], f"cut at {join.cursor}"


def test_a_generator_left_half_way_loses_nothing():
    log = tangled(1)
    whole = plain(rows_of(*log)[0])
    join, rows = Join(store_of(log), SHOP.index, CLICKS, T), []
    first = join.rows()
    for _ in range(3):
        rows.append(next(first))
    rows += list(join.rows(4))
    rows += list(first)
    assert plain(rows) == whole


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0, 1, 2, "unknown"])), min_size=1, max_size=60), st.data())
def test_the_state_is_that_of_the_store_when_the_decision_was_written(events, data):
    """Any order of arrival, any decision's time, unknown items, repeats, and far more events than are looked at."""
    steps = 2  # eight events are looked at
    cuts = data.draw(st.lists(st.tuples(st.integers(0, len(events)), st.integers(1, 31)), min_size=1, max_size=6))
    log: list[Record] = []
    served = {}
    store = MemoryStore()
    for n in range(len(events) + 1):
        for number, (cut, hours) in enumerate(cuts):
            if cut == n:
                d = decision(f"d{number}", hours)
                served[d.id] = build_state(
                    d.request, store.history(UserId("ann"), d.request.at, events_read(steps)), SHOP, steps
                )
                log.append(d)
                store.put([d])
        if n < len(events):
            e = event(f"e{n}", *events[n])
            log.append(e)
            store.put([e])
    after = data.draw(st.integers(0, len(log)))
    log.append(event("end", 500, 0, "zoe"))
    store.put(log[-1:])
    for start in (0, after):
        rows = list(Join(store, SHOP.index, CLICKS, steps, after=start).rows())
        assert {r.id for r in rows} >= {d.id for d in log[after:] if isinstance(d, Decision)}
        for row in rows:
            assert list(row.history) == [i for i in served[row.id].items.tolist() if i >= 0], (start, row)


def test_a_state_of_long_ago_is_asked_of_the_store():
    """More events than are held, one of them far out of order, and decisions about every time among them."""
    steps, items = 2, [1] * 8 + [2] + [3] * 8  # eight events are looked at, sixteen held
    log: list[Record] = [event(f"e{n:02}", n, item) for n, item in enumerate(items)]
    log += [event("old", 0.5, 4), *(decision(f"d{n}", n + 0.75) for n in range(len(items)))]
    store = store_of([*log, event("end", 500, 0, "zoe")])
    rows = list(Join(store, SHOP.index, CLICKS, steps).rows())
    for n, row in enumerate(rows):
        at = replace(D1.request, at=START + timedelta(hours=n + 0.75))
        served = build_state(at, store.history(UserId("ann"), at.at, events_read(steps)), SHOP, steps)
        assert list(row.history) == [i for i in served.items.tolist() if i >= 0], n
    assert [row.history for row in rows][7:9] == [(4, 1), (1, 2)] and rows[16].history == (3,)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_the_state_rebuilt_is_the_state_served(kind, tmp_path):
    """A population lives for two weeks; each row's state is the one that the server would have built then."""
    store: EventStore = open_store("memory:" if kind == "memory" else f"sqlite:///{tmp_path / 'log.db'}")
    world = Shop(ShopConfig(users=25, items=30))
    shop = replace_ids(world)
    guards, explore = (AlreadySeen(frozenset({"purchase"})),), Exploration(1.0, 0.5)
    made = recommender(shop, RankPolicy(0.3), guards=guards, context=1, steps=3, explore=explore)
    rollout(made, world, 14, 3, 0, store)
    rows = list(Join(store, shop.index, world.objective, 3).rows())
    assert len(rows) > 60 and any(len(set(r.history)) == 3 for r in rows)
    for row in rows:
        d = store.decision(row.id)
        assert d is not None
        then = store.history(row.user, d.request.at, events_read(3), until=row.cursor)
        state = build_state(d.request, then, shop, 3)
        assert list(row.history) == [i for i in state.items.tolist() if i >= 0]
        assert row.context == d.request.context and [shop.ids[i] for i in row.candidates] == list(d.candidates)
    store.close()


def replace_ids(world: Shop):
    return replace(features(len(world.catalogue())), ids=tuple(i.id for i in world.catalogue()))


def test_memory_does_not_grow_with_the_log():
    """A year of one decision an hour with a window of two: never more than two are open."""
    store = MemoryStore()
    join, most = Join(store, SHOP.index, CLICKS, T), 0
    for hour in range(2000):
        d = decision(f"d{hour}", hour)
        store.put([d, feedback(d, 0, 1)])
        list(join.rows())
        most = max(most, len(join._open))
    assert most == 2 and len(join._by_id) == 2
    assert len(join._recent["ann"]) <= 2 * events_read(T)  # type: ignore[index]


# Trajectories.


@st.composite
def joined_rows(draw):
    n = draw(st.integers(0, 14))
    rows = []
    for number in range(n):
        d = decision(f"d{number}", draw(st.integers(0, 200)), (0, 1), draw(st.sampled_from(["ann", "bob"])))
        rewards = [draw(st.integers(0, 3)), draw(st.integers(0, 3))]
        (row,) = rows_of(d, LATER_STILL)[0]
        rows.append(replace(row, cursor=number + 1, rewards=[float(r) for r in rewards]))
    return rows


LATER_STILL = event("later", 9999, 0, "zoe")


@settings(deadline=None, max_examples=60)
@given(joined_rows(), st.sampled_from([0.0, 0.3, 0.9]))
def test_futures_are_those_of_the_definition(rows, gamma):
    log = trajectories(rows, Objective(discount=gamma))
    assert [r.cursor for r in log.rows] == [r.cursor for r in sorted(rows, key=lambda r: (r.at, r.cursor))]
    day, horizon = 86_400_000_000, log_horizon(gamma)
    for i, row in enumerate(log.rows):
        later = [j for j in range(i + 1, len(rows)) if log.rows[j].user == row.user]
        apart = {j: (log.rows[j].at - row.at) / day for j in later}
        wanted = sum(gamma ** apart[j] * sum(log.rows[j].rewards) for j in later) if gamma else 0.0
        assert log.future[i] == pytest.approx(wanted)
        assert log.following[i] == (later[0] if later and gamma else -1)
        assert log.discount[i] == pytest.approx(gamma ** apart[later[0]] if later and gamma else 0.0)
        assert log.told[i] == (row.at + horizon <= log.rows[-1].at)


def log_horizon(gamma: float) -> int:
    return round(np.log(0.05) / np.log(gamma) * 86_400_000_000) if gamma else 0


def test_an_end_is_not_a_cut():
    """Ann comes once and never again, bob comes at the end: of ann the future is told, and it is nothing."""
    log = [decision("a", 0, user="ann"), decision("b", 0, user="bob"), decision("c", 24 * 10, user="bob")]
    rows, _ = rows_of(*log, LATER_STILL)
    got = trajectories(rows, Objective(discount=0.5))
    assert got.told.tolist() == [True, True, False]
    assert got.discount.tolist() == [0.0, 0.5**10, 0.0]


def test_a_long_log_is_followed_in_one_walk():
    """Nothing to assert but that it ends: a user with 25,000 decisions and three thousand with a few."""
    (row,) = rows_of(D1, LATER_STILL)[0]
    rows = [
        replace(
            row, cursor=n, at=row.at + n * 1_000_000, user=UserId("ann" if n % 4 == 0 else f"u{n % 3001}"), rewards=[1.0, 0.0]
        )
        for n in range(200_000)
    ]
    log = trajectories(rows, Objective(discount=0.9))
    assert np.isfinite(log.future).all() and (log.following[:-40_000] > 0).all()
