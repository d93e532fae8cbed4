"""Make any OpenSim model one that simulates fast: welds, DeGrooteFregly muscles, smooth paths.

``convert("mine.osim", "ready.osim")`` writes the converted model and ``ready.convert.json`` beside
it, which says what was changed, how large every error is and on which range each path was fitted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from osim_exo.errors import InputError, ModelError
from osim_exo.files import writable_folder, write_json, write_text
from osim_exo.models.convert import document as documents
from osim_exo.models.convert.document import Document
from osim_exo.models.convert.options import ARMS, TOES, ConvertOptions
from osim_exo.models.convert.report import Conversion, Ranges, read_path_ranges, report_path
from osim_exo.progress import SILENT, Progress

if TYPE_CHECKING:
    import opensim

    from osim_exo.models.convert.fit import PathFit
    from osim_exo.models.convert.joints import Fixed

MOVES_ALIKE = 1e-6
"""Relative difference of accelerations without forces above which the user is warned."""

__all__ = ["Conversion", "ConvertOptions", "convert", "read_path_ranges", "report_path"]


def convert(
    source: str | Path,
    out: str | Path | None = None,
    options: ConvertOptions | None = None,
    progress: Progress = SILENT,
) -> Conversion:
    """Convert an OpenSim model into one that can be compiled and stepped fast.

    Locked joints are welded, what hung on their coordinates goes, muscles become
    DeGrooteFregly2016 ones in the ForceSet, wrapping paths become polynomials, controllers and
    probes go. Anything else that cannot be compiled is an error that names it.

    Parameters
    ----------
    source : an .osim file
    out : where the converted model goes, with its report beside it; None writes nothing
    options : what to convert; the defaults where not given
    progress : where the long path fit reports

    Returns
    -------
    Conversion
        The report, with the text of the converted model as ``xml``.

    Raises
    ------
    ModelError
        The model cannot be read or converted; the message names the component.
    InputError
        An option names what the model does not have, or `out` cannot be written.
    """
    from osim_exo.models.convert import check, contact, forces, joints, muscles, paths, sampling

    options = options or ConvertOptions()
    origin = Path(source)
    target = None if out is None else _target(origin, Path(out))
    tree = Document.read(origin)
    result = Conversion(source=origin.name, options=options)
    _tidy(tree, result)
    before = tree.build()
    result.changes["gimbals made custom joints"] = [
        documents.name_of(j)
        for j in tree.joints()
        if j.tag == "GimbalJoint" and joints.as_custom(j)
    ]
    fixed = _still(tree, before, options)
    result.changes["joints welded"] = fixed.welded
    result.changes["coordinates made constant"] = fixed.constant
    result.changes["forces on held coordinates dropped"] = forces.drop_orphans(tree, fixed)
    result.changes["path points settled"] = forces.settle_points(tree, before, fixed)
    _convertible(tree)
    welded = tree.build()
    result.changes["floors moved to the ground"] = contact.to_ground(tree, welded)
    sampling.check_names(welded, options.ranges)
    result.replaced = muscles.replace(tree, options.tendon)
    replaced = tree.build()
    if result.replaced:
        free = sampling.Postures(welded, []).independent
        ranges = paths.known_ranges(welded, options.ranges, free)
        result.forces = muscles.compare(welded, replaced, ranges, options.seed)
    result.path_ranges = _kept_ranges(origin, replaced)
    fits = paths.fit_all(replaced, result, progress)
    final = _final(tree, fits)
    result.acceleration_error = check.acceleration_error(before, final, fixed.values, options.seed)
    if not result.acceleration_error < MOVES_ALIKE:
        result.warnings.append(
            "Without forces the converted model does not accelerate like the source (relative "
            f"difference {result.acceleration_error:.1e}, allowed {MOVES_ALIKE:g}). Do not use it "
            "before you know why; convert with fewer changes to find the one that does it."
        )
    result.xml = documents.text_of(final)
    result.changes = {what: names for what, names in result.changes.items() if names}
    if target is not None:
        write_text(target, result.xml)
        write_json(report_path(target), result.to_dict())
    return result


def _target(origin: Path, out: Path) -> Path:
    """The output file, if it may be written."""
    if out.suffix != ".osim":
        raise InputError(f"The output '{out}' must be named .osim, since it will be a model file.")
    if out.exists() and origin.exists() and out.resolve() == origin.resolve():
        raise InputError(
            f"The output '{out}' is the input itself, which is never overwritten. Name another "
            "file."
        )
    if out.is_dir():
        raise InputError(f"Cannot write to '{out}': it is a folder. Name a file.")
    if out.exists() and not report_path(out).exists():
        raise InputError(
            f"'{out}' exists and was not made by a conversion (it has no "
            f"{report_path(out).name}). Nothing was changed. Name another file, or move it away."
        )
    if origin.is_file():
        writable_folder(out.parent)
    return out


def _tidy(tree: Document, result: Conversion) -> None:
    """Add, drop and move parts, before anything is measured."""
    from osim_exo.models.convert import contact, forces

    options = result.options
    added = documents.listed(tree, list(options.add))
    result.changes["added"] = [documents.name_of(e) for e in added]
    result.changes["controllers and probes removed"] = forces.clear(tree)
    result.changes["dropped on request"] = forces.drop(tree, options.drop)
    result.changes["disabled, dropped"] = forces.drop_disabled(tree)
    result.changes["moved into the ForceSet"] = forces.gather(tree, tree.build())
    if options.contact == "smooth":
        result.changes["contacts made smooth"] = contact.smooth_contact(tree)
        result.warnings.append(contact.SMOOTHING)


def _still(tree: Document, model: opensim.Model, options: ConvertOptions) -> Fixed:
    """Weld what is locked and what the options name."""
    from osim_exo.models.convert import joints

    wanted = [ARMS] * options.weld_arms + [TOES] * options.weld_toes
    values = joints.held(tree)
    for name, default in joints.asked(tree, options.weld, wanted).items():
        values.setdefault(name, default)
    return joints.fix(tree, model, joints.follow_couplers(tree, model, values))


def _kept_ranges(origin: Path, model: opensim.Model) -> Ranges:
    """Ranges of polynomial paths that the source had already, from its own report."""
    from osim_exo.models import components
    from osim_exo.models.convert import paths

    known = read_path_ranges(origin)
    return {
        m.getName(): known[m.getName()]
        for m in components.muscles(model)
        if m.getName() in known and not paths.has_geometry(m)
    }


def _convertible(tree: Document) -> None:
    """Raise a `ModelError` that lists everything that cannot be compiled."""
    from osim_exo.models.convert import forces, joints

    faults = joints.unsupported(tree) + forces.unsupported(tree)
    if faults:
        shown = "; ".join(faults[:12]) + (f"; and {len(faults) - 12} more" if faults[12:] else "")
        raise ModelError(f"{tree.source} cannot be converted as it is: {shown}.")


def _final(tree: Document, fits: dict[str, PathFit]) -> opensim.Model:
    """The converted model with its polynomial paths, wrap objects that serve nothing removed."""
    from osim_exo.models import components
    from osim_exo.models.convert import paths

    model = tree.build()
    if not fits:
        return model
    paths.use(model, fits)
    if not any(paths.wraps(m) for m in components.muscles(model)):
        listed = model.getBodySet()
        for body in (model.getGround(), *(listed.get(i) for i in range(listed.getSize()))):
            body.upd_WrapObjectSet().clearAndDestroy()
        model.finalizeFromProperties()
        model.finalizeConnections()
    model.initSystem()
    return model
