"""A server that speaks OpenAI's protocol, a model on it, and how much may be asked of it: calls, tokens, money."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from longgame.errors import ConfigError, RemoteError

_HERE = (".localhost", ".local", ".internal", ".home.arpa")
"""Ends of names that no server on the internet has (RFC 6761, 6762, 8375; ICANN reserves .internal)."""
_AROUND = 64
"""Tokens that a server may lay round what it is sent, such as a template of turns."""
_MILLION = 1_000_000


@dataclass(frozen=True)
class Endpoint:
    """A server and a model, and how much is asked of it at most."""

    url: str
    """As clients of OpenAI's protocol name it, with the path: http://localhost:11434/v1"""
    model: str
    width: int | None = None
    """Of the model's vectors; an answer of another width is refused. None for a model that makes none."""
    key: str = field(default="", repr=False)
    """Sent as a bearer token; no part of any name, message or file. Never sent over plain http to a host on the internet."""
    timeout: float = 60.0
    """Seconds for one call, from the first byte to the last."""
    tries: int = 4
    """Of one call; 1: never again. Of one question too, where what comes back is no answer to it."""
    concurrency: int = 4
    """Calls under way at a time."""
    batch: int = 64
    """Texts in a call that asks for vectors."""
    calls: int = 0
    """That may be made in all, further tries counted; 0: no bound."""
    tokens: int = 0
    """That may be used in all, as the server counts them; 0: no bound. No call is begun after it."""
    price: float = 0.0
    """Of a million tokens that are read."""
    price_out: float = 0.0
    """Of a million tokens that are written."""
    budget: float = 0.0
    """Money that may be spent in all, in the currency of the prices; 0: no bound. No call is begun that could pass it."""
    answer: int = 1024
    """Tokens of one written answer, at most."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.key.strip())
        if not self.key.isascii() or not self.key.isprintable():
            raise ConfigError("Endpoint.key: must be printable ASCII, which a header can hold; see remote.key_env")
        _check_url(self.url, bool(self.key))
        if not self.model or not self.model.isprintable():
            raise ConfigError(f"Endpoint.model: must be a name, got {self.model!r}")
        least = min(1 if self.width is None else self.width, self.tries, self.concurrency, self.batch, self.answer)
        if least < 1 or not self.timeout > 0:
            raise ConfigError(
                f"Endpoint: width, tries, concurrency, batch and answer must be 1 or more, timeout above 0, got {self}"
            )
        if min(self.calls, self.tokens) < 0:
            raise ConfigError(f"Endpoint: bounds on calls and tokens must be 1 or more, or 0 for none, got {self}")
        if not all(0 <= money < math.inf for money in (self.price, self.price_out, self.budget)):
            raise ConfigError(f"Endpoint: prices and budget must be 0 or more, got {self}")
        if self.budget and not self.price and not self.price_out:
            raise ConfigError("Endpoint.budget: holds nothing back without a price; set remote.price and remote.price_out")

    @property
    def where(self) -> str:
        """How messages name it."""
        return f"{self.url}, model {self.model}"

    def short(self, told: object) -> str:
        """One line of what a server said, without the key, which it may send back."""
        line = " ".join(str(told).split())
        return (line.replace(self.key, "***") if self.key else line)[:200]

    def cost(self, read: int, written: int, share: float = 1.0) -> float:
        """Of so many tokens; ``share`` of the price, where it is reduced."""
        return share * (read * self.price + written * self.price_out) / _MILLION


@dataclass
class Ledger:
    """What was used so far."""

    calls: int = 0
    """Sent, whatever came of them."""
    failed: int = 0
    read: int = 0
    """Tokens sent, as the server counts; where it does not say, one a byte, which is rather too many."""
    written: int = 0
    """Tokens that came back, likewise."""
    seconds: float = 0.0
    """Waited for answers, calls under way together counted once each."""
    money: float = 0.0
    """In the currency of the prices."""

    def __add__(self, other: Ledger) -> Ledger:
        """Both together."""
        return Ledger(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})

    def __sub__(self, other: Ledger) -> Ledger:
        """What was used since the other."""
        return Ledger(**{each.name: getattr(self, each.name) - getattr(other, each.name) for each in fields(self)})

    @property
    def tokens(self) -> int:
        """Read and written."""
        return self.read + self.written

    def add(self, calls: int, read: int, written: int, seconds: float) -> None:
        """What a model on this machine was asked: a prompt is a call."""
        self.calls, self.read, self.written = self.calls + calls, self.read + read, self.written + written
        self.seconds += seconds

    def charge(self, endpoint: Endpoint, used: tuple[int, int], share: float = 1.0) -> None:
        """Tokens read and written."""
        self.read += used[0]
        self.written += used[1]
        self.money += endpoint.cost(*used, share)

    def check(self, endpoint: Endpoint, calls: int, worst: float, held: float = 0.0) -> None:
        """Raises RemoteError where ``calls`` more, which cost ``worst`` at most, could pass a bound.

        ``held`` is what calls under way could cost.
        """
        kept = "what was read before this is kept"
        if endpoint.calls and self.calls + calls > endpoint.calls:
            raise RemoteError(
                f"{endpoint.where}: {self.calls:,} calls are used, {calls:,} more would be made, and {endpoint.calls:,} is the "
                f"bound; {kept}, raise remote.calls to go on"
            )
        if endpoint.tokens and self.tokens >= endpoint.tokens:
            raise RemoteError(
                f"{endpoint.where}: {self.tokens:,} tokens are used, and {endpoint.tokens:,} is the bound; {kept}, raise "
                "remote.tokens to go on"
            )
        if endpoint.budget and self.money + held + worst > endpoint.budget:
            raise RemoteError(
                f"{endpoint.where}: {self.money:.4g} is spent, calls under way may cost {held:.4g} and the next {worst:.4g} at "
                f"most, and {endpoint.budget:.4g} is the bound; {kept}, raise remote.budget to go on"
            )


def worst(body: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens that a request can come to, read and written: no token of a tokenizer on bytes is less than a byte."""
    told = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    most = body.get("max_tokens", body.get("max_completion_tokens", 0))
    return len(told) + _AROUND, int(most)


