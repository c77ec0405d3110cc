"""Candidates that people's rules propose for what the user did: a source beside the fitted ones."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

from longgame.arrays import Candidates, State
from longgame.errors import ConfigError
from longgame.knowledge.book import Rulebook
from longgame.language.features import Features
from longgame.retrieval.sources import candidates
from longgame.types import F32, F64, I64, ItemId

_NOTHING = 1e-12
"""What is left where a voice was taken back."""


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
        # Rules that speak of the same items whatever fired them: looked up once, for they may be all of a catalogue.
        joins = [bool(rule.same or rule.named) for rule in book.rules]
        self._whole = [None if join else _known(features, book.targets(row)) for row, join in enumerate(joins)]
        self._told = blake2b(self._prior.tobytes(), digest_size=4).hexdigest()

    @property
    def version(self) -> str:
        return f"rules-{self._book.version}-{self._half_life:g}-{self._told}+{self._features.version}"

    def retrieve(self, state: State, n: int) -> Candidates:
        scores = self.voices(state)
        told = np.flatnonzero(scores > 0)
        scores[: len(self._prior)] += self._prior
        best = told[np.lexsort((told, -scores[told]))][: max(0, n)]
        return candidates(self._features, best, scores[best].astype(np.float32), self._name)

    def voices(self, state: State) -> F64:
        """(I,) how much speaks for each position; 0 where nothing does."""
        out = np.zeros(len(self._features))
        steps = [position for position in state.items.tolist() if position >= 0][::-1]
        weight = 0.5 ** (np.arange(len(steps)) / self._half_life)
        for rule, whole in enumerate(self._whole):
            fired = [age for age, at in enumerate(steps) if self._book.fires(rule, ("", self._features.ids[at]))]
            if not fired:
                continue
            if whole is None:
                for age in fired:
                    told = self._spoken(rule, steps[age])
                    out[told] += weight[age] / max(1, len(told)) ** 0.5
                continue
            own = np.array([steps[age] for age in fired])
            inside = np.isin(own, whole)  # nobody is told of what he has
            said = weight[fired] / np.maximum(len(whole) - inside, 1) ** 0.5
            out[whole] += said.sum()
            np.subtract.at(out, own[inside], said[inside])
        return np.where(out > _NOTHING, out, 0.0)

    def _spoken(self, rule: int, position: int) -> I64:
        item = self._features.ids[position]
        return _known(self._features, self._book.spoken(rule, item) - {item})


def _known(features: Features, items: Iterable[ItemId]) -> I64:
    """Positions of those that have one, in ascending order."""
    found = np.sort(features.positions(items))
    return found[found >= 0]
