"""The model as data: everything of an OpenSim model that its equations of motion need, as JSON.

`osim_exo.compiler.reading.model` writes it in a process with OpenSim; everything after runs without
OpenSim. Names are those of OpenSim's components, units SI and radians, frames x, y, z.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from osim_exo.compiler.spec_functions import (
    Constant as Constant,
)
from osim_exo.compiler.spec_functions import (
    Function as Function,
)
from osim_exo.compiler.spec_functions import (
    Linear as Linear,
)
from osim_exo.compiler.spec_functions import (
    Multiplier as Multiplier,
)
from osim_exo.compiler.spec_functions import (
    MultivariatePolynomial as MultivariatePolynomial,
)
from osim_exo.compiler.spec_functions import (
    PiecewiseCubic as PiecewiseCubic,
)
from osim_exo.compiler.spec_functions import (
    PiecewiseLinear as PiecewiseLinear,
)
from osim_exo.compiler.spec_functions import (
    Polynomial as Polynomial,
)
from osim_exo.config import Config
from osim_exo.errors import DataError
from osim_exo.files import write_text

SPEC_VERSION = 1
"""Raised when a field changes its meaning; a spec of a newer version is refused."""

GROUND = "/ground"

Vec3 = tuple[float, float, float]
Mat3 = tuple[Vec3, Vec3, Vec3]


class Frame(Config):
    """A frame fixed to a body or the ground.

    `rotation` takes vectors of this frame into the base's; `translation` is its origin there.
    """

    base: str = Field(description="path of the body, or /ground")
    rotation: Mat3 = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    translation: Vec3 = (0.0, 0.0, 0.0)


class Body(Config):
    """A rigid body."""

    name: str
    path: str
    mass: float = Field(ge=0.0, description="kg")
    mass_centre: Vec3 = Field(description="in the body's frame, m")
    inertia: Mat3 = Field(description="about the mass centre, body's axes, kg m^2")


class Coordinate(Config):
    """A generalised coordinate.

    Its speed is its rate, except for the three rotations of a ball or free joint: their values are
    body-fixed x, y, z angles, their speeds the angular velocity of the child frame in the parent
    frame, in the parent frame's axes.
    """

    name: str
    path: str
    motion: Literal["rotational", "translational", "coupled"] = "rotational"
    range: tuple[float, float] = Field(description="rad or m")
    default: float = 0.0
    default_speed: float = 0.0
    locked: bool = Field(default=False, description="held at its default value")


class TransformAxis(Config):
    """One axis of a CustomJoint: a function of some coordinates, by name; None: constant zero."""

    axis: Vec3
    coordinates: tuple[str, ...] = ()
    function: Function | None = None


JointKind = Literal["weld", "pin", "slider", "universal", "planar", "ball", "free", "custom"]


class Joint(Config):
    """A joint between a frame on the parent and a frame on the child body."""

    name: str
    kind: JointKind
    parent: Frame
    child: Frame
    coordinates: tuple[Coordinate, ...] = ()
    axes: tuple[TransformAxis, ...] = Field(
        default=(), description="of a custom joint: three rotations, then three translations"
    )


class Coupler(Config):
    """A coordinate that is a function of another one (CoordinateCouplerConstraint)."""

    name: str
    dependent: str = Field(description="coordinate's name")
    independent: tuple[str, ...] = Field(min_length=1)
    function: Function


class PathPoint(Config):
    """A point of a muscle's path.

    A fixed point has a `location` only. A conditional one counts while its coordinate is in
    `active_range`. A moving one has three functions, of `coordinate` each, instead of a location;
    OpenSim clamps the location to the coordinate's range, and not its derivative.
    """

    frame: Frame
    location: Vec3 | None = None
    coordinate: str | None = None
    active_range: tuple[float, float] | None = None
    functions: tuple[Function, Function, Function] | None = None


class PointsPath(Config):
    """A muscle that runs straight from point to point."""

    kind: Literal["points"] = "points"
    points: tuple[PathPoint, ...] = Field(min_length=2)


class FunctionPath(Config):
    """A muscle whose length is a function of coordinates (FunctionBasedPath)."""

    kind: Literal["function"] = "function"
    coordinates: tuple[str, ...] = Field(min_length=1)
    length: Function
    valid: tuple[tuple[float, float], ...] = Field(
        default=(), description="range of each coordinate on which the function was fitted"
    )


class Muscle(Config):
    """A DeGrooteFregly2016Muscle; the fields are its properties."""

    name: str
    path_name: str = Field(description="component path in the model")
    path: PointsPath | FunctionPath = Field(discriminator="kind")
    max_isometric_force: float = Field(gt=0.0, description="N")
    optimal_fibre_length: float = Field(gt=0.0, description="m")
    tendon_slack_length: float = Field(ge=0.0, description="m")
    pennation_at_optimal: float = Field(ge=0.0, lt=1.5708, description="rad")
    max_contraction_velocity: float = Field(gt=0.0, description="optimal fibre lengths per s")
    rigid_tendon: bool
    ignore_activation_dynamics: bool = False
    activation_time: float = Field(gt=0.0, description="s")
    deactivation_time: float = Field(gt=0.0, description="s")
    activation_smoothing: float = Field(default=0.1, gt=0.0)
    active_force_width: float = Field(ge=1.0)
    fibre_damping: float = Field(ge=0.0)
    passive_strain: float = Field(gt=0.0, description="fibre strain at one norm force")
    tendon_strain: float = Field(gt=0.0, description="tendon strain at one norm force")
    ignore_passive_force: bool = False
    min_control: float = 0.01
    max_control: float = 1.0
    default_activation: float = 0.5
    slow_fraction: float = Field(default=0.5, ge=0.0, le=1.0)
    specific_tension: float = Field(default=0.25e6, gt=0.0, description="Pa")


class Contact(Config):
    """A SmoothSphereHalfSpaceForce between a sphere on a body and the ground's half space."""

    name: str
    path: str
    sphere: Frame = Field(description="origin: the sphere's centre")
    radius: float = Field(gt=0.0)
    half_space: Frame = Field(description="x axis points into the ground")
    stiffness: float = Field(gt=0.0, description="Pa")
    dissipation: float = Field(ge=0.0, description="s/m")
    static_friction: float = Field(ge=0.0)
    dynamic_friction: float = Field(ge=0.0)
    viscous_friction: float = Field(ge=0.0, description="s/m")
    transition_velocity: float = Field(gt=0.0, description="m/s")
    constant_contact_force: float = Field(gt=0.0)
    hertz_smoothing: float = Field(gt=0.0)
    hunt_crossley_smoothing: float = Field(gt=0.0)


