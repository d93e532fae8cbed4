"""Where an OpenSim model keeps what the stepped physics reads and writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo import names
from osim_exo.device import DeviceLimits
from osim_exo.errors import ModelError
from osim_exo.physics.base import Array, PhysicsNames

Index = npt.NDArray[np.intp]

EXO_PREFIX = "exo_"
"""Coordinate actuators whose name starts so belong to the worn device."""

HEIGHT = "pelvis_ty"

UNREAD_CONTACTS = ("HuntCrossleyForce", "ElasticFoundationForce")


class ModelLayout:
    """Indices into an OpenSim model's state and control vectors, and its contact forces.

    Components are found by walking the component list, because forces may sit outside the
    ForceSet; state variables by writing their own index into the state vector.

    Parameters
    ----------
    osim : the opensim module
    model : opensim.Model
        ``initSystem()`` is called here; its controllers are switched off, so that the default
        controls are the controls.

    Raises
    ------
    ModelError
        The model has no muscles, muscles without activation dynamics, a device whose actuators
        have dynamics of their own, or contact whose forces cannot be told or sided.
    """

    def __init__(self, osim: Any, model: Any) -> None:
        components = list(model.getComponentsList())
        for found in filter(None, map(osim.Controller.safeDownCast, components)):
            found.set_enabled(False)
        self.state = model.initSystem()
        actuators = [a for a in map(osim.Actuator.safeDownCast, components) if a is not None]
        self._contacts = _contacts(osim, components)
        self.n_control = int(model.getNumControls())
        muscles, exo, others = [], [], []
        for index, actuator in enumerate(actuators):
            if osim.Muscle.safeDownCast(actuator) is not None:
                muscles.append((index, actuator))
            elif actuator.getName().startswith(EXO_PREFIX):
                exo.append((index, _plain_torque(osim, actuator)))
            else:
                others.append((index, actuator))
        _check_counts(model, len(actuators), self.n_control, len(muscles))
        self.muscle_controls = _indices(muscles)
        self.exo_controls = _indices(exo)
        self.other_controls = _indices(others)
        self.control_bounds = _bounds(osim, actuators)
        self.optimal_torque = np.array([a.getOptimalForce() for _, a in exo])
        coordinates = model.getCoordinateSet()
        spelled = [coordinates.get(i).getName() for i in range(coordinates.getSize())]
        self.names = PhysicsNames(
            coordinates=tuple(spelled),
            muscles=tuple(a.getName() for _, a in muscles),
            exo=tuple(a.getName() for _, a in exo),
            exo_coordinates=tuple(a.get_coordinate() for _, a in exo),
            others=tuple(a.getName() for _, a in others),
        )
        self._find_states(osim, model, [a for _, a in muscles])
        worn = [spelled.index(name) for name in self.names.exo_coordinates]
        self.exo_angles, self.exo_speeds = self.coordinates[worn], self.speeds[worn]
        self.height = int(self.coordinates[spelled.index(HEIGHT)]) if HEIGHT in spelled else None
        gravity = float(np.linalg.norm(model.get_gravity().to_numpy()))
        self.weight = float(model.getTotalMass(self.state)) * gravity

    def _find_states(self, osim: Any, model: Any, muscles: list[Any]) -> None:
        """Positions of coordinates, speeds and activations in the state vector."""
        probe = osim.State(self.state)
        self.n_state = int(probe.getNY())
        self.n_coordinate_state = int(probe.getNQ())
        probe.setY(osim.Vector.createFromMat(np.arange(self.n_state, dtype=float)))
        names_found = model.getStateVariableNames()
        values = model.getStateVariableValues(probe).to_numpy()
        where = {names_found.get(i): int(values[i]) for i in range(names_found.getSize())}
        coordinates = model.getCoordinateSet()
        paths = [coordinates.get(i).getAbsolutePathString() for i in range(coordinates.getSize())]
        self.coordinates = np.array([where[f"{path}/value"] for path in paths], dtype=np.intp)
        self.speeds = np.array([where[f"{path}/speed"] for path in paths], dtype=np.intp)
        activations = [f"{muscle.getAbsolutePathString()}/activation" for muscle in muscles]
        missing = [path.split("/")[-2] for path in activations if path not in where]
        if missing:
            raise ModelError(
                f"The model's muscles {', '.join(missing)} have no activation dynamics. Stepped "
                "physics needs them: set ignore_activation_dynamics to false in the model."
            )
        self.activations = np.array([where[path] for path in activations], dtype=np.intp)
        self.has_tendon_states = self.n_state > 2 * self.n_coordinate_state + len(muscles)

    def ground_forces(self, state: Any) -> Array:
        """Force and moment about the ground's origin on each foot, (2, 6) array; N and Nm.

        The state must be realised to velocity.
        """
        total = np.zeros((2, 6))
        for force in self._contacts:
            foot = names.SIDES.index(str(names.side(force.getName())))
            record = force.getRecordValues(state)
            # Values 6 to 11 act on the half space, about the origin of its body, the ground.
            total[foot] -= [record.get(i) for i in range(6, 12)]
        return total

    @property
    def has_contact(self) -> bool:
        """Whether the model touches the ground."""
        return bool(self._contacts)


def _contacts(osim: Any, components: list[Any]) -> list[Any]:
    """The contact forces of the feet; other kinds of contact are refused, not left out."""
    unread = [
        component.getName()
        for component in components
        if component.getConcreteClassName() in UNREAD_CONTACTS
    ]
    if unread:
        raise ModelError(
            f"The contact forces {', '.join(unread)} are of a kind whose ground reaction is not "
            "read here. Replace them by SmoothSphereHalfSpaceForce."
        )
    found = [f for f in map(osim.SmoothSphereHalfSpaceForce.safeDownCast, components) if f]
    nameless = [force.getName() for force in found if names.side(force.getName()) is None]
    if nameless:
        raise ModelError(
            f"The contact forces {', '.join(nameless)} do not say whose foot they belong to. End "
            "their names with _r or _l."
        )
    return found


def _plain_torque(osim: Any, actuator: Any) -> Any:
    torque = osim.CoordinateActuator.safeDownCast(actuator)
    if torque is None or osim.ActivationCoordinateActuator.safeDownCast(actuator) is not None:
        raise ModelError(
            f"The device's actuator '{actuator.getName()}' is a "
            f"{actuator.getConcreteClassName()}; stepped physics applies the device's dynamics "
            'itself and needs a CoordinateActuator. Attach the device with actuator="torque".'
        )
    return torque


def _check_counts(model: Any, n_actuator: int, n_control: int, n_muscle: int) -> None:
    if n_actuator != n_control:
        raise ModelError(
            f"The model '{model.getName()}' has {n_actuator} actuators and {n_control} controls; "
            "only actuators with one control each can be stepped."
        )
    if n_muscle == 0:
        raise ModelError(
            f"The model '{model.getName()}' has no muscles; a walking simulation needs some."
        )


def _indices(found: list[tuple[int, Any]]) -> Index:
    return np.array([index for index, _ in found], dtype=np.intp)


def _bounds(osim: Any, actuators: list[Any]) -> tuple[Array, Array]:
    """Lowest and highest control of each actuator; OpenSim itself does not clamp them."""
    scalar = [osim.ScalarActuator.safeDownCast(a) for a in actuators]
    low = np.array([a.getMinControl() for a in scalar])
    high = np.array([a.getMaxControl() for a in scalar])
    return low, high


def device_limits(
    recipe: object,
    given: DeviceLimits | None,
    actuators: Sequence[str],
    optimal_torque: Array,
) -> DeviceLimits:
    """Limits of the worn device: those given, else those of the recipe's `exo`.

    Parameters
    ----------
    recipe : what the model comes from
    given : limits that the caller named
    actuators, optimal_torque : names of the device's actuators, and what each can give, Nm

    Raises
    ------
    ModelError
        The model wears a device whose limits nobody named, or actuators that cannot give them.
    """
    limits = given or getattr(getattr(recipe, "exo", None), "limits", None)
    if limits is None:
        raise ModelError(
            f"The model has device actuators ({', '.join(actuators)}), but no limits were "
            "given for them. Pass limits=DeviceLimits(...), or a recipe with its JointExo."
        )
    if np.any(optimal_torque < limits.max_torque * (1.0 - 1e-9)):
        raise ModelError(
            f"The device's maximum torque is {limits.max_torque:g} Nm, but the model's actuators "
            f"reach {optimal_torque.min():g} Nm. Attach the device with these limits."
        )
    return DeviceLimits.model_validate(limits)
