"""A knowledge graph -> a vector for each item it knows, by what is said of the item and of its neighbours.

The items are rows, the pairs (relation, entity) are columns, weighed by how much they tell (idf), and what a neighbour's own
facts add counts ``hop`` times as much, as in the walks of node kernels (de Vries and de Rooij, "Substructure counting graph
kernels for machine learning from RDF data", Journal of Web Semantics 2015). The leading directions of that matrix are the
vectors: latent semantic analysis of facts (Deerwester et al., 1990), which factors the same statistics that walks and
skip-grams do (Qiu et al., "Network Embedding as Matrix Factorization", WSDM 2018). Nothing is drawn but the start of the
iteration that finds them. ``benchmarks/graph.py`` holds it beside translation and bilinear embeddings that are trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from longgame.errors import ConfigError
from longgame.knowledge.graph import Graph
from longgame.rng import derive
from longgame.spectral import columns, leading
from longgame.types import F32, F64, Bool, ItemId

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

RECIPE = "facts1"
"""Changes whenever the same graph and configuration would give other vectors."""


@dataclass(frozen=True)
class VectorConfig:
    """How facts become vectors."""

    width: int = 64
    """Numbers in a vector, or fewer where the graph has fewer directions."""
    hop: float = 0.0
    """What the facts of neighbours count, beside an item's own; 0: nothing."""
    even: float = 0.5
    """How far directions are evened out: 0 keeps their spread, 1 makes all equal."""
    seed: int = 0
    """Of the start of the iteration that finds the directions."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.hop < 0 or not 0 <= self.even <= 1:
            raise ConfigError(f"VectorConfig: width 1 or more, hop 0 or more and even in [0, 1], got {self}")

    @property
    def version(self) -> str:
        return f"{RECIPE}-{self.width}-{self.hop:g}-{self.even:g}-{self.seed}"


@dataclass(frozen=True, eq=False)
class GraphVectors:
    """Unit rows, one an item of the graph; zeros for an item of which nothing is said that is said of another too."""

    version: str
    """The graph and the recipe."""
    ids: tuple[ItemId, ...]
    vectors: F32
    """(n, G)"""

    def rows(self, ids: tuple[ItemId, ...]) -> F32:
        """(I, G) of these items; zeros for one that has no entity."""
        place = {id: row for row, id in enumerate(self.ids)}
        out = np.zeros((len(ids), self.vectors.shape[1]), np.float32)
        held = [(row, place[id]) for row, id in enumerate(ids) if id in place]
        if held:
            rows, sources = np.array(held, np.int64).T
            out[rows] = self.vectors[sources]
        return out


def embed(graph: Graph, config: VectorConfig = VectorConfig()) -> GraphVectors:
    """A vector for each linked item. The same graph and configuration give the same vectors, up to rounding."""
    from scipy.sparse import diags

    version = f"{graph.version}+{config.version}"
    table = facts_table(graph.once(), config.hop)
    if not table.shape[1] or not table.nnz:
        return GraphVectors(version, graph.items, np.zeros((len(graph.items), 0), np.float32))
    length = np.sqrt(np.asarray(table.multiply(table).sum(axis=1)).ravel())
    told = length > 0
    unit = diags(np.where(told, 1 / np.where(told, length, 1), 0)) @ table
    mean = np.asarray(unit[told].mean(axis=0)).ravel()
    left, spread = _leading(unit, mean, told, config)
    vectors = left * spread ** (1 - config.even)
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.where(told[:, None] & (norm > 0), vectors / np.where(norm > 0, norm, 1), 0)
    return GraphVectors(version, graph.items, vectors.astype(np.float32))


def facts_table(graph: Graph, hop: float) -> csr_matrix:
    """(n, P) of n items: the weight of each pair (relation and direction, entity), pairs of one item alone left out."""
    from scipy.sparse import csr_matrix, diags

    head, relation, tail = graph.triples.T
    entities, relations = len(graph.entities), len(graph.relations)
    # Both directions: what is said of an entity, and what it is said in.
    row = np.concatenate([head, tail])
    code = np.concatenate([relation, relation + relations]) * entities + np.concatenate([tail, head])
    pairs, column = np.unique(code, return_inverse=True)
    own = csr_matrix((np.ones(len(row)), (row, column)), (entities, len(pairs)))
    table = csr_matrix(own[graph.entity])
    if hop:
        step = csr_matrix((np.ones(len(row)), (row, pairs[column] % entities)), (entities, entities))
        degree = np.asarray(step.sum(axis=1)).ravel()
        walked = diags(1 / np.maximum(degree, 1)) @ step
        table = csr_matrix(table + hop * (csr_matrix(walked)[graph.entity] @ own))
    held = np.asarray(table.astype(np.bool_).sum(axis=0)).ravel()
    some = np.flatnonzero(held > 1)
    inverse = np.log(len(graph.items) / held[some])
    return csr_matrix(table[:, some] @ diags(inverse))


def _leading(unit: csr_matrix, mean: F64, told: Bool, config: VectorConfig) -> tuple[F64, F64]:
    """Left singular vectors (n, G) and singular values (G,) of the centred rows, largest first; rows not told are zeros."""
    there = told.astype(np.float64)[:, None]
    n, p = unit.shape

    # Centred without being made dense: (X - 1 m') v = X v - 1 (m' v), on the rows that say anything.
    def right(v: F64) -> F64:
        return np.asarray(unit @ v - there * (mean @ v), np.float64)

    def left(u: F64) -> F64:
        return np.asarray(unit.T @ u - mean[:, None] * (there * u).sum(axis=0), np.float64)

    start = derive(config.seed, "graph", "start").standard_normal((p, columns(config.width, (n, p))))
    return leading(right, left, config.width, start)
