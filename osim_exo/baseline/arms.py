"""What drives the exo in a solve: nothing, the optimiser, or a controller iterated to consistency.

A controller's torque depends on the motion, and the motion on the torque: solve, run the controller
on the solved stride, give its torque to the next solve, until the torque no longer changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from osim_exo.baseline.config import BaselineConfig
from osim_exo.baseline.solution import Solution
from osim_exo.control.base import Controller, Signals
from osim_exo.control.feedback import DelayedOutputFeedback
from osim_exo.control.profiles import Playback, Spline
from osim_exo.device import DeviceDynamics
from osim_exo.errors import BaselineError, InputError
from osim_exo.models import JointExo
from osim_exo.models.exo import RATE_SPAN
from osim_exo.names import SIDES
from osim_exo.physics.record import Motion
from osim_exo.trial import Array

CONTROL_RATE = 200.0
"""Hz; of the controller's loop while it runs on a solved stride."""

WARM_UP_STRIDES = 4
"""Strides after which filters and delay lines have forgotten their start."""

CONSISTENT = 0.02
"""Torque change, relative to the device's maximum, at which the iteration ends."""

MAX_ROUNDS = 6


def make_controller(config: BaselineConfig) -> Controller:
    """The controller that a configuration names."""
    if config.controller == "spline":
        return Spline(config.spline)
    if config.controller == "delayed_output_feedback":
        return DelayedOutputFeedback(config.feedback)
    if config.controller == "playback" and config.playback is not None:
        return Playback(config.playback)
    raise InputError(f"There is no controller object for '{config.controller}'.")


def worn_exo(config: BaselineConfig) -> JointExo:
    """The exo of an arm that has one."""
    if config.model.exo is None:
        raise InputError(f"Condition {config.condition} needs an exo in the model.")
    return config.model.exo


def delivered_torque(config: BaselineConfig, solution: Solution, strike: float) -> dict[str, Array]:
    """Torque that the controller and the device deliver on a solved, repeated stride.

    Parameters
    ----------
    config, solution
    strike : time of the right heel strike in the solution, s; phase 0

    Returns
    -------
    dict
        Coordinate name to (n,) array on the solution's grid, Nm; delivered, so within the device's
        limits, bandwidth and delay.
    """
    exo = worn_exo(config)
    if exo.joints != ("hip",):
        raise InputError(
            f"The controllers here act on the hips; the exo has joints {', '.join(exo.joints)}. "
            "Use controller optimal."
        )
    motion = solution.stride()
    period = solution.stride_time
    dt = 1.0 / CONTROL_RATE
    time = np.arange(0.0, (WARM_UP_STRIDES + 1) * period + dt, dt)
    angle, speed = (
        _hips(motion.time, motion.states, kind, time % period) for kind in ("value", "speed")
    )
    phase_right = ((time - strike) / period) % 1.0
    phase = np.stack([phase_right, (phase_right + 0.5) % 1.0], axis=1)
    controller = make_controller(config)
    controller.reset(1)
    device = DeviceDynamics(exo.limits, dt, 1, 2)
    torque = np.empty((time.size, 2))
    for k in range(time.size):
        signals = Signals(
            time=time[k : k + 1],
            hip_angle=angle[k : k + 1],
            hip_speed=speed[k : k + 1],
            phase=phase[k : k + 1],
        )
        torque[k] = device.step(controller(signals), speed[k : k + 1])[0]
    grid = WARM_UP_STRIDES * period + solution.time
    right, left = (np.interp(grid, time, torque[:, i]) for i in range(2))
    return dict(zip(exo.coordinates, (right, left)))


def _hips(time: Array, states: Mapping[str, Array], kind: str, at: Array) -> Array:
    """Hip angles or speeds at times within the stride, (n, 2), right then left."""
    columns = []
    for side in SIDES:
        path = next(p for p in states if p.endswith(f"hip_flexion_{side}/{kind}"))
        columns.append(np.interp(at, time, states[path]))
    return np.stack(columns, axis=1)


def solve_consistent(
    solve: Callable[[Solution | None, dict[str, Array]], Solution],
    config: BaselineConfig,
    start: Solution,
    heel_strike: Callable[[Solution], float],
) -> Solution:
    """Solve with a controller's torque until torque and motion agree.

    Parameters
    ----------
    solve : a guess and the exo torque in, solution out
    config : with a controller other than ``optimal``
    start : a stride to begin from
    heel_strike : time of right heel strike of a solution

    Returns
    -------
    Solution
        Its ``extra`` holds the number of rounds and the last change of torque, Nm.

    Raises
    ------
    BaselineError
        The torque keeps changing after the last round.
    """
    limit = worn_exo(config).limits.max_torque
    torque = delivered_torque(config, start, heel_strike(start))
    solution, grid = start, start.time
    change = float("inf")
    for done in range(1, MAX_ROUNDS + 1):
        solution = solve(solution, torque)
        if not solution.success:
            known = {"torque_change": change} if done > 1 else {}
            return replace(solution, extra={"rounds": done, **known})
        new = delivered_torque(config, solution, heel_strike(solution))
        # The start may come from another mesh.
        torque = {c: np.interp(solution.time, grid, t) for c, t in torque.items()}
        grid = solution.time
        change = max(float(np.abs(new[c] - torque[c]).max()) for c in torque)
        if change <= CONSISTENT * limit:
            return replace(solution, extra={"rounds": done, "torque_change": change})
        # Half steps: a controller that answers to the motion would otherwise overshoot.
        torque = {c: 0.5 * (torque[c] + new[c]) for c in torque}
    raise BaselineError(
        f"The torque of controller {config.controller} still changes by {change:.2g} Nm after "
        f"{MAX_ROUNDS} solves; {CONSISTENT * limit:.2g} Nm is needed. Lower the controller's gain, "
        "or shorten its delay."
    )


def optimal_torques(config: BaselineConfig, motion: Motion) -> dict[str, Array]:
    """Motor torque of the optimal exo by coordinate, (n,) arrays on the motion's grid, Nm."""
    exo = worn_exo(config)
    found = {}
    for name, coordinate in zip(exo.actuator_names, exo.coordinates):
        path = next(p for p in motion.states if p.endswith(f"/{name}/activation"))
        found[coordinate] = RATE_SPAN * exo.limits.max_torque * motion.states[path]
    return found


def joint_speed(motion: Motion, coordinate: str) -> Array:
    """Speed of a coordinate, (n,) array, rad/s."""
    return motion.states[next(p for p in motion.states if p.endswith(f"/{coordinate}/speed"))]


def peak_power(config: BaselineConfig, solution: Solution) -> float:
    """Largest mechanical power of the optimal exo, given or taken, W."""
    motion = solution.stride()
    torques = optimal_torques(config, motion)
    powers = (np.abs(t * joint_speed(motion, c)).max() for c, t in torques.items())
    return float(max(powers, default=0.0))
