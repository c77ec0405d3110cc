"""A language model as a GGUF file, run by llama.cpp in this process: its weights stay as small as they are in the file.

``LocalLM`` reads the same files, unpacks them, and is the faster of the two for a model that fits the memory so. One of
several gigabytes does not, and some that ``transformers`` cannot read are read here. What the network thinks before it answers
cannot be had: it answers questions about items and writes, and reads no reviews.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from longgame.errors import ConfigError, MissingExtra
from longgame.language.endpoint import Ledger
from longgame.language.local_lm import fingerprint
from longgame.language.smollm import TOKENS, alike, first_token
from longgame.language.writing import TOKENS as WRITTEN
from longgame.types import F32, F64

RECIPE = 1
"""Names how it is asked. Change that, and it must change."""
_NEAR = 0.05
"""Nats that a log-probability may differ by where what two prompts begin with is read once: the batches are others."""
_LIKELY = 5.0
"""Nats below the likeliest token, within which that is asked."""
_PROBE = "One two three four five six seven eight nine ten"


class LlamaCpp:
    """A ``protocols.Chooser``. Needs the extra ``llama``. Not for several threads at a time."""

    batch = 1
    """Prompts whose answers are kept at once: a large model takes seconds for each."""

    def __init__(self, path: Path | str, threads: int = 1) -> None:
        """Raises ConfigError where ``path`` is no .gguf file."""
        self._path, self._threads = Path(path), threads
        if self._path.suffix != ".gguf" or not self._path.is_file():
            raise ConfigError(f"llama.cpp: language.small must be a .gguf file, got {str(path)!r}")
        self.ledger = Ledger()
        self._held: list[int] = []

    @staticmethod
    def installed() -> bool:
        """Whether its package is here. Does not import it."""
        return find_spec("llama_cpp") is not None

    @cached_property
    def name(self) -> str:
        """The file's name and contents: another file under the same name is another model."""
        return f"{self._path.stem}-{fingerprint([self._path])}-llama.cpp-{RECIPE}"

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> F32:
        """(n, m) log-probability of each option as what follows each prompt, by its first token.

        Raises ConfigError where two begin alike or there are fewer than two, or the file is no language model; MissingExtra.
        """
        answers = [first_token(self.tokens, option) for option in options]
        alike(answers, options, "LlamaCpp.choose")
        out = np.zeros((len(prompts), len(options)), np.float32)
        for row, prompt in enumerate(prompts):
            began, tokens = time.perf_counter(), self.tokens(prompt, begins=True)
            scores, read = self.scores(tokens)
            out[row] = (scores - _total(scores))[answers]
            self.ledger.add(1, read, 0, time.perf_counter() - began)
        return out

    def tokens(self, text: str, begins: bool = False) -> list[int]:
        """The last ``TOKENS`` of it; what looks like a control token is spelled out. ``begins``: after what the model wants at
        a beginning."""
        found: list[int] = self.loaded.tokenize(text.encode("utf-8", "replace"), add_bos=begins, special=False)
        return found if len(found) <= TOKENS else [*found[:begins], *found[begins - TOKENS :]]

    def scores(self, tokens: Sequence[int]) -> tuple[F64, int]:
        """(V,) what the network gives each token to come next, and how many were read for it: those that the last call began
        with are not read again."""
        same = _same(self._held, tokens) if self._goes_back else 0
        return self._scores(tokens, same), len(tokens) - same

    def _scores(self, tokens: Sequence[int], same: int) -> F64:
        """The same, the first ``same`` tokens being those of the last call."""
        import llama_cpp

        network = self.loaded
        network.n_tokens, self._held = same, []  # nothing is held, should this fail
        network.eval(list(tokens[same:]))
        self._held = list(tokens)
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(network.ctx, -1), shape=(network.n_vocab(),)).astype(
            np.float64
        )

    @cached_property
    def _goes_back(self) -> bool:
        """Whether a network may go back to what two prompts begin with: one that knows nothing but its last state may not."""
        first, other = (self.tokens(f"{_PROBE} {end}", begins=True) for end in ("eleven", "cats"))
        alone = self._scores(other, 0)
        self._scores(first, 0)
        after = self._scores(other, _same(first, other))
        likely = alone > alone.max() - _LIKELY
        return bool(np.abs((alone - _total(alone)) - (after - _total(after)))[likely].max() < _NEAR)

    @cached_property
    def loaded(self) -> Any:
        """llama.cpp's own model. Raises MissingExtra, ConfigError for a file that it cannot read."""
        if not self.installed():
            raise MissingExtra(f"llama.cpp, for {self._path}", "llama-cpp-python", "llama")
        import llama_cpp

        try:
            return llama_cpp.Llama(
                str(self._path),
                n_ctx=TOKENS + WRITTEN,
                n_threads=self._threads,
                n_threads_batch=self._threads,
                verbose=False,
            )
        except (ValueError, RuntimeError, OSError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise ConfigError(
                f"language.small: {self._path} cannot be read as a language model by llama.cpp: {first}"
            ) from None


def _same(held: Sequence[int], tokens: Sequence[int]) -> int:
    """How many tokens both begin with; one of the second is left at least."""
    most = min(len(held), len(tokens) - 1)
    return next((place for place in range(most) if held[place] != tokens[place]), max(0, most))


def _total(scores: F64) -> float:
    """Logarithm of the sum of their exponentials."""
    top = float(scores.max())
    return top + float(np.log(np.exp(scores - top).sum()))
