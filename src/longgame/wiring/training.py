"""The log -> a recommender that is proven and live: read, fit, learn, judge, publish."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np

from longgame.algorithms.committee import Committee, CommitteeConfig
from longgame.algorithms.critic import Pace
from longgame.algorithms.dqn import Dqn, DqnConfig
from longgame.algorithms.linear_thompson import LinearThompson, LinearThompsonConfig
from longgame.algorithms.reinforce import NetworkPolicy, Reinforce, ReinforceConfig
from longgame.algorithms.robust import Clipped
from longgame.algorithms.slateq import SlateQ, SlateQConfig
from longgame.arrays import Interactions
from longgame.artefacts import Arrays, load, save
from longgame.errors import ConfigError
from longgame.language import Features
from longgame.learning.batches import Trajectories, as_learned, batches, trajectories
from longgame.learning.gate import Verdict
from longgame.learning.join import Join
from longgame.learning.learner import held_out
from longgame.learning.loop import train as run
from longgame.learning.offpolicy import Replay, logged_marginals
from longgame.learning.publish import Snapshot
from longgame.models.stopping import Watch
from longgame.networks import NetworkConfig
from longgame.profiles import Population
from longgame.protocols import Algorithm, Policy
from longgame.recommender import Recommender
from longgame.rng import derive
from longgame.settings import Settings
from longgame.types import F64, I64, Decision
from longgame.wiring.actors import FROM_LOGS
from longgame.wiring.configs import Configs
from longgame.wiring.knowledge import idle, lines_of, without_leaks
from longgame.wiring.minds import MINDS
from longgame.wiring.parts import Reader, Sources, guards_of, policy_network
from longgame.wiring.reviews import by_text
from longgame.wiring.tracking import Track
from longgame.wiring.workspace import Loaded, Workspace, exploration, gate

Say = Callable[[str], None]
"""Takes a line for people about what was just done."""
_QUIET = 5.0
"""Seconds between two words of the supervised network while it learns, at least."""


@dataclass(frozen=True)
class TrainReport:
    """What training did."""

    items: int
    events: int
    decisions: int
    """Logged decisions with their feedback window closed."""
    learned: int
    """Of those, how many were learned from."""
    policy: str
    """The candidate."""
    published: Snapshot | None
    reason: str
    """Why it was published, or why not."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of the last update."""


def train(
    ws: Workspace,
    epochs: int = 3,
    force: bool = False,
    say: Say = lambda line: None,
    track: Track = Track(),  # noqa: B008 - frozen
) -> TrainReport:
    """Fit candidates and the supervised network on the log, learn from its decisions, and publish what is proven.

    Without decisions in the log the supervised policy is all there is: it goes live where nothing is yet. Against a live
    policy only the gate decides, unless ``force``. A training that was stopped continues at its last epoch.
    """
    without_leaks(ws.settings, ws.store)
    _unmet(ws, say)
    text = ws.text()
    log = ws.interactions(text)
    say(f"{len(text):,} items, {len(log):,} events of {len(log.users):,} users")
    live, in_state = ws.load(), ws.settings.profile.in_state
    profiles = ws.profiles(live.recommender.profiles if live is not None and in_state else None)
    _same_context(_first_width(ws), ws.width(profiles))  # before the network learns for minutes
    reader, features, sources = fit(ws.settings, text, log, say, track, profiles if in_state else None)
    joined, cursor = join(ws, features, say)
    config, start = policy_network(reader, ws.width(profiles), profiles)
    _same_context({len(row.context) for row in joined.rows}, ws.width(profiles))
    say(f"{len(joined.rows):,} logged decisions, {int(joined.told.sum()):,} with a future that can be told")
    rows, judge = split(joined, ws.settings.learner.holdout)
    algorithm = make_algorithm(ws.settings, config, start)
    metrics: dict[str, float] = {}
    if joined.rows and rows.told.any():
        metrics = dict(learn(algorithm, rows, features, ws, epochs, say, track))
        candidate: Policy = algorithm.policy
    else:
        candidate = NetworkPolicy(config, start, "supervised")
    made = ws.recommender(reader, features, sources, candidate, profiles=profiles)
    allowed, proof = _prove(made, live, joined, judge, ws, force)
    state = algorithm.state_dict() if metrics else None
    snapshot = ws.publish(reader, features, sources, candidate, proof, cursor, state, profiles) if allowed else None
    learned = int(rows.told.sum())
    return TrainReport(
        len(text), len(log), len(joined.rows), learned, candidate.version, snapshot, str(proof["reason"]), metrics
    )


