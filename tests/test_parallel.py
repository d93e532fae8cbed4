"""One seam for processes, Dask and Ray: the same results in all, and clear words without them."""

import builtins
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from osim_exo.errors import InputError, MissingExtraError
from osim_exo.parallel import BACKENDS, each, placed

MODULES = {"loky": "joblib", "dask": "distributed", "ray": "ray"}

each_backend = pytest.mark.parametrize(
    "backend",
    [
        pytest.param(
            name,
            marks=[
                pytest.mark.skipif(
                    find_spec(MODULES[name]) is None, reason=f"{MODULES[name]} is not installed"
                ),
                *([] if name == "loky" else [pytest.mark.slow]),
            ],
        )
        for name in BACKENDS
    ],
)


@each_backend
def test_every_call_comes_back_once_from_other_processes(backend):
    # Functions of the library: other processes cannot import what a test's file defines.
    with placed(backend, 2):
        found = list(each(pow, [(base, 3) for base in range(7)], 2))
        processes = set(each(os.getpid, [()] * 7, 2))
    assert sorted(found) == [base**3 for base in range(7)]
    assert processes and os.getpid() not in processes


def test_what_is_chosen_outside_is_left_alone():
    joblib = pytest.importorskip("joblib")
    with joblib.parallel_config(backend="threading"), placed(None, 2):
        assert set(each(os.getpid, [(), ()], 2)) == {os.getpid()}


@pytest.mark.parametrize(
    ("backend", "library", "extra"),
    [("loky", "joblib", "sim"), ("dask", "dask", "dask"), ("ray", "ray", "ray")],
)
def test_a_missing_library_is_told_with_its_extra(backend, library, extra, monkeypatch):
    plain = builtins.__import__

    def without(name, *rest, **more):
        if name.split(".")[0] == library:
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=rf"osim_exo\[{extra}\]"), placed(backend, 1):
        pass


def test_an_unknown_backend_and_an_address_without_a_cluster_are_refused():
    with pytest.raises(InputError, match="dask, loky, ray"), placed("slurm", 1):
        pass
    with pytest.raises(InputError, match="loky runs on this machine"), placed("loky", 1, "a:1"):
        pass


@pytest.mark.slow
def test_a_dask_scheduler_that_does_not_answer_is_named():
    pytest.importorskip("distributed")
    with (
        pytest.raises(InputError, match=r"No Dask cluster answers at tcp://127\.0\.0\.1:9"),
        placed("dask", 1, "tcp://127.0.0.1:9"),
    ):
        pass


INSIDE = """
from osim_exo.parallel import each, placed


def joints(n_env):
    from osim_exo.models import ModelConfig
    from osim_exo.physics import PhysicsPool

    with PhysicsPool(ModelConfig(), n_env, n_worker=1) as pool:
        return len(pool.names.coordinates)


if __name__ == "__main__":
    with placed("loky", 2):
        print(sorted(each(joints, [(1,), (2,)], 2)))
"""


def test_a_worker_can_start_processes_with_opensim_of_its_own(tmp_path):
    pytest.importorskip("opensim")
    script = tmp_path / "inside.py"
    script.write_text(INSIDE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    assert done.stdout.strip() == "[10, 10]", done.stderr[-2000:]
