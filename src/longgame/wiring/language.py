"""Settings -> the language model they name. On its own, so that reading texts without weights loads no torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from longgame.errors import ConfigError
from longgame.language import Features, HashingModel, MiniLM, VectorCache, WordVectors, describe
from longgame.language.batches import Batches
from longgame.language.cache import OnProgress
from longgame.language.calling import Carrier, Line
from longgame.language.combined import Combined
from longgame.language.endpoint import Endpoint
from longgame.language.local_lm import LocalLM
from longgame.language.multilingual import MultilingualE5
from longgame.language.remote import Remote
from longgame.language.remote_chat import Chat
from longgame.language.smollm import SmolLM
from longgame.language.workers import cores
from longgame.precision import Precision
from longgame.protocols import LanguageModel
from longgame.settings import Settings
from longgame.types import Item
from longgame.wiring.reading_kept import descriptions_read

SPELLING = 1024
"""Places for words and their pieces, where spelling is one of several readers."""

CHARACTERS = 4
"""In a token, roughly, in English; in Chinese a token is one or two."""

Hear = Callable[[str], None]


def silent(line: str) -> None:
    """Hears how batches get on, and says nothing."""


def language_model(settings: Settings, hear: Hear = silent) -> LanguageModel:
    """The model that the settings name. Raises ConfigError where they name a server and not what is asked of it."""
    s = settings.language
    if s.model == "words":
        return WordVectors()
    if s.model == "hashing":
        return HashingModel(s.width)
    if s.model == "combined":
        return Combined((MiniLM(s.precision, threads_of(settings)), WordVectors(), HashingModel(SPELLING)))
    if s.model == "e5":
        return MultilingualE5(max(1, s.threads))
    return _remote(settings, hear) if s.model == "remote" else MiniLM(s.precision, threads_of(settings))


def threads_of(settings: Settings) -> int:
    """That read texts: those of the settings, or one for each core that this process may use."""
    return settings.language.threads or cores()


def descriptions_of(settings: Settings, items: Sequence[Item], opinions: bool = True) -> tuple[str, dict[int, str]]:
    """Recipe of the descriptions that join the item vectors, and what the encoder reads of them, by the item's row; empty where
    the settings want none or none was made. Without ``opinions`` they say nothing of reviews."""
    if not settings.reading.describe:
        return "", {}
    version, made = descriptions_read(settings, items, opinions)
    return version, {row: describe(Item(item.id, made[item.id])) for row, item in enumerate(items) if item.id in made}


def described(
    settings: Settings,
    items: Sequence[Item],
    text: Features,
    cache: VectorCache,
    model: LanguageModel,
    tell: OnProgress,
    opinions: bool = True,
) -> Features:
    """The texts' vectors with those of the items' descriptions beside them, where the settings want that; what was read before
    is not read again. ``items`` are those of ``text``, and ``model`` what read them: one ledger has both.

    Raises ConfigError where they do and no description was made.
    """
    if not settings.reading.describe or not items:
        return text
    version, made = descriptions_of(settings, items, opinions)
    if not made:
        raise ConfigError(
            "reading.describe is true, and there are no descriptions; run `longgame understand --what descriptions`, or set "
            "reading.describe = false"
        )
    said = text.vectors.copy()
    said[list(made)] = cache.embed(model, list(made.values()), tell)
    both = np.concatenate([text.vectors, said], axis=1) / np.sqrt(np.float32(2))
    return Features(f"{text.version}+{version}", text.ids, both)


@lru_cache(maxsize=1)
def small_model(precision: Precision = "auto", threads: int = 1, path: str = "") -> SmolLM:
    """The small language model of this process: whoever asks shares its weights, which take seconds to load, and its ledger.

    Raises ConfigError for a ``path`` that is no model.
    """
    return LocalLM(path, precision, threads) if path else SmolLM(precision, threads)


def small_of(settings: Settings) -> SmolLM:
    """The same, as the settings have it read."""
    s = settings.language
    return small_model(s.precision, threads_of(settings), s.small)


def small_here(settings: Settings) -> bool:
    """Whether there is a small model to ask: one that the settings name is there, or an error when it is asked for."""
    return bool(settings.language.small) or SmolLM.installed()


def chat(settings: Settings, hear: Hear = silent) -> Chat:
    """The chat model of the section remote. Raises ConfigError where none is named."""
    if not settings.remote.chat:
        raise ConfigError("remote.chat: must name a chat model of the server, got nothing")
    made = endpoint(settings, settings.remote.chat, None)
    return Chat(made, _carrier(settings, made, hear), settings.remote.marks)


def _remote(settings: Settings, hear: Hear) -> Remote:
    r = settings.remote
    if not r.model or not r.width:
        raise ConfigError(
            f"language.model is remote: set remote.model (got {r.model!r}) and remote.width (got {r.width}), the numbers in "
            "one of its vectors"
        )
    made = endpoint(settings, r.model, r.width)
    return Remote(made, _carrier(settings, made, hear))


def _carrier(settings: Settings, made: Endpoint, hear: Hear) -> Carrier:
    r = settings.remote
    if not r.batches:
        return Line(made)
    return Batches(made, Path(settings.data.folder) / "batches", r.poll.total_seconds(), hear)


def endpoint(settings: Settings, model: str, width: int | None) -> Endpoint:
    """The server of the section remote, with its key from the environment."""
    r = settings.remote
    return Endpoint(
        url=r.url,
        model=model,
        width=width,
        key=os.environ.get(r.key_env, "") if r.key_env else "",
        timeout=r.timeout.total_seconds(),
        tries=r.tries,
        concurrency=r.concurrency,
        batch=r.batch,
        calls=r.calls,
        tokens=r.tokens,
        price=r.price,
        price_out=r.price_out,
        budget=r.budget,
        answer=r.answer,
    )
