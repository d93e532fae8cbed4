"""Inverse dynamics: joint moments of a recorded motion under its ground forces."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from osim_exo.errors import DataError, InputError, MissingExtraError, ModelError
from osim_exo.io import read_measured
from osim_exo.models import ModelConfig
from osim_exo.models.recipe import load_opensim
from osim_exo.names import SIDES
from osim_exo.trial import Array, Channels, Trial, TrialInfo

FEET: Mapping[str, str] = {"r": "calcn_r", "l": "calcn_l"}
"""The body that each side's ground force acts on."""

FEWEST_SAMPLES = 8
"""A fifth-degree spline through fewer samples says nothing about accelerations."""


@dataclass(frozen=True)
class Kinematics:
    """Coordinates with their first two time derivatives, (n_time, n_coordinate) each."""

    values: Array
    speeds: Array
    accelerations: Array


def inverse_dynamics(
    model: ModelConfig | str | Path,
    trial: Trial,
    cutoff_hz: float | None = 6.0,
    feet: Mapping[str, str] = FEET,
) -> Channels:
    """Biological joint moments of a motion under its ground forces.

    Newton's equations of the whole model are solved for the generalised forces, with every muscle,
    contact, passive limit and actuator of the model switched off: what remains is what muscles and
    passive structures must have done together. The procedure is that of OpenSim's
    InverseDynamicsTool (Seth et al. 2018): low-pass filtered coordinates, fifth-degree splines for
    accelerations, ground forces that act on the feet as they are.

    Parameters
    ----------
    model : ModelConfig, or path of an ``.osim`` file
        With the worn device and the slope, if there were any.
    trial : Trial
        Its ``coordinates`` and ``grf`` are used; its ``exo_torque``, where recorded, is taken off.
        A trial without ``grf`` is taken to touch nothing. Coordinates of the model that the trial
        lacks stay at their default.
    cutoff_hz : float or None
        See `differentiate`.
    feet : body by side

    Returns
    -------
    Channels
        By coordinate in the model's order: Nm, N for translations, in the coordinate's sign. At
        the pelvis these are the residuals that mass and force errors leave.

    Raises
    ------
    DataError
        The trial has coordinates that the model lacks, or ground forces without their points.
    ModelError
        The model lacks a foot, or cannot be built.
    """
    config = as_config(model)
    motion = differentiate(trial.time, trial.coordinates.values, cutoff_hz)
    return _moments(config, trial, motion, feet)


def measured_trial(
    model: ModelConfig | str | Path,
    coordinates: str | Path,
    grf: str | Path,
    info: TrialInfo,
    *,
    activations: str | Path | None = None,
    grf_prefixes: Mapping[str, str] | None = None,
    cutoff_hz: float | None = 6.0,
    feet: Mapping[str, str] = FEET,
) -> Trial:
    """A measured walk as a trial with joint moments, ready for analysis and comparison.

    Coordinates, speeds and moments come from the same filtered splines, so that joint power is
    consistent.

    Parameters
    ----------
    model : the person's scaled model: ModelConfig, or path of an ``.osim`` file
    coordinates, grf, activations, grf_prefixes : as in `osim_exo.io.read_measured`
    info : what is known of the trial; a body mass that is NaN is filled in from the model
    cutoff_hz, feet : as in `inverse_dynamics`

    Raises
    ------
    DataError, ModelError
        As `osim_exo.io.read_measured` and `inverse_dynamics`.
    """
    config = as_config(model)
    raw = read_measured(
        coordinates,
        info,
        grf=grf,
        activations=activations,
        grf_prefixes=grf_prefixes,
        cutoff_hz=None,
    )
    motion = differentiate(raw.time, raw.coordinates.values, cutoff_hz)
    mass = info.body_mass if math.isfinite(info.body_mass) else config.body_mass
    identity = replace(raw.info, body_mass=mass, model=Path(config.name).name)
    return replace(
        raw,
        info=replace(identity, model_hash=config.hash),
        coordinates=Channels(raw.coordinates.names, motion.values),
        speeds=Channels(raw.coordinates.names, motion.speeds),
        moments=_moments(config, raw, motion, feet),
    )


def differentiate(time: Array, values: Array, cutoff_hz: float | None = 6.0) -> Kinematics:
    """Low-pass filtered values with their derivatives at the same times.

    A third-order Butterworth filter runs forward and backward (no delay; each pass has its corner
    at the cutoff, as in OpenSim) over the record, which is continued at both ends by half its
    length, turned about its end points. A fifth-degree spline through the result gives speeds and
    accelerations. Uneven sampling is brought to even times first.

    Parameters
    ----------
    time : (n_time,) array, s
    values : (n_time, n_channel) array
    cutoff_hz : corner frequency, Hz, below half the sampling rate; None: no filter

    Raises
    ------
    DataError
        There are fewer than eight samples.
    InputError
        The cutoff is out of range.
    """
    try:
        from scipy.interpolate import make_interp_spline
        from scipy.signal import butter, filtfilt
    except ImportError:
        raise MissingExtraError("scipy", "sim") from None
    n = time.size
    if n < FEWEST_SAMPLES:
        raise DataError(
            f"{n} samples were given; accelerations need at least {FEWEST_SAMPLES}. Use a longer "
            "part of the motion."
        )
    step = (time[-1] - time[0]) / (n - 1)
    if cutoff_hz is not None and not 0.0 < cutoff_hz < 0.5 / step:
        raise InputError(
            f"cutoff_hz={cutoff_hz} was given for data at {1 / step:.4g} Hz; allowed is more than "
            f"0 and less than {0.5 / step:.4g}, or None for no filter."
        )
    even = np.linspace(time[0], time[-1], n)
    if np.abs(even - time).max() > 1e-3 * step:
        values = make_interp_spline(time, values, k=5)(even)
    if cutoff_hz is None:
        spline = make_interp_spline(even, values, k=5)
        return Kinematics(spline(time), spline(time, 1), spline(time, 2))
    pad = n // 2
    before = 2.0 * values[0] - values[pad:0:-1]
    after = 2.0 * values[-1] - values[-2 : -pad - 2 : -1]
    padded = np.concatenate([before, values, after])
    smooth = filtfilt(*butter(3, cutoff_hz, fs=1.0 / step), padded, axis=0, padlen=pad)
    spline = make_interp_spline(time[0] + step * np.arange(-pad, n + pad), smooth, k=5)
    return Kinematics(spline(time), spline(time, 1), spline(time, 2))


