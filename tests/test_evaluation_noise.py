"""Noise: how much of a log it moves, what it leaves alone, and where the items come from."""

import numpy as np
import pytest

from longgame.errors import ConfigError, DataError
from longgame.evaluation.noise import noisy
from tests.kit import log_of

LOG = log_of([[0] * 300, [1] * 80, [2] * 20, [], [0, 1, 2, 1]], 5)
"""Items 3 and 4 are nobody's."""


@pytest.mark.parametrize("source", ["uniform", "popular"])
@pytest.mark.parametrize("share", [0.05, 0.2, 1.0])
def test_so_many_events_are_on_another_item_and_nothing_else_moves(share, source):
    before = LOG.item.copy()
    log = noisy(LOG, share, np.random.default_rng(0), source)
    assert (log.item != LOG.item).sum() == round(share * len(LOG))
    assert set(log.item.tolist()) <= {0, 1, 2}, "what has no event is not taken by mistake either"
    np.testing.assert_array_equal(LOG.item, before)
    for name in ("offsets", "at", "value"):
        np.testing.assert_array_equal(getattr(log, name), getattr(LOG, name))
    assert (log.users, log.items) == (LOG.users, LOG.items)


def test_popular_items_are_drawn_as_often_as_they_have_events():
    """In the place of item 0, item 1 has 82 of the 103 events that are left and item 2 the other 21."""
    drawn = {}
    for source in ("uniform", "popular"):
        logs = [noisy(LOG, 1.0, np.random.default_rng(seed), source) for seed in range(20)]
        items = np.concatenate([log.item[:300] for log in logs])
        drawn[source] = (items == 1).mean()
    assert drawn["uniform"] == pytest.approx(0.5, abs=0.02)
    assert drawn["popular"] == pytest.approx(82 / 103, abs=0.02)


def test_the_generator_decides_and_no_noise_is_the_log_itself():
    one, same, other = (noisy(LOG, 0.2, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.item, same.item)
    assert (one.item != other.item).any()
    assert noisy(LOG, 0.0, np.random.default_rng(0)) is LOG
    assert len(noisy(log_of([[]], 3), 0.5, np.random.default_rng(0))) == 0


def test_what_cannot_be_is_refused():
    rng = np.random.default_rng(0)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="share"):
            noisy(LOG, share, rng)
    with pytest.raises(ConfigError, match="source"):
        noisy(LOG, 0.1, rng, "bots")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="two items"):
        noisy(log_of([[1, 1]], 3), 0.5, rng)
