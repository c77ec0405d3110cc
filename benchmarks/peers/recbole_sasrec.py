"""RecBole's SASRec in its own environment, a part of a pass at a time. ``benchmarks/training_speed.py`` starts it.

    python benchmarks/peers/recbole_sasrec.py FOLDER SETTINGS

FOLDER/log/log.inter is the data, SETTINGS a JSON object of RecBole's settings. Prints a line ``@ {"parameters", "sequences"}``,
then for every line it reads, a number of steps, trains so many and prints ``@ {"sequences", "seconds", "loss"}``. Nothing
of RecBole is changed: ``Trainer._train_epoch`` is its own loop over its own batches, cut after that many.

The environment: Python 3.11 with ``recbole==1.2.1 "setuptools<81" "numpy<2" "pandas<2.2" "scipy<1.12" torch``, the torch of
the same version as ours. RecBole writes folders where it runs: FOLDER is made the working directory.
"""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import islice
from typing import Any


def tell(what: dict[str, Any]) -> None:
    print("@ " + json.dumps(what), flush=True)


def main(folder: str, settings: dict[str, Any]) -> None:
    os.chdir(folder)
    sys.argv = sys.argv[:1]  # RecBole reads the command line of whoever imports it

    import torch
    from recbole.config import Config  # type: ignore[import-not-found]
    from recbole.data import create_dataset  # type: ignore[import-not-found]
    from recbole.data.utils import get_dataloader  # type: ignore[import-not-found]
    from recbole.utils import get_model, get_trainer, init_seed  # type: ignore[import-not-found]

    torch.set_num_threads(1)
    config = Config(model="SASRec", dataset="log", config_dict={"data_path": folder, "use_gpu": False, **settings})
    init_seed(config["seed"], config["reproducibility"])
    data = create_dataset(config)
    train = data.build()[0]
    batches = get_dataloader(config, "train")(config, train, None, shuffle=True)
    model = get_model("SASRec")(config, train)
    trainer = get_trainer(config["MODEL_TYPE"], "SASRec")(config, model)
    tell(
        {"parameters": sum(p.numel() for p in model.parameters()), "sequences": len(train), "threads": torch.get_num_threads()}
    )
    for number, line in enumerate(sys.stdin):
        steps = min(int(line), len(batches))
        start = time.perf_counter()
        loss = trainer._train_epoch(islice(batches, steps), number)
        seconds = time.perf_counter() - start
        tell({"sequences": min(steps * config["train_batch_size"], len(train)), "seconds": seconds, "loss": loss / steps})


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
