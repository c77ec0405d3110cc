"""Questions and objects asked of a chat server: one that can do all, those that cannot, and one that does everything wrong."""

import json
import math
from typing import Any

import numpy as np
import pytest

from longgame.errors import ConfigError, RemoteError
from longgame.language.calling import Refused
from longgame.language.endpoint import Endpoint, Ledger
from longgame.language.remote_chat import Chat
from longgame.language.replies import FLOOR
from tests.endpoint_kit import Answer, Handler, Server, cuts, drips, floods, hangs, message, says, serving, status, text_of

pytestmark = pytest.mark.skipif(not Chat.installed(), reason="the remote extra is not installed")

OPTIONS = (" negative", " positive", " neutral")
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"type": "string", "maxLength": 20}, "stars": {"type": "integer", "minimum": 1, "maximum": 5}},
    "required": ["kind", "stars"],
    "additionalProperties": False,
}
GOOD = {"kind": "film", "stars": 4}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longgame.language.calling._FIRST", 0.01)


def chat(server: Server, **values: Any) -> Chat:
    told: dict[str, Any] = {"url": server.url, "model": "m", "timeout": 5.0, "tries": 3, "answer": 100}
    return Chat(Endpoint(**told | values))


def refuses(word: str, then: Answer, code: int = 400) -> Answer:
    """Says no to a request that has ``word`` in it, and why; answers others."""

    def answer(h: Handler, asked: dict[str, Any]) -> None:
        if word in json.dumps(asked):
            why = (
                f"1 validation error: Input should be 'text' or 'json_object', got {word} as response_format"
                if code == 500
                else f"unknown: {word}"
            )
            h.say(code, json.dumps({"error": {"message": why}}).encode())
        else:
            then(h, asked)

    return answer


def test_an_option_has_the_probability_of_all_tokens_that_begin_it():
    tops = [(" positive", 0.5), ("Pos", 0.25), ("ne", 0.05), ("The", 0.04), ("negative", 0.1)]
    with serving(says("positive", tops)) as server:
        model = chat(server)
        out = model.choose(["a", "b"], OPTIONS)
    assert out.shape == (2, 3) and out.dtype == np.float32
    # "ne" begins two of them, so it tells of neither; what is not listed has at most the least that is: .04, not the .06 left
    np.testing.assert_allclose(np.exp(out), [[0.1, 0.75, 0.04]] * 2, rtol=1e-5)
    assert [asked["max_tokens"] for _, asked in server.asked] == [1, 1] and server.asked[0][1]["top_logprobs"] == 20
    assert (model.ledger.read, model.ledger.written, model.ledger.tokens, model.ledger.calls) == (40, 4, 44, 2)
    assert "m" in model.name and server.url not in model.name


def test_what_is_not_listed_has_at_most_what_is_left():
    with serving(says("x", [("positive", 0.99), ("negative", 0.005)])) as server:
        np.testing.assert_allclose(np.exp(chat(server).choose(["a"], OPTIONS)), [[0.005, 0.99, 0.005]], rtol=1e-4)
    with serving(says("x", [("positive", 1.0), ("negative", 0.0)])) as server:
        np.testing.assert_allclose(chat(server).choose(["a"], OPTIONS), [[FLOOR, 0, FLOOR]], atol=1e-6)


@pytest.mark.parametrize("tops", [None, []])
def test_without_log_probabilities_the_word_that_is_said_is_all_that_is_known(tops):
    with serving(says(" Positive.\n", tops)) as server:
        model = chat(server)
        out = model.choose(["a", "b", "c"], OPTIONS)
        model.choose(["d"], OPTIONS)
    np.testing.assert_allclose(np.exp(out), [[0.2, 0.6, 0.2]] * 3, rtol=1e-6)
    assert len(server.asked) == 5, "that there are none is found out once"
    assert ["logprobs" in asked for _, asked in server.asked] == [True, False, False, False, False]


def test_a_model_that_begins_otherwise_is_asked_for_a_word():
    def answer(h: Handler, asked: dict[str, Any]) -> None:
        thinks = asked.get("logprobs")
        h.say(200, message("<think>", [("<think>", 0.99)]) if thinks else message('{"answer": "negative"}'))

    with serving(answer) as server:
        np.testing.assert_allclose(np.exp(chat(server).choose(["a"], OPTIONS)), [[0.6, 0.2, 0.2]], rtol=1e-6)
    assert server.asked[1][1]["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"][1] == "positive"


