"""Polynomial paths: exact where the answer is known, honest where a path cannot be followed."""

import numpy as np
import pytest

from osim_exo.errors import ModelError

osim = pytest.importorskip("opensim")

from osim_exo.models import components  # noqa: E402
from osim_exo.models.convert import ConvertOptions, convert, fit, read_path_ranges  # noqa: E402
from osim_exo.models.convert.sampling import Postures, Samples, fit_range  # noqa: E402
from osim_exo.units import DEG  # noqa: E402
from tests.models import leg as legs  # noqa: E402

FAST = {"samples": 300}


def synthetic(terms, n, seed, noise=0.0):
    """Samples of one muscle whose length is a known sum of monomials of two angles."""
    rng = np.random.default_rng(seed)
    q = rng.uniform((-1.0, -0.5), (1.2, 1.5), size=(n, 2))
    length, arms = np.zeros(n), np.zeros((n, 2, 1))
    for (a, b), c in terms.items():
        length += c * q[:, 0] ** a * q[:, 1] ** b
        arms[:, 0, 0] -= c * a * q[:, 0] ** max(a - 1, 0) * q[:, 1] ** b
        arms[:, 1, 0] -= c * b * q[:, 0] ** a * q[:, 1] ** max(b - 1, 0)
    length += noise * rng.standard_normal(n)
    return Samples(("hip", "knee"), ("m",), q, length[:, None], arms)


def test_a_path_that_is_a_polynomial_is_found_term_by_term():
    terms = {(0, 0): 0.4, (1, 0): -0.05, (0, 2): 0.01, (2, 1): 0.02}
    made = fit.fit_path(
        "m",
        ("hip", "knee"),
        synthetic(terms, 400, 1),
        synthetic(terms, 100, 2),
        np.zeros((2, 1)),
        1e-9,
    )
    found = {tuple(t): c for t, c in zip(fit.exponents(2, made.order), made.coefficients) if c}
    assert made.order == 3 and found.keys() == terms.keys()
    for term, c in terms.items():
        assert found[term] == pytest.approx(c, rel=1e-6)
    assert made.length_rms < 1e-8 and made.arm_rms.max() < 1e-8


def test_terms_that_gain_nothing_are_left_out_whatever_the_goal():
    terms = {(0, 0): 0.4, (1, 0): -0.05}
    made = fit.fit_path(
        "m",
        ("hip", "knee"),
        synthetic(terms, 600, 1, noise=1e-4),
        synthetic(terms, 200, 2),
        np.zeros((2, 1)),
        1e-12,
    )
    assert made.n_terms <= 6
    assert made.length_rms < 2e-5


def test_over_a_cylinder_on_the_joint_axis_the_moment_arm_is_its_radius(tmp_path):
    source = legs.save(legs.leg(), tmp_path / "leg.osim")
    result = convert(source, tmp_path / "done.osim", ConvertOptions(**FAST))
    (made,) = result.fits
    assert (made.muscle, made.coordinates) == ("wrapped", ("knee_angle",))
    model = osim.Model(str(tmp_path / "done.osim"))
    state = model.initSystem()
    knee = model.getCoordinateSet().get("knee_angle")
    muscle = model.getMuscles().get("wrapped")
    # two tangents from 0.3 m above and 0.25 m below the axis, 0.05 m behind it, and the arc between
    radius, ends = legs.RADIUS, (np.hypot(0.05, 0.3), np.hypot(0.05, 0.25))
    tangents = sum(np.sqrt(d**2 - radius**2) for d in ends)
    spread = np.pi - np.arctan2(0.05, 0.3) - np.arctan2(0.05, 0.25)
    open_angle = sum(np.arccos(radius / d) for d in ends)
    for angle in (0.3, 0.9, 1.6):
        knee.setValue(state, angle)
        model.realizePosition(state)
        arc = radius * (spread + angle - open_angle)
        assert muscle.getLength(state) == pytest.approx(tangents + arc, abs=1e-6)
        assert muscle.computeMomentArm(state, knee) == pytest.approx(-radius, abs=1e-6)
    assert "WrapCylinder" not in result.xml


