"""A video service whose viewers feel, the day after, what they watched. Its minutes do not tell what a video does.

Each video has a topic, a length, a *bait* and a *depth*, and a text whose words reveal all four. The catalogue is made so
that bait and depth mostly exclude each other. A slate is a queue that is played in its order, one session a day:

- A viewer comes with *energy*, minutes for today, which are not told. While they last, the next video is started, with a
  chance that liking its topic and its bait raise and having had enough of the topic (``tired``) lowers; or it is skipped,
  which takes half a minute. What is started is watched to its end, with a chance that liking raises and length lowers, or for
  a uniform share of it. What was watched to its end may be liked: depth is, bait is not.
- *Mood* moves with every minute watched towards the worth of the video, .5 + .5 (depth - bait): bait starts well and
  leaves regret. Mood is how the last sessions felt.
- *Habit* moves after each session towards the mood, and fades on days without one. It is what brings a viewer back the next
  day. A session may be the last, the sooner the worse the mood.
- Tastes drift from day to day.

The reward is minutes watched, less half a minute a skip. The trap: who learns what is watched today shows bait, and loses the
viewers. The truth is known: :meth:`Video.chances` are the probabilities the events are drawn from, :meth:`Video.gain` and
:meth:`Video.felt` what an offered video brings and does, and :meth:`Video.wise` weighs them.
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
from longgame.simulation.draws import sigmoid, spread, standard, third
from longgame.types import F32, F64, I64, Bool, Item, ItemId, Objective

TOPICS = {
    "cooking": ("bread baking", "a noodle soup", "knife skills"),
    "chess": ("an endgame", "an opening", "a famous match"),
    "science": ("black holes", "the deep sea", "vaccines"),
    "music": ("a guitar riff", "a piano sonata", "a drum groove"),
    "history": ("the silk road", "a lost city", "the printing press"),
    "fitness": ("a morning run", "stretching", "strength at home"),
    "games": ("a speed run", "a puzzle level", "a boss fight"),
    "travel": ("a night train", "a mountain hut", "an island"),
}
BAIT = (
    ("A calm look at", "Notes on", "An unhurried hour with"),
    ("A popular clip about", "The video of the week on", "Fun with"),
    ("You WON'T BELIEVE this about", "SHOCKING truth behind", "Everyone is LOSING IT over"),
)
DEPTH = (
    ("padding and reaction shots", "a rushed listicle", "recycled footage"),
    ("a fair summary", "the usual points", "a decent overview"),
    ("original research, sources listed", "a master explains every step", "careful, rich and worth keeping"),
)
USUAL = 8.0
"""Minutes of a usual video: mood and weariness move with minutes in this unit."""
SKIP = 0.5
"""Minutes that a skip takes."""
PRICE = 140.0
"""What a unit of mood is worth to :meth:`Video.wise`: the best on other seeds, see ``docs/worlds.md``."""


@dataclass(frozen=True)
class VideoConfig:
    """How big the service is and how its viewers behave."""

    users: int = 500
    candidates: int = 10
    """Videos of which a queue can be made, each day others."""
    items: int = 401
    """Videos in the catalogue, at least as many as ``candidates``."""
    taste: float = 1.0
    """Spread of a viewer's liking between topics, in log-odds of a start."""
    drift: float = 0.02
    """Share of a taste's variance that is new each day, in [0, 1]."""
    pull: float = 1.6
    """Log-odds of a start that full bait adds."""
    energy: float = 30.0
    """Minutes that a session can last, on average, above 0."""
    memory: float = 0.2
    """Share of the way mood moves towards the worth of a video, in :data:`USUAL` minutes of it or more, in [0, 1]."""
    satiation: float = 0.6
    """Log-odds of a start that :data:`USUAL` minutes of a topic take from it, halving every two days."""
    routine: float = 0.3
    """Share of the way habit moves towards mood after a session, in [0, 1]."""
    fade: float = 0.02
    """Share of the habit that a day without a session takes, in [0, 1]."""
    visit: tuple[float, float] = (0.1, 0.9)
    """Chance of a session a day of a viewer with habit 0 and of one with habit 1."""
    leave: float = 0.15
    """Chance that a session is the last of a viewer with mood 0; none at 1."""
    seed: int = 0
    """Of the catalogue, not of the population."""

    def __post_init__(self) -> None:
        if self.users < 1 or not 1 <= self.candidates <= self.items or not self.energy > 0:
            raise ConfigError(
                f"VideoConfig: users must be 1 or more, candidates between 1 and items, and energy above 0, got {self}"
            )
        shares = (self.drift, self.memory, self.routine, self.fade, self.leave)
        if not all(0 <= share <= 1 for share in shares) or not 0 <= self.visit[0] <= self.visit[1] <= 1:
            raise ConfigError(
                "VideoConfig: drift, memory, routine, fade and leave must lie in [0, 1], visit be two rising chances, "
                f"got {self}"
            )


