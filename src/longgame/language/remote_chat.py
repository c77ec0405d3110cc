"""Closed questions and objects, asked of a chat model behind an endpoint: ``protocols.Chooser`` and ``protocols.Writer``.

Servers differ in what they can do, and few say so. What is best is asked for first; where the server refuses it, or does
something else, the next best: a closed question by the log-probabilities of the first token, then by a schema with the options
in it, then by one word; an object by its schema, then as any JSON object, then in plain words. What comes back is checked in
each case. What a server was found to lack is not asked of it again by the same reader.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from longgame.errors import RemoteError
from longgame.language.calling import Carrier, Line, Refused, Route, installed
from longgame.language.endpoint import Endpoint, Ledger
from longgame.language.remote import REQUESTS
from longgame.language.replies import (
    Lacking,
    Reply,
    Scores,
    Unread,
    named,
    parsed,
    prior,
    reply,
    scored,
    worded,
)
from longgame.language.schemas import checked, strict
from longgame.language.shield import Marks
from longgame.types import F32, Bool

T = TypeVar("T")

RECIPE = "chat-1"
"""Names the words that are put round a prompt here. Change any, and it must change."""
_BORNE = (400, 413, 422, 501)
"""What a server says to what it cannot do, or to what is too long for it."""
_MISREAD = ("Input should be", "response_format")
"""What llama-cpp-python's server says, with status 500, of a wish that it does not know."""
_TOP = (20, 5)
"""First tokens asked for: the most that OpenAI lists, and the most that older servers do."""
_WORD = 32
"""Tokens of a one-word answer, at most."""
_DONE = 1 << 30
"""Tries of a prompt that is not asked again."""
_PATIENCE = 3
"""Prompts refused in every way, before any was not, until the server is taken to refuse all."""
_WARM = 0.5
"""Temperature of a further try: at 0 it would say the same."""
_AROUND, _TOKEN, _LISTED = 65_536, 64, 512
"""Bytes of an answer, of a token in it, and of a token that is listed with its log-probability, at most."""


