from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from longgame.algorithms.rank import RankPolicy
from longgame.arrays import State
from longgame.errors import RecordError
from longgame.protocols import EventStore
from longgame.serving.service import Live, NotReady, RequestConflict, Service
from longgame.state import events_read
from longgame.types import F32, Bool, Decision, DecisionId, Event, ItemId, Request, UserId
from tests.serving_kit import START, recommender, shop

LATER = START + timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    store = shop(tmp_path)
    yield store
    store.close()


def ask(id: str, user: str = "u3", k: int = 4) -> Request:
    return Request(id, LATER, UserId(user), k)


def decisions(store: EventStore) -> list[Decision]:
    return [record for _, record in store.read(0, 100_000)[0] if isinstance(record, Decision)]


def test_a_retry_is_not_a_new_draw(store):
    live = Live(recommender(store))
    service = Service(store, live)
    first = service.recommend(ask("r1"))
    assert len(first.picks) == 4
    # Another policy is live, the user has done more, and the clock went on: the decision stays what it was.
    service.swap(Live(recommender(store, sharpness=3.0)))
    store.put([Event("new", LATER - timedelta(hours=1), UserId("u3"), first.shown[0], "click")])
    assert service.recommend(replace(ask("r1"), at=LATER + timedelta(hours=1))) == first
    assert decisions(store) == [first]


@pytest.mark.parametrize("other", [{"user": UserId("u4")}, {"k": 5}, {"surface": "cart"}])
def test_an_id_belongs_to_one_request(store, other):
    service = Service(store, Live(recommender(store)))
    service.recommend(ask("r1"))
    with pytest.raises(RequestConflict, match=next(iter(other))):
        service.recommend(replace(ask("r1"), **other))
    assert len(decisions(store)) == 1


def test_a_retry_is_answered_even_where_the_live_policy_would_refuse_it(store):
    service = Service(store, Live(recommender(store)))
    first = service.recommend(ask("r1"))
    service.swap(Live(recommender(store, context=2)))
    assert service.recommend(ask("r1")) == first
    with pytest.raises(RecordError, match="takes 2 numbers"):
        service.recommend(ask("r2"))
    assert Service(store).recommend(ask("r1")) == first
    with pytest.raises(NotReady):
        Service(store).recommend(ask("r2"))


def test_of_two_equal_requests_at_once_the_stored_one_answers_both(store):
    service = Service(store, Live(recommender(store)))
    one = service.decide(ask("r1"))
    service.swap(Live(recommender(store, sharpness=9.0)))
    two = service.decide(ask("r1"))
    assert one.versions != two.versions
    assert service.keep([two, one, one]) == [two, two, two]
    assert decisions(store) == [two]


def test_the_history_read_is_strictly_before_and_long_enough(store):
    seen: list[Any] = []

    class Spy:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def history(self, user, before, limit, until=None):
            seen.append((before, limit))
            return store.history(user, before, limit, until)

    live = Live(recommender(store))
    Service(Spy(), live, history=3).recommend(ask("r1"))
    Service(Spy(), live, history=999).recommend(ask("r2"))
    assert seen == [(LATER, events_read(50)), (LATER, 999)]


class Swapping(RankPolicy):
    """Swaps the service's recommender while it is asked to score."""

    service: Service
    other: Live

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        self.service.swap(self.other)
        return super().score(state, items, mask)


def test_a_request_under_way_ends_with_the_recommender_it_began_with(store):
    old = recommender(store)
    new = recommender(store, sharpness=2.0, width=48)
    policy = Swapping(5.0)
    policy.service, policy.other = (service := Service(store)), Live(new, 2)
    service.swap(Live(replace(old, policy=policy), 1))
    assert service.recommend(ask("r1")).versions == replace(old, policy=policy).versions
    assert service.recommend(ask("r2")).versions == new.versions


def test_a_swap_under_load_never_mixes_versions(store):
    old = recommender(store)
    lives = [Live(old, 1), Live(recommender(store, sharpness=2.0, width=48), 2)]
    service = Service(store, lives[0])
    made: list[Decision] = []

    def work(name: str) -> None:
        made.extend(service.recommend(ask(f"{name}-{n}", f"u{n}")) for n in range(20))

    threads = [Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    turn = 0
    while any(thread.is_alive() for thread in threads):
        turn += 1
        service.swap(lives[turn % 2])
    assert len(made) == 80
    assert {d.versions for d in made} == {live.recommender.versions for live in lives}
    assert sorted(d.id for d in made) == sorted(d.id for d in decisions(store))


def test_feedback_is_held_against_its_decision(store):
    service = Service(store, Live(recommender(store)))
    decision = service.recommend(ask("r1"))
    shown = decision.shown

    def event(id: str, **other: Any) -> Event:
        fields: dict[str, Any] = {"user": UserId("u3"), "item": shown[1], "decision": DecisionId("r1"), "slot": 1}
        return Event(id=id, at=LATER, kind="click", **{**fields, **other})

    hidden = next(item for item in decision.candidates if item not in shown)
    outcomes = Service(store).feedback(  # another process: it must ask the store
        [
            event("e-right"),
            event("e-right"),
            event("e-placed", slot=None),
            event("e-user", user=UserId("u4")),
            event("e-hidden", item=hidden),
            event("e-slot", slot=0),
            event("e-unknown", decision=DecisionId("nix")),
            event("e-plain", decision=None, slot=None),
        ]
    )
    assert [o.status for o in outcomes] == [
        *("accepted", "duplicate", "accepted"),
        *("rejected",) * 4,
        "accepted",
    ]
    reasons = [o.reason for o in outcomes if o.reason]
    for reason, words in zip(
        reasons, ("user: decision 'r1'", "did not show", "was in slot 1", "no decision 'nix'"), strict=True
    ):
        assert words in reason
    kept = {e.id: e for e in store.history(UserId("u3"), LATER + timedelta(1), 100) if e.id.startswith("e-")}
    assert set(kept) == {"e-right", "e-placed", "e-plain"}
    assert kept["e-placed"].slot == 1


def test_an_upsert_says_what_was_new(store):
    from longgame.types import Item

    service = Service(store)
    rows = [Item(ItemId("i0"), "changed"), Item(ItemId("fresh"), "new"), Item(ItemId("fresh"), "new")]
    assert [o.status for o in service.upsert(rows)] == ["accepted", "accepted", "duplicate"]


def test_propensities_are_those_of_the_draw(store):
    decision = Service(store, Live(recommender(store))).recommend(ask("r9"))
    assert np.all(np.array(decision.propensities) > 0)
    assert decision == recommender(store).decide(ask("r9"), store.history(UserId("u3"), LATER, 200))
