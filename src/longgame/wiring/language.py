"""Settings -> the language model they name. On its own, so that reading texts without weights loads no torch."""

from __future__ import annotations

from longgame.language import HashingModel, MiniLM, WordVectors
from longgame.protocols import LanguageModel
from longgame.settings import Settings


def language_model(settings: Settings) -> LanguageModel:
    """The model that the settings name."""
    s = settings.language
    if s.model == "words":
        return WordVectors()
    return HashingModel(s.width) if s.model == "hashing" else MiniLM(s.precision, s.threads)
