"""Candidates that people's rules propose for what the user did: a source beside the fitted ones."""

from __future__ import annotations

from collections import defaultdict
from hashlib import blake2b

import numpy as np

from longgame.arrays import Candidates, State
from longgame.errors import ConfigError
from longgame.knowledge.book import Rulebook
from longgame.language.features import Features
from longgame.retrieval.sources import candidates
from longgame.types import F32


class RuleRetriever:
    """Items of which rules speak, the most and the latest deeds first: each rule that a step of the history fires adds a voice
    that halves every ``half_life`` steps, shared by the items it speaks of.

    A voice that speaks of two items says more than one that speaks of hundreds, so each gets it divided by the root of their
    number. Of equal voices the item with the larger prior goes first.
    """

    def __init__(self, book: Rulebook, features: Features, prior: F32, half_life: float = 8.0, name: str = "rules") -> None:
        """``prior`` (I',) of the first items of ``features``, such as their popularity; the others have none.

        Raises ConfigError for a rule that names kinds of event: a state tells what a user met, not how.
        """
        for rule in book.rules:
            if rule.kinds:
                raise ConfigError(
                    f"rules.suggest: {rule.text!r}: must name no kind of event, got {', '.join(sorted(rule.kinds))}: a "
                    "policy's state tells what a user met, not how; leave out what stands before the colon, and the colon"
                )
        if not half_life > 0:
            raise ConfigError(f"RuleRetriever.half_life: must be positive, got {half_life}")
        self._book, self._features, self._half_life, self._name = book, features, half_life, name
        order = np.zeros(len(features), np.float32)
        order[: len(prior)] = prior
        self._prior = order / max(1e-12, 1e3 * float(np.abs(order).max(initial=0.0)))  # below every voice that counts
        self._told = blake2b(self._prior.tobytes(), digest_size=4).hexdigest()

    @property
    def version(self) -> str:
        return f"rules-{self._book.version}-{self._half_life:g}-{self._told}+{self._features.version}"

    def retrieve(self, state: State, n: int) -> Candidates:
        voices = self.voices(state)
        ranked = sorted(voices, key=lambda row: (-voices[row] - float(self._prior[row]), row))[: max(0, n)]
        positions = np.array(ranked, np.int64)
        scores = np.array([voices[row] + float(self._prior[row]) for row in ranked], np.float32)
        return candidates(self._features, positions, scores, self._name)

    def voices(self, state: State) -> dict[int, float]:
        """Position -> how much speaks for it; positions that nothing speaks for are left out."""
        out: dict[int, float] = defaultdict(float)
        steps = [position for position in state.items.tolist() if position >= 0]
        for age, position in enumerate(reversed(steps)):
            item = self._features.ids[position]
            for rule in range(len(self._book.rules)):
                if not self._book.fires(rule, ("", item)):
                    continue
                told = [self._features.index[i] for i in self._book.spoken(rule, item) - {item} if i in self._features.index]
                for row in told:
                    out[row] += 0.5 ** (age / self._half_life) / len(told) ** 0.5
        return out
