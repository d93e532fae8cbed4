"""Read an OpenSim model's parts by walking its components: forces may sit outside the ForceSet."""

from __future__ import annotations

from collections.abc import Iterable

import opensim as osim

from osim_exo import names
from osim_exo.errors import ModelError
from osim_exo.trial import MuscleParameters

GAIT_COORDINATES = (
    "pelvis_tilt",
    "pelvis_tx",
    "pelvis_ty",
    "hip_flexion_r",
    "hip_flexion_l",
    "knee_angle_r",
    "knee_angle_l",
    "ankle_angle_r",
    "ankle_angle_l",
)
"""Coordinates that a gait model must have; their names are those of OpenSim's own gait models."""

EVERY = ("all", "all_r", "all_l")
"""In place of a muscle's name: every muscle, or every one of a side."""


def coordinates(model: osim.Model) -> list[osim.Coordinate]:
    """Every coordinate, in the model's own order."""
    found = model.getCoordinateSet()
    return [found.get(i) for i in range(found.getSize())]


def muscles(model: osim.Model) -> list[osim.Muscle]:
    """Every muscle, in component order."""
    found = (osim.Muscle.safeDownCast(c) for c in model.getComponentsList())
    return [m for m in found if m is not None]


def coordinate_actuators(model: osim.Model) -> list[osim.CoordinateActuator]:
    """Every CoordinateActuator (activation ones too), in component order."""
    found = (osim.CoordinateActuator.safeDownCast(c) for c in model.getComponentsList())
    return [a for a in found if a is not None]


def require_coordinates(
    model: osim.Model, wanted: Iterable[str] = GAIT_COORDINATES, source: str = ""
) -> None:
    """Raise a `ModelError` that lists the coordinates a model lacks."""
    there = [c.getName() for c in coordinates(model)]
    missing = [name for name in wanted if name not in there]
    if missing:
        raise ModelError(
            f"The model {source or model.getName()} lacks coordinates that are needed here: "
            f"{', '.join(missing)}. It has: {', '.join(there) or 'none'}. Rename its coordinates "
            "to these names, or use a model that has them (osim-exo models list)."
        )


def weaken(model: osim.Model, weakness: dict[str, float]) -> None:
    """Multiply the named muscles' isometric forces, in place.

    Parameters
    ----------
    model : opensim.Model
    weakness : factor by muscle name, by name without side for both sides, or for ``all``,
        ``all_r`` or ``all_l``; factors on one muscle multiply; 0 < factor <= 2
    """
    for name, factor in weakness.items():
        targets = _named(model, "Weakness", name)
        if not 0.0 < factor <= 2.0:
            raise ModelError(
                f"Weakness of '{name}' is {factor}; allowed is above 0 (paralysed) up to 2; "
                "0.5 means half the strength."
            )
        for muscle in targets:
            muscle.set_max_isometric_force(factor * muscle.get_max_isometric_force())


def contract(model: osim.Model, contracture: dict[str, float]) -> None:
    """Shorten the named muscles' fibres, in place: their passive force begins at shorter lengths.

    Optimal fibre lengths are multiplied and tendons kept; compare Ong et al. 2019 (PLoS Comput Biol
    15:e1006993) on contracted plantarflexors. The fibre's largest speed, which counts in lengths,
    falls with it, as in a muscle that has lost sarcomeres in series.

    Parameters
    ----------
    model : opensim.Model
    contracture : factor by muscle name, as in `weaken`; 0.4 <= factor <= 1
    """
    for name, factor in contracture.items():
        targets = _named(model, "Contracture", name)
        if not 0.4 <= factor <= 1.0:
            raise ModelError(
                f"Contracture of '{name}' is {factor}; allowed is 0.4 to 1; 0.7 means fibres of "
                "70 % of their healthy length."
            )
        for muscle in targets:
            muscle.set_optimal_fiber_length(factor * muscle.get_optimal_fiber_length())


def _named(model: osim.Model, what: str, name: str) -> list[osim.Muscle]:
    """Muscles of a name with or without side, or all of a side."""
    by_name = {m.getName(): m for m in muscles(model)}
    if name in EVERY:
        ending = name.removeprefix("all")
        return [m for own, m in by_name.items() if own.endswith(ending)]
    targets = [by_name[m] for m in (name, f"{name}_r", f"{name}_l") if m in by_name]
    if not targets:
        raise ModelError(
            f"{what} names the muscle '{name}', which the model does not have. "
            f"It has: {', '.join(by_name)}; or {', '.join(EVERY)}."
        )
    return targets


def muscle_parameters(
    model: osim.Model, slow_fractions: dict[str, float] | None = None
) -> dict[str, MuscleParameters]:
    """What metabolic models need of every muscle.

    Parameters
    ----------
    model : opensim.Model
    slow_fractions : share of slow-twitch fibres by muscle name without side; 0.5, OpenSim's own
        default, where a muscle is not named
    """
    shares = slow_fractions or {}
    found = {}
    for muscle in muscles(model):
        name = muscle.getName()
        base = name[:-2] if names.side(name) else name
        found[name] = MuscleParameters(
            max_isometric_force=muscle.get_max_isometric_force(),
            optimal_fibre_length=muscle.get_optimal_fiber_length(),
            max_contraction_velocity=muscle.get_max_contraction_velocity(),
            pennation_at_optimal=muscle.get_pennation_angle_at_optimal(),
            slow_fraction=shares.get(base, 0.5),
        )
    return found
