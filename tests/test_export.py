"""Joined decisions as the columns of d3rlpy: an end is not a cut, a slot is an episode, and the command writes them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from longgame.algorithms.towers import Towers, TowersConfig
from longgame.cli import app
from longgame.errors import DataError
from longgame.learning.batches import states, trajectories
from longgame.learning.export import observation, transitions
from longgame.networks import tensor
from longgame.store.memory import MemoryStore
from longgame.types import Objective
from tests.kit import D, T, decision, event, features, feedback, joined

LONG = Objective({"click": 1.0}, window=timedelta(minutes=30), discount=0.1)
"""Its horizon is 1.3 days."""


def log_of(records, objective=LONG, catalogue=None):
    store, catalogue = MemoryStore(), catalogue or features()
    store.put(records)
    return trajectories(joined(store, catalogue, objective), objective), catalogue


def lived():
    """Ann comes three times and leaves; bob comes before the log ends. A visit of nobody's closes the last window."""
    first, second = decision("a1", 0.0, (3, 1)), decision("a2", 2.0, (0, 4))
    third, bob = decision("a3", 4.0, (2,)), decision("b1", 50.0, (1, 2), user="bob")
    return [
        first,
        feedback(first, 1, 5),
        second,
        third,
        feedback(third, 0, 5),
        bob,
        event("late", 60.0, 0, user="cat", kind="view"),
    ]


def test_steps_by_hand():
    log, catalogue = log_of(lived())
    told = transitions(log, catalogue, T)
    ann, bob = [3, 0, 2], [1]
    np.testing.assert_array_equal(told["actions"], [*ann, *bob, 1, 4, 2])
    np.testing.assert_array_equal(told["slots"], [0, 0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(told["rewards"], [0, 0, 1, 0, 1, 0, 0])
    np.testing.assert_array_equal(told["propensities"], [0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25])
    # Ann left, in her first slot; bob is cut; the second slot of Ann's is cut where her third slate has none.
    np.testing.assert_array_equal(told["terminals"], [0, 0, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(told["timeouts"], [0, 0, 0, 1, 0, 1, 1])
    assert list(told)[:5] == ["observations", "actions", "rewards", "terminals", "timeouts"]
    assert told["items"].tolist() == list(catalogue.ids) and told["observations"].shape == (7, 2 * D)
    np.testing.assert_array_equal(told["observations"][0], np.zeros(2 * D))
    after_one = np.concatenate([catalogue.vectors[1]] * 2)  # she took the item in slot 1 of the first slate
    np.testing.assert_allclose(told["observations"][[1, 5]], [after_one, after_one], rtol=1e-6)


def test_without_a_future_every_decision_is_an_end():
    log, catalogue = log_of(lived(), replace(LONG, discount=0.0))
    told = transitions(log, catalogue, T)
    assert told["terminals"].all() and not told["timeouts"].any()


def test_what_the_catalogue_no_longer_knows_is_left_out_and_cuts():
    log, catalogue = log_of(lived(), catalogue=features(4))  # without item 4
    told = transitions(log, catalogue, T)
    np.testing.assert_array_equal(told["actions"], [3, 0, 2, 1, 1, 2])
    np.testing.assert_array_equal(told["timeouts"], [0, 0, 0, 1, 1, 1])


def test_the_observation_is_what_the_towers_read():
    log, catalogue = log_of(lived())
    state = states(log.rows, catalogue, T)
    towers = Towers(TowersConfig(D, 0, hidden=5, layers=1))
    read = torch_silu(towers.layers[0](tensor(observation(state))))
    np.testing.assert_allclose(read, towers.user(state).detach(), rtol=1e-6)


def torch_silu(x):
    return (x * x.sigmoid()).detach()


def test_nothing_to_write_is_told():
    log, known = log_of([])
    with pytest.raises(DataError, match="no decision whose feedback window is closed"):
        transitions(log, known, T)
    log, _ = log_of(lived(), catalogue=features(2))
    gone = replace(log, rows=[replace(row, candidates=np.full_like(row.candidates, -1)) for row in log.rows])
    with pytest.raises(DataError, match="no decision shows an item that the catalogue knows"):
        transitions(gone, features(2), T)


def test_the_command_writes_a_file_that_needs_no_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name, value in {"LANGUAGE__MODEL": "hashing", "OBJECTIVE__DISCOUNT": "0.5", "OBJECTIVE__WINDOW": "12h"}.items():
        monkeypatch.setenv(f"LONGGAME_{name}", value)
    run = CliRunner()
    assert run.invoke(app, ["export", "log.npz"]).exit_code == 2, "an empty log"
    assert run.invoke(app, ["simulate", "--users", "30", "--items", "9", "--days", "12", "--k", "2", "--log"]).exit_code == 0
    said = run.invoke(app, ["export", "log.npz"])
    assert said.exit_code == 0 and "9 actions" in said.stdout
    with np.load(tmp_path / "log.npz", allow_pickle=False) as log:
        assert log.files[:5] == ["observations", "actions", "rewards", "terminals", "timeouts"]
        over = log["terminals"] + log["timeouts"]
        assert over.max() == 1 and 0 < log["terminals"].sum() < over.sum() and over[-1] == 1
        assert log["actions"].min() >= 0 and log["actions"].max() < len(log["items"]) == 9
        assert len({len(log[name]) for name in log.files if name != "items"}) == 1
    for words, wrong in ((["log.h5"], "must end in .npz"), (["log.npz", "--to", "csv"], "must be d3rlpy, got 'csv'")):
        refused = run.invoke(app, ["export", *words])
        assert refused.exit_code == 2 and wrong in refused.stderr
