"""Does the converted model still move like its source? Accelerations without muscles, compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osim_exo.models.convert.sampling import Postures
from osim_exo.trial import Array

if TYPE_CHECKING:
    import opensim

N_STATES = 5


def acceleration_error(
    source: opensim.Model, converted: opensim.Model, held: dict[str, float], seed: int
) -> float:
    """Largest relative difference of coordinate accelerations under gravity alone.

    Every force of both models is switched off; masses, joints, constraints and gravity are left.
    Relative to the larger of the value and a thousandth of the coordinate's largest one.

    Parameters
    ----------
    source : the model as read; its held coordinates are locked here
    converted : the model as written
    held : value of every coordinate that the conversion took away
    seed : of the random states
    """
    source, converted = _bare(source), _bare(converted)
    listed = source.getCoordinateSet()
    for i in range(listed.getSize()):
        coordinate = listed.get(i)
        if coordinate.getName() in held:
            coordinate.set_prescribed(False)
            coordinate.setDefaultValue(held[coordinate.getName()])
            coordinate.set_locked(True)
    there = Postures(converted, [])
    rng = np.random.default_rng(seed)
    state = source.initSystem()
    pairs = []
    for _ in range(N_STATES):
        values = {n: rng.uniform(-0.4, 0.4) for n in there.independent}
        speeds = {n: rng.uniform(-1.0, 1.0) for n in there.independent}
        there.set(values)
        there.move(speeds, values)
        converted.realizeAcceleration(there.state)
        for name in there.components:
            target = listed.get(name)
            component = there.components[name]
            target.setValue(state, component.getValue(there.state), False)
            target.setSpeedValue(state, component.getSpeedValue(there.state))
        source.realizeAcceleration(state)
        pairs.append(
            [
                (
                    listed.get(n).getAccelerationValue(state),
                    there.components[n].getAccelerationValue(there.state),
                )
                for n in there.components
            ]
        )
    if not there.components:
        return 0.0
    return _largest(np.array(pairs))


def _largest(pairs: Array) -> float:
    """Largest relative difference of (n_state, n_coordinate, 2) accelerations."""
    expected, found = pairs[..., 0], pairs[..., 1]
    size = np.maximum(np.abs(expected), 1e-3 * np.abs(expected).max(axis=0))
    return float((np.abs(found - expected) / np.maximum(size, 1e-9)).max())


def _bare(model: opensim.Model) -> opensim.Model:
    """A copy without forces."""
    import opensim

    bare = model.clone()
    for component in bare.getComponentsList():
        force = opensim.Force.safeDownCast(component)
        if force is not None:
            force.set_appliesForce(False)
    bare.finalizeConnections()
    return bare
