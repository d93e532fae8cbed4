"""When an episode ends by what the walker did."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.learn.tasks.rewards import ImitateTerms
from osim_exo.learn.tasks.senses import Reading
from osim_exo.learn.tasks.strides import Posture
from osim_exo.physics.base import Physics

Mask = npt.NDArray[np.bool_]


class Falls:
    """Tells who fell, left the reference or failed.

    Parameters
    ----------
    config : TaskConfig
    physics : Physics
    """

    def __init__(self, config: TaskConfig, physics: Physics) -> None:
        names = physics.names
        self._ends, self._physics = config.ends, physics
        self._lost, self._rest = config.imitate.lost, config.walk.trunk_lean
        self._imitate = ImitateTerms(config.imitate, names, physics.max_torque)
        self._tilt = names.coordinates.index("pelvis_tilt")
        self._height = names.coordinates.index("pelvis_ty")
        lumbar = [i for i, n in enumerate(names.coordinates) if n == "lumbar_extension"]
        self._trunk = [self._tilt, *lumbar]

    def __call__(self, reading: Reading, target: Posture | None = None) -> Mask:
        """Whose episode is over, (n_env,) array of bool.

        Parameters
        ----------
        reading : now
        target : states of the reference, if one is imitated
        """
        ends, physics = self._ends, self._physics
        height = reading.coordinates[:, self._height] / physics.standing_height
        tilt = reading.coordinates[:, self._tilt] + reading.slope
        lean = reading.coordinates[:, self._trunk].sum(axis=1) + reading.slope - self._rest
        over = (
            physics.failed
            | (height < ends.lowest_pelvis)
            | (height > ends.highest_pelvis)
            | (np.abs(tilt) > ends.largest_tilt)
            | (np.abs(lean) > ends.largest_lean)
        )
        if target is not None:
            over |= self._imitate.misses(reading, target) > self._lost
        return np.asarray(over)
