"""Worlds whose truth is known, and what lives and learns in them.

>>> from longgame.simulation import Environment
>>> from longgame.simulation.interest_evolution import InterestEvolution
>>> Environment(InterestEvolution(), slots=2).reset(seed=0).items.shape
(256, 10, 20)
"""

from longgame.simulation.environment import Environment, Observation, Step
from longgame.simulation.replay import Replay
from longgame.simulation.training import Training, draw, train, train_once, trial

__all__ = ["Environment", "Observation", "Replay", "Step", "Training", "draw", "train", "train_once", "trial"]
