"""The worlds as environments of Gymnasium: its own checks, and the life that ``Environment`` has."""

import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from longgame.errors import ConfigError
from longgame.simulation import Environment
from longgame.simulation.gym import WORLDS, slates
from longgame.simulation.interest_evolution import InterestEvolution, InterestEvolutionConfig
from longgame.simulation.shop import Shop, ShopConfig
from tests.logged_kit import written

SIZES = {
    "InterestEvolution": {"candidates": 7},
    "LongTermSatisfaction": {"candidates": 7, "clicks": 5},
    "Shop": {"items": 7},
    "Video": {"candidates": 7},
    "Feed": {"candidates": 7},
    "Market": {"sellers": 7},
    "Sessions": {"items": 7, "flips": 3},
    "FromLogs": {"data": written(Path(tempfile.mkdtemp(prefix="longgame-log-"))), "candidates": 7},
}


def one(name, **more):
    return gymnasium.make(f"longgame/{name}-v0", **{**SIZES[name], **more})


def many(name, users, **more):
    return gymnasium.make_vec(f"longgame/{name}-v0", num_envs=users, **{**SIZES[name], **more})


def same(told, other):
    assert told.keys() == other.keys()
    for name in told:
        np.testing.assert_array_equal(told[name], other[name], err_msg=name)


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("slots", [1, 3])
def test_gymnasium_finds_no_fault(name, slots):
    with warnings.catch_warnings():  # what a session sums up to has no bound
        warnings.filterwarnings("ignore", message=".*imum value is -?infinity.*")
        check_env(one(name, slots=slots, steps=2).unwrapped)


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("slots", [1, 3])
def test_what_is_seen_lies_in_the_spaces(name, slots):
    users = many(name, 40, slots=slots, steps=2)
    assert users.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    users.action_space.seed(0)
    told, _ = users.reset(seed=0)
    ended = 0
    for _ in range(130):
        assert told in users.observation_space
        told, reward, left, cut, info = users.step(users.action_space.sample())
        assert reward.shape == left.shape == cut.shape == (40,) and np.isfinite(reward).all()
        over = left | cut
        assert ("final_obs" in info) == over.any()
        if over.any():
            ended += over.sum()
            np.testing.assert_array_equal(info["_final_obs"], over)
            assert all(seen in users.single_observation_space for seen in info["final_obs"][over])
            assert all(seen is None for seen in info["final_obs"][~over])
    assert ended or name in ("Shop", "FromLogs")  # in so few days nobody has left


def test_a_vector_environment_and_ours_give_the_same_life():
    settings = InterestEvolutionConfig(50, 7)
    users, world = many("InterestEvolution", 50, slots=2), Environment(InterestEvolution(settings), 2)
    told, seen, rng, ends = users.reset(seed=5)[0], world.reset(5), np.random.default_rng(0), 0
    for _ in range(150):
        same(told, {"context": seen.state.context, "history": seen.state.history, "offered": seen.items, "mask": seen.mask})
        shown = np.argsort(rng.random((50, 7)), axis=1)[:, :2]
        told, reward, left, cut, _ = users.step(shown)
        step = world.step(shown)
        seen = world.observe()
        np.testing.assert_allclose(reward, step.reward.sum(axis=1), rtol=1e-6)
        np.testing.assert_array_equal(left, step.left)
        assert not cut.any()
        ends += left.sum()
    assert ends > 20


def test_one_user_and_a_vector_of_one_live_alike_to_the_end():
    alone, users, rng = one("InterestEvolution", slots=2), many("InterestEvolution", 1, slots=2), np.random.default_rng(1)
    told, beside = alone.reset(seed=9)[0], users.reset(seed=9)[0]
    left = False
    while not left:
        same(told, {name: value[0] for name, value in beside.items()})
        shown = rng.integers(7, size=2)
        told, reward, left, cut, info = alone.step(shown)
        beside, rewards, lefts, _, infos = users.step(shown[None])
        assert (reward, left) == (rewards[0], lefts[0]) and not cut and info == {}
    same(told, infos["final_obs"][0])
    assert not told["mask"].any(), "who left can be shown nothing"
    assert beside["mask"].all() and not beside["context"][0, -22:].any(), "somebody new, of whom nothing is remembered"


def test_the_seed_decides_and_without_one_somebody_new_comes():
    users = many("LongTermSatisfaction", 30)
    first = users.reset(seed=1)[0]
    next_ = users.reset()[0]
    assert (first["offered"] != next_["offered"]).any()
    same(first, users.reset(seed=1)[0])
    same(next_, users.reset()[0])


