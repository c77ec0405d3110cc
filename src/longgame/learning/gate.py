"""The gate: a policy goes live only when the log proves that it earns more than the one that is live."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longgame.errors import ConfigError
from longgame.evaluation.intervals import Estimate, normal
from longgame.evaluation.ope import slate_additive, slot_additive
from longgame.learning.offpolicy import Columns
from longgame.types import F64


@dataclass(frozen=True)
class Verdict:
    """What the gate saw and said."""

    passed: bool
    reason: str
    """In words, with the numbers."""
    candidate: Estimate
    incumbent: Estimate
    gain: Estimate
    """Candidate less incumbent, row by row on the same decisions."""


@dataclass(frozen=True)
class Gate:
    """Publish only if the lower bound of the gain is above ``margin``, on enough effective rows.

    The value of a policy is the reward of the slate it would have shown plus the user's discounted future, the
    later decisions being those of the log: one step of the new policy. Where an objective looks no further than
    its window (discount 0) that is the slate's reward. Both policies are estimated the same way on the same
    held-out decisions (``ope.slot_additive`` for the slots' rewards, ``ope.slate_additive`` for the future, which is
    the whole slate's), so what the estimate gets wrong for both cancels.
    """

    confidence: float = 0.95
    """Of the two-sided interval whose lower end must clear the margin, in (0, 1)."""
    min_effective_n: float = 100.0
    """Fewest effective decisions; below it the normal interval cannot be trusted."""
    margin: float = 0.0
    """Smallest gain worth a change, in units of the objective."""

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1 or self.min_effective_n < 0:
            raise ConfigError(f"Gate: confidence must lie in (0, 1) and min_effective_n be 0 or more, got {self}")

    def judge(self, candidate: Columns, incumbent: Columns, attempt: int | None = None) -> Verdict:
        """Hold two policies against the same rows. Never passes on a NaN.

        Asked again and again about a growing log, chance alone would pass in the end. So the ``attempt``-th question
        (1, 2, …) since something was published spends 6 / (pi^2 attempt^2) of the error that ``confidence`` leaves: all
        of them together, however many, spend what it says. None: it is asked once.
        """
        confidence = 1 - (1 - self.confidence) * (1.0 if attempt is None else 6 / (np.pi * attempt) ** 2)
        new, new_terms = _worth(candidate, confidence)
        old, old_terms = _worth(incumbent, confidence)
        difference = new_terms - old_terms
        n = len(difference)
        stderr = float(difference.std(ddof=1) / np.sqrt(n)) if n > 1 else np.inf
        gain = normal(float(difference.mean()) if n else np.nan, stderr, n, min(new.effective_n, old.effective_n), confidence)
        return Verdict(*self._say(gain), new, old, gain)

    def _say(self, gain: Estimate) -> tuple[bool, str]:
        told = f"gain {gain} on {gain.n} held-out decisions ({gain.effective_n:.0f} effective)"
        if not gain.effective_n >= self.min_effective_n:
            return False, f"refused: too little evidence, {self.min_effective_n:.0f} effective decisions are needed; {told}"
        if not gain.low > self.margin:
            return False, f"refused: the lower bound of the gain does not clear {self.margin:g}; {told}"
        return True, f"passed: {told}"


def _worth(columns: Columns, confidence: float) -> tuple[Estimate, F64]:
    """Slate reward plus discounted future under the policy of ``columns``: the estimate and its N terms."""
    slots, slot_terms = slot_additive(columns.reward, columns.slot_weights, confidence)
    baseline = np.full(len(columns.future), columns.future.mean() if len(columns.future) else 0.0)
    _, future_terms = slate_additive(columns.future, columns.slot_weights, baseline, confidence)
    terms = slot_terms + future_terms
    n = len(terms)
    stderr = float(terms.std(ddof=1) / np.sqrt(n)) if n > 1 else np.inf
    return normal(float(terms.mean()) if n else np.nan, stderr, n, slots.effective_n, confidence), terms