def fit(
    settings: Settings,
    text: Features,
    log: Interactions,
    say: Say = lambda line: None,
    track: Track = Track(),  # noqa: B008 - frozen
    usual: Population | None = None,
) -> tuple[Reader, Features, Sources]:
    """The supervised network, the item vectors it makes, and the sources of candidates, each as it was tuned.

    Item vectors have the traits of what is ``usual``, for a policy that reads profiles.
    """
    configs = Configs.of(settings)
    if configs.tuned:
        say(f"uses what `longgame tune` found for {', '.join(configs.tuned)}")
    config = configs.config("sequence", steps=settings.policy.steps, seed=settings.policy.seed)
    reader = Reader.fit(text, log, settings.language.width, config, _told(track.watch("supervised"), say))
    curve = reader.sequence.curve
    if curve:
        say(f"supervised network: {len(curve)} epochs, NDCG@10 {max(curve):.4f} on held-out events")
    if usual is not None:
        reader = replace(reader, traits=usual.version)
    return (
        reader,
        reader.features(text, usual),
        Sources.fit(log, text, settings.retrieval.shares, configs, track, settings.models.lift),
    )


def _told(watch: Watch, say: Say) -> Watch:
    """The same, which says every few seconds how a training gets on that may take minutes."""
    last = time.monotonic()

    def told(number: int, figures: Mapping[str, float]) -> None:
        nonlocal last
        watch(number, figures)
        if time.monotonic() - last >= _QUIET:
            last = time.monotonic()
            say(f"supervised network: pass {number}, " + ", ".join(f"{name} {value:.4f}" for name, value in figures.items()))

    return told


def _unmet(ws: Workspace, say: Say) -> None:
    """Says of kinds that are to be told by their text and that no event is of, and of rules that cannot speak: a slip would go
    unnoticed."""
    wanted, rules = by_text(ws.settings), lines_of(ws.settings)
    kinds = {event.kind for event in ws.events()} if wanted or rules else set()
    for told in idle(ws.settings, list(ws.store.items()), kinds) if rules else ():
        say(told)
    for kind in sorted(wanted - kinds):
        there = ", ".join(sorted(kinds)) or "none"
        say(f"by_text: no event of the log is of the kind {kind!r}; there are {there}")


def _first_width(ws: Workspace) -> set[int]:
    """How many numbers the context of the log's first decision has; empty where there is none."""
    after = 0
    while True:
        records, end = ws.store.read(after, 10_000)
        if end == after:
            return set()
        for _, record in records:
            if isinstance(record, Decision):
                return {len(record.request.context)}
        after = end


def _same_context(widths: set[int], width: int) -> None:
    """Raises ConfigError where the log's decisions were made with another context than the policy is to read."""
    other = sorted(widths - {width})
    if other:
        raise ConfigError(
            f"train: the log's decisions have {' and '.join(map(str, other))} context numbers, the settings ask for {width}; "
            "keep context.names and profile.in_state as they were (`longgame simulate --log` says what its log wants), or "
            "begin a new log"
        )


def join(ws: Workspace, features: Features, say: Say = lambda line: None) -> tuple[Trajectories, int]:
    """Every logged decision with what came of it, and the cursor behind the last closed one; says what came too late."""
    objective = ws.settings.objective.build()
    follower = Join(ws.store, features.index, objective, ws.settings.policy.steps, said=ws.said())
    rows = list(follower.rows())
    if late := {kind: n for kind, n in follower.late_kinds.items() if kind in objective.rewards}:
        told = ", ".join(f"{n:,} of the kind {kind}" for kind, n in sorted(late.items()))
        hours = objective.window.total_seconds() / 3600
        say(
            f"{told} came more than {hours:g} hours after their decision, or name none that the log has, and count for "
            "nothing: objective.window says so"
        )
    return trajectories(rows, objective), follower.cursor


