"""Traits: what profiles are about, of items; how a policy holds a profile against them, from training to a slate."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from longgame.arrays import State
from longgame.errors import ArtefactError
from longgame.profiles import Population, Profile, columns, pairs
from longgame.profiles.worth import fit_worth
from longgame.rng import derive
from longgame.serving.service import Live, Service
from longgame.settings import load_settings
from longgame.state import build_state
from longgame.store.memory import MemoryStore
from longgame.types import F32, Event, Item, ItemId, Request, UserId
from longgame.wiring.online import Follower
from longgame.wiring.parts import features_part, load_features
from longgame.wiring.training import train
from longgame.wiring.workspace import Loaded, Workspace, workspace
from tests.test_profiles import catalogue, number, profile, rating, tuple_of, world
from tests.test_serving_http import NOW
from tests.test_serving_profiles import U3, shop, write_settings

RED, BLUE = ItemId("i0"), ItemId("i1")


def unbounded(bounded: np.ndarray) -> np.ndarray:
    return np.arctanh(np.clip(bounded.astype(np.float64), -0.999999, 0.999999))


def test_what_only_the_strict_rate_is_worth_what_only_the_mild_rate():
    """Two items of the same worth, five users each who rate all else alike but for their level."""
    rng, rows = derive(0, "worth"), []
    for user in range(40):
        level = -1.0 if user % 2 else 1.0
        rows += [(user, item, level + rng.normal(0, 0.1)) for item in range(2, 20)]
        rows.append((user, user % 2, level))
    user, item, value = np.array(rows).T
    worth, by_tag = fit_worth(user.astype(int), item.astype(int), value, np.ones((20, 1)), 1.0)
    assert value[item == 0].mean() - value[item == 1].mean() == 2.0
    assert abs(worth[0] - worth[1]) < 0.15 and by_tag.shape == (1,)


def test_an_item_that_few_rated_is_worth_what_its_tags_say():
    tagged = np.stack([np.arange(30) % 2, np.ones(30)], axis=1).astype(np.float64)
    item = np.repeat(np.arange(28), 20)
    worth, by_tag = fit_worth(np.arange(560) % 20, item, np.where(item % 2, 1.0, -1.0), tagged, 4.0)
    assert worth[29] > 0.5 and worth[28] < -0.5  # nobody rated either
    assert by_tag[0] > 1.0 and worth[29] == pytest.approx(by_tag.sum())
    nothing, said = fit_worth(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros((0, 3)), 4.0)
    assert nothing.shape == (0,) and not said.any()


def test_traits_weighed_by_a_profile_are_what_is_expected_of_an_item():
    population = world()[0]
    likes = [
        rating(n, "x", i, 5.0 if "Drama" in tuple_of(item) else 1.0)
        for n, (i, item) in enumerate(zip(range(40), catalogue(), strict=False))
    ]
    vector = profile(*likes).vector()
    g, k = len(population.tags), len(population.tastes)
    traits = population.traits([item.id for item in catalogue()])
    assert traits.shape == (60, g + k + 1)
    mine, its = zip(*pairs(population, 0, 0), strict=True)
    names = columns(population)
    assert [names[i] for i in mine] == [*population.tags.names, *(f"taste {n + 1}" for n in range(k))]
    assert its == tuple(range(g + k))
    found = unbounded(vector[list(mine)]) @ traits[:, list(its)].T
    drama = np.array(["Drama" in tuple_of(item) for item in catalogue()])
    assert found[drama].mean() > found[~drama].mean() + 0.3
    column = number(population, "genres=Drama")
    np.testing.assert_allclose(traits[:, column], np.where(drama, population.spread[column], 0.0), rtol=1e-6)
    np.testing.assert_allclose(traits[:, -1], [population.value(item.id) for item in catalogue()], rtol=1e-6)


def test_a_population_that_was_read_back_has_the_same_version_and_traits():
    population = world()[0]
    arrays, about = population.part()
    again = Population.load(arrays, json.loads(json.dumps(about)), catalogue())
    ids = [item.id for item in catalogue()]
    assert again.version == population.version != replace(population, spread=population.spread * 2).version
    np.testing.assert_array_equal(again.traits(ids), population.traits(ids))
    new = Item(ItemId("new"), "", {"genres": ("Drama",)})
    grown = Population.load(arrays, about, [*catalogue(), new])
    assert grown.version == population.version
    assert grown.traits([new.id])[0, number(population, "genres=Drama")] > 0
    older = {name: array for name, array in arrays.items() if name != "by_tag"}  # before tags said what an item is worth
    assert Population.load(older, about, [new]).value(new.id) == 0.0


def open_product(folder: Path, **flags: object) -> Workspace:
    flat = {name.replace("__", "."): value for name, value in flags.items()}
    with workspace(load_settings(write_settings(folder), {}, flat).settings) as ws:
        return replace(ws, store=MemoryStore())


def loaded(ws: Workspace) -> Loaded:
    found = ws.load()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Trained once, on ratings alone: everybody likes red things, but u1, u3, u5 and u7 much more."""
    ws = open_product(tmp_path_factory.mktemp("traits"))
    shop(ws.store, 24, 40)
    train(ws, epochs=1)
    return ws


