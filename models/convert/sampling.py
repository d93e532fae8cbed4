"""Random postures of a whole model, with every muscle's length and moment arms at each.

One posture serves all muscles at once, and a moment arm is read from the lengthening speed at unit
coordinate speed, which needs no new wrapping: about a millisecond for 80 muscles and 8 coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from osim_exo import names
from osim_exo.errors import InputError, ModelError
from osim_exo.progress import SILENT, Progress
from osim_exo.trial import Array
from osim_exo.units import DEG

if TYPE_CHECKING:
    import opensim

WALKING_RANGES_DEG: dict[str, tuple[float, float]] = {
    "hip_flexion": (-35.0, 65.0),
    "hip_adduction": (-25.0, 20.0),
    "hip_rotation": (-25.0, 25.0),
    "knee_angle": (-105.0, 5.0),
    "ankle_angle": (-40.0, 35.0),
    "subtalar_angle": (-20.0, 20.0),
    "mtp_angle": (-20.0, 40.0),
    "lumbar_extension": (-30.0, 30.0),
    "lumbar_bending": (-25.0, 25.0),
    "lumbar_rotation": (-25.0, 25.0),
}
"""Walking and running with room to spare, by coordinate without side; a knee that flexes positively
takes the mirrored range. Hip, knee and ankle are those of the shipped planar model's fit."""

WIDEST = 2.0 * math.pi
"""A coordinate's own range serves as the default only below this width, rad or m."""


@dataclass(frozen=True)
class Coupler:
    """A dependent coordinate and the function that gives it."""

    name: str
    dependent: str
    independent: tuple[str, ...]
    scale: float
    function: opensim.Function

    def value(self, at: Sequence[float]) -> float:
        """Value of the dependent coordinate."""
        return self.scale * float(self.function.calcValue(_vector(at)))

    def slopes(self, at: Sequence[float]) -> list[float]:
        """Its derivative by each independent coordinate."""
        # A list, not opensim.StdVectorInt: one that is passed keeps ezc3d from writing files later.
        return [
            self.scale * float(self.function.calcDerivative([k], _vector(at)))
            for k in range(len(self.independent))
        ]


def _vector(values: Sequence[float] | Array) -> opensim.Vector:
    import opensim

    return opensim.Vector.createFromMat(np.asarray(values, dtype=float))


def couplers(model: opensim.Model) -> list[Coupler]:
    """Every enforced coordinate coupler."""
    import opensim

    found = []
    for component in model.getComponentsList():
        coupler = opensim.CoordinateCouplerConstraint.safeDownCast(component)
        if coupler is None or not coupler.get_isEnforced():
            continue
        listed = coupler.getIndependentCoordinateNames()
        found.append(
            Coupler(
                coupler.getName(),
                coupler.getDependentCoordinateName(),
                tuple(listed.get(i) for i in range(listed.getSize())),
                opensim.PropertyHelper.getValueDouble(coupler.getPropertyByName("scale_factor")),
                coupler.getFunction().clone(),
            )
        )
    return found


@dataclass(frozen=True)
class Samples:
    """Postures and what the muscles are like there.

    Attributes
    ----------
    coordinates : names of the independent coordinates that were varied
    muscles : names
    q : (n_state, n_coordinate) rad or m
    length : (n_state, n_muscle) m
    arms : (n_state, n_coordinate, n_muscle) m (or 1 about a translation); OpenSim's sign
    """

    coordinates: tuple[str, ...]
    muscles: tuple[str, ...]
    q: Array
    length: Array
    arms: Array

    def at(self, chosen: NDArray[np.bool_]) -> Samples:
        """The samples at some postures only."""
        return Samples(
            self.coordinates,
            self.muscles,
            self.q[chosen],
            self.length[chosen],
            self.arms[chosen],
        )


