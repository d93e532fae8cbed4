"""Gait events: heel strikes and toe offs from ground reaction forces or from kinematics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from osim_exo.errors import DataError
from osim_exo.names import SIDES
from osim_exo.trial import Array, Trial

FORCE_THRESHOLD = 20.0
"""Vertical force above which a foot is on the ground, N."""

SHORTEST_PHASE = 0.1
"""Contacts, and gaps between contacts, shorter than this are noise, s."""

PHASE_TOLERANCE = 0.1
"""How far right heel strike may lie from the start of a periodic stride, share of the stride."""

SEGMENTS_PER_HEIGHT = {"thigh": 0.245, "shank": 0.246, "ankle": 0.039, "heel": -0.03, "toe": 0.12}
"""Per body height: lengths of thigh and shank, height of the ankle over the sole, and how far heel
and toe lie in front of the ankle (Drillis & Contini 1966; Winter 2009; the heel takes a fifth of
the foot's 0.152)."""

TYPICAL_HEIGHT = 1.7
"""Body height taken where a trial does not know it, m; event times hardly depend on it."""


@dataclass(frozen=True)
class GaitEvents:
    """When the feet meet and leave the ground.

    Attributes
    ----------
    heel_strikes, toe_offs : by side ``r`` and ``l``; (n_event,) arrays, s, increasing
    method : ``grf`` or ``kinematic``
    """

    heel_strikes: Mapping[str, Array]
    toe_offs: Mapping[str, Array]
    method: str


def find_events(trial: Trial, threshold: float = FORCE_THRESHOLD) -> GaitEvents:
    """Heel strikes and toe offs of a trial.

    Ground reaction forces are used where they give at least one whole right stride, by linear
    interpolation of the crossing of `threshold`. Otherwise events come from kinematics (Zeni et
    al. 2008, Gait Posture 27:710-714): heel strike where the foot is farthest in front of the
    pelvis, toe off where it is farthest behind.

    A trial that is one periodic stride starts at right heel strike by definition; its other events
    are found on the repeated stride and lie within it. Both of its right heel strikes are given.

    Parameters
    ----------
    trial : with ``ground_force_{r,l}_vy``, or with points or leg coordinates
    threshold : N

    Raises
    ------
    DataError
        Neither forces nor kinematics show a whole right stride, or a periodic stride does not
        start at right heel strike.
    """
    events = None
    if all(f"ground_force_{s}_vy" in trial.grf for s in SIDES):
        events = _from_forces(trial, threshold)
    if events is None:
        events = _from_kinematics(trial)
    if events is None:
        raise DataError(
            f"Trial '{trial.info.name}' ({trial.duration:.2f} s) holds no whole right stride. "
            "Two right heel strikes are needed, in ground_force_r_vy and ground_force_l_vy or in "
            "the leg coordinates: record longer, or set info.stride for one periodic stride."
        )
    return events


def foot_position(trial: Trial, side: str, part: str = "heel") -> Array | None:
    """Position of heel or toe along x relative to the pelvis, (n_time,) m; None if not known.

    From the landmarks ``heel_<side>`` or ``toe_<side>`` and ``pelvis``, or ``hip_r`` and ``hip_l``,
    of the trial's points; without them from pelvis tilt, hip, knee and ankle angle with segment
    lengths from body height.
    """
    place, pelvis = f"{part}_{side}.x", _pelvis_position(trial)
    if place in trial.points and pelvis is not None:
        return trial.points[place] - pelvis
    needed = ("pelvis_tilt", f"hip_flexion_{side}", f"knee_angle_{side}", f"ankle_angle_{side}")
    if not all(n in trial.coordinates for n in needed):
        return None
    tilt, hip, knee, ankle = (trial.coordinates[n] for n in needed)
    lengths = SEGMENTS_PER_HEIGHT
    thigh = tilt + hip
    shank = thigh - knee_flexion_sign(trial) * knee
    foot = shank + ankle
    x = lengths["thigh"] * np.sin(thigh) + lengths["shank"] * np.sin(shank)
    x = x + lengths[part] * np.cos(foot) + lengths["ankle"] * np.sin(foot)
    height = trial.info.height if np.isfinite(trial.info.height) else TYPICAL_HEIGHT
    return np.asarray(height * x)


def _pelvis_position(trial: Trial) -> Array | None:
    if "pelvis.x" in trial.points:
        return trial.points["pelvis.x"]
    if "hip_r.x" in trial.points and "hip_l.x" in trial.points:
        return np.asarray((trial.points["hip_r.x"] + trial.points["hip_l.x"]) / 2)
    return None


def knee_flexion_sign(trial: Trial) -> float:
    """Sign of ``knee_angle`` in flexion: -1 unless ``info.provenance["knee_flexion_sign"]`` is 1.

    The planar model and the gait10dof18musc family bend the knee towards negative angles, Rajagopal
    et al. 2016 towards positive ones.
    """
    return float(np.sign(trial.info.provenance.get("knee_flexion_sign", -1)))


def repeat(trial: Trial, values: Array) -> tuple[Array, Array]:
    """Three periods of a periodic stride's signals, (n,) or (n, channel): one before, one after.

    What a signal gains over the stride (forward travel) it gains in every period.
    """
    time = np.concatenate([trial.time[:-1] + k * trial.duration for k in (-1, 0, 1)])
    gain = values[-1] - values[0]
    return time, np.concatenate([values[:-1] + k * gain for k in (-1, 0, 1)])


def _from_forces(trial: Trial, threshold: float) -> GaitEvents | None:
    strikes, offs = {}, {}
    for side in SIDES:
        load = trial.grf[f"ground_force_{side}_vy"]
        time = trial.time
        if trial.info.stride:
            time, load = repeat(trial, load)
        strikes[side], offs[side] = _crossings(time, load, threshold)
    return _assemble(trial, strikes, offs, "grf")


def _from_kinematics(trial: Trial) -> GaitEvents | None:
    strikes, offs = {}, {}
    for side in SIDES:
        heel, toe = foot_position(trial, side, "heel"), foot_position(trial, side, "toe")
        if heel is None or toe is None:
            return None
        time, both = trial.time, np.stack([heel, toe], axis=1)
        if trial.info.stride:
            time, both = repeat(trial, both)
        strikes[side] = _peaks(time, both[:, 0])
        offs[side] = _peaks(time, -both[:, 1])
    return _assemble(trial, strikes, offs, "kinematic")


def _assemble(
    trial: Trial, strikes: dict[str, Array], offs: dict[str, Array], method: str
) -> GaitEvents | None:
    if not trial.info.stride:
        events = GaitEvents(strikes, offs, method)
        return events if strikes["r"].size > 1 else None
    if not all(strikes[s].size and offs[s].size for s in SIDES):
        return None
    start, end = float(trial.time[0]), float(trial.time[-1])
    away = np.abs(strikes["r"] - start).min() / trial.duration
    if away > PHASE_TOLERANCE and method == "grf":
        raise DataError(
            f"Trial '{trial.info.name}' is marked as one stride from right heel strike, but its "
            f"right heel strike lies {100 * away:.0f} % of the stride away from its start. Shift "
            "the stride so that it starts there."
        )
    return GaitEvents(
        {"r": np.array([start, end]), "l": _within(strikes["l"], start, end)},
        {side: _within(offs[side], start, end) for side in SIDES},
        method,
    )


def _within(times: Array, start: float, end: float) -> Array:
    return times[(times >= start) & (times < end)]


def _crossings(time: Array, load: Array, threshold: float) -> tuple[Array, Array]:
    """Times at which the load rises above and falls below the threshold, without short phases."""
    down = load > threshold
    edges = np.flatnonzero(np.diff(down.astype(int)))
    share = (threshold - load[edges]) / (load[edges + 1] - load[edges])
    at = time[edges] + share * (time[edges + 1] - time[edges])
    rising = ~down[edges]
    while at.size > 1:
        short = np.flatnonzero(np.diff(at) < SHORTEST_PHASE)
        if not short.size:
            break
        keep = np.ones(at.size, dtype=bool)
        keep[short[0] : short[0] + 2] = False
        at, rising = at[keep], rising[keep]
    return at[rising], at[~rising]


def _peaks(time: Array, signal: Array) -> Array:
    """One maximum per stretch above the middle of the range, refined by a parabola."""
    high = signal > 0.5 * (signal.max() + signal.min())
    edges = np.flatnonzero(np.diff(high.astype(int)))
    found = []
    for first, last in zip(edges[:-1], edges[1:]):
        if not high[first + 1] or time[last] - time[first] < SHORTEST_PHASE:
            continue
        k = int(first + 1 + np.argmax(signal[first + 1 : last + 1]))
        before, top, after = signal[k - 1 : k + 2]
        bend = before - 2 * top + after
        shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
        found.append(time[k] + shift * 0.5 * (time[k + 1] - time[k - 1]))
    return np.array(found)
