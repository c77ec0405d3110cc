"""Closed questions about a text that a stranger wrote: the prompt, its examples, and the answers there are.

The text is data. It goes through the shield (``language.shield``: one line, visible characters, bounded, nothing where it
speaks to its reader), so it can end neither its line nor the question, and what comes back is never words: it is how probable
each of the answers is, or the state that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from longgame.errors import ConfigError
from longgame.language.shield import HEEDED, RECIPE, Marks, Told, clean, marked, shield, unmarkable

LIMIT = 600
"""Characters kept of a text that is asked about."""


@dataclass(frozen=True)
class Question:
    """One that is asked of many texts, in the same words."""

    name: str
    instruction: str
    fields: tuple[str, ...]
    """What the parts of a text are called in the prompt: ("Review",), or ("Review", "Aspect")."""
    asked: str
    """What the answer is called."""
    answers: tuple[str, ...]
    shots: tuple[tuple[tuple[str, ...], str], ...]
    """Examples: the parts, and the answer. The model answers after their pattern."""
    shielded: bool = True
    """False reads texts as they stand, cleaned alone: to measure what the shield is worth, for nothing else."""
    marks: Marks = "none"
    """How the parts are told from the rest of the prompt."""

    def __post_init__(self) -> None:
        for parts, answer in self.shots:
            if len(parts) != len(self.fields) or answer not in self.answers:
                raise ConfigError(
                    f"Question {self.name}: an example must have {len(self.fields)} parts and an answer, got {parts}"
                )

    @property
    def version(self) -> str:
        """Names the prompt, to the letter."""
        shielded = RECIPE if self.shielded else ""
        told = repr((self.instruction, self.fields, self.asked, self.answers, self.shots, LIMIT, shielded))
        told += "" if self.marks == "none" else repr((self.marks, HEEDED[self.marks]))
        return f"{self.name}-{blake2b(told.encode(), digest_size=4).hexdigest()}"

    @property
    def options(self) -> tuple[str, ...]:
        """The answers as they would follow a prompt."""
        return tuple(f" {answer}" for answer in self.answers)

    def prompt(self, *parts: str) -> str:
        """The question about a text of these parts. Raises ConfigError where they are not as many as the fields."""
        if len(parts) != len(self.fields):
            raise ConfigError(f"Question {self.name}: must be asked of {', '.join(self.fields)}, got {len(parts)} parts")
        told = [self._case(shot, f" {unmarkable(answer, self.marks)}\n\n") for shot, answer in self.shots]
        said = " ".join(filter(None, (self.instruction, HEEDED[self.marks])))
        return (f"{said}\n\n" if said else "") + "".join(told) + self._case(parts, "")

    def marked(self, marks: Marks) -> Question:
        """The same question, its parts marked so."""
        return self if marks == self.marks else replace(self, marks=marks)

    def hears(self, *parts: str) -> bool:
        """Whether a text of these parts is asked about at all: its first has a visible character, and none is refused."""
        told = [self._told(part) for part in parts]
        return bool(told[0].text) and not any(part.refused for part in told)

    def _told(self, part: str) -> Told:
        return shield(part, LIMIT) if self.shielded else Told(clean(part, LIMIT))

    def _case(self, parts: Sequence[str], answer: str) -> str:
        lines = [
            f"{name}: {marked(self._told(part).text, self.marks)}\n" for name, part in zip(self.fields, parts, strict=True)
        ]
        return "".join(lines) + f"{self.asked}:{answer}"


SENTIMENT = Question(
    "sentiment",
    "Decide whether a review is positive or negative.",
    ("Review",),
    "Sentiment",
    ("positive", "negative"),
    (
        (("the battery lasts for days and it looks great .",), "positive"),
        (("it broke after a week and support was useless .",), "negative"),
        (("i love how easy it is to use .",), "positive"),
        (("the sound is awful and the price is too high .",), "negative"),
    ),
)
"""What a review says of the thing as a whole."""

ASPECT = Question(
    "aspect",
    "What does the review say of the aspect: is it positive, negative or neutral?",
    ("Review", "Aspect"),
    "Sentiment",
    ("negative", "neutral", "positive"),
    (
        (("the battery lasts for days but the keyboard feels cheap .", "battery"), "positive"),
        (("the battery lasts for days but the keyboard feels cheap .", "keyboard"), "negative"),
        (("i bought it with the extra memory .", "memory"), "neutral"),
        (("their support was useless when the screen broke .", "support"), "negative"),
    ),
)
"""What a review says of one of its parts."""

ASPECT_BRIEF = Question("aspect-brief", "", ("Aspect", "Review", "Aspect"), "Sentiment", ASPECT.answers, ())
"""The same without a word of explanation, for a model that has learned it (``adapter``): a third of the tokens. The aspect is
told before the review too, so that each word is read with it in mind."""

SENTIMENT_BRIEF = Question("sentiment-brief", "", ("Review",), "Sentiment", SENTIMENT.answers, ())
"""The other, likewise."""

BRIEF = (ASPECT_BRIEF, SENTIMENT_BRIEF)
"""Questions that an adapter can be of."""
