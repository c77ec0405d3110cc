"""The learner beside the server: follows the log, learns, judges, publishes, and takes in new items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path

from longgame.artefacts import Arrays
from longgame.errors import ArtefactError, ConfigError, LonggameError
from longgame.learning.gate import Verdict
from longgame.learning.learner import Learner
from longgame.learning.publish import Snapshot
from longgame.networks import NetworkConfig
from longgame.protocols import Algorithm, Policy
from longgame.slate import Exploration
from longgame.wiring.parts import features_part, load_policy, policy_network
from longgame.wiring.training import Say, make_algorithm, replay
from longgame.wiring.workspace import Loaded, Workspace, gate, learner_config


@dataclass
class Follower:
    """One learner on one log, from the live snapshot on."""

    ws: Workspace
    say: Say = lambda line: None

    def __post_init__(self) -> None:
        self._live: Loaded | None = None
        self._learner: Learner | None = None
        self._items = 0
        self._waiting = ""

    def turn(self) -> int:
        """One round of learning, or what else there is to do now; 0 where there is nothing: wait."""
        current = self.ws.registry.current()
        if current is None:
            return 0
        if self._live is None or self._live.snapshot.number != current.number:
            self._begin(current)
        assert self._live is not None and self._learner is not None
        verdict = self._learner.step()
        if verdict is not None:
            if verdict.passed:
                self._publish(self._learner.live, verdict)
            else:
                self.say(f"round {self._learner.rounds}: {verdict.reason}")
            # After the publication: a learner that dies in between learns the round again and proposes the same.
            self._learner.save(self._checkpoint(self._live.snapshot))
        elif self._learner.items_written > self._items:
            self._items = self._learner.items_written
            self._take_in_items()
        return int(verdict is not None)

    def _begin(self, current: Snapshot) -> None:
        """Build a learner on the live snapshot; continue its checkpoint where there is one."""
        live = self.ws.load(current)
        assert live is not None
        learner, path = self._learner_of(live), self._checkpoint(current)
        if path.exists():
            try:
                learner.resume(path)
                self.say(f"continues after {learner.rounds} rounds")
            except (LonggameError, KeyError) as error:
                self.say(f"{error}; begins again at snapshot {current.number}")
                learner = self._learner_of(live)
        if not learner.rounds:
            learner.save(path)  # what it began with: the live policy may change before the first round is saved
        self._live, self._learner, self._items = live, learner, 0

    def _learner_of(self, live: Loaded) -> Learner:
        """A learner that goes on from what learned the live policy, or from the policy, or from the supervised network."""
        made = live.recommender
        config, supervised = policy_network(live.reader, made.context, made.profiles)
        start = made.policy.state_dict() if made.policy.about()["kind"] == "network" else supervised
        algorithm = self._continued(live, config, start) or make_algorithm(self.ws.settings, config, start)
        earlier = {
            s.policy: (replace(replay(made), explore=Exploration(**s.recommender["explore"])), s.parts["policy"])
            for s in self.ws.registry.history()
            if s.recommender["cursor"] == live.snapshot.recommender["cursor"]
        }
        return Learner(
            self.ws.store,
            algorithm,
            made.policy,
            replay(made),
            self.ws.settings.objective.build(),
            gate(self.ws.settings),
            learner_config(self.ws.settings),
            int(live.snapshot.recommender["cursor"]),
            {version: (how, load_policy(*self.ws.registry.get(part))) for version, (how, part) in earlier.items()},
            self.ws.said(),
        )

    def _continued(self, live: Loaded, config: NetworkConfig, start: Arrays) -> Algorithm | None:
        """What learned the live policy, as it was; None where another learned it, or it was learned on since."""
        if not live.algorithm or live.learned_by != self.ws.settings.policy.algorithm:
            return None
        made = make_algorithm(self.ws.settings, config, start)
        try:
            made.load_state_dict(live.algorithm)
        except (ArtefactError, KeyError) as error:
            self.say(f"{error}; begins again from the policy")
            return None
        return made if made.policy.version == live.snapshot.policy else None

    def _publish(self, policy: Policy, verdict: Verdict) -> None:
        assert self._live is not None
        parts = {**self._live.snapshot.parts, "policy": self.ws.registry.put("policy", policy.state_dict(), policy.about())}
        how = self._live.snapshot.recommender
        snapshot = self.ws.registry.publish(Snapshot(policy.version, parts, how, asdict(verdict)))
        self._live = replace(self._live, snapshot=snapshot)
        self.say(f"snapshot {snapshot.number}: {policy.version} is live; {verdict.reason}")

    def _take_in_items(self) -> None:
        """New and changed items get vectors, by the recipe that is live, and the guards see them; the policy stays."""
        assert self._live is not None and self._learner is not None
        if self.ws.catalogue() == self._live.snapshot.recommender["catalogue"]:
            return  # written before this snapshot was made
        reader = self._live.reader
        try:
            features = reader.features(self.ws.text(), self.ws.population() if reader.traits else None)
        except (ArtefactError, ConfigError) as error:  # what is read of items is another since: it goes on with what it has
            if self._waiting != (told := str(error)):
                self._waiting = told
                self.say(f"new items wait for `longgame train`: {told}")
            return
        grown = len(features) - len(self._learner.replay.features)
        old = self._live.snapshot
        parts = {**old.parts, "features": self.ws.registry.put("features", *features_part(reader, features))}
        how = {**old.recommender, "catalogue": self.ws.catalogue()}
        proof = {"reason": f"the catalogue changed ({grown} new items); the policy is the same"}
        snapshot = self.ws.registry.publish(Snapshot(old.policy, parts, how, proof))
        loaded = self.ws.load(snapshot)
        assert loaded is not None
        self._live = loaded
        self._learner.grow(replay(loaded.recommender))
        self.say(f"snapshot {snapshot.number}: the catalogue changed, {grown} new items")

    def _checkpoint(self, snapshot: Snapshot) -> Path:
        """One for each beginning: the recipe of the features, the cursor, and all settings that decide what is learned."""
        s = self.ws.settings
        learned = (s.objective, s.policy, s.gate, s.context, s.profile)
        learner = s.learner.model_dump_json(exclude={"poll", "enabled"})
        told = " ".join([snapshot.parts["retriever"], learner, *(section.model_dump_json() for section in learned)])
        name = f"{snapshot.recommender['cursor']}-{blake2b(told.encode(), digest_size=8).hexdigest()}"
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
