"""The equations of motion of a model: from its spec to programs.

One `Equations` holds the model's graph; `step_program`, `rates_program` and `output_program` cut
programs out of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from osim_exo.compiler.equations import actuators, parameters, step
from osim_exo.compiler.equations.activation import (
    ActivationConstants,
    activation_constants,
    activation_rate,
    middle_activation,
    next_activation,
)
from osim_exo.compiler.equations.alarm import Orientations, alarm
from osim_exo.compiler.equations.contact import ContactState, apply_contact
from osim_exo.compiler.equations.device import Drive, next_device
from osim_exo.compiler.equations.layout import Layout
from osim_exo.compiler.equations.loads import Loads
from osim_exo.compiler.equations.mechanics import Mechanics
from osim_exo.compiler.equations.muscle import (
    MuscleState,
    TendonRate,
    TendonStep,
    compliant_state,
    rigid_state,
    tendon_step,
)
from osim_exo.compiler.equations.options import EXO_PREFIX, Options
from osim_exo.compiler.equations.passive import apply_passive_force
from osim_exo.compiler.equations.paths import PathLength, length_and_gradient
from osim_exo.compiler.equations.topology import Topology
from osim_exo.compiler.spec import Bushing, CoordinateActuator, ModelSpec, Muscle
from osim_exo.compiler.symbols.expression import Expr, Exprs, Graph, constants, vector
from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import ModelError
from osim_exo.units import GRAVITY

INERTIA = ("mass", "mx", "my", "mz", "xx", "yy", "zz", "xy", "xz", "yz")
"""Mass, first moment and inertia of a rigid body about its origin."""


@dataclass(frozen=True)
class Given:
    """A state and controls as expressions; columns as in `Layout`."""

    state: Exprs
    controls: Exprs
    drive: Exprs


@dataclass(frozen=True)
class Instant:
    """Everything that follows at once from a state and controls.

    Attributes
    ----------
    mechanics, loads
    activations : of muscles, as their forces see them
    excitations : of muscles
    paths, muscles : per muscle
    tendons : rate of the tendon force by muscle name, for compliant tendons
    contacts : per contact
    passive_moments : per column, of passive forces on coordinates that are not the device's
    actuator_rates : by name, of actuators with an activation state
    """

    mechanics: Mechanics
    loads: Loads
    activations: Exprs
    excitations: Exprs
    paths: tuple[PathLength, ...]
    muscles: tuple[MuscleState, ...]
    tendons: dict[str, TendonRate]
    contacts: tuple[ContactState, ...]
    passive_moments: tuple[Expr, ...]
    actuator_rates: dict[str, Expr]


class Equations:
    """A model's equations.

    Parameters
    ----------
    spec : the model
    options : how it becomes equations

    Attributes
    ----------
    layout : where everything lies in state and controls
    table : parameters that may differ between environments
    topology : which bodies are rigid together
    """

    def __init__(self, spec: ModelSpec, options: Options | None = None) -> None:
        self.spec, self.options = spec, options or Options()
        self.graph = Graph()
        self.topology = Topology(spec)
        self.layout = Layout.of(spec, self.options.exo, self.options.strap)
        self.table = parameters.ParameterTable()
        self._add_parameters()
        self._constants = activation_constants(spec.muscles, self.options.shared_activation)

    def _add_parameters(self) -> None:
        spec, graph, add = self.spec, self.graph, self.table.add
        self.time_step = add(graph, "time_step", ["all"], 0.002, 1e-5, 0.02, "s")[0]
        self.gravity = add(
            graph, "gravity", list("xyz"), spec.gravity, -3 * GRAVITY, 3 * GRAVITY, "m/s^2"
        )
        self.inertia = self._inertia()
        muscles = [m.name for m in spec.muscles]
        self.max_force = add(
            graph,
            "max_isometric_force",
            muscles,
            [m.max_isometric_force for m in spec.muscles],
            1e-3,
            1e6,
            "N",
        )
        self.slack_length = add(
            graph,
            "tendon_slack_length",
            muscles,
            [m.tendon_slack_length for m in spec.muscles],
            1e-4,
            5.0,
            "m",
        )
        contacts = [c.name for c in spec.contacts]
        self.stiffness = add(graph, "contact_stiffness", contacts, 1.0, 0.05, 20.0)
        self.friction = add(graph, "contact_friction", contacts, 1.0, 0.0, 5.0)
        if self.layout.exo:
            self.drive = Drive.of(self.table, graph, self.options.strap)

    def _inertia(self) -> Exprs:
        ones = np.ones(len(self.spec.bodies))
        numbers = self.topology.inertia(ones, ones)
        scale = np.abs(numbers).max(axis=0, initial=0.0)
        # What rounding leaves of a structural zero stays zero for every environment.
        numbers[np.abs(numbers) < 1e-13 * scale] = 0.0
        used = np.nonzero(numbers)
        labels = [f"{self.topology.bodies[i].name}/{INERTIA[k]}" for i, k in zip(*used)]
        found = constants(numbers)
        found[used] = self.table.add(
            self.graph, "inertia", labels, numbers[used], -1e6, 1e6, "kg, kg m or kg m^2"
        )
        self.inertia_used = used
        return found

    @cached_property
    def inputs(self) -> dict[str, int]:
        """Input groups of all programs, with their sizes."""
        return {
            "state": self.layout.n_state,
            "controls": self.layout.n_control,
            "drive": len(self.layout.exo),
            parameters.GROUP: self.table.size,
        }

    @cached_property
    def given(self) -> Given:
        """The inputs as expressions."""
        groups = (self.graph.inputs(g, self.inputs[g]) for g in ("state", "controls", "drive"))
        return Given(*groups)

    def instant(self, given: Given) -> Instant:
        """Evaluate the model at a state."""
        state, layout = given.state, self.layout
        mechanics = Mechanics(
            self.graph,
            self.topology,
            state[layout["coordinates"]],
            state[layout["speeds"]],
            self.inertia,
            self.gravity,
            self.options.simbody_bias,
        )
        loads = Loads(mechanics)
        passive: list[Expr] = [0.0] * len(layout.coordinates)
        for force in self.spec.forces:
            values = apply_passive_force(force, mechanics, loads)
            if not isinstance(force, Bushing) and not force.name.startswith(EXO_PREFIX):
                column = mechanics.column[force.coordinate]
                passive[column] = passive[column] + values[0]
        contacts = tuple(
            apply_contact(c, mechanics, loads, self.stiffness[i], self.friction[i])
            for i, c in enumerate(self.spec.contacts)
        )
        instant = self._with_muscles(given, mechanics, loads)
        rates = self._apply_actuators(given, mechanics, loads)
        return replace(
            instant, contacts=contacts, passive_moments=tuple(passive), actuator_rates=rates
        )

    def _with_muscles(self, given: Given, mechanics: Mechanics, loads: Loads) -> Instant:
        n = len(self.spec.muscles)
        excitations = given.controls[:n]
        activations = given.state[self.layout["activations"]].copy()
        forces = dict(zip(self.layout.compliant, given.state[self.layout["tendon_forces"]]))
        paths, muscles, tendons = [], [], {}
        for i, muscle in enumerate(self.spec.muscles):
            if muscle.ignore_activation_dynamics:
                activations[i] = excitations[i]
            path = length_and_gradient(muscle.path, mechanics, self.options.clamp_paths)
            at = (path.length, path.speed(mechanics.u), activations[i], self.max_force[i])
            if muscle.rigid_tendon:
                state = rigid_state(muscle, *at, self.slack_length[i])
                loads.muscle_damping(path.gradient, state.damping)
                force = state.tendon_force
            else:
                state, rate = compliant_state(
                    muscle, *at, self.slack_length[i], forces[muscle.name]
                )
                tendons[muscle.name] = rate
                force = state.tendon_force
            for column, arm in path.pull.items():
                loads.generalised(column, -force * arm)
            paths.append(path)
            muscles.append(state)
        return Instant(
            mechanics,
            loads,
            activations,
            excitations,
            tuple(paths),
            tuple(muscles),
            tendons,
            (),
            (),
            {},
        )

    def _apply_actuators(self, given: Given, mechanics: Mechanics, loads: Loads) -> dict[str, Expr]:
        layout = self.layout
        controls = dict(zip(layout.others, given.controls[len(layout.muscles) :]))
        lagged = dict(zip(layout.lagged, given.state[layout["actuator_activations"]]))
        rates = {}
        for actuator in self.spec.actuators:
            if actuator.name in layout.exo:
                continue
            drive = controls[actuator.name]
            if isinstance(actuator, CoordinateActuator) and actuator.name in lagged:
                level = lagged[actuator.name]
                rates[actuator.name] = actuators.activation_rate(actuator, level, drive)
                drive = level
            actuators.apply_actuator(actuator, drive, mechanics, loads)
        torques = given.state[layout["exo_torque"]]
        for column, torque in zip(layout.exo_columns, torques):
            loads.generalised(column, torque)
        return rates

    def rates_program(self) -> Program:
        """Time derivatives at a state: the groups are the parts of the state.

        The device's torque counts as given; its parts have no rates.
        """
        instant = self.instant(self.given)
        m = instant.mechanics
        speed_rates = step.speed_rates(m, instant.loads)
        names = range(len(self.layout.coordinates))
        outputs: dict[str, Sequence[Expr] | Exprs] = {
            "coordinates": step.coordinate_rates(m.topology, m.q, m.u),
            "speeds": [speed_rates[k] for k in names],
            "activations": [
                0.0 if muscle.ignore_activation_dynamics else activation_rate(a, e, c)
                for muscle, a, e, c in zip(
                    self.spec.muscles, instant.activations, instant.excitations, self._constants
                )
            ],
            "tendon_forces": [instant.tendons[name].rate for name in self.layout.compliant],
            "actuator_activations": [instant.actuator_rates[name] for name in self.layout.lagged],
        }
        return Program.build(self.graph, self.inputs, outputs)

    def step_program(self, scheme: step.Scheme = "midpoint", watched: bool = False) -> Program:
        """One step of `time_step` seconds; the output ``next`` becomes ``state`` when repeated.

        Parameters
        ----------
        scheme : of the step
        watched : give the output ``alarm`` too, of `alarm.alarm` at the step's end
        """
        if scheme not in step.SCHEMES:
            raise ModelError(f"Unknown scheme '{scheme}'. Allowed: {', '.join(step.SCHEMES)}.")
        given, layout, h = self.given, self.layout, self.time_step
        now = given.state.copy()
        for part, values in self._driven(given).items():
            now[layout[part]] = values
        seen = self._halfway(now, given.controls) if scheme == "midpoint" else now
        instant = self.instant(replace(given, state=seen))
        tendons = {}
        for i, muscle in enumerate(self.spec.muscles):
            if not muscle.rigid_tendon:
                tendons[muscle.name] = tendon_step(instant.tendons[muscle.name], h)
                self._ease(instant, i, tendons[muscle.name], step.end_share(scheme))
        m = instant.mechanics
        changes = step.speed_changes(m, instant.loads, h, scheme)
        new = now.copy()
        q, u = now[layout["coordinates"]], now[layout["speeds"]]
        new[layout["coordinates"]], new[layout["speeds"]] = step.advanced(
            m, q, u, changes, h, scheme
        )
        new[layout["activations"]] = vector(
            *(
                e if muscle.ignore_activation_dynamics else next_activation(a, e, c, h)
                for muscle, a, e, c in self._activated(now, given.controls)
            )
        )
        moved = new[layout["speeds"]] - m.u
        new[layout["tendon_forces"]] = vector(
            *(
                tendons[name].end(instant.paths[layout.muscles.index(name)].speed(moved))
                for name in layout.compliant
            )
        )
        levels = now[layout["actuator_activations"]]
        new[layout["actuator_activations"]] = vector(
            *(a + h * instant.actuator_rates[n] for n, a in zip(layout.lagged, levels))
        )
        outputs: dict[str, Sequence[Expr] | Exprs] = {"next": new}
        if watched:
            orientations = Orientations(self.spec)
            outputs["alarm"] = [alarm(layout, orientations, new, given.controls)]
        return Program.build(
            self.graph, self.inputs, outputs, {"next": "state"}, streamed=("drive",)
        )

    def _activated(
        self, state: Exprs, controls: Exprs
    ) -> Iterator[tuple[Muscle, Expr, Expr, ActivationConstants]]:
        """Muscles with their activation, excitation and constants."""
        muscles = self.spec.muscles
        return zip(muscles, state[self.layout["activations"]], controls, self._constants)

    def _halfway(self, state: Exprs, controls: Exprs) -> Exprs:
        """A state half a step later as far as speeds and controls tell it; speeds stay."""
        found, layout, h = state.copy(), self.layout, self.time_step
        q, u = state[layout["coordinates"]], state[layout["speeds"]]
        found[layout["coordinates"]] = q + 0.5 * h * step.coordinate_rates(self.topology, q, u)
        found[layout["activations"]] = vector(
            *(
                middle_activation(a, e, constants, h)
                for _, a, e, constants in self._activated(state, controls)
            )
        )
        return found

    def _ease(self, instant: Instant, i: int, tendon: TendonStep, share: float) -> None:
        """Let the step see a share of a compliant muscle's change of force until its end."""
        path = instant.paths[i]
        change = self.max_force[i] * tendon.force - instant.muscles[i].tendon_force
        for column, arm in path.pull.items():
            instant.loads.generalised(column, -share * change * arm)
        instant.loads.muscle_damping(path.gradient, self.max_force[i] * tendon.gain)

    def _driven(self, given: Given) -> dict[str, Exprs]:
        """The device's parts of the state, advanced to the end of the step."""
        layout = self.layout
        if not layout.exo:
            return {}
        now = {part: given.state[layout[part]] for part in layout.parts}
        return next_device(self.drive, now, given.drive, layout.exo_columns, self.time_step)

    def output_program(self, names: Sequence[str]) -> Program:
        """Quantities at a state; see `osim_exo.compiler.equations.outputs` for what there is."""
        from osim_exo.compiler.equations import outputs

        instant = self.instant(self.given)
        return Program.build(self.graph, self.inputs, outputs.select(self, instant, names))
