"""The compiled step keeps the laws of mechanics, and stays finite through any fall."""

import numpy as np
import pytest

from osim_exo.compiler.spec import (
    Body,
    Coordinate,
    Frame,
    Joint,
    Linear,
    ModelSpec,
    Source,
    TransformAxis,
)
from osim_exo.models import HipExo, ModelConfig
from osim_exo.physics import CompiledPhysics, EndReason, StartState
from osim_exo.physics.compiled.source import model_spec
from osim_exo.units import GRAVITY

pytest.importorskip("opensim")

WORN = ModelConfig(exo=HipExo())
N_MUSCLE = 18


def skeleton():
    """The planar walker's bones alone: no actuation, no damping, no contact."""
    none = {part: () for part in ("muscles", "contacts", "forces", "actuators")}
    return model_spec(ModelConfig()).model_copy(update=none)


def swinging(physics, seed=0):
    """Random postures and speeds well above any ground."""
    random, n = np.random.default_rng(seed), physics.n_env
    names = [c for c in physics.names.coordinates if not c.startswith("pelvis_t")]
    physics.reset(
        StartState(
            coordinates={**{c: random.uniform(-0.5, 0.5, n) for c in names}, "pelvis_ty": 3.0},
            speeds={c: random.uniform(-4.0, 4.0, n) for c in names},
        )
    )


def idle(physics, n_step):
    for _ in range(n_step):
        physics.step(np.zeros((physics.n_env, 0)))


def energy(physics):
    found = physics.quantities("kinetic_energy", "potential_energy")
    return found["kinetic_energy"][:, 0], found["potential_energy"][:, 0]


WEIGHTLESS = (0.0, 0.0, 0.0)
"""Without gravity no fall adds to the kinetic energy that a drift is compared with."""


@pytest.mark.parametrize("gravity", [(0.0, -GRAVITY, 0.0), WEIGHTLESS])
def test_energy_drifts_by_less_than_a_ten_thousandth_of_its_kinetic_part_per_second(gravity):
    spec = skeleton().model_copy(update={"gravity": gravity})
    physics = CompiledPhysics(spec, n_env=16, substep=0.001)
    swinging(physics)
    kinetic, total = [], []
    for _ in range(200):
        idle(physics, 1)
        moving, held = energy(physics)
        kinetic.append(moving)
        total.append(moving + held)
    time = 0.01 * np.arange(1, 201)
    drift = np.polyfit(time, np.array(total), 1)[0]
    assert np.abs(drift / np.max(kinetic, axis=0)).max() < 1e-4


@pytest.mark.parametrize(("scheme", "ratio"), [("midpoint", 4.0), ("implicit", 2.0)])
def test_the_energy_s_error_is_of_the_scheme_s_order_in_the_step(scheme, ratio):
    errors = []
    for h in (0.002, 0.001, 0.0005):
        physics = CompiledPhysics(skeleton(), n_env=8, substep=h, scheme=scheme)
        swinging(physics)
        before = sum(energy(physics))
        idle(physics, 20)
        errors.append(np.abs(sum(energy(physics)) - before).max())
    for coarse, fine in zip(errors, errors[1:]):
        assert 0.8 < coarse / fine / ratio < 1.2, errors


def test_the_mass_centre_falls_freely_and_momentum_is_kept_but_for_gravity():
    physics = CompiledPhysics(skeleton(), n_env=8, substep=0.0005)
    swinging(physics)
    at, moving = (physics.quantity(q) for q in ("mass_centre", "mass_centre_velocity"))
    idle(physics, 50)
    after, now = (physics.quantity(q) for q in ("mass_centre", "mass_centre_velocity"))
    fall = np.array([0.0, -GRAVITY, 0.0])
    np.testing.assert_allclose(now, moving + 0.5 * fall, atol=3e-3)
    np.testing.assert_allclose(after, at + 0.5 * moving + 0.125 * fall, atol=5e-3)


def test_a_still_fall_is_the_exact_parabola():
    physics = CompiledPhysics(skeleton(), substep=0.001)
    physics.reset(StartState(coordinates={"pelvis_ty": 3.0}))
    height = physics.names.coordinates.index("pelvis_ty")
    idle(physics, 30)
    expected = 3.0 - GRAVITY * 0.3**2 / 2
    assert physics.coordinates[0, height] == pytest.approx(expected, abs=1e-10)
    assert physics.speeds[0, height] == pytest.approx(-0.3 * GRAVITY, rel=1e-10)