def test_a_policy_begins_as_the_supervised_model_and_what_an_item_is_expected_to_be_worth(product: Workspace):
    made, reader = loaded(product).recommender, loaded(product).reader
    usual = made.profiles
    assert usual is not None and reader.traits == usual.version and reader.traits in made.features.version
    traits = made.features.vectors[:, reader.width :]
    np.testing.assert_array_equal(traits, usual.traits(made.features.ids))
    history = product.store.history(U3, NOW, 50)
    own = Profile.of(usual, product.store.user(U3), history).vector()
    told = made.informed(Request("q", NOW, U3, 3), history, product.store.user(U3))
    items = made.features.vectors[None]
    mask = np.ones((1, len(made.features)), np.bool_)

    def scores(context: F32) -> F32:
        state = State(np.zeros((1, 1, items.shape[2]), np.float32), np.full((1, 1), -1, np.int64), context[None])
        out: F32 = made.policy.score(state, items, mask)[0]
        return out

    mine = [own for own, _ in pairs(usual, 0, 0)]
    np.testing.assert_array_equal(own, np.array(told.context, np.float32))
    more = scores(own) - scores(np.zeros_like(own))
    np.testing.assert_allclose(more, traits[:, :-1] @ own[mine], atol=1e-4)
    assert more[0::3].mean() > more[2::3].mean() + 0.05  # red, and green


def test_what_is_served_turns_to_what_the_profile_likes_and_away_from_what_is_removed(product: Workspace):
    service = Service(product.store, Live(loaded(product).recommender))
    made = loaded(product).recommender
    red, blue = (np.array([n % 3 == place for n in range(24)]) for place in (0, 1))

    def lead(name: str, hours: int) -> float:
        """How much better red things are scored than blue ones in a decision that the service made and logged."""
        decision = service.recommend(Request(name, NOW + timedelta(hours=hours), U3, 5))
        history = product.store.history(U3, decision.request.at, 200)
        assert made.decide(decision.request, history) == decision == product.store.decision(decision.id)
        state = State.stack([build_state(decision.request, history, made.features, made.steps)])
        found = made.policy.score(state, made.features.vectors[None], np.ones((1, 24), np.bool_))[0]
        return float(found[red].mean() - found[blue].mean())

    before = lead("a", 0)
    service.correct(U3, lambda said, tags: said.remove("colour=red").add("colour=blue"))
    after = lead("b", 1)
    usual = made.profiles
    assert usual is not None
    spread = usual.spread[usual.tags.names.index("colour=blue")]
    assert before - after > 0.5 * spread > 0.01
    service.correct(U3, lambda said, tags: said.restore("colour=red", "colour=blue"))
    assert lead("c", 2) == pytest.approx(before, abs=1e-4)


