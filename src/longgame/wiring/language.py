"""Settings -> the language model they name. On its own, so that reading texts without weights loads no torch."""

from __future__ import annotations

import os

from longgame.errors import ConfigError
from longgame.language import HashingModel, MiniLM, WordVectors
from longgame.language.multilingual import MultilingualE5
from longgame.language.endpoint import Endpoint
from longgame.language.remote import Remote
from longgame.protocols import LanguageModel
from longgame.settings import Settings


def language_model(settings: Settings) -> LanguageModel:
    """The model that the settings name. Raises ConfigError where they name a server and not what is asked of it."""
    s = settings.language
    if s.model == "words":
        return WordVectors()
    if s.model == "hashing":
        return HashingModel(s.width)
    if s.model == "e5":
        return MultilingualE5(s.threads)
    return Remote(endpoint(settings)) if s.model == "remote" else MiniLM(s.precision, s.threads)


def endpoint(settings: Settings) -> Endpoint:
    """The server of the section remote, with its key from the environment."""
    r = settings.remote
    if not r.model or not r.width:
        raise ConfigError(
            f"language.model is remote: set remote.model (got {r.model!r}) and remote.width (got {r.width}), the numbers in "
            "one of its vectors"
        )
    return Endpoint(
        url=r.url,
        model=r.model,
        width=r.width,
        key=os.environ.get(r.key_env, "") if r.key_env else "",
        timeout=r.timeout.total_seconds(),
        tries=r.tries,
        concurrency=r.concurrency,
        batch=r.batch,
        calls=r.calls,
        tokens=r.tokens,
    )
