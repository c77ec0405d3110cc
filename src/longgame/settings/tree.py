"""What an operator may set: one typed tree with its defaults.

The line below a field is its meaning wherever it is shown; ``docs/configuration.md`` is rendered from it. How values get
in is ``load``'s work, how they are shown ``show``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from longgame.knowledge.rules import texts
from longgame.models import MODELS
from longgame.settings.base import Count, Section, Share, Texts
from longgame.settings.reading import Language, PicturesSection, ReadingSection, RemoteSection, ReviewsSection
from longgame.settings.spans import Duration
from longgame.types import Objective

SOURCES = (*MODELS, "near", "fresh")
"""Where candidates can come from: fitted models, vectors near the history, items nobody has met."""


def _shares(shares: Mapping[str, float]) -> Mapping[str, float]:
    for name, share in shares.items():
        if name not in SOURCES:
            raise ValueError(f"there is no source {name!r}, only {', '.join(SOURCES)}")
        if not 0 <= share < float("inf"):
            raise ValueError(f"the share of {name!r} must be 0 or more, got {share}")
    if not any(shares.values()):
        raise ValueError("at least one source needs a share above 0")
    return shares


Rules = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(texts)]


class Store(Section):
    """The log of everything that happened."""

    url: str = "sqlite:///longgame.db"
    """Where the log lives: sqlite:///FILE, postgresql://USER:PASSWORD@HOST/DATABASE, or memory: (forgotten at the end)."""


class Data(Section):
    """Files that longgame makes and can make again."""

    folder: str = ".longgame"
    """Vectors, checkpoints, fetched data sets and published policies; relative to the folder the command runs in."""


class ObjectiveSection(Section):
    """What counts, for how long, and how far ahead."""

    rewards: Mapping[str, float] = Field(default={"click": 1.0}, min_length=1)
    """Reward per kind of event; a kind that is not named counts nothing."""
    by_value: Texts = ()
    """Kinds whose reward is multiplied by the event's value (a price, seconds watched)."""
    floor: Mapping[str, float] = {}
    """Smallest value at which a kind counts at all: { rating = 4.0 }."""
    window: Duration = timedelta(hours=1)
    """How long after a decision its feedback counts."""
    discount: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """What a reward a day later is worth now; 0 looks no further than the window."""
    by_text: Texts = ()
    """Kinds whose value, where there is a text, is what it says (section reviews): floor and by_value go by that."""

    def build(self) -> Objective:
        """The noun that learning and evaluation use."""
        floor, by_value, by_text = dict(self.floor), frozenset(self.by_value), frozenset(self.by_text)
        return Objective(dict(self.rewards), by_value, self.window, self.discount, floor, by_text)


