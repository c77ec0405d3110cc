"""Reviews read by a server's chat model: on the whole and by aspect, planned, paid once, and entered in the ledger."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from longgame.cli import app
from longgame.language.attacks import attacks
from longgame.language.remote_chat import Chat
from longgame.settings import load_settings
from longgame.store import open_store
from longgame.wiring.workspace import workspace
from tests.endpoint_kit import Handler, Server, message, serving
from tests.kit import event

pytestmark = pytest.mark.skipif(not Chat.installed(), reason="the remote extra is not installed")

TOML = """
[language]
model = "hashing"
[reviews]
reader = "remote"
aspects = ["screen", "sound"]
"""


def judge(h: Handler, asked: dict[str, Any]) -> None:
    """A chat model that knows two words, and says nothing of what is beyond words."""
    listed = asked["messages"][0]["content"].removesuffix(".").split(": ")[-1].split(", ")
    told = asked["messages"][-1]["content"].split("\n\n")[-1].replace("<<", "").replace(">>", "")
    if "beyond words" in told:
        h.say(200, message("Well."))
        return
    about = told.split("Aspect: ")[-1].split("\n")[0] if "Aspect: " in told else ""
    said = told.split("but")[1 if about == "sound" else 0] if about else told.split("Review: ")[-1]
    best = "negative" if "dreadful" in said else "positive"
    h.say(200, message(best, [(best, 0.9), *((o, 0.1 / len(listed)) for o in listed if o != best)]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("longgame.wiring.reviews.attacks", lambda: attacks()[::15])  # all of them are thousands of calls
    (tmp_path / "longgame.toml").write_text(TOML)
    words = {1.0: "dreadful", 5.0: "splendid"}
    rated = [(n, 5.0 if n % 2 else 1.0) for n in range(30)]
    log = [event(f"r{n}", n, n % 5, f"u{n}", "rating", value=v, text=f"number {n} is {words[v]}") for n, v in rated]
    log += [event("a", 40, 7, "ann", "review", text="a splendid screen but the sound is dreadful")]
    log += [event("b", 41, 8, "bob", "review", text="it is beyond words")]
    store = open_store("sqlite:///longgame.db")
    store.put(log)
    store.close()
    return tmp_path


def run(*words: str) -> Any:
    result = CliRunner().invoke(app, ["understand", *words, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def over(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"URL": server.url, "CHAT": "m", "TRIES": "1", "PRICE": "2", "PRICE_OUT": "8"}.items():
        monkeypatch.setenv(f"LONGGAME_REMOTE__{key}", value)


def test_a_server_reads_reviews_once_and_its_plan_asks_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch):
    with serving(judge) as server:
        over(server, monkeypatch)
        plan = [one for one in run("--what", "reviews", "--plan")["models"] if one["model"].startswith("remote-m")]
        assert not server.asked and all(one["seconds"] is None and one["cost"] > 0 for one in plan)
        assert [one["texts"] for one in plan if "+aspect" in one["model"]] == [2], "on the whole, unshielded, and of aspects"
        told = run("--what", "reviews")
        assert (told["read"], told["missed"]) == (1, 1) and told["voices"] == 31, "what got no answer is no opinion"
        assert [one["event"] for one in told["refused"]] == ["b"] and "no answer" in told["refused"][0]["why"]
        assert told["aspects"]["screen"]["mean"] > 0.5 > -0.5 > told["aspects"]["sound"]["mean"]
        paid = len(server.asked)
        assert told["ledger"]["calls"] == paid and told["ledger"]["money"] > 0
        assert 0 <= paid - sum(one["texts"] for one in plan) <= 3, "but for other ways to ask what gets no answer"
        again = run("--what", "reviews")
        asked = [body["messages"][-1]["content"] for _, body in server.asked]
        assert len(asked) > paid and all("beyond words" in one for one in asked[paid:]), "what got no answer, and nothing else"
        assert again["aspects"] == told["aspects"]
    (account,) = run("--ledger")
    assert account["what"] == "reviews" and account["ledger"]["calls"] == len(asked) and account["runs"] == 2


def test_an_adapter_is_of_the_small_model_and_not_of_a_server(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LONGGAME_REVIEWS__ADAPTER", "aspect-brief-1")
    monkeypatch.setenv("LONGGAME_REMOTE__CHAT", "m")
    got = CliRunner().invoke(app, ["understand", "--what", "reviews"])
    assert got.exit_code == 2 and "reviews.reader is remote" in got.stderr
    monkeypatch.setenv("LONGGAME_REMOTE__CHAT", "")
    monkeypatch.setenv("LONGGAME_REVIEWS__ADAPTER", "")
    assert "remote.chat: must name" in CliRunner().invoke(app, ["understand", "--what", "reviews"]).stderr


def test_what_gets_no_answer_teaches_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def half(h: Handler, asked: dict[str, Any]) -> None:
        told = asked["messages"][-1]["content"].split("Review: ")[-1]
        if any(f"number {n} " in told for n in range(6)):
            h.say(200, message("Well."))
        else:
            judge(h, asked)

    monkeypatch.setenv("LONGGAME_REVIEWS__ASPECTS", "[]")
    with serving(half) as server:
        over(server, monkeypatch)
        settings = load_settings(folder / "longgame.toml", dict(os.environ)).settings
        with workspace(settings) as ws:
            assert ws.voices().model.deviation < 0.5, "of the others all is told rightly, and 4 stars lie between good and bad"
    with serving(lambda h, asked: h.say(200, message("Well."))) as server:
        over(server, monkeypatch)
        monkeypatch.setenv("LONGGAME_REMOTE__CHAT", "mute")
        got = CliRunner().invoke(app, ["understand", "--what", "reviews"])
        assert got.exit_code != 0 and "answers" in got.stderr


def test_training_enters_what_it_asks_about_aspects_too(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LONGGAME_REVIEWS__FEATURES", "true")
    with serving(judge) as server:
        over(server, monkeypatch)
        with workspace(load_settings(folder / "longgame.toml", dict(os.environ)).settings) as ws:
            assert ws.text().width > 0
        paid = len(server.asked)
    (account,) = [one for one in run("--ledger") if one["what"] == "reviews"]
    assert account["ledger"]["calls"] == paid and "aspects-1+remote-m" in account["version"]
