"""Reviews -> what each says of the aspects that it names: how the battery is liked, and the screen, each by itself.

An aspect that a review does not name is not asked about: nothing is made up of it. One that it names is asked about by a closed
question (``questions.ASPECT``), or by its short form where the model has learned that one (``adapter``); the answers'
probabilities are negative, neutral and positive, and what is told is their mean as -1, 0 and 1, with its deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longgame.errors import ConfigError
from longgame.language.asked import SEPARATOR, Answers, shares
from longgame.language.cache import OnProgress, VectorCache, embed_in_batches
from longgame.language.questions import ASPECT, ASPECT_BRIEF, LIMIT, Question
from longgame.language.shield import shield
from longgame.language.vocabulary import LONGEST, Tag, Vocabulary, fold
from longgame.protocols import Chooser
from longgame.types import F64, I64

RECIPE = "aspects-1"
"""Names the figures that are made of answers. Change them, and it must change."""
_WORTH = np.array([-1.0, 0.0, 1.0])
"""Of the answers negative, neutral and positive."""


@dataclass(frozen=True)
class Told:
    """What n aspects, as named in some texts, are told to be like."""

    text: I64
    """(n,) row of the text"""
    aspect: I64
    """(n,) place of the aspect"""
    value: F64
    """(n,) in [-1, 1]"""
    noise: F64
    """(n,) deviation of that, as sure as the model is of itself"""


class AspectReader:
    """Asks a model about the aspects that texts name."""

    def __init__(self, model: Chooser, names: Sequence[str], question: Question = ASPECT) -> None:
        """``question`` is ASPECT, or ASPECT_BRIEF for a model that has learned it.

        Raises ConfigError for names that are none, longer than three words, or the same but for case and number.
        """
        forms = [fold(name) for name in names]
        if not names or not all(forms) or len(set(forms)) < len(forms) or any(len(form.split()) > LONGEST for form in forms):
            raise ConfigError(
                f"reviews.aspects: needs different names of {LONGEST} words at most, as people write them, got {list(names)}"
            )
        if question not in (ASPECT, ASPECT_BRIEF):
            raise ConfigError(f"reviews.adapter: must be one that learned what is said of aspects, got one of {question.name}")
        self.names = tuple(names)
        self._question, self._answers = question, Answers(model, question)
        tags = zip(names, forms, strict=True)
        self._vocabulary = Vocabulary(tuple(Tag(name, (form,), 0, "text") for name, form in tags), ())

    @property
    def version(self) -> str:
        """Names the recipe, the model and what it is asked, and the aspects."""
        return f"{RECIPE}+{self._answers.name}+{self._vocabulary.version}"

    def named(self, text: str) -> list[int]:
        """Places of the aspects that a text names behind the shield, ascending; none of one that is refused."""
        return sorted({place for place, _ in self._vocabulary.mentions(shield(text, LIMIT).text)})

    def read(self, texts: Sequence[str], cache: VectorCache | None = None, on_progress: OnProgress | None = None) -> Told:
        """What they say of the aspects they name; nothing where a server gave no answer. What was asked before is not asked
        again. Raises MissingExtra.
        """
        pairs = [(row, place) for row, text in enumerate(texts) for place in self.named(text)]
        asked = [self._case(texts[row], self.names[place]) for row, place in pairs]
        if cache is None:
            odds = embed_in_batches(self._answers, asked, on_progress)
        else:
            odds = cache.embed(self._answers, asked, on_progress)
        said = np.ptp(odds, axis=1) > 0 if len(odds) else np.zeros(0, np.bool_)
        pairs, odds = [pair for pair, one in zip(pairs, said, strict=True) if one], odds[said]
        chance = shares(odds) if len(odds) else np.zeros((0, len(_WORTH)))
        value = chance @ _WORTH
        noise = np.sqrt(np.maximum(chance @ _WORTH**2 - value**2, 0.0))
        text, aspect = (np.array(column, np.int64) for column in zip(*pairs, strict=True)) if pairs else (_NONE, _NONE)
        return Told(text, aspect, value, noise)

    def _case(self, text: str, name: str) -> str:
        told = shield(text, LIMIT).text
        parts = (told, name) if self._question is ASPECT else (name, told, name)
        return SEPARATOR.join(parts)


_NONE = np.zeros(0, np.int64)
