"""The learner beside the server: what it does when items change, when it is killed, and when the settings change."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from longgame.rng import derive
from longgame.settings import load_settings
from longgame.types import Decision, Event, Item, ItemId, Request, UserId
from longgame.wiring.minds import MINDS
from longgame.wiring.online import Follower
from longgame.wiring.training import train
from longgame.wiring.workspace import workspace

START = datetime(2026, 1, 1, tzinfo=UTC)
FLAGS = {
    "language.model": "hashing",
    "objective.window": "10s",
    "policy.steps": 6,
    "learner.block": 40,
    "learner.updates": 3,
    "learner.batch": 32,
    "gate.min_effective_n": 10,
    "guards.in_stock": "stock",
    "guards.already_seen": False,
}


def settings(folder, **more):
    where = {"store.url": f"sqlite:///{folder / 'log.db'}", "data.folder": str(folder / "data")}
    return load_settings(None, {}, {**FLAGS, **where, **more}).settings


def item(n, stock=1.0):
    return Item(ItemId(f"i{n}"), f"{'red' if n % 2 else 'blue'} thing {n}", {"stock": stock})


def live_through(ws, first, count):
    """Decisions of the live policy; everybody likes odd items."""
    made = loaded(ws).recommender
    for n in range(first, first + count):
        at = START + timedelta(days=1, minutes=n)
        decision = made.decide(Request(f"r{n}", at, UserId(f"v{n % 9}"), 3), [])
        ws.store.put([decision])
        liked = [(slot, i) for slot, i in enumerate(decision.shown) if int(i[1:]) % 2]
        when = at + timedelta(seconds=2)
        ws.store.put(Event(f"e{n}-{s}", when, decision.request.user, i, "click", 1.0, "", decision.id, s) for s, i in liked)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A trained product with 200 decisions in its log."""
    folder = tmp_path_factory.mktemp("base")
    rng = derive(0, "online")
    with workspace(settings(folder)) as ws:
        ws.store.put([item(n) for n in range(24)])
        ws.store.put(
            Event(f"x{u}-{n}", START + timedelta(minutes=n), UserId(f"u{u}"), ItemId(f"i{rng.integers(24)}"), "view")
            for u in range(20)
            for n in range(6)
        )
        train(ws)
        live_through(ws, 0, 200)
    return folder


@pytest.fixture
def folder(base, tmp_path):
    shutil.copytree(base, tmp_path / "product")
    return tmp_path / "product"


def live(ws):
    snapshot = ws.registry.current()
    assert snapshot is not None
    return snapshot


def loaded(ws):
    found = ws.load()
    assert found is not None
    return found


def learner(follower):
    assert follower._learner is not None
    return follower._learner


def drain(follower):
    rounds = 0
    while follower.turn():
        rounds += 1
    return rounds


def weights(follower):
    return learner(follower).algorithm.state_dict()


def test_new_and_sold_out_items_change_what_is_served_and_nothing_is_learned_twice(folder):
    with workspace(settings(folder)) as ws:
        follower = Follower(ws)
        before = drain(follower)
        assert before >= 4
        first = live(ws)
        ws.store.put([item(n, stock=0.0) for n in range(20)] + [item(30)])
        assert drain(follower) == 0 and live(ws).number == first.number + 1
        now = loaded(ws)
        assert "i30" in now.recommender.features.index and now.snapshot.policy == first.policy
        decision = now.recommender.decide(Request("late", START + timedelta(days=2), UserId("v"), 9), [])
        assert {int(i[1:]) for i in decision.shown} == {20, 21, 22, 23, 30}
        assert drain(follower) == 0 and live(ws).number == first.number + 1  # once, not for ever
        live_through(ws, 200, 100)
        drain(follower)
        assert learner(follower).rounds > before
        assert drain(Follower(ws)) == 0  # another process goes on where this one is


def test_items_read_by_another_recipe_wait_and_end_nothing(folder, monkeypatch):
    with workspace(settings(folder)) as ws:
        said: list[str] = []
        follower = Follower(ws, said.append)
        drain(follower)
        first, text = live(ws), type(ws).text

        def anew(self):  # as where tags were read again, and the item vectors have them
            told = text(self)
            return replace(told, version=f"{told.version}+graph-another")

        monkeypatch.setattr(type(ws), "text", anew)
        for n in (30, 31):
            ws.store.put([item(n)])
            assert drain(follower) == 0
        assert live(ws).number == first.number
        assert [line for line in said if "new items wait for `longgame train`" in line] == said[-1:], "said once"
        monkeypatch.undo()
        ws.store.put([item(32)])
        drain(follower)
        assert {"i30", "i31", "i32"} <= set(loaded(ws).recommender.features.index)