def test_a_new_item_has_the_traits_of_its_tags(tmp_path: Path):
    ws = open_product(tmp_path)
    shop(ws.store, 24, 40)
    train(ws, epochs=1)
    follower = Follower(ws)
    follower.turn()
    first = loaded(ws)
    ws.store.put([Item(ItemId("fresh"), "thing of tomorrow", {"colour": "red"})])
    follower.turn()
    now = loaded(ws)
    assert now.snapshot.number == first.snapshot.number + 1 and now.reader.version == first.reader.version
    made, usual = now.recommender, now.recommender.profiles
    assert usual is not None
    traits = made.features.vectors[made.features.index[ItemId("fresh")], now.reader.width :]
    red, blue = (usual.tags.names.index(f"colour={colour}") for colour in ("red", "blue"))
    assert traits[red] > 0 == traits[blue] and traits[-1] == pytest.approx(usual.value(ItemId("fresh"))) != 0


def test_item_vectors_name_the_traits_they_have_and_refuse_others(product: Workspace):
    live = loaded(product)
    usual = live.recommender.profiles
    assert usual is not None
    with pytest.raises(ArtefactError, match=r"have traits of usual-.*, got nothing; run `longgame train`"):
        live.reader.features(product.text())
    with pytest.raises(ArtefactError, match="got usual-"):
        live.reader.features(product.text(), replace(usual, spread=usual.spread * 2))
    arrays, about = features_part(live.reader, live.recommender.features)
    older = {name: value for name, value in about.items() if name != "traits"}
    assert load_features(arrays, older)[0].traits == ""


def test_a_product_whose_policy_reads_no_profiles_has_none(tmp_path: Path):
    ws = open_product(tmp_path, profile__in_state=False)
    shop(ws.store, 24, 40)
    train(ws, epochs=1)
    live = loaded(ws)
    assert live.reader.traits == "" and live.recommender.features.width == live.reader.width
    assert "match" not in live.recommender.policy.state_dict()


def test_tags_that_were_read_reach_profiles_and_item_vectors(tmp_path: Path):
    ws = open_product(tmp_path)
    shop(ws.store, 24, 40)
    said = {"name": "cosy", "confidence": 0.9, "evidence": None}
    words = {"name": "thing", "confidence": 1.0, "evidence": {"part": "text", "words": "thing", "start": 0}}
    own = {"name": "red", "confidence": 1.0, "evidence": {"part": "colour", "words": "red", "start": 0}}
    rows = {f"i{n}": [said, own] if n % 4 == 0 else [words] if n % 4 == 1 else [] for n in range(24)}
    path = Path(ws.settings.data.folder) / "reading" / "tags.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"version": "tags-1", "items": rows}))
    assert ws.read() == {id: ("cosy",) if found == [said, own] else ("thing",) for id, found in rows.items() if found}
    train(ws, epochs=1)
    for usual in (loaded(ws).recommender.profiles, ws.population()):
        assert usual is not None and {"read=cosy", "read=thing"} <= set(usual.tags.names) and "read=red" not in usual.tags.names
        cosy = usual.tags.names.index("read=cosy")
        assert cosy in usual.tags.rows[ItemId("i4")] and cosy not in usual.tags.rows[ItemId("i5")]
    made = loaded(ws).recommender
    column = loaded(ws).reader.width + cosy
    assert made.features.vectors[made.features.index[ItemId("i4")], column] > 0
    liked = [Event(f"c{n}", NOW - timedelta(minutes=n), UserId("z"), ItemId(f"i{4 * n}"), "rating", 5.0) for n in range(6)]
    assert Profile.of(ws.population(), None, liked).preference[cosy] > 0.2
    path.write_text("[")
    with pytest.raises(ArtefactError, match=r"tags\.json: is not JSON"):
        ws.read()
