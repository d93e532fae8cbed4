"""Studies: one question, its conditions solved and resumable, its answer a comparison."""

from osim_exo.study.actions import ActionSweep
from osim_exo.study.closed_loops import Walks
from osim_exo.study.config import Quick, StudyConfig
from osim_exo.study.controllers import ControllerSweep
from osim_exo.study.device_realism import DeviceRealismSweep
from osim_exo.study.dose import DoseSweep
from osim_exo.study.impaired import ImpairedSweep
from osim_exo.study.learned_arm import LearnedArm
from osim_exo.study.robustness import RobustnessSweep
from osim_exo.study.run import StudyResult, run
from osim_exo.study.shipped import available, load
from osim_exo.study.sweep import Sweep, SweepResult, run_sweep

__all__ = [
    "ActionSweep",
    "DoseSweep",
    "ControllerSweep",
    "DeviceRealismSweep",
    "ImpairedSweep",
    "LearnedArm",
    "Quick",
    "RobustnessSweep",
    "StudyConfig",
    "StudyResult",
    "Sweep",
    "SweepResult",
    "Walks",
    "available",
    "load",
    "run",
    "run_sweep",
]