def test_killed_between_publishing_and_saving_it_learns_the_same(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    with workspace(settings(folder)) as ws:
        whole = Follower(ws)
        drain(whole)
        assert live(ws).number > 1, "nothing was published: this test shows nothing"
        wanted = weights(whole)
    with workspace(settings(tmp_path / "other")) as ws:
        first = Follower(ws)
        publish = first._publish

        def publish_and_die(policy, verdict):
            publish(policy, verdict)
            raise KeyboardInterrupt

        first._publish = publish_and_die  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            drain(first)
        assert live(ws).number == 2
        second = Follower(ws)
        drain(second)
        got = weights(second)
    assert wanted.keys() == got.keys()
    for name in wanted:
        np.testing.assert_array_equal(wanted[name], got[name], err_msg=name)


def test_other_settings_begin_anew_instead_of_failing(folder):
    with workspace(settings(folder)) as ws:
        drain(Follower(ws))
    with workspace(settings(folder, **{"learner.block": 32, "objective.rewards": {"click": 2.0}})) as ws:
        assert drain(Follower(ws)) >= 4


def test_another_context_is_an_error_that_says_how_to_mend_it(folder):
    from longgame.errors import ArtefactError

    with (
        workspace(settings(folder, **{"context.names": ("hour",)})) as ws,
        pytest.raises(ArtefactError, match=r"learned with the context nothing, the settings say hour"),
    ):
        ws.load()


def test_linear_thompson_goes_on_from_what_train_learned(folder):
    lt = {"policy.algorithm": "linear-thompson"}
    with workspace(settings(folder, **lt)) as ws:
        report = train(ws, force=True)
        assert report.published is not None and isinstance(ws.store.read(0, 1)[0], list)
        follower = Follower(ws)
        follower.turn()
        assert np.abs(weights(follower)["moment"]).sum() > 0
        assert any(isinstance(r, Decision) for _, r in ws.store.read(0, 10**6)[0])


@pytest.mark.parametrize("algorithm", ["dqn", "sarsa", "cql", "slateq", "a2c", "ppo", "grpo", "sac", "ddpg", "td3", *MINDS])
def test_values_are_learned_from_the_log_published_served_and_learned_on(folder, algorithm):
    """Forced past the gate: what is published scores, comes back as it was, and the learner goes on from its state."""
    with workspace(settings(folder, **{"policy.algorithm": algorithm, "policy.slots": 3})) as ws:
        report = train(ws, force=True)
        assert report.published is not None and report.learned > 0 and np.isfinite(list(report.metrics.values())).all()
        live = ws.load()
        assert live is not None and live.recommender.policy.version == report.policy
        follower = Follower(ws)
        made = follower._learner_of(live).algorithm
        held = made.state_dict()
        assert live.learned_by == algorithm and held.keys() == live.algorithm.keys()
        for name, value in live.algorithm.items():
            np.testing.assert_array_equal(np.ravel(held[name]), np.ravel(value), err_msg=name)
        updates = [int(held[n][0]) for n in held if n.endswith("updates")]
        assert made.policy.version == report.policy and (not updates or max(updates) > 0)
        follower.turn()
        assert learner(follower).algorithm.policy.version == report.policy, "nothing new was decided: it stands where it was"


@pytest.mark.parametrize("other", ["sarsa", "reinforce"])
def test_another_algorithm_begins_at_the_live_policy(folder, other):
    """Though its arrays have the same names: what one learned is no state of another."""
    with workspace(settings(folder, **{"policy.algorithm": "dqn"})) as ws:
        train(ws, force=True)
    with workspace(settings(folder, **{"policy.algorithm": other})) as ws:
        live = ws.load()
        assert live is not None
        made = Follower(ws)._learner_of(live).algorithm
        held = made.state_dict()
        for name, value in live.recommender.policy.state_dict().items():
            np.testing.assert_array_equal(held[f"network.{name}"], value, err_msg=name)
        assert not any(name.startswith("optimizer.") for name in held)