class Postures:
    """A model whose coordinates can be set all at once, coupled ones following.

    Parameters
    ----------
    model : without locked coordinates; it must outlive this object
    muscles : the muscles to look at
    """

    def __init__(self, model: opensim.Model, muscles: Sequence[opensim.Muscle]) -> None:
        self.model, self.muscles = model, list(muscles)
        self._by_name = {m.getName(): m for m in self.muscles}
        self.state = model.initSystem()
        self.couplers = _in_order(couplers(model))
        tied = {c.dependent for c in self.couplers}
        listed = model.getCoordinateSet()
        self.components = {listed.get(i).getName(): listed.get(i) for i in range(listed.getSize())}
        self.independent = tuple(n for n in self.components if n not in tied)
        self._rest_q = self.state.getQ().to_numpy().copy()
        self._rest_u = np.zeros(self.state.getNU())
        self._q = {n: self._place(n, speed=False) for n in self.components}
        self._u = {n: self._place(n, speed=True) for n in self.components}

    def _place(self, name: str, speed: bool) -> int:
        """Index of a coordinate in the state's vector, found by moving it."""
        component, state = self.components[name], self.state
        if speed:
            component.setSpeedValue(state, 1.0)
            place = int(np.argmax(np.abs(state.getU().to_numpy())))
            component.setSpeedValue(state, 0.0)
            return place
        low, high = component.getRangeMin(), component.getRangeMax()
        low, high = max(low, -1.0), min(high, 1.0)
        before = component.getValue(state)
        target = low + 0.37 * (high - low) if high > low else before + 0.1
        if abs(target - before) < 1e-6:
            target = low + 0.61 * (high - low)
        component.setValue(state, target, False)
        place = int(np.argmax(np.abs(state.getQ().to_numpy() - self._rest_q)))
        state.setQ(_vector(self._rest_q))
        return place

    def set(self, values: Mapping[str, float]) -> None:
        """Take a posture and realize it; coordinates not named are at their defaults."""
        q = self._rest_q.copy()
        full = self._complete(values)
        for name, one in full.items():
            q[self._q[name]] = one
        self.state.setQ(_vector(q))
        self.model.realizePosition(self.state)

    def _complete(self, values: Mapping[str, float]) -> dict[str, float]:
        full = dict(values)
        for c in self.couplers:
            at = [full.get(n, self._rest_q[self._q[n]]) for n in c.independent]
            full[c.dependent] = c.value(at)
        return full

    def lengths(self) -> Array:
        """Path lengths at the present posture, (n_muscle,) m."""
        return np.array([m.getLength(self.state) for m in self.muscles])

    def length(self, muscle: str) -> float:
        """One muscle's path length at the present posture, m."""
        return float(self._by_name[muscle].getLength(self.state))

    def move(self, speeds: Mapping[str, float], values: Mapping[str, float]) -> None:
        """Give the present posture `values` some speeds, coupled ones following, and realize."""
        u = self._rest_u.copy()
        full, moving = self._complete(values), dict(speeds)
        for c in self.couplers:
            at = [full.get(n, self._rest_q[self._q[n]]) for n in c.independent]
            slopes = c.slopes(at)
            moving[c.dependent] = sum(s * moving.get(n, 0.0) for s, n in zip(slopes, c.independent))
        for name, one in moving.items():
            u[self._u[name]] = one
        self.state.setU(_vector(u))
        self.model.realizeVelocity(self.state)

    def arms(self, coordinate: str, values: Mapping[str, float]) -> Array:
        """Moment arms about a coordinate at the present posture `values`, (n_muscle,) m."""
        self.move({coordinate: 1.0}, values)
        return np.array([-m.getLengtheningSpeed(self.state) for m in self.muscles])

    def sample(
        self,
        ranges: Mapping[str, tuple[float, float]],
        n: int,
        seed: int,
        progress: Progress = SILENT,
        title: str = "postures",
    ) -> Samples:
        """Uniform random postures with lengths and moment arms of all muscles."""
        varied = tuple(ranges)
        low, high = np.array(list(ranges.values())).reshape(-1, 2).T
        q = np.random.default_rng(seed).uniform(low, high, size=(n, len(varied)))
        length = np.empty((n, len(self.muscles)))
        arms = np.empty((n, len(varied), len(self.muscles)))
        with progress.step(title, total=n, unit="postures") as step:
            for i in range(n):
                values = dict(zip(varied, q[i]))
                self.set(values)
                length[i] = self.lengths()
                for k, name in enumerate(varied):
                    arms[i, k] = self.arms(name, values)
                if i % 50 == 49:
                    step.update(i + 1)
        found = tuple(m.getName() for m in self.muscles)
        return Samples(varied, found, q, length, arms)

    def dependence(
        self, ranges: Mapping[str, tuple[float, float]], seed: int
    ) -> dict[str, tuple[str, ...]]:
        """Coordinates that change each muscle's length, by moving one at a time.

        Lengths decide, not moment arms: where two wrap objects meet, OpenSim can give a muscle a
        small moment arm about a joint that it does not cross.
        """
        rng = np.random.default_rng(seed)
        moved: dict[str, set[str]] = {m.getName(): set() for m in self.muscles}
        for _ in range(25):
            base = {n: rng.uniform(*r) for n, r in ranges.items()}
            self.set(base)
            before = self.lengths()
            for name, (low, high) in ranges.items():
                self.set({**base, name: rng.uniform(low, high)})
                changed = np.abs(self.lengths() - before) > 1e-7
                for k in np.flatnonzero(changed):
                    moved[self.muscles[k].getName()].add(name)
        return {m: tuple(n for n in ranges if n in found) for m, found in moved.items()}

    def disagreement(self, samples: Samples, n: int = 60, step: float = 1e-4) -> Array:
        """RMS difference of moment arms and the slopes of the same path's length, m.

        Zero for a path that is consistent with itself; (n_coordinate, n_muscle).
        """
        n = min(n, len(samples.q))
        peak = np.abs(samples.arms).max(axis=(0, 1))
        squares = np.zeros(samples.arms.shape[1:])
        for i in range(n):
            for k, name in enumerate(samples.coordinates):
                values = dict(zip(samples.coordinates, samples.q[i]))
                ends = []
                for sign in (1.0, -1.0):
                    self.set({**values, name: values[name] + sign * step})
                    ends.append(self.lengths())
                slope = (ends[0] - ends[1]) / (2.0 * step)
                # A via point that switches inside the step would give a slope without meaning.
                squares[k] += np.minimum(np.abs(slope + samples.arms[i, k]), peak) ** 2
        return np.sqrt(squares / n)