def as_config(model: ModelConfig | str | Path) -> ModelConfig:
    """A request for a model from a request or from the path of an ``.osim`` file."""
    return model if isinstance(model, ModelConfig) else ModelConfig(name=str(model))


def _moments(
    config: ModelConfig, trial: Trial, motion: Kinematics, feet: Mapping[str, str]
) -> Channels:
    osim = load_opensim()
    from osim_exo.models import components

    model = config.build()
    state = model.initSystem()
    for force in filter(None, map(osim.Force.safeDownCast, model.getComponentsList())):
        force.setAppliesForce(state, False)
    found = components.coordinates(model)
    names = tuple(c.getName() for c in found)
    unknown = [name for name in trial.coordinates.names if name not in names]
    if unknown:
        raise DataError(
            f"Trial '{trial.info.name}' has coordinates that the model {config.name} lacks: "
            f"{', '.join(unknown)}. It has: {', '.join(names)}. Use the model that the motion was "
            "computed with."
        )
    loads = _foot_loads(osim, model, trial, feet)
    index = _mobilities(state, found)
    columns = [index[names.index(name)] for name in trial.coordinates.names]
    solver = osim.InverseDynamicsSolver(model)
    matter = model.getMatterSubsystem()
    moments = np.zeros((trial.time.size, len(names)))
    for i in range(trial.time.size):
        for k, name in enumerate(trial.coordinates.names):
            coordinate = found[names.index(name)]
            coordinate.setValue(state, float(motion.values[i, k]), False)
            coordinate.setSpeedValue(state, float(motion.speeds[i, k]))
        rates = np.zeros(state.getNU())
        rates[columns] = motion.accelerations[i]
        needed = solver.solve(state, osim.Vector.createFromMat(rates)).to_numpy()
        for frame, series in loads:
            needed = needed - _generalised(osim, model, matter, state, frame, series[i])
        moments[i] = needed[index]
    for name in trial.exo_torque.names:
        moments[:, names.index(name)] -= trial.exo_torque[name]
    return Channels(names, moments)


def _mobilities(state: Any, coordinates: list[Any]) -> list[int]:
    """Position of each coordinate's speed in the vector of generalised speeds."""
    index = []
    for coordinate in coordinates:
        before = state.getU().to_numpy().copy()
        coordinate.setSpeedValue(state, float(np.abs(before).max()) + 1.0)
        index.append(int(np.argmax(np.abs(state.getU().to_numpy() - before))))
        coordinate.setSpeedValue(state, float(before[index[-1]]))
    return index


def _foot_loads(
    osim: Any, model: Any, trial: Trial, feet: Mapping[str, str]
) -> list[tuple[Any, Array]]:
    """Foot and (n_time, 9) force, point and free moment in ground, of every side that has a force.

    Raises
    ------
    DataError
        A force comes without its point.
    """
    loads = []
    for side in SIDES:
        wanted = [f"ground_force_{side}_{kind}{axis}" for kind in "vp" for axis in "xyz"]
        free = [f"ground_torque_{side}_{axis}" for axis in "xyz"]
        if not any(name in trial.grf for name in wanted):
            continue
        missing = [name for name in wanted if name not in trial.grf]
        if missing:
            raise DataError(
                f"Trial '{trial.info.name}' has ground forces without {', '.join(missing)}. "
                "Inverse dynamics needs force and point of application of each foot."
            )
        zero = np.zeros(trial.time.size)
        columns = [trial.grf[name] for name in wanted]
        columns += [trial.grf[name] if name in trial.grf else zero for name in free]
        if feet.get(side) is None or model.getBodySet().getIndex(feet[side]) < 0:
            bodies = model.getBodySet()
            there = [bodies.get(i).getName() for i in range(bodies.getSize())]
            raise ModelError(
                f"The ground force of side {side} acts on the body '{feet.get(side)}', which the "
                f"model lacks. It has: {', '.join(there)}. Name the feet with feet=."
            )
        loads.append((model.getBodySet().get(feet[side]), np.stack(columns, axis=1)))
    return loads


def _generalised(osim: Any, model: Any, matter: Any, state: Any, body: Any, load: Array) -> Array:
    """Generalised forces of one foot's load, in the order of the generalised speeds."""
    force, point, free = (osim.Vec3(*load[k : k + 3].tolist()) for k in (0, 3, 6))
    station = model.getGround().findStationLocationInAnotherFrame(state, point, body)
    jacobian = osim.Matrix()
    matter.calcFrameJacobian(state, body.getMobilizedBodyIndex(), station, jacobian)
    spatial = np.array([free.get(0), free.get(1), free.get(2), *load[:3]])
    return np.asarray(jacobian.to_numpy().T @ spatial)