class LimitForce(Config):
    """A CoordinateLimitForce; in radians (OpenSim's file holds degrees) or metres."""

    kind: Literal["limit"] = "limit"
    name: str
    coordinate: str
    upper_limit: float
    upper_stiffness: float
    lower_limit: float
    lower_stiffness: float
    damping: float
    transition: float


class SpringForce(Config):
    """A SpringGeneralizedForce: -stiffness (q - rest) - viscosity u."""

    kind: Literal["spring"] = "spring"
    name: str
    coordinate: str
    stiffness: float
    rest: float
    viscosity: float


class ExpressionForce(Config):
    """An ExpressionBasedCoordinateForce: a formula of q and qdot."""

    kind: Literal["expression"] = "expression"
    name: str
    coordinate: str
    expression: str


class Bushing(Config):
    """A linear BushingForce between two frames; six stiffnesses and dampings."""

    kind: Literal["bushing"] = "bushing"
    name: str
    frame1: Frame
    frame2: Frame
    rotational_stiffness: Vec3
    translational_stiffness: Vec3
    rotational_damping: Vec3
    translational_damping: Vec3


PassiveForce = Annotated[
    LimitForce | SpringForce | ExpressionForce | Bushing, Field(discriminator="kind")
]


class CoordinateActuator(Config):
    """Control times optimal force on a coordinate; with a time constant, through a lag.

    With `activation_time` it is an ActivationCoordinateActuator.
    """

    kind: Literal["coordinate"] = "coordinate"
    name: str
    path: str
    coordinate: str
    optimal_force: float
    min_control: float | None = Field(default=None, description="None: no limit")
    max_control: float | None = Field(default=None, description="None: no limit")
    activation_time: float | None = Field(default=None, gt=0.0, description="s")


class TorqueActuator(Config):
    """Control times optimal force about an axis, on body 1, and the opposite on body 2."""

    kind: Literal["torque"] = "torque"
    name: str
    path: str
    body1: str
    body2: str
    axis: Vec3
    axis_in_ground: bool
    optimal_force: float
    min_control: float | None = Field(default=None, description="None: no limit")
    max_control: float | None = Field(default=None, description="None: no limit")


Actuator = Annotated[CoordinateActuator | TorqueActuator, Field(discriminator="kind")]


class Source(Config):
    """Where a spec comes from."""

    model_hash: str = Field(description="SHA-256 of the model as OpenSim prints it")
    opensim_version: str
    file: str = Field(default="", description="name of the file or shipped model")


class ModelSpec(Config):
    """A model, ready to compile.

    The order of bodies, joints, coordinates, muscles and actuators is the model's own: arrays of
    coordinates follow `coordinates`, of excitations `muscles`, of other controls `actuators`.
    """

    version: int = SPEC_VERSION
    name: str
    source: Source
    gravity: Vec3
    bodies: tuple[Body, ...]
    joints: tuple[Joint, ...]
    couplers: tuple[Coupler, ...] = ()
    muscles: tuple[Muscle, ...] = ()
    contacts: tuple[Contact, ...] = ()
    forces: tuple[PassiveForce, ...] = ()
    actuators: tuple[Actuator, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _known_version(cls, data: object) -> object:
        version = data.get("version", SPEC_VERSION) if isinstance(data, dict) else SPEC_VERSION
        if isinstance(version, int) and version > SPEC_VERSION:
            raise ValueError(
                f"this spec has version {version}, and this osim_exo reads up to {SPEC_VERSION}; "
                "update osim_exo, or make the spec again from the model"
            )
        return data

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """All coordinates, joint by joint: the order of OpenSim's CoordinateSet."""
        return tuple(c for joint in self.joints for c in joint.coordinates)

    @property
    def digest(self) -> str:
        """SHA-256 of the spec, first 32 digits."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:32]

    def save(self, path: Path) -> None:
        """Write the spec as JSON, whole or not at all."""
        write_text(path, self.model_dump_json(indent=1))

    @classmethod
    def load(cls, path: Path) -> ModelSpec:
        """Read a spec; a `DataError` names the file and what is wrong."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise DataError(f"The model spec {path} cannot be read: {error.strerror}.") from error
        try:
            return cls.model_validate_json(text)
        except ValueError as error:
            raise DataError(f"{path} is no usable model spec. {error}") from error
