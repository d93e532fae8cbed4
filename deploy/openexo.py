"""Torque profiles for OpenExo: parameters of its five-node spline and its Franks-Collins curve.

Format and meaning of the parameters are facts of the public firmware (naubiomech/OpenExo on GitHub:
ControllerData.h, Controller.cpp, ParamsFromSD.cpp): a CSV file per controller on the card, whose
first two lines begin with the number of lines to pass over and the number of parameters. Torques
are in Nm, flexion positive, times in percent of the gait cycle from heel strike.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

PERCENT = np.linspace(0.0, 100.0, 101)
LARGEST = 15.0
"""Nm; OpenExo's spline controller gives no more."""

GRID = 5
"""% of the gait cycle between the places that are tried for a node."""


@dataclass(frozen=True)
class SplineNodes:
    """A natural cubic spline through five nodes.

    Attributes
    ----------
    percent, nm : of the nodes
    """

    percent: tuple[float, ...]
    nm: tuple[float, ...]

    def torque(self, percent: Array = PERCENT) -> Array:
        """Torque over the gait cycle, Nm."""
        curve = _natural(np.array(self.percent), percent) @ np.array(self.nm)
        return np.asarray(np.clip(curve, -LARGEST, LARGEST))

    def row(self) -> list[float]:
        """Parameters in OpenExo's order: nodes, by gait cycle, no feedback of torque."""
        pairs = [value for pair in zip(self.percent, self.nm) for value in pair]
        return [*pairs, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]


@dataclass(frozen=True)
class FranksCollins:
    """An extension pulse, then a flexion pulse, after Franks et al. 2021 (Wearable Technol. 2).

    Times but `start` are percent of the gait cycle after `start`.

    Attributes
    ----------
    extension_nm, flexion_nm : peaks, magnitudes
    start : % of the gait cycle where the curve begins
    onset : from the begin of the extension pulse to its peak
    trough : peak of extension
    middle, pause : middle and length of the time without torque between the pulses
    peak : peak of flexion
    offset : from the peak of flexion to its end
    """

    extension_nm: float
    flexion_nm: float
    start: float
    onset: float
    trough: float
    middle: float
    pause: float
    peak: float
    offset: float

    def torque(self, percent: Array = PERCENT) -> Array:
        """Torque over the gait cycle, Nm."""
        down, up = self.pulses(percent)
        return self.flexion_nm * up - self.extension_nm * down

    def pulses(self, percent: Array = PERCENT) -> tuple[Array, Array]:
        """Shares of the extension and of the flexion peak."""
        at = np.mod(percent - self.start, 100.0)
        end, begin = self.middle - self.pause / 2.0, self.middle + self.pause / 2.0
        return (
            _pulse(at, self.trough - self.onset, self.trough, end),
            _pulse(at, begin, self.peak, self.peak + self.offset),
        )

    @property
    def fits(self) -> bool:
        """The pulses lie one after the other within the cycle."""
        places = (
            0.0,
            self.trough - self.onset,
            self.trough,
            self.middle - self.pause / 2.0,
            self.middle + self.pause / 2.0,
            self.peak,
            self.peak + self.offset,
            100.0,
        )
        rises = np.diff(places)
        return bool(np.all(rises >= 0.0) and min(rises[1], rises[2], rises[4], rises[5]) >= 2.0)

    def row(self, mass: float) -> list[float]:
        """Parameters in OpenExo's order, without feedback of torque.

        Its present firmware takes the peaks as Nm and does not use the body mass.
        """
        numbers = astuple(self)
        return [mass, *numbers, 0.0, 0.0, 0.0, 0.0, 0.0]


def fit_spline(torque: Array) -> SplineNodes:
    """The five nodes whose spline is nearest to a profile.

    Parameters
    ----------
    torque : (101,) array, Nm; the same at 0 and 100 %
    """
    error, best = math.inf, SplineNodes((0.0, 25.0, 50.0, 75.0, 100.0), (0.0,) * 5)
    for inner in combinations(range(GRID, 100, GRID), 3):
        places = np.array([0.0, *inner, 100.0])
        basis = _natural(places, PERCENT)
        # First and last node are the same moment of the cycle.
        tied = np.column_stack([basis[:, 0] + basis[:, 4], basis[:, 1:4]])
        values, *_ = np.linalg.lstsq(tied, torque, rcond=None)
        values = np.clip(values, -LARGEST, LARGEST)
        miss = float(np.sum((tied @ values - torque) ** 2))
        if miss < error:
            heights = tuple(values[[0, 1, 2, 3, 0]].tolist())
            error, best = miss, SplineNodes(tuple(places.tolist()), heights)
    return best


def fit_franks_collins(torque: Array) -> FranksCollins:
    """The Franks-Collins curve that is nearest to a profile; (101,) array, Nm."""
    lowest, highest = float(np.argmin(torque)), float(np.argmax(torque))
    gap = np.mod(lowest - highest, 100.0)
    guesses = [_first(torque, highest + share * gap) for share in (0.35, 0.5, 0.65)]
    tried = [_improved(curve, torque) for curve in guesses]
    return min(tried, key=lambda curve: _error(curve, torque))


