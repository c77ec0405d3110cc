"""GRU4Rec: a gated recurrent unit reads the history item by item, and says at each step what comes next.

Hidasi, Karatzoglou, Baltrunas and Tikk: "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016; losses
and negatives as in Hidasi and Karatzoglou: "Recurrent Neural Networks with Top-k Gains", CIKM 2018.

    h_t = GRU(h_(t-1), x_t),   score of item j = (W h_t) . y_j + b_j                    (ICLR 2016, section 3.1)

with x_t the embedding of the t-th item and y_j a vector of item j, which is its embedding where they are tied (CIKM 2018,
section 3.2) and one more table where not. What differs from the papers:

* The loss is cross-entropy over all items with events, or over ``negatives`` drawn alike for each batch beside the batch's
  other targets (CIKM 2018, sections 2 and 3.1, without BPR-max, and with the correction that ``softmax`` describes).
* What is read is a user's last ``steps`` events, without sessions. Batches are windows of them, each read from a zero state
  (``windows``), where the papers run sessions side by side and keep the state. A history begins with a vector of its own.
* AdamW, a clipped gradient and a running mean of the weights instead of Adagrad; W, a linear map, before the scores.

An item without events is in no window and no softmax; it is scored below all others. No texts are read (``models.lift``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from longgame.arrays import Interactions
from longgame.artefacts import Arrays
from longgame.errors import ConfigError
from longgame.models import stopping
from longgame.models.descent import Descent, next_item
from longgame.models.embeddings import drawn
from longgame.models.space import OneOf, Real, Space, Whole
from longgame.models.stopping import Watch, unwatched
from longgame.models.warm import Warm
from longgame.models.windows import batch_size, batches, sequences
from longgame.networks import from_arrays, to_arrays
from longgame.rng import derive
from longgame.types import F32, F64, I64


@dataclass(frozen=True)
class GRU4RecConfig:
    """The network's size and how it is trained."""

    width: int = 64
    """D, width of an item's embedding."""
    hidden: int = 128
    """H, width of the recurrent state."""
    layers: int = 1
    """Recurrent layers, one above the other."""
    tied: bool = True
    """Whether an item is scored by the embedding that it is read by."""
    steps: int = 50
    """The last events of a history that it reads."""
    dropout: float = 0.2
    """Share of the numbers of an embedding that are dropped in training, in [0, 1)."""
    hidden_dropout: float = 0.2
    """Share of the numbers of a state that are dropped in training, above and between layers, in [0, 1)."""
    negatives: int = 0
    """Items drawn for each batch that stand for the catalogue in the softmax. 0: the whole catalogue."""
    learning_rate: float = 4e-3
    """Of Adam, above 0."""
    weight_decay: float = 0.3
    """Of Adam, decoupled from the gradient (AdamW), 0 or more."""
    average: float = 0.995
    """Share of the running mean of the weights that a training step keeps; the mean is the model. 0: the last weights."""
    batch: int = 0
    """Windows of up to ``steps`` events in a training step. 0: so many that a pass takes about 150 steps, 16 to 512."""
    epochs: int = 40
    """At most so many passes over the log."""
    patience: int = 4
    """Passes without a better ranking of held-out events before training stops; 0: all passes, nothing is held out."""
    seed: int = 0

    SPACE: ClassVar[Space] = {
        "width": OneOf((32, 64, 128)),
        "hidden": OneOf((64, 128, 256)),
        "layers": Whole(1, 2),
        "tied": OneOf((True, False)),
        "dropout": Real(0.0, 0.6),
        "hidden_dropout": Real(0.0, 0.6),
        "learning_rate": Real(5e-4, 8e-3, log=True),
        "weight_decay": Real(0.01, 1.0, log=True),
    }

    def __post_init__(self) -> None:
        if min(self.width, self.hidden, self.layers, self.steps, self.epochs) < 1:
            raise ConfigError(f"GRU4RecConfig: width, hidden, layers, steps and epochs must be 1 or more, got {self}")
        if min(self.negatives, self.batch, self.patience) < 0:
            raise ConfigError(f"GRU4RecConfig: negatives, batch and patience must be 0 or more, got {self}")
        for name in ("dropout", "hidden_dropout", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"GRU4RecConfig.{name}: must lie in [0, 1), got {getattr(self, name)}")
        if not self.learning_rate > 0 or not self.weight_decay >= 0:
            raise ConfigError(f"GRU4RecConfig: learning_rate must be above 0 and weight_decay not below, got {self}")


class RecurrentNetwork(nn.Module):
    """Rows of A items, oldest first -> the vector that the next item is sought by. Row A is where a history begins."""

    def __init__(self, items: int, config: GRU4RecConfig) -> None:
        super().__init__()
        self.drop, self.drop_hidden = config.dropout, config.hidden_dropout
        self.read = nn.Parameter(torch.zeros(items + 1, config.width))
        between = config.hidden_dropout if config.layers > 1 else 0.0
        self.gru = nn.GRU(config.width, config.hidden, config.layers, batch_first=True, dropout=between)
        self.out = nn.Linear(config.hidden, config.width)
        self.sought = None if config.tied else nn.Parameter(torch.zeros(items, config.width))
        self.bias = nn.Parameter(torch.zeros(items))

    @property
    def items(self) -> Tensor:
        """(A, D) the vectors that items are scored by."""
        return self.read[:-1] if self.sought is None else self.sought

    def states(self, rows: Tensor) -> Tensor:
        """(B, L) -> (B, L, H) the state after each step."""
        out: Tensor = self.gru(functional.dropout(functional.embedding(rows, self.read), self.drop, self.training))[0]
        return functional.dropout(out, self.drop_hidden, self.training)

    def forward(self, rows: Tensor, wanted: Tensor) -> Tensor:
        """(B, L) and (B, L) -> (n, D) after each step that is ``wanted``."""
        out: Tensor = self.out(self.states(rows)[wanted])
        return out


