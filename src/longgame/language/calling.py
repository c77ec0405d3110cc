"""Calls to a server that speaks OpenAI's protocol: many at a time, tried again where that may help, within bounds.

What comes back over a network is believed in nothing. A call has a time limit that holds for all of it, so a server that
drips bytes is given up like one that hangs; an answer is read up to the size that it can rightly have. What may pass is tried
again after a pause that doubles and is drawn (full jitter: Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog,
2015); what will not (a wrong key, a wrong model) is told at once. Calls, tokens and money have a bound, after which nothing
more is sent.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from longgame.errors import MissingExtra, RemoteError
from longgame.language.endpoint import Endpoint, Ledger, counted, worst

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")
Body = Mapping[str, Any]
Read = Callable[[Body, Any], T]
"""Request and answer -> what the answer says; raises Passing where it is none."""

_FEATURE = "a language model behind an endpoint"
_PASSING = (408, 409, 425, 429)
"""Statuses that may be another at the next try, beside all of 500 and above but 501, which says: never."""
_FIRST, _LONGEST = 0.5, 30.0
"""Seconds of the pause before the second try at most, and of any pause."""
_HOW = "see that the server runs, or raise remote.timeout or remote.tries"


@dataclass(frozen=True)
class Route:
    """What is asked for, and what an answer may be."""

    path: str
    """After the endpoint's url: /embeddings"""
    longest: int
    """Bytes that an answer can rightly have, at most."""
    borne: tuple[int, ...] = ()
    """Statuses of a refusal that is handed back, for whoever asks to ask otherwise; any other is an error."""
    misread: tuple[str, ...] = ()
    """Words that, all of them in what is said with status 500, make it such a refusal: a server may call a request that it
    does not understand an error of its own."""


@dataclass(frozen=True)
class Refused:
    """What came in the place of an answer."""

    status: int
    """Of HTTP; 0 where nothing came."""
    told: str


class Passing(Exception):
    """What may go better at the next try, and how many seconds the server asks to wait."""

    def __init__(self, told: str, wait: float = 0.0) -> None:
        super().__init__(told)
        self.wait = wait


class Carrier(Protocol):
    """Carries requests to a server and answers back: one by one (``Line``), or all in one batch (``Batches``)."""

    endpoint: Endpoint
    ledger: Ledger
    texts: int
    """In a request for vectors."""
    patient: bool
    """Whether an answer takes hours, so that nothing can be found out by asking."""

    def ask(self, route: Route, bodies: Sequence[Body], read: Read[T]) -> list[T | Refused]:
        """One answer, as ``read`` makes it, for each request.

        Raises RemoteError where the server cannot be had, refuses what is not borne, or a bound is reached; MissingExtra
        without the client.
        """

    def finish(self) -> None:
        """What came is safe elsewhere: nothing need be kept of it."""


