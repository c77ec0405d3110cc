"""``longgame understand --what``: planned, read once, bounded by a budget, and shown with its evidence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from longgame.cli import app
from longgame.errors import ArtefactError, ConfigError
from longgame.knowledge.graph import Graph, keep
from longgame.language import HashingModel, describe
from longgame.language.remote_chat import Chat
from longgame.language.vocabulary import Vocabulary
from longgame.rng import derive
from longgame.settings import Settings, load_settings
from longgame.store import open_store
from longgame.types import F32, Item, ItemId
from longgame.wiring.budget import Budget
from longgame.wiring.knowledge import graph_path
from longgame.wiring.ledgers import accounts, entered
from longgame.wiring.reading_items import Reader
from longgame.wiring.workspace import workspace
from tests.endpoint_kit import Answer, Handler, Server, message, serving
from tests.kit import event

RUNNER = CliRunner()
SETTINGS = """
[language]
model = "hashing"
[reading]
chooser = "none"
writer = "template"
tags = 9
[reading.attributes]
year = "year"
mood = ["funny", "grim"]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "longgame.toml").write_text(SETTINGS)
    return tmp_path


def catalogue(count: int = 120) -> None:
    rng = derive(4, "catalogue")
    items = []
    for n in range(count):
        kind, mood = ("robots", "grim") if n % 3 else ("ponies", "funny")
        mood = mood if rng.random() < 0.8 else ""
        items.append(Item(ItemId(f"i{n}"), f"{rng.integers(1950, 2020)} {mood} {kind} tale", {"kind": kind} if n % 4 else {}))
    store = open_store("sqlite:///longgame.db")
    store.put(items)
    store.close()


def run(*words: str):
    return RUNNER.invoke(app, list(words), catch_exceptions=False)


def answer(*words: str) -> dict:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    told: dict = json.loads(result.stdout)
    return told


def test_everything_is_read_kept_and_shown_with_its_evidence(folder: Path):
    catalogue()
    told = answer("understand", "--what", "vectors,tags,attributes,descriptions")
    assert told["model"].startswith("hashing") and told["tags"]["items"] == 120 and told["tags"]["left"] == 0
    assert told["descriptions"]["found"] == 120 and told["descriptions"]["ledger"]["calls"] == 0
    shown = answer("understand", "--show", "i1")
    assert [t["evidence"]["words"] for t in shown["tags"]["found"] if t["name"] == "robots"] == ["robots"]
    found = {a["name"]: a for a in shown["attributes"]["found"]}
    assert found["year"]["value"] in shown["text"] and found["year"]["evidence"]["part"] == "text"
    assert shown["descriptions"]["found"][0]["by"] == "template" and "robots" in shown["descriptions"]["found"][0]["text"]
    people = run("understand", "--show", "i1").output
    assert 'kind says "robots"' in people and found["year"]["value"] in people and "by the template" in people
    kept = json.loads((folder / ".longgame" / "reading" / "attributes.json").read_text())
    moods = [a for row in kept["items"].values() for a in row if a["name"] == "mood"]
    assert len(moods) == len(
        {*kept["items"]} & {k for k, row in kept["items"].items() if any(a["name"] == "mood" for a in row)}
    )
    assert all((a["confidence"] == 1) == (a["evidence"] is not None) and 0 <= a["confidence"] <= 1 for a in moods)
    again = answer("understand", "--what", "tags,attributes,descriptions")
    assert {k: v["version"] for k, v in again.items()} == {k: told[k]["version"] for k in again}


def test_a_thin_item_is_said_by_what_a_graph_says_of_it(folder: Path):
    catalogue()
    settings = load_settings(folder / "longgame.toml", {}).settings
    facts = [("e1", "made_by", "Ann Lee"), ("e1", "sequel", "e2"), ("e2", "made_by", "m.0bln8"), ("e1", "actor", "i7")]
    keep(Graph.of(facts, {ItemId("i1"): "e1", ItemId("i2"): "e2"}), graph_path(settings), {"source": "a test"})
    answer("understand", "--what", "descriptions")
    text = answer("understand", "--show", "i1")["descriptions"]["found"][0]["text"]
    assert "Made by: Ann Lee." in text and "Sequel: " in text and "robots tale" in text
    assert "Actor" not in text, "an entity that is called as an item is is not that item"
    assert "Made by" not in answer("understand", "--show", "i2")["descriptions"]["found"][0]["text"], "a code is no name"


