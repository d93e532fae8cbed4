"""What lies between an exoskeleton's drive and the limb: straps, cuffs and the flesh below them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from osim_exo.config import Config

Array = npt.NDArray[np.float64]


class Strap(Config):
    """A spring and a damper between the drive's output and the limb; the rotor moves behind them.

    Torque on the limb: stiffness (a - q) + damping (a' - q'), with the angle a of the drive's
    output and the angle q of the joint; the rotor obeys inertia a'' = drive's torque - that torque.
    The structure, rotor, gear, spring and damper of the wearable part, limb, is that of Huang et
    al. 2022 (IEEE Trans. Robotics 38:1442) and Yu et al. 2020 (IEEE/ASME Trans. Mechatronics
    25:1794).

    The defaults are the soft end of what Luo et al. 2024 (Nature 630:353, supplement) give the
    straps of their simulated hip device, 1500 to 8000 N/m and 1 to 10 N s/m, on the 0.3 m between
    hip and thigh cuff: 1500 N/m (0.3 m)^2 and 10 N s/m (0.3 m)^2. The stiff end is 720 Nm/rad. A
    strap is softer where the load is small and differs between people (Yandell et al. 2017,
    J. NeuroEng. Rehabil. 14:40, measured that an ankle exosuit's interface took up 55 % of the
    power while it was loaded, and that 75 % of the work arrived); a constant is an average.
    """

    stiffness: float = Field(default=135.0, ge=10.0, le=5e3, description="Nm/rad")
    damping: float = Field(default=0.9, ge=0.0, le=50.0, description="Nm s/rad")
    inertia: float = Field(
        default=0.005, ge=1e-4, le=0.5, description="rotor inertia times gear ratio squared, kg m^2"
    )


def free_motion(
    stiffness: npt.ArrayLike, damping: npt.ArrayLike, inertia: npt.ArrayLike, dt: float
) -> Array:
    """How a rotor on its strap moves in a step when nothing drives it and the limb keeps its speed.

    Parameters
    ----------
    stiffness, damping, inertia : Nm/rad, Nm s/rad, kg m^2; they broadcast
    dt : step, s

    Returns
    -------
    (4, ...) array
        Shares of stretch (rad) and its rate (rad/s) in the stretch after the step, then in its
        rate: the matrix exponential, exact for any step and damping.
    """
    k, c, j = (np.asarray(x, dtype=float) for x in (stiffness, damping, inertia))
    decay = 0.5 * c / j
    root = np.sqrt((decay**2 - k / j).astype(complex))
    # Where both rates are the same, sinh(root dt) / root is dt.
    root = np.where(np.abs(root) * dt < 1e-6, 1e-6 / dt, root)
    fast, slow = np.exp((-decay - root) * dt), np.exp((-decay + root) * dt)
    even, odd = (0.5 * (slow + fast)).real, (0.5 * (slow - fast) / root).real
    return np.stack([even + decay * odd, odd, -k / j * odd, even - decay * odd])
