"""The physics of record: OpenSim itself, stepped from Python."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from osim_exo.device import DeviceDynamics, DeviceLimits
from osim_exo.errors import InputError, ModelError, SimulationError, check_option
from osim_exo.models.recipe import ModelRecipe, as_recipe, load_opensim
from osim_exo.physics.base import (
    Array,
    Mask,
    PhysicsNames,
    PhysicsState,
    StartState,
    checked_input,
    sub_steps,
)
from osim_exo.physics.layout import ModelLayout, device_limits
from osim_exo.physics.placement import Placement

Mode = Literal["fixed", "manager"]

STRAP_STEP = 0.002
"""s; a strap's torque is held for at most so long while OpenSim's own integrator goes on."""


class OpenSimPhysics:
    """Walking physics by OpenSim; implements `osim_exo.physics.Physics`.

    ``"fixed"`` steps by semi-implicit Euler with one acceleration per sub-step: for the planar
    model at 0.5 ms about twice as fast as OpenSim's own integration, and within 0.01 rad of it
    after 0.1 s. ``"manager"`` integrates with OpenSim's Manager, error controlled: the reference.

    Several environments share one model and run one after the other; `PhysicsPool` uses several
    processes.

    Parameters
    ----------
    source : ModelRecipe, str or Path
        What to build the model from, as `osim_exo.models.ModelConfig`, or an ``.osim`` file.
    n_env : int
    control_dt : float, s
        Time of one `step`.
    mode : ``"fixed"`` or ``"manager"``
    substep : float, s
        Step of the fixed mode; `control_dt` must be a multiple of it.
    accuracy : float
        Integrator accuracy of the manager mode.
    limits : DeviceLimits, optional
        Of the worn device; those of the recipe's `exo` if not given. The device's dynamics run at
        the sub-step in the fixed mode and at the control step in the manager mode; with a strap
        there every 2 ms or less.
    on_failure : ``"raise"`` or ``"mark"``
        What happens when an environment leaves the finite numbers: a `SimulationError`, or its
        `failed` flag is set and it rests at its last finite state until it is reset.

    Raises
    ------
    ModelError
        The model cannot be built or lacks what stepping needs.
    InputError
        A number is out of range.
    """

    def __init__(
        self,
        source: ModelRecipe | str | Path,
        n_env: int = 1,
        control_dt: float = 0.01,
        mode: Mode = "fixed",
        substep: float = 0.0005,
        accuracy: float = 5e-5,
        limits: DeviceLimits | None = None,
        on_failure: Literal["raise", "mark"] = "raise",
    ) -> None:
        check_option("mode", mode, ("fixed", "manager"))
        check_option("on_failure", on_failure, ("raise", "mark"))
        if n_env < 1:
            raise InputError(f"n_env = {n_env} was given; at least 1 environment is needed.")
        self._mode, self._accuracy, self._on_failure = mode, accuracy, on_failure
        self._n_sub = sub_steps(control_dt, substep) if mode == "fixed" else 1
        self._n_env, self._control_dt = int(n_env), float(control_dt)
        self._osim = load_opensim()
        recipe = as_recipe(source)
        self._model = recipe.build()
        self._layout = ModelLayout(self._osim, self._model)
        self._state = self._layout.state
        if mode == "fixed":
            _refuse_constraints(self._model, self._state, self._layout)
        self._device: DeviceDynamics | None = None
        self._max_torque = 0.0
        if self.names.exo:
            drive = device_limits(recipe, limits, self.names.exo, self._layout.optimal_torque)
            self._max_torque = drive.max_torque
            if drive.strap is not None and mode == "manager":
                self._n_sub = math.ceil(self._control_dt / STRAP_STEP - 1e-9)
            dt = self._control_dt / self._n_sub
            self._device = DeviceDynamics(drive, dt, self._n_env, len(self.names.exo))
        worn = getattr(getattr(recipe, "exo", None), "mass", 0.0)
        gravity = float(np.linalg.norm(self._model.get_gravity().to_numpy()))
        self._body_weight = self._layout.weight - worn * gravity
        self._placement = Placement(self._osim, self._model, self._layout)
        self._every = range(self._n_env)
        self._managers: list[Any] = [None] * self._n_env
        self._time = np.zeros(self._n_env)
        self._y = np.tile(self._placement.default, (self._n_env, 1))
        self._failed = np.zeros(self._n_env, dtype=bool)
        self._controls = np.zeros((self._n_env, self._layout.n_control))
        self._grf: Array | None = None
        self.reset()

    @property
    def names(self) -> PhysicsNames:
        """Names and order of every array's columns."""
        return self._layout.names

    @property
    def n_env(self) -> int:
        """Number of environments."""
        return self._n_env

    @property
    def control_dt(self) -> float:
        """Time of one `step`, s."""
        return self._control_dt

    @property
    def body_weight(self) -> float:
        """Weight of the person without the device, N."""
        return self._body_weight

    @property
    def max_torque(self) -> float:
        """Largest exo torque, Nm; 0 without a device."""
        return self._max_torque

    @property
    def standing_height(self) -> float:
        """Height of the pelvis in quiet standing, m; NaN if the model has no such coordinate."""
        height = self._layout.height
        return float("nan") if height is None else float(self._placement.default[height])

    @property
    def slope(self) -> Array:
        """Slope of the ground, uphill positive, (n_env,) array, rad; that of the model."""
        gravity = self._model.get_gravity().to_numpy()
        return np.full(self._n_env, np.arctan2(-gravity[0], -gravity[1]))

    @property
    def time(self) -> Array:
        """Simulated time, (n_env,) array, s."""
        return self._time.copy()

    @property
    def coordinates(self) -> Array:
        """Generalised positions, (n_env, n_coordinate) array, rad or m."""
        return self._y[:, self._layout.coordinates]

    @property
    def speeds(self) -> Array:
        """Generalised speeds, (n_env, n_coordinate) array, rad/s or m/s."""
        return self._y[:, self._layout.speeds]

    @property
    def activations(self) -> Array:
        """Muscle activations, (n_env, n_muscle) array."""
        return self._y[:, self._layout.activations]

    @property
    def exo_torque(self) -> Array:
        """Torque that the device delivers now, (n_env, n_exo) array, Nm."""
        return np.zeros((self._n_env, 0)) if self._device is None else self._device.torque

    @property
    def drive_power(self) -> Array:
        """Mechanical power of the drives themselves, (n_env, n_exo) array, W; see `Physics`."""
        if self._device is None:
            return np.zeros((self._n_env, 0))
        if self._device.limits.strap is None:
            return self._device.torque * self._joints()[1]
        return self._device.drive_torque * self._device.drive_speed

    @property
    def failed(self) -> Mask:
        """Environments that left the finite numbers since their reset, (n_env,) array of bool."""
        return self._failed.copy()

    @property
    def grf(self) -> Array:
        """Ground reaction on each foot, (n_env, 2, 6) array; see `Physics.grf`."""
        if self._grf is None:
            forces = np.zeros((self._n_env, 2, 6))
            for env in range(self._n_env):
                self._state.setY(self._osim.Vector.createFromMat(self._y[env]))
                self._model.realizeVelocity(self._state)
                forces[env] = self._layout.ground_forces(self._state)
            self._grf = forces
        return self._grf.copy()

    def reset(
        self, start: StartState | None = None, environments: npt.ArrayLike | None = None
    ) -> None:
        """Put environments to a start; see `Physics.reset`.

        A pelvis height that the start does not name is found such that the feet carry the weight.

        Raises
        ------
        InputError
            The start names something the model does not have, or a value is not finite.
        """
        every = np.arange(self._n_env)
        chosen = every if environments is None else every[np.asarray(environments)]
        self._y[chosen] = self._placement.place(start or StartState(), chosen.size)
        self._time[chosen] = start.time if start else 0.0
        self._failed[chosen] = False
        self._controls[chosen] = 0.0
        if self._device is not None:
            self._device.reset(chosen, *self._joints(chosen))
        self._begin(chosen)

    def step(
        self,
        excitations: npt.ArrayLike,
        exo_torque: npt.ArrayLike | None = None,
        others: npt.ArrayLike | None = None,
    ) -> None:
        """Advance all environments by `control_dt`; see `Physics.step`.

        Raises
        ------
        SimulationError
            An environment left the finite numbers, and ``on_failure`` is ``"raise"``; the message
            gives its time and last excitations. Its state is the last finite one.
        """
        layout, n_env = self._layout, self._n_env
        command = checked_input("exo_torque", exo_torque, (n_env, len(self.names.exo)))
        controls = self._controls
        controls[:, layout.muscle_controls] = checked_input(
            "excitations", excitations, (n_env, len(self.names.muscles))
        )
        controls[:, layout.other_controls] = checked_input(
            "others", others, (n_env, len(self.names.others))
        )
        # OpenSim takes any control as it is. NaN stays NaN here and is found below.
        np.clip(controls, *layout.control_bounds, out=controls)
        before = self._y.copy()
        failed = self._failed | ~np.isfinite(controls).all(axis=1)
        if self._mode == "fixed":
            failed = self._step_fixed(command, failed)
        else:
            failed = self._step_manager(command, failed)
        failed |= ~np.isfinite(self._y).all(axis=1)
        self._y[failed] = before[failed]
        self._time[~failed] += self._control_dt
        self._grf = None
        new = np.flatnonzero(failed & ~self._failed)
        self._failed = failed
        if new.size and self._on_failure == "raise":
            raise SimulationError(self.failure_text(int(new[0])))

    def _step_fixed(self, command: Array, failed: Mask) -> Mask:
        h, nq = self._control_dt / self._n_sub, self._layout.n_coordinate_state
        layout, y, failed = self._layout, self._y, failed.copy()
        rates = np.zeros_like(y)
        speed_rates = rates[:, nq : 2 * nq]
        if self._device is not None:
            self._device.hold(command)
        for k in range(self._n_sub):
            if self._device is not None:
                angle, speed = self._joints()
                torque = self._device.advance(speed, angle)
                self._controls[:, layout.exo_controls] = torque / layout.optimal_torque
            for env in np.flatnonzero(~failed).tolist() if failed.any() else self._every:
                try:
                    rates[env] = self._rates(env, k * h, new_controls=k == 0)
                except RuntimeError:
                    rates[env] = 0.0
                    failed[env] = True
            # Speeds and muscle states first, then positions with the new speeds.
            y[:, nq:] += h * rates[:, nq:]
            y[:, :nq] += h * rates[:, :nq] + h**2 * speed_rates
        return failed

    def _rates(self, env: int, since: float, new_controls: bool) -> Array:
        """Time derivative of one environment's state vector."""
        vector, state = self._osim.Vector.createFromMat, self._state
        if new_controls or self._n_env > 1 or self._device is not None:
            self._model.setDefaultControls(vector(self._controls[env]))
        state.setTime(float(self._time[env] + since))
        state.setY(vector(self._y[env]))
        # A state may hold controls that it takes for valid, and the new ones would be ignored.
        self._model.markControlsAsInvalid(state)
        self._model.realizeAcceleration(state)
        return np.asarray(state.getYDot().to_numpy(), dtype=float)

    def _step_manager(self, command: Array, failed: Mask) -> Mask:
        failed = failed.copy()
        if self._device is not None:
            self._device.hold(command)
        for k in range(self._n_sub):
            since = self._control_dt * (k + 1) / self._n_sub
            if self._device is not None:
                angle, speed = self._joints()
                torque = self._device.advance(speed, angle)
                self._controls[:, self._layout.exo_controls] = torque / self._layout.optimal_torque
            self._integrate(failed, since)
        return failed

    def _joints(self, environments: npt.NDArray[np.intp] | None = None) -> tuple[Array, Array]:
        """Angles and speeds of the joints that the device drives, rad and rad/s."""
        rows = self._y if environments is None else self._y[environments]
        return rows[:, self._layout.exo_angles], rows[:, self._layout.exo_speeds]

    def _integrate(self, failed: Mask, since: float) -> None:
        """Let OpenSim go on until `since` seconds after the step's start; mark what fails."""
        for env in np.flatnonzero(~failed):
            manager = self._managers[env]
            self._model.setDefaultControls(self._osim.Vector.createFromMat(self._controls[env]))
            self._model.markControlsAsInvalid(manager.getState())
            try:
                state = manager.integrate(float(self._time[env] + since))
                self._y[env] = state.getY().to_numpy()
            except RuntimeError:
                failed[env] = True

    def _begin(self, environments: npt.NDArray[np.intp]) -> None:
        """Start integrating environments from the present states."""
        self._grf = None
        if self._mode == "fixed":
            return
        for env in environments:
            state = self._osim.State(self._state)
            state.setTime(float(self._time[env]))
            state.setY(self._osim.Vector.createFromMat(self._y[env]))
            manager = self._osim.Manager(self._model)
            manager.setWriteToStorage(False)
            manager.setPerformAnalyses(False)
            manager.setIntegratorAccuracy(self._accuracy)
            manager.initialize(state)
            self._managers[env] = manager

    def failure_text(self, environment: int, label: int | None = None) -> str:
        """What to tell the user about an environment that failed; `label` is its number there."""
        last = self._controls[environment, self._layout.muscle_controls]
        table = ", ".join(f"{n} {v:.3g}" for n, v in zip(self.names.muscles, last))
        return (
            f"Environment {environment if label is None else label} left the finite numbers, or "
            f"OpenSim refused to go on, at t = {self._time[environment]:.4g} s. Last excitations: "
            f"{table}. Check these inputs; if they are finite, use a smaller substep or "
            'mode="manager".'
        )

    def snapshot(self) -> PhysicsState:
        """A copy of everything that `restore` needs.

        In the fixed mode a restored physics repeats the same numbers exactly; in the manager mode
        to the integrator's accuracy, because its step size starts anew.
        """
        device = None if self._device is None else self._device.snapshot()
        return PhysicsState(
            self._time.copy(), self._y.copy(), self._controls.copy(), self._failed.copy(), device
        )

    def restore(self, state: PhysicsState) -> None:
        """Go back to a snapshot of a physics of the same model and size."""
        if state.states.shape != self._y.shape:
            raise InputError(
                f"The snapshot holds states of shape {state.states.shape}, this physics has "
                f"{self._y.shape}. Restore it in a physics of the same model and n_env."
            )
        self._time, self._y = state.time.copy(), state.states.copy()
        self._controls, self._failed = state.controls.copy(), state.failed.copy()
        if self._device is not None and state.device is not None:
            self._device.restore(state.device)
        self._begin(np.arange(self._n_env))

    def close(self) -> None:
        """Give back the integrators."""
        self._managers = [None] * self._n_env


def _refuse_constraints(model: Any, state: Any, layout: ModelLayout) -> None:
    model.realizeVelocity(state)
    if state.getNQErr() or state.getNMultipliers() or state.getNU() != layout.n_coordinate_state:
        raise ModelError(
            f"The model '{model.getName()}' has kinematic constraints, locked coordinates or "
            "coordinates whose speeds are not their rates; the fixed mode cannot step it. Use "
            'mode="manager", or replace locked joints by WeldJoints and coupled coordinates by '
            "functions of the joint."
        )