def test_somebody_who_stands_still_is_carried_by_the_ground():
    physics = CompiledPhysics(WORN, substep=0.0005, on_failure="mark")
    weight = physics.body_weight + WORN.exo.mass * GRAVITY
    assert physics.grf[0, :, 1].sum() == pytest.approx(weight, rel=1e-9)
    # The impulse of the ground less that of weight is the change of momentum.
    before, impulse = physics.quantity("momentum")[0, 1], 0.0
    fine = CompiledPhysics(WORN, control_dt=0.0005, substep=0.0005)
    for _ in range(200):
        old = fine.grf[0, :, 1].sum()
        fine.step(np.full((1, N_MUSCLE), 0.05))
        impulse += 0.0005 * (0.5 * (old + fine.grf[0, :, 1].sum()) - weight)
    assert fine.quantity("momentum")[0, 1] - before == pytest.approx(impulse, abs=0.1)
    assert abs(impulse) < 0.1 * weight


@pytest.mark.parametrize("substep", [0.001, 0.002, 0.005])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_second_of_random_walkers_that_fall_stays_finite(substep, dtype):
    n, random = 256, np.random.default_rng(1)
    physics = CompiledPhysics(WORN, n_env=n, substep=substep, dtype=dtype, on_failure="mark")
    angles = [c for c in physics.names.coordinates if not c.startswith("pelvis_t")]
    physics.reset(
        StartState(
            coordinates={c: random.uniform(-0.3, 0.3, n) for c in angles},
            speeds={"pelvis_tx": random.uniform(-1.0, 2.0, n)},
        )
    )
    low = physics.standing_height
    for _ in range(100):
        physics.step(random.uniform(0.01, 0.5, (n, N_MUSCLE)), random.uniform(-15, 15, (n, 2)))
    assert not physics.failed.any()
    assert np.isfinite(physics.snapshot().states).all()
    assert np.abs(physics.speeds).max() < 200.0
    height = physics.coordinates[:, physics.names.coordinates.index("pelvis_ty")]
    assert (height < 0.75 * low).mean() > 0.5  # most have fallen: the test has seen it


def gimbal(axes):
    """One body on three rotations in a row."""
    turns = tuple(
        TransformAxis(axis=axis, coordinates=(name,), function=Linear(slopes=(1.0,), intercept=0.0))
        for axis, name in zip(axes, ("first", "middle", "last"))
    )
    held = tuple(TransformAxis(axis=axis) for axis in axes)
    return ModelSpec(
        name="gimbal",
        source=Source(model_hash="", opensim_version=""),
        gravity=(0.0, -GRAVITY, 0.0),
        bodies=(
            Body(
                name="ball",
                path="/bodyset/ball",
                mass=2.0,
                mass_centre=(0.0, -0.3, 0.0),
                inertia=((0.02, 0.0, 0.0), (0.0, 0.03, 0.0), (0.0, 0.0, 0.025)),
            ),
        ),
        joints=(
            Joint(
                name="hinge",
                kind="custom",
                parent=Frame(base="/ground"),
                child=Frame(base="/bodyset/ball"),
                coordinates=tuple(
                    Coordinate(name=n, path=f"/jointset/hinge/{n}", range=(-3.0, 3.0))
                    for n in ("first", "middle", "last")
                ),
                axes=(*turns, *held),
            ),
        ),
    )


X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("axes", "singular"), [((Z, X, Y), 0.5 * np.pi), ((X, Y, X), 0.0), ((Y, Z, X), -0.5 * np.pi)]
)
def test_a_singular_orientation_ends_with_its_reason_instead_of_nan(axes, singular):
    physics = CompiledPhysics(gimbal(axes), n_env=3, substep=0.0005, on_failure="mark")
    away = 0.5 * np.pi if singular == 0.0 else 0.0
    physics.reset(
        StartState(
            coordinates={"middle": np.array([singular - 0.3, away, singular + 0.3])},
            speeds={"middle": np.array([4.0, 0.0, -4.0])},
        )
    )
    for _ in range(12):
        physics.step(np.zeros((3, 0)))
    assert physics.failure_reasons.tolist() == [
        EndReason.SINGULAR_ORIENTATION,
        EndReason.NONE,
        EndReason.SINGULAR_ORIENTATION,
    ]
    middle = physics.coordinates[[0, 2], 1]
    assert np.abs(middle - singular).min() > np.radians(4.9)
    assert np.abs(middle - singular).max() < np.radians(15.0)
