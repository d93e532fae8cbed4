"""A Trial: one recorded or simulated walk, the only thing that analysis and reports consume."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.errors import DataError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Channels:
    """An array of channels that travels with its names.

    Attributes
    ----------
    names : tuple of str, length n_channel, unique
    values : (n_time, n_channel) array
    """

    names: tuple[str, ...]
    values: Array

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=float)
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "values", values)
        if values.ndim != 2 or values.shape[1] != len(self.names):
            raise DataError(
                f"{len(self.names)} channel names were given for an array of shape {values.shape}; "
                "allowed is (n_time, n_channel) with one name per channel."
            )
        if len(set(self.names)) != len(self.names):
            twice = sorted({n for n in self.names if self.names.count(n) > 1})
            raise DataError(f"Channel names occur more than once: {', '.join(twice)}.")

    def __getitem__(self, name: str) -> Array:
        """One channel, shape (n_time,)."""
        try:
            return self.values[:, self.names.index(name)]
        except ValueError:
            raise DataError(
                f"No channel '{name}'. There are: {', '.join(self.names) or 'none'}."
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __len__(self) -> int:
        return len(self.names)

    def select(self, names: Iterable[str]) -> Channels:
        """The named channels, in the order given."""
        wanted = tuple(names)
        columns = [self[name] for name in wanted]
        n_time = self.values.shape[0]
        return Channels(wanted, np.stack(columns, axis=1) if wanted else np.zeros((n_time, 0)))

    @classmethod
    def empty(cls, n_time: int) -> Channels:
        """No channels over `n_time` samples."""
        return cls((), np.zeros((n_time, 0)))


@dataclass(frozen=True)
class MuscleParameters:
    """What metabolic models and volume weights need to know of one muscle.

    Attributes
    ----------
    max_isometric_force : N
    optimal_fibre_length : m
    max_contraction_velocity : optimal fibre lengths per second
    pennation_at_optimal : rad
    slow_fraction : share of slow-twitch fibres, 0 to 1
    specific_tension : Pa
    density : kg/m^3
    """

    max_isometric_force: float
    optimal_fibre_length: float
    max_contraction_velocity: float = 10.0
    pennation_at_optimal: float = 0.0
    slow_fraction: float = 0.5
    specific_tension: float = 0.25e6
    density: float = 1059.7

    @property
    def volume(self) -> float:
        """Muscle volume, m^3: force over specific tension, times fibre length."""
        return self.max_isometric_force / self.specific_tension * self.optimal_fibre_length

    @property
    def mass(self) -> float:
        """Muscle mass, kg."""
        return self.volume * self.density


@dataclass(frozen=True)
class TrialInfo:
    """What a trial is: everything that identifies it and is not a time series.

    Attributes
    ----------
    name : label used in file names and legends
    condition : ``no_exo``, ``zero_torque`` or ``assisted``
    controller : ``none``, ``optimal``, ``spline``, ``delayed_output_feedback``, ``playback``, ...
    physics : ``moco``, ``opensim``, ``compiled`` or ``measured``
    subject : label of the independent unit (virtual subject)
    body_mass : kg, without the device; rates are per kilogram of it
    height : m
    exo_mass : kg worn on top of the body
    speed : commanded walking speed, m/s
    slope_deg : degrees, uphill positive
    seed : training seed, or None
    model, model_hash : which model and which version of it
    stride : the time series is exactly one stride from right heel strike, periodic
    muscles : parameters by muscle name
    provenance : anything worth keeping (software versions, solver status, ...)
    """

    name: str
    condition: str = "no_exo"
    controller: str = "none"
    physics: str = "opensim"
    subject: str = "reference"
    body_mass: float = float("nan")
    height: float = float("nan")
    exo_mass: float = 0.0
    speed: float = float("nan")
    slope_deg: float = 0.0
    seed: int | None = None
    model: str = ""
    model_hash: str = ""
    stride: bool = False
    muscles: Mapping[str, MuscleParameters] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


SERIES = (
    "coordinates",
    "speeds",
    "excitations",
    "activations",
    "fibre_lengths",
    "fibre_velocities",
    "active_fibre_forces",
    "passive_fibre_forces",
    "muscle_powers",
    "moments",
    "passive_moments",
    "grf",
    "exo_torque",
    "exo_power",
    "points",
    "metabolic_rates",
)
"""The names of the time series of a `Trial`, in the order of its fields."""


@dataclass(frozen=True)
class Trial:
    """Time series of one walk with the facts that identify it.

    Every series has the same time axis; a series that was not recorded has no channels. Signs are
    the model's own; units are SI and radians.

    Attributes
    ----------
    time : (n_time,) array, s, strictly increasing
    info : TrialInfo
    coordinates, speeds : by coordinate name; rad or m, rad/s or m/s
    excitations, activations : by muscle name; 0 to 1
    fibre_lengths : by muscle; normalised by optimal fibre length
    fibre_velocities : by muscle; m/s along the fibre, lengthening positive
    active_fibre_forces, passive_fibre_forces : by muscle; N along the fibre. The passive part
        holds fibre damping too.
    muscle_powers : by muscle; W given to the skeleton, generating positive
    moments : by coordinate; Nm, biological: muscles and passive joint structures together
    passive_moments : by coordinate; Nm, the passive joint structures' part of `moments`
    grf : ``ground_force_r_vx`` ... (N), ``ground_force_r_px`` ... (m), ``ground_torque_r_x`` ...
        (Nm) per side, on the body, in the ground frame
    exo_torque, exo_power : by coordinate; Nm in the coordinate's sign, W given to the body
    points : ``<landmark>.x``, ``.y``, ``.z`` and ``muscle/<name>/<k>.x`` ...; m in ground,
        what a player draws
    metabolic_rates : ``bhargava2004/<muscle>`` and ``umberger2010/<muscle>``; W, without basal rate
    """

    time: Array
    info: TrialInfo
    coordinates: Channels
    speeds: Channels
    excitations: Channels
    activations: Channels
    fibre_lengths: Channels
    fibre_velocities: Channels
    active_fibre_forces: Channels
    passive_fibre_forces: Channels
    muscle_powers: Channels
    moments: Channels
    passive_moments: Channels
    grf: Channels
    exo_torque: Channels
    exo_power: Channels
    points: Channels
    metabolic_rates: Channels

    def __post_init__(self) -> None:
        time = np.asarray(self.time, dtype=float)
        object.__setattr__(self, "time", time)
        if time.ndim != 1 or time.size < 2 or not np.all(np.diff(time) > 0):
            raise DataError(
                f"Trial '{self.info.name}': time must be strictly increasing over at least two "
                f"samples; an array of shape {time.shape} was given."
            )
        for series in SERIES:
            channels: Channels = getattr(self, series)
            if channels.values.shape[0] != time.size:
                raise DataError(
                    f"Trial '{self.info.name}': {series} has {channels.values.shape[0]} samples, "
                    f"time has {time.size}."
                )
            bad = [n for n, c in zip(channels.names, channels.values.T) if not np.isfinite(c).all()]
            if bad:
                raise DataError(
                    f"Trial '{self.info.name}': {series} holds NaN or infinity in "
                    f"{', '.join(bad)}. Fill or cut the gaps before analysing."
                )

    @classmethod
    def build(cls, time: Array, info: TrialInfo, **series: Channels) -> Trial:
        """A trial from the series that are there; the others are left without channels."""
        unknown = set(series) - set(SERIES)
        if unknown:
            raise DataError(f"Unknown series {sorted(unknown)}. There are: {', '.join(SERIES)}.")
        none = Channels.empty(np.size(time))
        return cls(time, info, **{name: series.get(name, none) for name in SERIES})

    @property
    def duration(self) -> float:
        """Last minus first time, s."""
        return float(self.time[-1] - self.time[0])
