"""A policy of random numbers, as a bundle and compiled for this machine."""

import ctypes
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle."""
    from tests.deploy.policies import write_policy

    return write_policy(tmp_path_factory.mktemp("policy") / "exo")


@pytest.fixture(scope="module")
def library(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Its export, compiled; one for each module, because a library has one device."""
    from osim_exo.deploy.export import export
    from osim_exo.deploy.host_c import build_library, host_compiler

    if host_compiler() is None:
        pytest.skip("there is no C compiler on this machine")
    work = tmp_path_factory.mktemp("c")
    export(folder, "c99", work / "out")
    return build_library(work / "out", work)
