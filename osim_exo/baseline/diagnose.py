"""A failed or poor solve in plain words: which constraint, bound and muscle, and what to try."""

from __future__ import annotations

import numpy as np
import opensim as osim

from osim_exo import names
from osim_exo.baseline.replay import Flow
from osim_exo.baseline.solution import FORWARD, Solution
from osim_exo.physics.record import EXO_PREFIX, Motion
from osim_exo.trial import Array

NEAR = 1e-3
"""A variable this close to a bound, relative to the bounds' distance, is at it."""

STATUS_WORDS = {
    "Maximum_Iterations_Exceeded": "the solver ran out of iterations before it converged",
    "Infeasible_Problem_Detected": "the solver found no motion that meets every constraint",
    "Restoration_Failed": "the solver could not get back to a motion that meets the constraints",
    "Diverging_Iterates": "the solver's iterates ran away",
    "User_Requested_Stop": "the solve was stopped",
    "Invalid_Number_Detected": "the model gave NaN or infinity",
    "Solved_To_Acceptable_Level": "the solver stopped at its looser, acceptable tolerance",
}


def active_bounds(solution: Solution) -> dict[str, float]:
    """States that lie at a bound that is not meant to hold them, with the share of samples at it.

    Meant are: a muscle at rest on its floor, and an exo at its torque limit.
    """
    found = {}
    for path, (low, high) in solution.bounds.items():
        values = solution.states.get(path)
        meant = path.endswith(FORWARD) or path.split("/")[-2].startswith(EXO_PREFIX)
        if values is None or meant or high <= low:
            continue
        margin = NEAR * (high - low)
        at_low, at_high = values <= low + margin, values >= high - margin
        if path.endswith("/activation"):
            at_low = np.zeros_like(at_low)
        share = float(np.mean(at_low | at_high))
        if share > 0.0:
            found[path] = share
    return found


def periodicity_gaps(solution: Solution) -> dict[str, float]:
    """How far the end of the motion is from its (mirrored) start, by state path."""
    gaps = {}
    for path, values in solution.states.items():
        if not path.endswith(FORWARD):
            other = names.mirror(path) if solution.half_stride else path
            gaps[path] = float(solution.states[other][-1] - values[0])
    return gaps


def defects(solution: Solution, model: osim.Model) -> dict[str, float]:
    """Largest trapezoidal defect of every state: how badly the dynamics are violated.

    In the state's unit, the error made over one mesh interval.
    """
    controls = {p.rsplit("/", 1)[-1]: c for p, c in solution.controls.items()}
    flow = Flow(model, Motion(solution.time, dict(solution.states), controls))
    slopes: list[Array] = [flow.slope(t, flow.at(t)) for t in solution.time]
    found = {}
    for path, index in flow.index.items():
        rate = np.array([slope[index] for slope in slopes])
        step = np.diff(solution.time)
        moved = np.diff(solution.states[path])
        found[path] = float(np.abs(moved - 0.5 * step * (rate[1:] + rate[:-1])).max())
    return found


def explain(solution: Solution, model: osim.Model | None = None) -> str:
    """What held a solve back, in sentences.

    Parameters
    ----------
    solution : converged or not
    model : the model that was solved, optional: to name the dynamics that are violated
    """
    words = STATUS_WORDS.get(solution.status, f"the solver ended with '{solution.status}'")
    if solution.success:
        words = "the solver converged"
    parts = [f"After {solution.iterations} iterations {words}."]
    gaps = periodicity_gaps(solution)
    worst_gap = max(gaps, key=lambda p: abs(gaps[p]), default=None)
    if worst_gap is not None and abs(gaps[worst_gap]) > 1e-2:
        parts.append(
            f"The stride does not close: {_plain(worst_gap)} ends {gaps[worst_gap]:+.3g} from "
            "where it began."
        )
    if model is not None and not solution.success:
        violated = defects(solution, model)
        worst = max(violated, key=lambda p: violated[p])
        parts.append(
            f"The dynamics are violated most in {_plain(worst)} (by {violated[worst]:.2g} over one "
            "mesh interval)."
        )
    bounds = active_bounds(solution)
    for path in sorted(bounds, key=lambda p: -bounds[p])[:3]:
        parts.append(
            f"{_plain(path).capitalize()} lies at its bound for {100 * bounds[path]:.0f} % of the "
            "time."
        )
    parts.append(_advice(solution, bounds))
    return " ".join(parts)


def _plain(path: str) -> str:
    """``/jointset/hip_r/hip_flexion_r/speed`` as ``the speed of hip_flexion_r``."""
    *_, owner, kind = path.split("/")
    return {"value": f"the angle or position of {owner}"}.get(kind, f"the {kind} of {owner}")


def _advice(solution: Solution, bounds: dict[str, float]) -> str:
    muscles = [p.split("/")[-2] for p in bounds if p.endswith("/activation")]
    angles = [p.split("/")[-2] for p in bounds if p.endswith("/value")]
    if muscles:
        return (
            f"Try: a slower speed, a smaller slope or less weakness; {muscles[0]} works at its "
            "full strength."
        )
    if angles:
        return f"Try: a wider range of {angles[0]}, a slower speed or a smaller slope."
    if not solution.success:
        return (
            "Try: more iterations (solver.max_iterations), a start from a neighbouring speed or "
            "slope (--guess), or a higher tracking weight."
        )
    return "No bound is active."
