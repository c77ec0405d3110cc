"""Learning an adapter: a closed question, texts whose answers people gave, and what makes the model answer as they do.

Only the answers' first words are compared, by the logits that the model has for them, so nothing is added to it. The layers
at the bottom stay as they are: every text is read through them once, and a pass goes through those above. The order of
the texts and the first matrices are drawn from the seed, and where training stops everything it needs to go on is an array:
stopping and going on gives, to the bit, what never stopping gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from longgame.artefacts import Arrays
from longgame.errors import ArtefactError, DataError, ShapeError
from longgame.language.adapter import AdaptConfig, Adapter, Recipe, known_as, weights_of
from longgame.language.lora import begin, fill, taken, widened
from longgame.language.questions import Question
from longgame.language.smollm import LAYERS, WIDTH, SmolLM, cut
from longgame.precision import resolved
from longgame.rng import derive
from longgame.types import F32, F64, I64

if TYPE_CHECKING:
    import torch

WARMUP = 0.06
"""Share of the steps in which the learning rate rises."""
FEWEST = 8
"""Texts to learn from, at least."""
KEPT = 2_000_000
"""Tokens whose states below the adapted layers are kept, 1,152 bytes each; of more texts they are read anew in each pass."""
_READ = 32


@dataclass(frozen=True)
class Lessons:
    """Texts asked one question, and how people answered."""

    question: Question
    parts: tuple[tuple[str, ...], ...]
    """(n,) the parts of each text, as ``Question.prompt`` takes them."""
    wanted: F32
    """(n, answers) what share of the people gave each answer; rows add up to 1"""
    texts: tuple[str, ...]
    """(n,) the text alone: what shares one is held out together, and is what the adapter has seen"""

    def __post_init__(self) -> None:
        answers, wide = len(self.question.answers), self.wanted.shape
        if not len(self.parts) == len(self.texts) == wide[0] or wide[1:] != (answers,):
            raise ShapeError(
                f"Lessons: needs parts, answers (n, {answers}) and texts of one length, got {len(self.parts)}, {wide} and "
                f"{len(self.texts)}"
            )
        if len(self.texts) < FEWEST:
            raise DataError(f"adapt: needs {FEWEST} judged texts or more to learn from, got {len(self.texts)}")
        if not np.isfinite(self.wanted).all() or np.abs(self.wanted.sum(axis=1) - 1).max() > 1e-4 or self.wanted.min() < 0:
            raise DataError("adapt: the answers of each text must be shares that add up to 1")
        if len(np.unique(self.wanted, axis=0)) < 2:
            raise DataError("adapt: needs texts that are not all judged alike")

    @cached_property
    def digest(self) -> str:
        """Names the texts and the answers, in their order."""
        hasher = blake2b(repr((self.question.version, self.parts)).encode("utf-8", "replace"), digest_size=8)
        hasher.update(np.ascontiguousarray(self.wanted, np.float32).tobytes())
        return hasher.hexdigest()


@dataclass(frozen=True)
class Progress:
    """Where training is, after a step."""

    step: int
    of: int
    epoch: int
    """That the step belongs to, from 1."""
    loss: float
    """Of the step's texts."""
    held_out: float | None = None
    """After the last step of a pass: how often the likeliest answer is people's, on texts it did not learn from."""


