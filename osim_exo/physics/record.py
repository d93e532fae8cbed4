"""States and controls of an OpenSim model in, a `Trial` out: the one place that reads results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import opensim as osim

from osim_exo import names
from osim_exo.errors import ModelError, SimulationError
from osim_exo.models import ModelConfig, components, ground
from osim_exo.physics.layout import UNREAD_CONTACTS
from osim_exo.trial import Array, Channels, Trial, TrialInfo

EXO_PREFIX = "exo_"
"""Actuators and drags whose names begin so belong to the device."""

JOINT_LANDMARKS = {
    "hip_flexion": "hip",
    "knee_angle": "knee",
    "ankle_angle": "ankle",
    "lumbar_extension": "lumbar",
}
"""The joint of this coordinate is drawn as this landmark."""

TORSO_LANDMARKS = {"neck": 1.5, "head": 2.15}
"""Height above the lumbar joint, in multiples of the torso's mass centre height."""


@dataclass(frozen=True)
class Motion:
    """State and control trajectories of a model.

    Attributes
    ----------
    time : (n_time,) s
    states : by absolute state path, (n_time,) each
    controls : by actuator name, (n_time,) each
    """

    time: Array
    states: Mapping[str, Array]
    controls: Mapping[str, Array] = field(default_factory=dict)


def describe(config: ModelConfig, model: osim.Model, name: str, **facts: object) -> TrialInfo:
    """The identity of a trial of this model; `facts` are further fields of `TrialInfo`."""
    subject = config.subject
    coordinate_paths = {
        c.getName(): c.getAbsolutePathString() for c in components.coordinates(model)
    }
    muscle_paths = {m.getName(): m.getAbsolutePathString() for m in components.muscles(model)}
    info = TrialInfo(
        name=name,
        body_mass=config.body_mass,
        height=subject.height if subject else config.reference_height,
        exo_mass=config.exo_mass,
        slope_deg=config.slope_deg,
        model=config.name,
        model_hash=config.hash,
        muscles=components.muscle_parameters(model, config.slow_fractions),
        provenance={"coordinate_paths": coordinate_paths, "muscle_paths": muscle_paths},
    )
    extra = dict(facts)
    provenance = {**info.provenance, **dict(extra.pop("provenance", {}))}  # type: ignore[call-overload]
    return replace(info, provenance=provenance, **extra)  # type: ignore[arg-type]


