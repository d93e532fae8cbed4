"""How well the torque on the device agrees with the simulation it was made in.

Correlation and error per stride, as Park, Song and Kang 2026 (arXiv:2603.04166) report them, and
the phase lag of the mean stride.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.deploy.faults import Reading
from osim_exo.deploy.log import Log, samples
from osim_exo.deploy.packets import Sensors
from osim_exo.deploy.walkers import HIPS
from osim_exo.errors import DataError
from osim_exo.trial import Trial

Array = npt.NDArray[np.float64]

N_POINT = 101
RISE = 0.25
"""rad; a flexion peak stands out from the extension before and after it by that much."""

SHORTEST, LONGEST = 0.5, 2.5
"""s; strides outside are left out: standing, turning, a stumble."""

SIDES = ("right", "left")


@dataclass(frozen=True)
class Score:
    """Agreement of one log with one simulated walk.

    Attributes
    ----------
    condition : name of the trial
    side : right, left or both
    n_stride : strides of the log
    r, r_sd : correlation per stride with the trial's mean stride: mean and standard deviation;
        None where a torque does not change
    rmse_nm_per_kg, rmse_sd_nm_per_kg : difference per stride: mean and standard deviation
    phase_lag_percent, phase_lag_s : how much later the log's mean stride is; None as for r
    """

    condition: str
    side: str
    n_stride: int
    r: float | None
    r_sd: float | None
    rmse_nm_per_kg: float
    rmse_sd_nm_per_kg: float
    phase_lag_percent: float | None
    phase_lag_s: float | None

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Strides:
    """Torque of strides from peak hip flexion to peak hip flexion, (n_stride, 101), Nm/kg."""

    torque: Array
    duration: Array


@dataclass(frozen=True)
class Curves:
    """Mean strides of one side, from peak hip flexion to peak hip flexion; (101,) arrays, Nm/kg.

    Attributes
    ----------
    side : right or left
    measured, spread : of the log: mean and standard deviation over its strides
    simulated : mean of the trial
    """

    side: str
    measured: Array
    spread: Array
    simulated: Array


def curves(log: Log, trial: Trial) -> list[Curves]:
    """The curves that `score` compares; raises as it does."""
    pairs = zip(SIDES, _of_log(log), _of_trial(trial))
    return [
        Curves(side, strides.torque.mean(axis=0), strides.torque.std(axis=0), reference)
        for side, strides, reference in pairs
    ]


def score(log: Log, trial: Trial) -> list[Score]:
    """Compare the torque of a log with the exo torque of a trial.

    Parameters
    ----------
    log : Log
        Counts where the whole torque was on, in shadow mode where it would have been. Where the
        device's own policy acted, what the device measured counts, else what the limiter let
        through.
    trial : Trial
        With ``exo_torque`` and coordinates of both hips and a body mass.

    Raises
    ------
    DataError
        One of the two holds no whole stride, or the trial lacks what is needed.
    """
    simulated, measured = _of_trial(trial), _of_log(log)
    rows = [
        _row(trial.info.name, side, measured[i], [simulated[i]] * len(measured[i].torque))
        for i, side in enumerate(SIDES)
    ]
    both = Strides(
        np.concatenate([part.torque for part in measured]),
        np.concatenate([part.duration for part in measured]),
    )
    references = [curve for curve, part in zip(simulated, measured) for _ in part.torque]
    return [*rows, _row(trial.info.name, "both", both, references)]


def flexion_peaks(angle: Array, rise: float = RISE) -> list[int]:
    """Places of the maxima of a hip angle (rad) that stand out by `rise` on both sides."""
    peaks: list[int] = []
    low = high = float(angle[0])
    place = 0
    risen = False
    for i, value in enumerate(angle):
        if value > high:
            high, place = float(value), i
        if value < low:
            low = float(value)
        if not risen and value > low + rise:
            risen, high, place = True, float(value), i
        if risen and value < high - rise:
            peaks.append(place)
            risen, low = False, float(value)
            high = low
    return peaks


def _strides(time: Array, angle: Array, torque: Array, what: str) -> Strides:
    """Strides of one side; torque in Nm/kg."""
    peaks = flexion_peaks(angle)
    curves, durations = [], []
    for start, end in zip(peaks, peaks[1:]):
        duration = float(time[end] - time[start])
        if SHORTEST <= duration <= LONGEST:
            at = np.linspace(time[start], time[end], N_POINT)
            curves.append(np.interp(at, time, torque))
            durations.append(duration)
    if not curves:
        raise DataError(
            f"{what} holds no whole stride of {SHORTEST} to {LONGEST} s between two peaks of hip "
            f"flexion of {RISE} rad. Record at least two strides of walking at full torque."
        )
    return Strides(np.array(curves), np.array(durations))


def _of_trial(trial: Trial) -> list[Array]:
    """Mean stride of each side, (101,), Nm/kg."""
    info = trial.info
    for name in HIPS:
        if name not in trial.exo_torque or name not in trial.coordinates:
            raise DataError(
                f"Trial '{info.name}' lacks exo torque or angle of {name}. Its exo torques are: "
                f"{', '.join(trial.exo_torque.names) or 'none'}."
            )
    if not info.body_mass > 0.0:
        raise DataError(f"Trial '{info.name}' has no body mass; torque per kg is compared.")
    time, copies = trial.time - trial.time[0], 1
    if info.stride:
        # One stride holds no two peaks of its own.
        copies = 4
        time = np.concatenate([time[:-1] + k * time[-1] for k in range(copies)])
    curves = []
    for name in HIPS:
        angle, torque = trial.coordinates[name], trial.exo_torque[name] / info.body_mass
        if copies > 1:
            angle, torque = np.tile(angle[:-1], copies), np.tile(torque[:-1], copies)
        curves.append(_strides(time, angle, torque, f"Trial '{info.name}'").torque.mean(axis=0))
    return curves


def _of_log(log: Log) -> list[Strides]:
    time, angle, torque = [], [], []
    for packet, output in samples(log):
        if output.gain == 1.0 and isinstance(packet.body, Sensors):
            reading = Reading.of(packet.time_us, packet.body)
            time.append(reading.time)
            angle.append(reading.angle)
            torque.append(reading.torque if log.settings.onboard else output.limited)
    what = f"'{log.path}'"
    if len(time) < 2:
        raise DataError(f"{what} holds no period at full torque, armed or computed.")
    t, a = np.array(time), np.array(angle)
    u = np.array(torque) / log.settings.mass
    return [_strides(t, a[:, i], u[:, i], what) for i in (0, 1)]


def _row(condition: str, side: str, strides: Strides, references: list[Array]) -> Score:
    pairs = list(zip(strides.torque, references))
    errors = [float(np.sqrt(np.mean((a - b) ** 2))) for a, b in pairs]
    moves = all(np.ptp(a) > 0.0 and np.ptp(b) > 0.0 for a, b in pairs)
    r = [float(np.corrcoef(a, b)[0, 1]) for a, b in pairs] if moves else []
    lag = _lag(strides.torque.mean(axis=0), np.mean(references, axis=0)) if moves else None
    return Score(
        condition,
        side,
        len(pairs),
        float(np.mean(r)) if r else None,
        float(np.std(r)) if r else None,
        float(np.mean(errors)),
        float(np.std(errors)),
        lag,
        None if lag is None else lag / 100.0 * float(strides.duration.mean()),
    )


def _lag(measured: Array, reference: Array) -> float:
    """How much later `measured` is, % of the stride: peak of the circular cross-correlation."""
    a, b = measured[:-1] - measured[:-1].mean(), reference[:-1] - reference[:-1].mean()
    n = len(a)
    correlation = np.fft.irfft(np.fft.rfft(a) * np.conj(np.fft.rfft(b)), n)
    best = int(np.argmax(correlation))
    before, here, after = (correlation[(best + k) % n] for k in (-1, 0, 1))
    curve = before - 2.0 * here + after
    fine = 0.5 * (before - after) / curve if curve < 0.0 else 0.0
    lag = (best + fine) / n * 100.0
    return float(lag - 100.0 if lag > 50.0 else lag)