class GRU4Rec:
    """History -> scores of every item, by the state that a recurrent network ends in."""

    name = "gru4rec"

    def __init__(self, config: GRU4RecConfig | None = None, watch: Watch = unwatched) -> None:
        self.config = config or GRU4RecConfig()
        self.watch = watch
        self.best_epoch = 0
        """Passes after which the held-out events were ranked best; 0 where nothing was held out."""
        self._warm = Warm(np.zeros(0, np.int64), np.zeros(0, np.float32))
        self._network = _network(0, self.config)

    def fit(self, log: Interactions, features: F32) -> None:
        c = self.config
        self.best_epoch, self._warm, self._network = 0, Warm.of(log), _network(0, c)
        if len(log):
            done = stopping.fit(lambda part: _Trainer(c, part), log, c.epochs, c.patience, True, c.seed, self.watch)
            self.best_epoch, self._network = done.best_epoch, done.trainer.mean

    def score(self, histories: I64) -> F32:
        """As ``protocols.Model`` says; only the last ``steps`` items with events count, repeats in a row once."""
        return _score(self._network, self._warm, histories, self.config.steps)

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        return {**self._warm.arrays(), **to_arrays(self._network, "network.")}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Raises ArtefactError where the arrays are those of another config."""
        warm = Warm.of_arrays(state)
        network = _network(len(warm), self.config)
        from_arrays(network, state, "network.")
        self._warm, self._network = warm, network


def _network(items: int, config: GRU4RecConfig) -> RecurrentNetwork:
    """Before training, its rows of items all zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(derive(config.seed, "gru4rec").integers(2**62)))
        return RecurrentNetwork(items, config).eval()


@torch.inference_mode()
def _score(network: RecurrentNetwork, warm: Warm, histories: I64, steps: int) -> F32:
    """(B, T) positions -> (B, I)."""
    history = warm.rows(histories)
    cut = (history >= 0).sum(axis=1) > steps
    history = history[:, -steps:]
    if not len(warm) or not len(history):
        return warm.spread(np.zeros((len(history), len(warm)), np.float32))
    present = history >= 0
    last = present.sum(axis=1)
    # In front the row that histories begin with, if it is their beginning; behind, the padding: all are read from their first.
    rows = np.full((len(history), history.shape[1] + 1), len(warm), np.int64)
    row, place = np.nonzero(present)
    rows[row, place - (history.shape[1] - last)[row] + ~cut[row]] = history[present]
    wanted = torch.from_numpy(np.arange(rows.shape[1]) == (last - cut)[:, None])
    user = network(torch.from_numpy(rows), wanted)
    told: F32 = torch.addmm(network.bias, user, network.items.T).numpy()
    return warm.spread(told + warm.own_tie)


class _Trainer:
    """``stopping.Trainer``: a network under training, and the running mean of its weights, which is the model."""

    def __init__(self, config: GRU4RecConfig, log: Interactions) -> None:
        self._config, self._warm = config, Warm.of(log)
        network, ids = _network(len(self._warm), config), self._warm.ids(log)
        network.read.data[:-1] = torch.from_numpy(drawn(ids, config.width, config.seed, "gru4rec read"))
        if network.sought is not None:
            network.sought.data[:] = torch.from_numpy(drawn(ids, config.width, config.seed, "gru4rec sought"))
        self._descent = Descent(network, config.learning_rate, config.weight_decay, config.average)
        self._sequences = sequences(log)
        self._batch = config.batch or batch_size(self._sequences, config.steps)
        self._share: F64 = np.bincount(self._warm.column[self._sequences.target]) / len(self._sequences.target)

    @property
    def mean(self) -> RecurrentNetwork:
        return self._descent.mean

    def epoch(self, number: int) -> float:
        config, loss, count = self._config, 0.0, 0
        self._descent.network.train()
        order, dropout, negatives = (derive(config.seed, f"gru4rec {w}", str(number)) for w in ("order", "dropout", "draw"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(dropout.integers(2**62)))
            for before, target in batches(self._sequences, config.steps, self._batch, order):
                loss += self._step(before, target, negatives)
                count += int((target >= 0).sum())
        return loss / count

    def _step(self, before: I64, target: I64, rng: np.random.Generator) -> float:
        """(B, L) positions before and (B, L) that came -> the sum of the losses."""
        network, told = self._descent.network, target >= 0
        rows = self._warm.padded[before]  # behind a window it does not matter what is read
        sought = self._warm.column[target[told]]
        wanted = network(torch.from_numpy(rows), torch.from_numpy(told))
        loss = next_item(wanted, network.items, network.bias, sought, self._share, self._config.negatives, rng)
        self._descent.move()
        return loss

    def score(self, histories: I64) -> F32:
        return _score(self.mean, self._warm, histories, self._config.steps)

    def weights(self) -> Mapping[str, Arrays]:
        return {"mean": to_arrays(self.mean)}

    def put_back(self, weights: Mapping[str, Arrays]) -> None:
        from_arrays(self.mean, weights["mean"])
