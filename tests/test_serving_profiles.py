"""Profiles while serving: shown, corrected for good, and read by the policy as they are logged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from longgame.cli import app
from longgame.errors import RecordError
from longgame.profiles import Corrections, Population, Profile, ProfileConfig, Tags, columns, corrections_id
from longgame.protocols import EventStore
from longgame.recommender import Recommender
from longgame.serving.service import Live, NotReady, RequestConflict, Service
from longgame.store import open_store
from longgame.store.memory import MemoryStore
from longgame.types import Decision, DecisionId, Event, Item, ItemId, Request, User, UserId
from tests.serving_kit import fill, recommender
from tests.test_serving_http import NOW, Call, client, problem

U3 = UserId("u3")


def shop(store: EventStore, items: int = 60, events: int = 400) -> EventStore:
    """The kit's shop, with colours, and users who rated."""
    fill(store, items, 20, events)
    colours = ("red", "blue", "green")
    store.put(Item(ItemId(f"i{n}"), f"thing {n}", {"colour": colours[n % 3], "price": float(n)}) for n in range(items))
    store.put(
        Event(
            f"r{u}-{n}", NOW - timedelta(hours=100 - n), UserId(f"u{u}"), ItemId(f"i{n}"), "rating", 5.0 - (n % 3) * (1 + u % 2)
        )
        for u in range(8)
        for n in range(20)
    )
    return store


def population(store: EventStore) -> Population:
    events = [record for _, record in store.read(0, 10**6)[0] if isinstance(record, Event)]
    return Population.fit(ProfileConfig(tastes=2), Tags.of(store.items()), events, store.users())


def reading(store: EventStore, own: int = 1) -> Recommender:
    """One whose policy reads the profile behind ``own`` numbers of the caller."""
    usual = population(store)
    width = own + len(columns(usual))
    return replace(recommender(store, context=width), profiles=usual, in_state=True)


@pytest.fixture
def store() -> Iterator[EventStore]:
    held = shop(MemoryStore())
    yield held
    held.close()


@pytest.fixture
def service(store: EventStore) -> Service:
    return Service(store, Live(reading(store)))


def request(id: str = "q", context: tuple[float, ...] = (0.25,), hours: float = 0.0) -> Request:
    return Request(id, NOW + timedelta(hours=hours), U3, 3, context)


def test_a_decision_is_logged_with_the_profile_it_was_made_on(service: Service, store: EventStore):
    decision = service.recommend(request())
    assert decision.request.context[0] == 0.25
    history = store.history(U3, NOW, 200)
    made = service.live
    assert made is not None and made.recommender.profiles is not None
    wanted = Profile.of(made.recommender.profiles, store.user(U3), history).vector()
    np.testing.assert_array_equal(np.array(decision.request.context[1:], np.float32), wanted)
    assert store.decision(DecisionId("q")) == decision
    assert made.recommender.decide(decision.request, history) == decision  # a replay needs the log alone


def test_a_retry_is_the_same_though_the_profile_moved(service: Service, store: EventStore):
    first = service.recommend(request())
    store.put([Event("new", NOW + timedelta(hours=1), U3, ItemId("i59"), "rating", 1.0)])
    assert service.recommend(request(hours=2)) == first
    assert service.recommend(request("q2", hours=2)).request.context != first.request.context
    for other in ((0.5,), (), (0.25, 0.0)):
        with pytest.raises((RequestConflict, RecordError)):
            service.recommend(request(context=other))


def test_a_request_brings_its_own_numbers_only(service: Service):
    with pytest.raises(RecordError, match="takes 1 numbers, got 0"):
        service.recommend(request("fresh", ()))


def test_corrections_hold_in_what_is_decided_and_survive_writing_the_user_anew(service: Service, store: EventStore):
    names = columns(population(store))
    place = 1 + names.index("colour=red")
    before = service.recommend(request("a")).request.context
    service.correct(U3, lambda said, tags: said.remove(*tags.named(["red"])).add("colour=blue"))
    service.upsert([User(U3, {"country": "PT"})])
    service.feedback([Event(f"x{n}", NOW + timedelta(minutes=n), U3, ItemId("i3"), "rating", 5.0) for n in range(9)])
    after = service.recommend(request("b", hours=1)).request.context
    assert before[place] != 0 == after[place] and after[1 + names.index("colour=blue evidence")] == 1
    again = Service(store, service.live)  # another process, another day
    assert again.profile(U3, NOW).corrections == Corrections(frozenset({"colour=red"}), frozenset({"colour=blue"}))


