"""What differs from episode to episode: bodies, ground, device, sensors, and pushes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from osim_exo.errors import InputError
from osim_exo.learn.tasks.config import Randomisation, Span
from osim_exo.physics.compiled import CompiledPhysics

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

SHARED = {
    "contact_stiffness": "contact_stiffness",
    "contact_friction": "contact_friction",
    "exo_mass": "exo_mass",
    "exo_bandwidth_hz": "exo_bandwidth_hz",
    "exo_delay_s": "exo_delay_s",
    "exo_strap_stiffness": "exo_strap_stiffness",
}
"""Settings that are one number per environment, and the physics' parameter."""


@dataclass
class Drawn:
    """What was drawn for the present episodes and is no parameter of the physics.

    Attributes
    ----------
    torque_gain : (n_env,) array; delivered over commanded torque
    angle_offset : (n_env, n_angle) array, rad; mounting errors of the device's sensors
    next_push : (n_env,) array, s since the episode's start
    values : by label, (n_env,) arrays; drawn numbers for the critic
    """

    torque_gain: Array
    angle_offset: Array
    next_push: Array
    values: dict[str, Array] = field(default_factory=dict)


class Randomiser:
    """Draws what `Randomisation` names and gives it to a physics.

    Parameters
    ----------
    settings : Randomisation
    physics : CompiledPhysics
    n_angle : columns of angles that the device measures
    """

    def __init__(self, settings: Randomisation, physics: CompiledPhysics, n_angle: int) -> None:
        self._settings, self._physics = settings, physics
        n = physics.n_env
        self.drawn = Drawn(np.ones(n), np.zeros((n, n_angle)), np.full(n, np.inf))
        self._forward = forward_column(physics)
        self._check()
        for label, default in self._labels().items():
            self.drawn.values[label] = np.full(n, default)

    def _check(self) -> None:
        """Refuse what the physics does not have."""
        there = self._physics.parameters()
        wanted = [n for n in SHARED if getattr(self._settings, n) is not None]
        missing = [n for n in wanted if SHARED[n] not in there]
        if self._settings.exo_torque_gain is not None and not self._physics.names.exo:
            missing.append("exo_torque_gain")
        if missing:
            raise InputError(
                f"Randomisation of {', '.join(missing)} was asked for, but the model has no such "
                "parameter; device parameters need a model that wears one."
            )

    def _labels(self) -> dict[str, float]:
        """Numbers that the critic sees, with their values where nothing was drawn."""
        s, physics = self._settings, self._physics
        found: dict[str, float] = {}
        if s.body_mass is not None or s.segment_mass is not None:
            found |= {f"mass/{n}": 1.0 for n in self._bodies()}
        if s.strength is not None or s.muscle_strength is not None:
            found |= {f"strength/{n}": 1.0 for n in physics.names.muscles}
        for name, parameter in SHARED.items():
            if getattr(s, name) is not None:
                found[name] = float(np.mean(physics.parameters()[parameter]))
        if s.exo_torque_gain is not None:
            found["exo_torque_gain"] = 1.0
        return found

    def _bodies(self) -> tuple[str, ...]:
        """Segments of the person; the device's parts have their own parameter."""
        labels = self._physics.parameter_labels("segment_mass")
        return tuple(n for n in labels if not n.startswith("exo_"))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the drawn numbers that the critic sees."""
        return tuple(self.drawn.values)

    def draw(self, rows: Rows, random: np.random.Generator) -> None:
        """Draw anew for the episodes that begin in `rows`."""
        s, n, drawn = self._settings, rows.size, self.drawn
        values: dict[str, Array] = {}

        def one(span: Span) -> Array:
            return random.uniform(*span, n)

        bodies = self._bodies()
        if s.body_mass is not None or s.segment_mass is not None:
            factor = np.ones((n, len(bodies)))
            if s.body_mass is not None:
                factor *= one(s.body_mass)[:, None]
            if s.segment_mass is not None:
                factor *= random.uniform(*s.segment_mass, factor.shape)
            values["segment_mass"] = self._on_bodies(factor)
            for name, column in zip(bodies, factor.T):
                drawn.values[f"mass/{name}"][rows] = column
        if s.segment_inertia is not None:
            factor = random.uniform(*s.segment_inertia, (n, len(bodies)))
            values["segment_inertia"] = self._on_bodies(factor)
        if s.strength is not None or s.muscle_strength is not None:
            factor = np.ones((n, len(self._physics.names.muscles)))
            if s.strength is not None:
                factor *= one(s.strength)[:, None]
            if s.muscle_strength is not None:
                factor *= random.uniform(*s.muscle_strength, factor.shape)
            values["muscle_strength"] = factor
            for name, column in zip(self._physics.names.muscles, factor.T):
                drawn.values[f"strength/{name}"][rows] = column
        for name, parameter in SHARED.items():
            span = getattr(s, name)
            if span is not None:
                number = one(span)
                labels = self._physics.parameter_labels(parameter)
                values[parameter] = np.repeat(number[:, None], len(labels), axis=1)
                drawn.values[name][rows] = number
        if values:
            self._physics.set_parameters(rows, **values)
        self._draw_outside(rows, random)

    def _on_bodies(self, factor: Array) -> Array:
        """Factors of all bodies, the device's ones 1."""
        labels = self._physics.parameter_labels("segment_mass")
        every = np.ones((len(factor), len(labels)))
        every[:, [labels.index(name) for name in self._bodies()]] = factor
        return every

    def _draw_outside(self, rows: Rows, random: np.random.Generator) -> None:
        """Draw what acts outside the physics."""
        s, n, drawn = self._settings, rows.size, self.drawn
        if s.exo_torque_gain is not None:
            drawn.torque_gain[rows] = random.uniform(*s.exo_torque_gain, n)
            drawn.values["exo_torque_gain"][rows] = drawn.torque_gain[rows]
        if s.sensor_angle_offset:
            shape = (n, drawn.angle_offset.shape[1])
            drawn.angle_offset[rows] = s.sensor_angle_offset * random.standard_normal(shape)
        if s.push_every is not None:
            drawn.next_push[rows] = random.uniform(*s.push_every, n)

    def noisy(
        self, measured: Array, is_angle: npt.NDArray[np.bool_], random: np.random.Generator
    ) -> Array:
        """Readings of the device with noise and mounting errors, (n_env, n_now) array."""
        s = self._settings
        if not (s.sensor_angle_noise or s.sensor_rate_noise or s.sensor_angle_offset):
            return measured
        size = np.where(is_angle, s.sensor_angle_noise, s.sensor_rate_noise)
        found = measured + size * random.standard_normal(measured.shape)
        found[:, is_angle] += self.drawn.angle_offset
        return found

    def push(self, clock: Array, random: np.random.Generator) -> int:
        """Change the forward speed of those whose push is due; how many that were.

        Parameters
        ----------
        clock : (n_env,) array, s since each episode's start
        random : generator
        """
        s, drawn = self._settings, self.drawn
        if s.push_every is None:
            return 0
        due = np.flatnonzero(clock >= drawn.next_push)
        if not due.size:
            return 0
        change = random.uniform(-s.push_speed, s.push_speed, due.size)
        push(self._physics, self._forward, due, change)
        drawn.next_push[due] = clock[due] + random.uniform(*s.push_every, due.size)
        return int(due.size)

    def snapshot(self) -> dict[str, npt.NDArray[np.generic]]:
        """A copy of everything that `restore` needs beside the physics."""
        drawn = self.drawn
        fixed = {
            "torque_gain": drawn.torque_gain.copy(),
            "angle_offset": drawn.angle_offset.copy(),
            "next_push": drawn.next_push.copy(),
        }
        return {**fixed, **{f"value/{n}": v.copy() for n, v in drawn.values.items()}}

    def restore(self, held: dict[str, npt.NDArray[np.generic]]) -> None:
        """Go back to a snapshot."""
        arrays = {name: np.array(values, dtype=float) for name, values in held.items()}
        self.drawn = Drawn(
            arrays["torque_gain"],
            arrays["angle_offset"],
            arrays["next_push"],
            {n: arrays[f"value/{n}"] for n in self.drawn.values},
        )


def forward_column(physics: CompiledPhysics) -> int:
    """Column of the pelvis' forward speed in a physics' states."""
    found = [c for path, c in physics.state_paths.items() if path.endswith("/pelvis_tx/speed")]
    return found[0]


def push(physics: CompiledPhysics, column: int, rows: Rows, change: Array) -> None:
    """Give walkers a jolt: the whole body's forward speed changes at once, by `change` m/s.

    Parameters
    ----------
    physics : CompiledPhysics
    column : of the pelvis' forward speed in its states
    rows, change : environments, (n,) arrays
    """
    state = physics.snapshot()
    state.states[rows, column] += change
    physics.restore(replace(state))