class Chat:
    """A ``protocols.Chooser`` and ``protocols.Writer`` behind an endpoint. Needs the extra ``remote``."""

    installed = staticmethod(installed)

    def __init__(self, endpoint: Endpoint, carrier: Carrier | None = None, marks: Marks = "delimited") -> None:
        """``marks``: how strangers' texts are to be told from the rest of its prompts."""
        self.endpoint, self.marks = endpoint, marks
        self._carrier = carrier or Line(endpoint)
        longest = _AROUND + _TOKEN * endpoint.answer + _LISTED * _TOP[0]
        self._route = Route("/chat/completions", longest, _BORNE, _MISREAD)
        self.missed = 0
        """Prompts so far that got no answer, or no object, that could be used."""
        self._habits = _Habits()
        self._rungs = {"choose": 0, "generate": 0}
        self._sure = {"choose": self._carrier.patient, "generate": self._carrier.patient}

    @property
    def ledger(self) -> Ledger:
        return self._carrier.ledger

    @property
    def name(self) -> str:
        """The model's, and these words'; where it runs is no part of it, so a server may move."""
        return f"remote-{self.endpoint.model}+{RECIPE}"

    @property
    def patient(self) -> bool:
        """Whether answers come in batches, at their price."""
        return self._carrier.patient

    @property
    def batch(self) -> int:
        """Prompts whose answers are worth keeping before more is asked: what is under way together."""
        e = self.endpoint
        return REQUESTS if self.patient else min(e.concurrency, e.calls or e.concurrency)

    def finish(self) -> None:
        """All answers are safe elsewhere: what a batch brought need not be kept."""
        self._carrier.finish()

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> F32:
        """(n, m) log-probability of each option as what follows each prompt, in -20 to 0.

        By the server's log-probabilities where it tells them (``replies.scored``); else by the option it says, and then the
        numbers say only that (``replies.worded``): 3/(m + 2) for that option and 1/(m + 2) for each other. A prompt that is
        answered by none of the options, however often it is asked, has 1/m for each.

        Raises ConfigError for options that begin alike; RemoteError where the server cannot be had, a bound is reached, or
        not one of the prompts gets an answer; MissingExtra without the client.
        """
        told = self._chosen(prompts, options)
        if told and all(isinstance(row, str) for row in told):
            raise RemoteError(f"{self.endpoint.where}: answers no prompt by one of {list(options)}; the first {told[0]}")
        return self._filled(told, len(options))

    def answered(self, prompts: Sequence[str], options: Sequence[str]) -> tuple[F32, Bool]:
        """As :meth:`choose`, and (n,) False for a prompt that was answered by none of the options: 1/m is no answer to keep.

        No error, though none of them was answered: they may be what is left of many.
        """
        told = self._chosen(prompts, options)
        return self._filled(told, len(options)), np.array([not isinstance(row, str) for row in told], np.bool_)

    @staticmethod
    def _filled(told: Sequence[Scores | str], count: int) -> F32:
        """(n, count): 1/count each where nothing was answered."""
        unsaid = prior(count)
        return np.array([unsaid if isinstance(row, str) else row for row in told], np.float32).reshape(-1, count)

    def _chosen(self, prompts: Sequence[str], options: Sequence[str]) -> list[Scores | str]:
        """What each prompt is answered, or why nothing that can be used."""
        names = named(options)
        readers: tuple[Callable[[Reply], Scores], ...] = (
            lambda said: scored(said, names),
            lambda said: worded(said, names),
            lambda said: worded(said, names),
        )
        told = self._asked("choose", prompts, lambda prompt, rung, n: self._question(prompt, names, rung, n), readers)
        self.missed += sum(isinstance(row, str) for row in told)
        return told

    def generate(self, prompts: Sequence[str], schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """For each prompt an object that is valid against the schema.

        Raises RemoteError as :meth:`choose`, and where a prompt gets no valid answer in ``Endpoint.tries``;
        :meth:`written` keeps the others. Raises ConfigError for a schema that is none, or bounds not its strings and lists.
        """
        out = self._written(prompts, schema)
        wrong = [(row, told) for row, told in enumerate(out) if isinstance(told, str)]
        if wrong:
            row, told = wrong[0]
            raise RemoteError(
                f"{self.endpoint.where}: {len(wrong):,} of {len(prompts):,} prompts got no valid object in "
                f"{self.endpoint.tries} tries; the answer to prompt {row} {told}"
            )
        return [told for told in out if not isinstance(told, str)]

    def written(self, prompts: Sequence[str], schema: Mapping[str, Any]) -> list[Mapping[str, Any] | None]:
        """As :meth:`generate`, but None for a prompt that gets no valid answer: one of many must not cost the others."""
        out = [None if isinstance(told, str) else told for told in self._written(prompts, schema)]
        self.missed += out.count(None)
        return out

    def sent(self, prompt: str, options: Sequence[str] = (), schema: Mapping[str, Any] | None = None) -> str:
        """What goes to the server for a prompt, first asked: a question with options, or an order of an object of a schema."""
        body = self._question(prompt, named(options), 0, 0) if schema is None else self._order(prompt, schema, 0, 0)
        return json.dumps([body["messages"], body.get("response_format")], ensure_ascii=False)

    def _written(self, prompts: Sequence[str], schema: Mapping[str, Any]) -> list[Mapping[str, Any] | str]:
        validator = checked(schema)
        readers = (lambda said: parsed(said, validator),) * 3
        return self._asked("generate", prompts, lambda prompt, rung, n: self._order(prompt, schema, rung, n), readers)

    def _asked(
        self,
        what: str,
        prompts: Sequence[str],
        body: Callable[[str, int, int], Mapping[str, Any]],
        readers: Sequence[Callable[[Reply], T]],
    ) -> list[T | str]:
        """What was read of the answer to each prompt, or why nothing was.

        Each prompt goes down the ladder of ``readers`` from the rung where this server stands. Until that is known one prompt
        is asked alone.
        """
        out: list[T | str] = ["was not asked"] * len(prompts)
        rung, tried = [self._rungs[what]] * len(prompts), [0] * len(prompts)
        left, given_up = list(range(len(prompts))), 0
        while left:
            rows = left if self._sure[what] else left[:1]
            bodies, habits = [body(prompts[row], rung[row], tried[row]) for row in rows], self._habits.copy()
            for row, said in zip(rows, self._carrier.ask(self._route, bodies, lambda _, answer: reply(answer)), strict=True):
                lowest = rung[row] + 1 == len(readers)
                try:
                    if not isinstance(said, Refused):
                        out[row] = readers[rung[row]](said)
                        self._stand(what, rung[row])
                        tried[row] = _DONE
                        continue
                    out[row] = f"was refused: {said.told}"
                    if what == "generate" and rung[row] == 1 and habits.inner:
                        self._habits.inner = False  # a server may know json_object and nothing beside it
                        continue
                    if habits.copy().learn(said.told):  # all of a batch were asked the old way, whoever is heard first
                        self._habits.learn(said.told)
                        continue
                    if self._sure[what]:
                        tried[row] = _DONE if lowest else tried[row] + 1
                    elif lowest:
                        tried[row], given_up = _DONE, given_up + 1
                except Unread as trouble:
                    out[row] = str(trouble)
                    if not isinstance(trouble, Lacking):
                        tried[row] += 1
                        self._stand(what, rung[row])
                rung[row] += not lowest
            if given_up == _PATIENCE:
                raise RemoteError(f"{self.endpoint.where}: refuses every prompt; the last {out[rows[0]]}; mend remote.model")
            left = [row for row in left if tried[row] < self.endpoint.tries]
            rung = [max(own, self._rungs[what]) for own in rung]
        return out

    def _stand(self, what: str, rung: int) -> None:
        """What this server can do is known."""
        if not self._sure[what]:
            self._sure[what], self._rungs[what] = True, rung

    def _question(self, prompt: str, names: Sequence[str], rung: int, tried: int) -> Mapping[str, Any]:
        listed = ", ".join(names)
        if rung == 0:
            told = f"Continue the text with one of these, and with nothing else: {listed}."
            asked = {"logprobs": True, "top_logprobs": self._habits.top}
            return self._body(told, prompt, 1, 0) | asked
        if rung == 1:
            enum = {"type": "object", "properties": {"answer": {"enum": list(names)}}}
            schema = enum | {"required": ["answer"], "additionalProperties": False}
            told = f'Say what continues the text: one of these, and nothing else, as {{"answer": ...}}: {listed}.'
            return self._body(told, prompt, _WORD, max(0, tried - 1)) | {"response_format": self._format(schema)}
        return self._body(f"Answer with one of these, and with nothing else: {listed}.", prompt, _WORD, max(0, tried - 2))

    def _order(self, prompt: str, schema: Mapping[str, Any], rung: int, tried: int) -> Mapping[str, Any]:
        if rung == 0:
            told = "Answer with one JSON object, and with nothing else."
            return self._body(told, prompt, self.endpoint.answer, tried) | {"response_format": self._format(schema)}
        told = f"Answer with one JSON object that follows this JSON schema, and with nothing else: {json.dumps(schema)}"
        if rung > 1:
            return self._body(told, prompt, self.endpoint.answer, tried)
        inner = {"schema": schema} if self._habits.inner else {}  # as llama-cpp-python and others had it before OpenAI did
        return self._body(told, prompt, self.endpoint.answer, tried) | {"response_format": {"type": "json_object"} | inner}

    def _format(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        told = {"name": "answer", "schema": schema, "strict": self._habits.strict and strict(schema)}
        return {"type": "json_schema", "json_schema": told}

    def _body(self, system: str, prompt: str, most: int, tried: int) -> dict[str, Any]:
        """A request; what an earlier try got is asked for again at another temperature."""
        user = prompt.encode("utf-8", "replace").decode()
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        drawn = {"temperature": _WARM if tried else 0.0, "seed": tried}
        held = {name: value for name, value in drawn.items() if name not in self._habits.unknown}
        return {"model": self.endpoint.model, "messages": messages, self._habits.most: most} | held


class _Habits:
    """How a server wants to be asked, as its refusals tell."""

    def __init__(self) -> None:
        self.most = "max_tokens"
        self.top = _TOP[0]
        self.strict = True
        self.inner = True
        self.unknown: set[str] = set()

    def copy(self) -> _Habits:
        out = _Habits()
        out.most, out.top, out.strict, out.inner, out.unknown = self.most, self.top, self.strict, self.inner, set(self.unknown)
        return out

    def learn(self, told: str) -> bool:
        """Whether a refusal names something that can be asked otherwise; each is learned once."""
        if "max_completion_tokens" in told and self.most == "max_tokens":
            self.most = "max_completion_tokens"  # OpenAI's newer models; others know only the older word
            return True
        if "logprobs" in told and self.top == _TOP[0]:
            self.top = _TOP[1]
            return True
        for name in ("temperature", "seed"):
            if name in told and name not in self.unknown:
                self.unknown.add(name)
                return True
        if any(word in told for word in ("strict", "schema", "Length")) and self.strict:
            self.strict = False
            return True
        return False
