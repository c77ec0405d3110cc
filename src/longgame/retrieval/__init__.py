"""State -> candidates: near in meaning, liked by a model, or new; and a blend that says which."""

from longgame.retrieval.ann import HnswIndex, choose_index
from longgame.retrieval.blend import Blend
from longgame.retrieval.everybody import top_unseen
from longgame.retrieval.exact import ExactIndex, Index, top
from longgame.retrieval.sources import FreshRetriever, ModelRetriever, VectorRetriever

__all__ = [
    "Blend",
    "ExactIndex",
    "FreshRetriever",
    "HnswIndex",
    "Index",
    "ModelRetriever",
    "VectorRetriever",
    "choose_index",
    "top",
    "top_unseen",
]
