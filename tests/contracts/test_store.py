"""The contract of EventStore, run on every implementation: in memory, SQLite in a file, a real PostgreSQL.

``conftest`` has the fixture ``url``. What needs several processes is in ``test_store_processes``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longgame.errors import RecordError, StoreError
from longgame.protocols import EventStore
from longgame.store import open_store
from longgame.types import Decision, DecisionId, Event, Item, ItemId, Record, Request, User, UserId, Versions

DAY = datetime(2024, 5, 17, 8, 30, 0, 250, tzinfo=UTC)
FRESH = count()


@pytest.fixture
def store(url: str) -> Iterator[EventStore]:
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def other(url: str, store: EventStore) -> Iterator[EventStore]:
    """The same log as another process sees it; memory cannot be opened twice."""
    opened = store if url == "memory:" else open_store(url)
    yield opened
    if opened is not store:
        opened.close()


def event(id: str, minutes: float = 0, user: str = "ann", item: str = "lamp", **more: Any) -> Event:
    return Event(id, DAY + timedelta(minutes=minutes), UserId(user), ItemId(item), more.pop("kind", "click"), **more)


def decision(id: str, candidates: tuple[str, ...] = ("lamp", "sofa", "vase", "rug", "bed"), **more: Any) -> Decision:
    request = Request(f"ask-{id}", DAY, UserId("ann"), 3, (0.25, -1.5), "home")
    versions = Versions("minilm-3", "exact-1", "seen+stock", more.pop("policy", "pop"))
    ids = tuple(map(ItemId, candidates))
    return Decision(DecisionId(id), request, ids, (4, 1), (0.125, 1 / 3), versions)


def everything(store: EventStore, page: int = 1000) -> list[tuple[int, Record]]:
    found: list[tuple[int, Record]] = []
    cursor = 0
    while True:
        rows, cursor = store.read(cursor, page)
        if not rows:
            return found
        assert rows[-1][0] == cursor
        found += rows


def records(store: EventStore) -> list[Record]:
    return [record for _, record in everything(store)]


def test_first_event_and_decision_of_an_id_hold(store: EventStore) -> None:
    assert store.put([event("e1"), event("e2"), decision("d1")]) == [True, True, True]
    assert store.put([event("e2", item="sofa"), event("e3"), decision("d1", policy="dqn")]) == [False, True, False]
    assert records(store) == [event("e1"), event("e2"), decision("d1"), event("e3")]
    assert store.decision(DecisionId("d1")) == decision("d1")
    assert store.decision(DecisionId("d2")) is None


def test_duplicates_within_one_put(store: EventStore) -> None:
    lamp, blue = Item(ItemId("lamp"), "A lamp"), Item(ItemId("lamp"), "A blue lamp")
    assert store.put([event("e1"), event("e1", 5), lamp, lamp, blue, lamp, decision("d"), decision("d")]) == [
        *(True, False),
        *(True, False, True, True),
        *(True, False),
    ]
    assert records(store) == [event("e1"), lamp, blue, lamp, decision("d")]


def test_one_id_may_name_a_record_of_each_kind(store: EventStore) -> None:
    same: list[Record] = [event("x"), decision("x"), Item(ItemId("x"), ""), User(UserId("x"))]
    assert store.put(same) == [True] * 4
    assert records(store) == same


def test_nothing_to_put_and_an_empty_log(store: EventStore) -> None:
    assert store.put([]) == []
    assert store.read(0, 10) == ([], 0)
    assert store.read(7, 10) == ([], 7)
    assert list(store.items()) == []
    assert list(store.users()) == []
    assert store.history(UserId("ann"), DAY, 5) == []


@pytest.mark.parametrize(
    "bad",
    [
        lambda: "a text",
        lambda: event("e9", decision=DecisionId("d"), slot=1.5),
        lambda: event("e9", decision=DecisionId("d"), slot=2**40),
        lambda: decision("d9", ("lamp", "a\x00b", "vase", "rug", "bed")),
        lambda: decision("d9", ("lamp", "half \ud800", "vase", "rug", "bed")),
        lambda: decision("d9", ("lamp", 5, "vase", "rug", "bed")),  # type: ignore[arg-type]
        lambda: decision("d9", ("lamp", ["sofa"], "vase", "rug", "bed")),  # type: ignore[arg-type]
        lambda: decision("d9", policy="x" * 1000),
        lambda: decision("d9", policy=None),
        lambda: Decision(DecisionId("d9"), decision("d").request, (ItemId("a"),), (0.0,), (0.5,), decision("d").versions),  # type: ignore[arg-type]
        lambda: Item(ItemId("i9"), "", {}, {"image": 5}),  # type: ignore[dict-item]
        lambda: Item(ItemId("i9"), "", {}, {"image": "a\x00"}),
    ],
)
def test_a_bad_record_is_refused_and_nothing_is_written(store: EventStore, bad: Callable[[], Record]) -> None:
    store.put([event("e1")])
    with pytest.raises(RecordError):
        store.put([event("e2"), Item(ItemId("lamp"), ""), decision("d2"), bad(), event("e3")])
    assert records(store) == [event("e1")]
    assert list(store.items()) == []
    assert store.put([event("e2")]) == [True]


def test_history_is_strictly_before_and_ordered(store: EventStore) -> None:
    store.put([event("c", 2), event("a", 1), event("z", 0), event("b", 1), event("o", 1, user="bob"), event("d", 3)])
    before = DAY + timedelta(minutes=3)
    assert [e.id for e in store.history(UserId("ann"), before, 10)] == ["z", "a", "b", "c"]
    assert [e.id for e in store.history(UserId("ann"), before, 2)] == ["b", "c"]
    assert [e.id for e in store.history(UserId("ann"), before + timedelta(microseconds=1), 1)] == ["d"]
    assert [e.id for e in store.history(UserId("ann"), DAY, 10)] == []
    assert store.history(UserId("ann"), before, 0) == []
    elsewhere = before.astimezone(timezone(timedelta(hours=-7)))
    assert len(store.history(UserId("ann"), elsewhere, 10)) == 4
    with pytest.raises(RecordError, match="time zone"):
        store.history(UserId("ann"), before.replace(tzinfo=None), 10)


def test_equal_times_are_ordered_by_code_point(store: EventStore) -> None:
    ids = ["B", "a", "_", "é", "Z9", "z10", "\U0001f600", "\uffee"]
    store.put([event(id) for id in ids])
    assert [e.id for e in store.history(UserId("ann"), DAY + timedelta(1), 99)] == sorted(ids)


def test_history_as_it_was_at_a_cursor(store: EventStore) -> None:
    store.put([event("b", 2), event("d", 4)])
    _, then = store.read(0, 100)
    store.put([event("c", 3), event("a", 1), event("e", 5)])
    end = DAY + timedelta(minutes=5)
    assert [e.id for e in store.history(UserId("ann"), end, 9)] == ["a", "b", "c", "d"]
    assert [e.id for e in store.history(UserId("ann"), end, 9, until=then)] == ["b", "d"]
    assert [e.id for e in store.history(UserId("ann"), end, 1, until=then)] == ["d"]
    assert [e.id for e in store.history(UserId("ann"), end, 2, until=then + 1)] == ["c", "d"]
    assert store.history(UserId("ann"), end, 9, until=0) == []


def test_ids_that_cannot_be_stored_are_simply_not_there(store: EventStore) -> None:
    for id in ("a\x00b", "\ud800", ""):
        assert store.history(UserId(id), DAY, 5) == []
        assert store.decision(DecisionId(id)) is None


def test_cursors_resume_anywhere(store: EventStore) -> None:
    store.put([event(f"e{i}", i) for i in range(7)])
    whole = everything(store)
    assert [cursor for cursor, _ in whole] == sorted({cursor for cursor, _ in whole})
    assert everything(store, page=2) == everything(store, page=3) == whole
    for n, (cursor, _) in enumerate(whole, 1):
        assert store.read(cursor, 3)[0] == whole[n : n + 3]
    assert store.read(0, 0) == ([], 0)
    assert store.read(0, -1) == ([], 0)


def test_newest_item_and_user_hold_in_the_order_of_first_appearance(store: EventStore) -> None:
    sofa, lamp = Item(ItemId("sofa"), "A sofa", {"seats": 3, "tags": ("red", "new")}), Item(ItemId("lamp"), "A lamp")
    ann, bob = User(UserId("ann"), {"age": 41}), User(UserId("bob"))
    assert store.put([sofa, lamp, bob, ann]) == [True] * 4
    again = Item(ItemId("sofa"), "A sofa", {"tags": ("red", "new"), "seats": 3.0})
    assert store.put([again, bob]) == [False, False]
    green, older = Item(ItemId("sofa"), "A green sofa", {"seats": True}), User(UserId("bob"), {"age": 9.5})
    assert store.put([green, older, event("e")]) == [True, True, True]
    assert list(store.items()) == [green, lamp]
    assert list(store.users()) == [older, ann]
    assert [store.user(UserId(id)) for id in ("bob", "ann", "sofa", "", "a\x00b")] == [older, ann, None, None, None]
    assert records(store) == [sofa, lamp, bob, ann, green, older, event("e")]
    assert store.put([sofa]) == [True]
    assert list(store.items()) == [sofa, lamp]


def test_changing_what_was_put_does_not_change_the_log(store: EventStore) -> None:
    attributes = {"seats": 3.0}
    store.put([Item(ItemId("sofa"), "A sofa", attributes), User(UserId("ann"), attributes)])
    attributes["seats"] = 4.0
    assert [item.attributes for item in store.items()] == [{"seats": 3.0}]
    assert [user.attributes for user in store.users()] == [{"seats": 3.0}]


def test_more_items_than_a_page(store: EventStore) -> None:
    items: list[Record] = [Item(ItemId(f"i{i * 7919 % 2003}"), "") for i in range(2003)]
    store.put(items)
    assert list(store.items()) == items


def test_a_slate_from_a_catalogue_that_needs_wide_numbers(store: EventStore, other: EventStore) -> None:
    names = tuple(f"i{i}" for i in range(70_000))
    wide = [decision("whole", names), decision("low", names[:9]), decision("high", names[-9:]), decision("few")]
    assert store.put(wide) == [True] * 4
    assert records(other) == wide


def test_scrambled_and_repeated_events_give_the_clean_log(url: str, store: EventStore) -> None:
    rng = random.Random(5)
    clean = [event(f"e{i:05}", rng.randrange(3000), f"u{rng.randrange(40)}", f"i{i % 300}") for i in range(8_000)]
    stream = clean + rng.choices(clean, k=2_000)
    rng.shuffle(stream)
    new = [flag for start in range(0, len(stream), 500) for flag in store.put(stream[start : start + 500])]
    assert sum(new) == len(clean)
    assert sorted(records(store), key=lambda r: r.id) == clean
    for user in map(UserId, ("u0", "u7", "u39")):
        mine = sorted((e for e in clean if e.user == user), key=lambda e: (e.at, e.id))
        assert store.history(user, DAY + timedelta(9), 10_000) == mine
        middle = mine[len(mine) // 2].at
        assert store.history(user, middle, 20) == [e for e in mine if e.at < middle][-20:]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
ATTRIBUTES = st.dictionaries(TEXTS.filter(bool), TEXTS | NUMBERS | st.booleans() | st.lists(TEXTS).map(tuple), max_size=3)
MOMENTS = st.datetimes(
    datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])
)
NAMES = TEXTS.filter(bool)


@st.composite
def drawn(draw: st.DrawFn) -> list[Record]:
    """A record of each kind, with ids that no other example has."""
    id, c = f"{draw(TEXTS)}#{next(FRESH)}", draw(st.integers(0, 6))
    picks = tuple(draw(st.permutations(range(c)))[: draw(st.integers(0, c))])
    context, surface = tuple(draw(st.lists(NUMBERS, max_size=3))), draw(TEXTS)
    chances = tuple(draw(st.floats(0, 1, exclude_min=True)) for _ in picks)
    asked = Request(draw(NAMES), draw(MOMENTS), UserId(draw(NAMES)), draw(st.integers(1, 1000)), context, surface)
    decided = Decision(
        DecisionId(id),
        asked,
        tuple(ItemId(draw(TEXTS)) for _ in range(c)),
        picks,
        chances,
        Versions(*(draw(TEXTS) for _ in range(4))),
    )
    of, slot = draw(st.sampled_from([(None, None), (DecisionId(id), None), (DecisionId(id), 4)]))
    user, item, kind = UserId(draw(NAMES)), ItemId(draw(NAMES)), draw(NAMES)
    return [
        Item(ItemId(id), draw(TEXTS), draw(ATTRIBUTES), draw(st.dictionaries(TEXTS, TEXTS, max_size=2))),
        User(UserId(id), draw(ATTRIBUTES)),
        decided,
        Event(id, draw(MOMENTS), user, item, kind, draw(NUMBERS), draw(TEXTS), of, slot),
    ]


def _types(record: Record) -> dict[str, type]:
    assert isinstance(record, (Item, User))
    return {name: type(value) for name, value in record.attributes.items()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=drawn())
def test_every_record_comes_back_exactly(store: EventStore, other: EventStore, rows: list[Record]) -> None:
    _, cursor = store.read(0, 100_000)
    store.put(rows)
    for reader in (store, other):
        back = [record for _, record in reader.read(cursor, 10)[0]]
        assert back == rows
        for kept, put in zip(back[:2], rows[:2], strict=True):
            assert _types(kept) == _types(put)  # equality takes True for 1.0
        assert reader.decision(rows[2].id) == rows[2]  # type: ignore[arg-type]


def test_a_closed_store_says_so(store: EventStore) -> None:
    store.close()
    for use in (lambda: store.put([event("e")]), lambda: store.read(0, 1), lambda: store.decision(DecisionId("d"))):
        with pytest.raises(StoreError, match="closed"):
            use()


def test_a_reader_loses_nothing_to_two_writers(store: EventStore, other: EventStore) -> None:
    def write(to: EventStore, name: str) -> None:
        rng = random.Random(name)
        for n in range(60):
            to.put([event(f"{name}-{n}-{i}") for i in range(rng.randrange(1, 6))] + [decision(f"{name}-{n}", (name,) * 5)])

    seen: list[tuple[int, Record]] = []
    cursor = 0
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, *args) for args in ((store, "a"), (other, "b"), (store, "c"), (other, "d"))]
        running = True
        while running:
            running = bool(wait(writers, timeout=0.002).not_done)  # a reader that never waits starves them of the GIL
            rows, cursor = other.read(cursor, 50)
            seen += rows
            running = running or bool(rows)
        for writer in writers:
            writer.result()
    assert seen == everything(store)
    assert len({(type(r), r.id) for _, r in seen}) == len(seen)
    assert sum(isinstance(r, Decision) for _, r in seen) == 240
