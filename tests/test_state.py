"""A state is what the user did last, seen from the request, and nothing that came later."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longgame.arrays import State
from longgame.errors import RecordError
from longgame.state import build_state, events_read, recent_positions, state_of
from tests.kit import D, T, event, features, request

SHOP = features()


def history(*what):
    """Events on items, one an hour, up to an hour before the request of ``made``."""
    return [event(f"e{n:02}", n - len(what), item) for n, item in enumerate(what)]


def made(*what, context=()):
    return build_state(request("r", context=context), history(*what), SHOP, T)


def test_newest_last_and_padding_in_front():
    state = made(5, 2, context=(0.25, -3.0))
    assert state.items.tolist() == [-1, -1, 5, 2]
    assert state.present.tolist() == [False, False, True, True]
    np.testing.assert_array_equal(state.history, [[0] * D, [0] * D, SHOP.vectors[5], SHOP.vectors[2]])
    np.testing.assert_array_equal(state.context, np.array([0.25, -3.0], np.float32))


def test_only_the_last_steps_are_kept():
    assert made(0, 1, 2, 3, 4, 5).items.tolist() == [2, 3, 4, 5]


def test_nobody_has_an_empty_state():
    state = made()
    assert state.items.tolist() == [-1] * T and not state.history.any() and state.context.shape == (0,)


def test_repeats_in_a_row_are_one_step_and_unknown_items_none():
    assert made(1, 1, "unknown", 1, 2, 1, 1).items.tolist() == [-1, 1, 2, 1]


def test_as_many_events_are_looked_at_as_are_read():
    """A store is asked for ``events_read`` events: a longer history in hand must not change the state."""
    long = history(*[3] + ["unknown"] * events_read(T))
    assert build_state(request("r"), long, SHOP, T).items.tolist() == [-1] * T
    assert build_state(request("r"), long[:-1], SHOP, T).items.tolist() == [-1, -1, -1, 3]


@given(st.lists(st.integers(-1, 6), max_size=24))
def test_longer_histories_change_nothing_but_the_last_steps(what):
    events = history(*(i if i >= 0 else "unknown" for i in what))[-events_read(T) :]
    expected: list[int] = []
    for item in what[-events_read(T) :]:
        if item >= 0 and expected[-1:] != [item]:
            expected.append(item)
    assert recent_positions(events, SHOP.index) == expected
    state = build_state(request("r"), events, SHOP, T)
    assert [i for i in state.items.tolist() if i >= 0] == expected[-T:]


@pytest.mark.parametrize("hours", [0.0, 1.0])
def test_the_future_does_not_leak(hours):
    with pytest.raises(RecordError, match="strictly before the request, got event 'late'"):
        build_state(request("r"), [*history(1), event("late", hours, 2)], SHOP, T)


def test_states_are_stacked():
    state = State.stack([made(5, 2, context=(1.0,)), made(4, context=(2.0,))])
    assert state.items.tolist() == [[-1, -1, 5, 2], [-1, -1, -1, 4]]
    assert (state.history.shape, state.context.tolist()) == ((2, T, D), [[1.0], [2.0]])


def test_a_state_is_a_copy():
    state = state_of([1, 2], (), SHOP, T)
    state.history[:] = 7
    np.testing.assert_array_equal(state_of([1, 2], (), SHOP, T).history[2], SHOP.vectors[1])
