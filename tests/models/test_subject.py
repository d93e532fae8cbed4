"""Scaling to a person: published ratios, and mechanics that know nothing of them."""

import math

import numpy as np
import pytest

from osim_exo.errors import InputError, ModelError
from osim_exo.models import ModelConfig, Subject, components, ground
from osim_exo.models.subject import REFERENCE_HEIGHT, REFERENCE_MASS
from osim_exo.units import GRAVITY

osim = pytest.importorskip("opensim")

SMALL = Subject(mass=52.0, height=1.58, strength=0.8)
TALL = Subject(mass=98.0, height=1.93)


def bodies(model):
    found = model.getBodySet()
    return {found.get(i).getName(): found.get(i) for i in range(found.getSize())}


@pytest.mark.parametrize("subject", [SMALL, TALL])
def test_the_model_weighs_what_the_subject_weighs(subject):
    model = ModelConfig(subject=subject).build()
    assert model.getTotalMass(model.initSystem()) == pytest.approx(subject.mass, abs=1e-9)


@pytest.mark.parametrize("subject", [SMALL, TALL])
def test_masses_lengths_and_inertias_follow_the_stated_ratios(subject):
    length, mass = subject.height / 1.80, subject.mass / 75.1646
    reference, scaled = ModelConfig().build(), ModelConfig(subject=subject).build()
    for name, body in bodies(reference).items():
        twin = bodies(scaled)[name]
        assert twin.getMass() == pytest.approx(mass * body.getMass(), rel=1e-12)
        np.testing.assert_allclose(
            twin.getMassCenter().to_numpy(), length * body.getMassCenter().to_numpy(), atol=1e-12
        )
        for axis in range(3):
            assert twin.get_inertia().get(axis) == pytest.approx(
                mass * length**2 * body.get_inertia().get(axis), rel=1e-12
            )


@pytest.mark.parametrize("paths", ["polynomial", "geometry"])
def test_paths_and_joint_centres_scale_with_stature_in_every_posture(paths):
    length = TALL.height / REFERENCE_HEIGHT
    models = [ModelConfig(subject=s, paths=paths).build() for s in (None, TALL)]
    states = [m.initSystem() for m in models]
    for hip, knee, ankle in ((0.0, 0.0, 0.0), (0.6, -1.2, 0.2), (-0.3, -0.4, -0.3)):
        for model, state in zip(models, states):
            for name, value in (("hip_flexion_r", hip), ("knee_angle_r", knee),
                                ("ankle_angle_r", ankle), ("pelvis_ty", 0.0)):  # fmt: skip
                model.getCoordinateSet().get(name).setValue(state, value, False)
            model.realizePosition(state)
        for name in bodies(models[0]):
            at = [bodies(m)[name].getPositionInGround(s).to_numpy() for m, s in zip(models, states)]
            np.testing.assert_allclose(at[1], length * at[0], atol=1e-12)
        for muscle in components.muscles(models[0]):
            twin = models[1].getMuscles().get(muscle.getName())
            assert twin.getLength(states[1]) == pytest.approx(
                length * muscle.getLength(states[0]), rel=1e-9
            )
            # Same posture, same share of optimal length: the muscle works at the same place.
            assert twin.getNormalizedFiberLength(states[1]) == pytest.approx(
                muscle.getNormalizedFiberLength(states[0]), rel=1e-6
            )


def test_muscle_force_follows_volume_over_fibre_length_and_strength():
    """By hand: volume in cm^3 = 47.05 m h + 1289.6 (Handsfield et al. 2014)."""
    volume = (47.05 * 52.0 * 1.58 + 1289.6) / (47.05 * 75.1646 * 1.80 + 1289.6)
    expected = 0.8 * volume / (1.58 / 1.80)
    assert SMALL.force_scale == pytest.approx(expected, rel=1e-12)
    assert Subject().force_scale == pytest.approx(1.0, rel=1e-12)
    reference, scaled = ModelConfig().build(), ModelConfig(subject=SMALL).build()
    for muscle in components.muscles(reference):
        twin = scaled.getMuscles().get(muscle.getName())
        for fact, ratio in (
            ("getMaxIsometricForce", expected),
            ("getOptimalFiberLength", 1.58 / 1.80),
            ("getTendonSlackLength", 1.58 / 1.80),
            ("getPennationAngleAtOptimalFiberLength", 1.0),
        ):
            assert getattr(twin, fact)() == pytest.approx(
                ratio * getattr(muscle, fact)(), rel=1e-12
            ), (muscle.getName(), fact)


