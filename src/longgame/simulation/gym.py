"""The worlds as environments of Gymnasium, for algorithms that are not ours.

    import gymnasium
    import longgame.simulation.gym

    one = gymnasium.make("longgame/InterestEvolution-v0", candidates=10, slots=2)
    many = gymnasium.make_vec("longgame/InterestEvolution-v0", num_envs=256, candidates=10, slots=2)

Gymnasium has no plugins since its 1.0: the import registers the worlds, or the name does it, as in
``gymnasium.make("longgame.simulation.gym:longgame/Shop-v0")``.

- *Observation*: a dictionary of ``context`` (F,), what the world tells and the session in numbers (``Environment``);
  ``history`` (T, D), vectors of what was responded to, newest last; ``offered`` (C, D), vectors of what can be chosen from;
  ``mask`` (C,), what can be shown, all 0 for who is not here today: then no action counts.
- *Action*: K columns of what is offered, or one where a slate has one slot. A column that is repeated, or masked, leaves its
  slot empty: so every action is allowed.
- *Reward*: the sum over the slots, by the world's objective.
- ``terminated``: the user left. ``truncated``: a time limit, which is no end. Worlds that go on for ever have one.

Many users are one environment, not many: a step is one step of arrays. Who ends is replaced in the same step
(``AutoresetMode.SAME_STEP``), and what was last seen of him stands in ``info["final_obs"]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from longgame.errors import ConfigError, MissingExtra
from longgame.protocols import World
from longgame.shapes import check
from longgame.simulation.environment import Environment, Observation
from longgame.simulation.feed import Feed, FeedConfig
from longgame.simulation.from_logs import FromLogs, FromLogsConfig
from longgame.simulation.interest_evolution import InterestEvolution, InterestEvolutionConfig
from longgame.simulation.logged import Lived, learned, told
from longgame.simulation.long_term_satisfaction import LongTermSatisfaction, LongTermSatisfactionConfig
from longgame.simulation.market import Market, MarketConfig
from longgame.simulation.sessions import Sessions, SessionsConfig
from longgame.simulation.shop import Shop, ShopConfig
from longgame.simulation.video import Video, VideoConfig
from longgame.types import F64, I64, Bool

try:
    import gymnasium
    from gymnasium import spaces
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.vector.utils import batch_space
except ImportError:
    raise MissingExtra("longgame.simulation.gym", "gymnasium", "gym") from None

Seen = dict[str, np.ndarray[Any, Any]]
Made = Callable[..., World]

WORLDS: Mapping[str, tuple[Made, type, int | None]] = {
    "InterestEvolution": (lambda **given: InterestEvolution(InterestEvolutionConfig(**given)), InterestEvolutionConfig, None),
    "LongTermSatisfaction": (
        lambda **given: LongTermSatisfaction(LongTermSatisfactionConfig(**given)),
        LongTermSatisfactionConfig,
        None,
    ),
    "Shop": (lambda **given: Shop(ShopConfig(**given)), ShopConfig, 365),
    "Video": (lambda **given: Video(VideoConfig(**given)), VideoConfig, 365),
    "Feed": (lambda **given: Feed(FeedConfig(**given)), FeedConfig, 365),
    "Market": (lambda **given: Market(MarketConfig(**given)), MarketConfig, 365),
    "Sessions": (lambda **given: Sessions(SessionsConfig(**given)), SessionsConfig, None),
    "FromLogs": (lambda **given: _from_logs(**given), FromLogsConfig, 365),
}
"""Name -> what makes the world of its settings, the class of most of them, and its time limit in steps: None where everybody
leaves in the end."""


@lru_cache(maxsize=4)
def _learned(data: Path, liked: float | None) -> Lived:
    """Learned once: Gymnasium makes a world each time that it is asked for one."""
    return learned(told(data, liked))


def _from_logs(data: str | Path, liked: float | None = None, **given: Any) -> FromLogs:
    """``data``: ratings, as ``longgame import`` reads them; ``liked``: ``simulation.logged.told``."""
    return FromLogs(_learned(Path(data), liked), FromLogsConfig(**given))


class User(gymnasium.Env[Seen, Any]):
    """One user. ``world`` is one of :data:`WORLDS`, ``settings`` are its config's; steps and remembers: ``Environment``.

    Nothing can be rendered: ``render_mode`` is there because callers give it.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own form

    def __init__(
        self,
        world: str,
        slots: int = 1,
        steps: int = 1,
        remembers: bool = True,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        self.render_mode = render_mode
        self._world = _environment(world, 1, slots, steps, remembers, settings)
        self.observation_space, self.action_space = _spaces(self._world)
        self._seen = self._world.observe()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Seen, dict[str, Any]]:
        """A new user; the same for the same seed. There are no options."""
        super().reset(seed=seed)
        self._seen = self._world.reset(_population(seed, self.np_random, options))
        return _row(_told(self._seen), 0), {}

    def step(self, action: Any) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        step = self._world.live(slates(np.reshape(action, (1, self._world.slots)), self._seen))
        self._seen = self._world.observe()
        return _row(_told(self._seen), 0), float(step.reward.sum()), bool(step.left[0]), False, {}


