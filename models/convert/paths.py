"""Replace a model's geometry paths by fitted polynomials, and check what came out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from osim_exo.errors import ModelError
from osim_exo.models import components, paths
from osim_exo.models.convert import sampling
from osim_exo.models.convert.fit import PathFit
from osim_exo.models.convert.leaps import fit_smooth
from osim_exo.models.convert.muscles import LONG, SHORT, fibre_lengths
from osim_exo.models.convert.report import Conversion
from osim_exo.progress import SILENT, Progress

if TYPE_CHECKING:
    import opensim

RARELY = 0.05
"""Share of postures with such fibres that is not worth a warning: corners of the range."""


def wraps(muscle: opensim.Muscle) -> bool:
    """Whether a muscle's path runs over a wrap object."""
    import opensim

    path = opensim.GeometryPath.safeDownCast(muscle.getPath())
    return path is not None and path.getWrapSet().getSize() > 0


def has_geometry(muscle: opensim.Muscle) -> bool:
    """Whether a muscle's path is made of points (and wraps)."""
    import opensim

    return opensim.GeometryPath.safeDownCast(muscle.getPath()) is not None


def known_ranges(
    model: opensim.Model, given: dict[str, tuple[float, float]], independent: Iterable[str]
) -> dict[str, tuple[float, float]]:
    """Range of every rotation and translation that has one, rad or m."""
    found = {}
    for name in independent:
        own = sampling.fit_range(model.getCoordinateSet().get(name), given)
        if own is not None:
            found[name] = own
    return found