def _in_order(found: list[Coupler]) -> list[Coupler]:
    """Couplers such that each comes after those that give its independent coordinates."""
    ordered: list[Coupler] = []
    waiting = list(found)
    while waiting:
        tied = {c.dependent for c in waiting}
        ready = [c for c in waiting if not tied & set(c.independent)]
        if not ready:
            raise ModelError(
                "The coordinate couplers depend on each other in a circle: "
                f"{', '.join(c.name for c in waiting)}. Remove one of them."
            )
        ordered += ready
        waiting = [c for c in waiting if c not in ready]
    return ordered


def fit_range(
    component: opensim.Coordinate, given: Mapping[str, tuple[float, float]]
) -> tuple[float, float] | None:
    """Range of the path fit for a coordinate, rad or m; None where there is no sensible default.

    Parameters
    ----------
    component : the coordinate
    given : ranges that the user asked for, degrees (m for translations)
    """
    name = component.getName()
    unit = 1.0 if component.getMotionType() == component.Translational else DEG
    if name in given:
        low, high = given[name]
        return low * unit, high * unit
    low, high = component.getRangeMin(), component.getRangeMax()
    base = name[:-2] if names.side(name) else name
    if base in WALKING_RANGES_DEG and unit == DEG:
        first, last = (DEG * d for d in WALKING_RANGES_DEG[base])
        if base == "knee_angle" and high > -low:
            first, last = -last, -first
        if min(last, high) - max(first, low) > 0.01:
            return max(first, low), min(last, high)
        return first, last
    if math.isfinite(high - low) and 0.0 < high - low <= WIDEST:
        return low, high
    return None


def check_names(model: opensim.Model, given: Mapping[str, tuple[float, float]]) -> None:
    """Raise an `InputError` if ranges name coordinates that the model does not have."""
    listed = model.getCoordinateSet()
    there = [listed.get(i).getName() for i in range(listed.getSize())]
    unknown = [n for n in given if n not in there]
    if unknown:
        raise InputError(
            f"--range names {', '.join(unknown)}, which the converted model does not have. "
            f"Its free coordinates are: {', '.join(there)}."
        )
