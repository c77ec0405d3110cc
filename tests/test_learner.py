"""The learner depends on the log and on nothing else: not on when it looked, nor on having been killed."""

import random
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from longgame.algorithms.linear_thompson import LinearThompson, LinearThompsonConfig
from longgame.algorithms.rank import RankPolicy
from longgame.algorithms.reinforce import Reinforce, ReinforceConfig
from longgame.arrays import Batch
from longgame.errors import ArtefactError, ConfigError
from longgame.learning.gate import Gate, Verdict
from longgame.learning.learner import Learner, LearnerConfig, held_out
from longgame.learning.offpolicy import Replay
from longgame.networks import NetworkConfig
from longgame.simulation.rollout import rollout
from longgame.simulation.shop import Shop, ShopConfig
from longgame.slate import Exploration
from longgame.store.memory import MemoryStore
from longgame.types import Decision, Objective
from tests.kit import D, event, features, recommender

EXPLORE = Exploration(1.0, 0.3)
WORLD = Shop(ShopConfig(users=60, items=9, leave=0.0, visit=(0.7, 0.7)))
# A vector says how well the item sells, and two things that do not matter.
SELLS = np.stack([2 * WORLD.hype - 1, *np.random.default_rng(4).standard_normal((D - 1, 9))], axis=1).astype(np.float32)
SHOP = replace(features(9), ids=tuple(i.id for i in WORLD.catalogue()), vectors=SELLS)
TODAY = Objective({"click": 1.0, "purchase": 1.0}, window=timedelta(hours=12))
LONG = replace(TODAY, discount=0.3)
UNIFORM = RankPolicy(0.0)


@pytest.fixture(scope="module")
def log():
    """Some nine hundred decisions of a policy without preferences, and their feedback."""
    store = MemoryStore()
    rollout(recommender(SHOP, UNIFORM, explore=EXPLORE, context=1), WORLD, 22, 3, 0, store)
    return [record for _, record in store.read(0, 1_000_000)[0]]


class Spy:
    """An algorithm that keeps what it was taught and hands out one policy for ever."""

    def __init__(self, policy=UNIFORM):
        self.policy, self.taught = policy, []

    def update(self, batch: Batch):
        self.taught.append(batch)
        return {}

    def state_dict(self):
        return {"taught": np.array([len(self.taught)])}

    def load_state_dict(self, state):
        self.taught = [None] * int(state["taught"][0])


LEARNED = ReinforceConfig(NetworkConfig(D, 1, hidden=8, steps=4), learning_rate=1e-2, explore=EXPLORE)
ALGORITHMS = {
    "thompson": lambda: LinearThompson(LinearThompsonConfig(D, 1, draws=33)),
    "reinforce": lambda: Reinforce(LEARNED),
}


def learner(store, algorithm, objective=LONG, live=UNIFORM, gate=None, **settings):
    sizes = {"block": 64, "updates": 2, "batch": 48, "holdout": 0.4, **settings}
    replay = Replay(SHOP, 4, EXPLORE)
    return Learner(
        store, algorithm, live, replay, objective, gate or Gate(confidence=0.6, min_effective_n=80), LearnerConfig(**sizes)
    )


def filled(log):
    store = MemoryStore()
    store.put(log)
    return store


def followed(made):
    published = []
    rounds = made.run(lambda policy, verdict: published.append((policy.version, verdict.gain)))
    return rounds, published


def same(one, two):
    assert one.rounds == two.rounds and one.live.version == two.live.version
    a, b = one.algorithm.state_dict(), two.algorithm.state_dict()
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(np.ravel(a[name]), np.ravel(b[name]), err_msg=name)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_it_does_not_matter_when_the_log_is_looked_at(log, name):
    objective = TODAY if name == "thompson" else LONG
    whole = learner(filled(log), ALGORITHMS[name](), objective)
    _, wanted = followed(whole)
    assert whole.rounds > 8 and (wanted or name != "thompson")
    for seed in range(2):
        rng, store, left = random.Random(seed), MemoryStore(), list(log)
        made = learner(store, ALGORITHMS[name](), objective)
        while left:
            n = rng.choice([1, 5, 40, 300])
            store.put(left[:n])
            left = left[n:]
            if rng.random() < 0.5:
                made.step()  # sometimes one step, sometimes all there is
            if rng.random() < 0.7:
                followed(made)
        followed(made)
        same(made, whole)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("stop", [0, 1, 4])
def test_killed_and_resumed_is_the_same_as_never_stopped(log, name, stop, tmp_path):
    whole = learner(filled(log), ALGORITHMS[name]())
    followed(whole)
    first = learner(filled(log), ALGORITHMS[name]())
    for _ in range(stop):
        first.step()
    first.save(tmp_path / "learner.safetensors")
    first.step()  # it went on, and what it did then is lost
    again = learner(filled(log), ALGORITHMS[name](), live=first.live if stop else UNIFORM)
    again.resume(tmp_path / "learner.safetensors")
    assert again.rounds == stop
    followed(again)
    a, b = again.algorithm.state_dict(), whole.algorithm.state_dict()
    for key in a:
        np.testing.assert_array_equal(np.ravel(a[key]), np.ravel(b[key]), err_msg=key)
    assert again.algorithm.policy.version == whole.algorithm.policy.version


