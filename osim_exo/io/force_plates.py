"""Force plates: from the channels of a C3D file to ground reaction force and centre of pressure.

Plate types and their channels follow the C3D format's user guide (FORCE_PLATFORM group): type 1
gives forces, centre of pressure and free moment, types 2 and 4 forces and moments, type 3 the eight
forces of four piezo-electric sensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from osim_exo.errors import DataError
from osim_exo.trial import Array

CONTACT_FORCE = 20.0
"""Vertical force above which a centre of pressure is computed, N."""

CHANNELS = {1: 6, 2: 6, 3: 8, 4: 6}
"""Number of analog channels of each plate type that can be read."""


@dataclass(frozen=True)
class ForcePlate:
    """What one force plate measured, on the body, in the axes of its recording.

    Attributes
    ----------
    force : (n_sample, 3) array, N, ground reaction force on the body
    centre_of_pressure : (n_sample, 3) array, m; the plate's centre without contact
    free_moment : (n_sample, 3) array, Nm, about the plate's normal at the centre of pressure
    corners : (4, 3) array, m
    """

    force: Array
    centre_of_pressure: Array
    free_moment: Array
    corners: Array


def plate_loads(
    channels: Array,
    plate_type: int,
    corners: Array,
    origin: Array,
    calibration: Array | None,
    up: Array,
    where: str,
) -> ForcePlate:
    """Ground reaction force, centre of pressure and free moment of one plate.

    Parameters
    ----------
    channels : (n_sample, 6 or 8) array, N and Nm
    plate_type : 1, 2, 3 or 4
    corners : (4, 3) array, m, in the laboratory's axes, in the order of the format
    origin : (3,) array, m; types 2 and 4: from the sensor's origin up to the plate's top centre, in
        the plate's axes (a vector that points down is taken as reversed); type 3: distances a and
        b of the sensors from the axes and az0 from their plane to the top
    calibration : (6, 6) matrix of a type 4 plate
    up : (3,) unit vector of the laboratory
    where : names file and plate in messages

    Returns
    -------
    ForcePlate
        In the laboratory's axes.

    Raises
    ------
    DataError
        The plate type or the number of channels is not one that can be read.
    """
    if CHANNELS.get(plate_type) != channels.shape[1]:
        raise DataError(
            f"{where}: force plate type {plate_type} with {channels.shape[1]} channels; allowed "
            "are types 1, 2 and 4 with 6 and type 3 with 8 channels."
        )
    axes, centre = _plate_axes(corners, where)
    upward = float(np.sign(axes[:, 2] @ up)) or -1.0
    origin = origin * (upward * (np.sign(origin[2]) or upward) if plate_type != 3 else 1.0)
    if plate_type == 1:
        force, point, free = _type_1(channels)
    else:
        force, moment = _force_and_moment(channels, plate_type, origin, calibration, upward)
        point, free = _pressure_point(force, moment, origin if plate_type != 3 else None)
    contact = (np.abs(force[:, 2]) > CONTACT_FORCE)[:, None]
    free = np.where(contact, np.column_stack([0 * free, 0 * free, free]), 0.0)
    # Some software stores the load on the plate, some the reaction. Nobody pulls a plate up: where
    # forces go down on balance they are loads and change sign.
    sign = -1.0 if upward * np.sum(np.where(contact[:, 0], force[:, 2], 0.0)) < 0 else 1.0
    return ForcePlate(
        sign * force @ axes.T,
        centre + np.where(contact, point, 0.0) @ axes.T,
        sign * free @ axes.T,
        corners,
    )


def side_loads(plates: Mapping[str, ForcePlate]) -> dict[str, Array]:
    """Channels ``ground_force_r_vx`` ... by side from one plate a side, in the plates' axes."""
    out: dict[str, Array] = {}
    for side, plate in plates.items():
        for i, axis in enumerate("xyz"):
            out[f"ground_force_{side}_v{axis}"] = plate.force[:, i]
        for i, axis in enumerate("xyz"):
            out[f"ground_force_{side}_p{axis}"] = plate.centre_of_pressure[:, i]
        for i, axis in enumerate("xyz"):
            out[f"ground_torque_{side}_{axis}"] = plate.free_moment[:, i]
    return out


def _plate_axes(corners: Array, where: str) -> tuple[Array, Array]:
    """Columns x, y, z of the plate in the laboratory, and the centre of its top."""
    centre = corners.mean(axis=0)
    x = (corners[0] + corners[3] - corners[1] - corners[2]) / 2
    y = (corners[0] + corners[1] - corners[2] - corners[3]) / 2
    z = np.cross(x, y)
    if np.linalg.norm(z) < 1e-9:
        raise DataError(f"{where}: the plate's corners do not span an area. Correct CORNERS.")
    x, z = x / np.linalg.norm(x), z / np.linalg.norm(z)
    return np.column_stack([x, np.cross(z, x), z]), centre


def _type_1(channels: Array) -> tuple[Array, Array, Array]:
    point = np.column_stack([channels[:, 3], channels[:, 4], 0 * channels[:, 3]])
    return channels[:, :3], point, channels[:, 5]


def _force_and_moment(
    channels: Array, plate_type: int, origin: Array, calibration: Array | None, upward: float
) -> tuple[Array, Array]:
    if plate_type == 4 and calibration is not None:
        channels = channels @ calibration.T
    if plate_type != 3:
        return channels[:, :3], channels[:, 3:]
    x12, x34, y14, y23, z1, z2, z3, z4 = channels.T
    a, b, height = abs(origin[0]), abs(origin[1]), upward * abs(origin[2])
    force = np.column_stack([x12 + x34, y14 + y23, z1 + z2 + z3 + z4])
    mx = b * (z1 + z2 - z3 - z4) + height * force[:, 1]
    my = a * (z2 + z3 - z1 - z4) - height * force[:, 0]
    mz = b * (x34 - x12) + a * (y14 - y23)
    return force, np.column_stack([mx, my, mz])


def _pressure_point(force: Array, moment: Array, origin: Array | None) -> tuple[Array, Array]:
    """Point on the plate's top where the load acts, from its centre, and the moment about z there.

    `origin` leads from the sensor's origin to the top's centre; without it the moments are already
    about the centre.
    """
    if origin is not None:
        moment = moment + np.cross(force, origin)
    load = np.where(np.abs(force[:, 2]) > CONTACT_FORCE, force[:, 2], np.inf)
    x, y = -moment[:, 1] / load, moment[:, 0] / load
    free = moment[:, 2] - x * force[:, 1] + y * force[:, 0]
    return np.column_stack([x, y, 0 * x]), free
