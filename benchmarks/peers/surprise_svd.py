"""Surprise's rating predictors in their own environment, on folds dealt elsewhere. ``benchmarks/ratings.py`` starts it.

    python benchmarks/peers/surprise_svd.py FOLDER COUNT LOW HIGH SEED

FOLDER holds ``0.train``, ``0.test``, ``1.train`` ... for COUNT folds, lines of user, item and rating; LOW and HIGH bound the
ratings. Prints a line ``@ {"name", "fold", "rmse", "mae", "seconds"}`` for each algorithm and fold; the seconds are those of
``fit``. Every algorithm has Surprise's defaults.

The environment: ``python -m venv PEER && PEER/bin/pip install scikit-surprise==1.1.5 "numpy<2"``, then PEER/bin/python.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def main(folder: Path, count: int, low: float, high: float, seed: int) -> None:
    from surprise import SVD, BaselineOnly, Dataset, Reader, SVDpp, accuracy  # type: ignore[import-not-found]
    from surprise.model_selection import PredefinedKFold  # type: ignore[import-not-found]

    files = [(str(folder / f"{fold}.train"), str(folder / f"{fold}.test")) for fold in range(count)]
    data = Dataset.load_from_folds(files, Reader(line_format="user item rating", sep="\t", rating_scale=(low, high)))
    parts = list(PredefinedKFold().split(data))
    makers: dict[str, Any] = {
        "biases": lambda: BaselineOnly(verbose=False),
        "SVD": lambda: SVD(random_state=seed),
        "SVD++": lambda: SVDpp(random_state=seed),
    }
    for name, make in makers.items():
        for fold, (train, test) in enumerate(parts):
            model = make()
            start = time.perf_counter()
            model.fit(train)
            seconds = time.perf_counter() - start
            found = model.test(test)
            rmse, mae = accuracy.rmse(found, verbose=False), accuracy.mae(found, verbose=False)
            told = {"name": name, "fold": fold, "rmse": float(rmse), "mae": float(mae), "seconds": seconds}
            print("@ " + json.dumps(told), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
