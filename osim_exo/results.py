"""From trials on disk to results on disk: what `compare`, `report` and every study share.

A results folder holds ``study.json``, ``comparison.json``, ``comparison.csv``, ``report.html`` and,
if a study made it, ``trials/``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self

from pydantic import Field, model_validator

from osim_exo.config import Config
from osim_exo.errors import DataError, InputError
from osim_exo.files import MARKER, read_json
from osim_exo.names import Condition
from osim_exo.trial import Trial, TrialInfo

if TYPE_CHECKING:
    from osim_exo.analysis.cohort import Cohort
    from osim_exo.analysis.compare import Comparison
    from osim_exo.analysis.plates import Drawing

ALLOWED = (
    "Allowed are a trial folder (it holds trial.json), a study's output folder or another folder "
    "of trial folders, and a .toml file that describes a measured walk."
)


class MeasuredWalk(Config):
    """A measured walk as a .toml file describes it; paths are relative to that file."""

    name: str = Field(min_length=1, description="label in tables and figures")
    coordinates: Path | None = Field(
        default=None, description=".mot or .sto of inverse kinematics; this or c3d"
    )
    c3d: Path | None = Field(default=None, description=".c3d with force plates, markers or both")
    plates: dict[Literal["r", "l"], int] = Field(
        default_factory=dict, description="of the c3d: force plate under each foot, from 0"
    )
    markers: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict,
        description="of the c3d: marker or markers of pelvis, heel_r, toe_r, heel_l, toe_l",
    )
    forward: str | None = Field(default=None, description="of the c3d: axis of walking, as +x")
    up: str | None = Field(default=None, description="of the c3d: axis that points up, as +z")
    grf: Path | None = Field(default=None, description="external loads .mot of both feet")
    moments: Path | None = Field(default=None, description=".sto of inverse dynamics")
    activations: Path | None = Field(default=None, description=".sto or .mot by muscle")
    body_mass: float = Field(gt=0.0, le=300.0, description="without device, kg")
    condition: Condition = "no_exo"
    controller: str = "none"
    subject: str = "reference"
    height: float | None = Field(default=None, gt=0.0, le=2.5, description="m")
    exo_mass: float = Field(default=0.0, ge=0.0, le=50.0, description="kg")
    speed: float | None = Field(default=None, gt=0.0, le=3.0, description="m/s")
    slope_deg: float = Field(default=0.0, ge=-15.0, le=15.0, description="degrees, uphill positive")
    cutoff_hz: float = Field(default=6.0, gt=0.0, description="low-pass of the coordinates, Hz")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.coordinates is None) == (self.c3d is None):
            raise ValueError(
                "give either coordinates (inverse kinematics, with grf, moments and activations "
                "where known) or c3d (with plates, markers or both)"
            )
        others = [n for n in ("grf", "moments", "activations") if getattr(self, n) is not None]
        if self.c3d is not None and others:
            raise ValueError(f"{', '.join(others)} belong to coordinates, not to c3d")
        of_c3d = [n for n in ("plates", "markers", "forward", "up") if getattr(self, n)]
        if self.c3d is None and of_c3d:
            raise ValueError(f"{', '.join(of_c3d)} belong to c3d, not to coordinates")
        return self

    def read(self, folder: Path) -> Trial:
        """The trial, its files looked for in `folder`."""
        from osim_exo import io

        nan = float("nan")
        info = TrialInfo(
            name=self.name,
            condition=self.condition,
            controller=self.controller,
            physics="measured",
            subject=self.subject,
            body_mass=self.body_mass,
            height=self.height or nan,
            exo_mass=self.exo_mass,
            speed=self.speed or nan,
            slope_deg=self.slope_deg,
        )
        if self.c3d is not None:
            return io.read_measured_c3d(
                folder / self.c3d,
                info,
                plates={str(side): number for side, number in self.plates.items()},
                markers=self.markers,
                forward=self.forward,
                up=self.up,
            )
        return io.read_measured(
            folder / (self.coordinates or ""),
            info,
            grf=folder / self.grf if self.grf else None,
            moments=folder / self.moments if self.moments else None,
            activations=folder / self.activations if self.activations else None,
            cutoff_hz=self.cutoff_hz,
        )


def read_trials(paths: Iterable[Path]) -> list[Trial]:
    """Every trial that `paths` name, in their order.

    Parameters
    ----------
    paths : trial folders, folders that hold trial folders (directly or in ``trials/``), and
        ``.toml`` files after `MeasuredWalk`

    Raises
    ------
    DataError
        A path is missing, is none of these, holds no trial, or a file in it is malformed.
    InputError
        A .toml file has unknown or impossible values.
    """
    return [trial for path in paths for trial in _read(path)]


def _read(path: Path) -> Iterator[Trial]:
    if path.is_dir():
        from osim_exo import io

        for folder in _trial_folders(path):
            yield io.read_trial(folder)
    elif path.suffix == ".toml" and path.is_file():
        yield _read_described(path)
    elif path.suffix.lower() == ".c3d" and path.is_file():
        _refuse_bare_c3d(path)
    elif path.exists():
        raise DataError(f"'{path}' is not a trial. {ALLOWED}")
    else:
        raise DataError(f"There is no '{path}'. {ALLOWED}")


def _refuse_bare_c3d(path: Path) -> NoReturn:
    """Say what is wrong with a C3D file, or what must be told beside it to use it."""
    from osim_exo import io
    from osim_exo.io.measured_c3d import CANNOT, contents

    held = contents(io.read_c3d(path))
    raise DataError(
        f"'{path}' can be read, but does not say who walked how. {held} Describe the walk in a "
        f'.toml file beside it and give that: name = "...", c3d = "{path.name}", body_mass = ..., '
        'condition = "no_exo" (or zero_torque, assisted), then plates = { r = 0, l = 1 } where '
        "each foot has its own plate, and markers with pelvis, heel_r, toe_r, heel_l and toe_l. "
        + CANNOT
    )


def _trial_folders(folder: Path) -> list[Path]:
    if (folder / "trial.json").is_file():
        return [folder]
    above = folder / "trials" if (folder / "trials").is_dir() else folder
    below = (path.parent for path in above.rglob("trial.json"))
    # A folder whose name begins with a dot is being written, or was when its writer was killed.
    found = sorted(
        path for path in below if not any(p.startswith(".") for p in path.relative_to(above).parts)
    )
    if not found:
        raise DataError(f"The folder '{folder}' holds no trial. {ALLOWED}")
    return found


def _read_described(path: Path) -> Trial:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' is not a TOML file: {error}.") from None
    try:
        return MeasuredWalk.model_validate(content).read(path.parent)
    except DataError as error:
        raise DataError(f"'{path}': {error}") from None
    except InputError as error:
        raise InputError(f"'{path}': {error}") from None


def read_record(folder: Path) -> dict[str, Any]:
    """Content of a results folder's ``study.json``; empty where there is none.

    Raises
    ------
    DataError
        The file is malformed.
    """
    path = folder / MARKER
    if not path.is_file():
        return {}
    record = read_json(path)
    if not isinstance(record, dict):
        raise DataError(f"'{path}' holds no dictionary. Run the study again in a new folder.")
    return record


def write_results(
    folder: Path,
    trials: Sequence[Trial],
    record: Mapping[str, Any],
    *,
    seed: int = 0,
    units: str | None = None,
    curves: str = "permutation",
    cohort: Cohort | None = None,
    further: Sequence[Drawing] = (),
) -> Comparison:
    """Compare `trials` and write comparison.json, comparison.csv and report.html.

    Parameters
    ----------
    folder : results folder; each file is replaced in one step
    trials : any subset of arms
    record : what ``study.json`` holds; ``study`` names the comparison, ``title``, ``question``,
        ``configuration``, ``provenance`` and ``gates`` go into the report
    seed : of the permutation tests
    units, curves : see `osim_exo.analysis.compare.compare`
    cohort : what is compared, where it was measured of longer walks than `trials` hold, which then
        are only drawn
    further : figures for the report, before those of each walk

    Returns
    -------
    Comparison
        What was written, for printing.

    Raises
    ------
    InputError
        The trials cannot be compared.
    MissingExtraError
        A library of the report is not installed; the comparison is written before. Or spm1d was
        asked for and is not; then nothing is written.
    """
    from osim_exo.analysis.cohort import gather
    from osim_exo.analysis.compare import compare_cohort
    from osim_exo.analysis.report import write_report

    name = str(record.get("study", folder.name))
    known = gather(trials, units) if cohort is None else cohort
    comparison = compare_cohort(known, study=name, seed=seed, curves=curves)
    comparison.to_json(folder / "comparison.json")
    comparison.to_csv(folder / "comparison.csv")
    write_report(folder / "report.html", comparison, trials, {"name": name, **record}, further)
    return comparison