def test_a_vocabulary_is_kept_until_a_tenth_of_the_catalogue_is_another(folder: Path):
    catalogue()
    settings = load_settings(folder / "longgame.toml", {}).settings
    first = Reader(settings).vocabulary
    catalogue(125)
    assert Reader(settings).vocabulary == first
    catalogue(150)
    assert Reader(settings).vocabulary.version != first.version
    kept = json.loads((folder / ".longgame" / "reading" / "vocabulary.json").read_text())
    assert Vocabulary.from_json(kept) == Reader(settings).vocabulary


def test_a_plan_asks_nothing_that_it_keeps(folder: Path):
    catalogue()
    plan = answer("understand", "--what", "tags,descriptions", "--plan")
    assert plan["tags"]["calls"] == 0 and plan["tags"]["items"] == 120, "the encoder alone asks no model"
    assert not (folder / ".longgame" / "reading" / "tags.json").exists()
    assert "tags by tags-1" in run("understand", "--what", "tags", "--plan").output


def enter_one(settings: Settings) -> None:
    bound = Budget(None)
    with entered(settings, "x", lambda: "v", lambda: bound.ledger, bound):
        bound(0, 1)
        bound(1, 1)


def test_a_batch_is_entered_when_it_is_safe_and_a_fault_is_told_and_not_the_ledgers(folder: Path):
    settings, bound = load_settings(folder / "longgame.toml", {}).settings, Budget(None)
    with pytest.raises(KeyError), entered(settings, "x", lambda: "v", lambda: bound.ledger, bound):
        bound(0, 9)
        bound(4, 9)
        assert [one.ledger.calls for one in accounts(settings)] == [4], "a run that is killed now has entered this"
        (folder / ".longgame" / "reading" / "ledger.json").write_text("{")
        bound.new += 1
        raise KeyError
    with pytest.raises(ArtefactError), entered(settings, "x", lambda: "v", lambda: bound.ledger, bound):
        raise AssertionError("nothing is asked where nothing can be entered")


def test_what_was_used_is_kept_over_runs_and_a_run_that_asks_nothing_adds_nothing(folder: Path):
    assert "nothing was read yet" in run("understand", "--ledger").output
    catalogue()
    run("understand")
    run("understand")
    catalogue(125)
    run("understand")
    (account,) = answer("understand", "--ledger")
    assert account["what"] == "vectors" and account["version"].startswith("hashing") and account["runs"] == 2
    assert 120 < account["ledger"]["calls"] <= 125 and account["ledger"]["seconds"] > 0
    assert "hashing-1-64" in run("understand", "--ledger").output
    catalogue(130)
    with workspace(load_settings(folder / "longgame.toml", {}).settings) as ws:
        ws.text()
    (account,) = answer("understand", "--ledger")
    assert account["runs"] == 3, "what training reads is entered too"
    settings = load_settings(folder / "longgame.toml", {}).settings
    with ThreadPoolExecutor(8) as pool:  # each has a file of its own open, as processes have
        list(pool.map(lambda n: enter_one(settings), range(40)))
    assert [one["ledger"]["calls"] for one in answer("understand", "--ledger") if one["what"] == "x"] == [40]
    (folder / ".longgame" / "reading" / "ledger.json").write_text('{"accounts": [{"what": 1}]}')
    result = run("understand", "--ledger")
    assert result.exit_code == 1 and "ledger.json: is no ledger; delete it" in result.stderr


def test_what_cannot_be_is_said(folder: Path):
    assert "longgame import" in run("understand", "--what", "tags").output
    for words in (("--what", "tag"), ("--what", ""), ("--show", "nobody"), ("--what", "tags", "--budget", "soon")):
        result = run("understand", *words)
        assert result.exit_code == 2 and result.stderr.startswith("error: ")
    catalogue()
    assert "nothing was read" in run("understand", "--show", "i2").output
    (folder / ".longgame" / "reading").mkdir(parents=True, exist_ok=True)
    (folder / ".longgame" / "reading" / "vocabulary.json").write_text("{")
    result = run("understand", "--what", "tags")
    assert result.exit_code == 1 and "vocabulary.json" in result.stderr


class Letters:
    """A ``protocols.Chooser`` whose answers come from the letters that a prompt's last text and an option share."""

    name = "letters"
    asked = 0

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> F32:
        Letters.asked += len(prompts)
        shared = [[len(set(p.splitlines()[-2]) & set(o)) for o in options] for p in prompts]
        return -np.array(shared, np.float32).reshape(len(prompts), len(options))