def test_a_prompt_without_an_answer_has_nothing_said_and_all_without_is_an_error():
    def answer(h: Handler, asked: dict[str, Any]) -> None:
        refusal = "I cannot say" if "hostile" in asked["messages"][1]["content"] else "positive or negative?"
        h.say(200, message("neutral") if "fine" in asked["messages"][1]["content"] else message(refusal))

    with serving(answer) as server:
        out = chat(server).choose(["hostile", "fine"], OPTIONS)
        np.testing.assert_allclose(np.exp(out), [[1 / 3] * 3, [0.2, 0.2, 0.6]], rtol=1e-6)
        with pytest.raises(RemoteError, match=r"answers no prompt by one of.*names 2 of the answers"):
            chat(server).choose(["both"], OPTIONS)
    with serving(says("It isn't positive.")) as server, pytest.raises(RemoteError, match="says what the answer is not"):
        chat(server).choose(["a"], OPTIONS)
    with serving(says("The sentiment is **Positive**.")) as server:
        np.testing.assert_allclose(np.exp(chat(server).choose(["a"], OPTIONS)), [[0.2, 0.6, 0.2]], rtol=1e-6)


@pytest.mark.parametrize("options", [("a",), ("no", "not sure"), ("a", "A "), ("", "a"), ("face cream", "Face mask", "makeup")])
def test_options_that_begin_alike_are_refused_before_anything_is_sent(options):
    with serving(says("a")) as server, pytest.raises(ConfigError, match="begins like another"):
        chat(server).choose(["x"], options)
    assert not server.asked


def test_an_object_is_asked_for_by_its_schema():
    with serving(says(json.dumps(GOOD))) as server:
        model = chat(server)
        assert model.generate(["a", "b"], SCHEMA) == [GOOD, GOOD]
        assert model.generate([], SCHEMA) == [] and model.choose([], OPTIONS).shape == (0, 3)
    told = server.asked[0][1]["response_format"]
    assert told["type"] == "json_schema" and told["json_schema"]["strict"] is True and told["json_schema"]["schema"] == SCHEMA
    assert server.asked[0][1]["temperature"] == 0


@pytest.mark.parametrize("code", [400, 422, 501, 500])
def test_a_server_without_schemas_is_asked_for_an_object_and_told_the_schema(code):
    with serving(refuses("json_schema", says(f"```json\n{json.dumps(GOOD)}\n```"), code)) as server:
        model = chat(server)
        assert model.generate(["a", "b", "c"], SCHEMA) == [GOOD] * 3
    formats = [asked["response_format"] for _, asked in server.asked]
    assert [f["type"] for f in formats] == ["json_schema", "json_schema", *["json_object"] * 3], "strict, not strict, given up"
    assert '"maxLength": 20' in server.asked[2][1]["messages"][0]["content"]


def test_a_server_without_any_format_is_asked_in_words():
    with serving(refuses("response_format", says(json.dumps(GOOD)))) as server:
        assert chat(server).generate(["a"], SCHEMA) == [GOOD]


