"""What is usual: of values, of items, of tags, and of people with the same attributes. A profile is told against it.

It is fitted on a log once and stands until the next training, so that a profile moves by what its user does and by nothing
else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from longgame.artefacts import Arrays, digest
from longgame.errors import ConfigError
from longgame.profiles.heard import Heard
from longgame.profiles.tags import Read, Tag, Tags, choose
from longgame.profiles.tally import LEANING, RATED, RESIDUAL, ROWS, TAKEN, Marks, Tally
from longgame.profiles.tastes import Tastes, fit_tastes
from longgame.profiles.worth import fit_worth
from longgame.types import F32, F64, Event, Item, ItemId, Objective, User, UserId, microseconds

_MILD = 0.5
"""What an event without a value says, in standard deviations of a value."""
_FAR = 2.0
"""Standard deviations beyond which a value says no more."""
_GROUP = 20.0
"""People of a group that weigh as much as what is known of all people."""
_LEVEL = 0.25
"""How much less a user's level is shrunken than what they prefer: people differ more in how high they rate."""
_PEOPLE = 20_000
"""Users that priors are learned from, at most."""


@dataclass(frozen=True)
class ProfileConfig:
    """How events become a profile."""

    rated: frozenset[str] = frozenset({"rating"})
    """Kinds whose value says how much it was liked. Others are mild likes."""
    by_text: frozenset[str] = frozenset()
    """Kinds whose text says it, where there is one: what was read there counts as a value, what was not read as no opinion."""
    disliked: frozenset[str] = frozenset()
    """Kinds that are mild dislikes."""
    half_life: timedelta = timedelta(days=180)
    """An event weighs half as much once the user's newest is so much later."""
    shrink: float = 16.0
    """Events on a tag that weigh as much as what is usual of people with the same attributes."""
    tags: int = 32
    """G, most tags."""
    tastes: int = 4
    """K, tags that nobody wrote but ratings show (``tastes``)."""

    def __post_init__(self) -> None:
        if self.half_life <= timedelta(0) or self.shrink <= 0 or self.tags < 1 or self.tastes < 0:
            raise ConfigError(
                f"ProfileConfig: half_life and shrink must be above 0, tags 1 or more and tastes 0 or more, got {self}"
            )

    @staticmethod
    def told(objective: Objective, **others: Any) -> ProfileConfig:
        """With the kinds that ``objective`` counts against the product as dislikes."""
        return ProfileConfig(disliked=frozenset(kind for kind, reward in objective.rewards.items() if reward < 0), **others)

    @property
    def fading(self) -> float:
        """The half-life in microseconds."""
        return self.half_life.total_seconds() * 1e6


