"""Where studies come from: shipped with the package, or a user's Python or JSON file."""

from __future__ import annotations

import pkgutil
import runpy
from importlib import import_module
from importlib.resources import files
from pathlib import Path

from osim_exo.errors import DataError, InputError, check_option
from osim_exo.files import read_json
from osim_exo.study.actions import ActionSweep
from osim_exo.study.config import StudyConfig
from osim_exo.study.controllers import ControllerSweep
from osim_exo.study.device_realism import DeviceRealismSweep
from osim_exo.study.dose import DoseSweep
from osim_exo.study.impaired import ImpairedSweep
from osim_exo.study.robustness import RobustnessSweep
from osim_exo.study.sim_to_device import DeviceSweep
from osim_exo.study.sweep import Sweep

PACKAGE = "osim_exo.studies"

KINDS: dict[str, type[Sweep]] = {
    "actions": ActionSweep,
    "dose_response": DoseSweep,
    "controllers": ControllerSweep,
    "device_realism": DeviceRealismSweep,
    "impaired_gait": ImpairedSweep,
    "robustness": RobustnessSweep,
    "sim_to_device": DeviceSweep,
}
"""Kinds of sweeps, by the field ``kind`` of their configuration."""


def available() -> tuple[str, ...]:
    """Names of the shipped studies."""
    found = pkgutil.iter_modules([str(files(PACKAGE))])
    return tuple(sorted(module.name for module in found if not module.name.startswith("_")))


def load(name_or_file: str | Path) -> StudyConfig | Sweep:
    """A study's configuration.

    Parameters
    ----------
    name_or_file : a shipped study's name, a Python file with ``CONFIG = StudyConfig(...)``, which
        is run, or a .json file with the fields of `StudyConfig`; a sweep's configuration in its
        place, which in a .json file has a ``kind``

    Raises
    ------
    InputError
        There is no such study, or a field has a wrong value.
    DataError
        The file cannot be read or holds no configuration.
    """
    if str(name_or_file) in available():
        shipped: StudyConfig | Sweep = import_module(f"{PACKAGE}.{name_or_file}").CONFIG
        return shipped
    path = Path(name_or_file)
    if path.is_file() and path.suffix == ".json":
        try:
            return _of_fields(read_json(path))
        except DataError:
            raise
        except InputError as error:
            raise InputError(f"'{path}': {error}") from None
    if path.is_file() and path.suffix == ".py":
        return _from_python(path)
    raise InputError(
        f"Unknown study '{name_or_file}'. Shipped studies: {', '.join(available())}; or give the "
        "path of an existing .py file with CONFIG = StudyConfig(...), or of a .json file with its "
        "fields."
    )


def _of_fields(content: object) -> StudyConfig | Sweep:
    """The configuration whose fields these are."""
    if isinstance(content, dict) and "kind" in content:
        check_option("kind", str(content["kind"]), KINDS)
        return KINDS[str(content["kind"])].model_validate(content)
    return StudyConfig.model_validate(content)


def _from_python(path: Path) -> StudyConfig | Sweep:
    try:
        config = runpy.run_path(str(path)).get("CONFIG")
    except InputError as error:
        raise InputError(f"'{path}': {error}") from None
    except Exception as error:
        # The file is the user's own program: whatever it raises is a fault of the input.
        raise DataError(
            f"'{path}' cannot be run as a study: {type(error).__name__}: {error}. Correct it, or "
            "run it with python to see where it fails."
        ) from error
    if not isinstance(config, StudyConfig | Sweep):
        raise DataError(
            f"'{path}' holds no study. It must set CONFIG = StudyConfig(...), or a sweep, from "
            "osim_exo.study."
        )
    return config