def test_a_coupled_coordinate_enters_through_the_one_it_follows(tmp_path):
    source = legs.save(legs.leg(), tmp_path / "leg.osim")
    result = convert(source, tmp_path / "done.osim", ConvertOptions(paths="polynomial", **FAST))
    by_name = {f.muscle: f for f in result.fits}
    assert by_name["kneecap"].coordinates == ("hip_adduction", "hip_rotation", "knee_angle")
    before, after = osim.Model(str(source)), osim.Model(str(tmp_path / "done.osim"))
    rng = np.random.default_rng(8)
    for _ in range(10):
        values = {
            c: rng.uniform(*r)
            for c, r in read_path_ranges(tmp_path / "done.osim")["kneecap"].items()
        }
        found = []
        for model in (before, after):
            state = model.initSystem()
            for name, one in values.items():
                model.getCoordinateSet().get(name).setValue(state, one, False)
            model.assemble(state)
            model.realizePosition(state)
            muscle = model.getMuscles().get("kneecap")
            arms = [muscle.computeMomentArm(state, model.getCoordinateSet().get(c)) for c in values]
            found.append([muscle.getLength(state), *arms])
        np.testing.assert_allclose(found[0], found[1], atol=2e-3)


def test_moment_arms_from_unit_speeds_are_opensim_s_own():
    model = legs.leg(toes_locked=False)
    muscles = components.muscles(model)
    postures = Postures(model, muscles)
    values = {"hip_adduction": 0.2, "hip_rotation": -0.3, "knee_angle": 1.1, "ankle_angle": 0.2}
    postures.set(values)
    arms = {c: postures.arms(c, values) for c in (*values, "mtp_angle")}
    for name, found in arms.items():
        expected = [
            m.computeMomentArm(postures.state, model.getCoordinateSet().get(name)) for m in muscles
        ]
        np.testing.assert_allclose(found, expected, atol=1e-9)


def switching(tmp_path, at):
    """The leg with a calf whose via point appears beyond an ankle angle: its length leaps there."""
    model = legs.leg()
    point = osim.ConditionalPathPoint()
    point.setName("late")
    point.setParentFrame(model.getBodySet().get("shank"))
    point.setLocation(osim.Vec3(-0.09, -0.3, 0.0))
    point.setCoordinate(model.getCoordinateSet().get("ankle_angle"))
    point.setRangeMin(at)
    point.setRangeMax(1.0)
    path = model.getMuscles().get("calf").updGeometryPath()
    path.updPathPointSet().insert(1, point)
    point.thisown = False  # the set owns it now
    return legs.save(model, tmp_path / "leap.osim")


def test_postures_beyond_a_leap_are_counted_told_and_left_out(tmp_path):
    # ankle from -0.6 to 0.6 rad: the last 0.12 rad, a tenth of the range, lie beyond
    source = switching(tmp_path, at=0.48)
    result = convert(source, None, ConvertOptions(paths="polynomial", samples=600))
    (calf,) = (f for f in result.fits if f.muscle == "calf")
    assert calf.leap_share == pytest.approx(0.1, abs=0.03)
    assert calf.leap_size > 1e-3
    assert calf.arm_rms.max() < 1e-3
    assert any("leap" in w and "calf" in w for w in result.warnings)


def test_a_path_that_cannot_be_followed_fails_with_the_numbers(tmp_path):
    source = switching(tmp_path, at=0.0)
    with pytest.raises(ModelError, match=r"calf length .* mm.*--range.*--limit-mm"):
        convert(source, None, ConvertOptions(paths="polynomial", limit_mm=0.5, **FAST))


def test_a_coordinate_without_a_sensible_range_needs_one(tmp_path):
    model = legs.leg()
    for end, value in (("Min", -99999.0), ("Max", 99999.0)):
        getattr(model.getCoordinateSet().get("ankle_angle"), f"setRange{end}")(value)
    source = legs.save(model, tmp_path / "wide.osim")
    # ankle_angle is one of the walking coordinates, so only a strange name is without a range
    assert convert(source, None, ConvertOptions(paths="polynomial", **FAST)).fits
    text = source.read_text(encoding="utf-8").replace("ankle_angle", "ankle_odd")
    source.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match="'calf' depends on coordinate 'ankle_odd'.*--range"):
        convert(source, None, ConvertOptions(paths="polynomial", **FAST))
    given = ConvertOptions(paths="polynomial", ranges={"ankle_odd": (-20, 20)}, **FAST)
    assert convert(source, None, given).path_ranges["calf"]["ankle_odd"] == pytest.approx(
        (-20 * DEG, 20 * DEG)
    )


def test_default_ranges_follow_the_knee_s_sign_and_stay_inside_the_model_s():
    model = legs.leg()
    knee = model.getCoordinateSet().get("knee_angle")
    assert fit_range(knee, {}) == pytest.approx((0.2, 1.8))
    knee.setRangeMin(-2.0)
    knee.setRangeMax(0.0)
    assert fit_range(knee, {}) == pytest.approx((-105 * DEG, 0.0))
    assert fit_range(knee, {"knee_angle": (-90, 10)}) == pytest.approx((-90 * DEG, 10 * DEG))
