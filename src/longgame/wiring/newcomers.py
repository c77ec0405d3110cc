"""What a profile in the state is worth to new users: the product's network that reads it, and the same one that does not.

A state is what the product's is: the last 50 items and the numbers of the context. After 1, 3, 5, 10, 30 and 100 events
of a new user (all events that are learned from, of a warm one) the network scores everything that the user rated later. Item
vectors, what is usual and the network know nothing but what ``evaluation.newcomers`` deals to be learned from. Every network
starts at the supervised one (``parts.policy_network``), makes the same draws, and learns liked from not liked by the logistic
loss; the epoch is the best on those chosen by.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from longgame.arrays import Interactions
from longgame.artefacts import load, save
from longgame.datasets import open_source
from longgame.datasets.report import Report
from longgame.errors import DataError
from longgame.evaluation.intervals import Estimate, crossed
from longgame.evaluation.language import Reading, Told
from longgame.evaluation.newcomers import (
    COLD,
    Ratings,
    States,
    by_user,
    cold,
    grouped_auc,
    histories,
    lesson,
    profiles,
    shuffled,
    warm,
)
from longgame.language import Features, HashingModel, MiniLM, VectorCache, understand
from longgame.learning.likes import Lessons, Part, learn, scored
from longgame.models.sequence import SequenceConfig
from longgame.networks import UserNetwork, from_arrays
from longgame.profiles import GENERAL, Population, ProfileConfig, Tags
from longgame.rng import derive
from longgame.types import F32, F64, I64
from longgame.wiring.language import silent
from longgame.wiring.parts import Reader, features_part, load_features, policy_network
from longgame.wiring.reading_texts import Section, Wish
from longgame.wiring.training import Say

STEPS = 50
ARMS = ("plain", "without", "profile", "shuffled")
"""A product without profiles; the state with traits and no profile; with the profile; with somebody else's."""
MORE = (*ARMS, "plain and profile", "unpaired and profile", "liked", "liked and profile")

Arm = Mapping[str, F64]
"""Part that is judged, "new" and "warm" -> AUC of each state."""


@dataclass(frozen=True)
class Setting:
    """What all seeds share."""

    data: Ratings
    how: Lessons
    reader: Reader
    text: Features
    population: Population
    parts: Mapping[str, States]
    numbers: Mapping[str, F32]
    """Profiles of each part's states."""


def setting(data: Ratings, how: Lessons, cache: Path, say: Say = silent) -> Setting:
    """Who reads items, which is kept in ``cache``, and what is usual, are learned from what is dealt to be learned from.

    Raises DataError where nobody is left to be judged.
    """
    held = data.held()
    text = understand(list(data.items), MiniLM() if MiniLM.installed() else HashingModel(), VectorCache(cache))
    log = Interactions.of(held, text.ids)
    known = repr([text.version, text.ids, how.passes, [(e.user, e.item) for e in held]])
    told = blake2b(known.encode() + text.vectors.tobytes(), digest_size=8).hexdigest()
    kept = cache / f"newcomers-{told}.safetensors"
    if not kept.exists():
        fitted = Reader.fit(text, log, 64, SequenceConfig(steps=STEPS, epochs=how.passes))
        save(kept, *features_part(fitted, fitted.features(text)))
    reader, _ = load_features(*load(kept))
    config = ProfileConfig(rated=frozenset({data.kind}), shrink=how.shrink, tastes=how.tastes)
    population = Population.fit(config, Tags.of(data.items), held, data.users.values())
    judged = {"new": cold(data, data.test if how.final else data.chosen), "warm": warm(data, 1 if how.final else 0)}
    parts = {"learn": lesson(data), "chosen": cold(data, data.chosen), "warm chosen": warm(data, 0), **judged}
    if short := [name for name, states in parts.items() if not len(states)]:
        raise DataError(f"new users: nobody is left for {' and '.join(short)}; needs more users with longer histories")
    numbers = {name: profiles(data, states, population) for name, states in parts.items()}
    say(f"{len(population.tags)} tags, {len(parts['learn']):,} states to learn from")
    return Setting(data, how, reader, text, population, parts, numbers)