def test_a_budget_stops_after_a_batch_and_what_was_asked_is_never_asked_again(folder: Path, monkeypatch: pytest.MonkeyPatch):
    catalogue(300)
    monkeypatch.setattr(Reader, "_chooser", property(lambda self: Letters()))
    settings = load_settings(folder / "longgame.toml", {}).settings
    plan = Reader(settings).plan("tags")
    assert plan.calls > 200 and plan.seconds is not None and plan.seconds > 0
    Letters.asked = 0
    first = Reader(settings).read("tags", budget=0.0)
    assert first.left == plan.calls - 128 and Letters.asked == 128 and first.version == plan.version
    assert not (folder / ".longgame" / "reading" / "tags.json").exists()
    rest = Reader(settings).read("tags")
    assert rest.left == 0 and rest.found >= 225 and Letters.asked == plan.calls
    assert Reader(settings).read("tags").version == rest.version and Letters.asked == plan.calls
    assert Reader(settings).plan("tags").calls == 0


def test_no_plan_and_no_budget_has_a_server_read(folder: Path, monkeypatch: pytest.MonkeyPatch):
    catalogue()
    for key, value in {"LANGUAGE__MODEL": "remote", "REMOTE__URL": "http://127.0.0.1:9/v1", "REMOTE__MODEL": "m"}.items():
        monkeypatch.setenv(f"LONGGAME_{key}", value)
    monkeypatch.setenv("LONGGAME_REMOTE__WIDTH", "3")
    for flag in (["--plan"], ["--budget", "5s"]):
        result = run("understand", "--what", "tags", *flag)
        assert result.exit_code == 2 and "has not read the whole catalogue" in result.stderr


def reads_and_writes(h: Handler, asked: dict[str, Any]) -> None:
    """A chat server: what follows a thing is the first option that it names; of some it writes nothing whole."""
    system, prompt = (one["content"] for one in asked["messages"])
    if "logprobs" in asked:
        listed = system.removesuffix(".").split(": ")[-1].split(", ")
        thing = prompt.split("\n\n")[-1]
        named = next((option for option in listed if option in thing), listed[0])
        h.say(200, message(named, [(named, 0.9), *((o, 0.1 / len(listed)) for o in listed if o != named)]))
        return
    name = prompt.split("name: ")[-1].split(";")[0]
    h.say(200, message("{" if "95" in name else json.dumps({"attributes": [], "description": name})))


def over_a_server(monkeypatch: pytest.MonkeyPatch, server: Server, **more: str) -> None:
    told = {"READING__CHOOSER": "remote", "READING__WRITER": "remote", "REMOTE__URL": server.url, "REMOTE__CHAT": "m"}
    for key, value in {**told, "REMOTE__TRIES": "1", "REMOTE__PRICE": "2", "REMOTE__PRICE_OUT": "8", **more}.items():
        monkeypatch.setenv(f"LONGGAME_{key}", value)


def mute_about(*years: str) -> Answer:
    """As :func:`reads_and_writes`, but it says nothing of things of these years."""

    def answer(h: Handler, asked: dict[str, Any]) -> None:
        thing = asked["messages"][1]["content"].split("\n\n")[-1]
        if any(year in thing for year in years):
            h.say(200, message("I would rather not say"))
        else:
            reads_and_writes(h, asked)

    return answer


needs_client = pytest.mark.skipif(not Chat.installed(), reason="the remote extra is not installed")


@needs_client
def test_a_server_may_answer_and_write_in_place_of_the_small_model(folder: Path, monkeypatch: pytest.MonkeyPatch):
    catalogue()
    with serving(reads_and_writes) as server:
        over_a_server(monkeypatch, server)
        plan = answer("understand", "--what", "tags,descriptions", "--plan")
        assert not server.asked, "a plan asks no server"
        assert plan["tags"]["seconds"] is None and plan["descriptions"]["calls"] > 80
        calls, tokens = plan["tags"]["calls"], plan["tags"]["tokens"]
        assert plan["tags"]["cost"] == pytest.approx(2e-6 * (tokens - calls) + 8e-6 * calls), "a token comes back of each"
        assert "a server, which was not asked, about 0." in run("understand", "--what", "tags", "--plan").output
        told = answer("understand", "--what", "tags,descriptions")
        assert told["tags"]["ledger"]["calls"] == calls and told["tags"]["ledger"]["money"] > 0
        assert "remote-m+chat-1" in told["descriptions"]["version"]
        before = len(server.asked)
        again = answer("understand", "--what", "tags")
        assert again["tags"]["version"] == told["tags"]["version"] and len(server.asked) == before, "asked once"
        missed = told["descriptions"]["ledger"]["calls"]
        assert answer("understand", "--what", "descriptions", "--plan")["descriptions"]["calls"] > 0, (
            "what failed is asked again"
        )
        assert answer("understand", "--what", "descriptions")["descriptions"]["ledger"]["calls"] < missed


