"""A world learned from a log: sessions by hand, known hazards found again, and what it says of itself."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from typer.testing import CliRunner

from longgame.arrays import Interactions
from longgame.cli import app
from longgame.datasets.coat import coat
from longgame.errors import ConfigError, DataError
from longgame.language.calibrated import logistic, probability
from longgame.rng import derive
from longgame.simulation import Environment, trial
from longgame.simulation.behaviour import Fitting, Habits, Sessions, Trail, fit, hazards
from longgame.simulation.from_logs import FromLogs, FromLogsConfig
from longgame.simulation.held_out import _picked, check, recent
from longgame.simulation.logged import learned
from longgame.simulation.logged import told as told_of
from longgame.types import ItemId, UserId
from tests.logged_kit import BACK, DAY, HOUR, LIKED, QUIT, SMALL, life, lived, told, written


def log_of(*rows):
    """Rows of user, time, item, rating, in their order."""
    user, at, item, value = (np.array(column) for column in zip(*rows, strict=True))
    offsets = np.searchsorted(user, np.arange(user.max() + 2)).astype(np.int64)
    users, items = tuple(map(UserId, "abcdefg"[: user.max() + 1])), tuple(map(ItemId, "pqrstu"))
    return Interactions(users, items, offsets, item.astype(np.int64), at.astype(np.int64), value.astype(np.float32))


BY_HAND = log_of(
    (0, 0, 0, 5), (0, HOUR // 2, 1, 2), (0, 3 * DAY, 2, 5),  # two sessions, three days apart
    (1, DAY, 0, 2), (1, 11 * DAY, 1, 5),  # ten days apart
)  # fmt: skip


def test_sessions_end_where_nothing_follows_within_the_pause():
    found = Sessions.of(BY_HAND, timedelta(hours=1))
    np.testing.assert_array_equal(found.first, [0, 2, 3, 4])
    np.testing.assert_array_equal(found.last, [1, 2, 3, 4])
    np.testing.assert_array_equal(found.number, [0, 1, 0, 1])
    np.testing.assert_array_equal(found.gap, [3, np.inf, 10, np.inf])
    np.testing.assert_allclose(found.open, [11 - HOUR / 2 / DAY, 8, 10, 0])


def test_hazards_count_only_days_that_the_log_can_tell_of():
    so = BY_HAND.value >= LIKED
    ends, table, back, times = hazards(BY_HAND, so, np.zeros(5), Fitting(patience=5))
    np.testing.assert_array_equal(ends, [False, True, True, True])  # the last event may be cut off by the log's end
    np.testing.assert_allclose(np.expm1(table[:, 0]), [0, 1, 0, 0])  # place in the session
    np.testing.assert_array_equal(table[:, 1], so[:4])
    np.testing.assert_allclose(np.expm1(table[:, 3]), [0, 0, 1, 0])  # sessions before
    # back on the third day; five days without a return, of eight that are known; five of ten; none is known
    np.testing.assert_array_equal(back, np.arange(13) == 2)
    np.testing.assert_allclose(np.expm1(times[:, 0]), np.array([1, 2, 3, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5]))
    np.testing.assert_allclose(times[:3, 1], 0.5)  # of the first session half was liked
    only = hazards(BY_HAND, so, np.zeros(5), Fitting(patience=5), np.array([False, True]))
    assert len(only[0]) == 1 and len(only[2]) == 5


def test_a_trail_is_what_was_looked_at_last():
    trail, rows = Trail(2, np.array([[3.0, 0.0], [0.0, 1.0]], np.float32)), np.array([1])
    trail.go(rows, np.array([0]), np.array([0.5]))
    np.testing.assert_allclose(trail.near(np.array([0, 1]), np.array([[0, 1], [0, 1]])), np.array([[0.0, 0.0], [0.2, 0.0]]))
    np.testing.assert_allclose(trail.mood, [0, 0.1])
    trail.go(rows, np.array([1]), np.array([-1.0]))
    np.testing.assert_allclose(trail.near(rows, np.array([[0, 1]])), [[0.16, 0.2]])
    np.testing.assert_allclose(trail.mood, [0, -0.12])
    trail.forget(rows)
    assert not trail.near(rows, np.array([[0, 1]])).any() and not trail.mood.any()


def test_known_hazards_are_found_again():
    habits = lived().behaviour.habits
    one = np.ones(1)
    for place, number in ((0, 1), (3, 1), (0, 5)):
        quits = [habits.quits(place * one, liked * one, 0 * one, number * one)[0] for liked in (0, 1)]
        np.testing.assert_allclose(quits, QUIT, atol=0.08)
    for share, length in ((0.2, 2), (0.8, 8)):
        backs = [habits.returns(day * one, share * one, length * one, 3 * one)[0] for day in (1, 2, 5, 10)]
        np.testing.assert_allclose(backs[:2], BACK[0], atol=0.15)
        np.testing.assert_allclose(backs[2:], BACK[1], atol=0.1)


def test_who_likes_what_is_found_again_and_shown_to_nobody():
    world = FromLogs(lived(), FromLogsConfig(users=200, candidates=12))
    world.reset(derive(0, "test"))
    items = world.offered()
    chance = world.chances(items)
    fits = world.lived.behaviour.responses.people[world.person][:, None] % 2 == items % 2
    assert chance[fits].mean() > 0.6 > 0.4 > chance[~fits].mean()  # of the truth's .8 and .2
    assert (world.doubts(items) > 0).all() and world.context().shape == (200, 3)
    assert not world.chances(np.full((200, 2), -1)).any() and not world.doubts(np.full((200, 2), -1)).any()


def test_chances_are_those_that_likes_are_drawn_from():
    world = FromLogs(lived(), FromLogsConfig(users=4_000, candidates=5))
    world.reset(derive(1, "test"))
    slates = world.offered()[:, :1]
    chance = world.chances(slates)
    liked = ~np.isnan(world.step(slates).values["like"])
    assert abs(liked.mean() - chance.mean()) < 4 * (chance * (1 - chance)).mean() ** 0.5 / 4_000**0.5
    low, high = liked[chance < 0.4].mean(), liked[chance > 0.6].mean()
    assert low < 0.4 < 0.6 < high


def test_everything_is_offered_once_before_anything_comes_again():
    world = FromLogs(lived(times=False), FromLogsConfig(users=3, candidates=7))
    world.reset(derive(2, "test"))
    met = []
    for _ in range(5):
        met.append(world.offered())
        world.step(world.offered()[:, :2])
    assert all(len(np.unique(row)) == 35 for row in np.concatenate(met, axis=1))


def test_doubts_cost_what_the_penalty_says():
    plain, charged = (FromLogs(lived(times=False), FromLogsConfig(300, 10, penalty)) for penalty in (0.0, 2.0))
    assert plain.objective.rewards == {"like": 1.0} and charged.objective.rewards == {"like": 1.0, "doubt": -2.0}
    for world in (plain, charged):
        world.reset(derive(3, "test"))
    slates = plain.offered()[:, :1]
    doubts = charged.doubts(slates)
    outcomes = plain.step(slates), charged.step(slates)
    np.testing.assert_allclose(outcomes[1].values["doubt"], doubts, rtol=1e-6)
    np.testing.assert_array_equal(outcomes[0].values["like"], outcomes[1].values["like"])
    assert "doubt" not in outcomes[0].values


def test_a_session_goes_on_with_the_next_slate_until_it_is_ended():
    """Of a habit that never ends a session, and of one that always does and is back the day after."""
    stays, ends = np.array([0.0, 0, 0, 0, -30]), np.array([0.0, 0, 0, 0, 30])
    for quit_, length in ((stays, [2, 4, 6]), (ends, [1, 1, 1])):
        behaviour = replace(lived().behaviour, habits=Habits(quit_, ends, 5))
        world = FromLogs(replace(lived(), behaviour=behaviour), FromLogsConfig(users=4, candidates=6))
        world.reset(derive(5, "test"))
        met, away = [], []
        for _ in range(3):
            assert world.here().all()
            world.step(world.offered()[:, :2])
            met.append(int(world._length[0]))
            away.append(float(world.context()[0, 0]))
        assert met == length and away == [np.float32(np.log1p(float(quit_ is ends)))] * 3


def test_picks_by_hand():
    user, so = np.array([0, 0, 0, 0, 0, 0, 1, 1]), np.array([True, False, True, True, False, True, True, True])
    worth = np.array([6.0, 5, 4, 3, 2, 1, 1, 1])
    assert _picked(user, worth, so, np.arange(8.0)) == 0.75  # of user 0's four best; user 1 has too few to choose among
    assert _picked(user, -worth, so, np.arange(8.0)) == 0.75 and np.isnan(_picked(user[6:], worth[6:], so[6:], worth[6:]))


def test_without_times_users_come_as_often_as_is_said_and_leave_once():
    world = FromLogs(lived(times=False), FromLogsConfig(users=5, candidates=4, visits=3))
    world.reset(derive(4, "test"))
    left = [world.step(world.offered()[:, :2]).left for _ in range(5)]
    assert [bool(one.all()) for one in left] == [False, False, True, False, False] and not left[0].any()
    assert world.gone.all() and not world.here().any()
    world.renew(np.ones(5, np.bool_))
    assert world.here().all()


class Knows:
    version = "knows"

    def __init__(self, world):
        self._world = world

    def score(self, state, items, mask):
        return self._world.chances(self._world.offered()).astype(np.float32)

    def state_dict(self):
        return {}

    def about(self):
        return {}


def test_who_knows_the_chances_is_liked_more():
    world = Environment(FromLogs(lived(), FromLogsConfig(100, 12)), 3)

    class Any(Knows):
        def score(self, state, items, mask):
            return np.zeros(mask.shape, np.float32)

    found = [trial(world, policy(world.world), 400, 0, days=20).mean() for policy in (Any, Knows)]
    assert found[1] > 1.3 * found[0]


def test_it_is_held_against_what_it_was_not_learned_from():
    found = check(told(), SMALL)
    likes, ends, back = found.rows
    assert likes.auc > 0.7 and likes.auc > likes.plain_auc + 0.1 and likes.loss < likes.plain_loss
    assert ends.auc > 0.6 and ends.loss < ends.plain_loss and ends.off < 0.1 and ends.plain_auc == 0.5
    assert back.auc > 0.6 and back.off < 0.1
    assert found.doubt.picked[0.0] > found.doubt.any + 0.1
    assert all(0.2 < error < 1 for error in found.doubt.error)  # of the ratings' variance; noise alone is .64
    assert [row.what for row in check(told(times=False), SMALL).rows] == ["likes"]


def test_what_is_held_out_is_the_end_of_each_history():
    log = life(users=4)
    held = recent(log, 0.1, 0)
    length = np.diff(log.offsets)
    np.testing.assert_array_equal(np.bincount(log.user[held], minlength=4), np.floor(0.1 * length))
    assert all(held[log.offsets[u + 1] - 1] for u in range(4) if length[u] >= 10)


def test_propensities_lift_what_was_hardly_ever_rated():
    rng = np.random.default_rng(0)
    scores, so = rng.standard_normal((4_000, 1)), rng.random(4_000) < 0.3
    given = np.where(so, 0.9, 0.3)  # who liked it told three times as often
    seen = rng.random(4_000) < given
    plain, mended = (logistic(scores[seen], so[seen], share=s) for s in (None, 1 / given[seen]))
    assert probability(np.zeros((1, 1)), plain)[0] > 0.5
    assert abs(probability(np.zeros((1, 1)), mended)[0] - 0.3) < 0.03
    one = told(times=False)
    skew = np.where(one.log.value >= LIKED, 0.9, 0.3)
    chances = [
        learned(replace(one, propensity=p), SMALL).behaviour.responses.chances(
            np.zeros((1, 1, 1)), np.zeros((1, 1)), np.zeros(1)
        )
        for p in (None, skew)
    ]
    assert chances[1].item() < chances[0].item() - 0.15


def coat_folder(folder, items=40):
    log = life(items=items, times=False)
    table = np.zeros((len(log.users), items))
    table[log.user, log.item] = log.value
    dealt = np.zeros_like(table)
    dealt[:, :6] = 2 + 3 * (np.arange(len(table))[:, None] % 2 == np.arange(6) % 2)
    (folder / "user_item_features").mkdir(parents=True)
    for name, matrix in (("train", table), ("test", dealt), ("propensities", np.full_like(table, 0.1))):
        np.savetxt(folder / f"{name}.ascii", matrix)
    features = np.eye(2)[np.arange(max(table.shape)) % 2]
    for who, count in zip(("user", "item"), table.shape, strict=True):
        np.savetxt(folder / "user_item_features" / f"{who}_features.ascii", features[:count])
        (folder / "user_item_features" / f"{who}_features_map.txt").write_text("kind:even\nkind:odd\n", "utf-8")
    return folder


def test_coat_is_read_and_held_against_what_was_dealt(tmp_path):
    folder = coat_folder(tmp_path / "coat")
    found = coat(folder)
    assert found.items[1].text == "A coat: odd." and found.items[1].attributes == {"kind": "odd"}
    assert found.people.shape == (150, 2) and len(found.propensity) == len(found.chosen) and len(found.dealt) == 900
    one = told_of(folder)
    assert one.liked == 5 and one.dealt is not None and not one.log.ordered
    rows = check(one, SMALL).rows
    assert [row.what for row in rows] == ["likes", "likes of what was dealt"] and rows[1].auc > 0.8
    known = set(zip(one.log.user.tolist(), one.log.item.tolist(), strict=True))
    fresh = [pair for pair in zip(one.dealt.user.tolist(), one.dealt.item.tolist(), strict=True) if pair not in known]
    assert rows[1].cases == len(fresh) < len(one.dealt), "what was chosen as well is known and judges nothing"
    (folder / "train.ascii").write_text("1 2 3\n", "utf-8")
    with pytest.raises(DataError, match="150 people and 40 coats"):
        coat(folder)
    (folder / "train.ascii").write_text("1 x 3\n", "utf-8")
    with pytest.raises(DataError, match="lines of as many numbers"):
        coat(folder)


def test_files_are_read_and_the_command_says_how_like_them_it_is(tmp_path):
    folder = written(tmp_path)
    one = told_of(folder)
    np.testing.assert_array_equal(one.log.value, told().log.value)
    assert one.liked == 5 and one.log.ordered and len(one.items) == 80
    done = CliRunner().invoke(app, ["simulate", "--world", "log", "--data", str(folder), "--liked", "4"])
    assert done.exit_code == 0 and "comes back on this day" in done.output and "liked is 4 or more" in done.output
    args = ["--algorithm", "dqn", "--users", "40", "--items", "8", "--k", "2", "--steps", "200", "--penalty", "1"]
    done = CliRunner().invoke(app, ["simulate", "--world", "log", "--data", str(folder), *args])
    assert done.exit_code == 0 and "dqn" in done.output


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--world", "log"], "--world log and --data go together"),
        (["--data", "x", "--algorithm", "dqn"], "--world log and --data go together"),
        (["--penalty", "1", "--algorithm", "dqn"], "go with --world log"),
        (["--world", "log", "--data", "nowhere"], "no such file"),
        (["--world", "log", "--data", "nowhere", "--penalty", "1"], "only held against it"),
    ],
)
def test_what_cannot_be_is_said(args, said):
    done = CliRunner().invoke(app, ["simulate", *args])
    assert done.exit_code != 0 and said in done.output + str(done.exception)


def test_logs_that_tell_nothing_are_refused(tmp_path):
    log = life()
    with pytest.raises(DataError, match="needs 100 ratings"):
        fit(log.select(np.arange(len(log)) < 50), np.ones((80, 2), np.float32), LIKED)
    with pytest.raises(DataError, match="say what is liked"):
        fit(log, np.ones((80, 2), np.float32), 9.0)
    with pytest.raises(DataError, match="at most 5"):
        told_of(written(tmp_path), 6.0)
    with pytest.raises(ConfigError, match="raters must be 2"):
        Fitting(raters=1)
    brief = replace(log, at=log.offsets[0] + np.arange(len(log)) * 1_000)
    assert fit(brief, np.ones((80, 2), np.float32), LIKED, SMALL).habits is None, "a log of a minute tells of no return"
    with pytest.raises(ConfigError, match="penalty"):
        FromLogsConfig(penalty=-1)
    with pytest.raises(ConfigError, match="80 items"):
        FromLogs(lived(), FromLogsConfig(candidates=81))
