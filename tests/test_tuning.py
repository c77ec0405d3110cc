"""The search for configurations: it finds, it resumes, it ends, it never sees a test event, and what it finds is used."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

from longgame.arrays import Interactions
from longgame.cli import app
from longgame.errors import ArtefactError, ConfigError, DataError, MissingExtra
from longgame.evaluation.splits import Cut, leave_last_out
from longgame.evaluation.tuning import EXHAUSTED, HOPELESS, LOST, Budget, Task, Trial, Tuned, tune, tune_all
from longgame.language import Features
from longgame.models import MODELS, EaseConfig, ItemKNNConfig, Kind, PopularityConfig
from longgame.models.popularity import Popularity
from longgame.models.space import OneOf, Real, Space
from longgame.models.stopping import Watch
from longgame.rng import derive
from longgame.settings import load_settings
from longgame.types import F32, ItemId, UserId
from longgame.wiring.configs import FILE, Configs, as_json, from_json, read_tuned, write_tuned
from longgame.wiring.parts import Sources

USERS, ITEMS, LENGTH = 60, 20, 7
DAY = 86_400_000_000
NO_TEXT: F32 = np.zeros((ITEMS, 0), np.float32)


def fashion(seed: int = 0) -> Interactions:
    """Every week has its item. People stay to some late week and end with its item and the one before: old items were
    taken by more of them in all, and mislead."""
    rng = derive(seed, "fashion")
    ends = rng.integers(14, ITEMS, USERS)
    item = np.concatenate([[*np.sort(rng.choice(end - 1, LENGTH - 2, replace=False)), end - 1, end] for end in ends])
    return Interactions(
        tuple(UserId(f"u{u}") for u in range(USERS)),
        tuple(ItemId(f"i{i}") for i in range(ITEMS)),
        np.arange(USERS + 1) * LENGTH,
        item,
        item * 7 * DAY + rng.integers(0, DAY, len(item)),
        np.ones(len(item), np.float32),
    )


def task(log: Interactions | None = None, **more) -> Task:
    train, validation, _ = leave_last_out(log if log is not None else fashion())
    return Task(train, validation, NO_TEXT, **{"k": 3, **more})


def told(trials) -> list[tuple]:
    """All that must be the same when a search is run again; seconds may differ."""
    return [(t.number, dict(t.values), t.state, t.value, t.why) for t in trials]


def ticking(step: float) -> Callable[[], float]:
    """A clock on which ``step`` seconds pass between two looks."""
    now = [0.0]

    def look() -> float:
        now[0] += step
        return now[0]

    return look


def test_a_better_configuration_than_the_default_is_found():
    found = tune("popularity", task(), Budget(trials=12))
    first = found.trials[0]
    assert first.values == {"half_life": PopularityConfig().half_life} and first.value == found.default
    assert found.default is not None and found.value > found.default + 0.05
    assert found.values["half_life"] != PopularityConfig().half_life
    assert found.value == max(trial.value for trial in found.trials if trial.value is not None)


def test_the_default_stays_where_nothing_beats_it():
    log = fashion()
    still = replace(log, item=np.zeros(len(log), np.int64) + np.tile(np.arange(LENGTH), USERS))
    found = tune("item-knn", task(still), Budget(trials=3))
    default = ItemKNNConfig()
    assert found.value == found.default
    assert dict(found.values) == {name: getattr(default, name) for name in ItemKNNConfig.SPACE}


def test_the_same_seed_is_the_same_search_and_another_is_another():
    runs = [tune("item-knn", task(), Budget(trials=6), seed=seed) for seed in (0, 0, 1)]
    assert told(runs[0].trials) == told(runs[1].trials) != told(runs[2].trials)
    assert told(runs[2].trials)[0] == told(runs[0].trials)[0]


class Stop(BaseException):
    """What Ctrl-C does, at a place the test chooses."""


@pytest.mark.parametrize("where", ["between two trials", "within a trial", "within the first trial"])
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(tmp_path: Path, where: str):
    whole = tune("item-knn", task(), Budget(trials=8))
    looks = {"between two trials": math.inf, "within a trial": 8, "within the first trial": 2}[where]
    clock, count = ticking(1.0), [0]

    def stopping_clock() -> float:
        count[0] += 1
        if count[0] == looks:
            raise Stop
        return clock()

    def watch(name: str, trial: Trial) -> None:
        if trial.number == 4:
            raise Stop

    with pytest.raises(Stop):
        tune("item-knn", task(), Budget(trials=8), folder=tmp_path, watch=watch, clock=stopping_clock)
    seen = list[int]()
    resumed = tune("item-knn", task(), Budget(trials=8), folder=tmp_path, watch=lambda name, trial: seen.append(trial.number))
    assert told(resumed.trials) == told(whole.trials)
    assert seen == list(range({"between two trials": 5, "within a trial": 3, "within the first trial": 0}[where], 8))


def test_a_trial_that_kills_its_process_again_and_again_is_left(tmp_path: Path):
    for _ in range(LOST):
        looks = iter(range(100))

        def dying(looks=looks) -> float:
            if next(looks) % 2 and len(list(tmp_path.glob("*.done"))) == 2:
                raise Stop
            return 0.0

        def watch(name: str, trial: Trial) -> None:
            (tmp_path / f"{trial.number}.done").touch()

        with pytest.raises(Stop):
            tune("item-knn", task(), Budget(trials=4), folder=tmp_path, watch=watch, clock=dying)
    found = tune("item-knn", task(), Budget(trials=4), folder=tmp_path)
    assert [trial.state for trial in found.trials] == ["complete", "complete", "failed", "complete"]
    assert "killed" in found.trials[2].why


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.test_tuning import Budget, task, tune

def watch(name, trial):
    if trial.number == 2:
        os.kill(os.getpid(), signal.SIGKILL)

tune("item-knn", task(), Budget(trials=5), folder=Path(sys.argv[1]), watch=watch)
"""