@needs_client
def test_what_a_server_said_before_a_bound_was_reached_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch):
    catalogue()
    with serving(reads_and_writes) as server:
        over_a_server(monkeypatch, server, REMOTE__CALLS="41", REMOTE__CONCURRENCY="4")
        result = run("understand", "--what", "tags")
        assert result.exit_code == 1 and "raise remote.calls" in result.stderr
        paid = len(server.asked)
        left = answer("understand", "--what", "tags", "--plan")["tags"]["calls"]
        monkeypatch.setenv("LONGGAME_REMOTE__CALLS", "0")
        told = answer("understand", "--what", "tags")
        assert told["tags"]["left"] == 0 and told["tags"]["ledger"]["calls"] == left
        asked = {json.dumps(body["messages"]) for _, body in server.asked}
        assert 0 <= paid + left - len(asked) < 4, "no more than the calls under way together are paid twice"
        (account,) = [one for one in answer("understand", "--ledger") if one["what"] == "tags"]
        sent = account["ledger"]["calls"] - paid - left
        assert 0 <= sent < 4 and account["runs"] == 2, "what a bound cut off is entered as well"
        assert account["version"] == told["tags"]["version"] and account["ledger"]["read"] > 0


@needs_client
def test_a_server_is_asked_only_where_it_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch):
    catalogue()
    monkeypatch.setenv("LONGGAME_READING__CHOOSER", "remote")
    result = run("understand", "--what", "tags")
    assert result.exit_code == 2 and "remote.chat" in result.stderr


def test_what_was_read_joins_the_item_vectors_where_the_settings_want_it(folder: Path):
    catalogue()
    settings = load_settings(
        folder / "longgame.toml", {}, {"reading.use": True, "reading.width": 5, "reading.weight": 2.0}
    ).settings
    with workspace(settings) as ws, pytest.raises(ConfigError, match=r"longgame understand --what tags,attributes"):
        ws.text()
    answer("understand", "--what", "tags,attributes")
    plain = load_settings(folder / "longgame.toml", {}).settings
    with workspace(settings) as ws, workspace(plain) as other:
        wide, narrow = ws.text(), other.text()
    assert wide.width == narrow.width + 5 and wide.version.startswith(f"{narrow.version}+graph-")
    read = wide.vectors[:, narrow.width :]
    np.testing.assert_allclose(np.linalg.norm(read, axis=1), 2.0, atol=1e-5)
    kinds = np.array([n % 3 > 0 for n in range(120)])  # i0, i3, ... are of ponies, the others of robots
    close = read @ read.T / 4
    assert close[kinds][:, kinds].mean() > close[kinds][:, ~kinds].mean() + 0.3, "what is said of items tells them apart"


def test_descriptions_join_the_item_vectors_where_the_settings_want_it(folder: Path):
    catalogue()
    settings = load_settings(folder / "longgame.toml", {}, {"reading.describe": True, "language.width": 64}).settings
    with workspace(settings) as ws, pytest.raises(ConfigError, match=r"longgame understand --what descriptions"):
        ws.text()
    answer("understand", "--what", "tags,attributes,descriptions")
    with workspace(settings) as ws:
        ws.store.put([Item(ItemId("new"), "1999 ponies again", {})])
        wide = ws.text()
    with workspace(load_settings(folder / "longgame.toml", {}, {"language.width": 64}).settings) as ws:
        narrow = ws.text()
    kept = json.loads((folder / ".longgame/reading/descriptions.json").read_text())
    assert wide.version == f"{narrow.version}+{kept['version']}"
    own, said = wide.vectors[:, :64] * 2**0.5, wide.vectors[:, 64:] * 2**0.5
    np.testing.assert_allclose(own, narrow.vectors, atol=1e-6)
    texts = [describe(Item(id, kept["items"][id][0]["text"])) for id in narrow.ids if id != "new"]
    np.testing.assert_allclose(said[:-1], HashingModel(64).embed(texts), atol=1e-6)
    np.testing.assert_allclose(said[-1], own[-1], atol=1e-6)  # nothing was made for it yet
    assert narrow.ids[-1] == "new" and not np.allclose(said[:-1], own[:-1])
    with workspace(settings) as ws:
        ws.store.put([Item(ItemId("i0"), "2001 a rewritten tale", {})])
        changed = ws.text().vectors[0]
    np.testing.assert_allclose(changed[:64], changed[64:], atol=1e-6)  # its description is of what it was
    (folder / ".longgame/reading/descriptions.json").write_text('{"items": {"i1": [{"text": "x"}]}}')
    with workspace(settings) as ws, pytest.raises(ArtefactError, match=r"longgame understand --what descriptions"):
        ws.text()


