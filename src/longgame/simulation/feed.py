"""A feed of posts and people, in which outrage is talked about and wears readers out. What is shown is posted more.

The items are people, who post, and their posts: a slate can hold both, posts to read and people to follow. People have a topic
and a *tone* (how much outrage they post), and know each other, mostly within a topic. A post has an author, a topic, an
*outrage* and a *warmth*, which mostly exclude each other, and a text whose words tell all of it. Each day:

- A reader reads a slate, lower slots less often. Posts are liked (liking the topic, following the author and warmth raise
  the chance) and commented (liking, following, and outrage most of all). People are followed: liking the topic and those who
  are followed already and know them raise the chance.
- *Mood* moves a little towards the worth of each post shown, .5 + .5 (warmth - outrage), and further where it was commented.
- Mood brings a reader back the next day, and *ties* do: 1 - exp(-followed / 4). A visit may be the last, the sooner the worse
  the mood.
- People post more when they are seen: ``activity`` moves towards r / (1 + r), r being how often their posts were shown to a
  reader today, in shares of an equal part. A post is out today with the chance of its author's activity, and only what is out
  is offered: half a feed of outrage today is an offer of outrage tomorrow, to everybody.

A reader is offered ``cards`` people they do not follow, nearer ones (known by those followed) more often, and for the rest
posts that are out, those of people they follow six times as often.

The reward is 1 for a like and 2 for a comment. Two traps: outrage is what is commented most and what loses the readers; and a
follow is worth nothing today, while ties bring readers back. The truth is known: :meth:`Feed.chances` are the probabilities
the events are drawn from, :meth:`Feed.gain`, :meth:`Feed.felt` and :meth:`Feed.tied` what an offered item brings and
does, and :meth:`Feed.wise` weighs them. A post of the catalogue that is out again on another day is a new one of its kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from longgame.errors import ConfigError
from longgame.language.hashing import HashingModel
from longgame.protocols import Outcome
from longgame.rng import derive
from longgame.simulation.draws import seen, sigmoid, standard, third
from longgame.types import F32, F64, I64, Bool, Item, ItemId, Objective

TOPICS = {
    "politics": ("the new tax", "a court ruling", "the election"),
    "football": ("the derby", "a transfer", "the referee"),
    "gardening": ("late tomatoes", "a hedge", "wild bees"),
    "parenting": ("bedtime", "screen time", "a school play"),
    "film": ("a remake", "the festival", "an old classic"),
    "work": ("open offices", "a first job", "remote meetings"),
}
OUTRAGE = (
    ("A few thoughts on", "What I learned from", "A question about"),
    ("My opinion on", "We need to talk about", "A hot take on"),
    ("DISGRACEFUL lies about", "They are RUINING everything:", "How can anyone still defend"),
)
WARMTH = (
    ("no patience for fools", "names and blame included", "you are either with us or blind"),
    ("make of it what you like", "some facts, some feelings", "the usual arguments"),
    ("with thanks to all who helped", "other views welcome", "made with care for you"),
)
NAMES = (
    "Ada", "Bo", "Cy", "Dee", "Eli", "Fay", "Gus", "Hal", "Ida",
    "Jon", "Kit", "Lou", "Max", "Nia", "Oz", "Pam", "Quin", "Ray",
    "Sal", "Tess", "Uma", "Vic", "Wes", "Xia", "Yan", "Zoe",
)  # fmt: skip
FOLLOWED = 6.0
"""How many times as often as others' a post of somebody who is followed is offered."""
COMMENT = 2.0
"""What a comment is worth in likes."""
FLOOR = 0.05
"""Activity of those whom nobody sees: they still try now and then."""
PRICES = (30.0, 40.0)
"""Likes that a unit of mood and a new tie are worth to :meth:`Feed.wise`: the best on other seeds, see ``docs/worlds.md``."""