class Video:
    """The world: :class:`longgame.protocols.World` on arrays over B viewers."""

    def __init__(self, config: VideoConfig | None = None) -> None:
        self.config = config or VideoConfig()
        rng = derive(self.config.seed, "video", "catalogue")
        n, names = self.config.items, list(TOPICS)
        self.topic: I64 = rng.integers(len(names), size=n)
        self.length: F64 = np.clip(np.exp(rng.normal(np.log(USUAL), 0.5, n)), 2.0, 25.0).round()
        self.bait: F64 = rng.beta(0.8, 0.8, n)
        self.depth: F64 = np.clip(0.5 + 0.7 * (0.5 - self.bait) + 0.22 * rng.standard_normal(n), 0.0, 1.0)
        self._items = [self._describe(i, names[t], rng) for i, t in enumerate(self.topic.tolist())]
        self.reset(derive(self.config.seed, "video", "population"))

    def _describe(self, number: int, topic: str, rng: np.random.Generator) -> Item:
        subject = TOPICS[topic][rng.integers(len(TOPICS[topic]))]
        minutes = self.length[number]
        text = f"{third(BAIT, self.bait[number], rng)} {subject}: {topic}, {minutes:.0f} minutes, "
        text += f"{third(DEPTH, self.depth[number], rng)}."
        return Item(ItemId(f"video-{number:04d}"), text, {"topic": topic, "minutes": float(minutes)})

    @property
    def worth(self) -> F64:
        """(I,) in [0, 1] what mood moves towards. Nobody is told."""
        out: F64 = 0.5 + 0.5 * (self.depth - self.bait)
        return out

    @property
    def users(self) -> int:
        return self.config.users

    @property
    def objective(self) -> Objective:
        """Minutes watched, less what skips took, however late in the month they come: 2 % less a day."""
        rewards = {"watch": 1.0, "skip": -SKIP}
        return Objective(rewards, by_value=frozenset({"watch"}), window=timedelta(hours=12), discount=0.98)

    def catalogue(self) -> Sequence[Item]:
        return self._items

    @property
    def vectors(self) -> F32:
        """(I, 41) its topic, its length's logarithm, the words of its text, hashed, as standard scores: no language model."""
        words = HashingModel(32).embed([item.text for item in self._items])
        plain = [np.eye(len(TOPICS))[self.topic], np.log(self.length / USUAL)[:, None]]
        return standard(np.concatenate([*plain, words], axis=1))

    def reset(self, rng: np.random.Generator) -> None:
        b = self.config.users
        self._rng = rng
        self.taste: F64 = np.empty((b, len(TOPICS)))
        self.tired: F64 = np.empty((b, len(TOPICS)))
        self.mood: F64 = np.empty(b)
        self.habit: F64 = np.empty(b)
        self.gone: Bool = np.empty(b, np.bool_)
        self._away: F64 = np.empty(b)
        self._here: Bool = np.empty(b, np.bool_)
        self.renew(np.ones(b, np.bool_))
        self._offered = spread(rng, b, self.config.candidates, self.config.items)

    def renew(self, who: Bool) -> None:
        rows = np.flatnonzero(who)
        self.taste[rows] = self._rng.normal(0.0, self.config.taste, (len(rows), len(TOPICS)))
        self.mood[rows], self.habit[rows] = self._rng.uniform(0.4, 0.7, (2, len(rows)))
        self.tired[rows], self.gone[rows], self._away[rows] = 0.0, False, 0.0
        self._here[rows] = self._arrivals()[rows]

    def here(self) -> Bool:
        return self._here

    def context(self) -> F32:
        """(B, 1) log of 1 + days since the last session: what any service knows of a viewer who comes in."""
        return np.log1p(self._away)[:, None].astype(np.float32)

    def offered(self) -> I64:
        return self._offered

    def chances(self, slates: I64) -> tuple[F64, F64, F64]:
        """(B, K) -> chance of a start where the queue gets there, of the end after it, and of a like after that, (B, K) each.

        0 in an empty slot. The energy of the session is not in them: who has none left starts nothing.
        """
        c, rows = self.config, np.arange(len(slates))[:, None]
        topic, some = self.topic[slates], slates >= 0
        like = self.taste[rows, topic]
        start = sigmoid(-0.6 + like + c.pull * self.bait[slates] - c.satiation * self.tired[rows, topic])
        finish = sigmoid(0.4 + 0.5 * like - 0.06 * (self.length[slates] - USUAL))
        praise = sigmoid(-2.0 + 0.5 * like + 2.5 * self.worth[slates])
        return np.where(some, start, 0.0), np.where(some, finish, 0.0), np.where(some, praise, 0.0)

    def gain(self, slates: I64) -> F64:
        """(B, K) reward that each video of a queue is expected to bring today if there is energy for all."""
        start, finish, _ = self.chances(slates)
        watched = start * (0.5 + 0.5 * finish) * self.length[slates]
        return np.where(slates >= 0, watched - SKIP * (1 - start), 0.0)

    def felt(self, slates: I64) -> F64:
        """(B, K) how far each video of a queue is expected to move the mood as it is now, about: 0 in an empty slot."""
        start, finish, _ = self.chances(slates)
        usual = self.length[slates] / USUAL
        short = np.where(usual > 1, 1 - 0.5 / usual, 0.5 * usual)  # mean of min(1, usual x uniform)
        moved = start * (finish * np.minimum(usual, 1.0) + (1 - finish) * short)
        out: F64 = self.config.memory * moved * (self.worth[slates] - self.mood[:, None])
        return out

    def wise(self, price: float = PRICE) -> F64:
        """(B, C) scores of what is offered by one who knows the truth: minutes today and what is felt, at ``price`` minutes.

        The best ``price`` is that of a policy which looks ahead by one number: a yardstick, no upper bound. 0 is myopic.
        """
        return self.gain(self._offered) + price * self.felt(self._offered)

    def step(self, slates: I64) -> Outcome:
        """Those who are here play their queues; the slates of the others are not looked at. Then a day passes."""
        c, here = self.config, self._here
        values = self._play(slates, self._rng.gamma(4.0, c.energy / 4.0, len(here)))
        self.habit = np.where(here, self.habit + c.routine * (self.mood - self.habit), self.habit * (1 - c.fade))
        left: Bool = here & (self._rng.random(len(here)) < c.leave * (1 - self.mood) ** 2)
        self.gone |= left
        self._away = np.where(here, 1.0, self._away + 1.0)
        self.tired *= 0.5**0.5
        self.taste *= np.sqrt(1 - c.drift)
        self.taste += np.sqrt(c.drift) * self._rng.normal(0.0, c.taste, self.taste.shape)
        self._here = self._arrivals()
        self._offered = spread(self._rng, self.users, c.candidates, c.items)
        return Outcome(values, left)

    def _play(self, slates: I64, energy: F64) -> dict[str, F32]:
        """One queue each, slot after slot, until ``energy`` (B,) is used up."""
        c, chances = self.config, self.chances(slates)
        draws = self._rng.random((4, *slates.shape))
        starts, ends, likes = (draw < chance for draw, chance in zip(draws, chances, strict=False))
        share = np.where(ends, 1.0, draws[3])
        values = {kind: np.full(slates.shape, np.nan, np.float32) for kind in ("start", "skip", "watch", "like")}
        for slot in range(slates.shape[1]):
            reached = np.flatnonzero(self._here & (energy > 0) & (slates[:, slot] >= 0))
            start = starts[reached, slot]
            skipped, who = reached[~start], reached[start]
            values["skip"][skipped, slot] = 1.0
            energy[skipped] -= SKIP
            item = slates[who, slot]
            wanted = self.length[item] * share[who, slot]
            watched = np.minimum(wanted, energy[who])
            energy[who] -= watched
            values["start"][who, slot] = 1.0
            values["watch"][who, slot] = watched
            whole = ends[who, slot] & (watched >= wanted)
            values["like"][who[whole & likes[who, slot]], slot] = 1.0
            self.mood[who] += c.memory * np.minimum(watched / USUAL, 1.0) * (self.worth[item] - self.mood[who])
            self.tired[who, self.topic[item]] += watched / USUAL
        return values

    def _arrivals(self) -> Bool:
        low, high = self.config.visit
        arrived: Bool = (self._rng.random(self.users) < low + (high - low) * self.habit) & ~self.gone
        return arrived