def test_nothing_is_known_before_anything_was_learned(store: EventStore):
    with pytest.raises(NotReady, match="longgame train"):
        Service(store, Live(recommender(store))).profile(U3, NOW)
    with pytest.raises(NotReady):
        Service(store).correct(U3, lambda said, tags: said)


@pytest.fixture
def call(service: Service) -> Iterator[Call]:
    with client(service, context=("hour",)) as call:
        yield call


def test_a_profile_is_shown_corrected_and_forgotten_over_http(call: Call):
    shown = call("GET", "/v1/users/u3/profile").json()
    assert shown["events"] > 20 == shown["rated"]
    assert shown["text"].endswith(".") and {tag["said"] for tag in shown["tags"]} == {""}
    assert [tag["preference"] for tag in shown["tags"]] == sorted((t["preference"] for t in shown["tags"]), reverse=True)
    put = call("PUT", "/v1/users/u3/profile", json={"remove": ["RED"], "add": ["colour=green"]}).json()
    said = {tag["name"]: (tag["said"], tag["evidence"]) for tag in put["tags"] if tag["said"]}
    assert said == {"colour=red": ("removed", 0.0), "colour=green": ("added", 1.0)}
    assert "ays that they like green" in put["text"] and "red" not in put["text"].replace("rated", "")
    assert call("PUT", "/v1/users/u3/profile", json={"restore": ["red"]}).json()["corrections"]["removed"] == []
    gone = call("DELETE", "/v1/users/u3/profile").json()
    assert gone["events"] == 0 and gone["corrections"]["added"] == ["colour=green"] and gone["corrections"]["since"]
    assert gone["text"] == "Says that they like green; no events yet."
    assert call("GET", "/v1/users/u3/profile").json() == gone


def test_anybody_has_a_profile_whatever_their_id(call: Call):
    odd = call("GET", "/v1/users/visitor%2F7/profile").json()
    assert (odd["user"], odd["text"], odd["events"]) == ("visitor/7", "No events yet.", 0)
    assert call("GET", f"/v1/users/{'x' * 250}/profile").json()["events"] == 0
    problem(call("PUT", f"/v1/users/{'x' * 250}/profile", json={"add": ["red"]}), 422, "at most 239")


def test_wrong_corrections_are_refused_and_change_nothing(call: Call, store: EventStore):
    problem(call("PUT", "/v1/users/u3/profile", json={"remove": ["redd"]}), 422, "did you mean 'colour=red'")
    problem(call("PUT", "/v1/users/u3/profile", json={"remove": ["red"], "add": ["red"]}), 422, "in two")
    problem(call("PUT", "/v1/users/u3/profile", json={"removes": ["red"]}), 422, "no such key")
    problem(call("POST", "/v1/users/u3/profile", json={}), 405)
    assert store.user(corrections_id(U3)) is None
    row = {"id": corrections_id(U3), "attributes": {"removed": ["colour=red"]}}
    reply = call("PUT", "/v1/users", json={"users": [row]}).json()
    assert reply["rejected"] == 1 and "must not begin with" in reply["results"][0]["reason"]


def test_a_slate_is_asked_for_without_knowing_of_profiles(call: Call, store: EventStore):
    body = {"id": "h", "user": "u3", "k": 2, "context": {"hour": 0.5}}
    first = call("POST", "/v1/recommend", json=body).json()
    assert call("POST", "/v1/recommend", json=body).json() == first
    kept = store.decision(DecisionId("h"))
    assert isinstance(kept, Decision) and len(kept.request.context) == 1 + len(columns(population(store)))
    problem(call("POST", "/v1/recommend", json={**body, "context": [0.75]}), 409)


