"""Forward check of a solution: its controls, integrated from its own states, window by window.

Open-loop walking diverges over a whole step, so each window starts anew from the solution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import opensim as osim

from osim_exo.models import components
from osim_exo.physics.record import Motion
from osim_exo.trial import Array

STEP = 5e-4
"""s; of the classic Runge-Kutta scheme. Contact is stiff: 1 ms is not converged at heel strike."""


@dataclass(frozen=True)
class Replay:
    """How far forward simulation strays from a solution within one window.

    Attributes
    ----------
    window : s
    angle_rms, angle_max : rad, over rotational coordinates at the windows' ends
    height_max : m, pelvis height
    worst : coordinate with the largest angle error
    """

    window: float
    angle_rms: float
    angle_max: float
    height_max: float
    worst: str


def replay(model: osim.Model, motion: Motion, window: float = 0.05) -> Replay:
    """Integrate a motion's controls forward in windows and compare the states at their ends.

    Parameters
    ----------
    model : opensim.Model
        The model that was solved; rigid tendons.
    motion : one whole stride with states by path and controls by actuator name
    window : s
    """
    flow = Flow(model, motion)
    starts = np.arange(motion.time[0], motion.time[-1] - window + 1e-9, window)
    coordinates = components.coordinates(model)
    rotational = [
        c.getName() for c in coordinates if c.getMotionType() == osim.Coordinate.Rotational
    ]
    errors: dict[str, list[float]] = {c.getName(): [] for c in coordinates}
    for start in starts:
        end = flow.integrate(start, start + window)
        for coordinate in coordinates:
            path = f"{coordinate.getAbsolutePathString()}/value"
            expected = np.interp(start + window, motion.time, motion.states[path])
            errors[coordinate.getName()].append(float(end[flow.index[path]] - expected))
    angles = np.array([errors[name] for name in rotational])
    worst = rotational[int(np.abs(angles).max(axis=1).argmax())]
    return Replay(
        window=window,
        angle_rms=float(np.sqrt(np.mean(angles**2))),
        angle_max=float(np.abs(angles).max()),
        height_max=float(np.abs(errors.get("pelvis_ty", [0.0])).max()),
        worst=worst,
    )


class Flow:
    """dY/dt of a model under a motion's controls, and its integration."""

    def __init__(self, model: osim.Model, motion: Motion) -> None:
        self.model, self.motion = model, motion
        self.state = model.initSystem()
        self.order = [
            a.getName()
            for a in map(osim.ScalarActuator.safeDownCast, model.getComponentsList())
            if a is not None
        ]
        self.index = self._indices()

    def _indices(self) -> dict[str, int]:
        """Position of every state in Y, found by setting one at a time (Y has its own order)."""
        found = {}
        for path in self.motion.states:
            before = self.model.getStateVariableValue(self.state, path)
            reference = self.state.getY().to_numpy().copy()
            self.model.setStateVariableValue(self.state, path, before + 0.125)
            found[path] = int(np.argmax(np.abs(self.state.getY().to_numpy() - reference)))
            self.model.setStateVariableValue(self.state, path, before)
        return found

    def at(self, time: float) -> Array:
        """Y of the solution."""
        y: Array = self.state.getY().to_numpy().copy()
        for path, index in self.index.items():
            y[index] = np.interp(time, self.motion.time, self.motion.states[path])
        return y

    def slope(self, time: float, y: Array) -> Array:
        """Time derivative of Y under the controls at `time`."""
        controls = [
            np.interp(time, self.motion.time, self.motion.controls[n])
            if n in self.motion.controls
            else 0.0
            for n in self.order
        ]
        self.state.setY(osim.Vector.createFromMat(y))
        self.model.setDefaultControls(osim.Vector.createFromMat(np.array(controls)))
        self.model.markControlsAsInvalid(self.state)
        self.model.realizeAcceleration(self.state)
        rates: Array = self.state.getYDot().to_numpy().copy()
        return rates

    def integrate(self, start: float, end: float) -> Array:
        """Y at `end`, by classic Runge-Kutta from the solution's state at `start`."""
        count = max(1, round((end - start) / STEP))
        h = (end - start) / count
        y = self.at(start)
        for k in range(count):
            t = start + k * h
            k1 = self.slope(t, y)
            k2 = self.slope(t + h / 2, y + h / 2 * k1)
            k3 = self.slope(t + h / 2, y + h / 2 * k2)
            k4 = self.slope(t + h, y + h * k3)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return y
