"""Where pieces of work run: processes here, a Dask cluster or a Ray cluster, all through joblib."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from typing import Any, Literal, TypeVar

from osim_exo.errors import InputError, MissingExtraError, check_option

Backend = Literal["loky", "dask", "ray"]

BACKENDS: tuple[Backend, ...] = ("loky", "dask", "ray")

Result = TypeVar("Result")

DASK_ADDRESS = "DASK_SCHEDULER_ADDRESS"
RAY_ADDRESS = "RAY_ADDRESS"
"""Where both libraries themselves look for a cluster that runs already."""


@contextmanager
def placed(backend: Backend | None, jobs: int, address: str | None = None) -> Iterator[None]:
    """Let all `each` inside run there.

    Parameters
    ----------
    backend : ``loky``: processes on this machine; ``dask`` or ``ray``: a cluster; None: whatever
        ``joblib.parallel_config`` says outside
    jobs : workers of a local cluster that is started for the time inside
    address : of a cluster that runs already, as ``tcp://host:8786`` for Dask, ``auto`` for the Ray
        cluster of this machine; by default that of the environment variable
        ``DASK_SCHEDULER_ADDRESS`` or ``RAY_ADDRESS``, else a local cluster is started. Machines of
        a cluster must see the output folder and have osim_exo installed.

    Raises
    ------
    MissingExtraError
        The library is not installed.
    InputError
        The backend is unknown, or no cluster answers at the address.
    """
    if backend is None:
        yield
        return
    check_option("backend", backend, BACKENDS)
    if backend == "loky" and address is not None:
        raise InputError(
            f"The address {address} was given, but loky runs on this machine only. Choose backend "
            "dask or ray, or leave out the address."
        )
    start = {"loky": _loky, "dask": _dask, "ray": _ray}[backend]
    with start(jobs, address):
        yield


def each(
    function: Callable[..., Result], calls: Iterable[tuple[Any, ...]], jobs: int
) -> Iterator[Result]:
    """Results of many calls in the order in which they come.

    On Ray, whose joblib backend hands over no single results, they come when all are there.

    Parameters
    ----------
    function : importable in any process
    calls : arguments of each call; they and the results are pickled
    jobs : calls at a time
    """
    Parallel, delayed = _joblib()
    from joblib.parallel import get_active_backend

    streams = get_active_backend()[0].supports_return_generator
    pool = Parallel(n_jobs=jobs, return_as="generator_unordered" if streams else "list")
    yield from pool(delayed(function)(*arguments) for arguments in calls)


def spawning() -> SpawnContext:
    """What starts processes of our own, also inside of a worker.

    A worker of joblib names its own way of starting as the usual one, and tells it to every process
    that it spawns, which does not know it and ends.
    """
    if multiprocessing.get_start_method(allow_none=True) not in (
        None,
        *multiprocessing.get_all_start_methods(),
    ):
        multiprocessing.set_start_method("spawn", force=True)
    return multiprocessing.get_context("spawn")


def _joblib() -> tuple[Any, Any]:
    try:
        from joblib import Parallel, delayed
    except ImportError as error:
        raise MissingExtraError("joblib", "sim") from error
    return Parallel, delayed


@contextmanager
def _loky(jobs: int, address: str | None) -> Iterator[None]:
    _joblib()
    from joblib import parallel_config

    with parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1):
        yield


@contextmanager
def _dask(jobs: int, address: str | None) -> Iterator[None]:
    _joblib()
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingExtraError("dask.distributed", "dask") from error
    from joblib import parallel_config

    where = address or os.environ.get(DASK_ADDRESS)
    # Workers start processes of their own, for instance those with OpenSim; daemons may not.
    with dask.config.set({"distributed.worker.daemon": False}):
        if where is not None:
            try:
                client = Client(where, timeout="10s")
            except (OSError, TimeoutError, ValueError) as error:
                raise InputError(_silent("Dask", where, error)) from None
            with client, parallel_config(backend="dask"):
                yield
            return
        cluster = LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
        with cluster, Client(cluster), parallel_config(backend="dask", n_jobs=jobs):
            yield


@contextmanager
def _ray(jobs: int, address: str | None) -> Iterator[None]:
    _joblib()
    # A library that is called by another one does not report on its users.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    from joblib import parallel_config

    ours = not ray.is_initialized()
    where = address or os.environ.get(RAY_ADDRESS)
    if ours:
        quiet = {"log_to_driver": False, "configure_logging": False}
        try:
            if where is not None:
                ray.init(address=where, **quiet)
            else:
                ray.init(num_cpus=jobs, include_dashboard=False, **quiet)
        except (ConnectionError, ValueError) as error:
            raise InputError(_silent("Ray", where or "this machine", error)) from None
    register_ray()
    try:
        with parallel_config(backend="ray", n_jobs=jobs):
            yield
    finally:
        if ours:
            ray.shutdown()


def _silent(kind: str, where: str, error: Exception) -> str:
    reason = str(error).strip().partition("\n")[0].rstrip(".")
    return (
        f"No {kind} cluster answers at {where} ({reason or type(error).__name__}). Start one "
        "there, correct the address, or leave it out to start a local one."
    )
