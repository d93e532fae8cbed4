"""The kernels of a compiled physics, from the disk or compiled, and the arrays they work on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.backends import blocks
from osim_exo.compiler.backends import cache as kept
from osim_exo.compiler.backends.kernel import Kernel, in_rows
from osim_exo.compiler.backends.prologue import Prologue, Rows
from osim_exo.compiler.equations.model import Equations
from osim_exo.compiler.equations.options import Options
from osim_exo.compiler.equations.step import Scheme
from osim_exo.compiler.spec import ModelSpec
from osim_exo.compiler.symbols.program import Program
from osim_exo.physics.base import Array
from osim_exo.physics.compiled.names import control_bounds
from osim_exo.progress import SILENT, Progress

Packed = npt.NDArray[Any]

EXCITATIONS, OTHERS, BEFORE = "excitations", "others", "before"
"""What a step takes beside the inputs of its program: controls by row, and the state's copy."""


class CompiledModel:
    """A model's kernels, each made when it is first needed.

    Parameters
    ----------
    spec : the model
    options : how it becomes equations
    scheme : of the step
    dtype : ``float64`` or ``float32``
    width : environments of a block; as many as a vector register holds if not given
    progress : told when something is compiled

    Attributes
    ----------
    equations : layout, parameters and topology
    """

    def __init__(
        self,
        spec: ModelSpec,
        options: Options,
        scheme: Scheme,
        dtype: str,
        width: int | None,
        progress: Progress = SILENT,
    ) -> None:
        self.equations = Equations(spec, options)
        self._scheme, self._dtype, self._width, self._progress = scheme, dtype, width, progress
        self._key = " ".join((spec.digest, options.model_dump_json(), kept.source_digest()))
        self._kernels: dict[str, Kernel] = {}

    def step(self) -> Kernel:
        """The kernel of one sub-step; it repeats by itself, keeps the state and takes controls."""
        scheme, layout = self._scheme, self.equations.layout
        n = len(layout.muscles)
        low, high = (tuple(b.tolist()) for b in control_bounds(self.equations.spec, layout))
        given = {
            EXCITATIONS: Rows(low[:n], high[:n]),
            OTHERS: Rows(low[n:], high[n:]),
        }
        return self._kernel(
            f"{scheme} step",
            lambda: self.equations.step_program(scheme, watched=True),
            Prologue({"state": BEFORE}, {"controls": given}),
        )

    def outputs(self, names: tuple[str, ...]) -> Kernel:
        """The kernel that tells quantities of `osim_exo.compiler.equations.outputs`."""
        return self._kernel(", ".join(names), lambda: self.equations.output_program(names))

    def _kernel(
        self, what: str, make: Callable[[], Program], before: Prologue | None = None
    ) -> Kernel:
        if what not in self._kernels:
            title = f"Compiling {self.equations.spec.name}: {what}"
            with ExitStack() as shown:

                def build() -> Program:
                    shown.enter_context(self._progress.step(title))
                    return make()

                self._kernels[what] = kept.load_or_build(
                    f"{self._key} {what}", build, self._dtype, self._width, before=before
                )
        return self._kernels[what]