@dataclass(frozen=True)
class FeedConfig:
    """How big the network is and how its readers behave."""

    users: int = 500
    candidates: int = 10
    """Items offered to a reader, ``cards`` of them people."""
    items: int = 240
    """People and posts together."""
    people: int = 30
    """Of the items: 1 or more, and at least as many posts."""
    cards: int = 2
    """People among what is offered, below ``candidates``."""
    taste: float = 0.9
    """Spread of a reader's liking between topics, in log-odds of a like."""
    anger: float = 2.2
    """Log-odds of a comment that full outrage adds."""
    glimpse: float = 0.04
    """Share of the way mood moves towards the worth of what was shown, in [0, 1]."""
    memory: float = 0.2
    """The same for what was commented, at least ``glimpse``."""
    pace: float = 0.1
    """Share of the way activity moves towards what being seen makes of it, a day, in [0, 1]."""
    visit: tuple[float, float] = (0.1, 0.95)
    """Chance of a visit a day where mood or ties are 0, and where both are 1."""
    leave: float = 0.1
    """Chance that a visit is the last of a reader with mood 0; none at 1."""
    seed: int = 0
    """Of the catalogue, not of the population."""

    def __post_init__(self) -> None:
        if self.users < 1 or self.people < 1 or self.items < 2 * self.people or not 0 <= self.cards < self.candidates:
            raise ConfigError(
                "FeedConfig: users and people must be 1 or more, items at least twice the people, and cards from 0 to "
                f"candidates - 1, got {self}"
            )
        if self.candidates - self.cards > self.items - self.people:
            raise ConfigError(
                f"FeedConfig: candidates - cards must not be more than the {self.items - self.people} posts, got {self}"
            )
        if not 0 <= self.glimpse <= self.memory <= 1 or not all(0 <= share <= 1 for share in (self.pace, self.leave)):
            raise ConfigError(f"FeedConfig: need 0 <= glimpse <= memory <= 1, pace and leave in [0, 1], got {self}")
        if not 0 <= self.visit[0] <= self.visit[1] <= 1:
            raise ConfigError(f"FeedConfig: visit must be two rising chances, got {self}")


