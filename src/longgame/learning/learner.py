"""The background learner: new feedback -> updates -> the gate -> a new policy live.

Everything it does depends on the log alone and never on when it looked: rows are taken in blocks of fixed size, and
every draw is derived from the number of the block. So a learner that was killed and one that was not end up with the
same weights to the last bit. Its checkpoint holds the algorithm's arrays and the log offset in one file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import numpy as np

from longgame.artefacts import load, save
from longgame.errors import ConfigError
from longgame.learning.batches import Trajectories, as_learned, make_batch, trajectories
from longgame.learning.gate import Gate, Verdict
from longgame.learning.join import Join, Joined
from longgame.learning.offpolicy import Replay, logged_marginals
from longgame.protocols import Algorithm, EventStore, Policy
from longgame.rng import derive
from longgame.types import F64, I64, Bool, DecisionId, Objective


@dataclass(frozen=True)
class LearnerConfig:
    """How the learner follows the log."""

    block: int = 256
    """Decisions with their feedback that make one round: updates, then one question to the gate."""
    updates: int = 16
    """Updates a round, at most; while there are few decisions, two passes over them."""
    batch: int = 256
    """Decisions an update."""
    memory: int = 20_000
    """Newest decisions kept to learn from and to judge by."""
    judged: int = 2_000
    """Newest decisions held out that a question to the gate is about, at most."""
    holdout: float = 0.33
    """Share of decisions never learned from, only judged by, in (0, 1)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.block, self.updates, self.batch, self.memory, self.judged) < 1 or not 0 < self.holdout < 1:
            raise ConfigError(f"LearnerConfig: sizes must be 1 or more and holdout in (0, 1), got {self}")


