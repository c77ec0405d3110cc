"""Requests answered in one batch, within a day and at half the price: /v1/files and /v1/batches of OpenAI's protocol.

A batch is paid for once. Before anything is sent a note is on disk; the batch carries the note's name, so a run that is killed
between sending and writing down what was made finds it again; a note says what its batch was asked for, so a later run
waits for what is under way and sends only what is not. Answers are kept beside the note until ``finish`` says that they are
safe elsewhere.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from longgame.artefacts import write_whole
from longgame.errors import ArtefactError, RemoteError
from longgame.language.calling import Body, Line, Passing, Read, Refused, Route, on_a_thread, pause
from longgame.language.endpoint import Endpoint, Ledger, counted, worst
from longgame.language.lock import exclusive
from longgame.language.remote import REQUESTS

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")

SHARE = 0.5
"""Of the price: what OpenAI takes for an answer within a day."""
BYTES = 100_000_000
"""In a batch, at most: half of what OpenAI takes."""
POLL = 60.0
"""Seconds between two looks at a batch."""
_ENDED = ("completed", "failed", "expired", "cancelled")
_SMALL = 1 << 20
"""Bytes of an answer that says how a batch is."""
_TAG = "longgame"
"""Under which a batch carries its note's name."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Note:
    """What is on disk of a batch."""

    name: str
    url: str
    path: str
    requests: tuple[str, ...]
    """Their names, which are hashes of what is asked."""
    batch: str = ""
    """Its id at the server; empty where it is not known to be made."""
    format: int = 1


