"""Studies: one question, its conditions solved and resumable, its answer a comparison."""

from osim_exo.study.config import Quick, StudyConfig
from osim_exo.study.run import StudyResult, run
from osim_exo.study.shipped import available, load

__all__ = ["Quick", "StudyConfig", "StudyResult", "available", "load", "run"]
