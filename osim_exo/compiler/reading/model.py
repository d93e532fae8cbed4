"""An OpenSim model in, a `ModelSpec` out; what does not compile is refused by name.

This module, its parts `reader_functions`, `reader_joints` and `reader_forces`, and the comparison
(`oracle`, `verify`, `trajectory`) are all of the compiler that needs OpenSim.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import opensim as osim

from osim_exo.compiler import spec
from osim_exo.compiler.reading import forces as reader_forces
from osim_exo.compiler.reading import joints as reader_joints
from osim_exo.compiler.reading.forces import PathRanges
from osim_exo.compiler.reading.functions import refusal, vec3
from osim_exo.errors import DataError
from osim_exo.models import ModelConfig, available
from osim_exo.models.paths import FIT_RANGES
from osim_exo.models.recipe import ModelRecipe, as_recipe

HARMLESS = frozenset(
    {
        # frames, points and what hangs on them
        *("Ground", "PhysicalOffsetFrame", "StationDefinedFrame", "Station", "Marker", "IMU"),
        # drawing
        *("FrameGeometry", "Mesh", "Sphere", "Brick", "Cylinder", "Cone", "Ellipsoid", "Torus"),
        *("Arrow", "LineGeometry", "AnalyticGeometry"),
        # contact geometry: acts only through a contact force
        *("ContactSphere", "ContactHalfSpace", "ContactMesh", "ContactEllipsoid"),
        *("ContactCylinder", "ContactTorus"),
        # wrap objects and paths: act only through a muscle or ligament, which is looked at
        *("WrapCylinder", "WrapEllipsoid", "WrapSphere", "WrapTorus", "PathWrap", "PathWrapPoint"),
        *("GeometryPath", "FunctionBasedPath", "Scholz2015GeometryPath", "PathPoint"),
        *("ConditionalPathPoint", "MovingPathPoint", "Scholz2015GeometryPathPoint"),
        *("Scholz2015GeometryPathObstacle",),
        # parts of a muscle of another class, which is refused itself
        *("MuscleFixedWidthPennationModel", "MuscleFirstOrderActivationDynamicModel"),
        # what only measures
        *("Bhargava2004SmoothedMuscleMetabolics", "TableReporter", "TableReporterVec3"),
        *("Bhargava2004SmoothedMuscleMetabolics_MuscleParameters", "TableReporterVector"),
        *("ConsoleReporter", "ConsoleReporterVec3", "StatesTrajectoryReporter"),
        *("TableSource", "TableSourceVec3"),
        # lists of the above
        *("BodySet", "JointSet", "ConstraintSet", "ForceSet", "ControllerSet", "MarkerSet"),
        *("ContactGeometrySet", "ProbeSet", "ComponentSet", "WrapObjectSet", "FrameSet"),
    }
)
"""Classes that exert nothing, constrain nothing and prescribe nothing: they are left out."""

HARMLESS_KINDS = ("Controller", "Probe")
"""Bases of further harmless classes. A compiled model is given its controls."""

OTHER_MUSCLES = (
    "is a muscle that does not compile",
    "Make all muscles DeGrooteFregly2016Muscle: osim-exo models convert IN.osim OUT.osim.",
)
OTHER_FORCE = (
    "exerts a force that does not compile",
    "Forces that do: DeGrooteFregly2016Muscle, SmoothSphereHalfSpaceForce, "
    f"{', '.join([*reader_forces.PASSIVE, *reader_forces.ACTUATORS])}. Replace it by one of these, "
    "or leave it out: osim-exo models convert IN.osim OUT.osim --drop NAME.",
)
OTHER_CONSTRAINT = (
    "is a constraint that does not compile",
    "Only CoordinateCouplerConstraint does. Replace it by a joint, or leave it out: "
    "osim-exo models convert IN.osim OUT.osim --drop NAME.",
)
UNKNOWN = (
    "is of a class whose effect on the motion is not known here",
    "If it has none, remove it from the file before compiling.",
)


def read(
    model: osim.Model,
    *,
    path_ranges: PathRanges | None = None,
    slow_fractions: Mapping[str, float] | None = None,
    file: str = "",
) -> spec.ModelSpec:
    """Everything that the equations of motion of a model need.

    Bodies, joints, coordinates, muscles and actuators keep the order in which OpenSim's component
    list has them; that of coordinates is the CoordinateSet's, which need not be the order of the
    state's speeds. Forces that are switched off and constraints that are not enforced are left
    out, as OpenSim leaves them out.

    Parameters
    ----------
    model : opensim.Model
        ``initSystem()`` is called here.
    path_ranges : for function-based paths, range on which each was fitted, rad or m, by muscle
        and coordinate name
    slow_fractions : share of slow-twitch fibres by muscle name, with or without side
    file : name to keep with the spec

    Raises
    ------
    ModelError
        Something in the model does not compile; the message names the component, its class and
        the way out.
    """
    digest = hashlib.sha256(model.dump().encode()).hexdigest()
    state = model.initSystem()
    parts = list(model.getComponentsList())
    bodies = [reader_joints.body(b) for b in _cast(osim.Body, parts)]
    joints = [reader_joints.joint(j, state) for j in _cast(osim.Joint, parts)]
    reader_joints.check_tree(joints, bodies)
    reader_joints.check_names([c for j in joints for c in j.coordinates])
    _check_rest(parts)
    joints, couplers = reader_joints.hold_dependents(joints, _couplers(parts, state), model)
    ranges, shares = path_ranges or {}, slow_fractions or {}
    forces = _forces(model, parts, state, ranges, shares, reader_joints.grounded(joints))
    reader_joints.check_fitted_paths(joints, forces["muscles"])
    return spec.ModelSpec(
        name=model.getName(),
        source=spec.Source(model_hash=digest, opensim_version=str(osim.GetVersion()), file=file),
        gravity=vec3(model.getGravity()),
        bodies=tuple(bodies),
        joints=tuple(joints),
        couplers=tuple(couplers),
        muscles=forces["muscles"],
        contacts=forces["contacts"],
        forces=forces["forces"],
        actuators=forces["actuators"],
    )


def _cast(kind: Any, components: list[Any]) -> Iterator[Any]:
    return (found for found in map(kind.safeDownCast, components) if found is not None)


def _couplers(components: list[Any], state: Any) -> list[spec.Coupler]:
    found = []
    for constraint in _cast(osim.Constraint, components):
        if not constraint.isEnforced(state):
            continue
        if constraint.getConcreteClassName() != "CoordinateCouplerConstraint":
            raise refusal(constraint, *OTHER_CONSTRAINT)
        found.append(reader_joints.coupler(constraint))
    return found


def _forces(
    model: Any,
    components: list[Any],
    state: Any,
    path_ranges: PathRanges,
    slow_fractions: Mapping[str, float],
    grounded: Set[str],
) -> dict[str, tuple[Any, ...]]:
    """Muscles, contacts, passive forces and actuators, as the fields of a spec."""
    found: dict[str, list[Any]] = {"muscles": [], "contacts": [], "forces": [], "actuators": []}
    for force in _cast(osim.Force, components):
        kind = force.getConcreteClassName()
        if not force.appliesForce(state):
            continue
        if kind == "DeGrooteFregly2016Muscle":
            muscle = reader_forces.muscle(force, state, path_ranges, slow_fractions)
            found["muscles"].append(muscle)
        elif kind == "SmoothSphereHalfSpaceForce":
            found["contacts"].append(reader_forces.contact(force, state, grounded))
        elif kind in reader_forces.PASSIVE:
            found["forces"].append(reader_forces.PASSIVE[kind](force, model))
        elif kind in reader_forces.ACTUATORS:
            found["actuators"].append(reader_forces.ACTUATORS[kind](force, model))
        else:
            muscular = osim.Muscle.safeDownCast(force) is not None
            raise refusal(force, *(OTHER_MUSCLES if muscular else OTHER_FORCE))
    return {name: tuple(values) for name, values in found.items()}


def _check_rest(components: list[Any]) -> None:
    """Refuse every component that is neither read nor known to be harmless."""
    read_kinds = [osim.Body, osim.Joint, osim.Coordinate, osim.Force, osim.Constraint]
    known = read_kinds + [getattr(osim, name) for name in HARMLESS_KINDS]
    for component in components:
        if component.getConcreteClassName() in HARMLESS:
            continue
        if all(kind.safeDownCast(component) is None for kind in known):
            raise refusal(component, *UNKNOWN)


def spec_of(source: ModelRecipe | str | Path) -> spec.ModelSpec:
    """The spec of a recipe, of a shipped model by its name, or of an ``.osim`` file.

    Fitted ranges of polynomial paths come from `osim_exo.models.paths` for a shipped model, and
    for a file from the report that ``osim-exo models convert`` wrote beside it.

    Raises
    ------
    ModelError
        There is no such model, or something in it does not compile.
    DataError
        The report beside the file is damaged.
    """
    return model_and_spec(source)[1]


def model_and_spec(source: ModelRecipe | str | Path) -> tuple[osim.Model, spec.ModelSpec]:
    """The model that a source makes, and its spec; as `spec_of`."""
    recipe = ModelConfig(name=source) if source in available() else as_recipe(source)
    name = recipe.name if isinstance(recipe, ModelConfig) else ""
    file = getattr(recipe, "path", Path(name) if name and name not in available() else None)
    model = recipe.build()
    ranges = _shipped_ranges(model) if file is None else ranges_beside(Path(file))
    found = read(
        model,
        path_ranges=ranges,
        slow_fractions=getattr(recipe, "slow_fractions", {}),
        file=name if file is None else Path(file).name,
    )
    return model, found


def _shipped_ranges(model: Any) -> PathRanges:
    """Fitted ranges of a shipped model's paths: FIT_RANGES for both sides of every muscle."""
    model.finalizeConnections()
    ranges = {f"{c}_{side}": span for c, span in FIT_RANGES.items() for side in "rl"}
    muscles = _cast(osim.Muscle, list(model.getComponentsList()))
    return {muscle.getName(): ranges for muscle in muscles}


def ranges_beside(file: Path) -> PathRanges:
    """Fitted ranges from the report ``NAME.convert.json`` beside a converted model, if it is there.

    Raises
    ------
    DataError
        The report cannot be understood.
    """
    report = file.with_suffix(".convert.json")
    if not report.is_file():
        return {}
    try:
        found = json.loads(report.read_text(encoding="utf-8")).get("path_ranges", {})
        ranges = {
            muscle: {c: (float(low), float(high)) for c, (low, high) in spans.items()}
            for muscle, spans in found.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{report} is no usable report of a conversion: {error}. Convert the model again."
        ) from error
    spans = [span for by_name in ranges.values() for span in by_name.values()]
    if not all(math.isfinite(low) and low < high for low, high in spans):
        raise DataError(f"{report} holds a path range that is empty. Convert the model again.")
    return ranges
