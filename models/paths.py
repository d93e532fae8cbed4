"""Smooth muscle paths: polynomials in the coordinates a muscle crosses, fitted to its geometry.

Via points that switch on and off give moment arms that jump, which stalls gradient-based optimal
control; a polynomial of length with its derivatives as moment arms (van den Bogert et al. 2013)
does not, and evaluates faster.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import opensim as osim

from osim_exo import names
from osim_exo.errors import ModelError
from osim_exo.models.terms import exponents
from osim_exo.trial import Array
from osim_exo.units import DEG

FIT_RANGES: dict[str, tuple[float, float]] = {
    "hip_flexion": (-35.0 * DEG, 65.0 * DEG),
    "knee_angle": (-105.0 * DEG, 5.0 * DEG),
    "ankle_angle": (-40.0 * DEG, 35.0 * DEG),
}
"""Coordinate ranges of the fit, rad: walking and running with room to spare."""

MAX_ORDER = 7
MOMENT_ARM_GOAL = 5e-4
"""m; the lowest order whose moment arms reach this RMS error is taken."""


@dataclass(frozen=True)
class Polynomial:
    """Path length as a polynomial of joint coordinates.

    Attributes
    ----------
    muscle : name of the right-side muscle, without suffix
    coordinates : names without suffix
    order : largest sum of exponents
    coefficients : (n_term,) m; in OpenSim's MultivariatePolynomialFunction order
    length_rms, moment_arm_rms : fit errors on states the fit has not seen, m
    """

    muscle: str
    coordinates: tuple[str, ...]
    order: int
    coefficients: Array
    length_rms: float
    moment_arm_rms: float


def _design(q: Array, order: int, derivative: int | None = None) -> Array:
    """Terms (or their derivatives by one coordinate) at the samples, (n_sample, n_term)."""
    columns = []
    for term in exponents(q.shape[1], order):
        powers = list(term)
        factor = 1.0
        if derivative is not None:
            factor = float(powers[derivative])
            powers[derivative] = max(powers[derivative] - 1, 0)
        columns.append(factor * np.prod(q ** np.array(powers), axis=1))
    return np.stack(columns, axis=1)


def _sample(
    model: osim.Model, muscle: str, coordinates: tuple[str, ...], n: int, seed: int
) -> tuple[Array, Array, Array]:
    """Random states with the muscle's length (n,) and moment arms (n, n_coordinate)."""
    rng = np.random.default_rng(seed)
    low, high = np.array([FIT_RANGES[c] for c in coordinates]).T
    q = rng.uniform(low, high, size=(n, len(coordinates)))
    state = model.initSystem()
    component = model.getMuscles().get(f"{muscle}_r")
    coords = [model.getCoordinateSet().get(f"{c}_r") for c in coordinates]
    length = np.empty(n)
    arms = np.empty(q.shape)
    for i in range(n):
        for coordinate, value in zip(coords, q[i]):
            coordinate.setValue(state, value, False)
        model.realizePosition(state)
        length[i] = component.getLength(state)
        arms[i] = [component.computeMomentArm(state, c) for c in coords]
    return q, length, arms


def crossed_coordinates(model: osim.Model, muscle: str) -> tuple[str, ...]:
    """Which of the fitted coordinates a muscle has a moment arm about."""
    _, _, arms = _sample(model, muscle, tuple(FIT_RANGES), 20, seed=1)
    return tuple(c for c, column in zip(FIT_RANGES, arms.T) if np.abs(column).max() > 1e-6)