class Retrieval(Section):
    """Which items a decision chooses from."""

    candidates: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Items retrieved for a request, before guards."""
    shares: Annotated[Mapping[str, float], AfterValidator(_shares)] = {"ease": 4.0, "item-knn": 2.0, "near": 2.0, "fresh": 1.0}
    """Turns each source gets in the blend: near, fresh, and any model that `longgame evaluate` knows, such as popularity,
    item-knn, ease or sequence. Naming one replaces all."""


class Models(Section):
    """The models behind the candidates, and the supervised network."""

    use_tuned: bool = True
    """Whether what `longgame tune` found is used in training and evaluation. policy.steps and policy.seed hold anyway."""
    lift: bool = False
    """Whether the models behind the candidates place items without events by their texts, among those that they know. It
    takes each of them two fits."""


class PolicySection(Section):
    """What decides, and how much it explores."""

    algorithm: Literal[
        "reinforce", "linear-thompson", "dqn", "sarsa", "cql", "slateq",
        "linucb", "neural-linear", "ensemble-thompson", "a2c", "ppo", "grpo", "sac", "ddpg", "td3",
        "tabular-q", "tabular-sarsa", "iql", "bcq", "decision-transformer", "drn", "kernel-ucb",
    ] = "reinforce"  # fmt: skip
    """reinforce is a network trained on returns; linear-thompson a Bayesian linear bandit, myopic; dqn, sarsa, cql and slateq
    learn what showing an item is worth in the long run (docs/algorithms.md says when which, and what the others are)."""
    slots: Count = 5
    """Items of the slates that slateq learns to fill: as many as the log's slates have."""
    conservative: Annotated[float, Field(ge=0)] = 1.0
    """Of cql: how far the values of what the log lacks are held down."""
    critics: Count = 1
    """Of dqn, sarsa, cql and slateq: networks whose mean is the value; each costs its time."""
    caution: Annotated[float, Field(ge=0)] = 0.0
    """Of dqn, sarsa and cql with several critics: how many of their standard deviations are taken off the mean."""
    push: Annotated[float, Field(ge=0)] = 0.0
    """Of dqn, sarsa and cql: share of its length that a user's vector is pushed to where the loss rises; .1 is much."""
    clip_rewards: Annotated[float, Field(ge=0)] = 0.0
    """No slot's reward counts more than this, up or down, in learning (not in the proof of a policy); 0: no limit."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Scores are divided by it before the draw; towards 0 the best score always wins. Like uniform, it holds from the next
    `longgame train` on: what is live keeps what it was proven with."""
    uniform: Share = 0.05
    """Share of each pick drawn uniformly: a floor under every propensity."""
    steps: Count = 50
    """History steps the policy sees."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Of all that learn with a network: not of linear-thompson, linucb, kernel-ucb, tabular-q and tabular-sarsa."""
    ratio_cap: Annotated[float, Field(gt=0)] = 10.0
    """Of reinforce and a2c: largest importance ratio of a slot; smaller is less variance and more bias."""
    trust: Annotated[float, Field(ge=0)] = 4.0
    """Of reinforce and ppo: a pick that is 1 + trust times as likely as when it was logged is not made likelier still, so that
    what is learned can be proven on that log; 0 sets no limit, for a log of nearly random decisions."""
    entropy: Annotated[float, Field(ge=0)] = 1e-3
    """Of reinforce, a2c and ppo: weight of the entropy bonus; keeps the policy from closing too early."""
    seed: int = 0
    """Every draw is derived from it and the request's id."""


class Guards(Section):
    """Rules that no policy can break."""

    already_seen: bool = True
    """Leave out what is in the user's history, as far back as serve.history."""
    seen_kinds: Texts = ()
    """Kinds of event that make an item seen; empty means all."""
    blocklist: Texts = ()
    """Ids of items never to show."""
    at_most: Mapping[str, Count] = {}
    """Attribute to how many items of a slate may share its value: { category = 3 }."""
    in_stock: str = ""
    """Attribute that says whether an item can be had: false, 0, "out" or "no" leaves it out. Empty: no such rule."""


class Knowledge(Section):
    """A graph of facts about the items, as `longgame import` and `longgame knowledge` keep it."""

    use: bool = False
    """Whether what it says of an item is put beside what the item's text says, in training and evaluation."""
    width: Count = 64
    """Numbers that an item gets from it."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """What it counts beside the text, which counts 1."""


class RulesSection(Section):
    """Rules over attributes of the items, their facts and kinds of event: "purchase: category = printer -> category = ink"."""

    never: Rules = ()
    """Who did what stands before the arrow is never shown what stands after it."""
    only: Rules = ()
    """Who did what stands before the arrow is shown nothing but what stands after it."""
    needs: Rules = ()
    """What stands after the arrow is shown to nobody but who did what stands before it."""
    suggest: Rules = ()
    """What stands after the arrow becomes a candidate for who met what stands before it; these name no kind of event."""
    share: Annotated[float, Field(gt=0)] = 2.0
    """Turns that the suggestions get among the candidates, beside retrieval.shares."""
    use: bool = False
    """Whether item vectors also have what these rules say of an item, so that a policy can learn what they are worth."""
    width: Count = 32
    """Numbers for all rules with `same` or `in` together, on either side of the arrow; each other rule is one number a side."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """How much they count beside the text."""


class LearnerSection(Section):
    """The background learner."""

    enabled: bool = True
    """Whether `longgame serve` learns from feedback beside the server."""
    poll: Duration = timedelta(seconds=5)
    """How long it waits where the log has nothing new."""
    block: Count = 256
    """Decisions with their feedback that make one round: updates, then one question to the gate."""
    updates: Count = 16
    """Updates a round, at most; while there are few decisions, two passes over them."""
    batch: Count = 256
    """Decisions an update."""
    memory: Count = 20_000
    """Newest decisions kept to learn from and to judge by."""
    judged: Count = 2_000
    """Newest decisions held out that a question to the gate is about, at most."""
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.33
    """Share of decisions never learned from, only judged by."""


class GateSection(Section):
    """The proof a policy needs before it goes live."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Of the interval whose lower bound must clear the margin."""
    min_effective_n: Annotated[float, Field(ge=0)] = 100.0
    """Effective sample size below which nothing is published."""
    margin: float = 0.0
    """What the lower bound of the gain must exceed, in units of reward."""


