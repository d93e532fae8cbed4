"""How a model becomes equations, and what is known of a worn device's names and sensors."""

from __future__ import annotations

from pydantic import Field

from osim_exo.compiler.spec import Frame
from osim_exo.config import Config

EXO_PREFIX = "exo_"
"""Forces whose names begin so belong to the worn device."""


class Imu(Config):
    """An inertial measurement unit on a body; x, y, z of its frame are its axes."""

    name: str
    frame: Frame


class Options(Config):
    """How a model becomes equations."""

    simbody_bias: bool = Field(
        default=True,
        description="acceleration bias of custom joints as Simbody has it, which is not exact "
        "where several rotations depend on one coordinate; False: exact",
    )
    shared_activation: bool = Field(
        default=True,
        description="all muscles have the first one's activation time constants, as in OpenSim "
        "4.6; False: each its own",
    )
    clamp_paths: bool = Field(
        default=True, description="fitted paths saturate outside the range they were fitted on"
    )
    exo: tuple[str, ...] = Field(default=(), description="actuators that a worn device drives")
    strap: bool = Field(default=False, description="a strap lies between the device and the limb")
    imus: tuple[Imu, ...] = ()
