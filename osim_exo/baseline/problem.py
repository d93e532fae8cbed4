"""The optimal-control problem of one gait, as a MocoStudy: nothing is solved here.

Trapezoidal direct collocation of explicit dynamics over half a stride (a whole one where left and
right differ), periodic, at a given speed and stride time, minimising squared excitations plus a
weak tracking of human joint angles (Dembia et al. 2020; Falisse et al. 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import opensim as osim

from osim_exo import names
from osim_exo.baseline.config import BaselineConfig
from osim_exo.baseline.guess import sphere_heights
from osim_exo.baseline.reference import at_phase, human_reference, slope_at_phase
from osim_exo.baseline.solution import FORWARD
from osim_exo.models import ModelConfig, components, ground
from osim_exo.models.exo import RATE_SPAN
from osim_exo.physics.record import EXO_PREFIX
from osim_exo.trial import Array
from osim_exo.units import DEG

COORDINATE_BOUNDS_DEG = {
    "pelvis_tilt": (-35.0, 25.0),
    "lumbar_extension": (-40.0, 30.0),
    "hip_flexion": (-40.0, 75.0),
    "knee_angle": (-100.0, 2.0),
    "ankle_angle": (-40.0, 35.0),
}
"""Ranges of walking with room to spare: a bound that is active in a solution is an error there."""

SPEED_BOUND = 20.0
"""rad/s or m/s."""

PELVIS_TRAVEL = 0.15
"""m; how far the pelvis may leave its guessed height."""

REFERENCE_STRIDE_TIME = 1.1
"""s; at this stride time the speed tracking has its configured weight. It is scaled with the square
of stride time, so that a slow stride is not preferred only because its joint speeds are small."""

LEAST_ACTIVATION = 0.01
"""Lower bound of excitations and activations."""


@dataclass(frozen=True)
class Bounds:
    """Bounds of one variable: over the motion, and at its start and end where they differ."""

    low: float
    high: float
    start: tuple[float, float] | None = None
    end: tuple[float, float] | None = None


def solved_time(config: BaselineConfig, stride_time: float) -> float:
    """Duration of the solved part of the stride, s."""
    return 0.5 * stride_time if config.half_stride else stride_time


def body_height(config: BaselineConfig) -> float:
    """Stature for the human reference; the shipped model's where the model does not tell."""
    subject = config.model.subject
    height = subject.height if subject else config.model.reference_height
    return height if np.isfinite(height) else ModelConfig().reference_height


def state_bounds(
    config: BaselineConfig, model: osim.Model, guess: dict[str, Array], stride_time: float
) -> dict[str, Bounds]:
    """Bounds of every state, by absolute path."""
    bounds: dict[str, Bounds] = {}
    distance = config.speed * solved_time(config, stride_time)
    for coordinate in components.coordinates(model):
        name, path = coordinate.getName(), coordinate.getAbsolutePathString()
        base = name[:-2] if names.side(name) else name
        if name == "pelvis_tx":
            value = Bounds(-1.0, distance + 1.0, (0.0, 0.0), (distance, distance))
        elif name == "pelvis_ty":
            height = float(np.mean(guess[f"{path}/value"]))
            value = Bounds(height - PELVIS_TRAVEL, height + PELVIS_TRAVEL)
        elif base in COORDINATE_BOUNDS_DEG:
            low, high = COORDINATE_BOUNDS_DEG[base]
            value = Bounds(low * DEG, high * DEG)
        else:
            value = Bounds(coordinate.getRangeMin(), coordinate.getRangeMax())
        bounds[f"{path}/value"] = value
        bounds[f"{path}/speed"] = Bounds(-SPEED_BOUND, SPEED_BOUND)
    for muscle in components.muscles(model):
        path = muscle.getAbsolutePathString()
        bounds[f"{path}/activation"] = Bounds(LEAST_ACTIVATION, 1.0)
    for actuator in components.coordinate_actuators(model):
        if osim.ActivationCoordinateActuator.safeDownCast(actuator) is not None:
            largest = 1.0 / RATE_SPAN if actuator.getName().startswith(EXO_PREFIX) else 1.0
            path = actuator.getAbsolutePathString()
            bounds[f"{path}/activation"] = Bounds(-largest, largest)
    return bounds


def control_bounds(config: BaselineConfig, model: osim.Model) -> dict[str, Bounds]:
    """Bounds of every control, by absolute path; an unpowered exo's are zero."""
    bounds = {
        m.getAbsolutePathString(): Bounds(LEAST_ACTIVATION, 1.0) for m in components.muscles(model)
    }
    for actuator in components.coordinate_actuators(model):
        limits = Bounds(actuator.getMinControl(), actuator.getMaxControl())
        if actuator.getName().startswith(EXO_PREFIX) and config.condition == "zero_torque":
            limits = Bounds(0.0, 0.0)
        bounds[actuator.getAbsolutePathString()] = limits
    return bounds