class Recorder:
    """Evaluates a model along a motion.

    Parameters
    ----------
    model : opensim.Model
        The model that moved; its system is built here.
    display : opensim.Model, optional
        A model with geometry paths and the same coordinates, asked where muscles run; the model
        itself if not given.

    Raises
    ------
    ModelError
        The model has contact whose forces cannot be read or sided.
    """

    def __init__(self, model: osim.Model, display: osim.Model | None = None) -> None:
        self.model = model
        self.state = model.initSystem()
        self.display = display or model
        self.display_state = display.initSystem() if display else self.state
        self.coordinates = components.coordinates(model)
        self.muscles = components.muscles(model)
        self.limits = _limits(model)
        self.drags = _drags(model)
        actuators = components.coordinate_actuators(model)
        self.exo = [a for a in actuators if a.getName().startswith(EXO_PREFIX)]
        self.others = [a for a in actuators if not a.getName().startswith(EXO_PREFIX)]
        self.contacts = _contacts(model)
        self.order = [m.getName() for m in self.muscles]
        self.index = {c.getName(): i for i, c in enumerate(self.coordinates)}
        self._landmarks = _landmarks(model)
        self._paths = _display_paths(self.display)
        self._controls = _control_order(model)

    def record(self, motion: Motion, info: TrialInfo) -> Trial:
        """Evaluate the model at every sample of a motion.

        Raises
        ------
        SimulationError
            The motion holds NaN or infinity.
        """
        rows: dict[str, list[Array]] = {}
        for i in range(motion.time.size):
            self._set(motion, i)
            for series, row in self._sample().items():
                rows.setdefault(series, []).append(row)
        channels = {
            series: Channels(self._names(series), np.stack(values))
            for series, values in rows.items()
            if self._names(series)
        }
        channels["excitations"] = Channels(
            tuple(self.order),
            np.stack(
                [motion.controls.get(m, np.zeros(motion.time.size)) for m in self.order], axis=1
            ),
        )
        return Trial.build(motion.time, info, **channels)

    def _set(self, motion: Motion, i: int) -> None:
        for path, values in motion.states.items():
            if not np.isfinite(values[i]):
                raise SimulationError(
                    f"State {path} is {values[i]} at {motion.time[i]:.4f} s; a trial needs finite "
                    "states throughout."
                )
            self.model.setStateVariableValue(self.state, path, float(values[i]))
        controls = osim.Vector(self.model.getNumControls(), 0.0)
        for j, name in enumerate(self._controls):
            if name in motion.controls:
                controls.set(j, float(motion.controls[name][i]))
        self.model.realizeVelocity(self.state)
        self.model.setControls(self.state, controls)
        self.model.realizeDynamics(self.state)
        if self.display is not self.model:
            for coordinate in self.coordinates:
                name = coordinate.getName()
                value = coordinate.getValue(self.state)
                self.display.getCoordinateSet().get(name).setValue(self.display_state, value, False)
        self.display.realizePosition(self.display_state)

    def _sample(self) -> dict[str, Array]:
        s = self.state
        muscles = self.muscles
        passive = self._passive_moments()
        exo = self._exo_torques()
        speeds = np.array([c.getSpeedValue(s) for c in self.coordinates])
        exo_index = [self.index[a.get_coordinate()] for a in self.exo]
        return {
            "coordinates": np.array([c.getValue(s) for c in self.coordinates]),
            "speeds": speeds,
            "activations": np.array([m.getActivation(s) for m in muscles]),
            "fibre_lengths": np.array([m.getNormalizedFiberLength(s) for m in muscles]),
            "fibre_velocities": np.array([m.getFiberVelocity(s) for m in muscles]),
            "active_fibre_forces": np.array([m.getActiveFiberForce(s) for m in muscles]),
            "passive_fibre_forces": np.array([m.getPassiveFiberForce(s) for m in muscles]),
            "muscle_powers": np.array(
                [-m.getTendonForce(s) * m.getLengtheningSpeed(s) for m in muscles]
            ),
            "moments": self._muscle_moments() + passive,
            "passive_moments": passive,
            "grf": self._ground_reactions(),
            "exo_torque": exo,
            "exo_power": exo * speeds[exo_index],
            "points": self._points(),
        }

    def _names(self, series: str) -> tuple[str, ...]:
        if series in ("coordinates", "speeds", "moments", "passive_moments"):
            return tuple(self.index)
        if series in ("exo_torque", "exo_power"):
            return tuple(a.get_coordinate() for a in self.exo)
        if series == "grf":
            return GRF_NAMES if self.contacts else ()
        if series == "points":
            muscle = [f"muscle/{m}/{k}" for m, ps in self._paths.items() for k in range(len(ps))]
            return tuple(f"{p}.{axis}" for p in [*self._landmarks, *muscle] for axis in "xyz")
        return tuple(self.order)

    def _muscle_moments(self) -> Array:
        """Moments of muscles, and of actuators that stand for muscles the model lacks (trunk)."""
        moments = np.zeros(len(self.coordinates))
        for muscle in self.muscles:
            force = muscle.getTendonForce(self.state)
            for i, coordinate in enumerate(self.coordinates):
                moments[i] += force * muscle.computeMomentArm(self.state, coordinate)
        for actuator in self.others:
            moments[self.index[actuator.get_coordinate()]] += actuator.getActuation(self.state)
        return moments

    def _passive_moments(self) -> Array:
        moments = np.zeros(len(self.coordinates))
        for force in self.limits:
            moments[self.index[force.get_coordinate()]] += force.calcLimitForce(self.state)
        for spring in self.drags:
            if not spring.getName().startswith(EXO_PREFIX):
                moments[self.index[spring.get_coordinate()]] += _spring(spring, self)
        return moments

    def _exo_torques(self) -> Array:
        """Torque of each drive on the body: the motor's and its drag together."""
        torques = []
        for actuator in self.exo:
            torque = actuator.getActuation(self.state)
            for drag in self.drags:
                own = drag.getName().startswith(EXO_PREFIX)
                if own and drag.get_coordinate() == actuator.get_coordinate():
                    torque += _spring(drag, self)
            torques.append(torque)
        return np.array(torques)

    def _ground_reactions(self) -> Array:
        loads = {side: np.zeros((len(self.contacts), 6)) for side in names.SIDES}
        for i, contact in enumerate(self.contacts):
            side = str(names.side(contact.getName()))
            loads[side][i] = _contact_load(contact, self.state)
        return np.concatenate([resultant(loads[side]) for side in names.SIDES])

    def _points(self) -> Array:
        found = [f.findStationLocationInGround(self.state, v) for f, v in self._landmarks.values()]
        for points in self._paths.values():
            found += [p.getLocationInGround(self.display_state) for p in points]
        return np.array([[p.get(0), p.get(1), p.get(2)] for p in found]).ravel()


GRF_NAMES = tuple(
    f"ground_{kind}_{side}_{axis}"
    for side in names.SIDES
    for kind, axes in (("force", ("vx", "vy", "vz", "px", "py", "pz")), ("torque", ("x", "y", "z")))
    for axis in axes
)