@pytest.mark.parametrize("word", ["max_tokens", "temperature", "seed"])
def test_what_a_server_does_not_know_is_asked_otherwise(word):
    def answer(h: Handler, asked: dict[str, Any]) -> None:
        told = f"unsupported {word}, use max_completion_tokens" if word == "max_tokens" else f"unsupported {word}"
        h.say(200, message(json.dumps(GOOD))) if word not in asked else h.say(
            400, json.dumps({"error": {"message": told}}).encode()
        )

    with serving(answer) as server:
        model = chat(server)
        assert model.generate(["a", "b"], SCHEMA) == [GOOD, GOOD] and len(server.asked) == 3
        assert model.ledger.failed == 1


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (says('{"kind": "film"'), "is not JSON, but says"),
        (says('{"kind": "film"', finish_reason="length"), "cut off: raise remote.answer"),
        (says('{"kind": "film", "stars": NaN}'), "is not JSON"),
        (says("[" * 50_000), "is not JSON"),
        (says('{"kind": "film", "stars": 9}'), r"schema \(stars: 9 is greater"),
        (says('{"kind": "film", "stars": 4, "more": 1}'), "does not follow"),
        (says(json.dumps({"kind": "x" * 21, "stars": 1})), "does not follow"),
        (says("[1]"), "does not follow"),
        (says("I'm sorry, but I can't help with that."), "is not JSON, but says .I'm sorry"),
        (says(None), "says nothing"),
        (text_of(message(None).replace(b'"content": null', b'"content": null, "refusal": "I will not"')), "I will not"),
    ],
)
def test_an_answer_that_is_none_is_asked_for_again_otherwise_and_then_given_up(said: Answer, why: str):
    with serving(said, says(json.dumps(GOOD))) as server:
        assert chat(server).generate(["a"], SCHEMA) == [GOOD]
    assert [asked["temperature"] for _, asked in server.asked] == [0, 0.5]
    assert server.asked[1][1]["response_format"] == {"type": "json_object", "schema": SCHEMA}
    with (
        serving(said) as server,
        pytest.raises(RemoteError, match=rf"(?s)1 of 1 prompts got no valid object in 3 tries.*{why}"),
    ):
        chat(server).generate(["a"], SCHEMA)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "first",
    [
        status(500),
        status(429),
        hangs,
        drips,
        floods,
        cuts,
        text_of(b"<html>", "text/html"),
        text_of(b"garbage"),
        text_of(b"null"),
        text_of(b'{"choices": []}'),
        text_of(b'{"choices": [{"message": null}]}'),
        text_of(b'{"choices": [{"message": {"content": ["a"]}}]}'),
        text_of(b'{"choices": 7}'),
    ],
    ids=lambda answer: answer.__name__ if answer.__name__ != "<lambda>" else "",
)
def test_nonsense_of_a_server_is_tried_again_and_told_when_it_does_not_pass(first: Answer):
    with serving(first, says(json.dumps(GOOD))) as server:
        model = chat(server, timeout=0.5 if first in (hangs, drips) else 5.0, tries=2)
        assert model.generate(["a"], SCHEMA) == [GOOD]
        assert (model.ledger.calls, model.ledger.failed) == (2, 1)
    with serving(first) as server, pytest.raises(RemoteError, match=r"model m: .*2 tries"):
        chat(server, timeout=0.5 if first in (hangs, drips) else 5.0, tries=2).choose(["a"], OPTIONS)


@pytest.mark.parametrize(
    "logprobs",
    [
        7,
        {"content": None},
        {"content": [None]},
        {"content": [{"top_logprobs": 7}]},
        {"content": [{"top_logprobs": [7, {"token": 7, "logprob": 0}, {"token": "a", "logprob": "b"}]}]},
        {"content": [{"top_logprobs": [{"token": "a", "logprob": math.nan}]}]},
    ],
)
def test_log_probabilities_that_are_none_count_as_missing(logprobs):
    with serving(text_of(message("neutral", logprobs=logprobs))) as server:
        np.testing.assert_allclose(np.exp(chat(server).choose(["a"], OPTIONS)), [[0.2, 0.2, 0.6]], rtol=1e-6)


def test_one_prompt_that_gets_no_object_does_not_cost_the_others():
    def answer(h: Handler, asked: dict[str, Any]) -> None:
        words = asked["messages"][1]["content"]
        if "filtered" in words:
            h.say(400, b'{"error": {"message": "content filter"}}')
        else:
            h.say(200, message("no" if "hostile" in words else json.dumps(GOOD)))

    with serving(answer) as server:
        assert chat(server).written(["filtered", "hostile", "fine", "filtered"], SCHEMA) == [None, None, GOOD, None]
        with pytest.raises(RemoteError, match="1 of 2 prompts got no valid object"):
            chat(server).generate(["fine", "hostile"], SCHEMA)


def test_a_server_that_refuses_all_is_told_of_before_all_are_asked():
    with serving(status(400)) as server, pytest.raises(RemoteError, match=r"refuses every prompt.*no, says the server"):
        chat(server).generate([str(n) for n in range(50)], SCHEMA)
    assert len(server.asked) == 10, "three prompts in three ways, and once without the schema beside an object"
    with serving(status(401)) as server, pytest.raises(RemoteError, match=r"mend remote.url, remote.model or the key"):
        chat(server, key="secret").generate(["a"], SCHEMA)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "nonsense"}, "the schema is none"),
        ({"type": "array", "maxItems": 3}, 'of type "object"'),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, "schema.a must have maxLength"),
        ({"type": "object", "properties": {"a": {"type": "array", "items": {"enum": ["b"]}}}}, "schema.a must have maxItems"),
    ],
)
def test_a_schema_that_cannot_be_followed_is_refused_before_anything_is_sent(schema, why):
    with serving(says("{}")) as server, pytest.raises(ConfigError, match=why):
        chat(server).generate(["a"], schema)
    assert not server.asked