def counted(answer: object) -> tuple[int, int] | None:
    """Tokens read and written as an answer counts them; None where it does not, or not credibly."""
    usage = answer.get("usage") if isinstance(answer, Mapping) else None
    if not isinstance(usage, Mapping):
        return None
    read, written, total = (_count(usage.get(f"{part}_tokens")) for part in ("prompt", "completion", "total"))
    read = read or max(0, total - written)
    return (read, max(written, total - read)) if read else None


def _count(told: object) -> int:
    return told if type(told) is int and 0 < told < 1_000_000_000 else 0


def _check_url(url: str, secret: bool) -> None:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        fine, parts = False, urlsplit("")
    if not fine:
        raise ConfigError(f"Endpoint.url: must be like http://localhost:11434/v1, got {url!r}")
    if parts.username or parts.password:
        raise ConfigError("Endpoint.url: must hold no user and no password; give the key in the environment (remote.key_env)")
    if secret and parts.scheme == "http" and not _near(parts.hostname or ""):
        raise ConfigError(
            f"Endpoint.url: a key must not go over plain http to {parts.hostname}, where anyone on the way can read it; set "
            f'remote.url = "https://{parts.netloc}{parts.path}", or remote.key_env = "" where the server needs no key'
        )


def _near(host: str) -> bool:
    """Whether a host can only be this machine or one on a network of one's own. No name is looked up.

    >>> [_near(host) for host in ("localhost", "10.0.0.7", "fd00::7", "ollama", "gpu.local")]
    [True, True, True, True, True]
    >>> [_near(host) for host in ("api.example.com", "8.8.8.8", "::ffff:8.8.8.8", "0x8080808")]
    [False, False, False, False]
    """
    host = host.rstrip(".").lower()
    try:
        address = ip_address(host)
    except ValueError:
        # A name of one part is a neighbour's, as of containers; one that begins with a digit is an address in disguise.
        return ("." not in host and ":" not in host and host[:1].isalpha()) or host.endswith(_HERE)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return not (mapped or address).is_global
