"""A trial as a folder: trial.json and one .sto per time series, written in one step."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from osim_exo.errors import DataError
from osim_exo.files import read_json, to_json, write_text
from osim_exo.io.tables import read_table, write_table
from osim_exo.trial import SERIES, Channels, MuscleParameters, Trial, TrialInfo

SCHEMA_VERSION = 1
"""Version of the folder's layout; a reader refuses any other."""

_NAN_ALLOWED = ("body_mass", "height", "speed")


def write_trial(trial: Trial, folder: str | Path) -> Path:
    """Write a trial to `folder`: trial.json, one .sto per series and states.sto.

    ``states.sto`` opens as a motion in the OpenSim GUI and is written where
    ``info.provenance`` knows the model's paths: ``coordinate_paths`` maps a coordinate to its path
    (``/jointset/hip_r/hip_flexion_r``), ``muscle_paths`` a muscle to its path
    (``/forceset/soleus_r``). Everything is written to a temporary folder beside `folder` and then
    renamed; an earlier trial of that name is replaced.

    Raises
    ------
    DataError
        `folder` is there and holds something other than a trial, cannot be written, the trial has
        no series, or its provenance cannot be stored as JSON.
    """
    folder = Path(folder)
    present = [name for name in SERIES if len(getattr(trial, name))]
    if not present:
        raise DataError(f"Trial '{trial.info.name}' has no series; there is nothing to write.")
    if folder.exists() and not (folder / "trial.json").is_file():
        raise DataError(f"{folder} exists and is not a trial folder. Choose another folder.")
    text = _info_to_json(trial.info, present)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name in present:
            write_table(temporary / f"{name}.sto", trial.time, getattr(trial, name), name)
        states = _states(trial)
        if len(states):
            write_table(temporary / "states.sto", trial.time, states, "states")
        write_text(temporary / "trial.json", text)
        _replace(temporary, folder)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written: {error.strerror}. Choose a folder that you may write to."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def read_trial(folder: str | Path) -> Trial:
    """Read a folder that `write_trial` wrote; every number comes back exactly.

    Raises
    ------
    DataError
        The folder is no trial folder, has another schema version, or a file in it is malformed.
    """
    folder = Path(folder)
    path = folder / "trial.json"
    if not path.is_file():
        raise DataError(f"{folder} is not a trial folder: it has no trial.json.")
    data = read_json(path)
    if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
        raise DataError(f"{path}: schema_version must be {SCHEMA_VERSION}. Write the trial again.")
    try:
        info = _info_from_json(data["info"])
        names = [str(name) for name in data["series"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: malformed entry ({error}). Write the trial again.") from error
    unknown = set(names) - set(SERIES)
    if unknown or not names:
        raise DataError(f"{path}: series {sorted(unknown) or 'missing'}; known: {SERIES}.")
    tables = {name: read_table(folder / f"{name}.sto") for name in names}
    time = tables[names[0]].time
    for name, table in tables.items():
        if not np.array_equal(table.time, time):
            raise DataError(f"{folder / name}.sto has other times than {names[0]}.sto.")
    _check_joints(folder, {name: table.channels.names for name, table in tables.items()})
    return Trial.build(time, info, **{name: table.channels for name, table in tables.items()})


def _check_joints(folder: Path, names: Mapping[str, tuple[str, ...]]) -> None:
    """Every joint that speeds or moments name must have its angle."""
    if "coordinates" not in names:
        return
    for series in ("speeds", "moments"):
        lacking = [n for n in names.get(series, ()) if n not in names["coordinates"]]
        if lacking:
            raise DataError(
                f"{folder / 'coordinates.sto'} has no column {', '.join(lacking)}, which "
                f"{series}.sto has. Both must name the same joints: write the trial again."
            )


def _states(trial: Trial) -> Channels:
    """Coordinate values, speeds and activations under OpenSim's state names."""
    columns = dict(_state_columns(trial))
    if not columns:
        return Channels.empty(trial.time.size)
    return Channels(tuple(columns), np.column_stack(list(columns.values())))


def _state_columns(trial: Trial) -> Iterator[tuple[str, Any]]:
    coordinates = trial.info.provenance.get("coordinate_paths", {})
    muscles = trial.info.provenance.get("muscle_paths", {})
    for suffix, series, paths in (
        ("value", trial.coordinates, coordinates),
        ("speed", trial.speeds, coordinates),
        ("activation", trial.activations, muscles),
    ):
        for name in series.names:
            if name in paths:
                yield f"{paths[name]}/{suffix}", series[name]


def _replace(temporary: Path, folder: Path) -> None:
    """Put `temporary` in the place of `folder`; rename cannot replace a folder that has files."""
    if not folder.exists():
        os.replace(temporary, folder)
        return
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(old, ignore_errors=True)
    os.replace(folder, old)
    os.replace(temporary, folder)
    shutil.rmtree(old, ignore_errors=True)


def _info_to_json(info: TrialInfo, series: list[str]) -> str:
    data = {f.name: getattr(info, f.name) for f in fields(info)}
    data["muscles"] = {name: asdict(muscle) for name, muscle in info.muscles.items()}
    data["provenance"] = dict(info.provenance)
    for name in _NAN_ALLOWED:
        data[name] = None if math.isnan(data[name]) else data[name]
    content = {"schema_version": SCHEMA_VERSION, "info": data, "series": series}
    try:
        return to_json(content)
    except DataError as error:
        raise DataError(f"The info of trial '{info.name}' cannot be stored. {error}") from None


def _info_from_json(data: Mapping[str, Any]) -> TrialInfo:
    values = dict(data)
    for name in _NAN_ALLOWED:
        values[name] = math.nan if values[name] is None else float(values[name])
    values["muscles"] = {n: MuscleParameters(**m) for n, m in values["muscles"].items()}
    return TrialInfo(**values)