@dataclass
class Learner:
    """One algorithm following one log. ``live`` is the policy to beat; :meth:`step` says when it should be replaced."""

    store: EventStore
    algorithm: Algorithm
    live: Policy
    replay: Replay
    objective: Objective
    gate: Gate
    config: LearnerConfig
    after: int = 0
    """Cursor from which the log is learned."""
    loggers: dict[str, tuple[Replay, Policy]] = field(default_factory=dict)
    """Earlier policies that made decisions after that cursor; the live one is always among them."""
    said: Mapping[str, float] = field(default_factory=dict)
    """What texts say, by event id (``learning.join``); what is written later counts nothing until it is read."""

    def __post_init__(self) -> None:
        self._join = Join(self.store, self.replay.features.index, self.objective, self.replay.steps, self.after, self.said)
        self._rows: list[Joined] = []
        self._pending: Iterator[Joined] = iter(())
        self._block: list[Joined] = []
        self.rounds = self.attempts = 0
        self._shown: dict[tuple[str, DecisionId], F64] = {}
        self._counted: set[DecisionId] = set()

    def step(self) -> Verdict | None:
        """Learn from one more block, and judge. None where the log does not hold a whole block yet.

        Where the verdict passed, the candidate has become ``live``: publish it.
        """
        if not self._fill():
            return None
        self._rows = (self._rows + self._block)[-self.config.memory :]
        self._block = []
        self.rounds += 1
        log, held = self._log()
        self._learn(log, np.flatnonzero(log.told & ~held))
        return self._judge(log, np.flatnonzero(log.told & held))

    def _log(self) -> tuple[Trajectories, Bool]:
        """What is in memory, and which of its rows judge and are not learned from."""
        log = trajectories(self._rows, self.objective)
        return log, np.array([held_out(r.id, self.config.holdout) for r in log.rows], np.bool_)

    @property
    def items_written(self) -> int:
        """Items that the log brought since the learner began: its features do not know them yet."""
        return self._join.items_written

    def grow(self, replay: Replay) -> None:
        """Go on over a catalogue that has grown, or whose items have changed: what was learned stays."""
        self.replay = replay
        self.loggers = {version: (replace(how, features=replay.features), p) for version, (how, p) in self.loggers.items()}
        self._join.grow(replay.features.index)

    def run(self, publish: Callable[[Policy, Verdict], None], refused: Callable[[Verdict], None] = lambda verdict: None) -> int:
        """Step until the log is used up, publishing what passes; returns the number of rounds."""
        before = self.rounds
        while (verdict := self.step()) is not None:
            if verdict.passed:
                publish(self.live, verdict)
            else:
                refused(verdict)
        return self.rounds - before

    def _fill(self) -> bool:
        # Rows come out as the log is read; a block begun stays begun until the log can fill it.
        while len(self._block) < self.config.block:
            fresh = list(islice(self._pending, self.config.block - len(self._block)))
            if not fresh:
                self._pending = self._join.rows()
                fresh = list(islice(self._pending, self.config.block - len(self._block)))
            if not fresh:
                return False
            self._block += fresh
        return True

    def _learn(self, log: Trajectories, rows: I64) -> None:
        if getattr(self.algorithm, "counts", False):
            fresh = [row for row in rows.tolist() if log.rows[row].id not in self._counted]
            for first in range(0, len(fresh), self.config.batch):
                self._update(log, np.array(fresh[first : first + self.config.batch], np.int64))
            self._count(log, rows)
            return
        if not len(rows):
            return
        rng, log = derive(self.config.seed, "learner", str(self.rounds)), as_learned(log, rows, self.algorithm)
        # Little data is soon learned by heart: no more updates than two passes over what there is.
        for _ in range(min(self.config.updates, -(-2 * len(rows) // self.config.batch))):
            self._update(log, np.sort(rng.choice(rows, size=min(self.config.batch, len(rows)), replace=False)))

    def _update(self, log: Trajectories, rows: I64) -> None:
        self.algorithm.update(make_batch(log, rows, self.replay.features, self.replay.steps, self.replay.rules))

    def _count(self, log: Trajectories, rows: I64) -> None:
        """These were told to an algorithm that counts; those that are no longer in memory cannot come again."""
        self._counted = {log.rows[row].id for row in rows.tolist()}

    def _judge(self, log: Trajectories, rows: I64) -> Verdict:
        self.loggers[self.live.version] = (self.replay, self.live)
        if len(self._shown) > 4 * self.config.memory:
            self._shown.clear()
        candidate, rows = self.algorithm.policy, rows[-self.config.judged :]
        logged = self._remembered(log, rows, "", lambda some: logged_marginals(log, some, self.loggers))
        known = ~np.isnan(logged).any(axis=1)
        rows, logged = rows[known], logged[known]
        new = self.replay.columns(log, rows, candidate, logged=logged)
        live = self._remembered(log, rows, self.live.version, lambda some: self.replay.shown(log, some, self.live))
        old = replace(new, slot_weights=live / logged)
        verdict = self.gate.judge(new, old, self.attempts + 1)
        self.attempts += verdict.gain.effective_n >= self.gate.min_effective_n  # without evidence nothing was risked
        if verdict.passed:
            self.live, self.attempts = candidate, 0
        return verdict

    def _remembered(self, log: Trajectories, rows: I64, what: str, shown: Callable[[I64], F64]) -> F64:
        """(N, K) of ``shown``, asked only for rows it was not asked for before: the log only grows, and asking is dear."""
        ids = [log.rows[i].id for i in rows.tolist()]
        fresh = np.array([i for i, id in zip(rows.tolist(), ids, strict=True) if (what, id) not in self._shown], np.int64)
        if len(fresh):
            for i, row in zip(fresh.tolist(), shown(fresh), strict=True):
                self._shown[what, log.rows[i].id] = row[: len(log.rows[i].picks)]
        held = [self._shown[what, id] for id in ids]
        out = np.ones((len(held), max([1, *map(len, held)])))
        for row, values in zip(out, held, strict=True):
            row[: len(values)] = values
        return out

    def save(self, path: Path) -> None:
        """The algorithm and where it stands in the log, in one file that appears whole."""
        about = {
            "after": self.after,
            "rounds": self.rounds,
            "attempts": self.attempts,
            "block": self.config.block,
            "live": self.live.version,
        }
        save(path, self.algorithm.state_dict(), about)

    def resume(self, path: Path) -> None:
        """Continue as if never stopped: load the algorithm and read again, without learning, what it has seen."""
        arrays, about = load(path)
        if about["after"] != self.after or about["block"] != self.config.block:
            got = f"started at {about['after']} with block {about['block']}"
            raise ConfigError(
                f"{path}: this learner starts at {self.after} with block {self.config.block}, the checkpoint {got}"
            )
        self.algorithm.load_state_dict(arrays)
        for _ in range(about["rounds"]):
            if not self._fill():
                raise ConfigError(f"{path}: the log is shorter than the {about['rounds']} rounds of this checkpoint")
            self._rows = (self._rows + self._block)[-self.config.memory :]
            self._block = []
        self.rounds, self.attempts = about["rounds"], about["attempts"]
        if getattr(self.algorithm, "counts", False) and self._rows:
            log, held = self._log()
            self._count(log, np.flatnonzero(log.told & ~held))


def held_out(decision: str, share: float) -> bool:
    """Whether a decision belongs to the judge and not to the learner: a property of its id, the same for ever."""
    return int.from_bytes(blake2b(decision.encode(), digest_size=4).digest(), "little") < share * 2**32
