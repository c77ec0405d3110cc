"""Tags with confidence: what is withheld, what is learned from it, and that nothing is asked twice.

The chooser here is a small one of its own: it knows which words go with which answer, and its answers are as honest as that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from longgame.errors import ConfigError, DataError
from longgame.language import HashingModel, VectorCache
from longgame.language.attributes import found as attributes_of
from longgame.language.attributes import vocabulary as options_of
from longgame.language.attributes import wanted
from longgame.language.calibrated import auc, calibration_error, logistic, probability
from longgame.language.sides import Sides
from longgame.language.tagging import TagReader, _told_apart, question, told
from longgame.language.vocabulary import Tag, Vocabulary
from longgame.rng import derive
from longgame.types import F32, Item, ItemId

NAMES = ["anna", "bruno", "chloe", "david", "elena", "felix", "greta"]
KNOWN = {"Comedy": {"funny", "laugh", "silly"}, "Horror": {"ghost", "blood", "scream"}, "Comic": {"hero"}}


class Words:
    """A ``protocols.Chooser`` that counts words it knows. Tells options apart by their first three letters."""

    name = "words-it-knows"

    def __init__(self) -> None:
        self.asked = 0

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> F32:
        if len({option[:4] for option in options}) < max(2, len(options)):
            raise ConfigError("alike")
        self.asked += len(prompts)
        out = np.zeros((len(prompts), len(options)), np.float32)
        for row, prompt in enumerate(prompts):
            words = set(prompt.splitlines()[-2].lower().split())
            out[row] = [2.0 * len(words & KNOWN.get(option.strip(), set())) for option in options]
        out -= np.log(np.exp(out).sum(axis=1, keepdims=True)) + 0.1
        return out


def films(count: int = 240) -> list[Item]:
    """Two thirds funny, one third frightening, and a tenth of all do not say what they are."""
    rng, out = derive(3, "films"), []
    for n in range(count):
        genre = "Horror" if n % 3 == 0 else "Comedy"
        words = [*rng.choice(sorted(KNOWN[genre]), 2, replace=False).tolist(), rng.choice(NAMES), rng.choice(NAMES)]
        filed = rng.random() < 0.9
        out.append(Item(ItemId(str(n)), " ".join(words), {"genre": (genre,)} if filed else {}))
    return out


def genres(items: Sequence[Item]) -> Vocabulary:
    tags = tuple(Tag(name, (name.lower(),), 9, "category") for name in ("Comedy", "Comic", "Horror"))
    return Vocabulary(tags, tuple(item.id for item in items))


def reader(folder: Path, chooser: Words | None, items: list[Item] | None = None) -> TagReader:
    items = films() if items is None else items
    return TagReader(items, genres(items), HashingModel(64), chooser, VectorCache(folder))


def test_the_model_tells_tags_that_items_do_not_say_and_says_how_sure_it_is(tmp_path):
    items = films()
    read = reader(tmp_path, Words()).read(items)
    for n, (item, tags) in enumerate(zip(items, read, strict=True)):
        genre = "Horror" if n % 3 == 0 else "Comedy"
        assert [tag.name for tag in tags] == [genre]
        assert 0 <= tags[0].confidence <= 1
        if item.attributes:
            assert tags[0].confidence == 1 and tags[0].evidence is not None and tags[0].evidence.part == "genre"
        else:
            assert 0.5 <= tags[0].confidence < 1 and tags[0].evidence is None and tags[0].by.startswith("model")


def test_the_confidence_falls_where_nothing_is_told(tmp_path):
    one = reader(tmp_path, Words())
    sure, none = one.confidence(["funny laugh anna", "bruno david"])
    assert sure[0] > 0.7 and sure[0] > none[0] and sure[2] < min(0.2, none[2])
    scored = one.scores(["funny laugh", "ghost blood"])
    assert scored.shape == (2, 3, 3) and scored[0, 0, 0] > scored[1, 0, 0]


def test_nothing_is_asked_twice_and_new_items_alone_are_asked_about(tmp_path):
    chooser = Words()
    reader(tmp_path, chooser).ask(films())
    first = chooser.asked
    assert len({told(item) for item in films()}) <= first
    again = reader(tmp_path, chooser)
    again.read(films())
    assert chooser.asked == first
    again.read([*films(), Item(ItemId("new"), "silly scream")])
    assert chooser.asked == first + 1
    assert again.version == reader(tmp_path / "other", Words()).version


def test_tags_that_begin_alike_share_an_answer(tmp_path):
    items = films()
    asked, groups = question(items, genres(items), Words())
    assert groups == [0, 0, 1] and asked.answers == ("Comedy", "Horror")
    assert {answer for _, answer in asked.shots} == {"Comedy", "Horror"}


def test_it_reads_without_a_chooser_and_says_what_it_lacks(tmp_path):
    read = reader(tmp_path, None)
    assert read.asked is None
    chance = read.confidence(["funny laugh silly", "ghost blood scream"])
    assert chance[0, 0] > chance[1, 0] and chance[1, 2] > chance[0, 2]
    with pytest.raises(DataError, match="no item says"):
        reader(tmp_path, None, [Item(ItemId("a"), "nothing here")]).confidence(["x"])
    with pytest.raises(DataError, match="examples"):
        reader(tmp_path, Words(), [Item(ItemId("a"), "nothing here")]).ask([])


def test_what_says_a_tag_is_withheld_from_what_it_is_learned_from(tmp_path):
    items = [Item(i.id, f"{i.text} comedy" if "funny" in i.text else i.text, i.attributes) for i in films()]
    read = reader(tmp_path, Words(), items)
    withheld = read.texts([])
    comedy = [text for text in withheld if "funny" in text and "comedy" not in text]
    assert comedy, "the texts without the word are asked about"
    assert read.mentions > 0.9, "who names it is filed under it"


def test_told_gives_the_year_once_and_never_a_category():
    assert told(Item(ItemId("1"), "Heat", {"year": 1995.0, "genre": ("Crime",)})) == "Heat (1995)"
    assert told(Item(ItemId("1"), "Heat (1995)", {"year": 1995.0})) == "Heat (1995)"
    assert told(Item(ItemId("1"), "Heat", {"year": "soon", "years": 3.0})) == "Heat"


def test_one_of_a_sides_own_items_is_judged_as_if_it_had_not_been_there():
    rng = derive(1, "sides")
    vectors, names = rng.normal(size=(30, 5)), rng.normal(size=(2, 5))
    whole = Sides.fit(vectors, [vectors[:6], vectors[6:9]], names, 0.3)
    own = np.zeros((30, 2), np.bool_)
    own[:6, 0] = own[6:9, 1] = True
    alone, naive = whole.without_themselves(vectors, own), whole.score(vectors)
    truth = np.zeros((30, 2))
    for row in range(30):
        kept = [[n for n in part if n != row] for part in (range(6), range(6, 9))]
        truth[row] = Sides.fit(np.delete(vectors, row, 0), [vectors[part] for part in kept], names, 0.3).score(vectors[[row]])[
            0
        ]
    assert np.abs(alone - truth).mean() < 0.5 * np.abs(naive - truth).mean()


def test_probabilities_mean_what_they_say():
    rng = derive(2, "logistic")
    scores = rng.normal(size=(4000, 2))
    so = rng.random(4000) < 1 / (1 + np.exp(-(1.5 * scores[:, 0] - 1)))
    weight = logistic(scores, so)
    np.testing.assert_allclose(weight, [1.5, 0, -1], atol=0.15)
    chance = probability(scores, weight)
    assert calibration_error(chance, so) < 0.03 < 0.15 < calibration_error(np.sqrt(chance), so)
    assert auc(chance, so) > 0.75 and auc(np.zeros(4000), so) == 0.5 and np.isnan(auc(chance, so & False))
    assert np.isfinite(logistic(scores, so | True)).all()


def test_attributes_are_found_with_where_they_stand():
    asked = wanted({"year": "year", "size": "size", "colour": "colour", "for": ["women", "men"]})
    item = Item(ItemId("1"), "Red lacquer for men and a Blue one, 15 ml, 1998", {"kind": "x"})
    got = {one.name: (one.value, one.evidence) for one in attributes_of(item, asked)}
    assert {name: value for name, (value, _) in got.items()} == {"year": "1998", "size": "15 ml", "colour": "red", "for": "men"}
    for _, span in got.values():
        assert span is not None and item.text[span.start : span.start + len(span.words)] == span.words
    assert [
        one.evidence.part for one in attributes_of(Item(ItemId("2"), "", {"release_year": 1971.0}), asked) if one.evidence
    ] == ["release_year"]
    assert not list(attributes_of(Item(ItemId("3"), "a 2000 watt dryer", {}), asked))
    counted = options_of(asked[-1], [item], ())
    assert [tag.count for tag in counted.tags] == [0, 1]


@pytest.mark.parametrize("config", [{"x": "weight"}, {"x": ["one"]}, {"x": ["a", "A"]}, {"x": ["", "b"]}])
def test_attributes_that_cannot_be_asked_for_are_refused(config):
    with pytest.raises(ConfigError, match=r"reading\.attributes: x"):
        wanted(config)


def test_an_option_that_few_items_say_is_learned_from_those_few(tmp_path: Path):
    whom = {7: " for men", 8: " for women"}
    items = [Item(ItemId(f"i{n}"), f"thing number {n}" + whom.get(n, "")) for n in range(3000)]
    [one] = wanted({"for": ["women", "men"]})
    options = options_of(one, items, ())
    reader = TagReader(items, options, HashingModel(32), None, VectorCache(tmp_path))
    assert reader.confidence(["a thing for somebody"]).shape == (1, 2)


def test_the_version_knows_the_items_that_are_left_to_learn_from(tmp_path: Path):
    items = films(60)
    vocabulary = genres(items)

    def version(some: list[Item]) -> str:
        return TagReader(some, vocabulary, HashingModel(32), None, VectorCache(tmp_path)).version

    assert version(items) == version(items[::-1]) != version(items[:40])


def test_names_that_a_chooser_cannot_tell_apart_share_an_answer_whatever_their_case():
    class FirstWords:
        name = "first words"

        def choose(self, prompts: Sequence[str], options: Sequence[str]) -> F32:
            if len({option.split()[0].casefold() for option in options}) < len(options):
                raise ConfigError("word them so that their first words differ")
            return np.zeros((len(prompts), len(options)), np.float32)

    assert _told_apart(FirstWords(), ["Robot", "robot hero tale", "makeup", "face mask", "Face cream"]) == [0, 0, 1, 2, 2]
