"""Runs: kept and found again, errors that stay in their row, processes that give what one process gives."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longgame.arrays import Interactions
from longgame.errors import ConfigError, LonggameError
from longgame.evaluation.runs import Bench, Entry, Run, Workers, run_all
from longgame.evaluation.splits import Cut
from longgame.models import MODELS
from longgame.types import F32, ItemId, UserId

ITEMS, USERS = 24, 60


def log() -> Interactions:
    """Everybody goes round one of two circles of twelve items."""
    rng = np.random.default_rng(1)
    start, circle = rng.integers(0, 12, USERS), rng.integers(0, 2, USERS)
    item = np.concatenate([circle[u] * 12 + (start[u] + np.arange(6)) % 12 for u in range(USERS)])
    offsets = np.arange(USERS + 1) * 6
    ids = tuple(ItemId(f"i{i}") for i in range(ITEMS))
    users = tuple(UserId(f"u{u}") for u in range(USERS))
    return Interactions(users, ids, offsets, item, np.arange(len(item)), np.ones(len(item), np.float32))


FEATURES: F32 = np.random.default_rng(2).standard_normal((ITEMS, 4)).astype(np.float32)


def bench(folder: Path | None = None, k: int = 3) -> Bench:
    return Bench(Cut().split(log()), FEATURES, k, folder=folder)


def entry(name: str, label: str = "", **values: Any) -> Entry:
    more = {key: values.pop(key) for key in ("seeds", "text", "lifted", "baseline") if key in values}
    return Entry(label or name, name, "", MODELS[name].config(**values), **more)


SMALL: dict[str, Any] = {"width": 4, "hidden": 4, "epochs": 2, "patience": 0}


def runs_of(found) -> list[Run]:
    assert not isinstance(found, LonggameError)
    return list(found)


def test_a_run_is_judged_by_the_test_and_kept(tmp_path: Path):
    made = bench(tmp_path)
    knn = made.run(entry("item-knn"), 0)
    assert isinstance(knn, Run) and knn.result.recall.mean() > 0.9 and len(knn.result.users) == USERS
    (file,) = tmp_path.iterdir()
    before = file.stat().st_mtime_ns
    again = bench(tmp_path).run(entry("item-knn"), 0)
    assert isinstance(again, Run) and again.seconds == knn.seconds and file.stat().st_mtime_ns == before
    for name in ("users", "recall", "ndcg", "lists", "row", "item", "found"):
        np.testing.assert_array_equal(getattr(again.result, name), getattr(knn.result, name))


def test_another_config_seed_data_or_length_is_another_run(tmp_path: Path):
    bench(tmp_path).run(entry("item-knn"), 0)
    bench(tmp_path).run(entry("item-knn", half_life=1.0), 0)
    bench(tmp_path, k=4).run(entry("item-knn"), 0)
    bench(tmp_path).run(entry("item-knn", text="none"), 0)
    bench(tmp_path).run(entry("item-knn", lifted=True), 0)
    split = Cut().split(log())
    Bench(replace(split, test=split.validation), FEATURES, 3, folder=tmp_path).run(entry("item-knn"), 0)
    assert len(list(tmp_path.iterdir())) == 6


def test_other_code_of_the_models_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bench(tmp_path).run(entry("item-knn"), 0)
    monkeypatch.setattr("longgame.evaluation.runs.code", lambda: "other")
    bench(tmp_path).run(entry("item-knn"), 0)
    assert len(list(tmp_path.iterdir())) == 2


def test_half_a_file_is_made_again(tmp_path: Path):
    bench(tmp_path).run(entry("popularity"), 0)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert isinstance(bench(tmp_path).run(entry("popularity"), 0), Run)
    assert len(file.read_bytes()) > 100


def test_seeds_are_runs_of_what_has_randomness():
    found = run_all(bench(), [entry("ease", seeds=3), entry("sequence", seeds=2, **SMALL)])
    assert [len(runs_of(found[name])) for name in ("ease", "sequence")] == [1, 2]
    first, second = runs_of(found["sequence"])
    assert not np.array_equal(first.result.ndcg, second.result.ndcg)
    assert first.numbers > ITEMS * 4


def test_a_model_that_refuses_has_its_reason_and_the_others_go_on():
    told = []
    bad = entry("ensemble", members=("ease", "ease"))
    found = run_all(bench(), [bad, entry("ease")], on_run=lambda e, seed, run: told.append((e.name, seed)))
    assert isinstance(found["ensemble"], ConfigError) and len(runs_of(found["ease"])) == 1
    assert told == [("ensemble", 0), ("ease", 0)]


def test_two_processes_give_what_one_gives(tmp_path: Path):
    wanted = [entry("item-knn"), entry("sequence", seeds=2, **SMALL)]
    alone, shared = run_all(bench(), wanted), run_all(bench(), wanted, Workers(2))
    for name in ("item-knn", "sequence"):
        for one, two in zip(runs_of(alone[name]), runs_of(shared[name]), strict=True):
            np.testing.assert_array_equal(one.result.lists, two.result.lists)


def test_without_text_a_model_sees_none_of_it():
    model = entry("sequence", text="none", **SMALL)
    found = run_all(bench(), [model, entry("sequence", "with text", **SMALL)])
    other = Bench(Cut().split(log()), -FEATURES, 3).run(model, 0)
    assert isinstance(other, Run)
    np.testing.assert_array_equal(runs_of(found["sequence"])[0].result.ndcg, other.result.ndcg)
    assert not np.array_equal(runs_of(found["with text"])[0].result.mrr, other.result.mrr)


def test_word_vectors_are_given_to_who_asks_for_them():
    asked = replace(entry("content"), text="words")
    missing = bench().run(asked, 0)
    assert isinstance(missing, ConfigError) and "word vectors" in str(missing)
    words = Bench(Cut().split(log()), FEATURES, 3, words=FEATURES[::-1]).run(asked, 0)
    turned = Bench(Cut().split(log()), FEATURES[::-1], 3).run(entry("content"), 0)
    assert isinstance(words, Run) and isinstance(turned, Run)
    np.testing.assert_array_equal(words.result.lists, turned.result.lists)


def test_names_are_told_apart():
    with pytest.raises(ConfigError, match="names of their own"):
        run_all(bench(), [entry("ease"), entry("ease", penalty=3.0)])
    with pytest.raises(ConfigError, match="1 or more"):
        bench(k=0)
