"""The worn device: added masses, what its unpowered motors do, and one torque actuator per joint.

`JointExo` is the description, `attach` puts it on an OpenSim model. Positive torque has the sign of
the joint's coordinate: hip flexion and ankle dorsiflexion are positive in the gait models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from osim_exo.config import Config
from osim_exo.device import DeviceLimits
from osim_exo.errors import InputError, MissingExtraError, ModelError, check_option
from osim_exo.names import SIDES
from osim_exo.strap import Strap

if TYPE_CHECKING:
    import opensim

Joint = Literal["hip", "knee", "ankle"]

COORDINATES: dict[str, str] = {
    "hip": "hip_flexion_{side}",
    "knee": "knee_angle_{side}",
    "ankle": "ankle_angle_{side}",
}
"""The coordinate that a device on this joint acts on."""

DISTAL_BODIES: dict[str, str] = {
    "hip": "femur_{side}",
    "knee": "tibia_{side}",
    "ankle": "calcn_{side}",
}
"""The body beyond the joint; its cuff carries the reflected inertia."""

SIDE = "{side}"
"""Placeholder in body names for parts that are worn on both sides."""

RATE_SPAN = 50.0
"""Makes a bounded-rate torque of OpenSim's ActivationCoordinateActuator.

Its state obeys a' = (u - a) / T, its torque is F a. Here F is RATE_SPAN times the maximum torque
and T is RATE_SPAN times the time of a full ramp, max_torque / rate_limit. With |a| <= 1 / RATE_SPAN
and |u| <= 1 - 1 / RATE_SPAN the torque keeps its maximum and its rate the limit, exactly; the
control u is the rate over its limit, but for at most 1 / RATE_SPAN. Control and muscle excitations
then have one size, which the solver needs to converge.
"""

SHORTEST_RAMP = 0.005
"""s; drives that ramp faster are solved as if they took this long. A mesh interval is longer."""


class ExoPart(Config):
    """A mass that is welded to a body.

    A part on a body with ``{side}`` in its name, and one that is ``paired``, is worn twice; the
    left one has the mirrored location (z changes sign).
    """

    name: str = Field(min_length=1, pattern=r"^[a-z][a-z0-9_]*$", description="as in exo_<name>_r")
    mass: float = Field(gt=0.0, le=20.0, description="mass of one piece, kg")
    body: str = Field(description="body of the model, with {side} for both sides")
    location: tuple[float, float, float] = Field(
        default=(0.0, 0.0, 0.0), description="centre of mass in the body's frame, right side, m"
    )
    gyration_radius: float = Field(
        default=0.05, ge=0.0, le=0.5, description="radius of gyration about every axis, m"
    )
    paired: bool = Field(default=False, description="two pieces on one middle body, as hip motors")

    @property
    def sides(self) -> tuple[str, ...]:
        """``("r", "l")`` for a part worn on both sides, else one empty string."""
        return SIDES if self.paired or SIDE in self.body else ("",)


DEFAULT_PARTS: dict[str, tuple[ExoPart, ...]] = {
    "hip": (
        ExoPart(
            name="belt", mass=1.4, body="pelvis", location=(-0.07, 0.05, 0), gyration_radius=0.12
        ),
        ExoPart(name="motor", mass=0.6, body="pelvis", location=(-0.07, -0.066, 0.16), paired=True),
        ExoPart(name="cuff", mass=0.3, body="femur_{side}", location=(0, -0.25, 0)),
    ),
    "knee": (
        ExoPart(name="knee_thigh", mass=0.9, body="femur_{side}", location=(0, -0.3, 0.05)),
        ExoPart(name="knee_shank", mass=0.3, body="tibia_{side}", location=(0, -0.15, 0)),
    ),
    "ankle": (
        ExoPart(name="shank", mass=0.8, body="tibia_{side}", location=(0, -0.2, 0)),
        ExoPart(name="foot", mass=0.3, body="calcn_{side}", location=(0.08, 0.0, 0)),
    ),
}
"""Masses by joint. The hip's 3.2 kg (2.6 at the waist, 0.6 on the thighs) follow the untethered hip
device of Luo et al. 2024 (Nature 630:353, supplement: 3.2 kg, waist 2.621, thighs 0.605); the
placement, the knee and the ankle are choices of this project."""


class JointExo(Config):
    """An exoskeleton with one drive per side on each of its joints.

    The reflected inertia is carried by the distal cuff as a disc in the sagittal plane. A geared
    rotor resists the joint's acceleration only; a disc on the thigh resists the thigh's absolute
    one. OpenSim has no inertia on a coordinate, and a rotor coupled by a constraint would load
    every optimal-control solve with kinematic constraints. The two agree where the pelvis does not
    rotate. On a recorded walk (stride accelerations of a planar subject) 0.005 kg m^2 gives, root
    mean square: 0.077 Nm at the hip from the rotor, 0.017 Nm less or more with the disc, and
    0.087 Nm on the pelvis that a rotor would not give, beside 25 Nm of biological hip moment.
    The errors grow in proportion, so that inertias above 0.05 kg m^2 are refused. With a strap in
    `limits` the rotor is no part of the model: it moves behind the strap. The drag stays at the
    joint in both.

    The default inertia and drag stand for a quasi-direct drive with a gear ratio near 9; they are
    choices of this project, not a maker's data.
    """

    joints: tuple[Joint, ...] = Field(default=("hip",), min_length=1)
    parts: tuple[ExoPart, ...] = Field(
        description="masses; the defaults of the joints if not given"
    )
    reflected_inertia: float = Field(
        default=0.005, ge=0.0, le=0.05, description="rotor inertia times gear ratio squared, kg m^2"
    )
    drag: float = Field(
        default=0.05, ge=0.0, le=5.0, description="viscous drag of an unpowered drive, Nm s/rad"
    )
    limits: DeviceLimits = Field(default_factory=DeviceLimits)

    @model_validator(mode="before")
    @classmethod
    def _default_parts(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("parts") is None:
            joints = data.get("joints", ("hip",))
            if isinstance(joints, (tuple, list)):
                parts = tuple(p for joint in joints for p in DEFAULT_PARTS.get(joint, ()))
                return {**data, "parts": parts}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        strap = self.limits.strap
        if strap is not None and strap.inertia != self.reflected_inertia:
            raise ValueError(
                f"reflected_inertia is {self.reflected_inertia:g} and limits.strap.inertia "
                f"{strap.inertia:g} kg m^2; they are the same rotor. Give both the same value"
            )
        for kind, given in (("joints", self.joints), ("parts", [p.name for p in self.parts])):
            twice = sorted({name for name in given if list(given).count(name) > 1})
            if twice:
                raise ValueError(f"{kind} occur more than once: {', '.join(twice)}")
        if self.reflected_inertia > 0.0 and strap is None:
            for joint in self.joints:
                if self._rotor_part(joint) is None:
                    raise ValueError(
                        f"the reflected inertia of the {joint} needs a part on "
                        f"'{DISTAL_BODIES[joint]}' that carries it; add such a part or set "
                        "reflected_inertia to 0"
                    )
        return self

    def strapped(self, strap: Strap) -> Self:
        """The same device with a strap between its drives and the limb, and the strap's rotor."""
        limits = self.limits.changed(strap=strap)
        return self.changed(limits=limits, reflected_inertia=strap.inertia)

    @property
    def mass(self) -> float:
        """Mass of the whole device, kg."""
        return sum(part.mass * len(part.sides) for part in self.parts)

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Coordinates that the drives act on: joint by joint, right then left."""
        return tuple(COORDINATES[joint].format(side=s) for joint in self.joints for s in SIDES)

    @property
    def actuator_names(self) -> tuple[str, ...]:
        """Names of the torque actuators, in the order of `coordinates`."""
        return tuple(f"exo_{joint}_{side}" for joint in self.joints for side in SIDES)

    def attach(
        self, model: opensim.Model, actuator: Literal["torque", "activation"] = "torque"
    ) -> None:
        """Put the device on a model, in place; the actuators come last.

        Parameters
        ----------
        model : opensim.Model
            Its connections are finalised here; call ``initSystem()`` afterwards.
        actuator : ``"torque"`` or ``"activation"``
            ``"torque"`` gives plain coordinate actuators: the control is the delivered torque over
            the maximum torque, and `osim_exo.device.DeviceDynamics` stands before it.
            ``"activation"`` makes the torque a state whose rate the control sets, within the rate
            limit; for optimal control. See `RATE_SPAN`.

        Raises
        ------
        ModelError
            The model lacks a coordinate or body that the device needs, or wears a device already.
        """
        check_option("actuator", actuator, ("torque", "activation"))
        if actuator == "activation" and self.limits.strap is not None:
            raise InputError(
                "An optimal torque is found for a device that is rigid with the limb. Leave out "
                'limits.strap, or attach the device with actuator="torque".'
            )
        try:
            import opensim as osim
        except ImportError as error:
            raise MissingExtraError("opensim", "sim") from error
        self._require(model)
        for part in self.parts:
            for side in part.sides:
                _weld(osim, model, part, side, self._disc(part))
        if self.drag > 0.0:
            for name, coordinate in zip(self.actuator_names, self.coordinates):
                _add_drag(osim, model, name, coordinate, self.drag)
        for name, coordinate in zip(self.actuator_names, self.coordinates):
            _add_actuator(osim, model, name, coordinate, self.limits, actuator)
        model.finalizeConnections()

    def _rotor_part(self, joint: str) -> ExoPart | None:
        return next((p for p in self.parts if p.body == DISTAL_BODIES[joint]), None)

    def _disc(self, part: ExoPart) -> float:
        """Reflected inertia that this part carries, kg m^2; a strap has the rotor behind it."""
        if self.limits.strap is not None:
            return 0.0
        return self.reflected_inertia * sum(self._rotor_part(j) == part for j in self.joints)

    def _require(self, model: opensim.Model) -> None:
        coordinates = [c.getName() for c in _members(model.getCoordinateSet())]
        bodies = [b.getName() for b in _members(model.getBodySet())]
        wanted = [p.body.format(side=s) for p in self.parts for s in p.sides]
        for kind, needed, there in (
            ("coordinates", self.coordinates, coordinates),
            ("bodies", wanted, bodies),
        ):
            missing = sorted(set(needed) - set(there))
            if missing:
                raise ModelError(
                    f"The exoskeleton on the {' and '.join(self.joints)} needs {kind} that the "
                    f"model '{model.getName()}' does not have: {', '.join(missing)}. It has: "
                    f"{', '.join(there) or 'none'}. Choose other joints or parts, or rename them "
                    "in the model."
                )
        worn = sorted(name for name in bodies if name.startswith("exo_"))
        if worn:
            raise ModelError(
                f"The model '{model.getName()}' wears a device already ({', '.join(worn)}). "
                "Attach to a model without one; several joints go into one JointExo."
            )


def HipExo(**fields: Any) -> JointExo:  # noqa: N802 (reads like the class it configures)
    """Make a hip exoskeleton of about 3.2 kg; `fields` change what `JointExo` has."""
    return JointExo(joints=("hip",), **fields)


def AnkleExo(**fields: Any) -> JointExo:  # noqa: N802
    """Make an ankle exoskeleton of about 2.2 kg; `fields` change what `JointExo` has.

    Its default limits suit an ankle: 40 Nm, 600 Nm/s, 250 W.
    """
    limits = DeviceLimits(max_torque=40.0, rate_limit=600.0, power_limit=250.0)
    return JointExo(**{"joints": ("ankle",), "limits": limits, **fields})


def _members(collection: Any) -> list[Any]:
    return [collection.get(i) for i in range(collection.getSize())]


def _weld(osim: Any, model: opensim.Model, part: ExoPart, side: str, disc: float) -> None:
    name = f"exo_{part.name}_{side}" if side else f"exo_{part.name}"
    x, y, z = part.location
    own = part.mass * part.gyration_radius**2
    # A flat disc in the x-y plane: half the inertia about each diameter.
    inertia = osim.Inertia(own + disc / 2, own + disc / 2, own + disc)
    body = osim.Body(name, part.mass, osim.Vec3(0.0), inertia)
    parent = model.getBodySet().get(part.body.format(side=side))
    place = osim.Vec3(x, y, -z if side == "l" else z)
    zero = osim.Vec3(0.0)
    model.addBody(body)
    model.addJoint(osim.WeldJoint(f"{name}_weld", parent, place, zero, body, zero, zero))


def _add_drag(
    osim: Any, model: opensim.Model, name: str, coordinate: str, viscosity: float
) -> None:
    force = osim.SpringGeneralizedForce(coordinate)
    force.setName(name.replace("exo_", "exo_drag_", 1))
    force.setStiffness(0.0)
    force.setRestLength(0.0)
    force.setViscosity(viscosity)
    model.addForce(force)


def _add_actuator(
    osim: Any, model: opensim.Model, name: str, coordinate: str, limits: DeviceLimits, kind: str
) -> None:
    if kind == "activation":
        force = osim.ActivationCoordinateActuator()
        ramp = max(limits.max_torque / limits.rate_limit, SHORTEST_RAMP)
        force.set_activation_time_constant(RATE_SPAN * ramp)
        force.set_default_activation(0.0)
        optimal, bound = RATE_SPAN * limits.max_torque, 1.0 - 1.0 / RATE_SPAN
    else:
        force = osim.CoordinateActuator()
        optimal, bound = limits.max_torque, 1.0
    force.setName(name)
    force.set_coordinate(coordinate)
    force.setOptimalForce(optimal)
    force.setMinControl(-bound)
    force.setMaxControl(bound)
    model.addForce(force)
