"""What reviews feel: learned from rated ones, summed up by item, and judged against what people say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from longgame.cli import app
from longgame.datasets.labelled import aspects, scored
from longgame.errors import ArtefactError, DataError, ShapeError
from longgame.evaluation.language import classes, scores
from longgame.language import HashingModel, VectorCache
from longgame.language.sentiment import Sentiment, opinions
from longgame.language.smollm import SmolLM

GOOD, BAD = ("lovely", "great", "superb", "a joy"), ("awful", "broken", "poor", "a shame")


def reviews(n: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    good = rng.random(n) < 0.6
    words = [(GOOD if g else BAD)[i] for g, i in zip(good, rng.integers(0, 4, n), strict=True)]
    texts = [f"number {i} : it is {word} , i say" for i, word in enumerate(words)]
    return texts, np.where(good, 4.5, 1.5) + rng.normal(0, 0.3, n)


def test_it_learns_from_rated_reviews_and_reads_the_others(tmp_path: Path):
    texts, ratings = reviews(200)
    cache = VectorCache(tmp_path)
    told = Sentiment.fit([HashingModel(128)], texts[:150], ratings[:150], cache)
    got = told.read(texts[150:], cache)
    assert np.corrcoef(got, ratings[150:])[0, 1] > 0.9
    assert got.min() >= ratings[:150].min() and got.max() <= ratings[:150].max()
    assert abs(np.sqrt(np.mean((got - ratings[150:]) ** 2)) / told.deviation - 1) < 0.4, "it knows what it is off by"
    assert told.read([" ", "", "\u200b"]).tolist() == [told.head.level[0]] * 3 and told.read([]).shape == (0,)
    again = Sentiment.load([HashingModel(128)], told.state_dict())
    np.testing.assert_array_equal(again.read(texts[150:], cache), got)


def test_too_few_reviews_or_one_rating_are_refused():
    texts, ratings = reviews(30)
    with pytest.raises(DataError, match="20 rated reviews"):
        Sentiment.fit([HashingModel(16)], texts[:10], ratings[:10])
    with pytest.raises(DataError, match="1 different"):
        Sentiment.fit([HashingModel(16)], texts, np.full(30, 3.0))
    with pytest.raises(DataError, match="finite"):
        Sentiment.fit([HashingModel(16)], texts, np.append(ratings[:-1], np.nan))
    with pytest.raises(ArtefactError, match="range"):
        told = Sentiment.fit([HashingModel(16)], texts, ratings).state_dict()
        Sentiment.load([HashingModel(16)], {name: a for name, a in told.items() if name != "range"})
    with pytest.raises(ShapeError, match="as many ratings"):
        Sentiment.fit([HashingModel(16)], texts, ratings[:-1])


def test_opinions_are_drawn_to_the_mean_of_all_where_there_are_few():
    rng = np.random.default_rng(0)
    true = rng.normal(3.5, 0.5, 40)
    count = rng.integers(1, 30, 40)
    count[7] = 0
    item = np.repeat(np.arange(40), count)
    rating = true[item] + rng.normal(0, 1.0, len(item))
    got = opinions(item, rating, np.zeros(len(item)), 40)
    np.testing.assert_array_equal(got.count, count)
    plain = np.bincount(item, rating, 40) / np.maximum(count, 1)
    some = count > 0
    assert np.mean((got.mean - true)[some] ** 2) < np.mean((plain - true)[some] ** 2), "nearer to the truth than the mean"
    assert got.mean[7] == pytest.approx(rating.mean()) and got.deviation[7] == got.deviation.max()
    few, many = count[some].argmin(), count[some].argmax()
    assert got.deviation[some][few] > got.deviation[some][many]
    inside = np.abs(got.mean - true)[some] < 2 * got.deviation[some]
    assert inside.mean() > 0.85


def test_a_rating_is_worth_more_than_an_estimate():
    item = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    rating = np.array([1.0, 5.0, 1.5, 4.5, 3.0, 3.5, 2.0, 2.5])
    noise = np.array([0.0, 2.0, 0, 0, 0, 0, 0, 0])
    assert opinions(item, rating, noise, 4).mean[0] < opinions(item, rating, np.zeros(8), 4).mean[0]
    alone = opinions(np.array([1]), np.array([5.0]), np.zeros(1), 3)
    assert np.isinf(alone.deviation).all() and alone.count.tolist() == [0, 1, 0], "one review does not say how reviews differ"
    one = opinions(np.zeros(4, np.int64), np.array([5.0, 1.0, 4.0, 3.0]), np.zeros(4), 3)
    assert one.deviation[1] > 1 > one.deviation[0]
    empty = opinions(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), 3)
    assert not empty.count.any() and np.isinf(empty.deviation).all()


def test_a_way_of_reading_is_judged_by_texts_it_did_not_learn_from():
    rng = np.random.default_rng(1)
    wanted = rng.normal(0, 1.5, 300)
    good = np.stack([wanted + rng.normal(0, 0.5, 300), rng.normal(0, 1, 300)], axis=1).astype(np.float32)
    wide = rng.normal(0, 1, (300, 400)).astype(np.float32)
    rows = {row.name: row for row in scores({"good": good, "wide": wide}, wanted)}
    assert set(rows) == {"good", "wide", "good, shuffled"}
    assert rows["good"].figures["pearson"].value > 0.9 and rows["good"].figures["accuracy"].value > 0.9
    for name in ("wide", "good, shuffled"):
        assert rows[name].figures["pearson"].low < 0.1 and abs(rows[name].figures["pearson"].value) < 0.2
    one = rows["good"].figures["pearson"]
    assert one.low < one.value < one.high
    with pytest.raises(DataError, match="60 scored texts"):
        scores({"good": good[:20]}, wanted[:20])


def test_classes_stand_beside_the_commonest():
    rng = np.random.default_rng(2)
    label = rng.integers(0, 3, 200)
    vectors = (np.eye(3)[label] + rng.normal(0, 0.2, (200, 3))).astype(np.float32)
    ways = {"told": vectors[:120]}
    rows = {row.name: row for row in classes(ways, label[:120], {"told": vectors[120:]}, label[120:])}
    assert rows["told"].figures["accuracy"].value > 0.9 > 0.6 > rows["the commonest answer"].figures["accuracy"].value
    assert rows["the commonest answer"].figures["macro f1"].value < 0.4


def test_judged_files_are_read_and_others_refused(tmp_path: Path):
    path = tmp_path / "scored.txt"
    path.write_text("1_1\t-0.9\tno picture .\n\n1_2\t2.5\ttabs\tstay\n")
    told = scored(path)
    assert told.texts == ("no picture .", "tabs\tstay") and told.scores.tolist() == [-0.9, 2.5]
    path.write_text("1_1 -0.9 no tabs")
    with pytest.raises(DataError, match="line 1: must be id, number and text"):
        scored(path)
    seg = tmp_path / "Laptops_Train.xml.seg"
    seg.write_text("the $T$ lasts .\nbattery life\n1\nno $T$ .\nmouse\n-1\n")
    got = aspects(seg)
    assert got.texts[0] == "the battery life lasts ." and got.aspects == ("battery life", "mouse")
    assert got.label.tolist() == [2, 0]
    seg.write_text("the $T$ lasts .\nbattery\nyes\n")
    with pytest.raises(DataError, match="line 1"):
        aspects(seg)


@pytest.mark.skipif(not SmolLM.installed(), reason="the llm extra or its weights are not installed")
def test_the_command_reads_what_people_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    texts, ratings = reviews(66)
    data = tmp_path / "judged"
    data.mkdir()
    (data / "scored.txt").write_text(
        "".join(f"{i}\t{r - 3}\t{t}\n" for i, (t, r) in enumerate(zip(texts, ratings, strict=True)))
    )
    cases = [("the $T$ is great .", "screen", 1), ("the $T$ is awful .", "mouse", -1), ("it has a $T$ .", "fan", 0)] * 3
    for part in ("Train", "Test"):
        (data / f"Toys_{part}.seg").write_text("".join(f"{t}\n{a}\n{said}\n" for t, a, said in cases))
    shown = CliRunner().invoke(app, ["evaluate", "language", "--data", str(data)])
    assert shown.exit_code == 0, shown.output
    assert "asked + MiniLM, shuffled" in shown.stdout and "its answer outright" in shown.stdout
    told = CliRunner().invoke(app, ["evaluate", "language", "--data", str(data), "--json"])
    sections = {section["title"]: section for section in json.loads(told.stdout)}
    rows = {row["name"]: row["figures"] for row in sections["scored.txt"]["rows"]}
    assert rows["asked"]["pearson"]["value"] > 0.8 > rows["asked + MiniLM, shuffled"]["pearson"]["value"]
    first = shown.stdout.splitlines()
    assert any(line.startswith("asked + MiniLM") and line.split()[-1].isdigit() for line in first), "it was read then"
    assert all(row["rate"] is None for row in sections["scored.txt"]["rows"]), "a second run reads nothing anew"
    assert sections["Toys_Test.seg"]["rows"][0]["figures"]["accuracy"]["value"] > 0.6
    (data / "notes.txt").write_text("not a judged file")
    (data / "Alone_Train.seg").write_text("the $T$ is great .\nscreen\n1\n")
    left = CliRunner().invoke(app, ["evaluate", "language", "--data", str(data)])
    assert left.exit_code == 0
    for name in ("notes.txt is left out", "Alone_Train.seg is left out: there is no Alone_Test"):
        assert name in left.stdout
    (tmp_path / "empty").mkdir()
    nothing = CliRunner().invoke(app, ["evaluate", "language", "--data", str(tmp_path / "empty")])
    assert nothing.exit_code == 2 and "snippets: a .txt of id, number and text by tabs" in nothing.stderr