class Batches:
    """A ``calling.Carrier`` that has all requests answered in batches, and waits for them. Needs the extra ``remote``."""

    texts = 1  # a request for one text is the same whatever its neighbours are, so it is found again
    patient = True

    def __init__(
        self,
        endpoint: Endpoint,
        folder: Path | str,
        poll: float = POLL,
        tell: Tell = lambda line: None,
        nap: Callable[[float], None] = time.sleep,
    ) -> None:
        """Notes and answers lie in ``folder``. ``tell`` hears how batches get on, every ``poll`` seconds."""
        self.endpoint, self.ledger = endpoint, Ledger()
        self._folder, self._poll, self._tell, self._nap = Path(folder), poll, tell, nap
        self._line = Line(endpoint, self.ledger)
        self._given: set[str] = set()

    def ask(self, route: Route, bodies: Sequence[Body], read: Read[T]) -> list[T | Refused]:
        """One answer for each request, or why there is none. Stopped, it goes on where it is called again.

        Raises RemoteError as ``Line.ask``, and where a batch fails as a whole or is not known to the server any more;
        ArtefactError where another process is at it.
        """
        names = [_name(route.path, body) for body in bodies]
        wanted = dict(zip(names, bodies, strict=True))
        self._folder.mkdir(parents=True, exist_ok=True)
        with exclusive(self._folder / "lock"):
            for note in self._notes():
                if not note.batch:
                    self._make(note, None)
            notes = [note for note in self._notes() if note.path == route.path]
            under_way = [note for note in notes if not wanted.keys().isdisjoint(note.requests)]
            asked = {name for note in under_way for name in self._due(note)}
            under_way += self._send(route.path, {name: body for name, body in wanted.items() if name not in asked})
            for note in under_way:
                self._wait(note, wanted, route.longest)
            answers = {name: line for note in under_way for name, line in self._answers(note).items() if name in wanted}
            told = {name: self._read(body, answers.get(name), read) for name, body in wanted.items()}
            for note in under_way:  # what is no answer is not kept, so that the next run asks again
                good = {name: line for name, line in self._answers(note).items() if not isinstance(told.get(name), Refused)}
                write_whole(self._came(note), json.dumps(good).encode())
        self._given.update(names)
        return [told[name] for name in names]

    def finish(self) -> None:
        """What :meth:`ask` gave is safe elsewhere: batches of which nothing else is left are forgotten."""
        for note in self._notes():
            if self._came(note).exists() and self._given.issuperset(self._answers(note)):
                self._forget(note)

    def _send(self, path: str, todo: Mapping[str, Body]) -> list[Note]:
        """Puts ``todo`` into batches. Bounds are held against all of it before any is sent."""
        e = self.endpoint
        if todo:
            self.ledger.check(e, len(todo), sum(e.cost(*worst(body), SHARE) for body in todo.values()))
        sent = []
        for part in _parts(path, todo):
            note = Note(secrets.token_hex(8), e.url, path, tuple(part))
            self._write(note)
            sent.append(self._make(note, "\n".join(part.values()).encode()))
        return [note for note in sent if note is not None]

    def _make(self, note: Note, lines: bytes | None) -> Note | None:
        """The note with its batch, made now or found at the server. Without ``lines`` it is only looked for."""
        made = on_a_thread(self._made(note, lines))
        if made is None:
            self._forget(note)  # it was never made, so nothing is paid for
            return None
        note = replace(note, batch=made)
        self._write(note)
        self._tell(f"batch {made}: {len(note.requests):,} requests")
        if lines is not None:
            self.ledger.calls += len(note.requests)
        return note

    async def _made(self, note: Note, lines: bytes | None) -> str | None:
        async with self._line.client(4 * _SMALL) as client:
            if lines is None:
                return await self._found(client, note)
            file = await self._line.tried(lambda: client.files.create(file=(f"{note.name}.jsonl", lines), purpose="batch"))
            for attempt in range(self.endpoint.tries):
                try:
                    # Tried once: that no answer came does not say that no batch was made. It is looked for first.
                    return str(await self._line.told(lambda: self._create(client, note, _id(file))))
                except Passing as trouble:
                    await pause(attempt, trouble.wait)
                    if found := await self._found(client, note):
                        return found
            raise RemoteError(
                f"{self.endpoint.where}: no batch could be made of {len(note.requests):,} requests; try again later"
            )

    async def _create(self, client: AsyncOpenAI, note: Note, file: str) -> str:
        path: Any = f"/v1{note.path}"
        made = await client.batches.create(
            input_file_id=file, endpoint=path, completion_window="24h", metadata={_TAG: note.name}
        )
        return _id(made)

    async def _found(self, client: AsyncOpenAI, note: Note) -> str | None:
        """The batch that carries the note's name, among the newest hundred. Raises RemoteError where they cannot be told."""

        async def newest() -> list[Any]:
            listed = await client.get("/batches?limit=100", cast_to=object)
            batches = listed.get("data") if isinstance(listed, Mapping) else None
            if not isinstance(batches, list):  # nothing is known then, above all not that there is no batch
                raise Passing("the list of batches is none")
            return batches

        listed = await self._line.tried(newest)
        for batch in listed if isinstance(listed, list) else ():
            told = batch.get("metadata") if isinstance(batch, Mapping) else None
            if isinstance(told, Mapping) and told.get(_TAG) == note.name:
                return str(batch["id"])
        return None

    def _due(self, note: Note) -> Iterable[str]:
        """Requests that need not be sent: answered, or to be answered."""
        return self._answers(note) if self._came(note).exists() else note.requests

    def _wait(self, note: Note, wanted: Mapping[str, Body], longest: int) -> None:
        """Until the batch has ended and its answers are on disk."""
        said = ""
        while not self._came(note).exists():
            state = on_a_thread(self._state(note))
            told = _told(state)
            if told != said:
                self._tell(f"batch {note.batch}: {told}")
            said = told
            if state["status"] not in _ENDED:
                self._nap(self._poll)
                continue
            files = [file for part in ("output", "error") if isinstance(file := state.get(f"{part}_file_id"), str)]
            if not files:
                self._forget(note)
                raise RemoteError(
                    f"{self.endpoint.where}: batch {note.batch} {told}; nothing came of it, and the next run asks anew"
                )
            lines = on_a_thread(self._fetched(files, longest * len(note.requests)))
            kept = dict(_lines(lines, set(note.requests)))
            for name, answer in kept.items():
                if answer["status"] == 200:
                    unsaid = worst(wanted[name]) if name in wanted else (0, 0)
                    self.ledger.charge(self.endpoint, counted(answer["body"]) or unsaid, SHARE)
            self.ledger.failed += len(note.requests) - sum(answer["status"] == 200 for answer in kept.values())
            write_whole(self._came(note), json.dumps(kept).encode())

    async def _state(self, note: Note) -> Mapping[str, Any]:
        def checked(state: Any) -> Mapping[str, Any]:
            if not isinstance(state, Mapping) or not isinstance(state.get("status"), str):
                raise Passing(f"asked how a batch is, got {self.endpoint.short(state)}")
            return state

        async def asked() -> Mapping[str, Any]:
            return checked(await client.get(f"/batches/{note.batch}", cast_to=object))

        async with self._line.client(_SMALL) as client:
            state = await self._line.tried(asked, (404,))
        if isinstance(state, Refused):
            raise RemoteError(
                f"{self.endpoint.where}: batch {note.batch} is not known there any more ({state.told}); delete "
                f"{self._path(note)} to ask, and pay, anew"
            )
        return state

    async def _fetched(self, files: Iterable[str], longest: int) -> bytes:
        async with self._line.client(longest + _SMALL) as client:
            parts = []
            for file in files:
                part = await self._line.tried(lambda file=file: client.files.content(file))  # type: ignore[misc]  # bound by the default
                parts.append(b"" if isinstance(part, Refused) else part.content)
            return b"\n".join(parts)

    def _read(self, body: Body, line: Mapping[str, Any] | None, read: Read[T]) -> T | Refused:
        if line is None:
            return Refused(0, "the batch ended without an answer to it")
        if line["status"] != 200:
            return Refused(line["status"], f"the server says {line['status']}: {self.endpoint.short(line['body'])}")
        try:
            return read(body, line["body"])
        except Passing as trouble:
            return Refused(0, str(trouble))

    def _answers(self, note: Note) -> Mapping[str, Mapping[str, Any]]:
        path = self._came(note)
        try:
            told: Mapping[str, Mapping[str, Any]] = json.loads(path.read_bytes())
        except ValueError as error:
            raise ArtefactError(f"{path}: is not JSON ({error}); delete it, and the same answers are fetched again") from None
        return told

    def _notes(self) -> list[Note]:
        """Of this server, oldest first."""
        found = []
        for path in sorted(self._folder.glob("*.note.json"), key=lambda path: (path.stat().st_mtime_ns, path.name)):
            try:
                told = json.loads(path.read_bytes())
                found.append(Note(**told | {"requests": tuple(told["requests"])}))
            except (KeyError, TypeError, ValueError) as error:
                raise ArtefactError(
                    f"{path}: is no note of a batch ({error}); delete it if its batch may be paid anew"
                ) from None
        return [note for note in found if note.url == self.endpoint.url]

    def _write(self, note: Note) -> None:
        write_whole(self._path(note), json.dumps(asdict(note)).encode())

    def _forget(self, note: Note) -> None:
        self._path(note).unlink(missing_ok=True)  # first: answers without a note are never asked for
        self._came(note).unlink(missing_ok=True)

    def _path(self, note: Note) -> Path:
        return self._folder / f"{note.name}.note.json"

    def _came(self, note: Note) -> Path:
        return self._folder / f"{note.name}.answers.json"