def test_a_killed_process_leaves_a_search_that_goes_on(tmp_path: Path):
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode == -signal.SIGKILL
    (journal,) = tmp_path.glob("*.journal")
    with journal.open("ab") as file:
        file.write(b'{"op_code":5,"worker')  # a line that the kill tore
    Path(f"{journal}.lock").touch()  # and a lock that nobody holds
    resumed = tune("item-knn", task(), Budget(trials=5), folder=tmp_path)
    assert told(resumed.trials) == told(tune("item-knn", task(), Budget(trials=5)).trials)


def test_one_process_at_a_time_searches(tmp_path: Path):
    def watch(name: str, trial: Trial) -> None:
        tune("item-knn", task(), Budget(trials=1), folder=tmp_path)

    with pytest.raises(ArtefactError, match="another process"):
        tune("item-knn", task(), Budget(trials=1), folder=tmp_path, watch=watch)


def test_a_budget_in_minutes_ends_and_a_spent_one_adds_nothing(tmp_path: Path):
    def run(minutes: float):
        return tune("item-knn", task(), Budget(minutes), folder=tmp_path, clock=ticking(25.0))

    first = run(1.0)  # a look before and one after each trial: 25 seconds each
    assert len(first.trials) == 3 and first.seconds == 75.0, "the third began at 50 s and was not cut short"
    assert told(run(1.0).trials) == told(first.trials)
    more = run(2.0)
    assert len(more.trials) == 5 and told(more.trials[:3]) == told(first.trials)


def test_several_models_share_the_minutes(tmp_path: Path):
    def run(minutes: float):
        return tune_all(["popularity", "item-knn", "ease"], task(), Budget(minutes), folder=tmp_path, clock=ticking(10.0))

    found = run(3.0)
    (popularity, knn, ease) = found.values()
    assert {"popularity", "item-knn", "ease"} == set(found)
    assert popularity.seconds == 50, "five values of one field, and then there is nothing left to try"
    assert [trial.state for trial in popularity.trials[-EXHAUSTED:]] == ["repeated"] * EXHAUSTED
    assert knn.seconds == 70 and ease.seconds == 60, "what popularity left is divided"
    assert {name: told(tuned.trials) for name, tuned in run(3.0).items()} == {n: told(t.trials) for n, t in found.items()}


def test_what_is_searched_is_named_by_model_data_and_figure(tmp_path: Path):
    for n, (what, seed) in enumerate([(task(), 0), (task(k=4), 0), (task(fashion(1)), 0), (task(), 1)]):
        tune("popularity", what, Budget(trials=1), seed=seed, folder=tmp_path)
        assert len(list(tmp_path.glob("*.journal"))) == n + 1
    tune("popularity", task(), Budget(trials=1), folder=tmp_path)
    assert len(list(tmp_path.glob("*.journal"))) == 4