class Training:
    """One adapter on its way. Made, gone on with, and taken: ``adapter``."""

    def __init__(self, model: SmolLM, lessons: Lessons, config: AdaptConfig | None = None) -> None:
        """Reads nothing yet but the weights. Raises MissingExtra, ConfigError for answers that begin alike."""
        import torch

        self.config = config or AdaptConfig()
        self.lessons, self._model = lessons, model
        self._precision = resolved(model._precision)
        network, _ = model._loaded
        own, self._pairs = widened(network, range(self.config.above, LAYERS), self.config.rank)
        begin(self._pairs, self.config.seed)
        self._below = cut(own.model, 0, self.config.above, whole=False)
        self._upper = cut(own.model, self.config.above, LAYERS, whole=True)
        answers = model._first_tokens(lessons.question.options)
        self._head = network.lm_head.weight[answers].detach().float()
        self._tokens = model._tokens([lessons.question.prompt(*parts) for parts in lessons.parts])
        self._length = np.array([len(ids) for ids in self._tokens], np.int64)
        self._learned, self.held_out = _dealt(lessons, self.config)
        self._states: list[torch.Tensor] | None = None
        self._optimizer = torch.optim.AdamW(self._pairs.values(), lr=self.config.rate, weight_decay=self.config.decay)
        self.step = 0

    @property
    def of(self) -> int:
        """Steps in all."""
        return self.config.epochs * self._pass

    @property
    def _pass(self) -> int:
        return -(-len(self._learned) // self.config.batch)

    @property
    def key(self) -> str:
        """Names what is being learned: stopped training goes on only where this is the same."""
        told = repr((weights_of(self._model), self._precision, self.lessons.digest, sorted(asdict(self.config).items())))
        return blake2b(told.encode(), digest_size=6).hexdigest()

    def run(self, go_on: Callable[[Progress], bool]) -> bool:
        """Takes steps until there are no more, or ``go_on`` says no after one. Returns whether it is done."""
        c = self.config
        while self.step < self.of:
            epoch, place = divmod(self.step, self._pass)
            rows = self._batches(epoch)[place]
            slope = min((self.step + 1) / max(1.0, WARMUP * self.of), 1.0) * (1 - self.step / self.of)
            for group in self._optimizer.param_groups:
                group["lr"] = c.rate * slope
            loss = self._learn(rows)
            self.step += 1
            ended = place + 1 == self._pass and len(self.held_out) > 0
            if not go_on(Progress(self.step, self.of, epoch + 1, loss, self.accuracy() if ended else None)):
                break
        return self.step == self.of

    def _learn(self, rows: I64) -> float:
        import torch
        from torch.nn.functional import cross_entropy

        loss = cross_entropy(self._logits(rows), torch.from_numpy(self.lessons.wanted[rows]))
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch gives it no types
        torch.nn.utils.clip_grad_norm_(self._pairs.values(), 1.0)
        self._optimizer.step()
        return float(loss.detach())

    def _batches(self, epoch: int) -> list[I64]:
        """Texts of about one length together, drawn anew in each pass; the batches in an order that is drawn too."""
        rng = derive(self.config.seed, "batches", str(epoch))
        order = rng.permutation(self._learned)
        order = order[np.argsort(self._length[order] + rng.uniform(-2, 2, len(order)), kind="stable")]
        cuts = np.arange(self.config.batch, len(order), self.config.batch)
        batches = np.split(order, cuts)
        return [batches[number] for number in rng.permutation(len(batches))]

    def logits(self, rows: Sequence[int] | I64) -> F64:
        """(n, answers) of the lessons in ``rows``."""
        import torch

        order = np.asarray(rows)[np.argsort(self._length[rows], kind="stable")]
        place = np.argsort(np.argsort(self._length[rows], kind="stable"), kind="stable")
        with torch.no_grad():
            parts = [self._logits(order[at : at + _READ]).double().numpy() for at in range(0, len(order), _READ)]
        out: F64 = np.concatenate(parts)[place]
        return out

    def accuracy(self) -> float:
        """How often the likeliest answer is the one that most people gave, on the texts that are held out."""
        wanted = self.lessons.wanted[self.held_out].argmax(axis=1)
        return float((self.logits(self.held_out).argmax(axis=1) == wanted).mean())

    def _logits(self, rows: I64) -> torch.Tensor:
        """(n, answers) float32. Texts are filled up at their ends, which what stands before them cannot see."""
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        widest = int(self._length[rows].max())
        if self._states is None and int(self._length.sum()) <= KEPT:
            self._states = self._read()
        with torch.autocast("cpu", torch.bfloat16, enabled=self._precision == "bfloat16"):
            if self._states is None:
                low = self._lower(rows)
            else:
                low = torch.zeros(len(rows), widest, WIDTH, dtype=self._states[0].dtype)
                for place, row in enumerate(rows):
                    low[place, : self._length[row]] = self._states[row]
            with sdpa_kernel(SDPBackend.MATH):  # on short texts the other kernel takes three times as long backwards
                states = self._upper(inputs_embeds=low, use_cache=False).last_hidden_state
        last = states[torch.arange(len(rows)), torch.from_numpy(self._length[rows] - 1)]
        out: torch.Tensor = last.float() @ self._head.T
        return out

    def _lower(self, rows: I64) -> torch.Tensor:
        """(n, longest, 576) states below the adapted layers."""
        import torch

        part = torch.zeros(len(rows), int(self._length[rows].max()), dtype=torch.int64)
        for place, row in enumerate(rows):
            part[place, : self._length[row]] = torch.tensor(self._tokens[row])
        with torch.no_grad():
            states: torch.Tensor = self._below(part, use_cache=False).last_hidden_state
        return states

    def _read(self) -> list[torch.Tensor]:
        """The same for every text, always in one order: what a row is must not depend on when it is first needed."""
        order = np.argsort(self._length, kind="stable")
        out: dict[int, torch.Tensor] = {}
        for at in range(0, len(order), _READ):
            rows = order[at : at + _READ]
            states = self._lower(rows)
            out |= {int(row): states[place, : self._length[row]].clone() for place, row in enumerate(rows)}
        return [out[row] for row in range(len(order))]

    @property
    def recipe(self) -> Recipe:
        """Of what was learned so far."""
        return Recipe(
            base=weights_of(self._model),
            question=self.lessons.question.version,
            data=self.lessons.digest,
            config=asdict(self.config),
            precision=self._precision,
            texts=len(self._learned),
            steps=self.step,
            of=self.of,
        )

    def adapter(self) -> Adapter:
        """What was learned so far."""
        return Adapter(taken(self._pairs), self.recipe, np.unique(known_as(self.lessons.texts)))

    def finished(self, adapter: Adapter) -> bool:
        """Take ``adapter`` as the end of this training, where its recipe says that it is that; says whether."""
        import torch

        if adapter.recipe != replace(self.recipe, steps=self.of):
            return False
        fill(self._pairs, adapter.weights, torch.float32, f"adapter {adapter.name}")
        self.step = self.of
        return True

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Everything that going on needs, beside what the training is made with."""
        out = {f"weight.{name}": array for name, array in taken(self._pairs).items()}
        for name, held in self._pairs.items():
            for moment in ("exp_avg", "exp_avg_sq"):
                if state := self._optimizer.state.get(held):
                    out[f"{moment}.{name}"] = state[moment].numpy().copy()
        return {**out, "step": np.array([self.step])}

    def load_state_dict(self, state: Arrays) -> None:
        """Go on from there. Raises ArtefactError where the arrays are of another training."""
        import torch

        step = int(state["step"][0]) if "step" in state else 0
        kinds = ("weight", "exp_avg", "exp_avg_sq") if step else ("weight",)
        needed = {f"{kind}.{name}" for kind in kinds for name in self._pairs} | {"step"}
        if needed != state.keys():
            raise ArtefactError(
                f"adapt: the kept state is of another training ({len(needed ^ state.keys())} arrays differ); remove it"
            )
        self.step = step
        for name, held in self._pairs.items():
            held.data = torch.from_numpy(np.array(state[f"weight.{name}"], np.float32))
            if self.step:
                moments = {k: torch.from_numpy(np.array(state[f"{k}.{name}"], np.float32)) for k in kinds[1:]}
                self._optimizer.state[held] = {"step": torch.tensor(float(self.step)), **moments}


def _dealt(lessons: Lessons, config: AdaptConfig) -> tuple[I64, I64]:
    """Rows to learn from and rows that are held out; what shares its text stays together."""
    names, place = np.unique(np.array(lessons.texts, dtype=object), return_inverse=True)
    drawn = derive(config.seed, "held out").permutation(len(names))[: int(config.holdout * len(names))]
    out = np.isin(place, drawn)
    if out.all():
        out[:] = False
    return np.flatnonzero(~out), np.flatnonzero(out)
