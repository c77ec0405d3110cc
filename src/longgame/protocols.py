"""The seams: everything that can be swapped, and nothing more. Each has a contract test in ``tests/contracts``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np

from longgame.arrays import Batch, Candidates, Interactions, State
from longgame.types import F32, I64, Bool, Decision, DecisionId, Event, Item, ItemId, Objective, Record, Request, User, UserId


class LanguageModel(Protocol):
    """Reads texts. Its work is done before a request comes, never in answer to one."""

    @property
    def name(self) -> str:
        """Names the model and everything that changes its output: the same name gives the same vectors."""

    @property
    def width(self) -> int:
        """Width of a vector."""

    def embed(self, texts: Sequence[str]) -> F32:
        """(n, width), unit rows (zeros for an empty text), row i for text i, whatever its neighbours are."""


class PictureModel(Protocol):
    """Looks at pictures, before a request comes."""

    @property
    def name(self) -> str:
        """Names the model and everything that changes its output: the same name gives the same vectors."""

    @property
    def width(self) -> int:
        """Width of a vector."""

    def embed(self, pictures: Sequence[bytes]) -> F32:
        """Bytes of files -> (n, width), unit rows (zeros for what is no picture), row i for picture i."""


class Chooser(Protocol):
    """Answers closed questions. Like every reader it works before a request comes, never in answer to one."""

    @property
    def name(self) -> str:
        """Names the model and everything that changes its answers."""

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> F32:
        """(n, m) log-probability of each of m options as what follows each of n prompts, finite, at most 0.

        An option begins with the space that parts it from the prompt, and may be told by its first token: a row need not sum
        to one, and no two options may begin alike. Row i depends on prompt i alone. Raises ConfigError for options that
        cannot be told apart.
        """


class Writer(Protocol):
    """Writes objects. What it says is valid, not true: whoever asks checks it against the source before it is used."""

    @property
    def name(self) -> str:
        """Names the model and everything that changes what it writes."""

    def generate(self, prompts: Sequence[str], schema: Mapping[str, Any]) -> Sequence[Mapping[str, Any] | None]:
        """For each prompt an object that is valid against the JSON schema, whose type is ``object``; the same for the same.

        None where the model did not come to an end of one: the others are not lost for it.

        Strings and lists must be bounded by the schema (``maxLength``, ``maxItems``): a small model may else never end. Raises
        ConfigError for a schema that is not, or that cannot be followed.
        """


class EventStore(Protocol):
    """An append-only log of what exists and what happened. Ids make every write idempotent."""

    def put(self, records: Iterable[Record]) -> list[bool]:
        """Append, all or nothing, durable when it returns. True for each record that was new.

        An Event or a Decision whose id is known is skipped (the first holds). An Item or a User with
        the contents it already has is skipped; with others it is appended, and the newest holds.
        Raises RecordError for what is not a record, StoreError if the log cannot be written.
        """

    def items(self) -> Iterator[Item]:
        """The newest contents of every item, in the order they first appeared."""

    def users(self) -> Iterator[User]:
        """The newest contents of every user, in the order they first appeared."""

    def user(self, id: UserId) -> User | None:
        """The newest contents of one user, or None."""

    def decision(self, id: DecisionId) -> Decision | None: ...

    def history(self, user: UserId, before: datetime, limit: int, until: int | None = None) -> list[Event]:
        """The last ``limit`` events strictly before ``before``, oldest first, ties by event id.

        With ``until``, only what lies at or before that cursor: the history as it was then.
        """

    def read(self, after: int, limit: int) -> tuple[list[tuple[int, Record]], int]:
        """Up to ``limit`` records after a cursor with the cursor of each, in commit order, and the new cursor."""

    def close(self) -> None: ...


class Model(Protocol):
    """Log -> scores over the whole catalogue: a source of candidates and a baseline at once."""

    @property
    def name(self) -> str: ...

    def fit(self, log: Interactions, features: F32) -> None:
        """Learn from ``log``; ``features`` (I, X) are the text vectors of ``log.items``. Replaces what was learned."""

    def score(self, histories: I64) -> F32:
        """(B, T) positions, oldest first, -1 padding anywhere -> (B, I), higher is better, finite.

        I is the catalogue it was fitted on. Seen items are scored like any other: leaving them out is a guard's work.
        """

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        """Arrays that rebuild the fitted model. Names are stable."""

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None: ...


class Incremental(Protocol):
    """A model that learns from what came after its fit without forgetting it. Asked for with ``hasattr(model, "update")``."""

    def update(self, more: Interactions) -> None:
        """Learn from events after those it knows.

        ``more.items`` begins with the catalogue it was fitted on and may be longer; users are matched by id where the
        model keeps users. Raises DataError where the catalogue is another one.
        """


class RatingModel(Protocol):
    """A model that also says how much a user will like an item, on the scale of the log's values."""

    def rate(self, users: I64, items: I64) -> F32:
        """(n,) positions of users and (n,) of items in the log it was fitted on, -1 for an unknown one -> (n,) values.

        Clipped to the range of values that the log has. An unknown user or item is rated by what is known of the other.
        """


