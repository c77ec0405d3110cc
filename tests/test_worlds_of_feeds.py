"""Video and feed: their rules by hand, chances against frequencies, their traps, and lives in them as logs."""

from dataclasses import replace

import numpy as np
import pytest

from longgame.algorithms.rank import RankPolicy
from longgame.errors import ConfigError
from longgame.rng import derive
from longgame.simulation import Environment, trial
from longgame.simulation.feed import COMMENT, FLOOR, FOLLOWED, OUTRAGE, WARMTH, Feed, FeedConfig
from longgame.simulation.rollout import rollout
from longgame.simulation.video import BAIT, DEPTH, SKIP, TOPICS, USUAL, Video, VideoConfig
from longgame.slate import Exploration
from longgame.store.memory import MemoryStore
from longgame.types import Decision, Event
from tests.kit import T, features, recommender

MANY = 20_000


def video(users=MANY, seed=1, **settings):
    made = Video(VideoConfig(users, **settings))
    made.reset(derive(seed, "by hand"))
    return made


def feed(users=MANY, seed=1, **settings):
    made = Feed(FeedConfig(users, **settings))
    made.reset(derive(seed, "by hand"))
    return made


def all_here(world):
    world._here = np.ones(world.users, np.bool_)
    return world


def did(values):
    return {kind: ~np.isnan(value) for kind, value in values.items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def as_often(happened, chance, among):
    """Whether events come as often as their chances say, in four ranges of these."""
    looked = 0
    for lower, upper in ((0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1)):
        some = among & (chance > lower) & (chance <= upper)
        n, p = int(some.sum()), chance[some]
        if n > 200:
            assert abs(happened[some].mean() - p.mean()) < 4.5 * np.sqrt((p * (1 - p)).mean() / n), (lower, n)
            looked += n
    assert looked > 1000


# Video.


def test_the_chances_of_a_video_are_the_frequencies():
    world = all_here(video(energy=1e6))
    slates = world.offered()[:, :3].copy()
    slates[::5, 2] = -1
    start, finish, praise = world.chances(slates)
    assert not any(chance[slates < 0].any() for chance in (start, finish, praise))
    expected, length = world.gain(slates), world.length[slates]
    values = world.step(slates).values
    done = did(values)
    whole = done["start"] & (values["watch"] == length.astype(np.float32))
    as_often(done["start"], start, slates >= 0)
    as_often(whole, finish, done["start"])
    as_often(done["like"], praise, whole)
    np.testing.assert_array_equal(done["skip"], (slates >= 0) & ~done["start"])
    np.testing.assert_array_equal(done["watch"], done["start"])
    assert not (done["like"] & ~whole).any()
    share = (values["watch"] / length)[done["start"] & ~whole]
    assert abs(share.mean() - 0.5) < 4.5 * np.sqrt(1 / 12 / len(share)) and share.std() == pytest.approx(12**-0.5, abs=0.01)
    reward = np.nan_to_num(values["watch"]) - SKIP * done["skip"]
    error = (reward - expected).std() / np.sqrt(reward.size)
    assert abs((reward - expected).mean()) < 4.5 * error and not expected[slates < 0].any()


def test_what_starts_and_ends_a_video():
    world = video(200)
    item = world.offered()[:, :4]
    like, weary = world.taste[np.arange(200)[:, None], world.topic[item]], np.linspace(0, 2, len(TOPICS))
    world.tired[:] = weary
    start, finish, praise = world.chances(item)
    c = world.config
    np.testing.assert_allclose(start, sigmoid(-0.6 + like + c.pull * world.bait[item] - c.satiation * weary[world.topic[item]]))
    np.testing.assert_allclose(finish, sigmoid(0.4 + 0.5 * like - 0.06 * (world.length[item] - USUAL)))
    np.testing.assert_allclose(praise, sigmoid(-2 + 0.5 * like + 2.5 * world.worth[item]))


def test_a_queue_is_played_until_the_energy_is_used_up():
    world = all_here(video(4000, pull=60.0, taste=0.0, memory=0.0))  # whatever has bait is started
    item = int(np.flatnonzero((world.bait > 0.5) & (world.length >= 8))[0])
    slates = np.tile([item, -1, item, item], (4000, 1))
    energy = np.full(4000, 10.0)
    energy[:1000] = 1e3
    values = world._play(slates, energy)
    watched, length = np.nan_to_num(values["watch"]), world.length[item]
    assert np.isnan(values["watch"][:, 1]).all() and (watched[:1000, [0, 2, 3]] > 0).all()
    total, tired = watched[1000:].sum(axis=1), energy[1000:] == 0
    np.testing.assert_allclose(total[tired], 10.0, rtol=1e-6)
    assert (total[~tired] < 10).all() and tired.mean() > 0.9
    before = np.cumsum(watched[1000:], axis=1) - watched[1000:]
    assert np.isnan(values["watch"][1000:][before >= 10 - 1e-5]).all(), "nothing after the end of a session"
    liked = ~np.isnan(values["like"])
    assert liked.any() and (watched[liked] == np.float32(length)).all(), "what was cut short is not liked"
    np.testing.assert_allclose(energy[:1000], 1e3 - watched[:1000].sum(axis=1), rtol=1e-5)


def test_a_skip_takes_half_a_minute():
    world = all_here(video(500, pull=0.0))
    world.taste[:] = -60.0
    energy = np.full(500, 0.9)
    values = world._play(np.tile([0, 1, 2], (500, 1)), energy)
    assert did(values)["skip"].tolist() == [[True, True, False]] * 500 and not did(values)["start"].any()
    np.testing.assert_allclose(energy, 0.9 - 2 * SKIP)


def test_mood_moves_with_minutes_towards_the_worth_and_topics_wear_out():
    world = all_here(video(2000))
    bait = int(world.worth.argmin())
    for item in (bait, int(world.worth.argmax())):
        before, weary = world.mood.copy(), world.tired.copy()
        watched = np.nan_to_num(world._play(np.full((2000, 1), item), np.full(2000, 1e3))["watch"])[:, 0].astype(float)
        pace = world.config.memory * np.minimum(watched / USUAL, 1)
        np.testing.assert_allclose(world.mood, before + pace * (world.worth[item] - before), rtol=1e-6)
        weary[:, world.topic[item]] += watched / USUAL
        np.testing.assert_allclose(world.tired, weary, rtol=1e-6)
    np.testing.assert_allclose(world.worth, 0.5 + 0.5 * (world.depth - world.bait))
    assert world.worth.min() >= 0 and world.worth.max() <= 1


def test_what_a_queue_is_expected_to_do_to_the_mood_is_what_it_does():
    world = all_here(video(MANY, energy=1e6))
    slates = world.offered()[:, :1]
    expected, before = world.felt(slates)[:, 0], world.mood.copy()
    world.step(slates)
    gap = world.mood - before - expected
    assert abs(gap.mean()) < 4.5 * gap.std() / np.sqrt(MANY) and abs(expected).mean() > 10 * abs(gap.mean())
    assert not world.felt(np.full((MANY, 1), -1)).any()


def test_habit_follows_the_mood_and_brings_viewers_back():
    world = video(MANY, leave=0.0, drift=0.0)
    half = np.arange(MANY) < MANY // 2
    world.habit[:], world.mood[:] = 0.5, np.where(half, 1.0, 0.0)
    here = world.here().copy()
    empty = np.full((MANY, 1), -1)
    world.step(empty)
    c = world.config
    wanted = np.where(here, 0.5 + c.routine * (world.mood - 0.5), 0.5 * (1 - c.fade))
    np.testing.assert_allclose(world.habit, wanted)
    low, high = c.visit
    for some in (half & here, ~half & here, ~here):
        chance = low + (high - low) * world.habit[some].mean()
        assert abs(world.here()[some].mean() - chance) < 4.5 * np.sqrt(chance * (1 - chance) / some.sum())


@pytest.mark.parametrize("made", [video, feed])
def test_who_feels_bad_leaves_for_good(made):
    world = all_here(made())
    world.mood[:] = np.where(np.arange(MANY) % 2 == 0, 1.0, 0.2)
    chance = world.config.leave * 0.8**2
    left = world.step(np.full((MANY, 1), -1)).left
    assert not left[::2].any()
    assert abs(left[1::2].mean() - chance) < 4.5 * np.sqrt(chance / (MANY // 2))
    for _ in range(4):
        assert not world.here()[left].any()
        world.step(np.full((MANY, 1), -1))


def test_tastes_drift_and_weariness_halves_in_two_days():
    world = video(MANY)
    world.tired[:] = 1.0
    before = world.taste.copy()
    for _ in range(2):
        world.step(np.full((MANY, 1), -1))
    np.testing.assert_allclose(world.tired, 0.5)
    kept = (1 - world.config.drift) ** 1.0  # two days of a square root
    assert np.corrcoef(before.ravel(), world.taste.ravel())[0, 1] == pytest.approx(kept, abs=0.005)
    assert world.taste.std() == pytest.approx(world.config.taste, abs=0.01)


def test_energy_is_what_it_should_be():
    world = all_here(video(MANY, pull=60.0, energy=12.0))
    long = np.flatnonzero((world.bait > 0.6) & (world.length >= 12))[:8]
    minutes = np.nan_to_num(world.step(np.tile(long, (MANY, 1))).values["watch"]).sum(axis=1)
    assert minutes.mean() == pytest.approx(12.0, abs=0.3)


@pytest.mark.parametrize("made", [video, feed])
def test_the_context_counts_days_away(made):
    world, away = made(300), np.zeros(300)
    for _ in range(6):
        np.testing.assert_allclose(world.context()[:, 0], np.log1p(away), rtol=1e-6)
        away = np.where(world.here(), 1.0, away + 1.0)
        world.step(np.full((300, 1), -1))


def test_texts_tell_what_a_video_is():
    world = Video(VideoConfig(1))
    for row, item in enumerate(world.catalogue()):
        for words, value in ((BAIT, world.bait[row]), (DEPTH, world.depth[row])):
            found = [any(phrase in item.text for phrase in phrases) for phrases in words]
            assert found == [n == min(int(value * 3), 2) for n in range(3)]
        topic = str(item.attributes["topic"])
        assert topic == list(TOPICS)[world.topic[row]] and any(subject in item.text for subject in TOPICS[topic])
        assert f"{item.attributes['minutes']:.0f} minutes" in item.text and item.attributes["minutes"] == world.length[row]
    assert np.corrcoef(world.bait, world.depth)[0, 1] < -0.5


# Feed.


def test_the_chances_of_a_feed_are_the_frequencies():
    world = all_here(feed())
    slates = world.offered()[:, [0, 3, 5, 1]].copy()
    slates[::5, 2] = -1
    chances, expected, tied = world.chances(slates), world.gain(slates), world.tied(slates)
    ties, follows = world.ties.copy(), world.follows.copy()
    done = did(world.step(slates).values)
    post = (slates >= 0) & world.is_post[slates]
    for kind, chance, among in zip(
        ("like", "comment", "follow"), chances, (post, post, (slates >= 0) & ~world.is_post[slates]), strict=True
    ):
        as_often(done[kind], chance, among)
        assert not chance[~among].any() and not done[kind][~among].any()
    reward = done["like"] + COMMENT * done["comment"]
    assert abs((reward - expected).mean()) < 4.5 * (reward - expected).std() / np.sqrt(reward.size)
    row, slot = np.nonzero(done["follow"])
    follows[row, slates[row, slot]] = True
    np.testing.assert_array_equal(world.follows, follows)
    once = done["follow"].sum(axis=1) == 1
    step = (1 - np.exp(-0.25)) * (1 - ties)
    np.testing.assert_allclose((1 - np.exp(-follows.sum(axis=1) / 4) - ties)[once], step[once], rtol=1e-6)
    gap = done["follow"] * step[:, None] - tied
    assert abs(gap.mean()) < 4.5 * gap.std() / np.sqrt(gap.size) and tied.mean() > 10 * abs(gap.mean())


def test_what_is_liked_commented_and_followed():
    world = feed(300, people=30)
    slates = world.offered()[:, [2, 0, 4]]
    rows = np.arange(300)[:, None]
    author = world.author[slates]
    known = world.follows[rows, author]
    for alone in (False, True):
        base = world.taste[rows, world.topic[slates]] + (0.0 if alone else np.log(1 / (1 + 0.15 * np.arange(3))))
        like, comment, follow = world.chances(slates, alone)
        post = world.is_post[slates]
        np.testing.assert_allclose(like[post], sigmoid(base - 1.4 + 0.7 * known + 0.8 * world.warmth[slates])[post])
        wanted = sigmoid(0.5 * base - 2.6 + 0.5 * known + world.config.anger * world.outrage[slates])
        np.testing.assert_allclose(comment[post], wanted[post])
        mutual = np.array([[(world.follows[b] & world.knows[a]).sum() for a in author[b]] for b in range(300)])
        card = (slates >= 0) & ~post & ~known
        np.testing.assert_allclose(follow[card], sigmoid(base - 1.8 + 0.5 * np.log1p(mutual))[card], rtol=1e-6)
    assert not world.chances(author)[2][known].any(), "who is followed is not followed again"


def test_mood_moves_with_what_is_shown_and_further_with_what_is_commented():
    world = all_here(feed())
    slates = np.stack([world.offered()[:, 2], np.full(MANY, -1), world.offered()[:, 0]], axis=1)
    expected, before = world.felt(slates), world.mood.copy()
    commented = did(world.step(slates).values)["comment"][:, 0]
    c = world.config
    pace = np.where(commented, c.memory, c.glimpse)
    np.testing.assert_allclose(world.mood, before + pace * (world.worth[slates[:, 0]] - before))
    gap = world.mood - before - expected.sum(axis=1)
    assert abs(gap.mean()) < 4.5 * gap.std() / np.sqrt(MANY) and not expected[:, 1:].any(), "people move no mood"
    absent = feed(200)
    absent._here[:] = False
    before = absent.mood.copy()
    absent.step(absent.offered()[:, 2:5])
    np.testing.assert_array_equal(absent.mood, before)


def test_mood_and_ties_bring_readers_back():
    world = feed(leave=0.0)
    world.mood[:] = np.where(np.arange(MANY) % 2 == 0, 0.9, 0.2)
    world.follows[:] = np.arange(world.config.people) < np.where(np.arange(MANY) < MANY // 2, 8, 1)[:, None]
    np.testing.assert_allclose(np.unique(world.ties), 1 - np.exp(-np.array([1, 8]) / 4))
    world.step(np.full((MANY, 1), -1))
    low, high = world.config.visit
    for mood in (0.9, 0.2):
        for ties in np.unique(world.ties):
            some = (world.mood == mood) & (world.ties == ties)
            chance = low + (high - low) * np.sqrt(mood * ties)
            assert abs(world.here()[some].mean() - chance) < 4.5 * np.sqrt(chance * (1 - chance) / some.sum())


def test_who_is_seen_posts_more():
    world = all_here(feed(1000))
    people = world.config.people
    first = np.flatnonzero(world.author == 3)
    mine = first[first >= people][:2]
    before = world.activity.copy()
    world.step(np.tile([*mine, 7], (1000, 1)))  # 7 is a person: a card is not a post that is seen
    pace = world.config.pace
    wanted = before + pace * (FLOOR - before)
    wanted[3] = before[3] + pace * (people / (1 + people) - before[3])
    np.testing.assert_allclose(world.activity, wanted)
    kept = world.activity.copy()
    world.step(np.full((1000, 1), -1))
    np.testing.assert_array_equal(world.activity, kept)
    world._here[:] = False
    world.step(np.tile(mine, (1000, 1)))
    np.testing.assert_array_equal(world.activity, kept)


def test_what_is_out_depends_on_activity_and_only_that_is_offered():
    world = feed(50)
    people = world.config.people
    world.activity[:] = np.where(np.arange(people) < 5, 0.9, 0.1)
    by = world.author[people:]
    out = np.mean([world._posted() for _ in range(600)], axis=0)
    for chance, some in ((0.9, by < 5), (0.1, by >= 5)):
        assert abs(out[some].mean() - chance) < 4.5 * np.sqrt(0.09 / 600 / some.sum())
    for _ in range(5):
        world.step(world.offered()[:, :3])
        offered = world.offered()
        cards, posts = offered[:, : world.config.cards], offered[:, world.config.cards :]
        assert (cards < people).all() and not world.follows[np.arange(50)[:, None], cards].any()
        assert (posts >= people).all() and world.out[posts - people].all()
    world.activity[:] = 1e-9
    assert world._posted().sum() == 1, "one post is always out"


def test_fewer_than_are_wanted_leave_padding():
    world = feed(40)
    world.activity[:] = 1e-9
    world.follows[:] = True
    world.step(np.full((40, 1), -1))
    assert ((world.offered() >= 0).sum(axis=1) == 1).all()
    seen = Environment(world, 4).observe()
    assert (seen.mask.sum(axis=1) == 1).all() and not seen.items[~seen.mask].any()


def test_nearer_people_and_followed_authors_are_offered_more():
    world = feed(MANY, cards=1, candidates=2, people=3, items=9)
    world.follows[:] = [True, False, False]
    world.knows[:] = False
    world.knows[0, 1] = world.knows[1, 0] = True
    world.out[:] = True
    offered = world._offer(np.arange(MANY))
    assert not (offered[:, 0] == 0).any()
    for share, wanted in (
        ((offered[:, 0] == 1).mean(), 2 / 3),
        ((world.author[offered[:, 1]] == 0).mean(), FOLLOWED / (FOLLOWED + 2)),
    ):
        assert abs(share - wanted) < 4.5 * np.sqrt(wanted * (1 - wanted) / MANY)


def test_people_know_each_other_and_follow_what_they_like():
    world = feed(3000)
    people = world.config.people
    assert (world.knows == world.knows.T).all() and not world.knows.diagonal().any()
    same = world.topic[:people, None] == world.topic[:people]
    off = ~np.eye(people, dtype=bool)
    assert world.knows[same & off].mean() > 3 * world.knows[~same].mean()
    chance = sigmoid(-2.4 + world.taste[:, world.topic[:people]])
    as_often(world.follows, chance, np.ones_like(world.follows))
    np.testing.assert_allclose(world.context()[:, 1], np.log1p(world.follows.sum(axis=1)), rtol=1e-6)


def test_texts_tell_what_a_post_is():
    world = Feed(FeedConfig(1))
    for row, item in enumerate(world.catalogue()):
        for words, value in ((OUTRAGE, world.outrage[row]), (WARMTH, world.warmth[row])):
            found = [any(phrase in item.text for phrase in phrases) for phrases in words]
            assert found == [n == min(int(value * 3), 2) for n in range(3)]
        kind = "post" if world.is_post[row] else "person"
        assert item.attributes["kind"] == kind and str(item.attributes["author"]) in item.text
        assert str(item.attributes["topic"]) in item.text
    assert len({str(item.attributes["author"]) for item in world.catalogue()}) == world.config.people
    assert np.corrcoef(world.outrage, world.warmth)[0, 1] < -0.5


# Both.


class Told:
    """A policy that asks the world itself."""

    version = "told"

    def __init__(self, scores):
        self._scores = scores

    def score(self, state, items, mask):
        return np.where(mask, self._scores(), 0).astype(np.float32)

    def state_dict(self):
        return {}

    def about(self):
        return {}


def lived(world, scores, users=1500, days=60):
    return trial(Environment(world, 4), Told(scores), users, 3, days=days)


@pytest.mark.parametrize("made", [video, feed])
def test_what_is_best_today_is_a_trap(made):
    """Who knows the truth of today and nothing else gets most at first, and is behind who looks ahead after two months."""
    world = made(500)
    prices = (0.0,) if made is video else (0.0, 0.0)
    early = {name: lived(world, how, 500, 1) for name, how in (("today", lambda: world.wise(*prices)), ("ahead", world.wise))}
    assert early["today"].mean() > early["ahead"].mean()
    chance = np.random.default_rng(0)
    late = {
        "chance": lived(world, lambda: chance.random(world.offered().shape)),
        "today": lived(world, lambda: world.wise(*prices)),
        "ahead": lived(world, world.wise),
    }
    error = {name: value.std() / np.sqrt(len(value)) for name, value in late.items()}
    assert late["ahead"].mean() - late["today"].mean() > 3.5 * np.hypot(error["ahead"], error["today"])
    assert late["today"].mean() > late["chance"].mean()
    assert late["ahead"].mean() < 2 * late["today"].mean(), "a trap of moderate size"


def test_today_shows_bait_and_outrage():
    world = video(500)
    for prices, more in (((0.0,), True), ((140.0,), False)):
        shown = np.take_along_axis(world.offered(), world.wise(*prices).argmax(axis=1)[:, None], axis=1)
        assert (world.bait[shown].mean() > world.bait.mean()) == more
    world = feed(500)
    for today, more in (((0.0, 0.0), True), ((60.0, 0.0), False)):
        shown = np.take_along_axis(world.offered(), world.wise(*today).argmax(axis=1)[:, None], axis=1)
        assert (world.outrage[shown].mean() > world.outrage[world.is_post].mean()) == more


@pytest.mark.parametrize(("kind", "config"), [(Video, VideoConfig(30, 6, 20)), (Feed, FeedConfig(30, 6, 20, people=5))])
def test_a_life_is_a_log_of_what_was_offered(kind, config):
    world = kind(config)
    known = replace(features(20, 4), ids=tuple(i.id for i in world.catalogue()))
    served = recommender(known, RankPolicy(0.7), explore=Exploration(1.0, 0.4), context=world.context().shape[1], steps=T)
    store = MemoryStore()
    offered, step = [], world.step

    def watched(slates):
        offered.append((world.offered().copy(), slates.copy()))
        return step(slates)

    world.step = watched
    returns = rollout(served, world, 9, 3, 0, store)
    log = [record for _, record in store.read(0, 100_000)[0]]
    decisions, events = [r for r in log if isinstance(r, Decision)], [r for r in log if isinstance(r, Event)]
    assert len(decisions) == returns.visits.sum() > 50 and len(events) > 50
    for today, slates in offered:
        assert ((slates[:, :, None] == today[:, None, :]).any(axis=2) | (slates < 0)).all()
    assert all(set(d.shown) <= set(d.candidates) for d in decisions)
    assert returns.reward.sum() == pytest.approx(sum(world.objective.reward(e.kind, e.value) for e in events))


def test_a_skip_is_no_response_and_counts_half_a_minute():
    world = all_here(video(200))
    world.taste[:] = -60.0
    place = Environment(world, 2, steps=3)
    step = place.step(np.tile([0, 1], (200, 1)))
    assert not step.response.any() and (place.observe().state.items == -1).all()
    np.testing.assert_allclose(step.reward, -SKIP)


def test_another_objective_than_the_world_s():
    world = all_here(feed(400))
    likes = replace(world.objective, rewards={"like": 5.0}, discount=0.0)
    place = Environment(world, 3, objective=likes)
    assert place.objective.discount == 0 and Environment(world, 3).objective == world.objective
    assert set(np.unique(place.step(np.tile([3, 4, 5], (400, 1))).reward)) == {0.0, 5.0}


@pytest.mark.parametrize(
    "wrong",
    [{"users": 0}, {"candidates": 0}, {"items": 3}, {"energy": 0.0}, {"drift": 2.0}, {"memory": -0.1}, {"visit": (0.5, 0.1)}],
)
def test_video_services_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="VideoConfig"):
        VideoConfig(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"users": 0},
        {"people": 0},
        {"items": 40},
        {"cards": 10},
        {"candidates": 300},
        {"glimpse": 0.5},
        {"pace": 1.5},
        {"leave": -0.1},
        {"visit": (0.5, 0.1)},
    ],
)
def test_feeds_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="FeedConfig"):
        FeedConfig(**wrong)
