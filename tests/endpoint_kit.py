"""A server on this machine that answers as it is told to, rightly or wrongly, and keeps what it was asked."""

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler", dict[str, Any]], None]


class Handler(BaseHTTPRequestHandler):
    """Answers as its server's next answer says, and keeps what it was asked."""

    server: "Server"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.asked.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.server.under_way += 1
            self.server.most = max(self.server.most, self.server.under_way)
            answer = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        try:
            answer(self, body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client went away, as it should
        finally:
            with self.server.lock:
                self.server.under_way -= 1

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def say(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked, self.lock = answers, list[tuple[dict[str, str], dict[str, Any]]](), threading.Lock()
        self.under_way = self.most = 0
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


def status(code: int, **headers: str) -> Answer:
    return lambda h, asked: h.say(code, b'{"error": {"message": "no, says the server"}}', **headers)


def text_of(content: bytes, kind: str = "application/json") -> Answer:
    return lambda h, asked: h.say(200, content, kind)


def message(text: str | None, tops: list[tuple[str, float]] | None = None, **changes: Any) -> bytes:
    """What a chat server says, with the first token's likeliest and their probabilities where ``tops`` tells them."""
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    if tops is not None:
        listed = [{"token": token, "logprob": math.log(p) if p else -9999.0, "bytes": None} for token, p in tops]
        choice["logprobs"] = {"content": [listed[0] | {"top_logprobs": listed}] if listed else []}
    usage = {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22}
    return json.dumps({"object": "chat.completion", "choices": [choice | changes], "usage": usage}).encode()


def says(text: str | None, tops: list[tuple[str, float]] | None = None, **changes: Any) -> Answer:
    return text_of(message(text, tops, **changes))


def hangs(h: Handler, asked: dict[str, Any]) -> None:
    h.server.over.wait()


def drips(h: Handler, asked: dict[str, Any]) -> None:
    h.send_response(200)
    h.send_header("content-type", "application/json")
    h.send_header("content-length", "1000")
    h.end_headers()
    while not h.server.over.wait(0.05):
        h.wfile.write(b" ")
        h.wfile.flush()


def floods(h: Handler, asked: dict[str, Any]) -> None:
    h.say(200, b'{"data": "' + b"x" * 10_000_000 + b'"}')


def cuts(h: Handler, asked: dict[str, Any]) -> None:
    h.send_response(200)
    h.send_header("content-length", "1000")
    h.end_headers()
    h.wfile.write(b'{"data": [')
    h.close_connection = True


@contextmanager
def serving(*answers: Answer) -> Iterator[Server]:
    server = Server(list(answers))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
