"""Muscle synergies of the solved gaits: groups of muscles that are driven together.

``python -m osim_exo.learn.synergies`` prints how much of the activations 3 to 8 groups explain.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from osim_exo.baseline.library import SLOPES_DEG, SPEEDS, gait_folder
from osim_exo.baseline.storage import load_solution
from osim_exo.errors import DataError, InputError
from osim_exo.names import side

Array = npt.NDArray[np.float64]

SAMPLES = 100
"""Samples of a stride that count, equally spaced."""

RESTARTS = 10
"""Random beginnings of a factorisation; the best one is kept."""

SWEEPS = 500
"""Most sweeps of one factorisation."""

TINY = 1e-12


@dataclass(frozen=True)
class Basis:
    """Groups of one leg's muscles.

    Attributes
    ----------
    muscles : names without side
    weights : (number, n_muscle) array, 0 to 1; the largest of every group is 1
    explained : variance accounted for, 1 - squared error over squared activation
    explained_by_muscle : (n_muscle,) array, the same for every muscle
    """

    muscles: tuple[str, ...]
    weights: Array
    explained: float
    explained_by_muscle: Array

    @property
    def number(self) -> int:
        """Groups of a leg."""
        return len(self.weights)

    def both_legs(self, muscles: Sequence[str]) -> Array:
        """Weights of both legs' muscles, (2 number, len(muscles)) array; right groups first.

        Raises
        ------
        InputError
            A muscle is in no group, or has no side.
        """
        table = np.zeros((2 * self.number, len(muscles)))
        for column, name in enumerate(muscles):
            leg = side(name)
            stem = name[: -len("_r")]
            if leg is None or stem not in self.muscles:
                raise InputError(
                    f"The synergies say nothing of the muscle '{name}'. They know, on both sides: "
                    f"{', '.join(self.muscles)}. Learn without synergies, or with that model."
                )
            first = 0 if leg == "r" else self.number
            table[first : first + self.number, column] = self.weights[:, self.muscles.index(stem)]
        return table


def factorise(data: Array, number: int, seed: int = 0) -> tuple[Array, Array]:
    """Non-negative factors: data = scores @ weights, nearly.

    Hierarchical alternating least squares (Cichocki & Phan 2009, IEICE Trans. Fundamentals
    E92-A:708), from several random beginnings.

    Parameters
    ----------
    data : (n_sample, n_channel) array, not negative
    number : of factors
    seed : of the beginnings

    Returns
    -------
    scores : (n_sample, number) array
    weights : (number, n_channel) array, the largest of every row 1

    Raises
    ------
    InputError
        The data are negative or not finite, or there are more factors than channels.
    """
    if data.ndim != 2 or not np.isfinite(data).all() or (data < 0.0).any():
        raise InputError("A factorisation needs a table of finite numbers that are not negative.")
    if not 1 <= number <= min(data.shape):
        raise InputError(
            f"{number} factors were asked for; with data of shape {data.shape} allowed are 1 to "
            f"{min(data.shape)}."
        )
    random = np.random.default_rng(seed)
    runs = [_alternate(data, number, random) for _ in range(RESTARTS)]
    scores, weights = min(runs, key=lambda run: float(np.sum((data - run[0] @ run[1]) ** 2)))
    size = np.maximum(weights.max(axis=1), TINY)
    scores, weights = scores * size, weights / size[:, None]
    # The order of factors has no meaning; the strongest comes first.
    order = np.argsort(-scores.sum(axis=0), kind="stable")
    return scores[:, order], weights[order]


def _alternate(data: Array, number: int, random: np.random.Generator) -> tuple[Array, Array]:
    scale = float(np.sqrt(data.mean() / number))
    scores = scale * random.random((len(data), number)) + TINY
    weights = scale * random.random((number, data.shape[1])) + TINY
    total, before = float(np.sum(data**2)), np.inf
    for sweep in range(SWEEPS):
        _improve(weights, scores.T @ data, scores.T @ scores)
        across = np.ascontiguousarray(scores.T)
        _improve(across, weights @ data.T, weights @ weights.T)
        scores = np.ascontiguousarray(across.T)
        if sweep % 10 == 9:
            error = float(np.sum((data - scores @ weights) ** 2))
            if before - error < 1e-9 * total:
                break
            before = error
    return scores, weights


def _improve(rows: Array, against: Array, gram: Array) -> None:
    """Best non-negative rows one after the other, in place."""
    for k in range(len(rows)):
        change = (against[k] - gram[k] @ rows) / max(gram[k, k], TINY)
        rows[k] = np.maximum(rows[k] + change, TINY)


def variance_accounted_for(data: Array, fitted: Array) -> float:
    """Share of the squared data that is explained; not centred, as usual for activations."""
    return float(1.0 - np.sum((data - fitted) ** 2) / np.sum(data**2))


def activations(model: str = "gait2d") -> tuple[tuple[str, ...], Array]:
    """Activations of one leg over the strides of all solved gaits of a shipped model.

    Returns
    -------
    muscles : names without side
    data : (gaits times `SAMPLES`, n_muscle) array

    Raises
    ------
    DataError
        The library has no gaits of that model.
    """
    muscles: tuple[str, ...] = ()
    rows = []
    for speed in SPEEDS:
        for slope in SLOPES_DEG:
            stem = gait_folder(model, speed, slope) / "solution"
            if not stem.with_suffix(".npz").is_file():
                raise DataError(
                    f"The library lacks the gait of '{model}' at {speed:g} m/s and {slope:g} "
                    "degrees. Solve it with: osim-exo baseline library"
                )
            stride = load_solution(stem).stride()
            named = {
                path.split("/")[-2]: values
                for path, values in stride.states.items()
                if path.endswith("_r/activation")
            }
            muscles = tuple(name.removesuffix("_r") for name in named)
            time = np.linspace(stride.time[0], stride.time[-1], SAMPLES, endpoint=False)
            rows.append(np.stack([np.interp(time, stride.time, v) for v in named.values()], axis=1))
    return muscles, np.concatenate(rows)


@lru_cache(maxsize=16)
def basis(number: int, model: str = "gait2d", seed: int = 0) -> Basis:
    """Groups of the solved gaits' activations; the same for the same arguments."""
    muscles, data = activations(model)
    scores, weights = factorise(data, number, seed)
    fitted = scores @ weights
    error, size = np.sum((data - fitted) ** 2, axis=0), np.sum(data**2, axis=0)
    return Basis(muscles, weights, variance_accounted_for(data, fitted), 1.0 - error / size)


def table(numbers: Sequence[int] = range(3, 9), model: str = "gait2d") -> str:
    """Variance accounted for per number of groups, as a Markdown table."""
    found = [basis(number, model) for number in numbers]
    muscles = found[0].muscles
    lines = [
        f"| groups per leg | all | {' | '.join(muscles)} |",
        "|---" * (len(muscles) + 2) + "|",
    ]
    for one in found:
        cells = " | ".join(f"{value:.3f}" for value in one.explained_by_muscle)
        lines.append(f"| {one.number} | {one.explained:.4f} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Variance accounted for by muscle synergies.")
    parser.add_argument("--model", default="gait2d", help="shipped model with solved gaits")
    print(table(model=parser.parse_args().model))


if __name__ == "__main__":
    main()
