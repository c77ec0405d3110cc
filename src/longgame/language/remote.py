"""Texts read by a server that speaks OpenAI's protocol: vLLM, Ollama, llama.cpp, LM Studio, a hosted one.

What comes back over a network is believed in nothing. A call has a time limit that holds for all of it, so a server that
drips bytes is given up like one that hangs; an answer is read up to the size that it can rightly have; and its numbers must
be as many, as wide and as finite as was asked for. What may pass is tried again after a pause that doubles and is drawn
(full jitter: Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015); what will not (a wrong key, a wrong
model) is told at once. Calls and tokens have a bound, after which nothing more is sent.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from longgame.errors import ConfigError, MissingExtra, RemoteError
from longgame.types import F32

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_FEATURE = "a language model behind an endpoint"
_PASSING = (408, 409, 425, 429)
"""Statuses that may be another at the next try, beside all of 500 and above."""
_FIRST, _LONGEST = 0.5, 30.0
"""Seconds of the pause before the second try at most, and of any pause."""
_NUMBER, _AROUND = 32, 65_536
"""Bytes of a number in an answer, at most, and of all that is not numbers."""


@dataclass(frozen=True)
class Endpoint:
    """A server and a model, and how much is asked of it at most."""

    url: str
    """As clients of OpenAI's protocol name it, with the path: http://localhost:11434/v1"""
    model: str
    width: int
    """Of the model's vectors; an answer of another width is refused."""
    key: str = field(default="", repr=False)
    """Sent as a bearer token; no part of any name, message or file."""
    timeout: float = 60.0
    """Seconds for one call, from the first byte to the last."""
    tries: int = 4
    """Of one call; 1: never again."""
    concurrency: int = 4
    """Calls under way at a time."""
    batch: int = 64
    """Texts in a call."""
    calls: int = 0
    """That may be made in all, further tries counted; 0: no bound."""
    tokens: int = 0
    """That may be used in all, as the server counts them; 0: no bound. No call is begun after it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.key.strip())
        if not self.key.isascii() or not self.key.isprintable():
            raise ConfigError("Endpoint.key: must be printable ASCII, which a header can hold; see remote.key_env")
        _check_url(self.url)
        if not self.model or not self.model.isprintable():
            raise ConfigError(f"Endpoint.model: must be a name, got {self.model!r}")
        least = min(self.width, self.tries, self.concurrency, self.batch)
        if least < 1 or not self.timeout > 0:
            raise ConfigError(f"Endpoint: width, tries, concurrency and batch must be 1 or more, timeout above 0, got {self}")
        if min(self.calls, self.tokens) < 0:
            raise ConfigError(f"Endpoint: bounds on calls and tokens must be 1 or more, or 0 for none, got {self}")


@dataclass
class Ledger:
    """What was used so far."""

    calls: int = 0
    """Sent, whatever came of them."""
    failed: int = 0
    tokens: int = 0
    """As the server counts; a server that does not count says 0."""
    seconds: float = 0.0
    """Waited for answers, calls under way together counted once each."""

    def add(self, calls: int, tokens: int, seconds: float) -> None:
        """What a model on this machine was asked: a prompt is a call."""
        self.calls, self.tokens, self.seconds = self.calls + calls, self.tokens + tokens, self.seconds + seconds


class Remote:
    """A ``protocols.LanguageModel`` behind an endpoint. Needs the extra ``remote``."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.ledger = Ledger()

    @staticmethod
    def installed() -> bool:
        """Whether the client's package is here. Imports nothing."""
        return find_spec("openai") is not None

    @property
    def name(self) -> str:
        """The model's; where it runs is no part of it, so a server may move."""
        return f"remote-{self.endpoint.model}-{self.endpoint.width}"

    @property
    def width(self) -> int:
        return self.endpoint.width

    def embed(self, texts: Sequence[str]) -> F32:
        """(n, width), unit rows, zeros for a text without a visible character: of those the server is not asked.

        Raises RemoteError where the server cannot be had, refuses, or answers what is no answer, and where a bound is
        reached; MissingExtra without the client.
        """
        if not self.installed():
            raise MissingExtra(_FEATURE, "openai", "remote")
        out = np.zeros((len(texts), self.width), np.float32)
        told = [row for row, text in enumerate(texts) if text.strip()]
        if told:
            seen = [texts[row].encode("utf-8", "replace").decode() for row in told]
            # On a thread of its own: the caller may be in an event loop already, and only one can run on a thread.
            out[told] = _on_a_thread(self._all(seen))
        return out

    @property
    def batch(self) -> int:
        """Texts whose answers are worth keeping before more is asked: what is under way together."""
        e = self.endpoint
        return e.batch * min(e.concurrency, e.calls or e.concurrency)

    async def _all(self, texts: Sequence[str]) -> F32:
        from httpx2 import AsyncClient, AsyncHTTPTransport
        from openai import AsyncOpenAI

        from longgame.language.bounded import Bounded

        e = self.endpoint
        parts = [texts[first : first + e.batch] for first in range(0, len(texts), e.batch)]
        most = _AROUND + _NUMBER * e.width * e.batch
        # No redirects: a key is for the server that was named.
        async with AsyncClient(transport=Bounded(AsyncHTTPTransport(), most), timeout=e.timeout, trust_env=False) as web:
            client = AsyncOpenAI(base_url=e.url, api_key=e.key or "none", max_retries=0, http_client=web)
            free = asyncio.Semaphore(e.concurrency)
            tasks = [asyncio.create_task(self._part(client, part, free)) for part in parts]
            try:
                return np.concatenate(await asyncio.gather(*tasks))
            finally:  # the first failure ends the others
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _part(self, client: AsyncOpenAI, texts: Sequence[str], free: asyncio.Semaphore) -> F32:
        async with free:
            for attempt in range(self.endpoint.tries):
                try:
                    return await self._call(client, texts)
                except _Passing as trouble:
                    if attempt + 1 == self.endpoint.tries:
                        raise RemoteError(f"{self._where}: {trouble} ({self.endpoint.tries} tries); {_HOW}") from None
                    longest = min(_LONGEST, _FIRST * 2**attempt)
                    await asyncio.sleep(max(trouble.wait, longest * secrets.randbelow(1000) / 1000))
        raise AssertionError("a call ends by an answer or by an error")

    @property
    def _where(self) -> str:
        return f"{self.endpoint.url}, model {self.endpoint.model}"

    def _short(self, told: object) -> str:
        """One line of what was said, without the key, which a server may send back."""
        line = " ".join(str(told).split())
        return (line.replace(self.endpoint.key, "***") if self.endpoint.key else line)[:200]

    async def _call(self, client: AsyncOpenAI, texts: Sequence[str]) -> F32:
        """One try. Raises _Passing for what may go better at the next, RemoteError for what will not."""
        import httpx2
        import openai

        self._check_bounds()
        self.ledger.calls += 1
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self.endpoint.timeout):
                answer = await client.embeddings.create(model=self.endpoint.model, input=list(texts), encoding_format="float")
            rows = self._read(answer, len(texts))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.ledger.failed += 1
            if isinstance(error, (TimeoutError, openai.APITimeoutError)):
                raise _Passing(f"no whole answer within {self.endpoint.timeout:g} s") from None
            if isinstance(error, openai.APIStatusError):
                self._refused(error)
            if isinstance(error, (openai.APIError, httpx2.HTTPError, ValueError, RecursionError)):  # JSON raises the last two
                raise _Passing(f"{type(error).__name__}: {self._short(error.__cause__ or error)}") from None
            raise
        finally:
            self.ledger.seconds += time.perf_counter() - began
        return rows

    def _check_bounds(self) -> None:
        for what, used, most in (
            ("calls", self.ledger.calls, self.endpoint.calls),
            ("tokens", self.ledger.tokens, self.endpoint.tokens),
        ):
            if most and used >= most:
                raise RemoteError(
                    f"{self._where}: {used:,} {what} are used, and {most:,} is the bound; what was read before "
                    f"this batch is kept, raise remote.{what} to go on"
                )

    def _refused(self, error: Any) -> None:
        """Raises for an answer that says no."""
        told = f"the server says {error.status_code}: {self._short(error)}"
        if error.status_code >= 500 or error.status_code in _PASSING:
            raise _Passing(told, _wait(error.response.headers.get("retry-after", ""))) from None
        raise RemoteError(f"{self._where}: {told}; mend remote.url, remote.model or the key") from None

    def _read(self, answer: Any, count: int) -> F32:
        """(n, width) unit rows of an answer. Raises _Passing where it is none."""
        usage = getattr(answer, "usage", None)
        used = getattr(usage, "total_tokens", 0)
        self.ledger.tokens += used if isinstance(used, int) and used > 0 else 0
        data = getattr(answer, "data", None)
        if not isinstance(data, list) or len(data) != count:
            got = f"{len(data)} vectors" if isinstance(data, list) else f"{type(answer).__name__} {self._short(answer)}"
            raise _Passing(f"asked for {count} vectors, got {got}")
        places = [place for row in data if isinstance(place := getattr(row, "index", None), int)]
        if sorted(places) != list(range(count)):
            raise _Passing("the vectors are not numbered from 0 on, so whose they are is not known")
        try:
            rows = np.array([np.asarray(row.embedding, np.float64) for row in data])
        except (TypeError, ValueError):
            raise _Passing("vectors are not rows of numbers of one width") from None
        if rows.ndim != 2 or not np.isfinite(rows).all():
            raise _Passing("vectors are not rows of finite numbers")
        if rows.shape[1] != self.width:
            raise RemoteError(
                f"{self._where}: its vectors have {rows.shape[1]} numbers, and {self.width} were expected; set "
                f"remote.width = {rows.shape[1]}"
            )
        largest = np.abs(rows).max(axis=1, keepdims=True)
        if not largest.all():
            raise _Passing("a vector is all zeros, and says nothing")
        rows /= largest  # else the squares of large numbers would overflow
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        out = np.empty((count, self.width), np.float32)
        out[places] = rows
        return out


