"""Texts -> typed features, before a request ever comes. Nothing heavy is imported until it is used."""

from longgame.language.cache import VectorCache
from longgame.language.features import Features, numeric_columns, understand
from longgame.language.hashing import HashingModel
from longgame.language.minilm import MiniLM
from longgame.language.projection import Projection, reduce
from longgame.language.prompt import describe
from longgame.language.words import WordVectors

__all__ = [
    "Features",
    "HashingModel",
    "MiniLM",
    "Projection",
    "VectorCache",
    "WordVectors",
    "describe",
    "numeric_columns",
    "reduce",
    "understand",
]