def prepare(
    config: BaselineConfig,
    model: osim.Model,
    states: dict[str, Bounds],
    controls: dict[str, Bounds],
    stride_time: float,
    exo_torque: dict[str, Array] | None = None,
    limit_power: bool = False,
) -> osim.MocoStudy:
    """The study, ready for ``initCasADiSolver``.

    Parameters
    ----------
    config, model, states, controls
        The request, its model as built, and the bounds by absolute path.
    stride_time : s
    exo_torque : coordinate name to (n,) array, Nm, optional
        Torque over the solved time that the exo's actuators must deliver (a controller's).
    limit_power : hold the device's power limit as a path constraint
    """
    study = osim.MocoStudy()
    study.setName("gait")
    problem = study.updProblem()
    if config.weights.metabolic > 0.0:
        _add_metabolics(model)
    if config.weights.foot_height > 0.0:
        _add_foot_markers(model)
    problem.setModelAsCopy(model)
    duration = solved_time(config, stride_time)
    problem.setTimeBounds(0.0, duration)
    for path, b in states.items():
        start = b.start or (b.low, b.high)
        end = b.end or (b.low, b.high)
        problem.setStateInfo(path, [b.low, b.high], list(start), list(end))
    for path, b in controls.items():
        problem.setControlInfo(path, [b.low, b.high])
    problem.addGoal(_periodicity(config, model, list(states)))
    problem.addGoal(_effort(config, model))
    if config.controller == "optimal" and config.weights.exo > 0.0:
        problem.addGoal(_exo_torque(config, model))
    if config.weights.tracking > 0.0:
        problem.addGoal(_tracking(config, model, stride_time))
    if config.weights.foot_height > 0.0:
        for goal in _foot_heights(config, model, stride_time):
            problem.addGoal(goal)
    if config.weights.metabolic > 0.0:
        problem.addGoal(_metabolic(config))
    if limit_power:
        _limit_power(config, problem)
    if exo_torque is not None:
        _prescribe(model, problem, exo_torque, duration)
    return study


def _periodicity(
    config: BaselineConfig, model: osim.Model, states: list[str]
) -> osim.MocoPeriodicityGoal:
    goal = osim.MocoPeriodicityGoal("periodicity")

    def other(path: str) -> str:
        return names.mirror(path) if config.half_stride else path

    for path in states:
        if not path.endswith(FORWARD):
            goal.addStatePair(osim.MocoPeriodicityGoalPair(path, other(path)))
    for actuator in components.coordinate_actuators(model):
        if not actuator.getName().startswith(EXO_PREFIX):
            path = actuator.getAbsolutePathString()
            goal.addControlPair(osim.MocoPeriodicityGoalPair(path, other(path)))
    return goal


def _effort(config: BaselineConfig, model: osim.Model) -> osim.MocoControlGoal:
    weights = config.weights
    goal = osim.MocoControlGoal("effort", weights.effort)
    goal.setExponent(2)
    goal.setDivideByDuration(True)
    for actuator in components.coordinate_actuators(model):
        exo = actuator.getName().startswith(EXO_PREFIX)
        if exo:
            # The control of an optimal exo is its torque's rate over the limit.
            weight = weights.exo_rate if config.controller == "optimal" else 0.0
        else:
            weight = weights.lumbar
        goal.setWeightForControl(actuator.getAbsolutePathString(), weight)
    return goal


def _exo_torque(config: BaselineConfig, model: osim.Model) -> osim.MocoSumSquaredStateGoal:
    """Squared torque of an optimal exo over its maximum, summed over the drives."""
    weights = config.weights
    # The state is the torque over RATE_SPAN times its maximum.
    weight = weights.effort * weights.exo * RATE_SPAN**2
    goal = osim.MocoSumSquaredStateGoal("exo_torque", weight)
    goal.setPattern(f".*/{EXO_PREFIX}[^/]*/activation")
    goal.setDivideByDuration(True)
    return goal


