"""The motion that is weakly tracked: human joint angles at the asked speed (Schwartz 2008)."""

from __future__ import annotations

import numpy as np

from osim_exo import names
from osim_exo.analysis import clinical, normative
from osim_exo.trial import Array
from osim_exo.units import DEG

HARMONICS = 12
"""Fourier terms kept; joint angles of walking hold more than 99 % of their power in them
(Winter 2009)."""

PHASE = np.linspace(0.0, 1.0, 101)
"""Share of the stride from right heel strike at which the reference is tabulated."""


def human_reference(speed: float, height: float) -> dict[str, Array]:
    """Coordinates of one human stride from right heel strike to the next.

    Parameters
    ----------
    speed : m/s
    height : body height, m

    Returns
    -------
    dict
        Coordinate name to (101,) array, rad, in the model's signs, periodic. The trunk is kept
        upright, so lumbar extension undoes pelvis tilt.
    """
    leg = normative.LEG_LENGTH_PER_HEIGHT * height
    offset = clinical.PELVIS_TILT_OFFSET_DEG

    def curve(quantity: str) -> Array:
        return smooth_periodic(normative.band(quantity, speed, leg)[0])

    right = {
        "hip_flexion": curve("hip_flexion") - offset,
        "knee_angle": -curve("knee_flexion"),
        "ankle_angle": curve("ankle_dorsiflexion"),
    }
    tilt = -(curve("pelvis_anterior_tilt") - offset)
    # Both halves of the stride look alike in the sagittal plane of a symmetric walker.
    tilt = 0.5 * (tilt + half_a_stride_later(tilt))
    found = {"pelvis_tilt": tilt, "lumbar_extension": -tilt}
    for name, values in right.items():
        found[f"{name}_r"] = values
        found[f"{name}_l"] = half_a_stride_later(values)
    return {name: values * DEG for name, values in found.items()}


def smooth_periodic(curve: Array, harmonics: int = HARMONICS) -> Array:
    """Close a (101,) curve's gap between 100 and 0 %, and keep its first Fourier terms."""
    gap = curve[-1] - curve[0]
    closed = curve - gap * (PHASE - 0.5)
    spectrum = np.fft.rfft(closed[:-1])
    spectrum[harmonics + 1 :] = 0.0
    smooth = np.fft.irfft(spectrum, closed.size - 1)
    return np.append(smooth, smooth[0])


def half_a_stride_later(curve: Array) -> Array:
    """The (101,) curve of the other leg."""
    return np.interp((PHASE + 0.5) % 1.0, PHASE, curve)


def at_phase(curve: Array, phase: Array) -> Array:
    """Values of a periodic (101,) curve at any phase."""
    return np.interp(phase % 1.0, PHASE, curve)


def slope_at_phase(curve: Array, phase: Array) -> Array:
    """Derivative of a periodic (101,) curve by phase."""
    rate = np.gradient(np.concatenate([curve[-3:-1], curve, curve[1:3]]), PHASE[1])[2:-2]
    return at_phase(rate, phase)


def mirrored(series: dict[str, Array]) -> dict[str, Array]:
    """The same series with right and left exchanged."""
    return {names.mirror(name): values for name, values in series.items()}