def arm(held: Setting, name: str, seed: int, say: Say = silent) -> Arm:
    """One of ``MORE``, learned and judged."""
    start, data, parts, numbers = time.perf_counter(), held.data, held.parts, held.numbers
    context: Mapping[str, F32] = {n: np.zeros((len(s), 0), np.float32) for n, s in parts.items()}
    if name.endswith("profile"):
        context = numbers
    if name == "shuffled":
        context = {n: shuffled(numbers[n], s, derive(seed, "profiles", "shuffle", n)) for n, s in parts.items()}
    known = {n: Part(s, histories(data, s, STEPS, name.startswith("liked")), context[n]) for n, s in parts.items()}
    reader = held.reader if name.startswith("plain") else replace(held.reader, traits=held.population.version)
    vectors, width = reader.features(held.text, held.population).vectors, context["learn"].shape[1]
    paired = width > 0 and not name.startswith("unpaired")
    config, begin = policy_network(reader, width, held.population, paired)
    network = UserNetwork(replace(config, dropout=held.how.dropout), seed)
    from_arrays(network, begin)
    epoch = learn(data, held.how, network, vectors, known, seed)
    out = {n: grouped_auc(data, parts[n], scored(network, known[n], vectors)) for n in ("new", "warm")}
    new, old = (float(by_user(parts[n], out[n])[1].mean()) for n in ("new", "warm"))
    say(f"  {name:<18} new {new:.4f}  warm {old:.4f}  epoch {epoch:>2}  {time.perf_counter() - start:.0f} s")
    return out


def sums(held: Setting, part: str) -> dict[str, F64]:
    """AUC of each state of a part, without a network and without anything learned of how to add up."""
    data, states, population, numbers = held.data, held.parts[part], held.population, held.numbers[part]
    count, g = np.zeros(len(data.items), np.float32), len(population.tags)
    for user in data.train.tolist():
        np.add.at(count, data.position[user][: data.learned(user)], 1)
    traits = population.traits([item.id for item in data.items])
    mean, tags = traits[:, -1], _wide(numbers[:, :g]) @ traits[:, :g].T
    tastes = _wide(numbers[:, 2 * g : -len(GENERAL)]) @ traits[:, g:-1].T
    told = {"popularity": count, "mean rating": mean, "mean rating and tags": mean + tags}
    told |= {"mean rating and tastes": mean + tastes, "all of these": mean + tags + tastes}
    return {
        name: grouped_auc(data, states, np.broadcast_to(scores, (len(states), len(data.items))))
        for name, scores in told.items()
    }


def _wide(bounded: F32) -> F32:
    """What was bounded by tanh."""
    return np.arctanh(np.clip(bounded, -0.9999, 0.9999))


def groups_of(parts: Mapping[str, States]) -> list[tuple[str, str, I64]]:
    """Title, part, and rows of it: all new users, those after so many events, the warm ones."""
    new, every = parts["new"], np.arange(len(parts["new"]))
    some = [(str(n), "new", every[new.length == n]) for n in COLD]
    told = [("1 to 100", "new", every), *some, ("warm", "warm", np.arange(len(parts["warm"])))]
    return [(title, part, rows) for title, part, rows in told if len(rows)]


def of_users(found: Sequence[Mapping[str, Arm]], name: str, part: str, states: States, rows: I64) -> F64:
    """(S, U) of each seed, the mean of each user's states."""
    kept = States(states.user[rows], states.length[rows], states.end[rows])
    return np.stack([by_user(kept, one[name][part][rows])[1] for one in found])


_ITSELF = Estimate(np.nan, np.nan, np.nan, 0, 0.0)
_ROWS: Mapping[str, tuple[str, Told]] = {
    "profile": ("with the profile", "with"),
    "without": ("the same state without", "without"),
    "plain": ("without profiles at all", "without"),
    "shuffled": ("with somebody else's", "shuffled"),
}


def newcomers(folder: Path, wish: Wish) -> list[Section]:
    """The form of ``evaluate language``: grouped AUC of new users and of warm ones, and points more than the state without.

    Raises DataError where there are too few ratings.
    """
    data = Ratings.among(open_source(folder).read(Report()))
    wish.say(f"{folder.name}: {len(data.events):,} users with ratings, {len(data.test):,} of them new")
    held = setting(data, Lessons(), wish.data / "newcomers", wish.say)
    found = [{name: arm(held, name, seed, wish.say) for name in _ROWS} for seed in range(wish.seeds)]
    groups = {title: (part, rows) for title, part, rows in groups_of(held.parts) if title in ("1 to 100", "warm")}
    rows = []
    for name, (title, told) in _ROWS.items():
        figures = {}
        for group, (part, some) in groups.items():
            own, base = (of_users(found, one, part, held.parts[part], some) for one in (name, "without"))
            who = "new" if part == "new" else "warm"
            figures[f"auc, {who}"] = crossed(own, derive(0, group, name))
            more = crossed(100 * (own - base), derive(0, group, name, "without"))
            figures[f"points, {who}"] = more if name != "without" else _ITSELF
        rows.append(Reading(title, figures, None, told))
    about = f"{len(np.unique(held.parts['new'].user)):,} new users after 1 to 100 of their events, "
    about += f"{len(held.parts['warm']):,} warm ones; points more than the same state without; 95 % intervals over users"
    return [Section(folder.name, tuple(rows), "profiles", about + (" and seeds" if wish.seeds > 1 else ""), "")]