class Feed:
    """The world: :class:`longgame.protocols.World` on arrays over B readers, P people and I items, the people first."""

    def __init__(self, config: FeedConfig | None = None) -> None:
        self.config = config or FeedConfig()
        rng = derive(self.config.seed, "feed", "catalogue")
        people, topics = self.config.people, len(TOPICS)
        posts = self.config.items - people
        own = rng.permutation(np.arange(people) % topics)
        self.tone: F64 = rng.permutation((np.arange(people) + 0.5) / people)
        known = np.triu(rng.random((people, people)) < np.where(own[:, None] == own, 0.5, 0.08), 1)
        self.knows: Bool = known | known.T
        by = np.arange(posts) % people
        self.author: I64 = np.concatenate([np.arange(people), by])
        aside = rng.random(posts) < 0.2
        self.topic: I64 = np.concatenate([own, np.where(aside, rng.integers(topics, size=posts), own[by])])
        outrage = np.clip(self.tone[by] + 0.15 * rng.standard_normal(posts), 0.0, 1.0)
        warmth = np.clip(0.5 + 0.7 * (0.5 - outrage) + 0.2 * rng.standard_normal(posts), 0.0, 1.0)
        self.outrage: F64 = np.concatenate([self.tone, outrage])
        self.warmth: F64 = np.concatenate([1.0 - self.tone, warmth])
        self.is_post: Bool = np.arange(self.config.items) >= people
        self._items = [self._describe(i, rng) for i in range(self.config.items)]
        self.reset(derive(self.config.seed, "feed", "population"))

    def _describe(self, number: int, rng: np.random.Generator) -> Item:
        topic, author = list(TOPICS)[self.topic[number]], int(self.author[number])
        name = f"{NAMES[author % len(NAMES)]}{author:02d}"
        said = third(OUTRAGE, self.outrage[number], rng)
        about = TOPICS[topic][rng.integers(len(TOPICS[topic]))]
        manner = third(WARMTH, self.warmth[number], rng)
        kind = "post" if self.is_post[number] else "person"
        text = f"{said} {about}: {topic}, {manner}. By {name}."
        if kind == "person":
            text = f"Follow {name}, who posts on {topic}. Lately: {said} {about}, {manner}."
        return Item(ItemId(f"{kind}-{number:04d}"), text, {"kind": kind, "topic": topic, "author": name})

    @property
    def worth(self) -> F64:
        """(I,) in [0, 1] what mood moves towards where a post is read; of people, their tone's. Nobody is told."""
        out: F64 = 0.5 + 0.5 * (self.warmth - self.outrage)
        return out

    @property
    def users(self) -> int:
        return self.config.users

    @property
    def objective(self) -> Objective:
        """Likes, and comments twice as much, however late in the month they come: 2 % less a day."""
        return Objective({"like": 1.0, "comment": COMMENT}, window=timedelta(hours=12), discount=0.98)

    def catalogue(self) -> Sequence[Item]:
        return self._items

    @property
    def vectors(self) -> F32:
        """(I, 47) its topic, whether it is a post, and the words of its text, hashed, as standard scores: no language model."""
        words = HashingModel(40).embed([item.text for item in self._items])
        return standard(np.concatenate([np.eye(len(TOPICS))[self.topic], self.is_post[:, None], words], axis=1))

    def reset(self, rng: np.random.Generator) -> None:
        b, people = self.config.users, self.config.people
        self._rng = rng
        self.activity: F64 = np.full(people, 0.5)
        self.taste: F64 = np.empty((b, len(TOPICS)))
        self.follows: Bool = np.empty((b, people), np.bool_)
        self.mood: F64 = np.empty(b)
        self.gone: Bool = np.empty(b, np.bool_)
        self._away: F64 = np.empty(b)
        self._here: Bool = np.empty(b, np.bool_)
        self._offered: I64 = np.empty((b, self.config.candidates), np.int64)
        self.out = self._posted()
        self.renew(np.ones(b, np.bool_))

    def renew(self, who: Bool) -> None:
        rows = np.flatnonzero(who)
        self.taste[rows] = self._rng.normal(0.0, self.config.taste, (len(rows), len(TOPICS)))
        near = sigmoid(-2.4 + self.taste[rows][:, self.topic[: self.config.people]])
        self.follows[rows] = self._rng.random(near.shape) < near
        self.mood[rows] = self._rng.uniform(0.4, 0.7, len(rows))
        self.gone[rows], self._away[rows] = False, 0.0
        self._here[rows] = self._arrivals()[rows]
        self._offered[rows] = self._offer(rows)

    def here(self) -> Bool:
        return self._here

    def context(self) -> F32:
        """(B, 2) logarithms of 1 + days since the last visit and of 1 + people followed: what any network knows."""
        told: F32 = np.log1p(np.stack([self._away, self.follows.sum(axis=1)], axis=1)).astype(np.float32)
        return told

    def offered(self) -> I64:
        """(B, C) people in the first columns, posts that are out in the others; -1 where there are too few."""
        return self._offered

    @property
    def ties(self) -> F64:
        """(B,) in [0, 1)"""
        out: F64 = 1.0 - np.exp(-self.follows.sum(axis=1) / 4.0)
        return out

    def chances(self, slates: I64, alone: bool = False) -> tuple[F64, F64, F64]:
        """(B, K) -> chance of a like, of a comment and of a follow, (B, K) each, independent of each other.

        People are neither liked nor commented, posts are not followed, nor is who is followed already; 0 in an empty slot.
        ``alone``: of each item as if it stood in the first slot.
        """
        c, rows = self.config, np.arange(len(slates))[:, None]
        author, post = self.author[slates], (slates >= 0) & self.is_post[slates]
        followed = self.follows[rows, author]
        base = self.taste[rows, self.topic[slates]] + seen(slates.shape[1], alone)
        like = sigmoid(base - 1.4 + 0.7 * followed + 0.8 * self.warmth[slates])
        comment = sigmoid(0.5 * base - 2.6 + 0.5 * followed + c.anger * self.outrage[slates])
        mutual = (self.follows.astype(np.float32) @ self.knows.astype(np.float32))[rows, author]
        follow = sigmoid(base - 1.8 + 0.5 * np.log1p(mutual))
        card = (slates >= 0) & ~self.is_post[slates] & ~followed
        return np.where(post, like, 0.0), np.where(post, comment, 0.0), np.where(card, follow, 0.0)

    def gain(self, slates: I64, alone: bool = False) -> F64:
        """(B, K) reward that each item of a slate is expected to bring today; ``alone`` as :meth:`chances` has it."""
        like, comment, _ = self.chances(slates, alone)
        out: F64 = like + COMMENT * comment
        return out

    def felt(self, slates: I64, alone: bool = False) -> F64:
        """(B, K) how far each item of a slate is expected to move the mood as it is now; 0 for people and empty slots."""
        c, (_, comment, _) = self.config, self.chances(slates, alone)
        pace = np.where((slates >= 0) & self.is_post[slates], c.glimpse + (c.memory - c.glimpse) * comment, 0.0)
        out: F64 = pace * (self.worth[slates] - self.mood[:, None])
        return out

    def tied(self, slates: I64, alone: bool = False) -> F64:
        """(B, K) how far each item of a slate is expected to move :attr:`ties`."""
        _, _, follow = self.chances(slates, alone)
        out: F64 = follow * (1.0 - np.exp(-0.25)) * (1.0 - self.ties[:, None])
        return out

    def wise(self, mood: float = PRICES[0], tie: float = PRICES[1]) -> F64:
        """(B, C) scores of what is offered by one who knows the truth: likes today, and what it does, at two prices in likes.

        The best prices are those of a policy which looks ahead by two numbers: a yardstick, no upper bound. 0 and 0 is myopic.
        """
        shown = self._offered
        return self.gain(shown, alone=True) + mood * self.felt(shown, alone=True) + tie * self.tied(shown, alone=True)

    def step(self, slates: I64) -> Outcome:
        """What those who are here do; the slates of the others are not looked at. Then a day passes, and people post."""
        c, here = self.config, self._here
        draws, chances = self._rng.random((3, *slates.shape)), self.chances(slates)
        liked, commented, followed = ((draw < chance) & here[:, None] for draw, chance in zip(draws, chances, strict=True))
        self._feel(slates, commented)
        row, slot = np.nonzero(followed)
        self.follows[row, self.author[slates[row, slot]]] = True
        self._grow(slates[here])
        left: Bool = here & (self._rng.random(len(here)) < c.leave * (1 - self.mood) ** 2)
        self.gone |= left
        self._away = np.where(here, 1.0, self._away + 1.0)
        self._here = self._arrivals()
        self.out = self._posted()
        self._offered = self._offer(np.arange(self.users))
        done = {"like": liked, "comment": commented, "follow": followed}
        return Outcome({kind: np.where(did, np.float32(1.0), np.float32(np.nan)) for kind, did in done.items()}, left)

    def _feel(self, slates: I64, commented: Bool) -> None:
        read = self._here[:, None] & (slates >= 0) & self.is_post[slates]
        for slot in range(slates.shape[1]):  # one after the other: mood moves with each
            pace = np.where(commented[:, slot], self.config.memory, self.config.glimpse) * read[:, slot]
            self.mood += pace * (self.worth[slates[:, slot]] - self.mood)

    def _grow(self, slates: I64) -> None:
        """Activity after a day on which ``slates`` were shown."""
        shown = slates[(slates >= 0) & self.is_post[slates]]
        if len(shown):
            seen = np.bincount(self.author[shown], minlength=self.config.people) * self.config.people / len(shown)
            self.activity += self.config.pace * (np.maximum(seen / (1.0 + seen), FLOOR) - self.activity)

    def _posted(self) -> Bool:
        """(posts,) what is out today: at least one post."""
        ready = self._rng.random(self.config.items - self.config.people) / self.activity[self.author[self.config.people :]]
        out: Bool = ready < 1.0
        out[ready.argmin()] = True
        return out

    def _offer(self, rows: I64) -> I64:
        """(n, C) for n readers: a draw without replacement, each item with its weight."""
        c, follows = self.config, self.follows[rows]
        near = np.where(follows, 0.0, 1.0 + follows.astype(np.float32) @ self.knows.astype(np.float32))
        people = self._draw(near, min(c.cards, c.people))
        live = np.flatnonzero(self.out)
        weight = np.where(follows[:, self.author[c.people + live]], FOLLOWED, 1.0)
        posts = self._draw(weight, c.candidates - c.cards)
        found = np.full((len(rows), c.candidates), -1, np.int64)
        found[:, : people.shape[1]] = people
        found[:, c.cards : c.cards + posts.shape[1]] = np.where(posts >= 0, c.people + live[posts], -1)
        return found

    def _draw(self, weight: F64, count: int) -> I64:
        """(n, W) -> (n, count or W) distinct columns in proportion to their weights, -1 where no more has any.

        The ``count`` first arrivals of exponential clocks with those rates (Efraimidis and Spirakis, 2006).
        """
        arrival = np.full(weight.shape, np.inf)
        np.divide(self._rng.standard_exponential(weight.shape, np.float32), weight, out=arrival, where=weight > 0)
        count = min(count, weight.shape[1])
        column = np.argpartition(arrival, count - 1, axis=1)[:, :count] if count else np.zeros((len(weight), 0), np.int64)
        return np.where(np.isfinite(np.take_along_axis(arrival, column, axis=1)), column, -1).astype(np.int64)

    def _arrivals(self) -> Bool:
        low, high = self.config.visit
        chance = low + (high - low) * np.sqrt(self.mood * self.ties)
        arrived: Bool = (self._rng.random(self.users) < chance) & ~self.gone
        return arrived
