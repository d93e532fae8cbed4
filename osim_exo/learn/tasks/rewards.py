"""What a control step is worth: named terms, weighted, whose sum is the reward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.learn.tasks.config import ImitateReward, WalkReward
from osim_exo.learn.tasks.senses import Reading
from osim_exo.learn.tasks.strides import FORWARD, Posture
from osim_exo.names import SIDES
from osim_exo.observations import TRANSLATIONS
from osim_exo.physics.base import PhysicsNames
from osim_exo.units import GRAVITY

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Terms = dict[str, Array]

LIMIT_MOMENT = 10.0
"""Nm; passive joint moments are counted in multiples of it."""

MOST_LIMIT = 5.0
"""Beyond it more passive moment costs no more."""

KNEE = "knee_angle"
"""Coordinates whose names begin so are knees."""

ANKLES = tuple(f"ankle_angle_{side}" for side in SIDES)
"""Coordinates of the ankles in the order of the feet; dorsiflexion is positive."""

UNLOADED = 0.01
"""Body weights; a foot that bears less swings."""

MOST_SLIP = 5.0
"""m^2/s^2; a foot that slides faster costs no more."""

BEARING = 20.0
"""N; a sphere of the foot that bears more is on the ground, as in `analysis.events`."""


def squared_slip(force: Array, sliding: Array) -> Array:
    """Squared sliding speed, summed over the spheres that bear load, (n_env,) array, m^2/s^2.

    Parameters
    ----------
    force, sliding : (n_env, 3 n_contact) arrays; of each sphere in turn x, y, z, N and m/s
    """
    bears = force[:, 1::3] > BEARING
    return np.asarray(np.sum(bears * sliding[:, ::3] ** 2, axis=1))


@dataclass(frozen=True)
class Outcome:
    """What a step gave, as far as rewards need it.

    Attributes
    ----------
    reading : after the step
    mass_centre_speed : (n_env, 3) array, m/s
    passive_moment : (n_env, n_coordinate) array, Nm
    commanded, mean_speed : (n_env,) arrays, m/s
    excitation_change : (n_env, n_muscle) array, since the step before
    torque_change : (n_env, n_exo) array, of the delivered torque since the step before, Nm
    fallen : (n_env,) array of bool
    target : states of the reference now; None without one
    load_change : (n_env, 2) array, of each foot's upward force since the step before, body weights
    metabolic_rate : (n_env,) array, W; None where it is not asked for
    trunk_torque : (n_env,) array, share of its largest; None without a trunk's actuator
    slip : (n_env,) array of `squared_slip`, m^2/s^2; None where it is not asked for
    """

    reading: Reading
    mass_centre_speed: Array
    passive_moment: Array
    commanded: Array
    mean_speed: Array
    excitation_change: Array
    torque_change: Array
    fallen: Mask
    target: Posture | None = None
    load_change: Array | None = None
    metabolic_rate: Array | None = None
    trunk_torque: Array | None = None
    slip: Array | None = None


class WalkTerms:
    """Reward of walking without a reference.

    Parameters
    ----------
    settings : WalkReward
    names : of the physics
    max_torque : of the device, Nm
    body_mass : kg
    """

    def __init__(
        self, settings: WalkReward, names: PhysicsNames, max_torque: float, body_mass: float
    ) -> None:
        self._settings, self._mass, self._max_torque = settings, body_mass, max_torque
        self._tilt = names.coordinates.index("pelvis_tilt")
        lumbar = [i for i, n in enumerate(names.coordinates) if n == "lumbar_extension"]
        self._trunk = [self._tilt, *lumbar]
        self._knees = [i for i, n in enumerate(names.coordinates) if n.startswith(KNEE)]
        self._ankles = [names.coordinates.index(n) for n in ANKLES if n in names.coordinates]
        self._joints = [names.coordinates.index(n) for n in names.exo_coordinates]

    def lean(self, reading: Reading) -> Array:
        """Lean of the trunk to gravity, less the wanted one, (n_env,) array, rad."""
        angle = reading.coordinates[:, self._trunk].sum(axis=1) + reading.slope
        return np.asarray(angle - self._settings.trunk_lean)

    def __call__(self, outcome: Outcome, effort: float) -> tuple[Terms, Terms]:
        """Weighted terms, whose sum is the reward, and other facts.

        Parameters
        ----------
        outcome : of the step
        effort : weight of effort now
        """
        w, reading = self._settings, outcome.reading
        mean_error = (outcome.mean_speed - outcome.commanded) / w.mean_speed_width
        error = (outcome.mass_centre_speed[:, 0] - outcome.commanded) / w.speed_width
        score = w.mean_speed_share * np.exp(-(mean_error**2))
        score += (1.0 - w.mean_speed_share) * np.exp(-(error**2))
        rate = reading.speeds[:, self._trunk].sum(axis=1)
        upright = np.exp(
            -w.upright_angle * self.lean(reading) ** 2
            - w.upright_rate * rate**2
            - w.upright_bounce * outcome.mass_centre_speed[:, 1] ** 2
        )
        squared = np.mean(reading.activations**2, axis=1)
        limits = np.abs(outcome.passive_moment).sum(axis=1) / LIMIT_MOMENT
        load = reading.ground[:, 1::2]
        terms = {
            "speed": w.speed * score * upright,
            "alive": w.alive * ~outcome.fallen,
            "effort": effort * self._effort(reading.activations, squared) * self._share(outcome),
            "smoothness": w.smoothness * np.mean(outcome.excitation_change**2, axis=1),
            "joint_limits": w.joint_limits * np.minimum(limits, MOST_LIMIT),
            "impact": w.impact * np.maximum(load - w.impact_threshold, 0.0).sum(axis=1),
            "fall": w.fall * outcome.fallen,
        }
        terms |= self._optional(outcome)
        if self._joints:
            terms |= exo_terms(w, outcome, self._max_torque)
            power = np.maximum(reading.exo_torque * reading.speeds[:, self._joints], 0.0)
            terms["exo_power"] = w.exo_power * power.sum(axis=1) / self._mass
        facts = {
            "upright": upright,
            "speed_error": np.abs(outcome.mean_speed - outcome.commanded),
            "squared_activation": squared,
            "mean_activation": np.mean(reading.activations, axis=1),
        }
        return terms, facts

    def _effort(self, activations: Array, squared: Array) -> Array:
        """Mean of the activations to the effort's power, (n_env,) array."""
        if self._settings.effort_power == 2.0:
            return squared
        return np.asarray(np.mean(activations**self._settings.effort_power, axis=1))

    def _share(self, outcome: Outcome) -> Array | float:
        """Share of effort's weight that counts: less where the body must be lifted."""
        half = self._settings.climb_power
        if half is None:
            return 1.0
        lifted = GRAVITY * outcome.commanded * np.sin(outcome.reading.slope)
        return np.asarray(1.0 / (1.0 + np.maximum(lifted, 0.0) / half))

    def _optional(self, outcome: Outcome) -> Terms:
        """Terms that are left out where they have no weight."""
        w, reading, terms = self._settings, outcome.reading, {}
        if w.loading and outcome.load_change is not None:
            rise = np.maximum(outcome.load_change, 0.0)
            terms["loading"] = w.loading * np.sum(rise**2, axis=1)
        if w.slip and outcome.slip is not None:
            terms["slip"] = w.slip * np.minimum(outcome.slip, MOST_SLIP)
        if w.straight_knee:
            # The planar model bends its knees towards negative angles.
            beyond = np.maximum(reading.coordinates[:, self._knees] + w.straightest_knee, 0.0)
            terms["straight_knee"] = w.straight_knee * beyond.sum(axis=1)
        if w.swing_ankle and len(self._ankles) == len(SIDES):
            beyond = np.maximum(reading.coordinates[:, self._ankles] - w.highest_ankle, 0.0)
            swings = reading.ground[:, 1::2] < UNLOADED
            terms["swing_ankle"] = w.swing_ankle * np.sum(beyond * swings, axis=1)
        if w.fore_aft:
            terms["fore_aft"] = w.fore_aft * reading.ground[:, ::2].sum(axis=1) ** 2
        if w.vertical:
            terms["vertical"] = w.vertical * (reading.ground[:, 1::2].sum(axis=1) - 1.0) ** 2
        if w.active_muscles:
            above = np.mean(reading.activations > w.active_threshold, axis=1)
            terms["active_muscles"] = w.active_muscles * above
        if w.pelvis_rate:
            terms["pelvis_rate"] = w.pelvis_rate * reading.speeds[:, self._tilt] ** 2
        if w.pelvis_tilt:
            tilt = reading.coordinates[:, self._tilt] + reading.slope
            terms["pelvis_tilt"] = w.pelvis_tilt * tilt**2
        if w.trunk_effort and outcome.trunk_torque is not None:
            terms["trunk_effort"] = w.trunk_effort * outcome.trunk_torque**2
        if w.metabolic and outcome.metabolic_rate is not None:
            terms["metabolic"] = w.metabolic * outcome.metabolic_rate / self._mass
        return terms