def test_money_is_counted_and_its_bound_is_never_passed():
    with serving(says(json.dumps(GOOD))) as server:
        model = chat(server, price=2.0, price_out=8.0)
        model.generate(["a"], SCHEMA)
        assert model.ledger.money == pytest.approx((20 * 2 + 2 * 8) / 1e6)
        # A call can cost some 500 bytes to read and 100 tokens to write: 1.8 thousandths; it does cost .056.
        bounded = chat(server, price=2.0, price_out=8.0, budget=0.002)
        with pytest.raises(RemoteError, match=r"0\.002 is the bound.*raise remote.budget"):
            bounded.generate([str(n) for n in range(50)], SCHEMA)
        assert 0 < bounded.ledger.money <= 0.002 and bounded.ledger.calls < 20
    with serving(says(json.dumps(GOOD))) as server, pytest.raises(RemoteError, match=r"0.0001 is the bound"):
        chat(server, price=2.0, price_out=8.0, budget=0.0001).generate(["a"], SCHEMA)
    assert not server.asked


def test_a_server_that_does_not_count_is_counted_for():
    silent = json.loads(message(json.dumps(GOOD)))
    del silent["usage"]
    for usage in ({}, {"usage": {"prompt_tokens": -5}}, {"usage": {"prompt_tokens": 10**400}}, {"usage": "many"}):
        with serving(text_of(json.dumps(silent | usage).encode())) as server:
            model = chat(server, price=2.0)
            model.generate(["a"], SCHEMA)
            assert model.ledger.read > 300 and model.ledger.written == 100
            assert model.ledger.money == pytest.approx(model.ledger.read * 2e-6)


def test_a_key_is_not_sent_in_the_open():
    for url in ("http://api.example.com/v1", "http://8.8.8.8/v1", "http://[::ffff:8.8.8.8]/v1", "http://0x08080808/v1"):
        with pytest.raises(ConfigError, match=r"key must not go over plain http.*https://") as told:
            Endpoint(url, "m", key="secret")
        assert "secret" not in str(told.value)
        Endpoint(url, "m")
    for url in ("https://api.example.com/v1", "http://localhost:1/v1", "http://192.168.1.7/v1", "http://ollama:11434/v1"):
        Endpoint(url, "m", key="secret")
    for wrong in ({"budget": 1.0}, {"price": -1.0}, {"price": math.inf}, {"answer": 0}):
        with pytest.raises(ConfigError):
            Endpoint(**{"url": "http://x/v1", "model": "m"} | wrong)


def test_what_was_no_answer_is_told_apart():
    def answer(h: Handler, asked: dict[str, Any]) -> None:
        odd = "odd" in asked["messages"][-1]["content"]
        says("who knows", [("who", 1.0)])(h, asked) if odd else says("positive", [("positive", 0.9)])(h, asked)

    with serving(answer) as server:
        odds, said = chat(server).answered(["a", "odd"], OPTIONS)
    assert said.tolist() == [True, False]
    np.testing.assert_allclose(odds[1], -math.log(3), rtol=1e-5)
    assert odds[0].argmax() == 1


class Post:
    """A patient carrier, as batches are: every prompt of a round is asked before any refusal is heard."""

    patient = True

    def __init__(self) -> None:
        self.ledger, self.rounds = Ledger(), list[list[dict[str, Any]]]()

    def ask(self, route: Any, bodies: Any, read: Any) -> list[Any]:
        self.rounds.append([dict(body) for body in bodies])
        told = "unsupported: use max_completion_tokens"
        good = json.loads(message("positive", [("positive", 0.9)]))
        return [Refused(400, told) if "max_tokens" in body else read(0, good) for body in bodies]


def test_what_a_batch_was_refused_for_is_asked_otherwise_and_costs_no_try():
    post: Any = Post()
    odds, said = Chat(Endpoint(url="http://127.0.0.1:1/v1", model="m", tries=1), post).answered(["a", "b", "c"], OPTIONS)
    assert said.all() and (odds.argmax(axis=1) == 1).all()
    assert [len(asked) for asked in post.rounds] == [3, 3], "all of them, once the old way and once the new"
    assert all("logprobs" in body for body in post.rounds[1]), "the best way is not given up for it"