def split(log: Trajectories, holdout: float) -> tuple[Trajectories, I64]:
    """The log with the judge's decisions taken out of what is learned from, and the judge's rows."""
    held = np.array([held_out(row.id, holdout) for row in log.rows], np.bool_)
    rows = Trajectories(log.rows, log.future, log.following, log.discount, log.told & ~held)
    return rows, np.flatnonzero(log.told & held)


def make_algorithm(settings: Settings, network: NetworkConfig, start: Arrays) -> Algorithm:
    """The algorithm that the settings name; one with a network begins at ``start``.

    Raises ConfigError where an option is asked of one that has it not.
    """
    s = settings.policy
    by_values = s.algorithm in ("dqn", "sarsa", "cql")
    for key, asked, has, whose in (
        ("push", s.push > 0, by_values, "dqn, sarsa and cql"),
        ("caution", s.caution > 0, by_values and s.critics > 1, "dqn, sarsa and cql with several policy.critics"),
        ("critics", s.critics > 1, by_values or s.algorithm == "slateq", "dqn, sarsa, cql and slateq"),
    ):
        if asked and not has:
            raise ConfigError(f"policy.{key}: is an option of {whose}, got {getattr(s, key)} for {s.algorithm}; leave it out")
    made = _plain_algorithm(settings, network, start)
    return Clipped(made, s.clip_rewards) if s.clip_rewards else made


def _plain_algorithm(settings: Settings, network: NetworkConfig, start: Arrays) -> Algorithm:
    """Without clipping."""
    s = settings.policy
    if s.algorithm == "linear-thompson":
        return LinearThompson(LinearThompsonConfig(network.width, network.context, seed=s.seed))
    if s.algorithm in MINDS:
        return MINDS[s.algorithm](settings, network, start)
    if s.algorithm in FROM_LOGS:
        return FROM_LOGS[s.algorithm](settings, network, start, exploration(settings))
    pace = Pace(s.learning_rate)
    if s.algorithm == "slateq":
        return SlateQ(SlateQConfig(network, s.slots, pace=pace, critics=s.critics, seed=s.seed), start)
    if s.algorithm != "reinforce":
        sarsa = exploration(settings) if s.algorithm == "sarsa" else None
        held = s.conservative if s.algorithm == "cql" else 0.0
        critic = DqnConfig(network, pace, sarsa=sarsa, conservative=held, push=s.push, seed=s.seed)
        return Committee(CommitteeConfig(critic, s.critics, s.caution), start) if s.critics > 1 else Dqn(critic, start)
    config = ReinforceConfig(
        network,
        s.learning_rate,
        s.ratio_cap,
        trust=s.trust,
        entropy=s.entropy,
        discount_future=settings.objective.discount > 0,
        explore=exploration(settings),
        seed=s.seed,
    )
    return Reinforce(config, start)


def learn(
    algorithm: Algorithm,
    rows: Trajectories,
    features: Features,
    ws: Workspace,
    epochs: int,
    say: Say,
    track: Track = Track(),  # noqa: B008 - frozen
) -> Mapping[str, float]:
    """``epochs`` passes over the told rows; returns the metrics of the last update.

    Linear bandits make one pass: they count what they have seen, and must not count it twice. Each pass
    ends with a checkpoint, from which a training of the same log and settings that was stopped goes on.
    """
    s, last = ws.settings, dict[str, float]()
    path = ws.registry.folder / "training" / f"{_name_of_run(rows, features, s)}.safetensors"
    rows, done, updates = as_learned(rows, np.flatnonzero(rows.told), algorithm), 0, 0
    if path.exists():
        arrays, about = load(path)
        algorithm.load_state_dict(arrays)
        done, last, updates = about["epochs"], about["metrics"], about.get("updates", 0)
        say(f"continues after epoch {done}")

    def on_step(step: int, metrics: Mapping[str, float]) -> None:
        last.update(metrics)
        track.write("policy", updates + step, metrics)

    for epoch in range(done, 1 if getattr(algorithm, "counts", False) else epochs):
        order = derive(s.policy.seed, "train", str(epoch))
        steps = run(
            algorithm,
            batches(rows, features, s.policy.steps, s.learner.batch, order, _rules(ws, features)),
            on_step,
        )
        updates += steps
        save(path, algorithm.state_dict(), {"epochs": epoch + 1, "metrics": last, "updates": updates})
        say(f"epoch {epoch + 1}: {steps} updates, " + ", ".join(f"{k} {v:.3g}" for k, v in last.items()))
    path.unlink(missing_ok=True)
    return last


