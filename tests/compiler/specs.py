"""Small models as specs, whose motion is known by other means."""

import numpy as np

from osim_exo.compiler.spec import (
    Body,
    Constant,
    Coordinate,
    Frame,
    Joint,
    Linear,
    ModelSpec,
    Source,
    TransformAxis,
)

DIAGONAL = ((0.1, 0.0, 0.0), (0.0, 0.2, 0.0), (0.0, 0.0, 0.3))


def body(name, mass=1.0, centre=(0.0, 0.0, 0.0), inertia=DIAGONAL):
    return Body(name=name, path=f"/bodyset/{name}", mass=mass, mass_centre=centre, inertia=inertia)


def coordinate(name, **fields):
    return Coordinate(name=name, path=f"/jointset/{name}", range=(-10.0, 10.0), **fields)


def joint(name, kind, parent, child, coordinates, at=(0.0, 0.0, 0.0), axes=(), **fields):
    base = "/ground" if parent == "ground" else f"/bodyset/{parent}"
    return Joint(
        name=name,
        kind=kind,
        parent=Frame(base=base, translation=at),
        child=Frame(base=f"/bodyset/{child}", **fields),
        coordinates=tuple(c if isinstance(c, Coordinate) else coordinate(c) for c in coordinates),
        axes=axes,
    )


def model(bodies, joints, gravity=(0.0, -9.81, 0.0), **parts):
    source = Source(model_hash="0", opensim_version="none")
    return ModelSpec(
        name="small",
        source=source,
        gravity=gravity,
        bodies=tuple(bodies),
        joints=tuple(joints),
        **parts,
    )


def pendulum(mass=2.0, length=0.7, inertia_zz=0.05, **parts):
    """One pin at the ground; the mass centre hangs below it."""
    inertia = ((0.01, 0.0, 0.0), (0.0, 0.01, 0.0), (0.0, 0.0, inertia_zz))
    rod = body("rod", mass, (0.0, -length, 0.0), inertia)
    return model([rod], [joint("pin", "pin", "ground", "rod", ["angle"])], **parts)


def shared_rotation_joint(slopes=(1.0, 0.5, -0.8)):
    """A custom joint whose three rotations depend on one coordinate, as a knee's do."""
    rotations = [
        TransformAxis(
            axis=tuple(np.eye(3)[(k + 2) % 3]),
            coordinates=("bend",),
            function=Linear(slopes=(s,), intercept=0.1 * k),
        )
        for k, s in enumerate(slopes)
    ]
    still = [TransformAxis(axis=tuple(row), function=Constant(value=0.02)) for row in np.eye(3)]
    return joint("knee", "custom", "ground", "shank", ["bend"], axes=(*rotations, *still))
