"""Batches, against a server that keeps files and batches as OpenAI's protocol says, and forgets nothing when a client dies."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longgame.errors import ArtefactError, RemoteError
from longgame.language import VectorCache
from longgame.language.batches import Batches
from longgame.language.endpoint import Endpoint
from longgame.language.lock import exclusive
from longgame.language.remote import Remote
from longgame.language.remote_chat import Chat
from longgame.settings import load_settings
from longgame.store import open_store
from longgame.types import Item, ItemId
from longgame.wiring.understanding import plan, understand

pytestmark = pytest.mark.skipif(not Remote.installed(), reason="the remote extra is not installed")

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
OPTIONS = (" yes", " no")


class Killed(BaseException):
    """As a signal would."""


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def say(self, told: Any, status: int = 200) -> None:
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-type", "application/octet-stream" if isinstance(told, bytes) else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        s = self.server
        if self.path == "/v1/files":
            told = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode() + body
            parts: dict[Any, Any] = {
                part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
                for part in BytesParser().parsebytes(told).walk()
                if not part.is_multipart()
            }
            assert parts["purpose"] == b"batch"
            name = f"file-{len(s.files)}"
            s.files[name] = parts["file"]
            self.say(
                {
                    "id": name,
                    "object": "file",
                    "bytes": len(parts["file"]),
                    "created_at": 1,
                    "filename": "f",
                    "purpose": "batch",
                }
            )
        elif self.path == "/v1/batches":
            told = json.loads(body)
            assert told["completion_window"] == "24h"
            lines = [json.loads(line) for line in s.files[told["input_file_id"]].splitlines()]
            assert len({line["custom_id"] for line in lines}) == len(lines) and {line["url"] for line in lines} == {
                told["endpoint"]
            }
            batch = told | {
                "id": f"batch_{len(s.batches)}",
                "object": "batch",
                "created_at": 1,
                "status": "validating",
                "looks": 0,
            }
            s.batches.insert(0, batch | {"lines": lines})
            if s.loses_replies:
                s.loses_replies -= 1
                self.close_connection = True  # made, and nobody is told
                return
            self.say(batch)
        else:
            self.say({"error": {"message": "no such path"}}, 404)

    def do_GET(self) -> None:
        s, path = self.server, self.path
        if path.startswith("/v1/batches?") and s.mumbles:
            self.say(["no list of batches"])
        elif path.startswith("/v1/batches?"):
            self.say({"object": "list", "data": [{k: v for k, v in b.items() if k != "lines"} for b in s.batches]})
        elif path.startswith("/v1/files/"):
            self.say(s.files[path.split("/")[3]])
        else:
            found = next((b for b in s.batches if b["id"] == path.split("/")[3]), None)
            if found is None:
                self.say({"error": {"message": "no such batch"}}, 404)
                return
            found["looks"] += 1
            if found["looks"] > s.patience and found["status"] != s.ends:
                s.end(found)
            elif found["status"] == "validating":
                found["status"] = "in_progress"
            self.say({k: v for k, v in found.items() if k != "lines"})


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.batches: list[dict[str, Any]] = []
        self.patience, self.loses_replies, self.ends, self.mumbles = 2, 0, "completed", False
        self.fails: set[str] = set()
        """What a request must hold to be answered with an error."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def paid(self) -> list[str]:
        """What every request ever taken was about."""
        return [told_of(line["body"]) for batch in self.batches for line in batch["lines"]]

    def end(self, batch: dict[str, Any]) -> None:
        batch["status"] = self.ends
        if self.ends == "failed":
            batch["errors"] = {"object": "list", "data": [{"code": "invalid", "message": "the file is wrong"}]}
            return
        good, bad = [], []
        for line in reversed(batch["lines"]):  # answers come in no order
            told = {"id": "x", "custom_id": line["custom_id"], "error": None}
            if any(word in told_of(line["body"]) for word in self.fails):
                bad.append(told | {"response": {"status_code": 400, "body": {"error": {"message": "too long"}}}})
            else:
                good.append(told | {"response": {"status_code": 200, "body": answer(line["body"])}})
        for part, lines in (("output", good), ("error", bad)):
            if lines:
                name = f"file-{len(self.files)}"
                self.files[name] = "\n".join(map(json.dumps, lines)).encode() + b"\nnot json\n{}\n"
                batch[f"{part}_file_id"] = name
        batch["request_counts"] = {"completed": len(good), "failed": len(bad), "total": len(batch["lines"])}


