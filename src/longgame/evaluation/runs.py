"""Models fitted and judged, one run each, kept on disk and found again: a table that was stopped goes on where it stood."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, fields, replace
from functools import partial
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np

from longgame.arrays import Interactions
from longgame.artefacts import load, save
from longgame.errors import ArtefactError, ConfigError, LonggameError, ShapeError
from longgame.evaluation.fingerprint import code
from longgame.evaluation.ranking import RankingResult, evaluate_model
from longgame.evaluation.splits import Split
from longgame.models import MODELS
from longgame.models.lift import Lifted
from longgame.protocols import Model
from longgame.types import F32

Text = Literal["vectors", "words", "none"]


@dataclass(frozen=True)
class Entry:
    """A model that is to be in a table."""

    name: str
    """Its own in the table."""
    kind: str
    """Name in ``MODELS``."""
    title: str
    config: Any
    seeds: int = 1
    """Runs; for a config without a field ``seed`` there is one, whatever this says."""
    baseline: bool = False
    """Whether it is one of the plain ones that others are held against."""
    text: Text = "vectors"
    """Which of the bench's features it is given."""
    lifted: bool = False
    """Whether items without events are scored by their texts (``models.lift``)."""

    @property
    def runs(self) -> int:
        return self.seeds if hasattr(self.config, "seed") else 1

    def model(self, seed: int) -> Model:
        """One that has learned nothing yet; run 0 has the config's own seed."""
        config = replace(self.config, seed=self.config.seed + seed) if hasattr(self.config, "seed") else self.config
        make = partial(MODELS[self.kind].make, config)
        return Lifted(make, seed) if self.lifted else make()


@dataclass(frozen=True)
class Run:
    """One model of one seed, fitted on what lies before the test and judged by the test."""

    result: RankingResult
    seconds: float
    """To fit it."""
    numbers: int
    """Held by what was fitted: floating-point numbers in its arrays."""


FAILURES = (LonggameError, MemoryError, ArithmeticError, np.linalg.LinAlgError, RuntimeError)
"""What a config may be to blame for; a RuntimeError only where it says so of memory."""
Runs = Mapping[str, Sequence[Run] | LonggameError]
"""Entry -> its runs, or why it could not be fitted."""
OnRun = Callable[[Entry, int, Run | LonggameError], None]


@dataclass(frozen=True)
class Bench:
    """What models are fitted on and judged by."""

    split: Split
    features: F32
    """(I, X) text vectors of the items"""
    k: int = 10
    words: F32 | None = None
    """(I, W) the same texts as means of static word vectors, for entries that ask for them."""
    folder: Path | None = None
    """Where runs are kept; None: nowhere. A run is found again while its config, its seed, all data and the code of all
    models are the same."""
    before: Interactions = field(init=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"the length of a ranking must be 1 or more, got {self.k}")
        object.__setattr__(self, "before", self.split.before)
        hasher = blake2b(digest_size=8)
        hasher.update(repr((code(), self.k, self.before.users, self.before.items, self.features.shape)).encode())
        for log in (self.before, self.split.test):
            for column in (log.offsets, log.item, log.at, log.value):
                hasher.update(column.tobytes())
        for features in (self.features, self.words if self.words is not None else self.features[:0]):
            hasher.update(np.ascontiguousarray(features).tobytes())
        object.__setattr__(self, "key", hasher.hexdigest())

    def run(self, entry: Entry, seed: int) -> Run | LonggameError:
        """The run that is kept, or a new one. An error is what the model said of its config or of this log."""
        path = self._path(entry, seed)
        if path is not None and path.exists():
            try:
                return _read(path)
            except (ArtefactError, KeyError):
                path.unlink()  # half a file, or one of another version: made again below
        try:
            model = entry.model(seed)
            start = time.perf_counter()
            model.fit(self.before, self._text(entry))
            seconds = time.perf_counter() - start
            result = evaluate_model(model, self.before, self.split.test, self.k)
        except FAILURES as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):  # torch's way to say MemoryError
                raise
            return error if isinstance(error, LonggameError) else ShapeError(f"{type(error).__name__}: {error}")
        held = sum(array.size for array in model.state_dict().values() if array.dtype.kind == "f")
        run = Run(result, seconds, int(held))
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, run)
        return run

    def kept(self, entry: Entry, seed: int) -> bool:
        """Whether that run was made before, and costs nothing now."""
        path = self._path(entry, seed)
        return path is not None and path.exists()

    def _text(self, entry: Entry) -> F32:
        if entry.text == "words":
            if self.words is None:
                raise ConfigError(f"{entry.name} asks for word vectors, and there are none; give them to the Bench")
            return self.words
        return self.features if entry.text == "vectors" else self.features[:, :0]

    def _path(self, entry: Entry, seed: int) -> Path | None:
        if self.folder is None:
            return None
        told = (self.key, entry.kind, repr(entry.config), seed, entry.text, entry.lifted)
        return self.folder / f"{entry.name}-{seed}-{blake2b(repr(told).encode(), digest_size=8).hexdigest()}.safetensors"