@pytest.mark.parametrize("split", [Cut(), Cut("time")], ids=["last", "time"])
def test_test_events_change_nothing_and_validation_events_do(split: Cut):
    log = fashion()
    if split.kind == "leave-one-out":
        test, judged = (np.isin(np.arange(len(log)), log.offsets[1:] - back) for back in (1, 2))
    else:
        test = log.at >= np.sort(log.at)[-(len(log) // 10)]
        judged = ~test & (log.at >= np.sort(log.at[~test])[-(int((~test).sum()) // 10)])
    results = []
    for changed in (np.zeros(len(log), np.bool_), test, judged):
        other = replace(log, item=np.where(changed, ITEMS - 1, log.item), value=np.where(changed, 5, log.value))
        parts = split.split(other)
        train, validation = parts.train, parts.validation
        assert len(train) and len(validation) and len(train) + len(validation) + int(test.sum()) == len(log)
        results.append(told(tune("item-knn", Task(train, validation, NO_TEXT, 3), Budget(trials=4)).trials))
    assert results[0] == results[1] != results[2]


def test_judged_users_are_drawn_once_and_for_all_models():
    few = task(users=10)
    assert np.count_nonzero(np.diff(few.judged(0).offsets)) == 10
    np.testing.assert_array_equal(few.judged(0).offsets, few.judged(0).offsets)
    assert not np.array_equal(few.judged(0).offsets, few.judged(1).offsets)
    assert len(task().judged(0)) == USERS


@dataclass(frozen=True)
class OddConfig:
    bad: float = 0.1
    how: str = "config"
    SPACE: ClassVar[Space] = {"bad": Real(0.0, 1.0)}


class Odd(Popularity):
    """Fails, or learns slowly, where ``bad`` is large."""

    def __init__(self, config: OddConfig, watch: Watch) -> None:
        super().__init__()
        self.odd, self.watch = config, watch

    def fit(self, log: Interactions, features: F32) -> None:
        super().fit(log, features)
        for number in range(9):
            self.watch(number, {"loss": 1.0, "ndcg": 0.3 - self.odd.bad * 0.2 + 0.01 * number})
            self.watch(number, {"refit loss": 1.0})
        if self.odd.bad > 0.5 and self.odd.how == "config":
            raise ConfigError("Odd.bad: must be half at most")
        if self.odd.bad > 0.5 and self.odd.how == "memory":
            raise MemoryError("2 GB")
        if self.odd.bad > 0.5 and self.odd.how == "bug":
            raise RuntimeError("a bug")

    def score(self, histories):
        out = super().score(histories)
        return np.full_like(out, np.nan) if self.odd.bad > 0.5 and self.odd.how == "nan" else out


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(MODELS, "odd", Kind(lambda: (OddConfig, Odd), "odd", passes=True))
    return "odd"


@pytest.mark.parametrize("how", ["config", "memory", "nan"])
def test_a_configuration_that_cannot_be_run_is_noted_and_the_search_goes_on(odd: str, how: str):
    found = tune(odd, task(), Budget(trials=20), {"how": how})
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert failed and all(trial.values["bad"] > 0.5 and trial.value is None and trial.why for trial in failed)
    assert len(found.trials) == 20 and found.values["bad"] <= 0.5


def test_a_bug_is_no_failed_trial(odd: str):
    with pytest.raises(RuntimeError, match="a bug"):
        tune(odd, task(), Budget(trials=20), {"how": "bug"})


def test_a_trial_under_the_median_is_given_up_between_two_passes(odd: str):
    found = tune(odd, task(), Budget(trials=20), {"how": "slow"})
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    kept = [trial for trial in found.trials if trial.state == "complete"]
    assert len(pruned) > 3 and all(trial.number >= 5 for trial in pruned)
    assert np.mean([t.values["bad"] for t in pruned]) > np.mean([t.values["bad"] for t in kept])


def test_a_model_that_never_runs_is_given_up_and_the_others_go_on(tmp_path: Path):
    small = {"ease": {"largest": 3}}
    found = tune_all(["ease", "popularity"], task(), Budget(trials=9), small, folder=tmp_path)
    assert isinstance(found["ease"], ConfigError)
    assert f"none of {HOPELESS} configurations could be run" in str(found["ease"]) and "largest" in str(found["ease"])
    assert isinstance(found["popularity"], Tuned) and found["popularity"].value > 0


def test_fixed_fields_hold_and_are_not_searched():
    found = tune("item-knn", task(), Budget(trials=3), {"half_life": 7.0})
    assert all("half_life" not in trial.values for trial in found.trials)
    assert found.value != tune("item-knn", task(), Budget(trials=3)).value


def test_a_default_outside_the_space_is_tried_as_it_is(monkeypatch: pytest.MonkeyPatch):
    space = {"penalty": Real(1000.0, 2000.0, log=True), "half_life": OneOf((2.0, 4.0))}
    monkeypatch.setattr(EaseConfig, "SPACE", space)
    trials = tune("ease", task(), Budget(trials=4)).trials
    assert trials[0].values == {"penalty": 200.0, "half_life": math.inf}
    assert all(1000 <= trial.values["penalty"] <= 2000 for trial in trials[1:])


def test_what_cannot_be_searched_is_said(monkeypatch: pytest.MonkeyPatch):
    for wrong in (
        lambda: Budget(),
        lambda: Budget(0.0),
        lambda: Budget(trials=0),
        lambda: task(k=0),
        lambda: task(metric="hr"),
    ):
        with pytest.raises(ConfigError, match="tune: "):
            wrong()
    with pytest.raises(ConfigError, match="there is no model 'nix'"):
        tune("nix", task(), Budget(trials=1))
    empty = fashion().select(np.zeros(USERS * LENGTH, np.bool_))
    with pytest.raises(DataError, match="too short a log"):
        tune("popularity", task(empty), Budget(trials=1))
    still = replace(fashion(), item=np.zeros(USERS * LENGTH, np.int64))
    with pytest.raises(DataError, match="new to its user"):
        tune("popularity", task(still), Budget(trials=1))
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"longgame\[tune\]"):
        tune("popularity", task(), Budget(trials=1))


def test_configs_survive_json_with_their_infinities():
    for name in ("item-knn", "ease", "popularity", "sequence", "ensemble"):
        config = MODELS[name].config()
        text = json.dumps(as_json(config), allow_nan=False)
        assert from_json(name, json.loads(text)) == config
    odd = ItemKNNConfig(half_life=math.inf, reach=math.inf)
    assert from_json("item-knn", json.loads(json.dumps(as_json(odd), allow_nan=False))) == odd


def found_in(folder: Path, **values) -> Configs:
    write_tuned(folder, {name: {"values": as_json_values(held)} for name, held in values.items()})
    return Configs.of(load_settings(None, {}, {"data.folder": str(folder)}).settings)


def as_json_values(values: dict) -> dict:
    return {key: {"float": "inf"} if value == math.inf else value for key, value in values.items()}


def test_settings_win_over_tuned_values_and_those_over_defaults(tmp_path: Path):
    configs = found_in(tmp_path, ease={"penalty": 7.0, "half_life": math.inf}, sequence={"hidden": 32, "steps": 9})
    assert configs.config("ease") == EaseConfig(penalty=7.0)
    sequence = configs.config("sequence", steps=20, seed=3)
    assert (sequence.hidden, sequence.steps, sequence.seed, sequence.blocks) == (32, 20, 3, 1)
    assert configs.config("item-knn") == ItemKNNConfig()
    assert configs.config("ensemble").settings["ease"]["penalty"] == 7.0
    off = load_settings(None, {}, {"data.folder": str(tmp_path), "models.use_tuned": False}).settings
    assert Configs.of(off).config("ease") == EaseConfig()


def test_what_is_tuned_again_replaces_its_own_line_only(tmp_path: Path):
    found_in(tmp_path, ease={"penalty": 7.0}, popularity={"half_life": 30.0})
    found_in(tmp_path, ease={"penalty": 8.0})
    held = {name: entry["values"] for name, entry in read_tuned(tmp_path).items()}
    assert held == {"ease": {"penalty": 8.0}, "popularity": {"half_life": 30.0}}


def test_a_damaged_file_is_an_error_and_an_absent_one_is_not(tmp_path: Path):
    assert read_tuned(tmp_path) == {}
    for text in ("{", "[]", '{"schema": 2, "models": {}}', '{"schema": 1, "models": {"ease": {}}}'):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(ArtefactError, match="longgame tune"):
            read_tuned(tmp_path)
    (tmp_path / FILE).unlink()
    with pytest.raises(ArtefactError, match="run `longgame tune --models ease` again"):
        found_in(tmp_path, ease={"pennalty": 7.0}).config("ease")


def test_sources_of_candidates_are_as_they_were_tuned_and_read_back_so():
    log = fashion()
    features = Features("kit", log.items, derive(0, "text").standard_normal((ITEMS, 3)).astype(np.float32))
    configs = Configs({"item-knn": {"half_life": math.inf, "shrinkage": 50.0}, "ease": {"half_life": 2.0}})
    sources = Sources.fit(log, features, {"item-knn": 1.0, "ease": 1.0}, configs)
    assert sources.configs["item-knn"] == ItemKNNConfig(half_life=math.inf, shrinkage=50.0)
    arrays, about = sources.part()
    again = Sources.load(arrays, json.loads(json.dumps(about, allow_nan=False)))
    assert again.configs == sources.configs
    histories = np.array([[0, 1, 2, 5], [-1, -1, 7, 3]])
    for name, model in sources.models.items():
        np.testing.assert_array_equal(again.models[name].score(histories), model.score(histories))
    ease = sources.models["ease"]
    plain = MODELS["ease"].make()
    plain.load_state_dict(ease.state_dict())
    assert not np.array_equal(plain.score(histories), ease.score(histories)), "the arrays alone are not the model"
    versions = {
        sources.retriever(features, ease).version,
        again.retriever(features, ease).version,
        replace(sources, configs={}).retriever(features, ease).version,
    }
    assert len(versions) == 2, "and its version says so"


def test_sources_that_place_new_items_by_their_texts_are_read_back_so():
    log = fashion()
    log = log.select(log.item != 4)
    text = derive(0, "text").standard_normal((ITEMS, 3)).astype(np.float32)
    text[4] = text[5]
    features = Features("kit", log.items, text)
    histories = np.array([[0, 1, 2, 5], [-1, -1, 7, 3]])
    plain = Sources.fit(log, features, {"item-knn": 1.0})
    lifted = Sources.fit(log, features, {"item-knn": 1.0}, lift=True)
    arrays, about = lifted.part()
    again = Sources.load(arrays, json.loads(json.dumps(about, allow_nan=False)))
    scores = lifted.models["item-knn"].score(histories)
    np.testing.assert_array_equal(again.models["item-knn"].score(histories), scores)
    place = [(s[:, [4]] > s).sum(axis=1) for s in (scores, plain.models["item-knn"].score(histories))]
    assert (place[0] > place[1]).any(), "a new item stands above some that are known"


def test_a_snapshot_of_before_configs_were_written_down_has_the_defaults():
    log = fashion()
    features = Features("kit", log.items, np.zeros((ITEMS, 2), np.float32))
    arrays, about = Sources.fit(log, features, {"ease": 1.0}).part()
    old = {name: held for name, held in about.items() if name != "configs"}
    assert Sources.load(arrays, old).configs["ease"] == EaseConfig()


def test_every_model_of_the_table_may_be_a_source():
    for name in MODELS:
        assert load_settings(None, {}, {"retrieval.shares": {name: 1.0}}).settings.retrieval.shares == {name: 1.0}


def test_the_command_tunes_and_training_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGGAME_LANGUAGE__MODEL", "hashing")
    log = fashion()
    rows = [
        f"{log.users[u]},{log.items[i]},{t // 1_000_000 + 1_700_000_000}"
        for u, i, t in zip(log.user, log.item, log.at, strict=True)
    ]
    Path("shop.csv").write_text("\n".join(["user,item,timestamp", *rows]))

    def run(*words: str):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        return result.stdout

    run("import", "shop.csv")
    shown = run("tune", "--models", "popularity,item-knn", "--trials", "3", "--k", "3")
    assert "item-knn 2: ndcg@3" in shown and "written to" in shown
    written = json.loads(Path(".longgame/tuned.json").read_text())["models"]
    assert set(written) == {"popularity", "item-knn"}
    entry = written["item-knn"]
    assert entry["metric"] == "ndcg@3" and entry["trials"] == 3 and entry["on"]["users"] == USERS
    told = json.loads(run("tune", "--models", "popularity", "--trials", "3", "--k", "3", "--json"))
    assert told["models"]["popularity"]["value"] == written["popularity"]["validation"]
    settings = load_settings().settings
    assert Configs.of(settings).config("item-knn") == from_json("item-knn", entry["values"])
    assert "uses what `longgame tune` found for popularity, item-knn" in run("train")
    same = CliRunner().invoke(app, ["evaluate", "ranking", "--models", "popularity", "--k", "3"])
    other = CliRunner().invoke(app, ["evaluate", "ranking", "--models", "popularity", "--k", "3", "--split", "time"])
    assert same.exit_code == other.exit_code == 0
    assert "tuned on another split" not in same.output
    assert "item-knn has its defaults: it was tuned on another split (the last event of each user" in other.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--models", "item-nkk"], "did you mean 'item-knn'?"),
        (["--models", ","], "needs a name"),
        (["--models", "ensemble"], "nothing to tune"),
        (["--split", "leave-one-out", "--at", "2024-01-01"], "--split time"),
        (["--share", "0.2"], "--split time"),
        (["--split", "time", "--at", "soon"], "ISO 8601"),
        (["--split", "tmie"], "must be one of leave-one-out, time"),
        (["--minutes", "0"], "above 0"),
        (["--track", "paper"], "tensorboard, wandb"),
    ],
)
def test_what_the_command_cannot_do_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["tune", *words])
    assert result.exit_code == 2 and result.stderr.startswith("error: ") and said in result.stderr
    assert not list(tmp_path.iterdir()), "nothing was opened for it"