def told_of(body: dict[str, Any]) -> str:
    return str(body["input"][0] if "input" in body else body["messages"][1]["content"])


def answer(body: dict[str, Any]) -> dict[str, Any]:
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    text = told_of(body)
    if "input" in body:
        return {"data": [{"index": 0, "embedding": [float(len(text)), 1.0, 0.0]}], "usage": usage}
    if body.get("logprobs"):
        tops = [{"token": "yes", "logprob": -0.1}, {"token": "no", "logprob": -3.0}]
        return {"choices": [{"message": {"content": "yes"}, "logprobs": {"content": [{"top_logprobs": tops}]}}], "usage": usage}
    said = json.dumps({"n": len(text)}) if "odd" not in text or "json_object" in json.dumps(body) else "what?"
    return {"choices": [{"message": {"content": said}, "finish_reason": "stop"}], "usage": usage}


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longgame.language.calling._FIRST", 0.01)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


class Naps:
    """Counts the pauses; ``kill`` ends the run in one of them."""

    def __init__(self, kill: int = 0) -> None:
        self.count, self.kill = 0, kill

    def __call__(self, seconds: float) -> None:
        assert seconds == 60.0
        self.count += 1
        if self.count == self.kill:
            raise Killed


def batches(server: Server, folder: Path, naps: Naps | None = None, heard: list[str] | None = None, **values: Any) -> Batches:
    told: dict[str, Any] = {"url": server.url, "model": "m", "width": 3, "timeout": 5.0, "tries": 3, "answer": 50}
    return Batches(Endpoint(**told | values), folder, tell=(heard if heard is not None else []).append, nap=naps or Naps())


def remote(carrier: Batches) -> Remote:
    return Remote(carrier.endpoint, carrier)


def right(texts: list[str]) -> np.ndarray[Any, Any]:
    return np.array([np.array([len(text), 1, 0]) / np.hypot(len(text), 1) for text in texts], np.float32)


def test_vectors_come_in_one_batch_at_half_the_price(server: Server, tmp_path: Path):
    heard: list[str] = []
    naps = Naps()
    carrier = batches(server, tmp_path / "b", naps, heard, price=2.0)
    texts = ["a", "", "ccc", "bb", "a"]
    out = VectorCache(tmp_path / "v").embed(remote(carrier), texts)
    np.testing.assert_allclose(out[[0, 2, 3, 4]], right(["a", "ccc", "bb", "a"]), rtol=1e-6)
    assert sorted(server.paid) == ["a", "bb", "ccc"] and len(server.batches) == 1 and naps.count == 2
    assert heard == ["batch batch_0: 3 requests", "batch batch_0: is in_progress", "batch batch_0: is completed, 3 of 3 done"]
    assert (carrier.ledger.calls, carrier.ledger.failed, carrier.ledger.read) == (3, 0, 300)
    assert carrier.ledger.money == pytest.approx(300 * 2 / 1e6 / 2)
    carrier.finish()
    assert not list((tmp_path / "b").glob("*.json"))


def test_answers_that_nobody_took_are_not_forgotten(server: Server, tmp_path: Path):
    remote(batches(server, tmp_path)).embed(["a", "bb"])  # and killed before the cache had them
    model = remote(batches(server, tmp_path))
    model.embed(["a"])
    model.finish()
    np.testing.assert_allclose(model.embed(["bb"]), right(["bb"]), rtol=1e-6)
    model.finish()
    assert sorted(server.paid) == ["a", "bb"] and not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize("kill", [1, 2])