_HOW = "see that the server runs, or raise remote.timeout or remote.tries"


class _Passing(Exception):
    """What may go better at the next try, and how many seconds the server asks to wait."""

    def __init__(self, told: str, wait: float = 0.0) -> None:
        super().__init__(told)
        self.wait = wait


def _wait(said: str) -> float:
    """Seconds that a Retry-After says, at most ``_LONGEST``; a date is taken for nothing."""
    try:
        seconds = float(said)
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), _LONGEST) if math.isfinite(seconds) else 0.0


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        fine, parts = False, urlsplit("")
    if not fine:
        raise ConfigError(f"Endpoint.url: must be like http://localhost:11434/v1, got {url!r}")
    if parts.username or parts.password:
        raise ConfigError("Endpoint.url: must hold no user and no password; give the key in the environment (remote.key_env)")


def _on_a_thread(work: Coroutine[Any, Any, F32]) -> F32:
    """The result of ``work``, run on a thread of its own; who interrupts this one ends the other."""
    under_way: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def whole() -> F32:
        task = asyncio.current_task()
        assert task is not None
        under_way.append((asyncio.get_running_loop(), task))
        return await work

    with ThreadPoolExecutor(1, "remote") as pool:
        future = pool.submit(asyncio.run, whole())
        try:
            return future.result()
        except BaseException:
            if under_way and not future.done():
                loop, task = under_way[0]
                loop.call_soon_threadsafe(task.cancel)
            raise
