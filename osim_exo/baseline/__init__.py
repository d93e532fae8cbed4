"""Moco baselines: gaits by optimal control, without, with unpowered and with assisting exo."""

from osim_exo.baseline import library
from osim_exo.baseline.config import BaselineConfig, Solver, StrideTime, Weights
from osim_exo.baseline.gait import Gait, load_gait, save_gait
from osim_exo.baseline.solve import solve

__all__ = [
    "BaselineConfig",
    "Gait",
    "Solver",
    "StrideTime",
    "Weights",
    "library",
    "load_gait",
    "save_gait",
    "solve",
]
