"""Reviews of the log -> opinions: columns of item vectors, and what a text is worth where an objective goes by it.

What strangers write is bounded three times over: the shield refuses what speaks to its reader; what is read is a number in the
range of the ratings; and of one user and item only the last word counts, so who writes a hundred reviews has one voice. A mean
is drawn to that of all items by how few voices there are. Nothing here is read twice: vectors come from the cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from longgame.errors import ConfigError, DataError
from longgame.language import Features, VectorCache
from longgame.language.adapter import FOLDER, Adapted, Adapter
from longgame.language.asked import Answers, Asked
from longgame.language.attacks import attacks
from longgame.language.questions import LIMIT, SENTIMENT, SENTIMENT_BRIEF
from longgame.language.remote_chat import Chat
from longgame.language.sentiment import FEWEST, Opinions, Sentiment, answered, opinions, vectors
from longgame.language.shield import shield
from longgame.language.wary import learn
from longgame.protocols import LanguageModel
from longgame.settings import Settings
from longgame.types import F32, Event, ItemId, UserId
from longgame.wiring.budget import Tell
from longgame.wiring.language import Hear, chat, language_model, silent, small_of

RECIPE = "opinions-1"
"""Names the columns. It is part of the version of item vectors that have them."""
COLUMNS = 3
MANY = 1000
"""Voices at which the column that counts them is full."""

Voice = tuple[ItemId, float, float]
"""An item, what somebody says of it, and that figure's deviation."""


@dataclass(frozen=True)
class Refused:
    """A text that no model has read, and where it came from."""

    event: str
    user: UserId
    item: ItemId
    why: str
    """The rules it falls under; else its vectors are those of an attack, or a server gave no answer."""


@dataclass(frozen=True)
class Voices:
    """What the log's reviews say."""

    said: Mapping[str, float]
    """Event id -> estimated rating of a text that was heard and is its user's last word on the item."""
    refused: tuple[Refused, ...]
    voices: tuple[Voice, ...]
    """One a user and item: the item, the rating or its estimate, and that estimate's deviation."""
    low: float
    high: float
    rated: int
    """Reviews with a rating that were learned from."""
    version: str
    model: Sentiment = field(repr=False, compare=False)
    """What read them, and refuses."""

    def opinions(self, ids: Sequence[ItemId]) -> Opinions:
        """For each of the items."""
        return opinions_of(self.voices, ids)

    def columns(self, ids: Sequence[ItemId]) -> F32:
        """(I, 3) in [-1, 1], [0, 1] and [0, 1]: the mean from the middle of all, how unsure it is, and how many voices."""
        told, half = self.opinions(ids), max((self.high - self.low) / 2, 1e-9)
        level = float(np.mean([rating for _, rating, _ in self.voices])) if self.voices else 0.0
        unsure = np.clip(np.nan_to_num(told.deviation, posinf=half) / half, 0, 1)
        many = np.clip(np.log1p(told.count) / np.log1p(MANY), 0, 1)
        return np.stack([np.clip((told.mean - level) / half, -1, 1), unsure, many], axis=1).astype(np.float32)

    def beside(self, text: Features) -> Features:
        """The same items, the columns behind the vectors of their texts."""
        return text.widened(self.version, self.columns(text.ids))


def opinions_of(voices: Sequence[Voice], ids: Sequence[ItemId]) -> Opinions:
    """What voices say together of each of the items."""
    place = {id: row for row, id in enumerate(ids)}
    known = [(place[item], rating, noise) for item, rating, noise in voices if item in place]
    item, rating, noise = (np.array([row[column] for row in known], np.float64) for column in range(3))
    return opinions(item.astype(np.int64), rating, noise, len(ids))


def by_text(settings: Settings) -> frozenset[str]:
    """Kinds whose value, to the objective or to profiles, is what their text says."""
    return frozenset(settings.objective.by_text) | frozenset(settings.profile.by_text)


def kinds_of(settings: Settings) -> frozenset[str]:
    """Kinds that may have a review."""
    return by_text(settings) | {*settings.reviews.rated, *settings.reviews.unrated}


def adapter_of(settings: Settings) -> Adapter | None:
    """The one that the settings name for reviews.

    Raises ArtefactError where there is none of that name, ConfigError beside another model than it is of.
    """
    name = settings.reviews.adapter
    if name and settings.language.small:
        raise ConfigError(
            f"reviews.adapter: {name} is of SmolLM2, and language.small is {settings.language.small}; leave one of them out"
        )
    return Adapter.load(Path(settings.data.folder) / FOLDER, name) if name else None