def fit_all(
    model: opensim.Model, result: Conversion, progress: Progress = SILENT
) -> dict[str, PathFit]:
    """Fit the paths that the options ask for; ranges, errors and warnings go into `result`.

    Raises
    ------
    ModelError
        A coordinate that a muscle depends on has no range, or a path misses the limit.
    """
    options = result.options
    muscles = components.muscles(model)
    wanted = {
        m.getName()
        for m in muscles
        if has_geometry(m)
        and (options.paths == "polynomial" or (options.paths == "auto" and wraps(m)))
    }
    unknown = [
        m.getName()
        for m in muscles
        if not has_geometry(m) and m.getName() not in result.path_ranges
    ]
    if unknown:
        result.warnings.append(
            f"The paths of {', '.join(unknown)} are functions already, and on which range they "
            "were fitted is not known; they are kept as they are."
        )
    postures = sampling.Postures(model, muscles)
    ranges = known_ranges(model, options.ranges, postures.independent)
    probing = dict(ranges)
    for name in postures.independent:
        probing.setdefault(name, (-0.3, 0.3))
    depends = postures.dependence(probing, options.seed)
    _check_ranges(model, {m: depends[m] for m in wanted}, ranges)
    used = {c for m in muscles for c in depends[m.getName()]}
    ranges = {n: r for n, r in ranges.items() if n in used}
    if not ranges:
        return {}
    if not wanted:
        unseen = postures.sample(ranges, 200, options.seed + 2)
        _note_fibres(muscles, unseen, result)
        return {}
    train = postures.sample(ranges, options.samples, options.seed + 1, progress, "Fit postures")
    unseen = postures.sample(
        ranges, max(options.samples // 3, 100), options.seed + 2, progress, "Test postures"
    )
    disagreement = postures.disagreement(unseen)
    fits = {}
    names = [m.getName() for m in muscles if m.getName() in wanted]
    with progress.step("Fit paths", total=len(names), unit="muscles") as step:
        for k, name in enumerate(names):
            if depends[name]:
                own = {c: ranges[c] for c in depends[name]}
                goal = 1e-3 * options.goal_mm
                fits[name] = fit_smooth(
                    postures, name, depends[name], train, unseen, disagreement, own, goal
                )
                result.path_ranges[name] = own
            step.update(k + 1)
    result.fits = list(fits.values())
    _note_fibres(muscles, unseen, result)
    _note_fits(result, unseen, depends)
    return fits


def _check_ranges(
    model: opensim.Model,
    depends: dict[str, tuple[str, ...]],
    ranges: dict[str, tuple[float, float]],
) -> None:
    for muscle, coordinates in depends.items():
        for name in coordinates:
            joint = model.getCoordinateSet().get(name).getJoint()
            if joint.getConcreteClassName() in ("BallJoint", "FreeJoint"):
                raise ModelError(
                    f"Muscle '{muscle}' crosses joint '{joint.getName()}', a "
                    f"{joint.getConcreteClassName()}, whose speeds are not the rates of its "
                    "coordinates; a polynomial path needs them to be. Make it a CustomJoint."
                )
            if name not in ranges:
                raise ModelError(
                    f"Muscle '{muscle}' depends on coordinate '{name}', whose range in the file "
                    "is too wide to fit a path on. Give the range that you use, in degrees (m "
                    f"for a translation): --range {name}=-30:60."
                )


def _note_fibres(
    muscles: list[opensim.Muscle], unseen: sampling.Samples, result: Conversion
) -> None:
    odd: list[str] = []
    for k, muscle in enumerate(muscles):
        fibre = fibre_lengths(muscle, unseen.length[:, k])
        result.fibre_ranges[muscle.getName()] = (float(fibre.min()), float(fibre.max()))
        if np.mean((fibre < SHORT) | (fibre > LONG)) > RARELY:
            odd.append(muscle.getName())
    if odd and result.options.tendon == "rigid":
        result.warnings.append(
            f"With rigid tendons the fibres of {', '.join(odd)} leave {SHORT} to {LONG} optimal "
            f"lengths in more than {100.0 * RARELY:.0f} % of the postures. See fibre_length_range "
            "in the report; give the ranges that you use (--range), or take --tendon compliant."
        )


def _note_fits(
    result: Conversion, unseen: sampling.Samples, depends: dict[str, tuple[str, ...]]
) -> None:
    """Warnings about the source's own paths, and the refusal of paths that miss the limit."""
    options = result.options
    leaping = [f for f in result.fits if f.leap_share]
    if leaping:
        listed = ", ".join(
            f"{f.muscle} ({100.0 * f.leap_share:.1f} % of postures, up to "
            f"{1e3 * f.leap_size:.1f} mm)"
            for f in leaping
        )
        result.warnings.append(
            f"In the source these paths leap, as when a muscle slips off a wrap object: {listed}. "
            "The polynomials go on smoothly from the middle of the range; postures beyond a leap "
            "are in neither fit nor test."
        )
    inconsistent = [f for f in result.fits if f.own_disagreement.max() > 2e-3]
    if inconsistent:
        listed = ", ".join(
            f"{f.muscle} ({1e3 * float(f.own_disagreement.max()):.1f} mm)" for f in inconsistent
        )
        result.warnings.append(
            "In the source the moment arms of these muscles are not the slopes of their own "
            f"lengths, which wrap objects in each other's way can cause: {listed} RMS. A "
            "polynomial is consistent and lies between the two."
        )
    spurious = []
    for f in result.fits:
        k = unseen.muscles.index(f.muscle)
        others = [
            np.abs(unseen.arms[:, i, k]).max()
            for i, c in enumerate(unseen.coordinates)
            if c not in depends[f.muscle]
        ]
        if others and max(others) > 1e-4:
            spurious.append(f"{f.muscle} (up to {1e3 * float(max(others)):.1f} mm)")
    if spurious:
        result.warnings.append(
            "In the source these muscles have moment arms about joints that they do not cross: "
            f"{', '.join(spurious)}. The polynomial paths have none."
        )
    failed = [f for f in result.fits if f.exceeds(1e-3 * options.limit_mm)]
    if failed:
        worst = "; ".join(
            f"{f.muscle} length {1e3 * f.length_rms:.1f} mm, moment arm "
            f"{1e3 * float(f.arm_rms.max()):.1f} mm RMS"
            for f in failed
        )
        raise ModelError(
            f"The polynomial paths of {len(failed)} muscles miss the limit of "
            f"{options.limit_mm:g} mm on postures that the fit has not seen: {worst}. Narrow the "
            "ranges to what you use (--range NAME=LOW:HIGH, degrees), or accept the error with a "
            "larger --limit-mm."
        )


def use(model: opensim.Model, fits: dict[str, PathFit]) -> None:
    """Put the fitted paths into a connected model, in place."""
    for muscle in components.muscles(model):
        fit = fits.get(muscle.getName())
        if fit is not None:
            muscle.set_path(
                paths.polynomial_path(model, fit.coordinates, fit.coefficients, fit.order)
            )
    model.finalizeFromProperties()  # forget the pointers into the old paths before connecting
    model.finalizeConnections()
