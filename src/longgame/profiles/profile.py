"""A user's profile: a pure function of their record, their history, what is usual, and what they corrected.

The same from a log and while serving. :meth:`Profile.vector` is what a policy reads, :meth:`Profile.text` what people do;
both say what was counted and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from longgame.profiles.corrections import UNCORRECTED, Corrections
from longgame.profiles.population import Population, gathered
from longgame.profiles.portraits import SIDES, Leaning
from longgame.profiles.tally import RATED, TAKEN, Tally
from longgame.types import F32, F64, Event, User, microseconds, moment

GENERAL = ("events", "level", "variety")
"""The columns that are no tag's: how much is known, whether values are higher than usual, how spread over tags it is."""
_FULL = 1000.0
"""Events from which on more say nothing new."""
_SAID = 0.75
"""Spreads, by the user's own events, at which a tag is worth a word."""
_TOLD = 3.0
"""Events on a tag below which nothing is said of it to people."""
Worded = Mapping[Leaning, str]
"""Sentences that a model wrote of leanings, and that passed the checks."""
NOBODY: Worded = MappingProxyType({})
"""None were written."""


@dataclass(frozen=True)
class Profile:
    """What is known of one user."""

    population: Population
    user: User | None
    """Its attributes say what people like this one prefer; None where nobody wrote any."""
    corrections: Corrections
    tally: Tally

    @staticmethod
    def of(
        population: Population,
        user: User | None,
        history: Sequence[Event],
        corrections: Corrections = UNCORRECTED,
    ) -> Profile:
        """The profile after a whole history, in whatever order it comes."""
        kept = [event for event in history if microseconds(event.at) > corrections.since] if corrections.since else history
        bare = Profile(population, user, corrections, population.tally([]))
        return replace(bare, tally=population.tally(kept, bare._removed))

    def add(self, event: Event) -> Profile:
        """The profile after one event more: the same work however long the history is."""
        if self.corrections.since and microseconds(event.at) <= self.corrections.since:
            return self
        marks = self.population.marks([event], self._removed)
        return replace(self, tally=self.tally.add(marks, self.population.config.fading))

    @cached_property
    def _known(self) -> tuple[F64, F64, float]:
        """Preferences (G,) in spreads, shrunken; weights of events (G,); the user's level."""
        p = self.population
        found, weight, level = gathered(self.tally.sums, p.share, p.config.shrink)
        preference = (found + p.config.shrink * p.prior(self.user)) / (weight + p.config.shrink) / p.spread
        return preference, self.tally.sums[RATED, :-1] + self.tally.sums[TAKEN, :-1], float(level)

    @cached_property
    def _own(self) -> F64:
        """(G,) preferences in spreads, by the user's own events against their very own level: who likes all prefers nothing."""
        p = self.population
        found, weight, _ = gathered(self.tally.sums, p.share, 0.0)
        own: F64 = found / (weight + p.config.shrink) / p.spread
        return own

    @cached_property
    def preference(self) -> F64:
        """(G,) in (-1, 1): liked above what is usual, or disliked; 0 where nothing is known or the user removed it."""
        out = np.tanh(self._known[0])
        out[self._removed] = 0.0
        added = self._numbers(self.corrections.added)
        out[added] = np.maximum(out[added], np.tanh(1.0))
        return out

    @cached_property
    def tastes(self) -> F64:
        """(K,) in (-1, 1): what the user's ratings have in common with those of others, beyond tags."""
        p = self.population
        prior = p.member(self.user) @ p.tastes.leaning
        return np.tanh(p.tastes.posterior(self.tally.moments, self._known[2], prior))

    @cached_property
    def evidence(self) -> F64:
        """(G,) in [0, 1): how much of a preference is the user's own; 1 where they said it, 0 where they removed it."""
        weight = self._known[1]
        out = weight / (weight + self.population.config.shrink)
        out[self._removed] = 0.0
        out[self._numbers(self.corrections.added)] = 1.0
        return out

    def vector(self) -> F32:
        """(F,) F = 2 G + K + 3 numbers in [-1, 1], named by :func:`columns`."""
        amount = min(1.0, float(np.log1p(self.tally.events) / np.log1p(_FULL)))
        general = [amount, float(np.tanh(self._known[2])), self._variety()]
        return np.concatenate([self.preference, self.evidence, self.tastes, general]).astype(np.float32)

    def told(self, worded: Worded = NOBODY) -> dict[str, Any]:
        """All of it, as JSON for people who look closer; tags by preference, the most liked first.

        ``worded`` as in :meth:`text`.
        """
        vector, said = self.vector().tolist(), self.corrections
        tags = [
            {
                "name": tag.name,
                "label": tag.label,
                "preference": round(float(self.preference[i]), 4),
                "evidence": round(float(self.evidence[i]), 4),
                "said": "removed" if tag.name in said.removed else "added" if tag.name in said.added else "",
            }
            for i, tag in enumerate(self.population.tags.chosen)
        ]
        since = moment(said.since).isoformat() if said.since else None
        return {
            "text": self.text(worded),
            "by": "model" if self._in_words(worded) else "counted",
            "events": self.tally.events,
            "rated": self.tally.rated,
            "tags": sorted(tags, key=lambda tag: (-cast(float, tag["preference"]), cast(str, tag["name"]))),
            "general": {name: round(value, 4) for name, value in zip(GENERAL, vector[-len(GENERAL) :], strict=True)},
            "corrections": {"removed": sorted(said.removed), "added": sorted(said.added), "since": since},
        }

    def leanings(self) -> tuple[Leaning, ...]:
        """What the user's own events say is liked, up to three tags, and liked less, up to two; no group speaks for them."""
        labels = [tag.label for tag in self.population.tags.chosen]
        told = np.where(self._known[1] >= _TOLD, self._own, 0.0)
        told[self._numbers(self.corrections.removed | self.corrections.added)] = 0.0
        likes = _once(labels[i] for i in np.argsort(-told, kind="stable") if told[i] >= _SAID)[:3]
        less = _once(labels[i] for i in np.argsort(told, kind="stable") if told[i] <= -_SAID)[:2]
        return tuple(Leaning(side, found) for side, found in zip(SIDES, (likes, less), strict=True) if found)

    def text(self, worded: Worded = NOBODY) -> str:
        """One line for people, made of what was counted of their own events.

        "Likes Film-Noir and Drama, not so much Horror; 34 events, 34 of them rated, lower than usual."

        ``worded`` has sentences that a model wrote and that passed the checks (``portraits``): they stand in the line's place
        where there is one for each side that there is.
        """
        leanings, labels = self.leanings(), [tag.label for tag in self.population.tags.chosen]
        said = [labels[i] for i in self._numbers(self.corrections.added)]
        if written := self._in_words(worded):
            own = f"Says that they like {_listed(said)}; " if said else ""
            return " ".join([*written, f"{own}{self._counted()}."])
        parts = [", ".join(_plainly(one, first=number == 0) for number, one in enumerate(leanings))] if leanings else []
        parts += [f"{'says that they like' if parts else 'Says that they like'} {_listed(said)}"] if said else []
        counted = self._counted()
        return "; ".join([*parts, counted.replace("No", "no", 1) if parts else counted]) + "."

    def _in_words(self, worded: Worded) -> list[str]:
        """A sentence for each side that there is, or none at all."""
        found = [worded.get(one.unordered, "") for one in self.leanings()]
        return found if all(found) else []

    def _counted(self) -> str:
        events, rated = self.tally.events, self.tally.rated
        if not events:
            return "No events yet"
        told = f"{events} event{'s' * (events > 1)}" + (f", {rated} of them rated" if 0 < rated < events else "")
        level = self._known[2]
        if rated and abs(level) >= 0.25:
            told += f", {'higher' if level > 0 else 'lower'} than usual"
        return told + ("" if rated < events or not rated else " (all rated)")

    def _variety(self) -> float:
        """Entropy of the tags that were taken, in [0, 1] of what it can be."""
        taken = self._known[1]
        total = taken.sum()
        if total <= 0 or len(taken) < 2:
            return 0.0
        p = taken[taken > 0] / total
        return min(1.0, float(-(p * np.log(p)).sum() / np.log(len(taken))))

    @cached_property
    def _removed(self) -> list[int]:
        return self._numbers(self.corrections.removed)

    def _numbers(self, names: frozenset[str]) -> list[int]:
        find = self.population.tags.find
        return sorted(find[name.casefold()] for name in names if name.casefold() in find)


