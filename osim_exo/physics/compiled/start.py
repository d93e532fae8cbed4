"""Starts of a compiled physics: as `placement.Placement` makes them, for many at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.equations import equilibrium, functions
from osim_exo.compiler.spec import Function
from osim_exo.compiler.symbols.expression import Graph
from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import InputError
from osim_exo.physics.base import Array, StartState
from osim_exo.physics.compiled.build import CompiledModel, Probe
from osim_exo.physics.layout import HEIGHT
from osim_exo.physics.placement import DEFAULT_ACTIVATION, EVERY, fill

SEARCH_STEPS = 100
"""Most steps of a search: 0.1 m each for the bracket, then halving or better in it."""

CLOSE = 1e-10
"""A height counts as found where the load misses the weight by this share."""


class Starts:
    """Makes states of one compiled model.

    Parameters
    ----------
    model : CompiledModel
    group, weight : parameters and weight of the model as it is, (n_parameter,) array and N

    Attributes
    ----------
    default : (n_state,) array; quiet standing
    height : column of the pelvis height; None if the model has no such coordinate
    """

    def __init__(self, model: CompiledModel, group: Array, weight: float) -> None:
        equations, self._model = model.equations, model
        self._spec, self._layout = equations.spec, equations.layout
        names = self._layout.coordinates
        self.height = names.index(HEIGHT) if HEIGHT in names else None
        self._followers = [
            _Follower(names.index(c.dependent), names.index(c.independent[0]), c.function)
            for c in self._spec.couplers
        ]
        self._fixed = [i for i, c in enumerate(self._spec.coordinates) if c.locked]
        self._compliant = [self._layout.muscles.index(name) for name in self._layout.compliant]
        self._slack = equations.table["tendon_slack_length"].slice
        self.default = self._layout.default_state(self._spec)
        self.default[self._layout["speeds"]] = 0.0
        self.default[self._layout["activations"]] = DEFAULT_ACTIVATION
        self._default_group = group.copy()
        row = self.default[None].copy()
        self._settle(row, group[None], np.array([weight]), find_height=True)
        self.default = row[0]

    def place(self, start: StartState, group: Array, weight: Array) -> Array:
        """States of a start.

        Parameters
        ----------
        start : names as of the model's coordinates and muscles
        group : (n, n_parameter) array
        weight : (n,) array, N

        Returns
        -------
        (n, n_state) array

        Raises
        ------
        InputError
            A name is unknown, a value not finite or of the wrong length.
        """
        layout = self._layout
        rows = np.tile(self.default, (len(group), 1))
        columns = np.arange(layout.n_state)
        fill(
            rows,
            "coordinate",
            start.coordinates,
            layout.coordinates,
            columns[layout["coordinates"]],
        )
        fill(rows, "coordinate", start.speeds, layout.coordinates, columns[layout["speeds"]])
        activations = dict(start.activations)
        if EVERY in activations:
            everywhere = activations.pop(EVERY)
            activations = {**dict.fromkeys(layout.muscles, everywhere), **activations}
        fill(rows, "muscle", activations, layout.muscles, columns[layout["activations"]])
        held = rows[:, layout["activations"]]
        if np.any((held < 0.0) | (held > 1.0)):
            raise InputError("An activation outside 0 to 1 was given; activations are shares.")
        own = not np.array_equal(group, np.broadcast_to(self._default_group, group.shape))
        if start.coordinates or start.speeds or start.activations or own:
            seek = (bool(start.coordinates) or own) and HEIGHT not in start.coordinates
            self._settle(rows, group, weight, seek)
        if layout.strap:
            joints = list(layout.exo_columns)
            rows[:, layout["exo_angle"]] = rows[:, layout["coordinates"]][:, joints]
            rows[:, layout["exo_speed"]] = rows[:, layout["speeds"]][:, joints]
        return rows

    def _settle(self, rows: Array, group: Array, weight: Array, find_height: bool) -> None:
        """Put feet on the ground, tendons into equilibrium and coupled coordinates right."""
        layout = self._layout
        positions, speeds = rows[:, layout["coordinates"]], rows[:, layout["speeds"]]
        for k in self._fixed:
            positions[:, k], speeds[:, k] = self._spec.coordinates[k].default, 0.0
        for follower in self._followers:
            follower.follow(positions, speeds)
        if find_height and self.height is not None and self._spec.contacts:
            positions[:, self.height] = self._standing(self.height, rows, group, weight)
        if self._compliant:
            found = Probe(self._model, rows, group, ("muscle_length", "muscle_speed")).read()
            activations = rows[:, layout["activations"]]
            rows[:, layout["tendon_forces"]] = equilibrium.tendon_force(
                [self._spec.muscles[i] for i in self._compliant],
                found["muscle_length"][:, self._compliant],
                activations[:, self._compliant],
                found["muscle_speed"][:, self._compliant],
                group[:, self._slack][:, self._compliant],
            )

    def _standing(self, height: int, rows: Array, group: Array, weight: Array) -> Array:
        """Pelvis heights at which the ground carries the weight in these postures at rest, m."""
        still = rows.copy()
        still[:, self._layout["speeds"]] = 0.0

        probe = Probe(self._model, still, group, ("grf",))
        column = self._layout["coordinates"].start + height

        def missing(heights: Array) -> Array:
            probe.put(column, heights)
            forces = probe.read()["grf"]
            return np.asarray(weight - forces[:, 1] - forces[:, 7])

        return _root(missing, still[:, column] + 0.1, CLOSE * weight)


def _root(function: Callable[[Array], Array], first: Array, close: Array) -> Array:
    """Heights at which nothing is missing, by regula falsi (Illinois) in brackets of 0.1 m.

    Each result depends on its own column alone, whatever the others need.

    Parameters
    ----------
    function : what is missing at heights; positive high up, negative low down
    first : where to begin
    close : what may be missing
    """
    high, missing_high = first, function(first)
    for _ in range(SEARCH_STEPS):
        loaded = missing_high < 0.0
        if not loaded.any():
            break
        high = np.where(loaded, high + 0.1, high)
        missing_high = function(high)
    low = high - 0.1
    missing_low = function(low)
    for _ in range(SEARCH_STEPS):
        light = (missing_low > 0.0) & (low > -1.0)
        if not light.any():
            break
        high, missing_high = np.where(light, low, high), np.where(light, missing_low, missing_high)
        low = np.where(light, low - 0.1, low)
        missing_low = function(low)
    found, done = low, missing_low >= 0.0
    last = np.zeros(first.shape)
    for _ in range(SEARCH_STEPS):
        drop = np.where(done, 1.0, missing_high - missing_low)
        middle = low - missing_low * (high - low) / drop
        value = function(middle)
        found = np.where(done, found, middle)
        done |= np.abs(value) <= close
        if done.all():
            break
        above = value > 0.0
        # An end that stays for the second time counts half, so that it moves in the next step.
        share = np.where(np.sign(value) == last, 0.5, 1.0)
        last = np.sign(value)
        high, low = np.where(above, middle, high), np.where(above, low, middle)
        missing_high = np.where(above, value, share * missing_high)
        missing_low = np.where(above, share * missing_low, value)
    return found


class _Follower:
    """A coupled coordinate as a function of another one."""

    def __init__(self, column: int, leader: int, function: Function) -> None:
        graph = Graph()
        x = graph.inputs("x", 1)
        value, (slope,) = functions.evaluate(function, [x[0]])
        self._column, self._leader = column, leader
        self._program = Program.build(graph, {"x": 1}, {"value": [value], "slope": [slope]})

    def follow(self, positions: npt.NDArray[np.float64], speeds: Array) -> None:
        """Set the coordinate and its speed from its leader's, in place."""
        found = self._program(x=positions[:, self._leader, None])
        positions[:, self._column] = found["value"][:, 0]
        speeds[:, self._column] = found["slope"][:, 0] * speeds[:, self._leader]
