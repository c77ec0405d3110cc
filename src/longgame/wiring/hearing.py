"""``longgame understand --what reviews``: what all reviews say, planned, within a budget, and kept for people to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longgame.language import VectorCache
from longgame.language.asked import Answers
from longgame.language.cache import OnProgress
from longgame.language.endpoint import Ledger
from longgame.language.remote import Remote
from longgame.language.remote_chat import Chat
from longgame.protocols import LanguageModel
from longgame.settings import Settings
from longgame.types import F32
from longgame.wiring.aspects import Aspects, heard, keep, names_of, reader_of
from longgame.wiring.budget import Budget, Spent, Tell
from longgame.wiring.language import Hear, silent
from longgame.wiring.ledgers import entered, used_by
from longgame.wiring.reading_models import Part, reckoned
from longgame.wiring.reviews import Voices, asked_of, hear, readers_of
from longgame.wiring.understanding import cost_of, seconds_of
from longgame.wiring.workspace import Workspace


@dataclass(frozen=True)
class Forecast:
    """What one model will be asked."""

    model: str
    texts: int
    """That were not read before, each once; the attacks that a model learns to refuse by are among them."""
    seconds: float | None
    """On this machine as it is now, as a sample says; None of a server, which is not asked."""
    cost: float | None = None
    """Of a server, in the currency of remote.price; None where that is 0."""


@dataclass(frozen=True)
class Heard:
    """What reading took, and what came of it."""

    voices: Voices | None
    """None where the budget ended before all was read."""
    aspects: Aspects | None
    """None too where none are asked for."""
    left: int
    """Texts of the model under way that the budget did not reach."""
    seconds: float
    ledger: Ledger | None
    """Of a server."""
    missed: int = 0
    """Texts that a server left without an answer that can be used: the next run asks again."""


class _Rehearsal(VectorCache):
    """A cache that has nothing read: it remembers what would be, and gives zeros."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.todo: dict[str, tuple[LanguageModel, dict[str, None]]] = {}

    def embed(
        self, model: LanguageModel, texts: Sequence[str], on_progress: OnProgress | None = None, batch: int | None = None
    ) -> F32:
        self.todo.setdefault(model.name, (model, {}))[1].update(dict.fromkeys(self.missing(model, texts)))
        out = np.zeros((len(texts), model.width), np.float32)
        out[:, 0] = 1.0  # an answer, so that nothing is left out of the plan for want of one
        return out


def plan(ws: Workspace) -> list[Forecast]:
    """By model, what hearing all reviews will take. Nothing is kept; each model reads a few of the texts.

    Raises as :func:`listen`.
    """
    rehearsal, server = _Rehearsal(Path(ws.settings.data.folder) / "vectors"), asked_of(ws.settings)
    _all(ws, rehearsal, lambda done, total: None, readers_of(ws.settings, server=server), server)
    return [_forecast(ws.settings, model, list(todo), server) for model, todo in rehearsal.todo.values() if todo]


def _forecast(settings: Settings, model: LanguageModel, todo: list[str], server: Chat | None) -> Forecast:
    if server is not None and isinstance(model, Answers):
        part = Part(todo, model.embed, lambda text: server.sent(model.sent(text), model.options), 1, remote=True)
        return Forecast(model.name, len(todo), None, reckoned(server, part).cost)
    if not isinstance(model, Remote):
        return Forecast(model.name, len(todo), seconds_of(model.embed, todo))
    return Forecast(model.name, len(todo), None, cost_of(settings, model, todo))


def listen(
    ws: Workspace, budget: float | None = None, tell: Tell = lambda done, total: None, hear_batches: Hear = silent
) -> Heard:
    """Reads what was not read before, for ``budget`` seconds at most, to the end of the batch under way then.

    Raises DataError where there is too little to learn from, and as ``aspects.reader_of``.
    """
    bound, server = Budget(budget, tell), asked_of(ws.settings, hear_batches)
    readers = readers_of(ws.settings, hear_batches, server)
    names = names_of(ws.settings, readers, server)
    servers: list[Remote | Chat] = [reader for reader in readers if isinstance(reader, Remote)] + ([server] if server else [])

    try:
        with entered(ws.settings, "reviews", lambda: names, lambda: used_by(servers, bound), bound):
            voices, aspects = _all(ws, ws.cache, bound, readers, server)
    except Spent:
        return Heard(None, None, bound.left, bound.passed, used_by(servers, bound) if servers else None)
    for one in servers:
        one.finish()  # the cache has it all
    keep(ws.settings, [item.id for item in ws.store.items()], voices, aspects)
    used = used_by(servers, bound) if servers else None
    return Heard(voices, aspects, 0, bound.passed, used, server.missed if server else 0)


def _all(
    ws: Workspace, cache: VectorCache, tell: Tell, readers: Sequence[LanguageModel], server: Chat | None
) -> tuple[Voices, Aspects | None]:
    settings: Settings = ws.settings
    reader = (
        reader_of(settings, server) if settings.reviews.aspects else None
    )  # what is wrong with it is said before anything is read
    voices = hear(settings, ws.events(), cache, readers, tell)
    return voices, None if reader is None else heard(settings, ws.events(), voices, cache, reader, tell)