def columns(population: Population) -> tuple[str, ...]:
    """(F,) what the numbers of :meth:`Profile.vector` are, for instance "genres=Drama" and "genres=Drama evidence"."""
    names = population.tags.names
    tastes = (f"taste {number + 1}" for number in range(len(population.tastes)))
    return (*names, *(f"{name} evidence" for name in names), *tastes, *GENERAL)


def pairs(population: Population, context: int, item: int) -> tuple[tuple[int, int], ...]:
    """(P, 2) columns of a context and of an item vector that say the same of a user and of an item, P = G + K.

    ``context`` and ``item`` are where :meth:`Profile.vector` begins in the one and :meth:`Population.traits` in the other.
    """
    g, k = len(population.tags), len(population.tastes)
    mine = [*range(g), *range(2 * g, 2 * g + k)]
    return tuple((context + own, item + its) for its, own in enumerate(mine))


def _once(labels: Iterable[str]) -> tuple[str, ...]:
    """Without those that people read as one that was said: "drama" after "Drama"."""
    return tuple({label.casefold(): label for label in reversed(tuple(labels))}.values())[::-1]


def _plainly(leaning: Leaning, first: bool) -> str:
    verb = "Likes" if leaning.side == "likes" else "Not so much" if first else "not so much"
    return f"{verb} {_listed(leaning.labels)}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
