"""A learned policy as a controller: the same object in simulation and on the device.

Needs numpy and, for networks in ONNX, onnxruntime.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from osim_exo.control.base import Array, Signals, check_reset
from osim_exo.errors import InputError
from osim_exo.names import SIDES, side
from osim_exo.policy import Action, Policy, Signal, Squash

MEASURED = ("hip_angle", "hip_speed", "thigh_angle", "thigh_rate", "torque")
"""Fields of `Signals` that a policy's observations can come from."""

SENSORS = {
    f"{place}_{s}/{reading}": (field, column)
    for column, s in enumerate(SIDES)
    for place, reading, field in (
        ("thigh", "thigh_angle", "thigh_angle"),
        ("thigh", "thigh_rate", "thigh_rate"),
        ("hip_flexion", "joint_angle", "hip_angle"),
        ("hip_flexion", "joint_rate", "hip_speed"),
    )
}
"""Names of observations without their lag: field of `Signals` and its column."""

LOOP_SHARE = 0.1
"""Share of the newest step in the mean time between samples."""


class LearnedController:
    """The policy of a bundle, run on what a hip device measures.

    Observations are found by their names (``thigh_r/thigh_rate``, ``hip_flexion_l/joint_angle``,
    with ``/@60ms`` for a reading of 60 ms ago, ``exo_hip_r/torque`` for the delivered torque over
    its largest). Readings are remembered at the policy's own rate, and its torque is held between
    its steps; a loop that runs at its rate or at a multiple of it can be late and uneven. Where
    samples were lost, the memory holds the last one in their place. Before the first reading, the
    memory holds the first one.

    Parameters
    ----------
    policy : Policy
        Gives one torque per hip, in Nm/kg of body or in Nm, hip flexion positive.
    mass : of the person's body, kg; 20 to 200
    measured : fields of `Signals` that the device has

    Raises
    ------
    InputError
        The policy observes what the device does not measure, drives something else than two hips,
        or the mass is out of range.
    """

    def __init__(self, policy: Policy, mass: float, measured: Collection[str] = MEASURED) -> None:
        if not 20.0 <= mass <= 200.0:
            raise InputError(f"A body mass of {mass:g} kg was given; allowed is 20 to 200 kg.")
        self.policy, self.mass = policy, float(mass)
        interface = policy.interface
        self._actions = _hips(interface.actions)
        scale = {"Nm/kg": self.mass, "Nm": 1.0}
        self._scale = np.array([scale[interface.actions[k].unit] for k in self._actions])
        self._limit = self._scale * [interface.actions[k].high for k in self._actions]
        self._sources = _sources(interface.observations, measured)
        self._squash = Squash(interface.actions)
        self._low = np.array([row.low for row in interface.observations])
        self._high = np.array([row.high for row in interface.observations])
        back = [round(row.delay_s * interface.rate_hz) for row in interface.observations]
        ages = np.arange(interface.history - 1, -1, -1)
        self._ages = (ages[:, None] + np.array(back)).ravel()
        self._columns = np.tile(np.arange(len(back)), interface.history)
        self._depth = int(self._ages.max()) + 1
        self._n_env: int | None = None
        self.reset(1)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        mass: float,
        measured: Collection[str] = MEASURED,
        engine: Literal["onnx", "numpy"] = "onnx",
    ) -> Self:
        """Read a bundle and make its controller; raises as `Policy.load` and the class do."""
        return cls(Policy.load(folder, engine), mass, measured)

    @property
    def rate_hz(self) -> float:
        """How often the policy acts, Hz; a loop must run at this rate or a multiple of it."""
        return self.policy.interface.rate_hz

    def reset(self, n_env: int, environments: npt.ArrayLike | None = None) -> None:
        """Forget the readings and torques of all environments, or of some."""
        check_reset(n_env, self._n_env, environments)
        if environments is None:
            self._n_env = n_env
            self._past = np.zeros((n_env, self._depth, len(self._low)))
            self._newest = np.zeros(n_env, dtype=np.intp)
            self._acted, self._called = np.full(n_env, np.nan), np.full(n_env, np.nan)
            self._loop = np.full(n_env, np.nan)
            self._torque = np.zeros((n_env, 2))
            return
        chosen = np.asarray(environments)
        self._acted[chosen] = np.nan
        self._torque[chosen] = 0.0

    def __call__(self, signals: Signals) -> Array:
        """Torque, (n_env, 2) array, Nm, right then left, flexion positive.

        Raises
        ------
        InputError
            The signals lack what the policy observes.
        """
        if self._n_env != signals.n_env:
            self.reset(signals.n_env)
        time, period = signals.time, self.policy.interface.period_s
        # A clock that went back belongs to another recording.
        fresh = np.isnan(self._acted) | (time < self._called)
        elapsed = np.where(fresh, 0.0, time - self._acted)
        came = self._watch_loop(time, fresh)
        # Act now if the next call would be further from the due time than this one.
        due = fresh | (came & (elapsed + 0.5 * self._loop >= period))
        if due.any():
            rows = np.flatnonzero(due)
            self._remember(rows, self._read(signals)[rows], fresh[rows], elapsed[rows] / period)
            self._acted[rows] = time[rows]
            self._torque[rows] = self._act(rows)
        return self._torque.copy()

    def _watch_loop(self, time: Array, fresh: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Whether a new sample came; keeps the mean time between two of them."""
        step = np.where(fresh, 0.0, time - self._called)
        came = step > 0.0
        known = np.where(np.isnan(self._loop), step, self._loop)
        # A gap is no slower loop.
        mean = known + LOOP_SHARE * (np.minimum(step, 2.0 * known) - known)
        self._loop = np.where(came, mean, self._loop)
        self._called = time.copy()
        return came

    def _read(self, signals: Signals) -> Array:
        """Observations of this instant, (n_env, n_observation) array, clipped to their bounds."""
        now = np.empty((signals.n_env, len(self._sources)))
        for i, (field, column) in enumerate(self._sources):
            values = getattr(signals, field)
            if values is None:
                raise InputError(
                    f"The policy observes {self.policy.interface.observations[i].name}, but the "
                    f"signals have no {field}. Measure it, or use a policy that does without it."
                )
            now[:, i] = values[:, column]
            if field == "torque":
                now[:, i] /= self._limit[column]
        return np.asarray(np.clip(now, self._low, self._high))

    def _remember(
        self, rows: npt.NDArray[np.intp], now: Array, fresh: npt.NDArray[np.bool_], steps: Array
    ) -> None:
        """Put the readings `now` of some environments into their memory."""
        self._past[rows[fresh]] = now[fresh][:, None]
        lost = np.clip(np.rint(steps).astype(int) - 1, 0, self._depth)
        for k in range(int(lost.max())):
            late = rows[lost > k]
            held = self._past[late, self._newest[late]]
            self._newest[late] = (self._newest[late] - 1) % self._depth
            self._past[late, self._newest[late]] = held
        self._newest[rows] = (self._newest[rows] - 1) % self._depth
        self._past[rows, self._newest[rows]] = now

    def _act(self, rows: npt.NDArray[np.intp]) -> Array:
        """The policy's torque for the memory of some environments, (n_row, 2) array, Nm."""
        at = (self._newest[rows, None] + self._ages) % self._depth
        seen = self._past[rows[:, None], at, self._columns]
        output = self.policy(seen.astype(np.float32))
        commands = self._squash(output.astype(float))
        return np.asarray(commands[:, self._actions] * self._scale)


def _hips(actions: tuple[Action, ...]) -> list[int]:
    """Columns of the right and the left hip's torque."""
    found = {side(action.name): k for k, action in enumerate(actions)}
    fits = len(actions) == 2 and set(found) == set(SIDES)
    if fits:
        fits = all(
            actions[found[s]].unit in ("Nm/kg", "Nm")
            and actions[found[s]].positive.startswith(f"hip_flexion_{s}")
            for s in SIDES
        )
    if not fits:
        given = ", ".join(f"{a.name} in {a.unit} ({a.positive})" for a in actions[:4])
        raise InputError(
            f"The policy drives {given}{' and more' if len(actions) > 4 else ''}; a hip device "
            "needs one torque for each hip, in Nm/kg or Nm, hip flexion positive. Give the exo "
            "policy of a hip device."
        )
    return [found[s] for s in SIDES]


def _sources(observations: tuple[Signal, ...], measured: Collection[str]) -> list[tuple[str, int]]:
    """Field of `Signals` and column that each observation is read from."""
    found, unknown = [], []
    for row in observations:
        name = row.name.partition("/@")[0]
        own, which = name.removesuffix("/torque"), side(name.removesuffix("/torque"))
        source = SENSORS.get(name)
        if source is None and own != name and own.startswith("exo_") and which is not None:
            source = ("torque", SIDES.index(which))
        if source is None or source[0] not in measured:
            unknown.append(row.name)
        else:
            found.append(source)
    if unknown:
        others = f" and {len(unknown) - 6} more" if len(unknown) > 6 else ""
        raise InputError(
            f"The policy observes what the device does not measure: {', '.join(unknown[:6])}"
            f"{others}. Measured: {', '.join(measured) or 'nothing'}. Distil a student for these "
            "sensors with osim-exo distil."
        )
    return found
