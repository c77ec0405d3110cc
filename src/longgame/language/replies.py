"""What a chat server says, made into log-probabilities of options or an object of a schema. Pure: nothing is asked here.

What a model says is data of strangers: it is read into numbers and objects that were asked for, or refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longgame.errors import ConfigError
from longgame.language.calling import Passing
from longgame.types import F32

FLOOR = -20.0
"""Log-probability below which nothing is told apart."""
_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)
_NOT = re.compile(r"\b(?:not|nor|neither|never|cannot)\b|n['’]t\b")
"""A word round an answer that may turn it into another."""

Scores = F32
"""(m,)"""


class Unread(Exception):
    """What was said is no answer to what was asked."""


class Lacking(Unread):
    """The server does not do what it was asked for, so it need not be asked for it again."""


@dataclass(frozen=True)
class Reply:
    """What a model said."""

    text: str
    cut: bool
    """Ended by the bound on tokens, not by itself."""
    refusal: str
    """Why it will not answer, where it says so in the protocol's own field."""
    first: tuple[tuple[str, float], ...]
    """Likeliest first tokens with their log-probabilities; empty where the server tells none."""


def reply(answer: Any) -> Reply:
    """The first choice of an answer of /chat/completions. Raises Passing where it has none."""
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        cut = choice.get("finish_reason") == "length"
    except (AttributeError, IndexError, KeyError, TypeError):
        raise Passing(f"asked for a message, got {type(answer).__name__} {' '.join(str(answer).split())[:100]}") from None
    if not isinstance(text, (str, type(None))):
        raise Passing(f"asked for a message of text, got one of {type(text).__name__}")
    return Reply(text or "", cut, refusal if isinstance(refusal, str) else "", _first(choice.get("logprobs")))


def _first(told: Any) -> tuple[tuple[str, float], ...]:
    """Tokens in the first place, likeliest first."""
    try:
        place = told["content"][0]
        tops = [*(place.get("top_logprobs") or ()), place]
    except (AttributeError, IndexError, KeyError, TypeError):
        return ()
    found: dict[str, float] = {}
    for top in tops:
        token, logp = (top.get("token"), top.get("logprob")) if isinstance(top, Mapping) else (None, None)
        if isinstance(token, str) and isinstance(logp, (int, float)) and abs(logp) < math.inf:
            found.setdefault(token, min(float(logp), 0.0))
    return tuple(sorted(found.items(), key=lambda pair: -pair[1]))


def named(options: Sequence[str]) -> list[str]:
    """Options as they are compared. Raises ConfigError where they cannot be told apart by how they begin."""
    names = [" ".join(option.split()).casefold() for option in options]
    alike = [(a, b) for a in range(len(names)) for b in range(len(names)) if a != b and names[b].startswith(names[a])]
    # One token is asked for: of "face cream" and "face mask" it says the same.
    first = {name.split(" ")[0] for name in names}
    if len(names) < 2 or alike or len(first) < len(names):
        raise ConfigError(
            f"choose: needs two options or more of which none begins like another, got {list(options)}; word them so that "
            "their first words differ"
        )
    return names


def scored(said: Reply, names: Sequence[str]) -> Scores:
    """(m,) log-probability of each option as what comes first, summed over the tokens it can begin with.

    An option that no token listed begins gets what it has at most: a token that is not listed is no likelier than the least
    of those that are, nor than all that is left. Raises Lacking where the server lists no tokens, Unread where none of them
    begins an option: the model is about to say something else.
    """
    if not said.first:
        raise Lacking("the server tells no log-probabilities")
    seen: dict[int, list[float]] = {}
    for token, logp in said.first:
        begins = _begun(token, names)
        if begins is not None:
            seen.setdefault(begins, []).append(logp)
    if not seen:
        raise Unread(f"begins with {said.first[0][0]!r}, which begins none of the answers")
    left = 1.0 - sum(math.exp(logp) for _, logp in said.first)
    floor = max(FLOOR, min(said.first[-1][1], math.log(left) if left > 0 else FLOOR))
    out = [float(np.logaddexp.reduce(seen[n])) if n in seen else floor for n in range(len(names))]
    return np.clip(np.array(out, np.float32), FLOOR, 0.0)


def _begun(token: str, names: Sequence[str]) -> int | None:
    """The one option that a token begins; None for none, and for more than one."""
    told = token.strip().casefold()
    begun = [n for n, name in enumerate(names) if told and name.startswith(told)]
    if not begun:  # a token that is the whole of it, and what ends it
        begun = [n for n, name in enumerate(names) if told.startswith(name) and not told[len(name)].isalnum()]
    return begun[0] if len(begun) == 1 else None


def worded(said: Reply, names: Sequence[str]) -> Scores:
    """(m,) log-probabilities where all that is known is which option was said, bare or as ``{"answer": option}``.

    One answer was seen: by Jeffreys' prior (half an observation for each option) it has 3/(m + 2), each other 1/(m + 2).
    Raises Unread where what was said names no option, or more than one.
    """
    text = said.text
    try:
        told = json.loads(text)
        text = str(told["answer"]) if isinstance(told, Mapping) else text
    except (ValueError, KeyError, RecursionError):
        pass
    bare = " ".join(text.split()).casefold()[:200]
    held = [n for n, name in enumerate(names) if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", bare)]
    if len(held) == 1 and _NOT.search(bare.replace(names[held[0]], "")):
        raise Unread("says what the answer is not" + _heard(said))
    if len(held) != 1:
        raise Unread(f"names {len(held) or 'none'} of the answers" + _heard(said))
    return prior(len(names), held[0])


def prior(m: int, said: int | None = None) -> Scores:
    """(m,) log-probabilities by Jeffreys' prior after one answer, or after none: then all alike.

    >>> np.exp(prior(2, 0)).round(3).tolist(), np.exp(prior(4)).round(3).tolist()
    ([0.75, 0.25], [0.25, 0.25, 0.25, 0.25])
    """
    counts = np.full(m, 0.5)
    if said is not None:
        counts[said] += 1
    return np.asarray(np.log(counts / counts.sum()), np.float32)


def parsed(said: Reply, validator: Any) -> Mapping[str, Any]:
    """The object that was said, valid against the schema. Raises Unread where it is none."""
    fenced = _FENCE.match(said.text)
    try:
        told = json.loads(fenced[1] if fenced else said.text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        if said.cut:
            raise Unread("was cut off: raise remote.answer, or bound the schema" + _heard(said)) from None
        raise Unread("is not JSON" + _heard(said)) from None
    wrong = next(iter(validator.iter_errors(told)), None)
    if wrong is not None or not isinstance(told, dict):
        at = "/".join(str(step) for step in wrong.absolute_path) if wrong else ""
        what = f"{at or 'the whole'}: {' '.join(wrong.message.split())[:120]}" if wrong else "not an object"
        raise Unread(f"does not follow the schema ({what})")
    return told


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _heard(said: Reply) -> str:
    """What was said instead, in short."""
    told = " ".join((said.refusal or said.text).split())[:80]
    return f", but says {told!r}" if told else ", but says nothing"
