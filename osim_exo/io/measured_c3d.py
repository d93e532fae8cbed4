"""A measured walk straight from a C3D file: forces, and landmarks from markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from osim_exo.errors import DataError
from osim_exo.io.c3d_file import Recording, read_c3d
from osim_exo.io.force_plates import CONTACT_FORCE
from osim_exo.names import SIDES
from osim_exo.trial import Array, Channels, Trial, TrialInfo

LANDMARKS = ("pelvis", "heel_r", "toe_r", "heel_l", "toe_l")
"""Landmarks that gait events and step lengths need."""

LONGEST_GAP = 0.1
"""s; a marker that was not seen for longer is not filled in."""

CANNOT = (
    "A C3D file gives gait events, spatiotemporal parameters and ground reaction forces; joint "
    "angles, moments, muscle activations and metabolic cost need inverse kinematics and dynamics "
    "in OpenSim (fields coordinates, grf, moments, activations)."
)


def read_measured_c3d(
    path: str | Path,
    info: TrialInfo,
    *,
    plates: Mapping[str, int] | None = None,
    markers: Mapping[str, str | Sequence[str]] | None = None,
    forward: str | None = None,
    up: str | None = None,
) -> Trial:
    """A trial from a C3D file's force plates and markers; no joint angles.

    Parameters
    ----------
    path : .c3d
    info : what is known of the trial; ``physics`` becomes ``measured``
    plates : number, from 0, of the force plate under the ``r`` and under the ``l`` foot
    markers : marker name by landmark (`LANDMARKS`); several names mean the middle of them
    forward, up : laboratory axes, as in `osim_exo.io.read_c3d`

    Returns
    -------
    Trial
        With ``grf`` where `plates` are given, ``points`` and ``pelvis_tx`` where `markers` are.

    Raises
    ------
    DataError
        The file is malformed, lacks what was named, shows no whole stride on the plates, or
        neither plates nor markers were named.
    """
    recording = read_c3d(path, forward, up)
    if not plates and not markers:
        raise DataError(f"{path}: {contents(recording)} Name plates, markers or both. {CANNOT}")
    series: dict[str, Channels] = {}
    time = recording.analog_time if plates else recording.markers.time
    if plates:
        series["grf"] = _forces(recording, plates, str(path))
    if markers:
        time, points = _points(recording, markers, time, str(path))
        series["points"] = points
        series["coordinates"] = Channels(("pelvis_tx",), points["pelvis.x"][:, None])
        if plates:
            inside = np.isin(recording.analog_time, time)
            series["grf"] = Channels(series["grf"].names, series["grf"].values[inside])
    provenance = {**info.provenance, "source": Path(path).name}
    return Trial.build(time, replace(info, physics="measured", provenance=provenance), **series)


def contents(recording: Recording) -> str:
    """What a recording holds, in a sentence."""
    names = recording.markers.names
    shown = ", ".join(names[:40]) + (" ..." if len(names) > 40 else "")
    plates = len(recording.plates)
    return (
        f"The file holds {recording.markers.time[-1]:.2f} s of {len(names)} markers ({shown}) and "
        f"{plates} force plate{'' if plates == 1 else 's'}."
    )


def _forces(recording: Recording, plates: Mapping[str, int], path: str) -> Channels:
    if set(plates) != set(SIDES):
        raise DataError(
            f"{path}: plates name {', '.join(plates)}; the plate of each foot is needed, as in "
            "plates = { r = 0, l = 1 }."
        )
    if plates["r"] == plates["l"]:
        raise DataError(f"{path}: both feet are on plate {plates['r']}; each needs its own.")
    forces = recording.ground_reaction(plates)
    right, left = (forces[f"ground_force_{side}_vy"] for side in SIDES)
    on = right > CONTACT_FORCE
    strikes = np.flatnonzero(on[1:] & ~on[:-1])
    # Someone who walks always has a foot on the ground: without load a foot stood elsewhere.
    whole = len(strikes) > 1 and bool(
        ((right + left)[strikes[0] + 1 : strikes[-1]] > CONTACT_FORCE).all()
    )
    if not whole:
        raise DataError(
            f"{path}: the right foot lands {len(strikes)} time(s) on plate {plates['r']}, and the "
            "plates do not carry the body from one of its heel strikes to the next. Ground "
            "reaction metrics need whole strides on the plates (a treadmill with two belts, or "
            "plates in a row joined by other software). Leave out plates and name markers to "
            "compare events and spatiotemporal parameters."
        )
    return forces


def _points(
    recording: Recording, markers: Mapping[str, str | Sequence[str]], time: Array, path: str
) -> tuple[Array, Channels]:
    """The times at which every landmark is known, and the landmarks there."""
    missing = [name for name in LANDMARKS if name not in markers]
    unknown = [name for name in markers if name not in LANDMARKS]
    if missing or unknown:
        raise DataError(
            f"{path}: markers lack {', '.join(missing) or 'nothing'} and name "
            f"{', '.join(unknown) or 'nothing'} that is no landmark; needed are "
            f"{', '.join(LANDMARKS)}, each with one marker of the file or several."
        )
    clock = recording.markers.time
    places = {}
    for landmark in LANDMARKS:
        names = markers[landmark]
        several = [names] if isinstance(names, str) else list(names)
        places[landmark] = np.mean([recording.markers[name] for name in several], axis=0)
    seen = [np.flatnonzero(np.isfinite(p).all(axis=1)) for p in places.values()]
    empty = [name for name, index in zip(LANDMARKS, seen) if index.size < 2]
    if empty:
        raise DataError(f"{path}: the markers of {', '.join(empty)} were never seen together.")
    start, end = max(int(i[0]) for i in seen), min(int(i[-1]) for i in seen)
    inside = time[(time >= clock[start] - 1e-9) & (time <= clock[end] + 1e-9)]
    columns = {}
    for (landmark, place), index in zip(places.items(), seen):
        used = index[(index >= start) & (index <= end)]
        gap = float(np.diff(clock[used]).max(initial=0.0))
        if used.size < 2 or gap > LONGEST_GAP:
            raise DataError(
                f"{path}: the markers of {landmark} were not seen for {gap:.2f} s; at most "
                f"{LONGEST_GAP} s is filled in. Fill the gap or cut the recording."
            )
        for i, axis in enumerate("xyz"):
            columns[f"{landmark}.{axis}"] = np.interp(inside, clock[used], place[used, i])
    return inside, Channels(tuple(columns), np.column_stack(list(columns.values())))