def test_descriptions_in_the_vectors_of_an_evaluation_say_nothing_of_reviews(folder: Path):
    catalogue()
    store = open_store("sqlite:///longgame.db")
    said = [
        event(f"r{n}", n, n % 5, f"u{n}", "rating", value=5.0, text=f"splendid, as funny ponies are {n}") for n in range(30)
    ]
    store.put(said)
    store.close()
    answer("understand", "--what", "tags,descriptions")
    kept = json.loads((folder / ".longgame/reading/descriptions.json").read_text())["items"]
    (one,) = kept["i1"]
    assert "Reviews say" in one["text"] and "Reviews say" not in one["unheard"] and one["unheard"]
    settings = load_settings(folder / "longgame.toml", {}, {"reading.describe": True}).settings
    with workspace(settings) as ws:
        heard, quiet = ws.text(), ws.text(opinions=False)
    assert not np.allclose(heard.vectors[1], quiet.vectors[1])
    without = [describe(Item(ItemId("i1"), one["unheard"]))]
    width = heard.width // 2
    np.testing.assert_allclose(quiet.vectors[1, width:] * 2**0.5, HashingModel(width).embed(without)[0], atol=1e-6)


def test_what_descriptions_take_to_read_stands_in_the_plan(folder: Path, monkeypatch: pytest.MonkeyPatch):
    catalogue()
    monkeypatch.setenv("LONGGAME_READING__DESCRIBE", "true")
    answer("understand", "--what", "vectors,tags,descriptions")
    assert json.loads(run("understand", "--plan", "--json").stdout)["texts"] > 0
    answer("understand")
    assert json.loads(run("understand", "--plan", "--json").stdout)["texts"] == 0


@needs_client
@pytest.mark.parametrize("concurrency", ["1", "4"])
def test_what_gets_no_answer_blocks_nothing_and_is_asked_again(concurrency: str, folder: Path, monkeypatch: pytest.MonkeyPatch):
    catalogue()
    with serving(mute_about("195")) as server:
        over_a_server(monkeypatch, server, REMOTE__CONCURRENCY=concurrency)
        first = answer("understand", "--what", "tags")["tags"]
        assert first["left"] == 0 and "prompts without an answer that can be used" in first["note"]
        before = len(server.asked)
        second = answer("understand", "--what", "tags")["tags"]
        again = [body["messages"][1]["content"].split("\n\n")[-1] for _, body in server.asked[before:]]
        assert again and all("195" in thing for thing in again), "and nothing else"
        assert second["version"] == first["version"] and "without an answer" in second["note"]


@needs_client
def test_a_bound_below_the_calls_under_way_gets_further_each_time(folder: Path, monkeypatch: pytest.MonkeyPatch):
    catalogue()
    with serving(reads_and_writes) as server:
        over_a_server(monkeypatch, server, REMOTE__CALLS="3", REMOTE__CONCURRENCY="4")
        left = [answer("understand", "--what", "tags", "--plan")["tags"]["calls"]]
        for _ in range(2):
            assert run("understand", "--what", "tags").exit_code == 1
            left.append(answer("understand", "--what", "tags", "--plan")["tags"]["calls"])
    assert left[0] - left[1] == left[1] - left[2] == 3


@needs_client
def test_a_plan_counts_what_is_sent_with_the_options(folder: Path, monkeypatch: pytest.MonkeyPatch):
    catalogue()
    with serving(reads_and_writes) as server:
        over_a_server(monkeypatch, server)
        plan = answer("understand", "--what", "tags", "--plan")["tags"]
        answer("understand", "--what", "tags")
        sent = sum(len(json.dumps(body["messages"])) / 4 for _, body in server.asked)
    assert sent * 0.9 < plan["tokens"] - plan["calls"] < sent * 1.2


@needs_client
def test_no_plan_of_reviews_asks_a_server(folder: Path, monkeypatch: pytest.MonkeyPatch):
    catalogue()
    store = open_store("sqlite:///longgame.db")
    store.put([event(f"e{n}", n, n % 9, f"u{n}", "rating", value=float(n % 5), text=f"{n} words") for n in range(30)])
    store.close()
    with serving(reads_and_writes) as server:
        over_a_server(
            monkeypatch, server, LANGUAGE__MODEL="remote", REMOTE__MODEL="m", REMOTE__WIDTH="3", REVIEWS__READER="items"
        )
        (one,) = answer("understand", "--what", "reviews", "--plan")["models"]
        assert not server.asked and one["texts"] == 30 and one["seconds"] is None and one["cost"] > 0
        assert "a server, which was not asked, about" in run("understand", "--what", "reviews", "--plan").output
