"""Stride time as a result: the objective's minimum over it, by a safeguarded parabola.

Inside one solve the tracked motion is a function of time, so a free final time would be pulled
towards the part of the reference that fits best, not towards the best stride: from 1.10 s it ran
down to the lower bound in steps, each with a higher objective than the last. Here every stride time
is solved with the reference stretched to it, and the minimum is taken over the solved objectives.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from osim_exo.baseline.config import StrideTime
from osim_exo.baseline.solution import Solution
from osim_exo.errors import BaselineError

RESOLUTION = 0.01
"""s; closer than this to a solved stride time the search ends."""

MAX_SOLVES = 12


def optimise(
    solve: Callable[[float, Solution | None], Solution],
    settings: StrideTime,
    start: float,
    guess: Solution | None = None,
) -> tuple[Solution, list[tuple[float, float]]]:
    """Minimise the solved objective over stride time.

    Parameters
    ----------
    solve : stride time (s) and a guess in, solution out
    settings : range and first step
    start : first stride time, s
    guess : first guess, optional

    Returns
    -------
    Solution
        At the best stride time.
    list of (stride time, objective)
        Every converged solve, by stride time.

    Raises
    ------
    BaselineError
        No stride time could be solved.
    """
    solved: dict[float, Solution] = {}
    failed: list[float] = []

    def evaluate(stride_time: float) -> None:
        nearest = min(solved, key=lambda t: abs(t - stride_time), default=None)
        solution = solve(stride_time, solved[nearest] if nearest is not None else guess)
        if solution.success:
            solved[stride_time] = solution
        else:
            failed.append(stride_time)

    candidate: float | None = float(np.clip(start, settings.low, settings.high))
    while candidate is not None and len(solved) + len(failed) < MAX_SOLVES:
        evaluate(candidate)
        if not solved:
            break
        candidate = _next(solved, failed, settings)
    if not solved:
        raise BaselineError(
            f"No gait could be solved at a stride time of {failed[0]:.3f} s, so the search for the "
            "best stride time has nothing to start from."
        )
    best = min(solved, key=lambda t: solved[t].objective)
    return solved[best], [(t, solved[t].objective) for t in sorted(solved)]


def _next(solved: dict[float, Solution], failed: list[float], settings: StrideTime) -> float | None:
    """The stride time to try next, or None when the minimum is bracketed and fitted."""
    times = sorted(solved)
    tried = sorted([*times, *failed])
    best = min(times, key=lambda t: solved[t].objective)
    lower = [t for t in tried if t < best]
    upper = [t for t in tried if t > best]
    if not upper and best + RESOLUTION < settings.high:
        return min(best + settings.step, settings.high)
    if not lower and best - RESOLUTION > settings.low:
        return max(best - settings.step, settings.low)
    inner = [t for t in (lower[-1:] + upper[:1]) if t in solved]
    if len(inner) < 2:
        return None  # the best lies at an end of the range, or beside a stride time that failed
    vertex = _vertex([(t, solved[t].objective) for t in (inner[0], best, inner[1])])
    if min(abs(vertex - t) for t in tried) < RESOLUTION:
        return None
    return vertex


def _vertex(points: list[tuple[float, float]]) -> float:
    """Where the parabola through three points has its minimum; the middle lies lowest."""
    times, values = np.array(points).T
    a, b, _ = np.polyfit(times - times[1], values, 2)
    if a <= 0.0:
        return float(times[1])
    return float(times[1] + np.clip(-b / (2 * a), times[0] - times[1], times[2] - times[1]))