@dataclass(frozen=True)
class Population:
    """What is usual in a log."""

    config: ProfileConfig
    tags: Tags
    levels: Mapping[str, tuple[float, float]]
    """Rated kind -> mean and standard deviation of its values."""
    items: Mapping[ItemId, float]
    """How much better than the mean an item's values are to a user of the usual level, in standard deviations (``worth``)."""
    by_tag: F64
    """(G+1,) what a tag adds to that, and in the last place the value of an item of which nothing is known"""
    share: F64
    """(G,) of all events, how many are on items with the tag"""
    groups: tuple[Tag, ...]
    """(A,) of users"""
    leaning: F64
    """(A+1, G) what a member of a group prefers, beside what everybody does: the last row"""
    spread: F64
    """(G,) standard deviation of preferences between users, above 0"""
    tastes: Tastes
    said: Mapping[str, float] = field(default_factory=dict)
    """Event id -> what its text says, on the scale of ratings, for ``config.by_text``."""

    @staticmethod
    def fit(
        config: ProfileConfig,
        tags: Tags,
        events: Iterable[Event],
        users: Iterable[User],
        before: Population | None = None,
        said: Mapping[str, float] | None = None,
    ) -> Population:
        """What is usual in ``events``, which may come in any order, of people of whom ``users`` tell more.

        The tastes go on from those of ``before``, so that a column stays what it was. ``said`` has what texts say.
        """
        by_user: dict[UserId, list[Event]] = {}
        for event in events:
            by_user.setdefault(event.user, []).append(event)
        known = {user.id: user for user in users}
        met = {event.id for held in by_user.values() for event in held}
        said = {id: value for id, value in (said or {}).items() if id in met}
        heard = Heard(config.rated, config.by_text, said)
        levels = _levels(heard, (e for held in by_user.values() for e in held))
        items, by_tag = _items(levels, heard, tags, by_user.values(), _LEVEL * config.shrink)
        people = [(known.get(user, User(user)), held) for user, held in islice(by_user.items(), _PEOPLE)]
        groups = choose([user.attributes for user, _ in people], 64, int(_GROUP))
        g = len(tags)
        none, zeros = Tastes.none(g, len(groups), config.tastes), np.zeros((len(groups) + 1, g))
        bare = Population(config, tags, levels, items, by_tag, np.zeros(g), groups, zeros, np.ones(g), none, said)
        sums = np.stack([bare.tally(held).sums for _, held in people]) if people else np.zeros((0, ROWS, g + 1))
        count = (sums[:, RATED] + sums[:, TAKEN]).sum(axis=0)
        share = count[:-1] / max(count[-1], 1.0)
        found, weight, level = gathered(sums, share, config.shrink)
        member = np.stack([bare.member(user) for user, _ in people]) if people else np.zeros((0, len(groups) + 1))
        leaning = _ridge(member, found, weight, config.shrink)
        preference = (found + config.shrink * member @ leaning) / (weight + config.shrink)
        spread = preference.std(axis=0) if len(people) > 1 else np.ones(g)
        tastes = bare._tastes([held for _, held in people], level, member, before)
        spread = np.maximum(spread, 1e-3)
        return Population(config, tags, levels, items, by_tag, share, groups, leaning, spread, tastes, said)

    def _tastes(self, histories: Sequence[Sequence[Event]], level: F64, member: F64, before: Population | None) -> Tastes:
        """What ratings show beyond the rest of what is usual, which is in ``self`` already."""
        ids = tuple(self.tags.rows)
        rows = [
            (number, self._place[event.item], self.worth(event)[RESIDUAL] - level[number])
            for number, history in enumerate(histories)
            for event in history
            if event.item in self._place and self._above(event) is not None
        ]
        user, item, residual = (np.array([row[column] for row in rows]) for column in range(3))
        tagged = self.rows(ids)[0][:, :-1]
        known = before is not None and len(before.tastes) == self.config.tastes and before.tastes.by_item
        start = before.rows(ids)[1] if known and before is not None else None
        whole = user.astype(np.int64), item.astype(np.int64), residual.astype(np.float64)
        return fit_tastes(*whole, tagged, ids, member, start, self.config.tastes)

    @cached_property
    def _place(self) -> Mapping[ItemId, int]:
        return {id: row for row, id in enumerate(self.tags.rows)}

    @cached_property
    def _table(self) -> F32:
        """(I+1, G+1+K) 1 for each tag of an item and in column G, then its loadings; last what is known of any other item."""
        g = len(self.tags)
        table = np.zeros((len(self.tags.rows) + 1, g + 1 + len(self.tastes)), np.float32)
        table[:, g] = 1.0
        for row, (id, tags) in enumerate(self.tags.rows.items()):
            table[row, tags] = 1.0
            table[row, g + 1 :] = self.tastes.of(id, table[row, :g])
        return table

    def rows(self, items: Sequence[ItemId]) -> tuple[F64, F64]:
        """Tags (n, G+1) of items, with 1 in the last column, and their loadings among the tastes (n, K)."""
        found = self._table[[self._place.get(item, -1) for item in items]].astype(np.float64)
        return found[:, : len(self.tags) + 1], found[:, len(self.tags) + 1 :]

    def value(self, item: ItemId) -> float:
        """How much better than the mean an item's values are, or by its tags must be expected to be."""
        held = self.items.get(item)
        tags = self.tags.rows.get(item)
        if held is None and tags is not None:
            return float(self.by_tag[tags].sum() + self.by_tag[-1])
        return float(self.by_tag[-1]) if held is None else held

    def traits(self, items: Sequence[ItemId]) -> F32:
        """(n, G+K+1) an item's side of what profiles are about, in standard deviations of a value: its tags and loadings, each
        as much as users differ in it, and its value.

        With a profile's unbounded preferences and tastes as weights, and 1 for the last, the sum is what the item is
        expected to be worth to that user.
        """
        tagged, loading = self.rows(items)
        value = np.array([self.value(item) for item in items])
        return np.concatenate(
            [tagged[:, :-1] * self.spread, loading * self.tastes.spread, value.reshape(-1, 1)], axis=1
        ).astype(np.float32)

    @cached_property
    def version(self) -> str:
        """Names what was learned: two that say the same of every event and item have the same one."""
        arrays, about = self.part()
        told = np.frombuffer(json.dumps(about, sort_keys=True).encode(), np.uint8)
        return f"usual-{digest({**arrays, 'about': told})}"

    def worth(self, event: Event) -> tuple[float, float, float, float]:
        """What one event adds to a tally, in the order of its rows."""
        above = self._above(event)
        if above is not None:
            return 1.0, min(_FAR, max(-_FAR, above - self.value(event.item))), 0.0, 0.0
        if self._heard.unread(event):
            return 0.0, 0.0, 1.0, 0.0
        return 0.0, 0.0, 1.0, -_MILD if event.kind in self.config.disliked else _MILD

    def _above(self, event: Event) -> float | None:
        """Standard deviations above the mean of its kind; None for an event that has no value."""
        return _above(self.levels, self._heard, event)

    @cached_property
    def _heard(self) -> Heard:
        return Heard(self.config.rated, self.config.by_text, self.said)

    def marks(self, history: Sequence[Event], removed: Sequence[int] = ()) -> Marks:
        """What these events add to a tally. Those on items with a tag of ``removed`` say nothing of tastes."""
        worth = np.array([self.worth(event) for event in history]).reshape(-1, ROWS)
        tagged, loading = self.rows([event.item for event in history])
        if len(removed):
            loading[tagged[:, list(removed)].any(axis=1)] = 0.0
        return Marks(worth, tagged, loading, np.array([microseconds(event.at) for event in history], np.int64))

    def tally(self, history: Sequence[Event], removed: Sequence[int] = ()) -> Tally:
        """The sums over a history, in whatever order it comes."""
        empty = Tally.empty(len(self.tags), len(self.tastes))
        return empty.add(self.marks(history, removed), self.config.fading) if history else empty

    def member(self, user: User | None) -> F64:
        """(A+1,) 1 for each group the user is of, and for everybody in the last place."""
        held = user.attributes if user else {}
        return np.array([*(tag.of(held.get(tag.attribute)) for tag in self.groups), True], np.float64)

    def prior(self, user: User | None) -> F64:
        """(G,) what people with the same attributes prefer."""
        prior: F64 = self.member(user) @ self.leaning
        return prior

    def part(self) -> tuple[Arrays, Mapping[str, Any]]:
        """Arrays and JSON that :meth:`load` reads back."""
        arrays = {
            "share": self.share,
            "leaning": self.leaning,
            "spread": self.spread,
            "items": np.array(list(self.items.values()), np.float64),
            "by_tag": self.by_tag,
            "tastes.by_item": np.array(list(self.tastes.by_item.values())).reshape(len(self.tastes.by_item), len(self.tastes)),
            "tastes.by_tag": self.tastes.by_tag,
            "tastes.leaning": self.tastes.leaning,
            "tastes.spread": self.tastes.spread,
        }
        config = {
            "rated": sorted(self.config.rated),
            "disliked": sorted(self.config.disliked),
            "half_life": self.config.half_life.total_seconds(),
            "shrink": self.config.shrink,
            "tags": self.config.tags,
            "tastes": self.config.tastes,
        }
        told = {
            "rated": list(self.tastes.by_item),
            "levels": {kind: list(level) for kind, level in self.levels.items()},
            "ids": list(self.items),
        }
        tags = {"tags": [_as_list(tag) for tag in self.tags.chosen], "groups": [_as_list(tag) for tag in self.groups]}
        if self.config.by_text:  # what knows of no texts is named as it was before there were any
            config["by_text"] = sorted(self.config.by_text)
            arrays["said"] = np.array(list(self.said.values()), np.float64)
            # Bytes: there may be as many as events, and the header of a file has a bound.
            arrays["said.ids"] = np.frombuffer(json.dumps(list(self.said)).encode(), np.uint8)
        return arrays, {"config": config, **told, **tags}

    @staticmethod
    def load(arrays: Arrays, about: Mapping[str, Any], items: Iterable[Item], read: Read | None = None) -> Population:
        """What :meth:`part` wrote, over the catalogue of today and what was read of it."""
        c = about["config"]
        half_life = timedelta(seconds=c["half_life"])
        rated, by_text, disliked = (frozenset(c.get(name, ())) for name in ("rated", "by_text", "disliked"))
        config = ProfileConfig(rated, by_text, disliked, half_life, c["shrink"], c["tags"], c["tastes"])
        ids = json.loads(np.array(arrays["said.ids"]).tobytes()) if "said.ids" in arrays else []
        said = dict(zip(ids, arrays["said"].tolist(), strict=True)) if ids else {}
        by_item = dict(zip((ItemId(id) for id in about["rated"]), np.array(arrays["tastes.by_item"]), strict=True))
        return Population(
            config,
            Tags.like(tuple(_of_list(told) for told in about["tags"]), items, read),
            {kind: (level[0], level[1]) for kind, level in about["levels"].items()},
            dict(zip((ItemId(id) for id in about["ids"]), arrays["items"].tolist(), strict=True)),
            # Of before tags said anything of an item's value: they say nothing.
            np.array(arrays["by_tag"]) if "by_tag" in arrays else np.zeros(len(about["tags"]) + 1),
            np.array(arrays["share"]),
            tuple(_of_list(told) for told in about["groups"]),
            np.array(arrays["leaning"]),
            np.array(arrays["spread"]),
            Tastes(by_item, *(np.array(arrays[f"tastes.{name}"]) for name in ("by_tag", "leaning", "spread"))),
            said,
        )