def test_a_killed_run_goes_on_with_the_same_batch(server: Server, tmp_path: Path, kill: int):
    with pytest.raises(Killed):
        remote(batches(server, tmp_path, Naps(kill))).embed(["a", "bb"])
    carrier = batches(server, tmp_path)
    # the catalogue has grown meanwhile: only what is new is sent
    np.testing.assert_allclose(remote(carrier).embed(["ccc", "bb", "a"]), right(["ccc", "bb", "a"]), rtol=1e-6)
    assert sorted(server.paid) == ["a", "bb", "ccc"] and carrier.ledger.calls == 1 and carrier.ledger.read == 300


@pytest.mark.parametrize("step", ["files", "batches", "note", "answers"])
def test_a_run_killed_at_any_step_pays_once(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str):
    carrier = batches(server, tmp_path)
    if step in ("files", "batches"):
        before = Handler.do_POST

        def dies(h: Handler) -> None:  # the request was carried out; who asked for it is gone
            before(h)
            if h.path == f"/v1/{step}":
                monkeypatch.setattr("longgame.language.batches._id", killed)

        monkeypatch.setattr(Handler, "do_POST", dies)
    elif step == "note":
        monkeypatch.setattr(carrier, "_tell", killed)
    else:
        monkeypatch.setattr(carrier, "_fetched", killed)
    with pytest.raises(Killed):
        remote(carrier).embed(["a", "bb"])
    monkeypatch.undo()
    np.testing.assert_allclose(remote(batches(server, tmp_path)).embed(["a", "bb"]), right(["a", "bb"]), rtol=1e-6)
    assert sorted(server.paid) == ["a", "bb"]


def killed(*args: Any) -> Any:
    raise Killed


def test_a_reply_that_was_lost_does_not_make_a_second_batch(server: Server, tmp_path: Path):
    server.loses_replies = 1
    np.testing.assert_allclose(remote(batches(server, tmp_path)).embed(["a"]), right(["a"]), rtol=1e-6)
    assert len(server.batches) == 1


def test_a_listing_that_is_none_does_not_say_that_there_is_no_batch(server: Server, tmp_path: Path):
    server.loses_replies, server.mumbles = 1, True
    with pytest.raises(RemoteError, match="list of batches"):
        remote(batches(server, tmp_path)).embed(["a"])
    server.mumbles = False
    np.testing.assert_allclose(remote(batches(server, tmp_path)).embed(["a"]), right(["a"]), rtol=1e-6)
    assert len(server.batches) == 1, "found again, not paid for twice"


def test_a_catalogue_goes_in_one_batch_whatever_is_synced_at_a_time(server: Server, tmp_path: Path):
    texts = [f"text {n}" for n in range(700)]
    VectorCache(tmp_path / "vectors").embed(remote(batches(server, tmp_path)), texts)
    assert len(server.batches) == 1


def test_what_failed_is_asked_again_and_what_did_not_is_kept(server: Server, tmp_path: Path):
    server.fails = {"bb"}
    with pytest.raises(RemoteError, match=r"400.*too long.*asks again"):
        remote(batches(server, tmp_path)).embed(["a", "bb", "ccc"])
    server.fails = set()
    np.testing.assert_allclose(
        remote(batches(server, tmp_path)).embed(["a", "bb", "ccc"]), right(["a", "bb", "ccc"]), rtol=1e-6
    )
    assert sorted(server.paid) == ["a", "bb", "bb", "ccc"]


