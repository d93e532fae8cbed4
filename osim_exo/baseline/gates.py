"""Quality gates of a solved gait: every one is a number, a limit, and a sentence."""

from __future__ import annotations

import numpy as np
import opensim as osim

from osim_exo.analysis import clinical, grf, normative
from osim_exo.analysis.gates import Gate, force_gates, gate, usual_walk
from osim_exo.baseline import arms, diagnose
from osim_exo.baseline.config import BaselineConfig
from osim_exo.baseline.delivery import deliver
from osim_exo.baseline.problem import body_height
from osim_exo.baseline.replay import replay
from osim_exo.baseline.solution import Solution
from osim_exo.models import ground
from osim_exo.names import SIDES
from osim_exo.physics.record import Motion
from osim_exo.trial import Trial
from osim_exo.units import DEG

MAX_PENETRATION = 0.015
"""m; heel pad and shoe sole together give about this much."""

DELIVERY_LIMIT = 0.02
"""Root mean square of delivered minus solved torque, relative to the device's maximum."""

REPLAY_LIMIT_DEG = 2.0
"""Root mean square angle error at the end of 50 ms windows."""


def check(
    config: BaselineConfig, solution: Solution, model: osim.Model, motion: Motion, trial: Trial
) -> list[Gate]:
    """Every gate of one solved gait.

    Parameters
    ----------
    config, solution, model
        The request, the solver's result and the model it was solved with.
    motion : the whole stride on the solver's grid
    trial : the recorded stride
    """
    return [
        *_solver_gates(config, solution),
        *_contact_gates(model, motion),
        *_force_gates(trial),
        *_motion_gates(config, trial),
        *_device_gates(config, trial),
        *_delivery_gates(config, motion),
        *_replay_gates(model, motion),
        *_human_gates(config, trial),
    ]


def _solver_gates(config: BaselineConfig, solution: Solution) -> list[Gate]:
    bounds = diagnose.active_bounds(solution)
    worst = max(bounds, key=lambda p: bounds[p], default=None)
    where = f"; the worst is {worst}" if worst else ""
    gap = max((abs(g) for g in diagnose.periodicity_gaps(solution).values()), default=0.0)
    tolerance = 10 * config.solver.constraint_tolerance
    return [
        gate("converged", float(solution.success), "", 1.0, None, f"Solver: {solution.status}."),
        gate(
            "active_bounds",
            float(len(bounds)),
            "",
            None,
            0.0,
            f"States that lie at a bound that is not meant to hold them{where}.",
        ),
        gate("periodicity", gap, "", None, tolerance, "Largest gap between end and start."),
    ]


def _contact_gates(model: osim.Model, motion: Motion) -> list[Gate]:
    depth = penetration(model, motion)
    return [
        gate(
            "penetration",
            1e3 * depth,
            "mm",
            None,
            1e3 * MAX_PENETRATION,
            "Deepest contact sphere in the ground.",
        )
    ]


def penetration(model: osim.Model, motion: Motion) -> float:
    """Deepest indentation of any contact sphere along a motion, m."""
    state = model.initSystem()
    spheres = [
        osim.ContactSphere.safeDownCast(f.getConnectee("sphere"))
        for f in ground.contact_forces(model)
    ]
    deepest = 0.0
    for i in range(motion.time.size):
        for path, values in motion.states.items():
            model.setStateVariableValue(state, path, float(values[i]))
        model.realizePosition(state)
        for sphere in spheres:
            centre = sphere.getFrame().findStationLocationInGround(state, sphere.get_location())
            deepest = max(deepest, sphere.getRadius() - centre.get(1))
    return deepest


def _force_gates(trial: Trial) -> list[Gate]:
    info = trial.info
    found = [grf.grf_features(trial, side) for side in SIDES]
    worst = {
        name: min(values) if name == "trough" else max(values, key=abs)
        for name, *values in zip(vars(found[0]), *(vars(f).values() for f in found))
    }
    weight = grf.weight_ratio(trial)
    return [
        gate("grf_weight", weight, "", 0.99, 1.01, "Mean vertical force over weight."),
        *force_gates(worst, not usual_walk(info.speed, info.slope_deg, info.condition)),
    ]


