"""Muscles: Millard, Thelen and rigid-tendon muscles become DeGrooteFregly2016 muscles.

What has the same meaning is carried over; what has not, the shapes of the curves above all,
changes, and `compare` says by how much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from numpy.typing import NDArray

from osim_exo.models import components
from osim_exo.models.convert.document import Document, name_of, number, put, value
from osim_exo.models.convert.sampling import Postures
from osim_exo.trial import Array

if TYPE_CHECKING:
    import opensim

MUSCLE = "DeGrooteFregly2016Muscle"

REPLACED = (
    "Millard2012EquilibriumMuscle",
    "Millard2012AccelerationMuscle",
    "Thelen2003Muscle",
    "RigidTendonMuscle",
)
"""Muscles that are turned into DeGrooteFregly2016 ones."""

_SAME = (
    "components",
    "appliesForce",
    "min_control",
    "max_control",
    "max_isometric_force",
    "optimal_fiber_length",
    "tendon_slack_length",
    "pennation_angle_at_optimal",
    "max_contraction_velocity",
    "ignore_activation_dynamics",
    "activation_time_constant",
    "deactivation_time_constant",
    "default_activation",
    "fiber_damping",
)
"""Properties of the same name and meaning."""

_CARRIED = {
    "passive_fiber_strain_at_one_norm_force": (
        "FiberForceLengthCurve/strain_at_one_norm_force",
        "FmaxMuscleStrain",
    ),
    "tendon_strain_at_one_norm_force": (
        "TendonForceLengthCurve/strain_at_one_norm_force",
        "FmaxTendonStrain",
    ),
    "activation_time_constant": (
        "MuscleFirstOrderActivationDynamicModel/activation_time_constant",
    ),
    "deactivation_time_constant": (
        "MuscleFirstOrderActivationDynamicModel/deactivation_time_constant",
    ),
}
"""Properties that the old classes keep elsewhere; the first found counts."""

SHORT, LONG = 0.3, 1.8
"""Optimal lengths; a rigid-tendon fibre outside gives no force that means anything."""

N_STATES = 40
"""Random states per muscle of the comparison."""

SPEED = 2.0
"""rad/s (m/s); coordinate speeds of the comparison are uniform within plus and minus this."""


@dataclass(frozen=True)
class ForceChange:
    """Difference of tendon force between the new and the old muscles, in isometric forces.

    Attributes
    ----------
    how : what was compared
    mean_force : mean of the old muscles' force
    median, p95 : of the absolute difference over states and muscles
    worst : the muscle with the largest median difference, and that median
    n : number of muscle states
    """

    how: str
    mean_force: float
    median: float
    p95: float
    worst: tuple[str, float]
    n: int


def replace(document: Document, tendon: Literal["rigid", "compliant"]) -> dict[str, str]:
    """Turn the muscles of the tree into DeGrooteFregly2016 ones; old class by muscle name.

    Muscles that are DeGrooteFregly2016 already keep all but the tendon's compliance.
    """
    changed = {}
    for force in document.forces():
        if force.tag in REPLACED:
            changed[name_of(force)] = force.tag
            _replace(force)
        if force.tag == MUSCLE:
            put(force, "ignore_tendon_compliance", "true" if tendon == "rigid" else "false")
    return changed


def _replace(muscle: Element) -> None:
    properties = {tag: value(muscle, tag) for tag in _SAME if muscle.find(tag) is not None}
    for tag, places in _CARRIED.items():
        for place in places:
            if muscle.find(place) is not None:
                properties.setdefault(tag, value(muscle, place))
    lowest = max(number(muscle, "min_control"), number(muscle, "minimum_activation"))
    properties["min_control"] = repr(lowest)
    path = muscle.find("GeometryPath")
    if path is None:
        path = muscle.find("FunctionBasedPath")
    name = muscle.get("name", "")
    muscle.clear()
    muscle.tag = MUSCLE
    muscle.set("name", name)
    for tag, text in properties.items():
        SubElement(muscle, tag).text = text
    if path is not None:
        muscle.append(path)


def compare(
    old: opensim.Model, new: opensim.Model, ranges: dict[str, tuple[float, float]], seed: int
) -> list[ForceChange]:
    """Tendon forces of the old and the new muscles at the same random states.

    Two comparisons are made where the old muscles allow them: with rigid tendons in both, at random
    speeds (the curves alone), and with the old muscles as they were, in static equilibrium.
    States that bring a fibre, its tendon taken as rigid, outside `SHORT` to `LONG` are left out.

    Parameters
    ----------
    old, new : the same model before and after `replace`
    ranges : coordinates to vary, rad or m
    seed : of the random states
    """
    found = []
    rigid = [m for m in components.muscles(old) if m.getConcreteClassName() != "Thelen2003Muscle"]
    if rigid:
        found.append(_compare(old, new, ranges, seed, rigid_tendons=True))
    if any(not m.get_ignore_tendon_compliance() for m in components.muscles(old)):
        found.append(_compare(old, new, ranges, seed, rigid_tendons=False))
    return [change for change in found if change.n]


def _compare(
    old: opensim.Model,
    new: opensim.Model,
    ranges: dict[str, tuple[float, float]],
    seed: int,
    rigid_tendons: bool,
) -> ForceChange:
    old = old.clone()
    names = []
    for muscle in components.muscles(old):
        muscle.set_ignore_activation_dynamics(False)
        if rigid_tendons:
            if muscle.getConcreteClassName() == "Thelen2003Muscle":
                muscle.set_appliesForce(False)
                continue
            muscle.set_ignore_tendon_compliance(True)
        names.append(muscle.getName())
    old_force, _ = _forces(old, names, ranges, seed, moving=rigid_tendons)
    new_force, extreme = _forces(new, names, ranges, seed, moving=rigid_tendons)
    difference = np.abs(new_force - old_force)
    usable = np.isfinite(difference) & ~extreme
    if not usable.any():
        return ForceChange("", 0.0, 0.0, 0.0, ("", 0.0), 0)
    medians = {
        name: float(np.median(column[good]))
        for name, column, good in zip(names, difference.T, usable.T)
        if good.any()
    }
    worst = max(medians, key=lambda name: medians[name])
    return ForceChange(
        how="rigid tendons in both, random speeds"
        if rigid_tendons
        else "old muscles as they were, at rest",
        mean_force=float(old_force[usable].mean()),
        median=float(np.median(difference[usable])),
        p95=float(np.quantile(difference[usable], 0.95)),
        worst=(worst, medians[worst]),
        n=int(usable.sum()),
    )


def _forces(
    model: opensim.Model,
    names: list[str],
    ranges: dict[str, tuple[float, float]],
    seed: int,
    moving: bool,
) -> tuple[Array, NDArray[np.bool_]]:
    """Tendon force over isometric force, NaN where it cannot be had; whether fibres are extreme.

    Both (n_state, n_muscle); extreme is a fibre outside `SHORT` to `LONG` with a rigid tendon.
    """
    model = model.clone()
    for muscle in components.muscles(model):
        muscle.set_ignore_activation_dynamics(False)
    muscles = {m.getName(): m for m in components.muscles(model)}
    chosen = [muscles[n] for n in names]
    postures = Postures(model, chosen)
    rng = np.random.default_rng(seed)
    low, high = np.array(list(ranges.values())).reshape(-1, 2).T
    forces = np.full((N_STATES, len(names)), np.nan)
    extreme = np.zeros(forces.shape, dtype=bool)
    for i in range(N_STATES):
        values = dict(zip(ranges, rng.uniform(low, high)))
        speeds = dict(zip(ranges, rng.uniform(-SPEED, SPEED, len(ranges)) * moving))
        activations = rng.uniform(0.02, 1.0, len(names))
        postures.set(values)
        for muscle, activation in zip(chosen, activations):
            muscle.setActivation(postures.state, activation)
        postures.move(speeds, values)
        for k, muscle in enumerate(chosen):
            forces[i, k] = _force(muscle, postures.state)
        for k, (muscle, length) in enumerate(zip(chosen, postures.lengths())):
            (fibre,) = fibre_lengths(muscle, np.array([length]))
            extreme[i, k] = not SHORT <= fibre <= LONG
    return forces, extreme


def _force(muscle: opensim.Muscle, state: opensim.State) -> float:
    """Tendon force over isometric force; NaN where OpenSim finds no equilibrium."""
    try:
        if not muscle.get_ignore_tendon_compliance():
            muscle.computeEquilibrium(state)
        return float(muscle.getTendonForce(state)) / float(muscle.getMaxIsometricForce())
    except RuntimeError:
        return float("nan")


def fibre_lengths(muscle: opensim.Muscle, lengths: Array) -> Array:
    """Fibre lengths with a rigid tendon at path lengths (m), in optimal lengths.

    A fibre whose tendon is slack at a path length counts as negative.
    """
    along = lengths - muscle.get_tendon_slack_length()
    optimal = muscle.get_optimal_fiber_length()
    width = optimal * np.sin(muscle.get_pennation_angle_at_optimal())
    return np.asarray(np.copysign(np.hypot(along, width), along) / optimal)