def write_settings(folder: Path, in_state: bool = True) -> Path:
    path = folder / "longgame.toml"
    path.write_text(
        f'[store]\nurl = "sqlite:///{folder / "log.db"}"\n[data]\nfolder = "{folder / "data"}"\n[language]\nmodel = "hashing"\n'
        '[objective]\nwindow = "10s"\nrewards = { rating = 1.0 }\n[policy]\nsteps = 6\n'
        "[retrieval]\nshares = { popularity = 1.0 }\n[gate]\nmin_effective_n = 10\n[guards]\nalready_seen = false\n"
        f"[profile]\nin_state = {str(in_state).lower()}\ntastes = 1\n"
    )
    return path


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained twice: on what people did, then also on decisions that read profiles."""
    from longgame.settings import load_settings
    from longgame.wiring.training import train
    from longgame.wiring.workspace import workspace

    folder = tmp_path_factory.mktemp("product")
    with workspace(load_settings(write_settings(folder), {}, {}).settings) as ws:
        shop(ws.store, 24, 40)
        train(ws, epochs=1)
        loaded = ws.load()
        assert loaded is not None and loaded.recommender.profile_columns
        service = Service(ws.store, Live(loaded.recommender))
        for n in range(40):
            at = NOW + timedelta(minutes=n)
            decision = service.recommend(Request(f"d{n}", at, UserId(f"u{n % 8}"), 3))
            liked = decision.shown[n % 3]
            service.feedback(
                [Event(f"f{n}", at + timedelta(seconds=2), decision.request.user, liked, "rating", 5.0, "", decision.id)]
            )
        ws.store.put(Item(ItemId(f"later{n}"), "new", {"colour": "violet"}) for n in range(30))
        report = train(ws, epochs=1, force=True)
        assert report.published is not None and report.published.number == 2 and report.learned > 0
    return folder


def run(folder: Path, *words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["--config", str(folder / "longgame.toml"), *words])
    assert result.exit_code == code, result.output
    return result.output


def test_a_policy_learns_from_decisions_that_read_profiles_and_its_columns_stay(product: Path):
    from longgame.settings import load_settings
    from longgame.wiring.workspace import workspace

    with workspace(load_settings(product / "longgame.toml", {}, {}).settings) as ws:
        loaded = ws.load()
        assert loaded is not None
        made = loaded.recommender
        assert made.context == len(made.profile_columns) > 10
        assert not any("violet" in name for name in made.profile_columns)  # a tag of later on has no column
        policy = made.policy.state_dict()["context.weight"]
        assert policy.shape[1] == made.context and np.abs(policy).max() > 0


def test_the_settings_must_be_those_of_the_policy(product: Path, tmp_path: Path):
    from longgame.errors import ArtefactError
    from longgame.settings import load_settings
    from longgame.wiring.workspace import workspace

    other = load_settings(product / "longgame.toml", {}, {"profile.in_state": False}).settings
    with workspace(other) as ws, pytest.raises(ArtefactError, match=r"set profile\.in_state back"):
        ws.load()


def test_the_command_shows_and_corrects(product: Path):
    shown = json.loads(run(product, "profile", "show", "u3", "--json"))
    assert shown["user"] == "u3" and shown["rated"] >= 20 and len(shown["tags"]) > 5
    text = run(product, "profile", "correct", "u3", "--remove", "red", "--add", "colour=green")
    assert "removed" in text and "says that they like green" in text.replace("Says", "says")
    assert shown["text"] not in text
    assert json.loads(run(product, "profile", "show", "u3", "--json"))["corrections"]["added"] == ["colour=green"]
    assert json.loads(run(product, "profile", "correct", "u3", "--forget", "--json"))["events"] == 0
    run(product, "profile", "correct", "u3", "--add", "grean", code=2)
    run(product, "profile", "correct", "u3", code=2)


def test_without_a_training_there_is_no_profile(tmp_path: Path):
    write_settings(tmp_path)
    run(tmp_path, "profile", "show", "u3", code=1)
    assert open_store(f"sqlite:///{tmp_path / 'log.db'}").user(U3) is None


def test_the_simulator_decides_on_profiles_as_the_server_does():
    from longgame.simulation.rollout import rollout
    from longgame.simulation.shop import Shop, ShopConfig
    from longgame.wiring.demo import simple_recommender

    world = Shop(ShopConfig(users=12, items=30, seed=1))
    usual = Population.fit(ProfileConfig(tastes=0), Tags.of(world.catalogue()), [], [])
    assert len(usual.tags) > 2
    simple = simple_recommender(world.catalogue())
    made = replace(simple, profiles=usual, in_state=True, context=simple.context + len(columns(usual)))
    store = MemoryStore()
    store.put(world.catalogue())
    rollout(made, world, 6, 4, 0, store)
    decisions = [record for _, record in store.read(0, 10**6)[0] if isinstance(record, Decision)]
    moved = 0
    for decision in decisions:
        own = replace(decision.request, context=decision.request.context[: simple.context])
        history = store.history(own.user, own.at, 200)
        assert made.decide(made.informed(own, history, None), history) == decision
        moved += bool(history) and decision.request.context[-len(columns(usual)) :] != decisions[0].request.context
    assert len(decisions) > 12 and moved
