"""Polynomial paths against the geometry they were fitted to."""

import numpy as np
import pytest

from osim_exo.errors import ModelError
from osim_exo.models import ModelConfig, Subject, components, paths, shipped_path
from osim_exo.models.gait2d.build import build
from osim_exo.models.terms import exponents
from osim_exo.names import SIDES

osim = pytest.importorskip("opensim")

TABLE = shipped_path("gait2d").parent / "polynomials.csv"


def fit_errors(subject=None, n=200):
    """Length and moment arm errors of every muscle on random postures, m."""
    smooth = ModelConfig(subject=subject).build()
    exact = ModelConfig(subject=subject, paths="geometry").build()
    states = [smooth.initSystem(), exact.initSystem()]
    rng = np.random.default_rng(11)
    lengths, arms = [], []
    for _ in range(n):
        posture = {
            f"{name}_{side}": rng.uniform(low, high)
            for name, (low, high) in paths.FIT_RANGES.items()
            for side in SIDES
        }
        for model, state in zip((smooth, exact), states):
            for name, value in posture.items():
                model.getCoordinateSet().get(name).setValue(state, value, False)
            model.realizePosition(state)
        for muscle in components.muscles(smooth):
            twin = exact.getMuscles().get(muscle.getName())
            lengths.append(muscle.getLength(states[0]) - twin.getLength(states[1]))
            side = muscle.getName()[-1]
            for name in paths.FIT_RANGES:
                a, b = (
                    m.computeMomentArm(s, model.getCoordinateSet().get(f"{name}_{side}"))
                    for m, s, model in zip((muscle, twin), states, (smooth, exact))
                )
                arms.append(a - b)
    return np.array(lengths), np.array(arms)


@pytest.mark.parametrize("subject", [None, Subject(mass=60.0, height=1.55)])
def test_polynomials_follow_the_geometry_in_every_posture_of_walking(subject):
    lengths, arms = fit_errors(subject)
    assert np.abs(lengths).max() < 1e-3
    assert np.sqrt(np.mean(arms**2)) < paths.MOMENT_ARM_GOAL
    assert np.abs(arms).max() < 4e-3


def test_refitting_every_muscle_gives_the_committed_table(tmp_path):
    again = paths.write_polynomials(build(), tmp_path / "polynomials.csv")
    there = paths.read_polynomials(TABLE)
    assert [f.muscle for f in again] == [f.muscle for f in there]
    for a, b in zip(again, there):
        assert (a.coordinates, a.order) == (b.coordinates, b.order)
        np.testing.assert_allclose(a.coefficients, b.coefficients, rtol=1e-6, atol=1e-9)
        assert a.length_rms == pytest.approx(b.length_rms, abs=1e-7)


def test_the_table_states_the_errors_and_they_are_small():
    for fit in paths.read_polynomials(TABLE):
        assert 0.0 < fit.length_rms < 5e-4
        assert 0.0 < fit.moment_arm_rms < paths.MOMENT_ARM_GOAL
        terms = len(exponents(len(fit.coordinates), fit.order))
        assert fit.coefficients.shape == (terms,)


def test_moment_arms_are_the_slope_of_the_length():
    model = ModelConfig().build()
    state = model.initSystem()
    muscle = model.getMuscles().get("gastroc_l")
    knee = model.getCoordinateSet().get("knee_angle_l")
    lengths, h = [], 1e-5
    for value in (-0.4 - h, -0.4 + h):
        knee.setValue(state, value, False)
        model.realizePosition(state)
        lengths.append(muscle.getLength(state))
    knee.setValue(state, -0.4, False)
    model.realizePosition(state)
    slope = (lengths[1] - lengths[0]) / (2 * h)
    assert muscle.computeMomentArm(state, knee) == pytest.approx(-slope, abs=1e-7)


def test_terms_run_as_opensim_orders_them():
    """One coefficient at a time against OpenSim's own evaluation."""
    point = osim.Vector.createFromMat(np.array([0.7, -1.3]))
    terms = exponents(2, 3)
    for k, (i, j) in enumerate(terms):
        coefficients = np.zeros(len(terms))
        coefficients[k] = 1.0
        function = osim.MultivariatePolynomialFunction(
            osim.Vector.createFromMat(coefficients), 2, 3
        )
        assert function.calcValue(point) == pytest.approx(0.7**i * (-1.3) ** j)


def test_a_model_without_the_muscle_is_refused():
    model = build()
    fits = paths.read_polynomials(TABLE)
    model.updForceSet().remove(0)
    with pytest.raises(ModelError, match="hamstrings_r"):
        paths.use_polynomials(model, fits)
