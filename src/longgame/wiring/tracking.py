"""What training measures while it runs, written where people look at it: TensorBoard, Weights & Biases without network.

Everything lies under ``track`` in the data folder. Figures and names of runs are written, nothing of users, items or
events; Weights & Biases runs in its offline mode, takes no key, looks at no repository and reports to nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from longgame.errors import MissingExtra
from longgame.models.stopping import Watch


class Sink(Protocol):
    """One place that figures are written to."""

    def __call__(self, group: str, step: int, figures: Mapping[str, float]) -> None: ...


@dataclass(frozen=True)
class Track:
    """Where figures go; made by :func:`tracking`. Without sinks they go nowhere."""

    sinks: tuple[Sink, ...] = ()

    def write(self, group: str, step: int, figures: Mapping[str, float]) -> None:
        """Figures of one step of ``group``, a part of the training with steps of its own: "policy", "supervised"."""
        for sink in self.sinks:
            sink(group, step, figures)

    def watch(self, group: str) -> Watch:
        """A watch of a model that is trained by passes, which writes to ``group``."""
        return lambda number, figures: self.write(group, number, figures)


@contextmanager
def tracking(to: Sequence[str], folder: Path, what: str, about: Mapping[str, Any] | None = None) -> Iterator[Track]:
    """One run, named after ``what`` and the time, written to each of ``to``, "tensorboard" or "wandb".

    ``folder`` is the data folder. ``about`` is the configuration that the run's page shows. Raises MissingExtra.
    """
    name = f"{what}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    with ExitStack() as open_sinks:
        opened = {"tensorboard": _tensorboard, "wandb": _wandb}
        sinks = [open_sinks.enter_context(opened[place](folder / "track" / place, name, about or {})) for place in to]
        yield Track(tuple(sinks))


@contextmanager
def _tensorboard(folder: Path, name: str, about: Mapping[str, Any]) -> Iterator[Sink]:
    """Scalars ``group/figure`` in a folder for the run: ``tensorboard --logdir`` on ``folder`` shows all runs."""
    try:
        from tensorboard.summary import Writer  # its own writer: torch's is the same one behind two seconds of import
    except ImportError:
        raise MissingExtra("tracking with TensorBoard", "tensorboard", "track") from None
    writer = Writer(str(folder / name))

    def write(group: str, step: int, figures: Mapping[str, float]) -> None:
        for figure, value in figures.items():
            writer.add_scalar(f"{group}/{figure}", float(value), step)

    try:
        yield write
    finally:
        writer.close()


@contextmanager
def _wandb(folder: Path, name: str, about: Mapping[str, Any]) -> Iterator[Sink]:
    """A run that ``wandb sync`` can send later, by hand, if somebody wants to."""
    with _environment("WANDB_ERROR_REPORTING", "false"):  # else it may call home about its own errors
        try:
            import wandb
        except ImportError:
            raise MissingExtra("tracking with Weights & Biases", "wandb", "track") from None
        folder.mkdir(parents=True, exist_ok=True)
        still = wandb.Settings(
            host="localhost",
            disable_git=True,
            disable_code=True,
            console="off",
            save_code=False,
            silent=True,
            quiet=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        )
        run = wandb.init(mode="offline", project="longgame", name=name, dir=str(folder), config=dict(about), settings=still)
        known = set[str]()

        def write(group: str, step: int, figures: Mapping[str, float]) -> None:
            if group not in known:
                known.add(group)
                run.define_metric(f"{group}/*", step_metric=f"{group}/step")
            told = {f"{group}/{figure}": float(value) for figure, value in figures.items()}
            run.log({f"{group}/step": step, **told})

        try:
            yield write
        finally:
            run.finish()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """A variable that libraries which know no other way read, for as long as the block lasts."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
