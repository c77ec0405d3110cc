"""Several sources as one: shares of the slate's candidates, best first, each with where it came from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from longgame.arrays import Candidates, State
from longgame.errors import ConfigError
from longgame.protocols import Retriever

_SOME = 32


class Blend:
    """Sources take turns, as often as their share says, and each turn names the source's best item not yet named.

    A source that runs dry loses its turns, so what is left goes to the others by their shares. ``origin``
    says which source named an item first.
    """

    def __init__(self, parts: Sequence[tuple[str, Retriever, float]]) -> None:
        """``parts`` are (name, retriever, share); shares are positive and need not sum to 1."""
        if not parts:
            raise ConfigError("Blend: needs at least one source, got none")
        self._names = tuple(name for name, _, _ in parts)
        if len(set(self._names)) != len(parts):
            raise ConfigError(f"Blend: every source needs a name of its own, got {self._names}")
        for name, _, share in parts:
            if not (share > 0 and math.isfinite(share)):
                raise ConfigError(f"Blend: the share of {name!r} must be positive, got {share}")
        self._retrievers = tuple(retriever for _, retriever, _ in parts)
        whole = sum(share for _, _, share in parts)
        self._shares = tuple(share / whole for _, _, share in parts)
        told = [f"{n}\x1f{r.version}\x1f{s:.6g}" for n, r, s in zip(self._names, self._retrievers, self._shares, strict=True)]
        self._version = f"blend-{blake2b(chr(30).join(told).encode(), digest_size=6).hexdigest()}"

    @property
    def version(self) -> str:
        """Changes when a part, its share or its name does."""
        return self._version

    def retrieve(self, state: State, n: int) -> Candidates:
        n = max(0, n)
        # Twice a source's share and some is nearly always enough; one that is used up before the blend is full gives all.
        counts = [min(n, math.ceil(2 * share * n) + _SOME) for share in self._shares]
        found = [retriever.retrieve(state, count) for retriever, count in zip(self._retrievers, counts, strict=True)]
        blended, dry = self._blend(found, n)
        again = [s for s in dry if len(found[s]) == counts[s] < n]
        for source in again:
            found[source] = self._retrievers[source].retrieve(state, n)
        return self._blend(found, n)[0] if again else blended

    def _blend(self, found: Sequence[Candidates], n: int) -> tuple[Candidates, set[int]]:
        """The blend of what the sources gave, and which of them had nothing left when their turn came."""
        starts = np.cumsum([0, *(len(part) for part in found)])
        # A row counts through all sources' candidates; each source hands out its own rows once, best first.
        decks = [
            zip(part.positions.tolist(), range(start, start + len(part)), strict=True)
            for part, start in zip(found, starts.tolist(), strict=False)
        ]
        rows: list[int] = []
        origin: list[int] = []
        seen: set[int] = set()
        dry: set[int] = set()
        for source in _turns(self._shares, n):
            if len(rows) == n:
                break
            for position, row in decks[source]:
                if position not in seen:
                    seen.add(position)
                    rows.append(row)
                    origin.append(source)
                    break
            else:
                dry.add(source)
        take = np.array(rows, np.int64)
        ids = [id for part in found for id in part.ids]
        blended = Candidates(
            tuple([ids[row] for row in rows]),
            np.concatenate([part.positions for part in found])[take],
            np.concatenate([part.vectors for part in found])[take],
            np.concatenate([part.scores for part in found])[take],
            self._names,
            np.array(origin, np.int64),
        )
        return blended, dry


@lru_cache(maxsize=64)
def _turns(shares: tuple[float, ...], n: int) -> tuple[int, ...]:
    """Which source's turn it is: ``n`` turns of each, source s's j-th at time j / share, ties in the order given."""
    times = sorted((round((j + 1) / share, 9), source) for source, share in enumerate(shares) for j in range(n))
    return tuple(source for _, source in times)
