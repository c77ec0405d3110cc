"""The learner beside the server: follows the log, learns, judges, publishes, and takes in new items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from longgame.errors import ArtefactError
from longgame.learning.gate import Verdict
from longgame.learning.learner import Learner
from longgame.learning.publish import Snapshot
from longgame.protocols import Policy
from longgame.wiring.parts import policy_network
from longgame.wiring.training import Say, make_algorithm, replay
from longgame.wiring.workspace import Loaded, Workspace, gate, learner_config


@dataclass
class Follower:
    """One learner on one log, from the live snapshot on. :meth:`turn` does all there is to do now."""

    ws: Workspace
    say: Say = lambda line: None

    def __post_init__(self) -> None:
        self._live: Loaded | None = None
        self._learner: Learner | None = None
        self._items = 0

    def turn(self) -> int:
        """Learn what the log has, publish what is proven; returns the number of rounds. 0: nothing new, wait."""
        current = self.ws.registry.current()
        if current is None:
            return 0
        if self._live is None or self._live.snapshot.number != current.number:
            self._begin(current)
        assert self._live is not None and self._learner is not None
        rounds = self._learner.run(self._publish, self._refused)
        if rounds:
            self._learner.save(self._checkpoint(self._live.snapshot))
        if self._learner.items_written > self._items:
            self._items = self._learner.items_written
            self._take_in_items()
        return rounds

    def _begin(self, current: Snapshot) -> None:
        """Build a learner on the live snapshot; continue its checkpoint where there is one."""
        live = self.ws.load(current)
        assert live is not None
        config, supervised = policy_network(live.reader, live.recommender.context)
        held = live.recommender.policy
        start = held.state_dict() if held.about()["kind"] == "network" else supervised
        learner = Learner(
            self.ws.store,
            make_algorithm(self.ws.settings, config, start),
            held,
            replay(live.recommender),
            self.ws.settings.objective.build(),
            gate(self.ws.settings),
            learner_config(self.ws.settings),
            int(current.recommender.get("cursor", 0)),
        )
        path = self._checkpoint(current)
        if path.exists():
            try:
                learner.resume(path)
                self.say(f"continues after {learner.rounds} rounds")
            except ArtefactError as error:
                self.say(f"{error}; learns from the start of snapshot {current.number}")
        self._live, self._learner, self._items = live, learner, 0

    def _publish(self, policy: Policy, verdict: Verdict) -> None:
        assert self._live is not None
        snapshot = self.ws.registry.publish(
            Snapshot(
                policy.version,
                {**self._live.snapshot.parts, "policy": self.ws.registry.put("policy", policy.state_dict(), policy.about())},
                self._live.snapshot.recommender,
                asdict(verdict),
            )
        )
        self._live = Loaded(snapshot, self._live.reader, self._live.sources, self._live.recommender)
        self.say(f"snapshot {snapshot.number}: {policy.version} is live; {verdict.reason}")

    def _refused(self, verdict: Verdict) -> None:
        assert self._learner is not None
        self.say(f"round {self._learner.rounds}: {verdict.reason}")

    def _take_in_items(self) -> None:
        """New and changed items get vectors, by the recipe that is live; the policy stays as it is."""
        assert self._live is not None
        held = self._live.recommender.features
        features = self._live.reader.features(self.ws.text())
        grown = len(features) - len(held)
        if not grown and np.array_equal(features.vectors, held.vectors):
            return  # written before the vectors were made
        snapshot = self.ws.publish(
            self._live.reader,
            features,
            self._live.sources,
            self._live.recommender.policy if self._learner is None else self._learner.live,
            {"reason": f"the catalogue changed ({grown} new items); the policy is the same"},
            int(self._live.snapshot.recommender["cursor"]),
        )
        self.say(f"snapshot {snapshot.number}: {grown} new items")

    def _checkpoint(self, snapshot: Snapshot) -> Path:
        """One a base: the features and the cursor that the learner started from."""
        name = f"{snapshot.parts['features']}-{snapshot.recommender['cursor']}-{self.ws.settings.policy.algorithm}"
        return self.ws.registry.folder / "learner" / f"{name}.safetensors"


def follow(ws: Workspace, wait: Callable[[float], bool], say: Say) -> None:
    """Turn for ever; between turns that found nothing ``wait(seconds)``, which says False when it is time to stop."""
    follower = Follower(ws, say)
    seconds = ws.settings.learner.poll.total_seconds()
    while True:
        if not follower.turn() and not wait(seconds):
            return
        if not wait(0.0):
            return
