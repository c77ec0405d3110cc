"""Vowpal Wabbit's contextual bandit on a file in its own format, progressively. ``benchmarks/bandits.py`` starts it.

    python benchmarks/peers/vw_bandit.py FILE [--actions 2]

Prints a line ``@ {"loss", "actions"}``: the progressive loss that it reports of itself, and what it would have shown for each
example before it learned of it, numbered from 0 (so it writes them, though it reads them from 1). Its arguments are those of
its own regression test of this file.

The environment: ``python -m venv PEER && PEER/bin/pip install vowpalwabbit==9.11.9``, then PEER/bin/python.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

ARGUMENTS = "--cb_type dr --ngram 2 --skips 4 -b 24 -l 0.25 --quiet"


def main(path: Path, actions: int) -> None:
    import vowpalwabbit  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told"
        work = vowpalwabbit.Workspace(f"--cb {actions} {ARGUMENTS} -p {told}")
        for line in path.read_text("utf-8").splitlines():
            work.learn(line)
        loss = work.get_sum_loss() / work.get_weighted_examples()
        work.finish()
        shown = [int(float(line)) for line in told.read_text().split()]
    print("@ " + json.dumps({"loss": loss, "actions": shown, "version": vowpalwabbit.__version__}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) > 3 else 2)