def _name_of_run(rows: Trajectories, features: Features, settings: Settings) -> str:
    """Names all that decides what a training does, apart from the number of passes."""
    last = rows.rows[-1].cursor if rows.rows else 0
    decides = settings.model_dump_json(exclude={"track"})
    told = f"{features.version} {len(rows.rows)} {int(rows.told.sum())} {last} {decides}"
    return blake2b(told.encode(), digest_size=8).hexdigest()


def _rules(ws: Workspace, features: Features) -> tuple[Any, ...]:
    if not ws.settings.guards.at_most:
        return ()
    place = features.index
    return guards_of(ws.settings, sorted(ws.store.items(), key=lambda item: place.get(item.id, len(place))))[1]


def replay(made: Recommender) -> Replay:
    """How a recommender's policy is held against the log."""
    return Replay(made.features, made.steps, made.explore, made.rules, made.seed)


def judge_against(made: Recommender, live: Recommender, log: Trajectories, rows: I64, ws: Workspace) -> Verdict:
    """The gate's verdict on two recommenders, each with its own item vectors, on the same decisions."""
    relog = _translated(log, made.features, live.features)
    logged = np.full((len(rows), 1), np.nan) if not len(rows) else logged_by(log, rows, made, ws)
    known = ~np.isnan(logged).any(axis=1)
    strangers = sorted({log.rows[row].versions.policy for row in rows[~known].tolist()})
    rows, logged = rows[known], logged[known]
    new = replay(made).columns(log, rows, made.policy, logged=logged)
    old = replay(live).columns(relog, rows, live.policy, logged=logged)
    verdict = gate(ws.settings).judge(new, old)
    if not strangers:
        return verdict
    left = (
        f"{(~known).sum():,} held-out decisions prove nothing: the registry has not what made them ({', '.join(strangers[:3])})"
    )
    return replace(verdict, reason=f"{verdict.reason}; {left}")


def logged_by(log: Trajectories, rows: I64, made: Recommender, ws: Workspace) -> F64:
    """``logged_marginals`` of decisions that policies with other item vectors made."""
    out: F64 | None = None
    for version, loaded in ws.loggers({log.rows[i].versions.policy for i in rows.tolist()}).items():
        there = _translated(log, made.features, loaded.recommender.features)
        found = logged_marginals(there, rows, {version: (replay(loaded.recommender), loaded.recommender.policy)})
        out = found if out is None else np.where(np.isnan(out), found, out)
    return logged_marginals(log, rows, {}) if out is None else out


def _translated(log: Trajectories, old: Features, new: Features) -> Trajectories:
    """The same rows with their catalogue positions in ``new`` instead of ``old``."""
    if old.ids == new.ids:
        return log
    table = np.concatenate([new.positions(old.ids), [-1]]).astype(np.int32)  # -1 finds the last entry
    rows = [
        replace(r, candidates=table[r.candidates], history=tuple(p for p in table[list(r.history)].tolist() if p >= 0))
        for r in log.rows
    ]
    return Trajectories(rows, log.future, log.following, log.discount, log.told)


def _prove(
    made: Recommender, live: Loaded | None, log: Trajectories, judge: I64, ws: Workspace, force: bool
) -> tuple[bool, dict[str, Any]]:
    """Whether the candidate may go live, and the proof that is published with it."""
    if live is None:
        return True, {"reason": "the first policy: nothing was live that it could be held against"}
    if force:
        return True, {"reason": "forced by the operator, not proven"}
    verdict = judge_against(made, live.recommender, log, judge, ws)
    return verdict.passed, asdict(verdict)