class ImitateTerms:
    """Reward of tracking a reference.

    Parameters
    ----------
    settings : ImitateReward
    names : of the physics
    max_torque : of the device, Nm
    """

    def __init__(self, settings: ImitateReward, names: PhysicsNames, max_torque: float) -> None:
        self._settings, self._max_torque = settings, max_torque
        columns = names.coordinates
        self._angles = [i for i, n in enumerate(columns) if not n.endswith(TRANSLATIONS)]
        self._forward, self._height = columns.index(FORWARD), columns.index("pelvis_ty")

    def misses(self, reading: Reading, target: Posture) -> Array:
        """Sum of squared angle errors, (n_env,) array, rad^2."""
        error = reading.coordinates[:, self._angles] - target.coordinates[:, self._angles]
        return np.asarray(np.einsum("ij,ij->i", error, error))

    def __call__(self, outcome: Outcome, effort: float) -> tuple[Terms, Terms]:
        """Weighted terms, whose sum is the reward, and other facts; see `WalkTerms`."""
        if outcome.target is None:
            raise ValueError("a reward of imitation needs the reference's states")
        w, reading, target = self._settings, outcome.reading, outcome.target
        posture = self.misses(reading, target)
        rate = reading.speeds[:, self._angles] - target.speeds[:, self._angles]
        rates = np.einsum("ij,ij->i", rate, rate)
        height = (reading.coordinates - target.coordinates)[:, self._height]
        forward = (reading.speeds - target.speeds)[:, self._forward]
        mean = outcome.mean_speed - outcome.commanded
        squared = np.mean(reading.activations**2, axis=1)
        terms = {
            "posture": w.posture * np.exp(-5.0 * posture),
            "rates": w.rates * np.exp(-0.05 * rates),
            "root": w.root * np.exp(-20.0 * height**2 - 10.0 * forward**2 - 10.0 * mean**2),
            "alive": w.alive * ~outcome.fallen,
            "effort": effort * squared,
            "fall": w.fall * outcome.fallen,
        }
        if reading.exo_torque.shape[1]:
            terms |= exo_terms(w, outcome, self._max_torque)
        facts = {
            "joint_rms_rad": np.sqrt(posture / len(self._angles)),
            "speed_error": np.abs(mean),
            "squared_activation": squared,
            "mean_activation": np.mean(reading.activations, axis=1),
        }
        return terms, facts


def exo_terms(w: WalkReward | ImitateReward, outcome: Outcome, max_torque: float) -> Terms:
    """Costs of the device's torque and of its change."""
    torque = outcome.reading.exo_torque / max_torque
    change = outcome.torque_change / max_torque
    return {
        "exo_torque": w.exo_torque * np.mean(torque**2, axis=1),
        "exo_change": w.exo_change * np.mean(change**2, axis=1),
    }
