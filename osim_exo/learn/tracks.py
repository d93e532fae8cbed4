"""What a closed loop leaves behind: recorded states as trials, and how near a reference was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.analysis.cycles import mean_cycle
from osim_exo.analysis.metabolics import with_metabolic_rates
from osim_exo.control import (
    Controller,
    DelayedOutputFeedback,
    LearnedController,
    Playback,
    Spline,
    ZeroTorque,
)
from osim_exo.errors import DataError
from osim_exo.learn.tasks.strides import FORWARD
from osim_exo.models import ModelConfig
from osim_exo.observations import TRANSLATIONS
from osim_exo.physics.base import Physics, PhysicsNames
from osim_exo.sensors import Sensed
from osim_exo.trial import Array, Trial

CONTROLLERS: dict[type[object], str] = {
    ZeroTorque: "none",
    Spline: "spline",
    Playback: "playback",
    DelayedOutputFeedback: "delayed_output_feedback",
    LearnedController: "learned",
}
"""What a trial calls its controller."""


def driven_by(controller: Controller) -> dict[str, str]:
    """Condition and controller of trials; sensors before a controller do not count."""
    while isinstance(controller, Sensed):
        controller = controller.controller
    own = CONTROLLERS.get(type(controller), type(controller).__name__)
    return {"condition": "zero_torque" if own == "none" else "assisted", "controller": own}


@dataclass(frozen=True)
class Tracked:
    """How near a coordinate is to its reference over all walks, settling time left out.

    Either moment by moment (`tracking`), or as mean strides (`stride_tracking`).

    Attributes
    ----------
    rms : root of the mean squared error, rad or m
    correlation : of walk and reference; NaN where one of them does not move
    """

    rms: float
    correlation: float


@dataclass
class Track:
    """What is recorded of a walk, (n_env, n) arrays by the physics' names.

    Attributes
    ----------
    names : of the columns
    coordinates, speeds, activations, exo_torque : states every `record_dt`; rad, m, s, Nm
    drive_power : of the device's drives then, W; differs from that on the body if there is a strap
    excitations, others : controls that were held from then on
    followed : every control step, coordinates and those of the reference, after the step
    commanded, advised : every control step, Nm; exo torque, and what a policy advised beside it
    """

    names: PhysicsNames
    coordinates: list[Array] = field(default_factory=list)
    speeds: list[Array] = field(default_factory=list)
    activations: list[Array] = field(default_factory=list)
    exo_torque: list[Array] = field(default_factory=list)
    drive_power: list[Array] = field(default_factory=list)
    excitations: list[Array] = field(default_factory=list)
    others: list[Array] = field(default_factory=list)
    followed: list[tuple[Array, Array]] = field(default_factory=list)
    commanded: list[Array] = field(default_factory=list)
    advised: list[Array] = field(default_factory=list)

    def add(self, physics: Physics, excitations: Array, others: Array) -> None:
        """Record the present state, and the controls that come now."""
        self.coordinates.append(physics.coordinates)
        self.speeds.append(physics.speeds)
        self.activations.append(physics.activations)
        self.exo_torque.append(physics.exo_torque)
        self.drive_power.append(physics.drive_power)
        self.excitations.append(excitations)
        self.others.append(others)

    def order(self, commanded: Array, advised: Array | None) -> None:
        """Record the exo torque of a control step, and what was advised."""
        self.commanded.append(commanded)
        if advised is not None:
            self.advised.append(advised)


def tracking(
    track: Track, control_dt: float, settle: float, fell_at: Sequence[float | None]
) -> dict[str, Tracked]:
    """Errors and correlations of all walks together, by coordinate.

    Parameters
    ----------
    track : with the reference that was followed
    control_dt, settle : s; of the policy, and left out at the start
    fell_at : per run, s
    """
    first = round(settle / control_dt)
    walked, wanted = (np.array(part) for part in zip(*track.followed))
    ends = [len(walked) if t is None else round(t / control_dt) for t in fell_at]
    rows = [(walked[first:end, k], wanted[first:end, k]) for k, end in enumerate(ends)]
    own, goal = (np.concatenate(part) for part in zip(*rows))
    return _compared(track.names.coordinates, own, goal)


def stride_tracking(
    walks: Sequence[Trial], names: Sequence[str], reference: Array
) -> dict[str, Tracked]:
    """Errors and correlations of mean strides, whatever their phase and duration, by coordinate.

    Every walk's strides, from right heel strike to right heel strike, are brought to 101 samples
    and averaged. The reference is turned to where it fits them best, by as much for all
    coordinates. Walks without a whole stride are left out.

    Parameters
    ----------
    walks : settling time left out
    names : of the reference's columns
    reference : (101, n) array, rad or m; its last sample is its first
    """
    kept = [i for i, name in enumerate(names) if name != FORWARD]
    angles = [k for k, i in enumerate(kept) if not names[i].endswith(TRANSLATIONS)]
    wanted, rows = reference[:-1, kept], []
    for walk in walks:
        try:
            mean = mean_cycle(walk, walk.coordinates.select([names[i] for i in kept]))
        except DataError:  # fell before its first whole stride; counted among the falls
            continue
        own = mean.values[:-1]
        turned = [np.roll(wanted, shift, axis=0) for shift in range(len(wanted))]
        errors = [np.sum((own[:, angles] - goal[:, angles]) ** 2) for goal in turned]
        rows.append((own, turned[int(np.argmin(errors))]))
    if not rows:
        return {}
    own, goal = (np.concatenate(part) for part in zip(*rows))
    return _compared([names[i] for i in kept], own, goal)


def _compared(names: Sequence[str], own: Array, goal: Array) -> dict[str, Tracked]:
    """RMS and correlation of every column but the forward one."""
    found = {}
    for column, name in enumerate(names):
        a, b = own[:, column], goal[:, column]
        if name == FORWARD or a.size < 2:
            continue
        moves = min(np.ptp(a), np.ptp(b)) > 0.0
        correlation = float(np.corrcoef(a, b)[0, 1]) if moves else float("nan")
        found[name] = Tracked(float(np.sqrt(np.mean((a - b) ** 2))), correlation)
    return found


def trials(
    model_config: ModelConfig,
    track: Track,
    spans: Sequence[tuple[int, int]],
    record_dt: float,
    facts: Sequence[dict[str, Any]],
) -> list[Trial]:
    """The walks as trials: OpenSim's evaluation of the model along them.

    Parameters
    ----------
    model_config : the model that walked, with its slope
    track : what was recorded
    spans : per run, its first and last sample; no trial where they are equal
    record_dt : s
    facts : per run, its ``name`` and fields of `TrialInfo`
    """
    from osim_exo.physics.record import Motion, Recorder, describe

    model = model_config.build()
    recorder = Recorder(model, model_config.display)
    limit = model_config.exo.limits.max_torque if model_config.exo else 1.0
    rows = {
        key: np.array(values)
        for key, values in vars(track).items()
        if key not in ("names", "followed", "commanded", "advised", "drive_power")
    }
    names = track.names
    found = []
    for run, (first, last) in enumerate(spans):
        if last <= first:
            continue
        own = {key: values[first:last, run] for key, values in rows.items()}
        info = describe(model_config, model, **facts[run])
        states = _states(own, names, info.provenance)
        controls = dict(
            zip((*names.muscles, *names.others), np.hstack([own["excitations"], own["others"]]).T)
        )
        controls |= dict(zip(names.exo, own["exo_torque"].T / limit))
        time = record_dt * np.arange(last - first, dtype=float)
        trial = recorder.record(Motion(time, states, controls), info)
        found.append(with_metabolic_rates(trial))
    return found


def _states(
    own: Mapping[str, npt.NDArray[np.float64]], names: PhysicsNames, paths: Mapping[str, Any]
) -> dict[str, Array]:
    """States by OpenSim's paths."""
    found = {}
    for k, name in enumerate(names.coordinates):
        path = paths["coordinate_paths"][name]
        found[f"{path}/value"] = own["coordinates"][:, k]
        found[f"{path}/speed"] = own["speeds"][:, k]
    for k, name in enumerate(names.muscles):
        found[f"{paths['muscle_paths'][name]}/activation"] = own["activations"][:, k]
    return found
