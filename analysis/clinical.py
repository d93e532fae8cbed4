"""The one place where model coordinates become clinical angles, moments and powers.

Clinical signs: hip flexion, knee flexion, ankle dorsiflexion and anterior pelvic tilt positive;
internal moments positive for hip extension, knee extension and ankle plantarflexion.
"""

from __future__ import annotations

import numpy as np

from osim_exo.analysis.cycles import mean_cycle
from osim_exo.analysis.events import GaitEvents, knee_flexion_sign
from osim_exo.errors import DataError
from osim_exo.names import SIDES
from osim_exo.trial import Array, Channels, Trial
from osim_exo.units import DEG, GRAVITY

PELVIS_TILT_OFFSET_DEG = 11.5
"""Clinical anterior tilt of a pelvis whose model tilt is zero, degrees.

The model's pelvis stands upright at zero; clinically the line through the anterior and posterior
iliac spines then tilts forward. 11.5 degrees is the mean anterior tilt of human walking at free
speed (Schwartz et al. 2008). The thigh's angle to the vertical does not depend on the choice, so
the same offset is added to hip flexion."""


def clinical_angles(trial: Trial, pelvis_offset_deg: float = PELVIS_TILT_OFFSET_DEG) -> Channels:
    """Joint angles in degrees and clinical signs, over the trial's time.

    Channels ``hip_flexion_r``, ``knee_flexion_r``, ``ankle_dorsiflexion_r``, the same for ``_l``,
    and ``pelvis_anterior_tilt``; those whose coordinate the trial lacks are left out.
    """
    knee = knee_flexion_sign(trial)
    columns: dict[str, Array] = {}
    for s in SIDES:
        for name, coordinate, sign, offset in (
            (f"hip_flexion_{s}", f"hip_flexion_{s}", 1.0, pelvis_offset_deg),
            (f"knee_flexion_{s}", f"knee_angle_{s}", knee, 0.0),
            (f"ankle_dorsiflexion_{s}", f"ankle_angle_{s}", 1.0, 0.0),
        ):
            if coordinate in trial.coordinates:
                columns[name] = sign * trial.coordinates[coordinate] / DEG + offset
    if "pelvis_tilt" in trial.coordinates:
        columns["pelvis_anterior_tilt"] = pelvis_offset_deg - trial.coordinates["pelvis_tilt"] / DEG
    return _channels(trial, columns)


def clinical_moments(trial: Trial) -> Channels:
    """Biological joint moments in Nm per kilogram of body mass and clinical signs.

    Channels ``hip_extension_moment_r``, ``knee_extension_moment_r``,
    ``ankle_plantarflexion_moment_r`` and the same for ``_l``.
    """
    knee = -knee_flexion_sign(trial)
    columns: dict[str, Array] = {}
    for s in SIDES:
        for name, coordinate, sign in (
            (f"hip_extension_moment_{s}", f"hip_flexion_{s}", -1.0),
            (f"knee_extension_moment_{s}", f"knee_angle_{s}", knee),
            (f"ankle_plantarflexion_moment_{s}", f"ankle_angle_{s}", -1.0),
        ):
            if coordinate in trial.moments:
                columns[name] = sign * trial.moments[coordinate] / body_mass(trial)
    return _channels(trial, columns)


def clinical_powers(trial: Trial) -> Channels:
    """Biological joint powers in W per kilogram of body mass, generation positive.

    Channels ``hip_power_r``, ``knee_power_r``, ``ankle_power_r`` and the same for ``_l``.
    """
    columns: dict[str, Array] = {}
    for s in SIDES:
        for joint, coordinate in (
            ("hip", f"hip_flexion_{s}"),
            ("knee", f"knee_angle_{s}"),
            ("ankle", f"ankle_angle_{s}"),
        ):
            if coordinate in trial.moments and coordinate in trial.speeds:
                power = trial.moments[coordinate] * trial.speeds[coordinate]
                columns[f"{joint}_power_{s}"] = power / body_mass(trial)
    return _channels(trial, columns)


def clinical_forces(trial: Trial) -> Channels:
    """Ground reaction forces in body weights: ``grf_vertical_r``, ``grf_anterior_r``, ``_l``.

    Body weight is that of the body alone, so that a device's weight shows.
    """
    columns: dict[str, Array] = {}
    for s in SIDES:
        for name, axis in ((f"grf_vertical_{s}", "y"), (f"grf_anterior_{s}", "x")):
            channel = f"ground_force_{s}_v{axis}"
            if channel in trial.grf:
                columns[name] = trial.grf[channel] / (body_mass(trial) * GRAVITY)
    return _channels(trial, columns)


def clinical_cycles(trial: Trial, events: GaitEvents | None = None) -> Channels:
    """Mean gait cycles of everything clinical that the trial has, 101 samples.

    Each side starts at its own heel strike; names are those of `osim_exo.analysis.normative`'s
    quantities with the side appended.
    """
    known = [clinical_angles(trial)]
    if np.isfinite(trial.info.body_mass):
        known += [clinical_moments(trial), clinical_powers(trial), clinical_forces(trial)]
    names = tuple(n for c in known for n in c.names)
    return mean_cycle(trial, Channels(names, np.hstack([c.values for c in known])), "own", events)


def body_mass(trial: Trial) -> float:
    """Body mass without device, kg, or a `DataError` where the trial does not know it."""
    mass = trial.info.body_mass
    if not (np.isfinite(mass) and mass > 0):
        raise DataError(
            f"Trial '{trial.info.name}' has body_mass {mass}; a positive number of kilograms is "
            "needed to normalise. Set info.body_mass."
        )
    return mass


def _channels(trial: Trial, columns: dict[str, Array]) -> Channels:
    if not columns:
        return Channels.empty(trial.time.size)
    return Channels(tuple(columns), np.column_stack(list(columns.values())))
