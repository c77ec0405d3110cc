"""What a small language model learned of one question, as a file of a few megabytes beside it; and the model with it put in.

An adapter is arrays and JSON in one file: the pairs of matrices (``lora``), and the recipe that made them. It fits the weights
that it was learned on and the question that it was learned for, to the letter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from longgame import artefacts
from longgame.artefacts import Arrays
from longgame.errors import ArtefactError, ConfigError
from longgame.language.lora import fill, widened
from longgame.language.questions import BRIEF, Question
from longgame.language.smollm import LAYERS, SmolLM
from longgame.precision import number

SCHEMA = 1
FOLDER = "adapters"
"""Where they lie in a data folder."""
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class AdaptConfig:
    """How an adapter is learned."""

    rank: int = 16
    """Of the matrices that are learned beside each of the network's."""
    above: int = 14
    """Layers at the bottom that stay as they are, of 30: a text is read through them once, not in every pass."""
    rate: float = 5e-4
    """Learning rate at its highest: it rises over the first 6 % of the steps and falls to 0 by the last."""
    epochs: int = 3
    """Passes over the texts."""
    batch: int = 16
    """Texts a step."""
    decay: float = 0.01
    """Weight decay."""
    holdout: float = 0.1
    """Share of the texts that nothing is learned from, to say after each pass how well others are read."""
    seed: int = 0

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float]] = {"rank": (1, 256), "above": (0, LAYERS - 1), "epochs": (1, 100)}
        bounds |= {"batch": (1, 1024), "rate": (1e-8, 0.1), "decay": (0, 1), "holdout": (0, 0.5)}
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"AdaptConfig.{name}: must lie in {low:g} to {high:g}, got {getattr(self, name)}")


@dataclass(frozen=True)
class Recipe:
    """What an adapter was made of and how: the same again makes the same adapter."""

    base: str
    """The weights beneath, without the numbers they were multiplied in."""
    question: str
    """``Question.version``."""
    data: str
    """Names the texts and their judgements, in their order."""
    config: Mapping[str, Any]
    """An ``AdaptConfig``."""
    precision: str
    """In which it was learned."""
    texts: int
    """Learned from."""
    steps: int
    """That were taken, and …"""
    of: int
    """… that there are in all passes; fewer were taken where the time ran out."""
    schema: int = SCHEMA


@dataclass(frozen=True)
class Adapter:
    """A learned one, and what it has seen."""

    weights: Arrays
    recipe: Recipe
    seen: np.ndarray[Any, Any]
    """(n,) uint64, sorted: names of the texts it learned from or was watched on (``known_as``)."""

    @cached_property
    def name(self) -> str:
        """The question and eight digits that name all of it."""
        told = np.frombuffer(repr(sorted(asdict(self.recipe).items())).encode(), np.uint8)
        return (
            f"{self.recipe.question.rpartition('-')[0]}-{artefacts.digest({**self.weights, 'seen': self.seen, 'recipe': told})}"
        )

    @property
    def question(self) -> Question:
        """That it answers. Raises ArtefactError where this version of longgame asks otherwise."""
        found = next((q for q in BRIEF if q.version == self.recipe.question), None)
        if found is None:
            there = ", ".join(q.version for q in BRIEF)
            raise ArtefactError(
                f"adapter {self.name}: answers {self.recipe.question}, this version asks {there}; "
                "make it again with longgame adapt"
            )
        return found

    def knows(self, texts: Sequence[str]) -> int:
        """How many of the texts it has seen: it cannot be judged by those."""
        return int(np.isin(known_as(texts), self.seen).sum())

    def save(self, folder: Path) -> Path:
        """Write it whole under its name. Returns the file."""
        path = folder / f"{self.name}{_SUFFIX}"
        artefacts.save(path, {**self.weights, "seen": self.seen}, {"adapter": asdict(self.recipe)})
        return path

    @staticmethod
    def load(folder: Path, name: str) -> Adapter:
        """What :meth:`save` wrote. Raises ArtefactError where there is none of that name, or it is torn or something else."""
        path = folder / f"{name}{_SUFFIX}"
        if not path.is_file() or path.parent != folder:
            there = ", ".join(sorted(p.stem for p in folder.glob(f"[!.]*{_SUFFIX}"))) or "none; make one with longgame adapt"
            raise ArtefactError(f"{path}: there is no such adapter; there are: {there}")
        arrays, about = artefacts.load(path)
        told = about.get("adapter")
        if not isinstance(told, dict) or set(told) != {f.name for f in fields(Recipe)} or "seen" not in arrays:
            raise ArtefactError(f"{path}: is no adapter of this version of longgame; make it again with longgame adapt")
        if told["schema"] != SCHEMA:
            raise ArtefactError(f"{path}: has schema {told['schema']}, this version reads {SCHEMA}; make it again")
        adapter = Adapter({n: a for n, a in arrays.items() if n != "seen"}, Recipe(**told), arrays["seen"])
        if adapter.name != name:
            raise ArtefactError(f"{path}: its contents are those of {adapter.name}; it was renamed or changed, make it again")
        return adapter


def known_as(texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """(n,) uint64 that stand for the texts."""
    told = [int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little") for text in texts]
    return np.array(told, np.uint64)


def weights_of(model: SmolLM) -> str:
    """Names a model's weights, without the numbers they are multiplied in."""
    return model.name.rpartition("-")[0]


class Adapted(SmolLM):
    """The model with an adapter put in: asked like the model itself. Shares all other weights with it."""

    def __init__(self, base: SmolLM, adapter: Adapter) -> None:
        """Raises ArtefactError for an adapter of other weights, or one that is adapted already."""
        if isinstance(base, Adapted) or adapter.recipe.base != weights_of(base):
            raise ArtefactError(
                f"adapter {adapter.name}: was learned on {adapter.recipe.base}, got {base.name}; "
                "put it into the model it is of, or make another with longgame adapt"
            )
        super().__init__(base._precision, base._threads)
        self._base, self._adapter = base, adapter

    @property
    def name(self) -> str:
        return f"{self._base.name}+{self._adapter.name}"

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        network, tokenizer = self._base._loaded
        config = AdaptConfig(**self._adapter.recipe.config)
        own, pairs = widened(network, range(config.above, LAYERS), config.rank)
        fill(pairs, self._adapter.weights, number(self._precision), f"adapter {self._adapter.name}")
        return own, tokenizer