class Retriever(Protocol):
    """State -> candidates."""

    @property
    def version(self) -> str: ...

    def retrieve(self, state: State, n: int) -> Candidates:
        """At most ``n`` distinct candidates for one user, best first. Pure."""


class Policy(Protocol):
    """Scores; it never samples. Sampling, and so every propensity, lives in ``slate``."""

    @property
    def version(self) -> str: ...

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        """State of B, (B, C, D), (B, C) -> (B, C) log-preferences, finite where mask is True. Pure."""

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        """Arrays that rebuild it."""

    def about(self) -> Mapping[str, Any]:
        """The rest that rebuilds it, as JSON: its ``kind`` (see ``wiring``) and its configuration."""


class Guard(Protocol):
    """Says which candidates are eligible at all. Runs before the decision is formed, so the log shows its work."""

    @property
    def version(self) -> str:
        """Names the rule and its contents."""

    def eligible(self, request: Request, history: Sequence[Event], candidates: Candidates) -> Bool:
        """(C,) True where the candidate may be shown. Pure."""


class SlateRule(Protocol):
    """Says what may come next, given what is already in the slate. Learning and evaluation replay it."""

    @property
    def version(self) -> str:
        """Names the rule and its contents: a replay must know which ran."""

    def allow(self, positions: I64, chosen: Sequence[int]) -> Bool:
        """(C,) catalogue positions and the columns already chosen -> (C,) what may come next. Pure."""


class Algorithm(Protocol):
    """Learns from batches. The policy it hands out is a snapshot that does not move under you."""

    @property
    def policy(self) -> Policy: ...

    def update(self, batch: Batch) -> Mapping[str, float]:
        """One step on one batch -> metrics by name."""

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        """Everything that makes resuming equal never stopping, as arrays."""

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Copies; the mapping given is not changed and not kept."""


@dataclass(frozen=True)
class Outcome:
    """What B users did with B slates."""

    values: Mapping[str, F32]
    """For each kind of event its value (B, K), NaN where it did not happen."""
    left: Bool
    """(B,) whose time with the product ended in this step, for good. An end, not a cut."""


class World(Protocol):
    """A simulated population, B users at a time, on arrays, a day a step. Its truth is known.

    ``simulation.rollout`` turns its steps into the records that serving writes, ``simulation.Environment`` into the arrays
    that algorithms learn from.
    """

    @property
    def users(self) -> int:
        """B, the size of the population."""

    @property
    def objective(self) -> Objective:
        """What the product wants."""

    def catalogue(self) -> Sequence[Item]:
        """The items, in their order; the same for every population."""

    @property
    def vectors(self) -> F32:
        """(I, D) what anybody can see of the items, without a language model."""

    def reset(self, rng: np.random.Generator) -> None:
        """A new population on its first day; every later draw comes from ``rng``."""

    def renew(self, who: Bool) -> None:
        """New users, on their first day, in the rows (B,) that ``who`` names."""

    def here(self) -> Bool:
        """(B,) who asks for a slate today."""

    def context(self) -> F32:
        """(B, F) what the product knows of the moment without the log."""

    def offered(self) -> I64:
        """(B, C) catalogue positions that can be shown today, -1 on padding; the same until the next step."""

    def step(self, slates: I64) -> Outcome:
        """(B, K) catalogue positions, -1 in an empty slot -> what those who are here do. Then a day passes."""


class Browsing(Protocol):
    """A world whose users also look at items that nobody showed them. Asked for with ``hasattr(world, "browsed")``."""

    def browsed(self) -> I64:
        """(B, M) catalogue positions that each looked at since their last slate, oldest first, -1 on padding.

        The same until the next step. They are events of the kind "view", without a decision.
        """


ItemIndex = Mapping[ItemId, int]
"""Item id -> position in the catalogue."""