def asked_of(settings: Settings, hear: Hear = silent) -> Chat | None:
    """The server's chat model that reads reviews; None where none does.

    Raises ConfigError where none is named, or an adapter is, which is of the small model here.
    """
    if settings.reviews.reader != "remote":
        return None
    if settings.reviews.adapter:
        raise ConfigError(
            f"reviews.adapter: {settings.reviews.adapter} is of the small model on this machine, and reviews.reader is remote; "
            'leave it out, or set reviews.reader = "smollm"'
        )
    return chat(settings, hear)


def readers_of(settings: Settings, hear: Hear = silent, server: Chat | None = None) -> tuple[LanguageModel, ...]:
    """What reads a review: the settings' reader of items, and beside it ``server`` or the small language model, adapted if an
    adapter is of what reviews say on the whole.

    Raises ArtefactError for an adapter that is none, ConfigError as :func:`asked_of`.
    """
    items = language_model(settings, hear)
    if settings.reviews.reader == "items":
        return (items,)
    if settings.reviews.reader == "remote":
        return Answers(server or chat(settings, hear), SENTIMENT), items
    adapter = adapter_of(settings)
    if adapter is not None and adapter.question == SENTIMENT_BRIEF:
        return Asked(Adapted(small_of(settings), adapter), SENTIMENT_BRIEF), items
    return Asked(small_of(settings), SENTIMENT), items


def hear(
    settings: Settings,
    events: Iterable[Event],
    cache: VectorCache | None,
    readers: Sequence[LanguageModel] | None = None,
    tell: Tell | None = None,
) -> Voices:
    """What the reviews among ``events`` say, those with a rating teaching what those without are worth.

    Raises DataError where fewer than 20 reviews have a rating, MissingExtra without the reader's packages.
    """
    s, kinds, valued = settings.reviews, kinds_of(settings), by_text(settings)
    log = [event for event in events if event.kind in kinds]
    readers = readers or readers_of(settings, server=asked_of(settings))
    taught = [event for event in log if event.text and event.kind in s.rated][-s.learned :]
    if len(taught) < FEWEST:
        raise DataError(
            f"reviews: needs {FEWEST} events or more of the kinds {', '.join(s.rated) or 'none'} with a text and a rating to "
            f"learn from, got {len(taught)}; set reviews.rated to the kinds that have both, or turn reviews.features and "
            "the kinds in objective.by_text and profile.by_text off"
        )
    texts, ratings = [event.text for event in taught], np.array([event.value for event in taught])
    model = Sentiment.fit(readers, texts, ratings, cache, tell)
    if any(hasattr(reader, "unshielded") for reader in readers):
        # Learned only of a reader that thinks of what it is asked: an encoder of sentences does not know of its reader.
        own = vectors(readers, texts, cache)
        model = replace(model, wary=learn(readers, own[answered(readers, own)], attacks(), LIMIT, cache, tell))
    told = [event for event in log if event.text and (event.kind not in s.rated or event.kind in valued)]
    read, heard = model.hear([event.text for event in told], cache, tell)
    said = {event.id: float(value) for event, value, ok in zip(told, read, heard, strict=True) if ok}
    refused = tuple(_refused(event) for event, ok in zip(told, heard, strict=True) if not ok)
    version = f"{RECIPE}-{'-'.join(reader.name for reader in readers)}"
    last = _last_words(log, said, model, frozenset(s.rated))
    voices = tuple(last.values())
    # Also of what a reward goes by: who is shown an item ten times, and writes ten times, has one voice.
    said = {id: value for id, value in said.items() if id in last}
    return Voices(said, refused, voices, model.low, model.high, len(taught), version, model)


def _refused(event: Event) -> Refused:
    why = ", ".join(shield(event.text, LIMIT).refused)
    return Refused(event.id, event.user, event.item, why or "learned, nothing to read, or no answer")


def _last_words(log: Sequence[Event], said: Mapping[str, float], model: Sentiment, rated: frozenset[str]) -> dict[str, Voice]:
    """By event id, the last word of each user on each item: a rating counts as it is, in the range of those learned from."""
    last: dict[tuple[UserId, ItemId], tuple[str, Voice]] = {}
    for event in sorted(log, key=lambda e: (e.at, e.id)):
        if event.kind in rated:
            value, noise = float(np.clip(event.value, model.low, model.high)), 0.0
        elif event.id in said:
            value, noise = said[event.id], model.deviation
        else:
            continue  # refused, or without a text: the word before holds
        last[event.user, event.item] = (event.id, (event.item, value, noise))
    return dict(last.values())