class Users(VectorEnv[Seen, Any, Any]):
    """``num_envs`` users, who live side by side. ``max_episode_steps``: a time limit; the rest is as in :class:`User`."""

    def __init__(
        self,
        world: str,
        num_envs: int = 1,
        slots: int = 1,
        steps: int = 1,
        remembers: bool = True,
        max_episode_steps: int | None = None,
        **settings: Any,
    ) -> None:
        if max_episode_steps is not None and max_episode_steps < 1:
            raise ConfigError(f"Users: max_episode_steps must be 1 or more, or None, got {max_episode_steps}")
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}
        self.num_envs, self._limit = num_envs, max_episode_steps
        self._world = _environment(world, num_envs, slots, steps, remembers, settings)
        self.single_observation_space, self.single_action_space = _spaces(self._world)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._seen, self._age = self._world.observe(), np.zeros(num_envs, np.int64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Seen, dict[str, Any]]:
        """New users; the same for the same seed, and those of ``Environment.reset``. There are no options."""
        super().reset(seed=seed)
        self._seen = self._world.reset(_population(seed, self.np_random, options))
        self._age[:] = 0
        return _told(self._seen), {}

    def step(self, actions: Any) -> tuple[Seen, F64, Bool, Bool, dict[str, Any]]:
        world = self._world
        step = world.live(slates(np.reshape(actions, (self.num_envs, world.slots)), self._seen))
        self._age += 1
        cut = ~step.left & (self._age >= self._limit) if self._limit else np.zeros_like(step.left)
        info: dict[str, Any] = {}
        if (over := step.left | cut).any():
            info = _finals(_told(world.observe()), over)
            world.renew(over)
            self._age[over] = 0
        self._seen = world.observe()
        return _told(self._seen), step.reward.sum(axis=1, dtype=np.float64), step.left, cut, info


def slates(action: I64, seen: Observation) -> I64:
    """(B, K) columns -> slates (B, K): -1 in place of a column that stands in a slot before it, and of what is masked."""
    check({"B": len(seen.mask)}, ("action", action, "B K"))
    out = np.array(action, np.int64)
    if out.size and not 0 <= out.min() <= out.max() < seen.mask.shape[1]:
        raise ConfigError(f"action: must hold columns from 0 to {seen.mask.shape[1] - 1}, got {out.min()} to {out.max()}")
    for slot in range(1, out.shape[1]):
        out[(action[:, :slot] == action[:, slot, None]).any(axis=1), slot] = -1
    if not seen.mask.all():
        out[~np.take_along_axis(seen.mask, np.asarray(action, np.int64), axis=1)] = -1
    return out


def _environment(world: str, users: int, slots: int, steps: int, remembers: bool, settings: Mapping[str, Any]) -> Environment:
    if world not in WORLDS:
        raise ConfigError(f"world: must be one of {', '.join(WORLDS)}, got {world!r}")
    try:
        made = WORLDS[world][0](users=users, **settings)
    except TypeError as error:  # a setting that the world's config does not have
        names = [field.name for field in fields(WORLDS[world][1]) if field.name != "users"]
        has = ", ".join(["data", "liked", *names] if world == "FromLogs" else names)
        raise ConfigError(
            f"longgame/{world}-v0: {str(error).partition(') ')[2] or error}, got {dict(settings)}; it has {has}"
        ) from None
    return Environment(made, slots, steps, remembers)


def _spaces(world: Environment) -> tuple[spaces.Space[Seen], spaces.Space[Any]]:
    """Of one user. Only the context has no bounds."""
    low, high = world.vectors.min(axis=0), world.vectors.max(axis=0)
    offered, past = (world.candidates, world.width), (world.steps, world.width)
    seen: dict[str, spaces.Space[Any]] = {
        "history": spaces.Box(np.broadcast_to(np.minimum(low, 0), past), np.broadcast_to(np.maximum(high, 0), past)),
        "offered": spaces.Box(np.broadcast_to(np.minimum(low, 0), offered), np.broadcast_to(np.maximum(high, 0), offered)),
        "mask": spaces.MultiBinary(world.candidates),
    }
    if world.context:
        seen["context"] = spaces.Box(-np.inf, np.inf, (world.context,))
    one, c = world.slots == 1, world.candidates
    action: spaces.Space[Any] = spaces.Discrete(c) if one else spaces.MultiDiscrete([c] * world.slots)
    return cast("spaces.Space[Seen]", spaces.Dict(seen)), action  # Gymnasium types what a dictionary holds as objects


def _population(seed: int | None, rng: np.random.Generator, options: Mapping[str, Any] | None) -> int:
    """The seed of a population: the one that is given, or the next of those that follow from the last that was."""
    if options:
        raise ConfigError(f"reset: knows no options, got {', '.join(map(str, options))}; leave them out")
    return int(rng.integers(2**62)) if seed is None else seed


def _told(seen: Observation) -> Seen:
    """What is known of B users; arrays of their own, which nobody writes to later."""
    told: Seen = {
        "history": np.ascontiguousarray(seen.state.history),
        "offered": np.ascontiguousarray(seen.items),
        "mask": (seen.mask & seen.here[:, None]).astype(np.int8),
    }
    if seen.state.context.shape[1]:
        told["context"] = seen.state.context
    return told


def _row(told: Seen, row: int) -> Seen:
    return {name: value[row] for name, value in told.items()}


def _finals(told: Seen, over: Bool) -> dict[str, Any]:
    """What Gymnasium's own vector environments say of those who ended: an object array of their last observations."""
    last = np.full(len(over), None, dtype=object)
    for row in np.flatnonzero(over).tolist():
        last[row] = _row(told, row)
    return {"final_obs": last, "_final_obs": over, "final_info": {}, "_final_info": over.copy()}


def register() -> None:
    """Makes the worlds known to Gymnasium, once."""
    for name, (_, _, limit) in WORLDS.items():
        if (id := f"longgame/{name}-v0") not in gymnasium.registry:
            gymnasium.register(
                id,
                "longgame.simulation.gym:User",
                max_episode_steps=limit,
                vector_entry_point="longgame.simulation.gym:Users",
                kwargs={"world": name},
            )


register()
