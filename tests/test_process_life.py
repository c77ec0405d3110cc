"""The learner's process lives no longer than its server, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longgame.commands import serving
from tests.test_cli_base import run

ENV = {**{k: v for k, v in os.environ.items() if not k.startswith("LONGGAME_")}, "PYTHONUNBUFFERED": "1"}


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(word) for word in found.stdout.split()]


def lives(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody asked about yet does not."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(found) and not found.startswith("Z")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`longgame serve` on an empty log: its learner waits for a first policy, for an hour if it is let."""
    (tmp_path / "longgame.toml").write_text('[language]\nmodel = "hashing"\n[learner]\npoll = "1h"\n')
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "longgame", "serve", "--port", "0"]
        process = subprocess.Popen(command, cwd=tmp_path, env=ENV, stdout=log, stderr=log)
    yield process, tmp_path / "log"
    process.kill()
    process.wait()


def test_a_server_that_is_killed_leaves_no_learner_behind(server: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, log = server
    deadline = time.monotonic() + 60
    while b"longgame serves" not in log.read_bytes() or not children(process.pid):
        assert time.monotonic() < deadline and process.poll() is None, log.read_text()
        time.sleep(0.1)
    (learner,) = children(process.pid)
    try:
        time.sleep(3)  # it reads its modules, and waits
        assert lives(learner), log.read_text()
        process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 30
        while lives(learner):
            assert time.monotonic() < deadline, "the learner outlived its server"
            time.sleep(0.1)
    finally:
        if lives(learner):
            os.kill(learner, signal.SIGKILL)


def test_a_learner_that_starts_as_the_server_ends_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, started = threading.Event(), list[subprocess.Popen[bytes]]()
    start = subprocess.Popen

    def late(command: list[str]) -> subprocess.Popen[bytes]:
        started.append(start(command))
        stop.set()
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", late)
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    thread = threading.Thread(target=serving._keep, args=(command, stop, []), daemon=True)
    thread.start()
    thread.join(10)
    ended = not thread.is_alive()
    started[0].kill()
    thread.join()
    assert ended, "the learner outlived its server"


def test_a_parent_is_for_following_only() -> None:
    result = run("train", "--parent", "1")
    assert result.exit_code == 2 and "--follow" in result.stderr
    assert "--parent" not in run("train", "--help").output