def _tracking(
    config: BaselineConfig, model: osim.Model, stride_time: float
) -> osim.MocoStateTrackingGoal:
    reference = human_reference(config.speed, body_height(config))
    margin = 0.1  # the solver evaluates finite differences just outside the solved time
    time = np.linspace(-margin, 1.0 + margin, 241) * stride_time
    table = osim.TimeSeriesTable(osim.StdVectorDouble(time.tolist()))
    goal = osim.MocoStateTrackingGoal("tracking", config.weights.tracking)
    speed_weight = config.weights.tracking_speed * (stride_time / REFERENCE_STRIDE_TIME) ** 2
    paths = {c.getName(): c.getAbsolutePathString() for c in components.coordinates(model)}
    for name, curve in reference.items():
        if name not in paths:
            continue
        value, speed = f"{paths[name]}/value", f"{paths[name]}/speed"
        table.appendColumn(value, osim.Vector.createFromMat(at_phase(curve, time / stride_time)))
        goal.setWeightForState(value, 1.0)
        if speed_weight > 0.0:
            rate = slope_at_phase(curve, time / stride_time) / stride_time
            table.appendColumn(speed, osim.Vector.createFromMat(rate))
            goal.setWeightForState(speed, speed_weight)
    table.addTableMetaDataString("inDegrees", "no")
    goal.setReference(osim.TableProcessor(table))
    goal.setDivideByDuration(True)
    return goal


def _add_foot_markers(model: osim.Model) -> None:
    """A marker in the middle of every contact sphere, whose height the objective can see."""
    for force in ground.contact_forces(model):
        sphere = osim.ContactSphere.safeDownCast(force.getConnectee("sphere"))
        frame = osim.PhysicalFrame.safeDownCast(sphere.getFrame())
        model.addMarker(osim.Marker(f"height_{sphere.getName()}", frame, sphere.get_location()))
    model.finalizeConnections()


def _foot_heights(
    config: BaselineConfig, model: osim.Model, stride_time: float
) -> list[osim.MocoOutputTrackingGoal]:
    """Feet as high over the ground as the reference motion carries them.

    Without this the least effort is a foot that brushes the ground through the swing; people keep
    a clearance of a centimetre or more (Winter 1992).
    """
    reference = human_reference(config.speed, body_height(config))
    heights = sphere_heights(model, reference)
    share = np.linspace(-0.1, 1.1, 241)
    goals = []
    for name, curve in heights.items():
        function = osim.PiecewiseLinearFunction()
        for phase, height in zip(share, at_phase(curve, share)):
            function.addPoint(float(phase * stride_time), float(height))
        weight = config.weights.foot_height / len(heights)
        goal = osim.MocoOutputTrackingGoal(f"foot_height_{name}", weight)
        goal.setOutputPath(f"/markerset/height_{name}|location")
        goal.setOutputIndex(1)
        goal.setExponent(2)
        goal.setTrackingFunction(function)
        goal.setDivideByDuration(True)
        goals.append(goal)
    return goals


def _add_metabolics(model: osim.Model) -> None:
    metabolics = osim.Bhargava2004SmoothedMuscleMetabolics()
    metabolics.setName("metabolics")
    metabolics.set_use_smoothing(True)
    for muscle in components.muscles(model):
        metabolics.addMuscle(muscle.getName(), muscle)
    model.addComponent(metabolics)
    model.finalizeConnections()


def _metabolic(config: BaselineConfig) -> osim.MocoOutputGoal:
    goal = osim.MocoOutputGoal("metabolic", config.weights.metabolic / config.model.body_mass)
    goal.setOutputPath("/metabolics|total_metabolic_rate")
    goal.setDivideByDuration(True)
    return goal


def _limit_power(config: BaselineConfig, problem: osim.MocoProblem) -> None:
    exo = config.model.exo
    if exo is None:
        return
    limit = exo.limits.power_limit
    for name in exo.actuator_names:
        constraint = osim.MocoOutputConstraint()
        constraint.setName(f"power_{name}")
        constraint.setOutputPath(f"/forceset/{name}|power")
        info = osim.MocoConstraintInfo()
        bounds = osim.StdVectorMocoBounds()
        bounds.append(osim.MocoBounds(-limit, limit))
        info.setBounds(bounds)
        constraint.setConstraintInfo(info)
        problem.addPathConstraint(constraint)


def _prescribe(
    model: osim.Model,
    problem: osim.MocoProblem,
    exo_torque: dict[str, Array],
    duration: float,
) -> None:
    """Fix the exo's controls to a torque over time."""
    for actuator in components.coordinate_actuators(model):
        if not actuator.getName().startswith(EXO_PREFIX):
            continue
        torque = exo_torque[actuator.get_coordinate()]
        time = np.linspace(0.0, duration, torque.size)
        function = osim.PiecewiseLinearFunction()
        # One more point on each side: finite differences look a little beyond the ends.
        for t, value in zip(
            [time[0] - 1.0, *time, time[-1] + 1.0], [torque[0], *torque, torque[-1]]
        ):
            function.addPoint(float(t), float(value) / actuator.getOptimalForce())
        constraint = osim.MocoControlBoundConstraint()
        constraint.setName(f"torque_{actuator.getName()}")
        constraint.addControlPath(actuator.getAbsolutePathString())
        constraint.setLowerBound(function)
        constraint.setEqualityWithLower(True)
        problem.addPathConstraint(constraint)