def openexo_tables(spline: SplineNodes, franks: FranksCollins, mass: float) -> dict[str, str]:
    """Files for the folder ``hipControllers`` of OpenExo's card."""
    return {
        "spline.csv": _table(SPLINE_NAMES, spline.row()),
        "franksCollinsHip.csv": _table(FRANKS_NAMES, franks.row(mass)),
    }


SPLINE_NAMES = (
    *(f"node{k}_{what}" for k in range(1, 6) for what in ("percent", "nm")),
    "simulate_gait",
    "by_gait_cycle",
    "use_pid",
    "p_gain",
    "i_gain",
    "d_gain",
)
FRANKS_NAMES = (
    "mass_kg",
    "extension_nm",
    "flexion_nm",
    "start_percent",
    "onset_percent",
    "trough_percent",
    "middle_percent",
    "pause_percent",
    "peak_percent",
    "offset_percent",
    "simulate_gait",
    "use_pid",
    "p_gain",
    "i_gain",
    "d_gain",
)


def _table(names: tuple[str, ...], values: list[float]) -> str:
    head = [
        "5,lines before the parameters",
        f"{len(values)},parameters per line",
        ",written by osim-exo export: mean torque of a policy over the gait cycle",
        ",torque in Nm with flexion positive and time in percent of the gait cycle",
        ",".join(names),
    ]
    return "\n".join([*head, ",".join(f"{value:.5g}" for value in values)]) + "\n"


def _natural(places: Array, at: Array) -> Array:
    """Natural cubic spline through values at `places`: (n_at, n_place) weights of the values."""
    n, h = len(places), np.diff(places)
    system, right = np.eye(n), np.zeros((n, n))
    for i in range(1, n - 1):
        system[i, i - 1 : i + 2] = h[i - 1] / 6.0, (h[i - 1] + h[i]) / 3.0, h[i] / 6.0
        right[i, i - 1 : i + 2] = 1.0 / h[i - 1], -1.0 / h[i - 1] - 1.0 / h[i], 1.0 / h[i]
    bends = np.linalg.solve(system, right)
    k = np.clip(np.searchsorted(places, at, side="right") - 1, 0, n - 2)
    a = (places[k + 1] - at) / h[k]
    b = 1.0 - a
    line = a[:, None] * np.eye(n)[k] + b[:, None] * np.eye(n)[k + 1]
    bent = (a**3 - a)[:, None] * bends[k] + (b**3 - b)[:, None] * bends[k + 1]
    return np.asarray(line + bent * (h[k] ** 2)[:, None] / 6.0)


def _pulse(at: Array, begin: float, peak: float, end: float) -> Array:
    """0 to 1 and back: two cubics, level at all three places."""
    rise = np.clip((at - begin) / max(peak - begin, 1e-9), 0.0, 1.0)
    fall = np.clip((end - at) / max(end - peak, 1e-9), 0.0, 1.0)
    share = np.where(at < peak, rise, fall)
    return np.asarray(share**2 * (3.0 - 2.0 * share))


def _first(torque: Array, start: float) -> FranksCollins:
    """A guess with its peaks at the profile's extremes."""
    begin = float(np.mod(start, 100.0))
    trough = float(np.mod(float(np.argmin(torque)) - begin, 100.0))
    peak = float(np.mod(float(np.argmax(torque)) - begin, 100.0))
    trough = min(max(trough, 10.0), 60.0)
    peak = min(max(peak, trough + 20.0), 90.0)
    middle = (trough + peak) / 2.0
    return FranksCollins(
        0.0, 0.0, begin, 0.8 * trough, trough, middle, 2.0, peak, 0.8 * (100.0 - peak)
    )


def _scaled(curve: FranksCollins, torque: Array) -> FranksCollins:
    """The best peaks for a curve's times, none negative."""
    down, up = curve.pulses()
    basis = np.column_stack([-down, up])
    values, *_ = np.linalg.lstsq(basis, torque, rcond=None)
    if min(values) < 0.0:
        alone = [max(0.0, float(c @ torque / (c @ c))) for c in basis.T]
        keep = int(np.argmax([a * float(c @ torque) for a, c in zip(alone, basis.T)]))
        values = np.where(np.arange(2) == keep, alone, 0.0)
    numbers = list(astuple(curve))
    numbers[:2] = [float(values[0]), float(values[1])]
    return FranksCollins(*numbers)


def _error(curve: FranksCollins, torque: Array) -> float:
    return float(np.sum((curve.torque() - torque) ** 2))


def _improved(curve: FranksCollins, torque: Array) -> FranksCollins:
    """Move one time after the other as long as that brings the curve nearer."""
    best = _scaled(curve, torque)
    error, step = _error(best, torque), 8.0
    while step > 0.1:
        moved = False
        for place in range(2, 9):
            for sign in (-1.0, 1.0):
                numbers = list(astuple(best))
                numbers[place] += sign * step
                if place == 2:
                    numbers[2] = float(np.mod(numbers[2], 100.0))
                trial = FranksCollins(*numbers)
                if numbers[6] < 0.0 or not trial.fits:
                    continue
                trial = _scaled(trial, torque)
                if _error(trial, torque) < error - 1e-12:
                    best, error, moved = trial, _error(trial, torque), True
        step = step if moved else step / 2.0
    return best