def test_a_scaled_body_falls_as_its_model_does_in_scaled_time():
    """Passive motion in the air: with lengths times L, angular accelerations are 1/L as large."""
    length = TALL.length_scale
    rates = []
    for subject, scale in ((Subject(), 1.0), (TALL, length)):
        model = ModelConfig(subject=subject).build()
        force_set = model.getForceSet()
        state = model.initSystem()
        for i in range(force_set.getSize()):
            force_set.get(i).setAppliesForce(state, False)
        # Angular speeds scale with the inverse root of length: the same Froude number.
        for name, value, speed in (
            ("pelvis_ty", 2.0, 0.0),
            ("hip_flexion_r", 0.5, 2.0),
            ("knee_angle_r", -0.7, -3.0),
            ("ankle_angle_l", 0.2, 1.0),
        ):
            coordinate = model.getCoordinateSet().get(name)
            coordinate.setValue(state, value, False)
            coordinate.setSpeedValue(state, speed / math.sqrt(scale))
        model.realizeAcceleration(state)
        coordinates = model.getCoordinateSet()
        rates.append(
            {
                coordinates.get(i).getName(): coordinates.get(i).getAccelerationValue(state)
                for i in range(coordinates.getSize())
            }
        )
    for name, value in rates[0].items():
        expected = value if name in ("pelvis_tx", "pelvis_ty") else value / length
        assert rates[1][name] == pytest.approx(expected, rel=1e-9, abs=1e-9), name


@pytest.mark.parametrize("subject", [SMALL, TALL])
def test_a_scaled_person_sinks_in_by_the_same_share_of_the_foot(subject):
    """Contact force at a scaled height over body weight equals the reference's."""
    shares = []
    for person in (Subject(), subject):
        model = ModelConfig(subject=person).build()
        state = model.initSystem()
        height = 0.90 * person.length_scale
        model.getCoordinateSet().get("pelvis_ty").setValue(state, height, False)
        model.realizeVelocity(state)
        load = sum(c.getRecordValues(state).get(1) for c in ground.contact_forces(model))
        shares.append(load / (person.mass * GRAVITY))
    assert shares[0] > 0.2
    assert shares[1] == pytest.approx(shares[0], rel=0.02)


def test_passive_limits_scale_with_body_mass():
    found = []
    for subject in (Subject(), TALL):
        model = ModelConfig(subject=subject).build()
        state = model.initSystem()
        model.getCoordinateSet().get("hip_flexion_r").setValue(state, -0.7, False)
        model.realizeVelocity(state)
        force = osim.CoordinateLimitForce.safeDownCast(
            model.getForceSet().get("limit_hip_flexion_r")
        )
        found.append(force.calcLimitForce(state))
    assert found[0] > 5.0
    assert found[1] == pytest.approx(TALL.mass / REFERENCE_MASS * found[0], rel=1e-9)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (dict(mass=-70.0), "mass: -70.0 was given"),
        (dict(mass=0.0), "mass"),
        (dict(mass=float("nan")), "mass"),
        (dict(mass=float("inf")), "mass"),
        (dict(height=0.9), "height"),
        (dict(height=175.0), "height"),
        (dict(strength=0.0), "strength"),
        (dict(weight=70.0), "there is no such field"),
    ],
)
def test_a_person_that_cannot_be_is_refused_in_words(fields, says):
    with pytest.raises(InputError, match=says):
        Subject(**fields)


def by_muscle(config, read):
    model = config.build()
    return {m.getName(): read(m) for m in components.muscles(model)}


def passive_moment(config, dorsiflexion):
    """Passive moment of the right soleus about its ankle at rest, Nm."""
    model = config.build()
    state = model.initSystem()
    model.getCoordinateSet().get("ankle_angle_r").setValue(state, dorsiflexion)
    muscle = next(m for m in components.muscles(model) if m.getName() == "soleus_r")
    muscle.setActivation(state, 0.01)
    model.realizeDynamics(state)
    arm = muscle.computeMomentArm(state, model.getCoordinateSet().get("ankle_angle_r"))
    return arm * muscle.getPassiveFiberForceAlongTendon(state)


def test_a_contracted_muscle_resists_stretch_earlier_and_the_other_side_is_as_it_was():
    short = ModelConfig(contracture={"soleus_r": 0.7})
    assert not short.symmetric and ModelConfig(contracture={"soleus": 0.7}).symmetric
    assert passive_moment(short, 0.2) < 3.0 * passive_moment(ModelConfig(), 0.2) < 0.0
    lengths = [by_muscle(c, lambda m: m.get_optimal_fiber_length()) for c in (ModelConfig(), short)]
    assert lengths[1]["soleus_r"] == pytest.approx(0.7 * lengths[0]["soleus_r"])
    assert all(lengths[1][n] == v for n, v in lengths[0].items() if n != "soleus_r")


def test_a_whole_side_is_weakened_by_one_name():
    plain, weak = (
        by_muscle(c, lambda m: m.get_max_isometric_force())
        for c in (ModelConfig(), ModelConfig(weakness={"all_r": 0.5, "soleus_r": 0.5}))
    )
    for name, force in plain.items():
        share = 1.0 if name.endswith("_l") else 0.25 if name == "soleus_r" else 0.5
        assert weak[name] == pytest.approx(share * force), name


@pytest.mark.parametrize("fields", [{"contracture": {"soleus": 0.2}}, {"contracture": {"x": 0.8}}])
def test_an_impossible_contracture_is_refused_in_words(fields):
    with pytest.raises(ModelError, match="Contracture"):
        ModelConfig(**fields).build()