def _name(path: str, body: Body) -> str:
    return blake2b(json.dumps([path, body], sort_keys=True).encode(), digest_size=16).hexdigest()


def _id(made: Any) -> str:
    """Raises Passing where what was made has none."""
    if isinstance(found := getattr(made, "id", None), str) and found.isprintable() and "/" not in found:
        return found
    raise Passing(f"asked for something with an id, got {' '.join(str(made).split())[:100]}")


def _parts(path: str, todo: Mapping[str, Body]) -> Iterator[dict[str, str]]:
    """Lines of a batch's file by the names of their requests, as many as a batch may have."""
    part: dict[str, str] = {}
    size = 0
    for name, body in todo.items():
        line = json.dumps({"custom_id": name, "method": "POST", "url": f"/v1{path}", "body": body})
        if part and (len(part) == REQUESTS or size + len(line) > BYTES):
            yield part
            part, size = {}, 0
        part[name] = line
        size += len(line) + 1
    if part:
        yield part


def _lines(raw: bytes, known: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Request and what came of it; lines that are none, or of no request of ours, are left out."""
    for line in raw.splitlines():
        try:
            told = json.loads(line)
            name, response = told["custom_id"], told.get("response") or {}
            status, body = response.get("status_code"), response.get("body", told.get("error"))
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            continue
        if isinstance(name, str) and name in known:
            known.discard(name)
            yield name, {"status": status if isinstance(status, int) else 0, "body": body}


def _told(state: Mapping[str, Any]) -> str:
    """How a batch is, in a line."""
    counts, errors = state.get("request_counts"), state.get("errors")
    done = f", {counts.get('completed')} of {counts.get('total')} done" if isinstance(counts, Mapping) else ""
    data = errors.get("data") if isinstance(errors, Mapping) else None
    why = f" ({' '.join(str(data[0]).split())[:200]})" if isinstance(data, list) and data else ""
    return f"is {state['status']}{done}{why}"
