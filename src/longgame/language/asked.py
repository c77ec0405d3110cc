"""Texts -> what a language model thinks of them before it answers a question: vectors that can be cached like any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from longgame.language.questions import Question
from longgame.language.shield import marks_of
from longgame.language.smollm import SmolLM
from longgame.protocols import Chooser
from longgame.types import F32, F64, Bool

SEPARATOR = "\x1f"
"""Between the parts of a text that is asked about in parts, such as a review and one of its aspects."""


def shares(odds: F32) -> F64:
    """(n, m) log-probabilities of answers -> their probabilities among each other, rows that add up to 1."""
    raised = np.exp(odds.astype(np.float64) - odds.max(axis=1, keepdims=True))
    out: F64 = raised / raised.sum(axis=1, keepdims=True)
    return out


class Answers:
    """A ``protocols.LanguageModel`` whose vectors are the log-probabilities of the answers to a question themselves."""

    def __init__(self, model: Chooser, question: Question) -> None:
        """The parts of a text are marked as the model wants them."""
        self._model, self._question = model, question.marked(marks_of(model))

    @property
    def batch(self) -> int:
        """Texts whose answers are kept at once: what a killed run loses at most, unless the model says how many are dear."""
        return int(getattr(self._model, "batch", 128))

    def sent(self, text: str) -> str:
        """The prompt that is made of a text."""
        return self._question.prompt(*text.split(SEPARATOR))

    @property
    def options(self) -> tuple[str, ...]:
        """The answers, as they would follow a prompt."""
        return self._question.options

    def unshielded(self) -> Answers:
        """Reads texts as they stand, cleaned alone: to measure what the shield is worth and to learn from attacks."""
        return Answers(self._model, replace(self._question, shielded=False))

    @property
    def name(self) -> str:
        return f"{self._model.name}+{self._question.version}+answers"

    @property
    def width(self) -> int:
        return len(self._question.answers)

    def embed(self, texts: Sequence[str]) -> F32:
        """(n, width), not of one length; all answers alike for a text that is not heard. Raises MissingExtra, if at all."""
        return self.answered(texts)[0]

    def answered(self, texts: Sequence[str]) -> tuple[F32, Bool]:
        """As :meth:`embed`, and (n,) False where the model was asked and gave no answer: a cache must not keep that as one."""
        out, said = np.full((len(texts), self.width), -np.log(self.width), np.float32), np.ones(len(texts), np.bool_)
        if heard := [row for row, text in enumerate(texts) if self._question.hears(*text.split(SEPARATOR))]:
            prompts = [self.sent(texts[row]) for row in heard]
            told = getattr(self._model, "answered", None)  # a server's model may give none; one that is here always does
            if told is None:
                out[heard] = self._model.choose(prompts, self._question.options)
            else:
                out[heard], said[heard] = told(prompts, self._question.options)
        return out, said


class Asked:
    """A ``protocols.LanguageModel`` whose vectors are the states behind the answer to a question.

    A text without a visible character, and one that the shield refuses, is a row of zeros. Its parts, where the question has
    several, are joined by ``SEPARATOR``.
    """

    batch = 128
    """Texts whose states are kept at once: what a killed run loses at most."""

    def __init__(self, model: SmolLM, question: Question, layers: Sequence[int] = ()) -> None:
        """``layers`` of the model, those in which it thinks of an answer if none are named."""
        self._model, self._question, self._named = model, question, tuple(layers)

    @property
    def _layers(self) -> tuple[int, ...]:
        return self._named or self._model.thought

    def unshielded(self) -> Asked:
        """Reads texts as they stand, cleaned alone: to measure what the shield is worth and to learn from attacks."""
        return Asked(self._model, replace(self._question, shielded=False), self._named)

    @property
    def name(self) -> str:
        told = "-".join(str(layer) for layer in self._layers)
        return f"{self._model.name}+{self._question.version}+{told}"

    @property
    def width(self) -> int:
        return self._model.width * len(self._layers)

    def embed(self, texts: Sequence[str]) -> F32:
        """(n, width), unit rows, each layer's part of one length. Raises MissingExtra at the first call, if at all."""
        wide = len(self._layers), self._model.width
        out = np.zeros((len(texts), *wide), np.float32)
        if told := [row for row, text in enumerate(texts) if self._question.hears(*text.split(SEPARATOR))]:
            prompts = [self._question.prompt(*texts[row].split(SEPARATOR)) for row in told]
            out[told] = self._model.states(prompts, self._layers).reshape(len(told), *wide)
        norm = np.linalg.norm(out, axis=2, keepdims=True) * np.sqrt(len(self._layers))
        return (out / np.where(norm > 0, norm, 1)).reshape(len(texts), self.width).astype(np.float32)
