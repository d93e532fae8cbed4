"""A model of OpenSim and the same one as expressions, at the same states."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import opensim as osim

from osim_exo.compiler.equations.loads import Loads
from osim_exo.compiler.equations.mechanics import Mechanics
from osim_exo.compiler.equations.topology import Topology
from osim_exo.compiler.reading.model import read
from osim_exo.compiler.symbols.expression import Expr, Graph, constants
from osim_exo.compiler.symbols.program import Program
from osim_exo.trial import Array

osim.Logger.removeFileSink()
osim.Logger.setLevelString("error")


class BenchModel:
    """An OpenSim model with its kinematics and loads as expressions.

    Attributes
    ----------
    model, state : OpenSim's
    spec, graph, mechanics, loads : the compiler's; extra inputs by `inputs`
    """

    def __init__(self, model: osim.Model, **read_options: Any) -> None:
        self.spec = read(model, **read_options)
        self.model, self.state = model, model.initSystem()
        self.graph = Graph()
        self.sizes = {"q": len(self.spec.coordinates), "u": len(self.spec.coordinates)}
        topology = Topology(self.spec)
        whole = np.ones(len(self.spec.bodies))
        self.mechanics = Mechanics(
            self.graph,
            topology,
            self.graph.inputs("q", self.sizes["q"]),
            self.graph.inputs("u", self.sizes["u"]),
            constants(topology.inertia(whole, whole)),
            constants(self.spec.gravity),
        )
        self.loads = Loads(self.mechanics)

    def inputs(self, group: str, size: int) -> Any:
        self.sizes[group] = size
        return self.graph.inputs(group, size)

    def run(self, outputs: Mapping[str, Sequence[Expr]], **inputs: Array) -> dict[str, Array]:
        """Outputs as (n, size) arrays, from (n, size) inputs; those not given are zero."""
        n = max(len(np.atleast_2d(a)) for a in inputs.values())
        rows = {
            g: np.atleast_2d(inputs[g]) if g in inputs else np.zeros((n, size))
            for g, size in self.sizes.items()
        }
        return Program.build(self.graph, self.sizes, outputs)(**rows)

    def set(self, q: Array, u: Array) -> osim.State:
        """OpenSim's state at given coordinates and speeds, realised to velocity."""
        coordinates = self.model.getCoordinateSet()
        for i, c in enumerate(self.spec.coordinates):
            coordinates.get(c.name).setValue(self.state, float(q[i]), False)
            coordinates.get(c.name).setSpeedValue(self.state, float(u[i]))
        self.model.realizeVelocity(self.state)
        return self.state

    def generalised(self, column: int) -> Expr:
        """Generalised force of all loads on one coordinate, by virtual work."""
        m = self.mechanics
        total = self.loads.moments[column]
        for i, (force, couple) in enumerate(zip(self.loads.forces, self.loads.couples)):
            if m.home[column] not in m.topology.chain(i):
                continue
            k = m.topology.bodies[m.home[column]].columns.index(column)
            carrier = m.bodies[m.home[column]]
            turn, slide = carrier.angular_columns[:, k], carrier.linear_columns[:, k]
            reach = m.offset(m.home[column], i)
            velocity = slide + np.cross(turn, reach)
            total = total + turn @ couple + velocity @ force
        return total

    def forces_in_opensim(self, q: Array, u: Array) -> Array:
        """Generalised forces of all force components, in the spec's order.

        What inverse dynamics needs without the forces less what it needs with them.
        """
        needed = []
        order = self.speed_order()
        for on in (False, True):
            self.set(q, u)
            for force in self.model.getForceSet():
                force.setAppliesForce(self.state, on)
            self.model.realizeDynamics(self.state)
            rates = osim.Vector(self.state.getNU(), 0.0)
            solved = osim.InverseDynamicsSolver(self.model).solve(self.state, rates)
            needed.append(np.array([solved.get(i) for i in order]))
        return np.asarray(needed[0] - needed[1])

    def speed_order(self) -> list[int]:
        """Position of every coordinate's speed in OpenSim's state."""
        return [self._position(c.name) for c in self.spec.coordinates]

    def _position(self, name: str) -> int:
        coordinate = self.model.getCoordinateSet().get(name)
        before = coordinate.getSpeedValue(self.state)
        coordinate.setSpeedValue(self.state, before + 1.0)
        changed = [self.state.getU().get(i) for i in range(self.state.getNU())]
        coordinate.setSpeedValue(self.state, before)
        kept = [self.state.getU().get(i) for i in range(self.state.getNU())]
        return int(np.flatnonzero(np.array(changed) != np.array(kept))[0])


def relative_error(found: Array, expected: Array) -> float:
    """Largest |difference| over max(|expected|, a thousandth of its column's largest)."""
    expected = np.asarray(expected)
    size = np.maximum(np.abs(expected), 1e-3 * np.abs(expected).max(axis=0) + 1e-300)
    return float((np.abs(found - expected) / size).max())