@pytest.mark.parametrize("ends", ["failed", "expired"])
def test_a_batch_that_ends_badly_is_told_of_and_forgotten(server: Server, tmp_path: Path, ends: str):
    server.ends = ends
    server.fails = {"a"}
    with pytest.raises(RemoteError, match=r"the file is wrong|too long"):
        remote(batches(server, tmp_path)).embed(["a"])
    server.ends, server.fails = "completed", set()
    np.testing.assert_allclose(remote(batches(server, tmp_path)).embed(["a"]), right(["a"]), rtol=1e-6)


def test_a_batch_that_the_server_forgot_is_not_paid_again_unasked(server: Server, tmp_path: Path):
    with pytest.raises(Killed):
        remote(batches(server, tmp_path, Naps(1))).embed(["a"])
    server.batches.clear()
    with pytest.raises(RemoteError, match=r"batch_0 is not known.*delete .*note.json to ask, and pay, anew"):
        remote(batches(server, tmp_path)).embed(["a"])
    assert not server.batches


@pytest.mark.parametrize("bound", [{"calls": 2}, {"budget": 0.0001, "price": 2.0}])
def test_bounds_hold_before_anything_is_sent(server: Server, tmp_path: Path, bound: dict[str, Any]):
    with pytest.raises(RemoteError, match="is the bound"):
        remote(batches(server, tmp_path, **bound)).embed(["a", "bb", "ccc"])
    assert not server.files and not list(tmp_path.glob("*.json"))


def test_questions_and_objects_come_in_batches_too(server: Server, tmp_path: Path):
    model = Chat(batches(server, tmp_path).endpoint, batches(server, tmp_path))
    np.testing.assert_allclose(model.choose(["a", "b"], OPTIONS), [[-0.1, -3.0]] * 2, rtol=1e-6)
    assert len(server.batches) == 1
    assert model.generate(["bb", "odd"], SCHEMA) == [{"n": 2}, {"n": 3}]
    assert len(server.batches) == 3, "what was no object is asked for once more, in one batch"
    again = Chat(model.endpoint, batches(server, tmp_path))
    assert again.generate(["bb", "odd"], SCHEMA) == [{"n": 2}, {"n": 3}] and len(server.batches) == 3
    assert again.ledger.calls == 0


def test_the_catalogue_is_read_in_batches_where_the_settings_say_so(server: Server, tmp_path: Path):
    store = open_store(f"sqlite:///{tmp_path / 'log.db'}")
    store.put([Item(ItemId("1"), "a"), Item(ItemId("2"), "bb"), Item(ItemId("3"), "")])
    store.close()
    told: dict[str, Any] = {"url": server.url, "model": "m", "width": 3, "batches": True, "poll": 0.001, "price": 2.0}
    keys = {"language.model": "remote", "store.url": f"sqlite:///{tmp_path / 'log.db'}", "data.folder": str(tmp_path / "data")}
    settings = load_settings(None, {}, keys | {f"remote.{name}": value for name, value in told.items()}).settings
    heard: list[str] = []
    assert (plan(settings).texts, plan(settings).calls) == (2, 2)
    done = understand(settings, hear=heard.append)
    assert (done.new, done.left) == (3, 0) and done.ledger is not None and done.ledger.calls == 2
    assert done.ledger.money == pytest.approx(200 * 2 / 1e6 / 2) and heard[-1] == "batch batch_0: is completed, 2 of 2 done"
    assert not list((tmp_path / "data" / "batches").glob("*.json"))
    again = understand(settings)
    assert again.new == 0 and again.ledger is not None and again.ledger.calls == 0 and len(server.batches) == 1


def test_two_runs_at_once_and_a_broken_note_are_told_of(server: Server, tmp_path: Path):
    with exclusive(tmp_path / "lock"), pytest.raises(ArtefactError, match="another process"):
        remote(batches(server, tmp_path)).embed(["a"])
    (tmp_path / "x.note.json").write_text('{"name": 1')
    with pytest.raises(ArtefactError, match=r"x.note.json: is no note of a batch.*paid anew"):
        remote(batches(server, tmp_path)).embed(["a"])
    assert not server.batches
