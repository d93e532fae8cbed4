"""Walks of a trained policy over speeds and slopes, and how its gait changes with them."""

from __future__ import annotations

from collections.abc import Sequence

from osim_exo.analysis.trends import FEWEST, Trend, slope_trends, speed_trends
from osim_exo.errors import InputError
from osim_exo.learn.evaluate import Evaluation, Walked, evaluate
from osim_exo.learn.walkers import TrainedWalker
from osim_exo.progress import SILENT, Progress


def walked_trends(
    walker: TrainedWalker,
    settings: Evaluation,
    speeds: Sequence[float],
    slopes: Sequence[float],
    progress: Progress = SILENT,
) -> tuple[tuple[Trend, ...], int]:
    """Walk on the level at several speeds and at one speed on several slopes.

    Parameters
    ----------
    walker : TrainedWalker
    settings : of every walk; its speed is that of the slopes, and its slope gives way
    speeds : m/s; those that the walker did not learn are left out
    slopes : degrees, uphill positive; likewise
    progress : Progress

    Returns
    -------
    trends : of speed and of slope, each where the walker learned at least three
    falls : number of walks that fell; those count up to their fall

    Raises
    ------
    InputError
        The walker learned fewer than three of both.
    """
    learned = walker.task.commands
    (slow, fast), (down, up) = learned.speed, learned.slope_deg
    fast_enough = [x for x in speeds if slow <= x <= fast and down <= 0.0 <= up]
    steep_enough = [x for x in slopes if down <= x <= up and slow <= settings.speed <= fast]
    if max(len(fast_enough), len(steep_enough)) < FEWEST:
        raise InputError(
            f"The walker learned {slow:g} to {fast:g} m/s and slopes of {down:g} to {up:g} "
            f"degrees; a trend takes {FEWEST} speeds or slopes. Use a walker that learned ranges, "
            "as gait2d_walk_generalist."
        )
    level = [(x, 0.0) for x in fast_enough] if len(fast_enough) >= FEWEST else []
    steep = [(settings.speed, x) for x in steep_enough] if len(steep_enough) >= FEWEST else []
    cells = list(dict.fromkeys([*level, *steep]))
    found: dict[tuple[float, float], Walked] = {}
    with progress.step("Walking over speeds and slopes", len(cells), "walks") as step:
        for number, (speed, slope) in enumerate(cells, 1):
            own = settings.changed(speed=speed, slope_deg=slope)
            found[speed, slope] = evaluate(walker.task, None, own, frozen=walker.policies)
            step.update(number, last=f"{speed:g} m/s, {slope:+g}°")
    trends: tuple[Trend, ...] = ()
    if level:
        trends += speed_trends({cell[0]: found[cell].trials for cell in level})
    if steep:
        trends += slope_trends({cell[1]: found[cell].trials for cell in steep})
    return trends, sum(walked.falls for walked in found.values())
