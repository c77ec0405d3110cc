"""The log -> a file that other libraries learn from."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longgame.artefacts import write_whole
from longgame.learning.export import transitions
from longgame.wiring.training import join
from longgame.wiring.workspace import Workspace


@dataclass(frozen=True)
class Exported:
    """What was written."""

    file: Path
    decisions: int
    steps: int
    """Of all slots together."""
    width: int
    """Numbers of an observation."""
    items: int
    ends: int
    cuts: int
    features: str
    """Version of the item vectors in the observations."""


def export_d3rlpy(ws: Workspace, file: Path) -> Exported:
    """Every decision whose feedback window is closed, as an ``npz`` of the columns of d3rlpy's ``MDPDataset``.

    Item vectors are those of the live policy, or those of the texts where nothing is live yet.
    """
    live = ws.load()
    features = live.recommender.features if live is not None else ws.text()
    log, _ = join(ws, features)
    arrays = transitions(log, features, ws.settings.policy.steps)
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **arrays)  # ids are text: nothing needs pickle
    write_whole(file, packed.getvalue())
    ends, cuts = int(arrays["terminals"].sum()), int(arrays["timeouts"].sum())
    steps, width = arrays["observations"].shape
    return Exported(file, len(log.rows), steps, width, len(features), ends, cuts, features.version)
