"""What training writes for people to look at, read back with TensorBoard's own reader and out of the offline run's file."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longgame.errors import ConfigError, MissingExtra
from longgame.rng import derive
from longgame.settings import load_settings
from longgame.types import Event, Item, ItemId, Request, UserId
from longgame.wiring.tracking import Track, tracking
from longgame.wiring.training import train
from longgame.wiring.workspace import workspace

START = datetime(2026, 1, 1, tzinfo=UTC)


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> steps and values, as TensorBoard reads the one run under ``folder``."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    (run,) = (folder / "track" / "tensorboard").iterdir()
    read = EventAccumulator(str(run))
    read.Reload()
    return {
        tag: [(event.step, float(make_ndarray(event.tensor_proto))) for event in read.Tensors(tag)]
        for tag in read.Tags()["tensors"]
    }


def chunks(path: Path) -> Iterator[bytes]:
    """The records of a .wandb file: LevelDB's log format (blocks of 32 KiB, records in one to n parts) after 7 bytes."""
    data, place, part = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        part += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield part
            part = b""


def offline_run(folder: Path) -> tuple[list[dict[str, Any]], str]:
    """The history of the one run under ``folder``, a dict a step, and all else that its file says, as text."""
    from wandb.proto import wandb_internal_pb2 as records

    (path,) = (folder / "track" / "wandb" / "wandb").glob("offline-run-*/run-*.wandb")
    history, rest = [], []
    for chunk in chunks(path):
        record = records.Record()  # type: ignore[attr-defined]
        record.ParseFromString(chunk)
        if record.WhichOneof("record_type") == "history":
            items = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            history.append({key: value for key, value in items.items() if not key.startswith("_")})
        else:
            rest.append(str(record).replace("\\", ""))
    return history, "\n".join(rest)


def test_tensorboard_reads_what_was_written(tmp_path: Path):
    with tracking(["tensorboard"], tmp_path, "train") as track:
        watch = track.watch("supervised")
        for number in range(3):
            watch(number, {"loss": 1.0 / (number + 1), "ndcg": 0.125 * number})
        track.write("policy", 7, {"entropy": 2.5})
    found = curves(tmp_path)
    assert found["supervised/ndcg"] == [(0, 0.0), (1, 0.125), (2, 0.25)]
    assert found["policy/entropy"] == [(7, 2.5)]
    np.testing.assert_allclose([value for _, value in found["supervised/loss"]], [1, 1 / 2, 1 / 3], rtol=1e-6)
    assert set(found) == {"supervised/ndcg", "supervised/loss", "policy/entropy"}


def test_weights_and_biases_writes_a_run_that_was_never_online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_MODE", "online")  # what is said in the call holds
    monkeypatch.setenv("WANDB_API_KEY", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "home" / "cache"))
    before = dict(os.environ)
    with tracking(["wandb", "tensorboard"], tmp_path, "tune", {"models": ["ease"], "k": 10}) as track:
        import wandb

        assert wandb.run is not None and wandb.run.settings._offline and os.environ["WANDB_ERROR_REPORTING"] == "false"
        for number in range(3):
            track.write("supervised", number, {"ndcg": 0.125 * number})
        track.write("tune/ease", 4, {"best": 0.5})
    wandb.teardown()
    assert dict(os.environ) == before and wandb.run is None
    history, rest = offline_run(tmp_path)
    assert history == [
        *({"supervised/step": number, "supervised/ndcg": 0.125 * number} for number in range(3)),
        {"tune/ease/step": 4, "tune/ease/best": 0.5},
    ]
    assert '"ease"' in rest and "supervised/step" in rest, "the configuration, and which figure is the step"
    assert 'host: "localhost"' in rest and __file__ not in rest, "no name of the machine, no path"
    assert curves(tmp_path)["tune/ease/best"] == [(4, 0.5)], "and both were written"
    files = [path.name for path in (tmp_path / "track" / "wandb").rglob("*") if path.is_file()]
    assert not {"wandb-metadata.json", "requirements.txt", "output.log", "diff.patch"} & set(files)


def test_nothing_is_written_where_nobody_looks(tmp_path: Path):
    with tracking([], tmp_path, "train") as track:
        track.write("policy", 0, {"loss": 1.0})
        track.watch("supervised")(0, {"loss": 1.0})
    Track().write("policy", 0, {"loss": 1.0})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("place", "package"), [("tensorboard", "tensorboard.summary"), ("wandb", "wandb")])
def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, package: str):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r"longgame\[track\]"), tracking([place], tmp_path, "train"):
        pass


def test_the_setting_knows_its_places():
    assert load_settings(None, {"LONGGAME_TRACK__TO": '["tensorboard", "wandb"]'}).settings.track.to == ("tensorboard", "wandb")
    assert load_settings().settings.track.to == ()
    with pytest.raises(ConfigError, match="'tensorboard' or 'wandb'"):
        load_settings(None, {"LONGGAME_TRACK__TO": '["paper"]'})


def test_a_training_writes_its_supervised_passes_and_its_policy_updates(tmp_path: Path):
    rng = derive(0, "tracking")
    flags = {
        "store.url": f"sqlite:///{tmp_path / 'log.db'}",
        "data.folder": str(tmp_path / "data"),
        "language.model": "hashing",
        "objective.window": "10s",
        "policy.steps": 6,
        "learner.batch": 32,
        "guards.already_seen": False,
    }
    with workspace(load_settings(None, {}, flags).settings) as ws:
        ws.store.put([Item(ItemId(f"i{n}"), f"{'red' if n % 2 else 'blue'} thing {n}", {}) for n in range(12)])
        ws.store.put(
            Event(f"x{u}-{n}", START + timedelta(minutes=n), UserId(f"secret{u}"), ItemId(f"i{rng.integers(12)}"), "view")
            for u in range(15)
            for n in range(5)
        )
        train(ws)
        live = ws.load()
        assert live is not None
        for n in range(90):
            at = START + timedelta(days=1, minutes=n)
            made = live.recommender.decide(Request(f"r{n}", at, UserId(f"secret{n % 9}"), 2), [])
            ws.store.put([made])
            ws.store.put(
                [Event(f"e{n}", at + timedelta(seconds=2), made.request.user, made.shown[0], "click", 1.0, "", made.id, 0)]
            )
        lines: list[str] = []
        with tracking(["tensorboard"], tmp_path / "data", "train") as track:
            report = train(ws, 2, say=lines.append, track=track)
    assert report.learned
    found = curves(tmp_path / "data")
    told = next(line for line in lines if line.startswith("supervised network: "))
    passes, best = int(told.split()[2]), float(told.split()[5])
    assert [step for step, _ in found["supervised/ndcg"]] == list(range(passes))
    assert max(value for _, value in found["supervised/ndcg"]) == pytest.approx(best, abs=1e-4)
    steps = sum(int(line.split()[2]) for line in lines if line.startswith("epoch "))
    written = {tag: points for tag, points in found.items() if tag.startswith("policy/")}
    assert {tag.removeprefix("policy/") for tag in written} == set(report.metrics)
    for tag, points in written.items():
        assert [step for step, _ in points] == list(range(1, steps + 1)), tag
        assert points[-1][1] == pytest.approx(report.metrics[tag.removeprefix("policy/")], rel=1e-5)
    names = [path.name for path in (tmp_path / "data" / "track").rglob("*")]
    assert names and not any("secret" in name for name in names)
    assert not any(b"secret" in path.read_bytes() for path in (tmp_path / "data" / "track").rglob("*") if path.is_file())
