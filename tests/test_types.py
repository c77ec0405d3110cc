"""Records refuse what they cannot be, and the objective counts what it says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longgame.errors import ConfigError, LonggameError, RecordError
from longgame.types import Decision, DecisionId, Event, Item, ItemId, Objective, User, UserId, microseconds, moment
from tests.kit import START, decision, event, request

EAST = timezone(timedelta(hours=5, minutes=45))


@given(st.datetimes(datetime(1900, 1, 1), datetime(3000, 1, 1), timezones=st.just(UTC)))
def test_times_survive_as_whole_microseconds(at):
    assert moment(microseconds(at)) == at


def test_a_time_is_the_same_in_any_zone():
    assert microseconds(START) == microseconds(START.astimezone(timezone(timedelta(hours=-7))))


BAD = {
    "id empty": lambda: Item(ItemId(""), "text"),
    "id too long": lambda: User(UserId("x" * 257)),
    "id no text": lambda: Item(7, "text"),  # type: ignore[arg-type]
    "text no text": lambda: Item(ItemId("i"), None),  # type: ignore[arg-type]
    "text with NUL": lambda: Item(ItemId("i"), "a\x00b"),
    "half a surrogate": lambda: Item(ItemId("i"), "\ud800"),
    "attribute NaN": lambda: Item(ItemId("i"), "", {"price": float("nan")}),
    "attribute a list": lambda: Item(ItemId("i"), "", {"tags": ["a"]}),  # type: ignore[dict-item]
    "attribute a tuple of numbers": lambda: Item(ItemId("i"), "", {"tags": (1,)}),  # type: ignore[dict-item]
    "no time zone": lambda: Event("e", datetime(2024, 1, 1), UserId("u"), ItemId("i"), "click"),
    "before the first year in UTC": lambda: Event("e", datetime(1, 1, 1, tzinfo=EAST), UserId("u"), ItemId("i"), "click"),
    "time no datetime": lambda: Event("e", "2024-01-01", UserId("u"), ItemId("i"), "click"),  # type: ignore[arg-type]
    "kind empty": lambda: event("e", 0, 1, kind=""),
    "value infinite": lambda: event("e", 0, 1, value=float("inf")),
    "slot without a decision": lambda: event("e", 0, 1, slot=0),
    "slot below 0": lambda: event("e", 0, 1, slot=-1, decision=DecisionId("d")),
    "no slots": lambda: request("r", k=0),
    "too many slots": lambda: request("r", k=1001),
    "context NaN": lambda: request("r", context=(0.0, float("nan"))),
    "picks without propensities": lambda: replace(decision("d", 0), propensities=(0.5,)),
    "picked twice": lambda: decision("d", 0, (1, 1)),
    "pick outside": lambda: decision("d", 0, (5,)),
    "pick below 0": lambda: decision("d", 0, (-1,)),
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_what_cannot_be_is_refused_where_it_is_made(make):
    with pytest.raises(RecordError) as error:
        make()
    assert isinstance(error.value, ValueError) and isinstance(error.value, LonggameError)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("p", [0.0, -0.1, 1.0000001, float("nan")])
def test_a_propensity_is_a_probability(p):
    with pytest.raises(RecordError, match="propensity"):
        Decision(DecisionId("d"), request("d"), (ItemId("i"),), (0,), (p,), decision("d", 0).versions)


def test_the_slate_is_the_picked_candidates_slot_by_slot():
    assert decision("d", 0, (3, 1)).shown == ("i3", "i1")
    assert decision("d", 0, ()).shown == ()


def test_the_objective_counts_by_kind_by_value_and_from_its_floor():
    objective = Objective({"click": 0.5, "purchase": 2.0, "rating": 1.0}, frozenset({"purchase"}), floor={"rating": 4.0})
    assert objective.reward("click", 30.0) == 0.5
    assert objective.reward("purchase", 30.0) == 60.0
    assert [objective.reward("rating", v) for v in (3.9, 4.0, 5.0)] == [0.0, 1.0, 1.0]
    assert objective.reward("view", 1.0) == 0.0


def test_the_horizon_is_where_five_percent_are_left():
    days = Objective(discount=0.9).horizon / timedelta(days=1)
    assert 0.9**days == pytest.approx(0.05)
    assert Objective(discount=0.0).horizon == timedelta(0)


@pytest.mark.parametrize("wrong", [{"discount": 1.0}, {"discount": -0.1}, {"discount": float("nan")}, {"window": timedelta(0)}])
def test_objectives_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match=f"Objective.{next(iter(wrong))}"):
        Objective(**wrong)
    with pytest.raises(RecordError, match="rewards"):
        Objective({"click": float("nan")})
