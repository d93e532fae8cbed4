"""Solve a gait: stride time, exo and quality gates put together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from osim_exo.baseline import arms, library, stride_time
from osim_exo.baseline.config import BaselineConfig
from osim_exo.baseline.diagnose import explain
from osim_exo.baseline.gait import Gait, assemble, heel_strike_time, save_gait
from osim_exo.baseline.launch import solve_once, title
from osim_exo.baseline.solution import Solution, resized, without_exo
from osim_exo.baseline.storage import save_solution
from osim_exo.errors import BaselineError
from osim_exo.physics.record import Recorder, describe
from osim_exo.progress import SILENT, Progress
from osim_exo.trial import Array

FIRST_STRIDE_TIME = 1.14
"""s; where the search begins at `FIRST_SPEED`."""

FIRST_SPEED = 1.25
"""m/s"""

CADENCE_EXPONENT = 0.42
"""Step frequency grows with speed to about this power in free walking (Grieve & Gear 1966)."""

POWER_SLACK = 1.01
"""A power limit may be exceeded by the constraint tolerance."""


def solve(
    config: BaselineConfig,
    *,
    out: Path | None = None,
    guess: Solution | None = None,
    progress: Progress = SILENT,
    name: str = "",
    subject: str = "reference",
) -> Gait:
    """Solve one gait and check it.

    Parameters
    ----------
    config : BaselineConfig
    out : folder for the gait's files, optional; an interrupted solve leaves ``partial.sto`` there
    guess : start from this solution; from the nearest shipped gait, or the human reference, if
        not given
    progress : Progress
    name, subject : labels of the trial

    Returns
    -------
    Gait
        Converged; look at its gates.

    Raises
    ------
    BaselineError
        The solve did not converge. The message explains why; the partial solution lies in `out`.
    """
    if guess is None:
        near = library.nearest(config.model.name, config.speed, config.model.slope_deg)
        person = config.model.subject
        if near is not None:
            guess = resized(near.solution, person.length_scale if person else 1.0)
    if guess is not None and config.controller != "optimal":
        guess = without_exo(guess)
    solution, search = _solve(config, guess, progress, out)
    if not solution.success:
        if out is not None:
            save_solution(solution, out / "partial")
        model = config.solved_model.build()
        raise BaselineError(
            f"The gait {title(config, solution.stride_time)} was not found. "
            + explain(solution, model)
            + (f" The partial solution lies in {out}." if out is not None else "")
        )
    gait = assemble(config, solution, search, name, subject)
    if out is not None:
        save_gait(gait, out)
    return gait


def _solve(
    config: BaselineConfig, guess: Solution | None, progress: Progress, keep: Path | None
) -> tuple[Solution, list[tuple[float, float]]]:
    def at(
        stride: float, start: Solution | None, torque: dict[str, Array] | None = None
    ) -> Solution:
        return solve_once(config, stride, start, torque, progress, keep)

    def arm(stride: float, start: Solution | None) -> Solution:
        if config.controller == "optimal":
            return _within_limits(config, stride, start, progress, keep)
        if config.controller == "none":
            return at(stride, start)
        begin = start or _unpowered(config, stride, progress, keep)
        return arms.solve_consistent(
            lambda g, torque: at(stride, g, torque),
            config,
            begin
            if begin.stride_time == stride
            else _unpowered(config, stride, progress, keep, begin),
            lambda s: heel_strike(config, s),
        )

    settings = config.stride_time
    if settings.fixed is not None:
        return arm(settings.fixed, guess), []
    first = FIRST_STRIDE_TIME * (FIRST_SPEED / config.speed) ** CADENCE_EXPONENT
    if guess is not None:
        first = guess.stride_time
    return stride_time.optimise(arm, settings, first, guess)


def _unpowered(
    config: BaselineConfig,
    stride: float,
    progress: Progress,
    keep: Path | None,
    guess: Solution | None = None,
) -> Solution:
    """The same walk with the exo worn but unpowered: where a controller's iteration begins."""
    plain = config.changed(condition="zero_torque", controller="none")
    return solve_once(plain, stride, guess, None, progress, keep)


def _within_limits(
    config: BaselineConfig,
    stride: float,
    start: Solution | None,
    progress: Progress,
    keep: Path | None,
) -> Solution:
    """Optimal torque within the device's limits.

    Torque and rate are bounded in the problem. The power limit, which makes a solve twice as long,
    is put into the problem only where a solve without it breaks it.
    """
    allowed = arms.worn_exo(config).limits.power_limit * POWER_SLACK
    solution = solve_once(config, stride, start, None, progress, keep)
    limited = solution.success and arms.peak_power(config, solution) > allowed
    if limited:
        solution = solve_once(config, stride, solution, None, progress, keep, limit_power=True)
    return replace(solution, extra={"power_limited": limited})


def heel_strike(config: BaselineConfig, solution: Solution) -> float:
    """Time of the right heel strike in a solution, s."""
    request = config.solved_model
    model = request.build()
    motion = solution.stride()
    trial = Recorder(model).record(motion, describe(request, model, "stride"))
    return heel_strike_time(trial)
