"""Which items to ask a new user about: the answer that is worth most, by one of several measures of worth.

It stands on ``models/population.py``: what is known of a user after some answers is a normal distribution whose width does
not depend on what was answered, so the worth of a question is known before it is asked. The strategies:

- ``random``; ``popularity``: what most users rated; ``entropy``: what they disagree on; ``popularity-entropy``: the product
  of the logarithm of the first with the second (all four: Rashid et al., "Getting to Know You", IUI 2002, section 3);
- ``information``: the expected fall of the entropy of the user's weights, a step of D-optimal design;
- ``error``: the expected fall of the squared error over the items that the user may come to rate, the aim that Rubens,
  Kaplan and Sugiyama set ("Active Learning in Recommender Systems", Recommender Systems Handbook, 2011).

A user can rate only what he knows. The last two count an answer's worth times the chance of getting one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from longgame.errors import ConfigError, DataError
from longgame.models.population import Belief, Population
from longgame.rng import derive
from longgame.shapes import check
from longgame.types import F64, Bool

Strategy = Callable[[Population, Belief, np.random.Generator], F64]
"""What each item's answer is worth, (I,), given what is believed of the user so far; pure but for the generator."""


def information(population: Population, belief: Belief, rng: np.random.Generator) -> F64:
    """(I,) nats that an answer is expected to tell of the weights w: log(1 + x' S x / noise^2) / 2, times its chance."""
    unsure = ((population.x @ belief.covariance) * population.x).sum(axis=1)
    out: F64 = population.chance * np.log1p(unsure / population.noise**2) / 2
    return out


def error(population: Population, belief: Belief, rng: np.random.Generator) -> F64:
    """(I,) by how much an answer is expected to lower the squared error, over items as likely as they are known."""
    x, weight = population.x, population.chance / population.chance.sum()
    shared = x @ belief.covariance  # (I, D)
    moment = (x * weight[:, None]).T @ x  # (D, D): the fall is sum_j weight_j (x_j' S x_i)^2 / (noise^2 + x_i' S x_i)
    fall = ((shared @ moment) * shared).sum(axis=1) / (population.noise**2 + (shared * x).sum(axis=1))
    out: F64 = population.chance * fall
    return out


STRATEGIES: dict[str, Strategy] = {
    "random": lambda population, belief, rng: rng.random(len(population.offset)),
    "popularity": lambda population, belief, rng: population.chance,
    "entropy": lambda population, belief, rng: population.entropy,
    "popularity-entropy": lambda population, belief, rng: (
        np.log(population.chance / population.chance.min()) * population.entropy
    ),
    "information": information,
    "error": error,
}
"""Name -> what it asks for."""


class Interview:
    """Questions to one new user, one after the other. Items are positions in the catalogue of the population.

    >>> population = Population(
    ...     offset=np.full(3, 3.0),  # of three films, which everybody rates 3 in the mean
    ...     x=np.array([[1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]),  # whom the first pleases the last pleases, the second does not
    ...     noise=np.full(3, 0.5),
    ...     prior=Belief(np.zeros(2), np.eye(2)),
    ...     chance=np.array([0.9, 0.5, 0.1]),
    ...     entropy=np.ones(3),
    ...     low=1.0,
    ...     high=5.0,
    ... )  # or, of a log of ratings: Population.of(log)
    >>> interview = Interview(population)
    >>> interview.question()
    0
    >>> interview.answer(0, 5.0)  # five stars; None would be: does not know it
    >>> interview.rate().round(1).tolist()
    [4.8, 3.0, 4.8]
    >>> interview.question()
    1
    """

    def __init__(self, population: Population, strategy: str = "error", rng: np.random.Generator | None = None) -> None:
        """``rng`` is drawn from by ``random`` only; without it, the same questions each time."""
        if strategy not in STRATEGIES:
            raise ConfigError(f"Interview.strategy: knows {', '.join(STRATEGIES)}, got {strategy!r}")
        self.population, self._worth, self._rng = population, STRATEGIES[strategy], rng or derive(0, "interview")
        self.asked: list[int] = []
        """Positions of the items asked about, also of those that the user does not know."""
        self.items: list[int] = []
        self.values: list[float] = []
        """The answers."""
        self.belief = population.prior

    def question(self, askable: Bool | None = None) -> int:
        """Position of the item to ask about next, of those in ``askable`` (I,) that were not asked; of equals the first.

        Raises DataError when there is none.
        """
        count = len(self.population.offset)
        free = np.ones(count, np.bool_) if askable is None else askable.copy()
        check({"I": count}, ("askable", free, "I"))
        free[self.asked] = False
        if not free.any():
            raise DataError(
                f"Interview.question: an item must be left to ask about, got none after {len(self.asked)} questions"
            )
        return int(np.where(free, self._worth(self.population, self.belief, self._rng), -np.inf).argmax())

    def answer(self, item: int, value: float | None) -> None:
        """The user's rating of an item, or None where he does not know it. Raises DataError for a second answer."""
        if item in self.asked or not 0 <= item < len(self.population.offset):
            raise DataError(f"Interview.answer: one answer an item of the catalogue, got {item} after {self.asked}")
        self.asked.append(item)
        if value is not None:
            self.items.append(item)
            self.values.append(value)
            self.belief = self.population.belief(np.array(self.items, np.int64), np.array(self.values, np.float32))

    def rate(self) -> F64:
        """(I,) what the user is expected to rate every item, after the answers so far."""
        return self.population.rate(self.belief)