def fit(model: osim.Model, muscle: str) -> Polynomial:
    """Fit one muscle's length and moment arms together, by least squares.

    Errors are reported on samples drawn with another seed.
    """
    coordinates = crossed_coordinates(model, muscle)
    n = 300 * len(coordinates) ** 2
    q, length, arms = _sample(model, muscle, coordinates, n, seed=2)
    q_test, length_test, arms_test = _sample(model, muscle, coordinates, n // 2, seed=3)
    for order in range(3, MAX_ORDER + 1):
        rows = [_design(q, order)]
        rows += [-_design(q, order, i) for i in range(len(coordinates))]
        target = np.concatenate([length, *arms.T])
        coefficients = np.linalg.lstsq(np.concatenate(rows), target, rcond=None)[0]
        length_error = _design(q_test, order) @ coefficients - length_test
        arm_error = np.stack(
            [-_design(q_test, order, i) @ coefficients for i in range(len(coordinates))], axis=1
        )
        arm_rms = float(np.sqrt(np.mean((arm_error - arms_test) ** 2)))
        if arm_rms < MOMENT_ARM_GOAL:
            break
    length_rms = float(np.sqrt(np.mean(length_error**2)))
    return Polynomial(muscle, coordinates, order, coefficients, length_rms, arm_rms)


def write_polynomials(model: osim.Model, path: Path) -> list[Polynomial]:
    """Fit every right-side muscle of a model and write the table."""
    muscles = model.getMuscles()
    sided = [muscles.get(i).getName() for i in range(muscles.getSize())]
    fits = [fit(model, name[:-2]) for name in sided if names.side(name) == "r"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["muscle", "coordinates", "order", "length_rms_mm", "moment_arm_rms_mm", "coefficients"]
        )
        for f in fits:
            writer.writerow(
                [
                    f.muscle,
                    " ".join(f.coordinates),
                    f.order,
                    f"{1e3 * f.length_rms:.4f}",
                    f"{1e3 * f.moment_arm_rms:.4f}",
                    " ".join(f"{c:.12g}" for c in f.coefficients),
                ]
            )
    return fits


def read_polynomials(path: Path) -> list[Polynomial]:
    """The table that `write_polynomials` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Polynomial(
                row["muscle"],
                tuple(row["coordinates"].split()),
                int(row["order"]),
                np.array([float(c) for c in row["coefficients"].split()]),
                1e-3 * float(row["length_rms_mm"]),
                1e-3 * float(row["moment_arm_rms_mm"]),
            )
            for row in csv.DictReader(file)
        ]


def polynomial_path(
    model: osim.Model, coordinates: Sequence[str], coefficients: Array, order: int
) -> osim.FunctionBasedPath:
    """A path whose length is a polynomial of the named coordinates; moment arms follow from it.

    Parameters
    ----------
    model : connected model that has the coordinates
    coordinates : full names
    coefficients : (n_term,) m, in the order of `exponents`
    order : largest sum of exponents
    """
    path = osim.FunctionBasedPath()
    path.setName("path")
    for coordinate in coordinates:
        component = model.getCoordinateSet().get(coordinate)
        path.appendCoordinatePath(component.getAbsolutePathString())
    path.setLengthFunction(
        osim.MultivariatePolynomialFunction(
            osim.Vector.createFromMat(coefficients), len(coordinates), order
        )
    )
    return path


def use_polynomials(model: osim.Model, fits: list[Polynomial], length_scale: float = 1.0) -> None:
    """Replace the geometry paths of both sides by polynomial paths, in place.

    Parameters
    ----------
    model : connected model whose joints carry the fitted coordinates with ``_r`` and ``_l``
    fits : one polynomial per muscle
    length_scale : segment length relative to the model that was fitted; path length scales with it
    """
    model.finalizeConnections()
    for f in fits:
        for side in names.SIDES:
            name = f"{f.muscle}_{side}"
            if model.getMuscles().getIndex(name) < 0:
                raise ModelError(f"The model has no muscle '{name}' for its polynomial path.")
            path = polynomial_path(
                model,
                [f"{coordinate}_{side}" for coordinate in f.coordinates],
                length_scale * f.coefficients,
                f.order,
            )
            model.getMuscles().get(name).set_path(path)
    model.finalizeFromProperties()  # forget the pointers into the old paths before connecting
    model.finalizeConnections()
