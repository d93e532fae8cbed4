"""Compiled programs of these tests are kept among themselves, not with the user's."""

import os
from collections.abc import Iterator

import pytest

from osim_exo.compiler.backends import cache


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder for compiled programs that lasts as long as the tests."""
    before = os.environ.get(cache.ENVIRONMENT)
    os.environ[cache.ENVIRONMENT] = before or str(tmp_path_factory.mktemp("programs"))
    yield
    if before is None:
        del os.environ[cache.ENVIRONMENT]
