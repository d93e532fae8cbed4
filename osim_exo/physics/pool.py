"""Several processes behind one physics: OpenSim holds Python's lock, so threads would not help."""

from __future__ import annotations

from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from osim_exo.device import DeviceState
from osim_exo.errors import InputError, OsimExoError, SimulationError, check_option
from osim_exo.models.recipe import ModelRecipe, as_recipe
from osim_exo.parallel import spawning
from osim_exo.physics.base import (
    Array,
    Mask,
    PhysicsNames,
    PhysicsState,
    StartState,
    checked_input,
)
from osim_exo.physics.worker import Facts, Readings, rebuilt, work

START_TIMEOUT = 300.0
"""s; a worker that has not built its model by then is given up."""


class PhysicsPool:
    """`OpenSimPhysics` in several processes, as one physics of `n_env` environments.

    Each worker builds its own model from the recipe, which must be picklable. Workers are spawned
    anew on every system, so that a script that makes a pool needs the usual
    ``if __name__ == "__main__":`` guard. Use it as a context manager, or call `close`.

    Parameters
    ----------
    source : ModelRecipe, str or Path
    n_env : int
    n_worker : int
        Processes; at most `n_env` are started.
    on_failure : ``"raise"`` or ``"mark"``
        As for `OpenSimPhysics`.
    options
        Further arguments of `OpenSimPhysics`: ``control_dt``, ``mode``, ``substep``, ``accuracy``,
        ``limits``.

    Raises
    ------
    SimulationError
        A worker died.
    OsimExoError
        Errors of the workers come back as what they were there.
    """

    def __init__(
        self,
        source: ModelRecipe | str | Path,
        n_env: int,
        n_worker: int = 2,
        on_failure: Literal["raise", "mark"] = "raise",
        **options: Any,
    ) -> None:
        check_option("on_failure", on_failure, ("raise", "mark"))
        if n_env < 1 or n_worker < 1:
            raise InputError(
                f"n_env = {n_env} and n_worker = {n_worker} were given; both must be at least 1."
            )
        self._on_failure, self._n_env = on_failure, n_env
        self._shares = np.array_split(np.arange(n_env), min(n_worker, n_env))
        self._workers: list[BaseProcess] = []
        self._pipes: list[Connection] = []
        self._closed = False
        context = spawning()
        recipe = as_recipe(source)
        for number, share in enumerate(self._shares):
            ours, theirs = context.Pipe()
            worker = context.Process(
                target=work,
                args=(theirs, recipe, int(share[0]), {**options, "n_env": share.size}),
                name=f"osim_exo physics {number}",
                daemon=True,
            )
            worker.start()
            theirs.close()
            self._workers.append(worker)
            self._pipes.append(ours)
        try:
            answers = [self._receive(k, START_TIMEOUT) for k in range(len(self._pipes))]
        except BaseException:
            self.close()
            raise
        self._facts: Facts = answers[0][0]
        self._take([answer[1] for answer in answers])

    def _receive(self, worker: int, timeout: float | None = None) -> Any:
        """Answer of one worker, or its error raised here."""
        share = self._shares[worker]
        try:
            if timeout is not None and not self._pipes[worker].poll(timeout):
                raise SimulationError(
                    f"Physics worker {worker} has not built its model after {timeout:g} s. Build "
                    "the model in this process to see why."
                )
            kind, content = self._pipes[worker].recv()
        except (EOFError, ConnectionResetError):
            self._workers[worker].join(5.0)
            raise SimulationError(
                f"Physics worker {worker} (environments {share[0]} to {share[-1]}) died with exit "
                f"code {self._workers[worker].exitcode}. A negative code is a signal: -9 often "
                "means that memory ran out, -11 a crash inside OpenSim. The pool is unusable; "
                "make a new one, with fewer workers if memory is short."
            ) from None
        if kind == "error":
            raise rebuilt(*content)
        return content

    def _ask(self, request: str, arguments: list[Any]) -> list[Any]:
        """Send one request to every worker, then collect all answers."""
        if self._closed:
            raise SimulationError("This physics pool is closed. Make a new one.")
        for k, (pipe, argument) in enumerate(zip(self._pipes, arguments)):
            try:
                pipe.send((request, argument))
            except (BrokenPipeError, ConnectionResetError):
                self._receive(k)
        answers: list[Any] = []
        first_error: OsimExoError | None = None
        for k in range(len(self._pipes)):
            try:
                answers.append(self._receive(k))
            except OsimExoError as error:
                first_error = first_error or error
        if first_error is not None:
            raise first_error
        return answers

    def _take(self, parts: list[Readings]) -> None:
        names = Readings.__dataclass_fields__
        self._now = Readings(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        )

    @property
    def names(self) -> PhysicsNames:
        """Names and order of every array's columns."""
        return self._facts.names

    @property
    def n_env(self) -> int:
        """Number of environments."""
        return self._n_env

    @property
    def control_dt(self) -> float:
        """Time of one `step`, s."""
        return self._facts.control_dt

    @property
    def body_weight(self) -> float:
        """Weight of the person without the device, N."""
        return self._facts.body_weight

    @property
    def max_torque(self) -> float:
        """Largest exo torque, Nm; 0 without a device."""
        return self._facts.max_torque

    @property
    def standing_height(self) -> float:
        """Height of the pelvis in quiet standing, m."""
        return self._facts.standing_height

    @property
    def slope(self) -> Array:
        """Slope of the ground, uphill positive, (n_env,) array, rad."""
        return np.full(self._n_env, self._facts.slope)

    @property
    def time(self) -> Array:
        """Simulated time, (n_env,) array, s."""
        return self._now.time.copy()

    @property
    def coordinates(self) -> Array:
        """Generalised positions, (n_env, n_coordinate) array, rad or m."""
        return self._now.coordinates.copy()

    @property
    def speeds(self) -> Array:
        """Generalised speeds, (n_env, n_coordinate) array, rad/s or m/s."""
        return self._now.speeds.copy()

    @property
    def activations(self) -> Array:
        """Muscle activations, (n_env, n_muscle) array."""
        return self._now.activations.copy()

    @property
    def exo_torque(self) -> Array:
        """Torque that the device delivers now, (n_env, n_exo) array, Nm."""
        return self._now.exo_torque.copy()

    @property
    def drive_power(self) -> Array:
        """Mechanical power of the drives themselves, (n_env, n_exo) array, W; see `Physics`."""
        return self._now.drive_power.copy()

    @property
    def grf(self) -> Array:
        """Ground reaction on each foot, (n_env, 2, 6) array; see `Physics.grf`."""
        return self._now.grf.copy()

    @property
    def failed(self) -> Mask:
        """Environments that left the finite numbers since their reset, (n_env,) array of bool."""
        return self._now.failed.copy()

    def reset(
        self, start: StartState | None = None, environments: npt.ArrayLike | None = None
    ) -> None:
        """Put environments to a start; see `Physics.reset`."""
        chosen = np.zeros(self._n_env, dtype=bool)
        chosen[slice(None) if environments is None else np.asarray(environments)] = True
        start, order = start or StartState(), np.cumsum(chosen) - 1
        requests = []
        for share in self._shares:
            mine = chosen[share]
            requests.append((_part(start, order[share[mine]], int(chosen.sum())), mine))
        self._finish(self._ask("reset", requests))

    def step(
        self,
        excitations: npt.ArrayLike,
        exo_torque: npt.ArrayLike | None = None,
        others: npt.ArrayLike | None = None,
    ) -> None:
        """Advance all environments by `control_dt`; see `Physics.step`."""
        names, n = self.names, self._n_env
        inputs = (
            checked_input("excitations", excitations, (n, len(names.muscles))),
            checked_input("exo_torque", exo_torque, (n, len(names.exo))),
            checked_input("others", others, (n, len(names.others))),
        )
        requests = [tuple(values[share] for values in inputs) for share in self._shares]
        self._finish(self._ask("step", requests))

    def _finish(self, answers: list[Any]) -> None:
        self._take([readings for readings, _ in answers])
        texts = [text for _, text in answers if text]
        if texts and self._on_failure == "raise":
            raise SimulationError(texts[0])

    def snapshot(self) -> PhysicsState:
        """A copy of everything that `restore` needs; see `OpenSimPhysics.snapshot`."""
        parts: list[PhysicsState] = self._ask("snapshot", [None] * len(self._pipes))
        devices = [part.device for part in parts if part.device is not None]
        return PhysicsState(
            time=np.concatenate([part.time for part in parts]),
            states=np.concatenate([part.states for part in parts]),
            controls=np.concatenate([part.controls for part in parts]),
            failed=np.concatenate([part.failed for part in parts]),
            device=_joined(devices) if devices else None,
        )

    def restore(self, state: PhysicsState) -> None:
        """Go back to a snapshot of a physics of the same model and size."""
        if state.time.shape != (self._n_env,):
            raise InputError(
                f"The snapshot holds {state.time.size} environments, this pool {self._n_env}."
            )
        self._finish(self._ask("restore", [_split(state, share) for share in self._shares]))

    def close(self) -> None:
        """End the workers; the pool cannot be used afterwards."""
        if self._closed:
            return
        self._closed = True
        for pipe in self._pipes:
            try:
                pipe.send(("close", None))
            except (BrokenPipeError, ConnectionResetError):
                continue
        for pipe, worker in zip(self._pipes, self._workers):
            worker.join(5.0)
            if worker.is_alive():
                worker.terminate()
                worker.join()
            pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _part(start: StartState, rows: npt.NDArray[np.intp], n_reset: int) -> StartState:
    """The part of a start that belongs to some of the environments that are reset."""

    def cut(values: dict[str, npt.ArrayLike]) -> dict[str, npt.ArrayLike]:
        found = {name: np.asarray(value) for name, value in values.items()}
        return {n: v[rows] if v.shape == (n_reset,) else v for n, v in found.items()}

    return StartState(cut(start.coordinates), cut(start.speeds), cut(start.activations), start.time)


def _joined(parts: list[DeviceState]) -> DeviceState:
    straps = [part.strap for part in parts if part.strap is not None]
    return DeviceState(
        np.concatenate([part.commands for part in parts], axis=1),
        np.concatenate([part.lagged for part in parts]),
        np.concatenate([part.torque for part in parts]),
        np.concatenate(straps, axis=1) if straps else None,
    )


def _split(state: PhysicsState, share: npt.NDArray[np.intp]) -> PhysicsState:
    whole, device = state.device, None
    if whole is not None:
        strap = None if whole.strap is None else whole.strap[:, share]
        device = DeviceState(
            whole.commands[:, share], whole.lagged[share], whole.torque[share], strap
        )
    return PhysicsState(
        state.time[share],
        state.states[share],
        state.controls[share],
        state.failed[share],
        device,
    )
