"""What the log's reviews say of single aspects of items: columns of item vectors, and a line for people.

The same bounds hold as for what they say on the whole (``wiring.reviews``): a review that is refused has no voice, of one user,
item and aspect the last word counts, and a mean is drawn to that of all items by how few voices there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from longgame.artefacts import write_whole
from longgame.language import Features, VectorCache
from longgame.language.adapter import Adapted
from longgame.language.aspects import AspectReader
from longgame.language.questions import ASPECT_BRIEF
from longgame.language.remote_chat import Chat
from longgame.language.sentiment import Opinions
from longgame.protocols import Chooser, LanguageModel
from longgame.settings import Settings
from longgame.types import F32, Event, ItemId, UserId
from longgame.wiring.budget import Tell
from longgame.wiring.language import small_of
from longgame.wiring.reviews import Voice, Voices, adapter_of, asked_of, kinds_of, opinions_of

COLUMNS = 2
"""Of each aspect."""


@dataclass(frozen=True)
class Aspects:
    """What the log's reviews say of each aspect."""

    names: tuple[str, ...]
    voices: tuple[tuple[Voice, ...], ...]
    """For each aspect, one a user and item that names it: the item, what is said in [-1, 1], and that one's deviation."""
    version: str

    def opinions(self, ids: Sequence[ItemId]) -> list[Opinions]:
        """For each aspect, of each of the items."""
        return [opinions_of(voices, ids) for voices in self.voices]

    def columns(self, ids: Sequence[ItemId]) -> F32:
        """(I, 2 A) of each aspect the mean in [-1, 1], from the middle of all, and how unsure it is, in [0, 1]."""
        out = []
        for voices, told in zip(self.voices, self.opinions(ids), strict=True):
            level = float(np.mean([value for _, value, _ in voices])) if voices else 0.0
            out += [np.clip(told.mean - level, -1, 1), np.clip(np.nan_to_num(told.deviation, posinf=1.0), 0, 1)]
        return np.stack(out, axis=1).astype(np.float32)

    def beside(self, text: Features) -> Features:
        """The same items, the columns behind the vectors of their texts."""
        return text.widened(self.version, self.columns(text.ids))


def reader_of(settings: Settings, server: Chat | None = None) -> AspectReader:
    """What asks about aspects: ``server`` where it reads reviews, or the small model.

    Raises ConfigError for aspects or an adapter that are none, ArtefactError, MissingExtra.
    """
    server = server or asked_of(settings)
    if server is not None:
        return AspectReader(server, settings.reviews.aspects)
    model: Chooser = small_of(settings)
    adapter = adapter_of(settings)
    if adapter is not None and adapter.question == ASPECT_BRIEF:
        return AspectReader(Adapted(small_of(settings), adapter), settings.reviews.aspects, ASPECT_BRIEF)
    return AspectReader(model, settings.reviews.aspects)


def names_of(settings: Settings, readers: Sequence[LanguageModel], server: Chat | None) -> str:
    """What reads reviews, on the whole and of aspects where they are wanted, as one name. Raises as :func:`reader_of`."""
    aspects = (reader_of(settings, server).version,) if settings.reviews.aspects else ()
    return "+".join((*(reader.name for reader in readers), *aspects))


def heard(
    settings: Settings,
    events: Iterable[Event],
    voices: Voices,
    cache: VectorCache | None,
    reader: AspectReader | None = None,
    tell: Tell | None = None,
) -> Aspects:
    """What the reviews among ``events`` say of the aspects that they name. ``voices`` is what they say on the whole.

    Raises as :func:`reader_of`.
    """
    reader = reader or reader_of(settings)
    kinds = kinds_of(settings)
    log = [event for event in events if event.kind in kinds and event.text and reader.named(event.text)]
    fine = voices.model.hear([event.text for event in log], cache, tell)[1]
    log = sorted((event for event, ok in zip(log, fine, strict=True) if ok), key=lambda e: (e.at, e.id))
    told = reader.read([event.text for event in log], cache, tell)
    last: list[dict[tuple[UserId, ItemId], Voice]] = [{} for _ in reader.names]
    for row, place, value, noise in zip(told.text, told.aspect, told.value, told.noise, strict=True):
        event = log[row]
        last[place][event.user, event.item] = (event.item, float(value), float(noise))
    return Aspects(reader.names, tuple(_alike(list(one.values())) for one in last), reader.version)


def _alike(voices: Sequence[Voice]) -> tuple[Voice, ...]:
    """Each with the deviation of all of them together: by its own, who is surest of itself would drown the others."""
    noise = float(np.sqrt(np.mean([noise**2 for _, _, noise in voices]))) if voices else 0.0
    return tuple((item, value, noise) for item, value, _ in voices)


def keep(settings: Settings, ids: Sequence[ItemId], voices: Voices, aspects: Aspects | None) -> Mapping[ItemId, Any]:
    """What is said of each item that anybody speaks of, into the data folder, for ``longgame understand --show``."""
    whole = voices.opinions(ids)
    parts = list(zip(aspects.names, aspects.opinions(ids), strict=True)) if aspects else []
    rows = {
        id: {
            "found": _figures(whole, row),
            "aspects": {name: _figures(told, row) for name, told in parts if told.count[row]},
        }
        for row, id in enumerate(ids)
        if whole.count[row]  # who speaks of an aspect speaks of the item
    }
    kept = {"version": "+".join([voices.version, *([aspects.version] if aspects else [])]), "items": rows}
    write_whole(Path(settings.data.folder) / "reading" / "reviews.json", json.dumps(kept).encode())
    return rows


def _figures(told: Opinions, row: int) -> dict[str, float | None]:
    """The deviation is None where all there is is one voice: nothing tells then how voices differ, and JSON has no infinity."""
    sure = float(told.deviation[row])
    return {
        "count": int(told.count[row]),
        "mean": round(float(told.mean[row]), 3),
        "deviation": round(sure, 3) if np.isfinite(sure) else None,
    }
