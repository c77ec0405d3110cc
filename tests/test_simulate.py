"""``longgame simulate`` with a world and an algorithm, as a user runs it."""

import json

import pytest
from typer.testing import CliRunner

from longgame.cli import app
from longgame.wiring.worlds import ALGORITHMS, WORLDS

SMALL = ["--users", "40", "--items", "6", "--k", "2", "--days", "8", "--steps", "1200"]


def run(*args):
    return CliRunner().invoke(app, ["simulate", *args])


PAIRS = sorted({(world, one) for world in WORLDS for one in ("dqn", "ppo")} | {("feed", one) for one in ALGORITHMS})
"""All pairs would take minutes. The feed at times offers less than its slots, and people beside posts: the hardest."""


@pytest.mark.parametrize(("world", "algorithm"), PAIRS)
def test_algorithms_live_in_worlds(world, algorithm):
    done = run("--world", world, "--algorithm", algorithm, *SMALL, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["world"] == world and [arm["name"] for arm in told["arms"]] == ["random", algorithm]
    assert all(len(arm["returns"]) == 1 and arm["returns"][0] >= 0 for arm in told["arms"])


def test_seeds_have_an_interval_and_the_same_seed_gives_the_same_table():
    args = ["--world", "long-term-satisfaction", "--algorithm", "dqn", *SMALL, "--seeds", "2", "--json"]
    one, two = (json.loads(run(*args).stdout)["arms"] for _ in range(2))
    assert [arm["returns"] for arm in one] == [arm["returns"] for arm in two]
    assert one[1]["return"]["low"] < one[1]["return"]["high"] and len(set(one[0]["returns"])) == 2


def test_a_table_for_people():
    done = run("--world", "interest-evolution", "--algorithm", "slateq", *SMALL)
    assert done.exit_code == 0 and "by chance" in done.output and "slateq" in done.output and "one seed" in done.output


def test_a_simulated_log_is_learned_from_with_the_settings_that_it_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGGAME_LANGUAGE__MODEL", "hashing")
    done = run("--log", "--users", "60", "--items", "20", "--days", "6")
    assert 'context.names = ["log_days_away"], objective.rewards = { purchase = 1.0 }' in done.output
    monkeypatch.setenv("LONGGAME_OBJECTIVE__REWARDS", '{"purchase": 1.0, "return": -1.0}')
    refused = CliRunner().invoke(app, ["train"])
    assert refused.exit_code == 2 and "`longgame simulate --log` says what its log wants" in refused.stderr
    assert "supervised" not in refused.stdout, "nothing was learned for nothing"
    monkeypatch.setenv("LONGGAME_CONTEXT__NAMES", '["log_days_away"]')
    monkeypatch.setenv("LONGGAME_OBJECTIVE__WINDOW", "12s")
    late = CliRunner().invoke(app, ["train"])
    assert late.exit_code == 0, late.output
    assert "of the kind purchase" in late.stdout and "objective.window says so" in late.stdout
    monkeypatch.setenv("LONGGAME_OBJECTIVE__WINDOW", "1h")
    again = CliRunner().invoke(app, ["train"])
    assert again.exit_code == 0 and "objective.window says so" not in again.stdout
    assert "held-out decisions prove nothing: the registry has not what made them (rank-" in again.stdout
    joined = int(again.stdout.split(" logged decisions")[0].split()[-1].replace(",", ""))
    more = run("--log", "--users", "60", "--items", "20", "--days", "6")
    assert more.exit_code == 0, more.output
    after = CliRunner().invoke(app, ["train"])
    assert int(after.stdout.split(" logged decisions")[0].split()[-1].replace(",", "")) > 1.5 * joined, "later days"
    other = run("--log", "--users", "60", "--items", "20", "--days", "6", "--seed", "1")
    assert other.exit_code == 2 and "the life of another shop" in other.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--world", "casino", "--algorithm", "dqn"], "must be one of shop"),
        (["--world", "interest-evolution"], "needs --algorithm"),
        (["--algorithm", "dqn", "--log"], "--log and --looks go with the simple policy"),
        (["--algorithm", "magic", *SMALL], "must be one of slateq"),
        (["--algorithm", "cql", *SMALL], "learns from a log: `longgame train --algorithm cql`"),
        (["--k", "150"], "--k must be below --items"),
        (["--seed", "-1"], "Invalid value for '--seed'"),
        (["--world", "Interest_Evolution", "--algorithm", "dqn", "--k", "10"], "got 10 slots for 10 items"),
    ],
)
def test_what_cannot_be_is_said(args, said):
    done = run(*args)
    assert done.exit_code != 0
    assert said in done.output + str(done.exception)