@dataclass(frozen=True)
class Workers:
    """Processes that make runs at the same time, each with its own copy of the data."""

    count: int = 1
    """1: this process alone."""
    begin: Callable[[], None] | None = None
    """Called first in each, to hold it to one thread: the sum of their threads must not exceed the cores."""


def run_all(
    bench: Bench,
    entries: Sequence[Entry],
    workers: Workers = Workers(),
    on_run: OnRun = lambda entry, seed, run: None,
) -> Runs:
    """Every entry with every seed, seed by seed. Raises ConfigError where two entries have one name."""
    if len({entry.name for entry in entries}) < len(entries):
        raise ConfigError(f"a table's models need names of their own, got {', '.join(entry.name for entry in entries)}")
    most = max((entry.runs for entry in entries), default=0)
    jobs = [(entry, seed) for seed in range(most) for entry in entries if seed < entry.runs]
    found: dict[str, list[Run | LonggameError]] = {entry.name: [] for entry in entries}
    for (entry, seed), run in zip(jobs, _each(bench, jobs, workers), strict=True):
        found[entry.name].append(run)
        on_run(entry, seed, run)
    out: dict[str, Sequence[Run] | LonggameError] = {}
    for name, runs in found.items():
        errors = [run for run in runs if isinstance(run, LonggameError)]
        out[name] = errors[0] if errors else [run for run in runs if isinstance(run, Run)]
    return out


def _each(bench: Bench, jobs: Sequence[tuple[Entry, int]], workers: Workers) -> Iterator[Run | LonggameError]:
    if workers.count <= 1:
        yield from (bench.run(entry, seed) for entry, seed in jobs)
        return
    # Spawned, for the threads of numpy and torch do not survive a fork.
    with ProcessPoolExecutor(workers.count, get_context("spawn"), _begin, (bench, workers.begin)) as pool:
        yield from pool.map(_work, jobs)


_BENCH: Bench | None = None
"""What a worker process works on: sent once a process, not once a run."""


def _begin(bench: Bench, begin: Callable[[], None] | None) -> None:
    global _BENCH
    _BENCH = bench
    if begin is not None:
        begin()


def _work(job: tuple[Entry, int]) -> Run | LonggameError:
    assert _BENCH is not None
    return _BENCH.run(*job)


_ARRAYS = tuple(f.name for f in fields(RankingResult) if f.name not in ("k", "catalogue"))


def _write(path: Path, run: Run) -> None:
    result = run.result
    arrays = {name: getattr(result, name) for name in _ARRAYS}
    save(path, arrays, {"k": result.k, "catalogue": result.catalogue, "seconds": run.seconds, "numbers": run.numbers})


def _read(path: Path) -> Run:
    arrays, about = load(path)
    result = RankingResult(about["k"], catalogue=about["catalogue"], **{name: arrays[name] for name in _ARRAYS})
    return Run(result, about["seconds"], about["numbers"])