class Line:
    """Calls, some under way at a time. Needs the extra ``remote``."""

    patient = False

    def __init__(self, endpoint: Endpoint, ledger: Ledger | None = None) -> None:
        self.endpoint = endpoint
        self.ledger = ledger or Ledger()
        self.texts = endpoint.batch
        self._held = 0.0

    def ask(self, route: Route, bodies: Sequence[Body], read: Read[T]) -> list[T | Refused]:
        return on_a_thread(self._all(route, bodies, read)) if bodies else []

    def finish(self) -> None:
        """Nothing is kept here."""

    async def _all(self, route: Route, bodies: Sequence[Body], read: Read[T]) -> list[T | Refused]:
        async with self.client(route.longest) as client:
            free = asyncio.Semaphore(self.endpoint.concurrency)

            async def one(body: Body) -> T | Refused:
                async with free:
                    return await self.tried(lambda: self._call(client, route.path, body, read), route.borne, route.misread)

            tasks = [asyncio.create_task(one(body)) for body in bodies]
            try:
                return await asyncio.gather(*tasks)
            finally:  # the first failure ends the others
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def client(self, longest: int) -> AsyncIterator[AsyncOpenAI]:
        """OpenAI's client, answers of ``longest`` bytes at most. No redirects: a key is for the server that was named."""
        from httpx2 import AsyncClient, AsyncHTTPTransport
        from openai import AsyncOpenAI

        from longgame.language.bounded import Bounded

        e = self.endpoint
        # Reading the certificates of the world takes a while, and plain http needs none of them: it gets an empty store.
        trust = True if e.url.startswith("https") else SSLContext(PROTOCOL_TLS_CLIENT)
        line = Bounded(AsyncHTTPTransport(verify=trust), longest)
        async with AsyncClient(transport=line, timeout=e.timeout, trust_env=False) as web:
            yield AsyncOpenAI(base_url=e.url, api_key=e.key or "none", max_retries=0, http_client=web)

    async def tried(
        self, call: Callable[[], Awaitable[T]], borne: Sequence[int] = (), misread: Sequence[str] = ()
    ) -> T | Refused:
        """The result of ``call``, which is made again where it raises Passing or what comes to that."""
        for attempt in range(self.endpoint.tries):
            try:
                return await self.told(call, borne, misread)
            except Passing as trouble:
                if attempt + 1 == self.endpoint.tries:
                    raise RemoteError(f"{self.endpoint.where}: {trouble} ({self.endpoint.tries} tries); {_HOW}") from None
                await pause(attempt, trouble.wait)
        raise AssertionError("a call ends by an answer or by an error")

    async def told(
        self, call: Callable[[], Awaitable[T]], borne: Sequence[int] = (), misread: Sequence[str] = ()
    ) -> T | Refused:
        """One try. Raises Passing for what may go better at the next, RemoteError for what will not."""
        import httpx2
        import openai

        e = self.endpoint
        try:
            async with asyncio.timeout(e.timeout):
                return await call()
        except (TimeoutError, openai.APITimeoutError):
            raise Passing(f"no whole answer within {e.timeout:g} s") from None
        except openai.APIStatusError as error:
            told = f"the server says {error.status_code}: {e.short(error)}"
            own_fault = error.status_code == 500 and misread and all(word in told for word in misread)
            if error.status_code in borne or own_fault:
                return Refused(error.status_code, told)
            if (error.status_code >= 500 and error.status_code != 501) or error.status_code in _PASSING:
                raise Passing(told, _wait(error.response.headers.get("retry-after", ""))) from None
            raise RemoteError(f"{e.where}: {told}; mend remote.url, remote.model or the key") from None
        except (openai.APIError, httpx2.HTTPError, ValueError, RecursionError) as error:  # JSON raises the last two
            raise Passing(f"{type(error).__name__}: {e.short(error.__cause__ or error)}") from None

    async def _call(self, client: AsyncOpenAI, path: str, body: Body, read: Read[T]) -> T:
        """One try, entered in the ledger. An answer that never came is counted as if it had, unless the server said no."""
        import openai
        from httpx2 import ConnectError, ConnectTimeout

        e, ledger, most = self.endpoint, self.ledger, worst(body)
        ledger.check(e, 1, e.cost(*most), self._held)
        ledger.calls += 1
        self._held += e.cost(*most)
        began, used, answered = time.perf_counter(), most, False
        try:
            answer = await client.post(path, cast_to=object, body=dict(body))
            if isinstance(answer, str):  # what a server sends under another name than JSON is handed over as text
                answer = json.loads(answer)
            used = counted(answer) or most
            told = read(body, answer)
            answered = True
            return told
        except (openai.APIStatusError, openai.APIConnectionError) as error:
            if isinstance(error, openai.APIStatusError) or isinstance(error.__cause__, (ConnectError, ConnectTimeout)):
                used = (0, 0)  # nobody is paid for these
            raise
        finally:
            self._held -= e.cost(*most)
            ledger.failed += not answered
            ledger.seconds += time.perf_counter() - began
            ledger.charge(e, used)


def installed() -> bool:
    """Whether the client's package is here. Imports nothing."""
    return find_spec("openai") is not None


async def pause(attempt: int, least: float = 0.0) -> None:
    """Before the try after ``attempt``, counted from 0."""
    await asyncio.sleep(max(least, min(_LONGEST, _FIRST * 2**attempt) * secrets.randbelow(1000) / 1000))


def _wait(said: str) -> float:
    """Seconds that a Retry-After says, at most ``_LONGEST``; a date is taken for nothing."""
    try:
        seconds = float(said)
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), _LONGEST) if math.isfinite(seconds) else 0.0


def on_a_thread(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, run on a thread of its own: the caller may be in an event loop already.

    Who interrupts this thread ends the other. Raises MissingExtra without the client.
    """
    if not installed():
        work.close()
        raise MissingExtra(_FEATURE, "openai", "remote")
    under_way: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def whole() -> T:
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