def test_a_time_limit_is_a_cut_and_no_end():
    users, world = many("Shop", 60, slots=2, max_episode_steps=4), Environment(Shop(ShopConfig(60, 7)), 2)
    world.reset(2)
    users.reset(seed=2)
    shown, age = np.tile([4, 1], (60, 1)), np.zeros(60, np.int64)
    for day in range(4):
        told, _, left, cut, info = users.step(shown)
        age += 1
        np.testing.assert_array_equal(cut, (age == 4) & ~left)
        age[left | cut] = 0
        if day < 3:
            world.step(shown)
    assert cut.sum() > 40
    world.live(shown)
    final, row = world.observe(), int(np.flatnonzero(cut)[0])
    same(info["final_obs"][row], {**info["final_obs"][row], "context": final.state.context[row], "offered": final.items[row]})
    assert not told["context"][cut, -66:].any()
    alone = one("Shop", max_episode_steps=3)
    alone.reset(seed=0)
    assert [alone.step(0)[3] for _ in range(3)] == [False, False, True]
    assert gymnasium.spec("longgame/Shop-v0").max_episode_steps == 365
    with pytest.raises(ConfigError, match="max_episode_steps must be 1 or more, or None, got 0"):
        many("Shop", 3, max_episode_steps=0)


def test_who_is_away_can_be_shown_nothing():
    users = many("Shop", 300)
    told, _ = users.reset(seed=0)
    away = ~told["mask"].any(axis=1)
    assert 0 < away.sum() < 300 and told["mask"][~away].all()
    assert not users.step(np.zeros(300, np.int64))[1][away].any()


def test_a_column_that_is_repeated_or_masked_leaves_its_slot_empty():
    seen = Environment(InterestEvolution(InterestEvolutionConfig(4, 5)), 3).reset(0)
    chosen = np.array([[0, 1, 2], [3, 3, 1], [4, 2, 4], [2, 2, 2]])
    np.testing.assert_array_equal(slates(chosen, seen), [[0, 1, 2], [3, -1, 1], [4, 2, -1], [2, -1, -1]])
    seen.mask.flags.writeable = True
    seen.mask[:, 2] = False
    np.testing.assert_array_equal(slates(chosen, seen), [[0, 1, -1], [3, -1, 1], [4, -1, -1], [-1, -1, -1]])
    with pytest.raises(ConfigError, match="columns from 0 to 4, got 0 to 5"):
        slates(chosen + (chosen == 4), seen)


def test_statistics_of_gymnasium_and_its_own_vectors_work_with_it():
    users = RecordEpisodeStatistics(many("LongTermSatisfaction", 8, slots=2))
    users.reset(seed=0)
    for number in range(1, 11):
        info = users.step(np.tile([0, 1], (8, 1)))[4]
        assert ("episode" in info) == (number % 5 == 0)
    assert (info["episode"]["l"] == 5).all() and users.episode_count == 16
    own = many("LongTermSatisfaction", 3, slots=2, vectorization_mode="sync")
    own.reset(seed=0)
    assert [own.step(np.tile([0, 1], (3, 1)))[2].all() for _ in range(5)] == [False] * 4 + [True]


def test_what_is_wrong_is_told():
    with pytest.raises(ConfigError, match=r"Shop-v0: got an unexpected keyword argument 'candidates'.*; it has items, taste, "):
        gymnasium.make("longgame/Shop-v0", candidates=3)
    with pytest.raises(ConfigError, match="must be one of InterestEvolution, "):
        one("Shop", world="shop")
    with pytest.raises(ConfigError, match="knows no options, got reset_mask"):
        many("Shop", 2).reset(options={"reset_mask": np.ones(2, np.bool_)})


def test_the_names_of_what_is_seen_can_name_modules():
    """Stable-Baselines3 makes a ``ModuleDict`` of them, in which "items" is taken."""
    torch.nn.ModuleDict({name: torch.nn.Identity() for name in one("Shop").reset(seed=0)[0]})


def test_a_name_with_the_module_needs_no_import():
    """Gymnasium has had no plugins since 1.0: the name brings the module."""
    code = "import gymnasium; print(gymnasium.make_vec('longgame.simulation.gym:longgame/Shop-v0', num_envs=3).num_envs)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "3"