def _motion_gates(config: BaselineConfig, trial: Trial) -> list[Gate]:
    forward = trial.coordinates["pelvis_tx"]
    speed = (forward[-1] - forward[0]) / trial.duration
    settings = config.stride_time
    margin = 0.005
    low = None if settings.fixed else settings.low + margin
    high = None if settings.fixed else settings.high - margin
    lumbar = np.abs(trial.moments["lumbar_extension"]).mean() if _has(trial) else 0.0
    hips = np.mean([np.abs(trial.moments[f"hip_flexion_{s}"]).mean() for s in SIDES])
    return [
        gate(
            "speed",
            speed - config.speed,
            "m/s",
            -0.01,
            0.01,
            "Average forward speed minus the commanded one.",
        ),
        gate(
            "stride_time",
            trial.duration,
            "s",
            low,
            high,
            "Stride time lies inside its range."
            if not settings.fixed
            else "Imposed, so that arms are compared at one cadence.",
        ),
        gate(
            "trunk_share",
            float(lumbar / max(hips, 1e-9)),
            "",
            None,
            1.0,
            "Mean trunk torque (an actuator, not muscles) over mean hip moment. The pelvis has no "
            "reserve or residual actuators.",
        ),
    ]


def _has(trial: Trial) -> bool:
    return "lumbar_extension" in trial.moments


def _device_gates(config: BaselineConfig, trial: Trial) -> list[Gate]:
    exo = config.model.exo
    if exo is None or config.condition != "assisted":
        return []
    torque = trial.exo_torque.values
    speeds = trial.speeds.select(trial.exo_torque.names).values
    motor = torque + exo.drag * speeds  # exo_torque holds the drag; the limits are the motor's
    rate = np.abs(np.diff(motor, axis=0) / np.diff(trial.time)[:, None]).max()
    limits = exo.limits
    return [
        gate("exo_torque", np.abs(motor).max(), "Nm", None, 1.005 * limits.max_torque, "Motor."),
        gate("exo_rate", rate, "Nm/s", None, 1.02 * limits.rate_limit, "Change of motor torque."),
        gate(
            "exo_power",
            np.abs(motor * speeds).max(),
            "W",
            None,
            1.02 * limits.power_limit,
            "Motor power, given or taken.",
        ),
    ]


def _delivery_gates(config: BaselineConfig, motion: Motion) -> list[Gate]:
    if config.controller != "optimal":
        return []
    limits = arms.worn_exo(config).limits
    torques = arms.optimal_torques(config, motion)
    speeds = [arms.joint_speed(motion, coordinate) for coordinate in torques]
    done = deliver(
        motion.time, np.stack(list(torques.values()), axis=1), np.stack(speeds, axis=1), limits
    )
    return [
        gate(
            "exo_delivery",
            100.0 * done.rms / limits.max_torque,
            "% of max torque",
            None,
            100.0 * DELIVERY_LIMIT,
            "The device delivers the torque: root mean square of what comes out of its delay, lag "
            "and limits, minus the solved torque, for a command that leads by delay and lag; "
            f"largest {done.largest:.2f} Nm, largest command {done.peak_command:.1f} Nm of "
            f"{limits.max_torque:g} Nm.",
        )
    ]


def _replay_gates(model: osim.Model, motion: Motion) -> list[Gate]:
    gates = []
    for window, limit in ((0.05, REPLAY_LIMIT_DEG), (0.1, None)):
        result = replay(model, motion, window)
        gates.append(
            gate(
                f"replay_{round(1e3 * window)}ms",
                result.angle_rms / DEG,
                "deg",
                None,
                limit,
                "Forward simulation of the controls in windows: root mean square angle error at "
                f"their ends; largest {result.angle_max / DEG:.2f} deg in {result.worst}.",
                limit is None,
            )
        )
    return gates


def _human_gates(config: BaselineConfig, trial: Trial) -> list[Gate]:
    """Share of the cycle within 2 SD of human walking; reported, not required."""
    leg = normative.LEG_LENGTH_PER_HEIGHT * body_height(config)
    cycles = clinical.clinical_cycles(trial)
    gates = []
    for quantity, unit in normative.QUANTITIES.items():
        name = quantity if quantity in cycles else f"{quantity}_r"
        if name not in cycles:
            continue
        c = normative.compare_to_band(cycles[name], quantity, config.speed, leg)
        gates.append(
            gate(
                f"human_{quantity}",
                100 * c.within_2_sd,
                "% of cycle",
                None,
                None,
                f"Within 2 SD of humans; within 1 SD {100 * c.within_1_sd:.0f} %, RMS "
                f"{c.rms:.3g} {unit}, r = {c.correlation:.2f}.",
                True,
            )
        )
    return gates