def gathered(sums: F64, share: F64, shrink: float) -> tuple[F64, F64, F64]:
    """Sums ([N,] 4, G+1) -> how much each tag is preferred and by what weight of events, both ([N,] G), and the level ([N,]).

    Values are held against the user's own level, itself shrunken by ``shrink`` / 4 events; events without values against how
    often anybody takes such items. The first over the second is the preference, in standard deviations of a value, if nothing
    else were known.
    """
    rated, residual, taken, leaning = (sums[..., row, :] for row in (RATED, RESIDUAL, TAKEN, LEANING))
    level = residual[..., -1] / np.maximum(rated[..., -1] + _LEVEL * shrink, 1e-9)
    by_value = residual[..., :-1] - level[..., None] * rated[..., :-1]
    by_choice = leaning[..., :-1] - leaning[..., -1:] * share
    weight = rated[..., :-1] + np.maximum(taken[..., :-1], taken[..., -1:] * share)
    return by_value + by_choice, weight, level


def _levels(heard: Heard, events: Iterable[Event]) -> dict[str, tuple[float, float]]:
    told: dict[str, list[float]] = {}
    for event in events:
        value = heard.value(event)
        if value is not None:
            told.setdefault(event.kind, []).append(value)
    # Values that are all one tell nothing of how much anything was liked.
    return {kind: (float(np.mean(v)), float(np.std(v))) for kind, v in told.items() if np.std(v) > 1e-9}


