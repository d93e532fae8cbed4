"""Fixtures shared by every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of reference data made by others; never part of the project."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("reference data (shared/data beside the project) is not on this machine")
    return folder


@pytest.fixture(scope="session", autouse=True)
def no_log_left_behind() -> Iterator[None]:
    """OpenSim writes no log into the folder that the tests were started from."""
    log = Path.cwd() / "opensim.log"
    was_there = log.exists()
    yield
    assert was_there or not log.exists(), (
        "A test made OpenSim write opensim.log; remove the file sink before the first message."
    )
