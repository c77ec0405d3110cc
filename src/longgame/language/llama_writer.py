"""llama.cpp as a writer: one object after the other, along its grammar (``writing``)."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from longgame.language.llama import LlamaCpp
from longgame.language.writing import TOKENS, GreedyWriter, allowed


class LlamaCppWriter(GreedyWriter):
    """A ``protocols.Writer``. Shares the network of a :class:`LlamaCpp`, and its ledger: a prompt is a call."""

    batch = 1
    extra = "llama"

    def __init__(self, model: LlamaCpp) -> None:
        self._model = model

    @property
    def name(self) -> str:
        return f"{self._model.name}+llguidance-greedy-1"

    @property
    def ledger(self) -> Any:
        return self._model.ledger

    def _vocabulary(self) -> Any:
        import llama_cpp
        from llguidance.llamacpp import lltokenizer_from_vocab

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # llguidance asks by an older name of the same
            return lltokenizer_from_vocab(llama_cpp.llama_model_get_vocab(self._model.loaded.model))

    def _written(self, prompts: Sequence[str], grammar: str) -> list[str]:
        return [self._write(prompt, grammar) for prompt in prompts]

    def _write(self, prompt: str, grammar: str) -> str:
        model, began, matcher = self._model, time.perf_counter(), self._matcher(grammar)
        told, written, read = model.tokens(prompt, begins=True), list[int](), 0
        end = model.loaded.token_eos()
        for _ in range(TOKENS):
            scores, more = model.scores([*told, *written])
            read = read or more
            scores[~allowed(matcher.compute_bitmask(), len(scores))] = -np.inf
            token = int(scores.argmax())
            matcher.consume_token(token)
            if token != end:
                written.append(token)
            if matcher.is_stopped():
                break
        model.ledger.add(1, read, len(written), time.perf_counter() - began)
        text: str = model.loaded.detokenize(written, prev_tokens=told).decode("utf-8", "replace")
        return text