def _above(levels: Mapping[str, tuple[float, float]], heard: Heard, event: Event) -> float | None:
    level, value = levels.get(event.kind), heard.value(event)
    return None if level is None or value is None else (value - level[0]) / level[1]


def _items(
    levels: Mapping[str, tuple[float, float]], heard: Heard, tags: Tags, histories: Iterable[Sequence[Event]], shrink: float
) -> tuple[dict[ItemId, float], F64]:
    """The value of each item that anybody rated, and what each tag says of it (G+1,)."""
    place: dict[ItemId, int] = {}
    rows = [
        (number, place.setdefault(event.item, len(place)), above)
        for number, history in enumerate(histories)
        for event in history
        if (above := _above(levels, heard, event)) is not None
    ]
    tagged = np.zeros((len(place), len(tags) + 1))
    tagged[:, -1] = 1.0
    for item, row in place.items():
        tagged[row, tags.rows.get(item, [])] = 1.0
    user, item_, value = np.array(rows, np.float64).reshape(-1, 3).T
    worth, by_tag = fit_worth(user.astype(np.int64), item_.astype(np.int64), value, tagged, shrink)
    return dict(zip(place, worth.tolist(), strict=True)), by_tag


def _ridge(member: F64, found: F64, weight: F64, shrink: float) -> F64:
    """Membership (U, A+1), what was found and its weight (U, G) -> (A+1, G): what groups prefer, each tag for itself.

    A user counts by how much is known of them, at most as one: a thousand events of one user are not a thousand users.
    """
    out = np.zeros((member.shape[1], found.shape[1]))
    penalty = np.full(member.shape[1], _GROUP)
    penalty[-1] = 1.0  # everybody: there are enough of them
    for tag in range(found.shape[1]):
        counts = weight[:, tag] / (weight[:, tag] + shrink)
        target = found[:, tag] / (weight[:, tag] + shrink)
        left = (member * counts[:, None]).T @ member + np.diag(penalty)
        out[:, tag] = np.linalg.solve(left, member.T @ target)
    return out


def _as_list(tag: Tag) -> list[Any]:
    """JSON has no infinity."""
    return [tag.attribute, tag.value, *(edge if math.isfinite(edge) else None for edge in (tag.low, tag.high))]


def _of_list(told: Sequence[Any]) -> Tag:
    attribute, value, low, high = told
    return Tag(attribute, value, -math.inf if low is None else low, math.inf if high is None else high)