class Serve(Section):
    """The HTTP server."""

    host: str = "127.0.0.1"
    """Address to listen on. The server has no login of its own: keep it behind your proxy."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 takes any free one."""
    history: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Newest events of a user that a decision reads; at least four times policy.steps is read."""
    max_k: Annotated[int, Field(ge=1, le=1000)] = 100
    """Most slots a request may ask for."""
    max_batch: Annotated[int, Field(ge=1)] = 10_000
    """Most rows in one call."""
    max_body: Annotated[int, Field(ge=1024)] = 16_000_000
    """Most bytes in one call."""
    ahead: Duration = timedelta(minutes=5)
    """How far the clock of a caller may run ahead of the server's; later times are refused."""
    reload: Duration = timedelta(seconds=1)
    """How often the server looks for a newly published policy."""


class Context(Section):
    """Numbers that describe the moment of a request."""

    names: Texts = ()
    """Their names, in order; a request gives exactly these."""


class ProfileSection(Section):
    """User profiles: what somebody likes, counted from what they did (docs/profiles.md)."""

    in_state: bool = False
    """Whether the policy reads the profile, behind the numbers of the context, and items' vectors have the traits it is held
    against. Decide it with the log: like context.names it holds for a policy and for all that it learns from."""
    rated: Texts = ("rating",)
    """Kinds of event whose value says how much it was liked. Others are mild likes, or dislikes where objective.rewards is
    below 0."""
    by_text: Texts = ()
    """Kinds whose text, where there is one, says how much it was liked (section reviews). One that `longgame train` has not
    read, or that its user has taken back by a later one on the same item, is neither a like nor a dislike."""
    half_life: Duration = timedelta(days=180)
    """An event weighs half as much once the user's newest is so much later."""
    shrink: Annotated[float, Field(gt=0)] = 16.0
    """Events on a tag that weigh as much as what people with the same attributes prefer: more, and one event says less."""
    tags: Annotated[int, Field(ge=1, le=256)] = 32
    """Most tags: the values of attributes, and the tags that were read, that most items have. Each is two numbers of the
    context and one of an item's vector, where the policy reads profiles."""
    tastes: Annotated[int, Field(ge=0, le=32)] = 4
    """Tags that nobody wrote but ratings show; each is one number of the context."""


class TrackSection(Section):
    """What training measures while it runs, for people to look at."""

    to: Annotated[tuple[Literal["tensorboard", "wandb"], ...], Field(strict=False)] = ()
    """Where it is written, under `track` in data.folder: tensorboard, wandb (Weights & Biases, offline: nothing is sent)."""


class Settings(Section):
    """Everything, with its defaults."""

    store: Store = Store()
    data: Data = Data()
    language: Language = Language()
    reading: ReadingSection = ReadingSection()
    pictures: PicturesSection = PicturesSection()
    remote: RemoteSection = RemoteSection()
    objective: ObjectiveSection = ObjectiveSection()
    reviews: ReviewsSection = ReviewsSection()
    retrieval: Retrieval = Retrieval()
    models: Models = Models()
    policy: PolicySection = PolicySection()
    guards: Guards = Guards()
    knowledge: Knowledge = Knowledge()
    rules: RulesSection = RulesSection()
    learner: LearnerSection = LearnerSection()
    gate: GateSection = GateSection()
    serve: Serve = Serve()
    context: Context = Context()
    profile: ProfileSection = ProfileSection()
    track: TrackSection = TrackSection()
