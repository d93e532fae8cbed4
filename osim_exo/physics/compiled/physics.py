"""The physics of learning: an OpenSim model as machine code, for many environments at once."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.backends import blocks
from osim_exo.compiler.equations.alarm import Orientations
from osim_exo.compiler.equations.options import EXO_PREFIX, Options
from osim_exo.compiler.equations.step import SCHEMES, Scheme
from osim_exo.device import DeviceLimits, DeviceState
from osim_exo.errors import InputError, SimulationError, check_option
from osim_exo.physics.base import (
    Array,
    Mask,
    PhysicsNames,
    PhysicsState,
    StartState,
    checked_input,
    sub_steps,
)
from osim_exo.physics.compiled.build import Batch, CompiledModel
from osim_exo.physics.compiled.drive import CommandLine
from osim_exo.physics.compiled.guard import (
    SUSPECT_ANGLE,
    CompiledState,
    EndReason,
    PathRanges,
    failure_text,
    reasons_of,
)
from osim_exo.physics.compiled.names import (
    default_imus,
    names_of,
    optimal_torques,
    state_paths,
    worn_actuators,
    worn_weight,
)
from osim_exo.physics.compiled.parameters import Parameters
from osim_exo.physics.compiled.source import Source, model_spec
from osim_exo.physics.compiled.start import Starts
from osim_exo.physics.layout import device_limits
from osim_exo.progress import SILENT, Progress


class CompiledPhysics:
    """Walking physics by a compiled model; implements `osim_exo.physics.Physics`.

    Its equations are OpenSim's own; what differs is the step: implicit in velocity, of fixed
    length. Results do not depend on `threads`, and an environment's result not on the others.

    Parameters
    ----------
    source : ModelRecipe, ModelSpec, str or Path
        What to compile: a recipe, a shipped model's name, the path of an ``.osim`` file or of a
        spec (``.json``), a spec. From a `ModelSpec` no OpenSim is needed.
    n_env : int
    control_dt : float, s
        Time of one `step`.
    substep : float, s
        `control_dt` must be a multiple of it. 2 ms is made for learning; take 0.5 ms or less to
        come close to OpenSim's own integration.
    dtype : ``"float64"`` or ``"float32"``
    threads : how many share the environments of a step
    scheme : see `osim_exo.compiler.equations.step.SCHEMES`
    limits : DeviceLimits, optional
        Of the worn device; those of the recipe's `exo` if not given.
    on_failure : ``"raise"`` or ``"mark"``
        As for `OpenSimPhysics`; `failure_reasons` tells why.
    width : environments of a vector; by default as many as this processor's registers hold
    options : how the model becomes equations, optional
    progress : told about compiling, which takes seconds the first time

    Raises
    ------
    ModelError
        Something in the model does not compile; the message names it and the way out.
    InputError
        A number is out of range.
    """

    def __init__(
        self,
        source: Source,
        n_env: int = 1,
        control_dt: float = 0.01,
        substep: float = 0.002,
        dtype: Literal["float64", "float32"] = "float64",
        threads: int = 1,
        scheme: Scheme = "midpoint",
        limits: DeviceLimits | None = None,
        on_failure: Literal["raise", "mark"] = "raise",
        *,
        width: int | None = None,
        options: Options | None = None,
        progress: Progress = SILENT,
    ) -> None:
        check_option("dtype", dtype, ("float64", "float32"))
        check_option("scheme", scheme, SCHEMES)
        check_option("on_failure", on_failure, ("raise", "mark"))
        if n_env < 1 or threads < 1:
            raise InputError(
                f"n_env = {n_env} and threads = {threads} were given; both must be at least 1."
            )
        self._n_sub = sub_steps(control_dt, substep)
        self._n_env, self._control_dt = int(n_env), float(control_dt)
        self._on_failure = on_failure
        self.spec = spec = model_spec(source, progress)
        exo = worn_actuators(spec)
        self._limits = (
            device_limits(source, limits, exo, optimal_torques(spec, exo)) if exo else None
        )
        options = options or Options(imus=default_imus(spec))
        options = options.changed(exo=exo, strap=bool(self._limits and self._limits.strap))
        self._model = CompiledModel(spec, options, scheme, dtype, width, progress)
        equations = self._model.equations
        self._layout = equations.layout
        self._columns = {part: self._layout[part] for part in self._layout.parts}
        self._names = names_of(spec, self._layout)
        self._parameters = Parameters(
            equations, self._n_env, control_dt / self._n_sub, self._limits
        )
        self._body_weight = float(self._parameters.weight[0]) - worn_weight(spec)
        self._orientations, self._ranges = Orientations(spec), PathRanges(spec)
        own = self._parameters.group[0].copy()
        self._starts = Starts(self._model, own, float(self._parameters.weight[0]))
        self._batch = Batch(self._model, self._n_env, self._n_sub, threads)
        n_exo = len(self._names.exo)
        self._line = CommandLine(self._n_env, n_exo, self._n_sub, self._batch.width)
        self._tune()
        self._time = np.zeros(self._n_env)
        self._failed = np.zeros(self._n_env, dtype=bool)
        self._reasons = np.zeros(self._n_env, dtype=np.int8)
        self.reset()

    def _tune(self, rows: npt.NDArray[np.intp] | None = None, drives: bool = True) -> None:
        """Give changed parameters to kernel and drives."""
        changed = self._parameters.group[slice(None) if rows is None else rows]
        blocks.write(self._batch.group, changed, rows)
        blocks.fill_spare(self._batch.group, self._n_env)
        if self._names.exo and drives:
            self._line.tune(self._parameters.lag(), self._parameters.max_torque)
        self._found: dict[str, Array] = {}

    @property
    def names(self) -> PhysicsNames:
        """Names and order of every array's columns."""
        return self._names

    @property
    def n_env(self) -> int:
        """Number of environments."""
        return self._n_env

    @property
    def control_dt(self) -> float:
        """Time of one `step`, s."""
        return self._control_dt

    @property
    def body_weight(self) -> float:
        """Weight of the person without the device, N; parameters do not change it."""
        return self._body_weight

    @property
    def max_torque(self) -> float:
        """Largest exo torque, Nm, before parameters change it; 0 without a device."""
        return self._limits.max_torque if self._limits else 0.0

    @property
    def standing_height(self) -> float:
        """Height of the pelvis in quiet standing, m; NaN if the model has no such coordinate."""
        height = self._starts.height
        return float("nan") if height is None else float(self._starts.default[height])

    @property
    def slope(self) -> Array:
        """Slope of the ground, uphill positive, (n_env,) array, rad."""
        return self._parameters.slope

    @property
    def time(self) -> Array:
        """Simulated time, (n_env,) array, s."""
        return self._time.copy()

    @property
    def state_paths(self) -> dict[str, int]:
        """Columns of a snapshot's states by OpenSim's paths, as ``.../hip_flexion_r/value``."""
        return state_paths(self.spec, self._layout)

    def _part(self, name: str) -> Array:
        return self._batch.part(self._columns[name])

    @property
    def coordinates(self) -> Array:
        """Generalised positions, (n_env, n_coordinate) array, rad or m."""
        return self._part("coordinates")

    @property
    def speeds(self) -> Array:
        """Generalised speeds, (n_env, n_coordinate) array, rad/s or m/s."""
        return self._part("speeds")

    @property
    def activations(self) -> Array:
        """Muscle activations, (n_env, n_muscle) array."""
        return self._part("activations")

    @property
    def exo_torque(self) -> Array:
        """Torque that the device delivers now, (n_env, n_exo) array, Nm."""
        return self._part("exo_torque")

    @property
    def drive_power(self) -> Array:
        """Mechanical power of the drives themselves, (n_env, n_exo) array, W; see `Physics`."""
        if not self._layout.strap:
            return self.exo_torque * self.speeds[:, list(self._layout.exo_columns)]
        return self._part("exo_drive") * self._part("exo_speed")

    @property
    def grf(self) -> Array:
        """Ground reaction on each foot, (n_env, 2, 6) array; see `Physics.grf`."""
        return self.quantity("grf").reshape(self._n_env, 2, 6)

    @property
    def failed(self) -> Mask:
        """Environments that could not go on since their reset, (n_env,) array of bool."""
        return self._failed.copy()

    @property
    def failure_reasons(self) -> npt.NDArray[np.int8]:
        """Why environments failed, (n_env,) array of `EndReason`."""
        return self._reasons.copy()

    @property
    def path_excess(self) -> Array:
        """Farthest that a coordinate is outside the range of fitted paths, (n_env,), rad or m."""
        return self._ranges.excess(self.coordinates)

    @property
    def path_ranges(self) -> tuple[Array, Array]:
        """Lowest and highest coordinates that paths were fitted on, (n_coordinate,) arrays."""
        return self._ranges.low.copy(), self._ranges.high.copy()

    def quantity(self, name: str) -> Array:
        """Anything of `osim_exo.compiler.equations.outputs` now, (n_env, size) array."""
        return self.quantities(name)[name]

    def quantities(self, *names: str) -> dict[str, Array]:
        """Several at once, by name; the first call compiles. Excitations are the last step's."""
        if any(name not in self._found for name in names):
            self._found |= self._batch.quantities(names)
        return {name: self._found[name].copy() for name in names}

    def set_parameters(
        self, environments: npt.ArrayLike | None = None, **values: npt.ArrayLike
    ) -> None:
        """Change the model in some environments, without compiling; `reset` keeps it so.

        Parameters
        ----------
        environments : indices or boolean mask; all if not given
        values : by name: one number, one per environment, one per label, or (n, n_label).
            ``slope_deg`` (degrees); ``segment_mass``, ``segment_inertia`` (factors by body),
            ``exo_mass`` (kg, of all parts together), ``muscle_strength`` (factor),
            ``tendon_slack_length`` (m), ``contact_stiffness``, ``contact_friction`` (factors),
            ``exo_max_torque`` ... (as in `DeviceLimits`), ``exo_strap_stiffness`` ... (`Strap`)

        Raises
        ------
        InputError
            A name is unknown, a shape wrong or a value out of range; nothing is changed.
        """
        chosen = self._chosen(environments)
        self._parameters.change(chosen, values)
        self._tune(chosen, drives=any(name.startswith(EXO_PREFIX) for name in values))

    def parameters(self) -> dict[str, Array]:
        """All parameters, (n_env, n_label) arrays, or (n_env,) where there is only one each."""
        return self._parameters.values()

    def parameter_labels(self, name: str) -> tuple[str, ...]:
        """What the columns of a parameter belong to, as names of muscles or bodies."""
        return self._parameters.labels(name)

    def _chosen(self, environments: npt.ArrayLike | None) -> npt.NDArray[np.intp]:
        every = np.arange(self._n_env)
        return every if environments is None else np.atleast_1d(every[np.asarray(environments)])

    def reset(
        self, start: StartState | None = None, environments: npt.ArrayLike | None = None
    ) -> None:
        """Put environments to a start; see `Physics.reset`.

        A pelvis height that is not named is found such that the feet carry the weight. An
        `InputError` tells of unknown names and of values that are not finite.
        """
        chosen = self._chosen(environments)
        start = start or StartState()
        group, weight = self._parameters.group[chosen], self._parameters.weight[chosen]
        self._batch.place(self._starts.place(start, group, weight), chosen)
        self._time[chosen] = start.time
        self._failed[chosen], self._reasons[chosen] = False, EndReason.NONE
        self._line.reset(chosen)
        self._found = {}

    def step(
        self,
        excitations: npt.ArrayLike,
        exo_torque: npt.ArrayLike | None = None,
        others: npt.ArrayLike | None = None,
    ) -> None:
        """Advance all environments by `control_dt`; see `Physics.step`.

        Raises
        ------
        SimulationError
            An environment failed, and ``on_failure`` is ``"raise"``; its state is that before.
        """
        n, names = self._n_env, self._names
        command = checked_input("exo_torque", exo_torque, (n, len(names.exo)))
        excited = checked_input("excitations", excitations, (n, len(names.muscles)))
        rest = checked_input("others", others, (n, len(names.others)))
        self._found = {}
        if names.exo:
            self._line.add(command, self._batch.drive)
        calm = self._batch.advance(excited, rest)
        before, self._time = self._time, self._time + self._control_dt
        if not calm or self._failed.any():
            self._guard(before)

    def _guard(self, time: Array) -> None:
        """Put failed environments back to before the step, at `time`, and say why."""
        near = self._orientations.near(self.coordinates)
        was = self._batch.part(self._columns["coordinates"], before=True)
        suspects = self._orientations.near(was, SUSPECT_ANGLE)
        state, controls = self._batch.part(slice(None)), self._batch.controls_given()
        reasons = reasons_of(state, self._columns["speeds"], controls, near, suspects)
        # This look rounds otherwise than the step; nobody may end because others raised an alarm.
        new = (reasons != EndReason.NONE) & self._batch.alarmed & ~self._failed
        self._reasons[new], self._failed = reasons[new], self._failed | new
        rest = np.flatnonzero(self._failed)
        if rest.size:
            self._batch.take_back(rest)
            self._time[rest] = time[rest]
        if new.any() and self._on_failure == "raise":
            raise SimulationError(self.failure_text(int(np.flatnonzero(new)[0])))

    def failure_text(self, environment: int, label: int | None = None) -> str:
        """What to tell the user about an environment that failed; `label` is its number there."""
        last = self._batch.controls_given()[environment]
        return failure_text(
            environment if label is None else label,
            EndReason(int(self._reasons[environment])),
            float(self._time[environment]),
            dict(zip(self._names.muscles, last.tolist())),
        )

    def snapshot(self) -> CompiledState:
        """A copy of everything that `restore` needs; a restored physics repeats the same bits."""
        return CompiledState(
            self._time.copy(),
            self._batch.part(slice(None)),
            self._batch.controls_given(),
            self._failed.copy(),
            DeviceState(self._line.snapshot(), self._part("exo_lagged"), self.exo_torque),
            self._parameters.snapshot(),
            self._reasons.copy(),
        )

    def restore(self, state: PhysicsState) -> None:
        """Go back to a snapshot of a compiled physics of the same model and size."""
        shape = (self._n_env, self._layout.n_state)
        if not isinstance(state, CompiledState) or state.states.shape != shape:
            raise InputError(
                f"The snapshot holds states of shape {state.states.shape}, this physics has "
                f"{shape}. Restore it in a compiled physics of the same model and n_env."
            )
        self._parameters.restore(state.parameters)
        self._tune()
        blocks.write(self._batch.state, state.states)
        blocks.write(self._batch.controls, state.controls)
        if state.device is not None:
            self._line.restore(state.device.commands)
        self._time = state.time.copy()
        self._failed, self._reasons = state.failed.copy(), state.reasons.copy()

    def close(self) -> None:
        """Nothing to give back; there for the protocol."""
