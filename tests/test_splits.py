"""What is learned from, what is chosen by, and what is looked at once."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from longgame.errors import ConfigError, DataError
from longgame.evaluation.splits import Cut, latest, leave_last_out, together, without_items
from tests.kit import log_of

DAY = 86_400_000_000


def many(users=40, length=10, items=30):
    rng = np.random.default_rng(5)
    return log_of(
        rng.integers(0, items, (users, length)).tolist(), items, at=(np.tile(np.arange(length), users) * DAY).tolist()
    )


def test_leave_last_out_goes_by_each_users_own_time():
    log = log_of([[4, 2, 0, 1], [3, 1], [2, 3, 4], []], 5, at=[0, 1, 2, 9, 3, 4, 5, 5, 5])
    train, validation, test = leave_last_out(log)
    assert [train.history(u).tolist() for u in range(4)] == [[4, 2], [3, 1], [2], []]
    assert [validation.history(u).tolist() for u in range(4)] == [[0], [], [3], []]
    assert [test.history(u).tolist() for u in range(4)] == [[1], [], [4], []]
    back = together(together(train, validation), test)
    np.testing.assert_array_equal(back.item, log.item)
    np.testing.assert_array_equal(back.offsets, log.offsets)
    np.testing.assert_array_equal(back.at, log.at)
    with pytest.raises(DataError, match="same users"):
        together(log, log_of([[0]], 4))


def test_the_latest_events_are_whole_moments_or_a_draw_of_one():
    log = many()
    train, late = latest(log, 0.12)
    assert train.at.max() < late.at.min() and len(late) == 2 * 40 / 2 + 40 and len(train) + len(late) == len(log)
    still = replace(log, at=np.zeros_like(log.at))
    few = np.diff(latest(still, 0.05)[1].offsets)
    assert set(few.tolist()) == {0, 1} and 8 < few.sum() < 32, "a twentieth of ten events is one, for half of the users"
    one = log_of([[0]] * 40, 4)
    assert len(latest(replace(one, at=np.zeros_like(one.at)), 0.5)[0]) == 40, "nobody is left without an event to learn from"
    train, late = latest(still, 0.3)
    assert np.diff(late.offsets).tolist() == [3] * 40 and len(train) + len(late) == len(log)
    assert not np.array_equal(latest(still, 0.3, seed=1)[1].item, late.item)
    assert len({tuple(late.history(u)) for u in range(40)}) > 3


def test_a_split_in_time_never_looks_ahead():
    log = many()
    split = Cut("time", datetime(1970, 1, 9, tzinfo=UTC)).split(log)
    assert split.train.at.max() < split.validation.at.min() <= split.validation.at.max() < split.test.at.min() == 8 * DAY
    assert len(split.train) + len(split.validation) + len(split.test) == len(log)
    assert np.array_equal(split.before.item, log.select(log.at < 8 * DAY).item)
    drawn = Cut("time", share=0.2).split(log)
    assert len(drawn.test) == 80 and drawn.validation.at.max() < drawn.test.at.min()
    assert "1970-01-09" in split.label and "20%" in drawn.label
    older = replace(log, at=log.at - 2 * DAY)
    assert Cut("time", share=0.2).split(older).label != drawn.label, "the same rule on another log is another test"
    assert Cut("time", share=0.104).split(log).label != Cut("time", share=0.1).split(log).label


def test_what_is_not_said_is_what_the_log_allows():
    log = many()
    assert log.ordered and Cut.of(log) == Cut()
    part = np.where(np.arange(len(log)) % 10 < 8, 0, DAY)
    parts = replace(log, at=part)
    assert not parts.ordered
    cut = Cut.of(parts)
    assert cut.kind == "time" and (cut.split(parts).test.at == DAY).all() and len(cut.split(parts).test) == 80
    still = replace(log, at=np.zeros_like(log.at))
    assert not still.ordered and Cut.of(still) == Cut(), "one part has no other to be the test"
    assert log_of([[0], [1]], 4).ordered, "who has one event each contradicts no order"


def test_leave_one_out_is_the_default():
    split, (train, validation, test) = Cut().split(many()), leave_last_out(many())
    for part, same in ((split.train, train), (split.validation, validation), (split.test, test)):
        assert np.array_equal(part.item, same.item)


def test_items_held_out_are_in_no_training_event_and_still_in_the_test():
    split = Cut().split(many())
    cold, new = without_items(split, 0.2)
    assert len(new) == 6 and not np.isin(cold.before.item, new).any()
    assert np.array_equal(cold.test.item, split.test.item) and np.isin(split.test.item, new).any()
    assert len(cold.before) == int((~np.isin(split.before.item, new)).sum())
    order = np.random.default_rng(0).permutation(30)
    place = np.argsort(order)

    def moved(log):
        return replace(log, items=tuple(log.items[i] for i in order), item=place[log.item])

    again = replace(split, train=moved(split.train), validation=moved(split.validation), test=moved(split.test))
    assert sorted(order[without_items(again, 0.2)[1]].tolist()) == new.tolist(), "whatever the order of the catalogue"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Cut("tmie"), "leave-one-out, time"),
        (lambda: Cut(at=datetime(2024, 1, 1, tzinfo=UTC)), "--split time"),
        (lambda: Cut("time", share=1.0), "between 0 and 1"),
        (lambda: without_items(Cut().split(many()), 0.0), "some of 30 items"),
    ],
)
def test_what_cannot_be_split_is_refused(make, said):
    with pytest.raises(ConfigError, match=said):
        make()