class Batch:
    """The arrays of `n_env` environments that kernels work on, in their layout.

    Parameters
    ----------
    model : whose kernels
    n_env : int
    n_sub : repeats of a step
    threads : that share the environments

    Attributes
    ----------
    state, controls, drive, group : blocks of the kernels' inputs; drive: one set per repeat
    width : environments of a block
    """

    def __init__(
        self,
        model: CompiledModel,
        n_env: int,
        n_sub: int,
        threads: int,
    ) -> None:
        self._model, self._n_env, self._n_sub, self._threads = model, n_env, n_sub, threads
        self._kernel = kernel = model.step()
        self.width = kernel.width
        self.state, self.controls = kernel.zeros("state", n_env), kernel.zeros("controls", n_env)
        self.drive = kernel.zeros("drive", n_env, n_sub)
        self.group = kernel.zeros("parameters", n_env)
        self._before, self._alarm = kernel.zeros("state", n_env), kernel.zeros("alarm", n_env)
        self._inputs: dict[str, Packed] = {
            "state": self.state,
            "controls": self.controls,
            "drive": self.drive,
            "parameters": self.group,
        }

    def part(self, columns: slice, before: bool = False) -> Array:
        """Columns of the state, or of the one before the last step, (n_env, n) array."""
        state = self._before if before else self.state
        return np.asarray(blocks.unpack(state[:, columns], self._n_env), dtype=float)

    def controls_given(self) -> Array:
        """Controls of the last step, (n_env, n_control) array."""
        return np.asarray(blocks.unpack(self.controls, self._n_env), dtype=float)

    def place(self, states: Array, rows: npt.NDArray[np.intp]) -> None:
        """Put states into some environments, with all controls at zero."""
        blocks.write(self.state, states, rows)
        blocks.write(self.controls, 0.0, rows)
        for packed in (self.state, self.controls):
            blocks.fill_spare(packed, self._n_env)

    def advance(self, excitations: Array, others: Array) -> bool:
        """One step of every environment; whether none of them raised an alarm.

        Parameters
        ----------
        excitations, others : (n_env, n) arrays; taken within their bounds
        """
        given = {
            EXCITATIONS: excitations if in_rows(excitations) else excitations.copy(),
            OTHERS: others if in_rows(others) else others.copy(),
            BEFORE: self._before,
            "alarm": self._alarm,
        }
        self._kernel.run({**self._inputs, **given}, repeats=self._n_sub, threads=self._threads)
        return not self._alarm.any()

    @property
    def alarmed(self) -> npt.NDArray[np.bool_]:
        """Environments that raised an alarm in the last step, (n_env,) array."""
        return np.asarray(blocks.unpack(self._alarm, self._n_env)[:, 0] != 0.0)

    def take_back(self, rows: npt.NDArray[np.intp]) -> None:
        """Put some environments back to where they were before the last step."""
        where = (rows // self.width, slice(None), rows % self.width)
        self.state[where] = self._before[where]
        blocks.fill_spare(self.state, self._n_env)

    def quantities(self, names: tuple[str, ...]) -> dict[str, Array]:
        """Quantities at the present states, (n_env, size) arrays by name."""
        kernel = self._model.outputs(names)
        found = {name: kernel.zeros(name, self._n_env) for name in names}
        still = {"drive": kernel.zeros("drive", self._n_env)}
        kernel.run({**self._inputs, **still, **found}, threads=self._threads)
        return _unpacked(kernel, found, self._n_env)


class Probe:
    """Quantities of any states, without controls and away from a batch.

    Parameters
    ----------
    model : CompiledModel
    states : (n, n_state) array
    group : (n, n_parameter) array
    names : of `osim_exo.compiler.equations.outputs`
    """

    def __init__(
        self, model: CompiledModel, states: Array, group: Array, names: tuple[str, ...]
    ) -> None:
        self._kernel = kernel = model.outputs(names)
        self._n = n = len(states)
        self._found = {name: kernel.zeros(name, n) for name in names}
        self._inputs = {
            "state": kernel.pack("state", states),
            "controls": kernel.zeros("controls", n),
            "drive": kernel.zeros("drive", n),
            "parameters": kernel.pack("parameters", group),
        }

    def put(self, column: int, values: Array) -> None:
        """Change one number of the states, (n,) array."""
        blocks.write(self._inputs["state"][:, column : column + 1], values[:, None])

    def read(self) -> dict[str, Array]:
        """The quantities now, (n, size) arrays by name."""
        self._kernel.run({**self._inputs, **self._found})
        return _unpacked(self._kernel, self._found, self._n)


def _unpacked(kernel: Kernel, found: dict[str, Packed], n: int) -> dict[str, Array]:
    return {name: kernel.unpack(values, n).astype(float) for name, values in found.items()}