def test_a_checkpoint_of_another_log_is_refused(log, tmp_path):
    first = learner(filled(log), Spy())
    for _ in range(3):
        first.step()
    path = tmp_path / "learner.safetensors"
    first.save(path)
    with pytest.raises(ConfigError, match="shorter than the 3 rounds"):
        learner(filled(log[:20]), Spy()).resume(path)
    with pytest.raises(ConfigError, match="block 32"):
        learner(filled(log), Spy(), block=32).resume(path)
    with pytest.raises(ArtefactError, match="no such"):
        learner(filled(log), Spy()).resume(tmp_path / "gone.safetensors")


def test_what_judges_is_never_learned_from(log):
    spy = Spy()
    made = learner(filled(log), spy, holdout=0.4, block=128, updates=4)
    followed(made)
    decisions = [r for r in log if isinstance(r, Decision)]
    shown = {(tuple(d.propensities), tuple(d.picks), d.request.context) for d in decisions if held_out(d.id, 0.4)}
    kept = {(tuple(d.propensities), tuple(d.picks), d.request.context) for d in decisions if not held_out(d.id, 0.4)}
    assert 0.3 < len(shown) / (len(shown) + len(kept)) < 0.5
    taught = set()
    for batch in spy.taught:
        for i in range(len(batch)):
            taught.add((tuple(batch.propensity[i].tolist()), tuple(batch.action[i].tolist()), batch.state.context[i, 0]))
    only_held = {(p, a, np.float32(c[0])) for p, a, c in shown} - {(p, a, np.float32(c[0])) for p, a, c in kept}
    assert only_held and not taught & only_held
    assert len(taught) > 50


def test_the_holdout_is_a_property_of_the_id():
    ids = [f"run/{n}" for n in range(4000)]
    few, many = ({i for i in ids if held_out(i, share)} for share in (0.1, 0.4))
    assert few < many
    assert len(few) / 4000 == pytest.approx(0.1, abs=0.02) and len(many) / 4000 == pytest.approx(0.4, abs=0.03)


def test_a_round_is_so_many_updates_of_so_many_rows(log):
    spy = Spy()
    made = learner(filled(log), spy, objective=TODAY, block=50, updates=3, batch=16)
    assert made.step() is not None and [len(b) for b in spy.taught] == [16] * 3
    small = Spy()
    made = learner(filled(log), small, objective=TODAY, block=50, updates=1, batch=10_000)
    made.step()
    assert 15 < len(small.taught[0]) < 45, "no more than there are, and none twice"


def test_an_algorithm_that_counts_is_told_of_each_row_once(log):
    class Counting(Spy):
        counts = True

    spy, whole = Counting(), Spy()
    made = learner(filled(log), spy, objective=TODAY, block=50, updates=3, batch=16)
    followed(made)
    state = learner(filled(log), whole, objective=TODAY, block=50, updates=3, batch=16)
    followed(state)
    shown, held = made._log()
    told = int((shown.told & ~held).sum())
    assert sum(map(len, spy.taught)) == told > 300
    assert sum(map(len, whole.taught)) > 1.5 * told, "others are told of rows more than once"


def test_memory_is_bounded(log):
    made = learner(filled(log), Spy(), memory=70, block=20)
    followed(made)
    assert len(made._rows) == 70


def test_without_a_whole_block_nothing_happens(log):
    spy, store = Spy(), MemoryStore()
    made = learner(store, spy)
    assert made.step() is None and made.rounds == 0
    store.put(log[:30])
    assert made.step() is None and not spy.taught


def test_with_no_future_told_yet_nothing_is_learned_and_nothing_passes(log):
    spy = Spy()
    made = learner(filled(log[:200]), spy, objective=replace(TODAY, discount=0.99), block=20)
    verdict = made.step()
    assert verdict is not None and not verdict.passed and not spy.taught


def test_what_is_better_goes_live_and_what_is_equal_does_not(log):
    better = learner(filled(log), ALGORITHMS["thompson"](), objective=TODAY, updates=1)
    before = better.live
    rounds, published = followed(better)
    assert rounds > 8 and published and published[0][1].low > 0
    assert better.live.version == published[-1][0] != before.version
    equal = learner(filled(log), Spy(), objective=TODAY)
    assert followed(equal)[1] == [] and equal.live is UNIFORM


def test_what_is_refused_is_told(log):
    made, said = learner(filled(log), Spy(), objective=TODAY), list[Verdict]()
    rounds = made.run(lambda policy, verdict: None, said.append)
    assert len(said) == rounds and all("refused" in verdict.reason for verdict in said)


def test_items_that_come_are_counted(log):
    made = learner(filled([*WORLD.catalogue(), *log]), Spy())
    followed(made)
    assert made.items_written == 9


def test_feedback_from_a_clock_that_runs_ahead_does_not_end_all_learning(log):
    """One event from the future closes what is open; after it rewards are as before."""
    spy, store = Spy(), MemoryStore()
    store.put([*log[:100], event("ahead", 24 * 365 * 100, 0), *log[100:]])
    followed(learner(store, spy, objective=TODAY))
    rewards = [b.reward.sum() for b in spy.taught[len(spy.taught) // 2 :]]
    assert min(rewards) > 0


@pytest.mark.parametrize(
    "wrong", [{"block": 0}, {"updates": 0}, {"batch": 0}, {"memory": 0}, {"holdout": 0.0}, {"holdout": 1.0}]
)
def test_learners_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="LearnerConfig"):
        LearnerConfig(**wrong)
