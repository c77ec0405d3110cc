"""Texts read by a server that speaks OpenAI's protocol: vLLM, Ollama, llama.cpp, LM Studio, a hosted one.

Vectors of an answer must be as many, as wide and as finite as was asked for. How calls are made is ``calling``'s work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from longgame.errors import ConfigError, RemoteError
from longgame.language.calling import Carrier, Line, Passing, Refused, Route, installed
from longgame.language.endpoint import Endpoint, Ledger
from longgame.types import F32

REQUESTS = 50_000
"""In a batch of OpenAI's, at most."""
_NUMBER, _AROUND = 32, 65_536
"""Bytes of a number in an answer, at most, and of all that is not numbers."""


class Remote:
    """A ``protocols.LanguageModel`` behind an endpoint. Needs the extra ``remote``."""

    def __init__(self, endpoint: Endpoint, carrier: Carrier | None = None) -> None:
        """Makes calls of its own where no carrier is given. Raises ConfigError for an endpoint without a width."""
        if endpoint.width is None:
            raise ConfigError("Remote: needs Endpoint.width, the numbers in one vector of the model; set remote.width")
        self.endpoint = endpoint
        self.width = endpoint.width
        self._carrier = carrier or Line(endpoint)

    installed = staticmethod(installed)

    @property
    def ledger(self) -> Ledger:
        return self._carrier.ledger

    @property
    def name(self) -> str:
        """The model's; where it runs is no part of it, so a server may move."""
        return f"remote-{self.endpoint.model}-{self.width}"

    @property
    def patient(self) -> bool:
        """Whether answers come in batches, at their price."""
        return self._carrier.patient

    @property
    def batch(self) -> int:
        """Texts whose answers are worth keeping before more is asked: what is under way together."""
        e = self.endpoint
        return REQUESTS if self._carrier.patient else e.batch * min(e.concurrency, e.calls or e.concurrency)

    def finish(self) -> None:
        """All vectors are safe elsewhere: what a batch brought need not be kept."""
        self._carrier.finish()

    def embed(self, texts: Sequence[str]) -> F32:
        """(n, width), unit rows, zeros for a text without a visible character: of those the server is not asked.

        Raises RemoteError where the server cannot be had, refuses, or answers what is no answer, and where a bound is
        reached; MissingExtra without the client.
        """
        out = np.zeros((len(texts), self.width), np.float32)
        told = [row for row, text in enumerate(texts) if text.strip()]
        seen = [texts[row].encode("utf-8", "replace").decode() for row in told]
        most = self._carrier.texts
        parts = [seen[first : first + most] for first in range(0, len(seen), most)]
        bodies = [{"model": self.endpoint.model, "input": part, "encoding_format": "float"} for part in parts]
        route = Route("/embeddings", _AROUND + _NUMBER * self.width * most)
        found: list[F32] = []
        for rows in self._carrier.ask(route, bodies, self._read):
            if isinstance(rows, Refused):
                raise RemoteError(f"{self.endpoint.where}: {rows.told}; what came is kept, and the same command asks again")
            found.append(rows)
        if told:
            out[told] = np.concatenate(found)
        return out

    def _read(self, body: Mapping[str, Any], answer: Any) -> F32:
        """(n, width) unit rows of an answer. Raises Passing where it is none."""
        count = len(body["input"])
        data = answer.get("data") if isinstance(answer, Mapping) else None
        if not isinstance(data, list) or len(data) != count:
            got = f"{len(data)} vectors" if isinstance(data, list) else f"{type(answer).__name__} {self.endpoint.short(answer)}"
            raise Passing(f"asked for {count} vectors, got {got}")
        told = [row for row in data if isinstance(row, Mapping) and type(row.get("index")) is int]
        places = [row["index"] for row in told]
        if sorted(places) != list(range(count)):
            raise Passing("the vectors are not numbered from 0 on, so whose they are is not known")
        try:
            rows = np.array([np.asarray(row.get("embedding"), np.float64) for row in told])
        except (TypeError, ValueError, OverflowError):
            raise Passing("vectors are not rows of numbers of one width") from None
        if rows.ndim != 2 or not np.isfinite(rows).all():
            raise Passing("vectors are not rows of finite numbers")
        if rows.shape[1] != self.width:
            raise RemoteError(
                f"{self.endpoint.where}: its vectors have {rows.shape[1]} numbers, and {self.width} were expected; set "
                f"remote.width = {rows.shape[1]}"
            )
        largest = np.abs(rows).max(axis=1, keepdims=True)
        if not largest.all():
            raise Passing("a vector is all zeros, and says nothing")
        rows /= largest  # else the squares of large numbers would overflow
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        out = np.empty((count, self.width), np.float32)
        out[places] = rows
        return out