def _contacts(model: osim.Model) -> list[osim.SmoothSphereHalfSpaceForce]:
    """The contact forces of the feet; what cannot be read or sided is refused, not left out."""
    found = ground.contact_forces(model)
    others = [c for c in model.getComponentsList() if c.getConcreteClassName() in UNREAD_CONTACTS]
    unread = [c.getName() for c in others]
    unread += [c.getName() for c in found if names.side(c.getName()) is None]
    if unread:
        raise ModelError(
            f"The ground reaction of {', '.join(unread)} cannot be told. Use "
            "SmoothSphereHalfSpaceForce, with names that end in _r or _l for the foot."
        )
    return found


def _contact_load(contact: osim.SmoothSphereHalfSpaceForce, state: osim.State) -> Array:
    """Force on the foot and where it acts: (fx, fy, fz, x, y, z) in ground.

    The force acts half-way into the indentation, as SmoothSphereHalfSpaceForce applies it.
    """
    values = contact.getRecordValues(state)
    sphere = osim.ContactSphere.safeDownCast(contact.getConnectee("sphere"))
    centre = sphere.getFrame().findStationLocationInGround(state, sphere.get_location())
    depth = sphere.getRadius() - centre.get(1)
    force = [values.get(k) for k in range(3)]
    return np.array([*force, centre.get(0), -0.5 * depth, centre.get(2)])


def resultant(loads: Array) -> Array:
    """One force at the centre of pressure on the plane y = 0, with its free moment.

    Parameters
    ----------
    loads : (n_contact, 6) array, forces and their points

    Returns
    -------
    (9,) array
        Force (N), centre of pressure (m), free moment (Nm). Without load the centre of pressure
        is the mean of the points.
    """
    forces, points = loads[:, :3], loads[:, 3:]
    total = forces.sum(axis=0)
    moment = np.cross(points, forces).sum(axis=0)
    used = np.any(loads != 0.0, axis=1)
    centre = points[used].mean(axis=0) if used.any() else np.zeros(3)
    centre[1] = 0.0
    if total[1] > 1.0:
        centre[0], centre[2] = moment[2] / total[1], -moment[0] / total[1]
    free = moment - np.cross(centre, total)
    return np.concatenate([total, centre, free if total[1] > 1.0 else np.zeros(3)])


def _spring(spring: osim.SpringGeneralizedForce, recorder: Recorder) -> float:
    coordinate = recorder.coordinates[recorder.index[spring.get_coordinate()]]
    stretch = coordinate.getValue(recorder.state) - spring.get_rest_length()
    speed = coordinate.getSpeedValue(recorder.state)
    return float(-spring.get_stiffness() * stretch - spring.get_viscosity() * speed)


def _limits(model: osim.Model) -> list[osim.CoordinateLimitForce]:
    found = (osim.CoordinateLimitForce.safeDownCast(c) for c in model.getComponentsList())
    return [f for f in found if f is not None]


def _drags(model: osim.Model) -> list[osim.SpringGeneralizedForce]:
    found = (osim.SpringGeneralizedForce.safeDownCast(c) for c in model.getComponentsList())
    return [f for f in found if f is not None]


def _control_order(model: osim.Model) -> list[str]:
    """Actuator names in the order of the model's control vector."""
    order = []
    for component in model.getComponentsList():
        actuator = osim.ScalarActuator.safeDownCast(component)
        if actuator is not None:
            order.append(actuator.getName())
    return order


def _landmarks(model: osim.Model) -> dict[str, tuple[osim.Frame, osim.Vec3]]:
    """Joint centres, contact spheres and the trunk's line, as frames and stations."""
    found: dict[str, tuple[osim.Frame, osim.Vec3]] = {}
    zero = osim.Vec3(0.0)
    for coordinate in components.coordinates(model):
        name = coordinate.getName()
        side = names.side(name)
        landmark = JOINT_LANDMARKS.get(name[:-2] if side else name)
        if landmark is None:
            continue
        frame = coordinate.getJoint().getChildFrame()
        found[f"{landmark}_{side}" if side else landmark] = (frame, zero)
        if landmark == "lumbar":
            torso = osim.Body.safeDownCast(frame.findBaseFrame())
            if torso is not None:
                height = torso.getMassCenter().get(1)
                for part, multiple in TORSO_LANDMARKS.items():
                    found[part] = (torso, osim.Vec3(0.0, multiple * height, 0.0))
    for contact in ground.contact_forces(model):
        sphere = osim.ContactSphere.safeDownCast(contact.getConnectee("sphere"))
        found[sphere.getName()] = (sphere.getFrame(), sphere.get_location())
    return found


def _display_paths(model: osim.Model) -> dict[str, list[osim.AbstractPathPoint]]:
    """Points each muscle always runs through; via points that switch are left out."""
    found = {}
    for muscle in components.muscles(model):
        path = osim.GeometryPath.safeDownCast(muscle.getPath())
        if path is None:
            continue
        points = path.getPathPointSet()
        found[muscle.getName()] = [
            points.get(i)
            for i in range(points.getSize())
            if osim.ConditionalPathPoint.safeDownCast(points.get(i)) is None
        ]
    return found
