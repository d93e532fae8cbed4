"""Published models convert within stated errors, judged by OpenSim's own moment arms."""

from pathlib import Path

import numpy as np
import pytest

osim = pytest.importorskip("opensim")

from osim_exo.models import components  # noqa: E402
from osim_exo.models.convert import (  # noqa: E402
    Conversion,
    ConvertOptions,
    convert,
    read_path_ranges,
)


def at(model, state, values):
    for name, one in values.items():
        model.getCoordinateSet().get(name).setValue(state, one, False)
    model.assemble(state)
    model.realizePosition(state)


def compare_paths(source: Path, out: Path, n: int, seed: int):
    """Length and moment arm differences by muscle, from OpenSim alone: ({m: (n,)}, {m: (n, c)})."""
    before, after = osim.Model(str(source)), osim.Model(str(out))
    states = before.initSystem(), after.initSystem()
    ranges = read_path_ranges(out)
    every = {c: r for own in ranges.values() for c, r in own.items()}
    rng = np.random.default_rng(seed)
    lengths: dict[str, list[float]] = {m: [] for m in ranges}
    arms: dict[str, list[list[float]]] = {m: [] for m in ranges}
    for _ in range(n):
        values = {c: rng.uniform(*r) for c, r in every.items()}
        for model, state in zip((before, after), states):
            at(model, state, values)
        for m, own in ranges.items():
            pair = [model.getMuscles().get(m) for model in (before, after)]
            lengths[m].append(pair[1].getLength(states[1]) - pair[0].getLength(states[0]))
            arms[m].append(
                [
                    pair[1].computeMomentArm(states[1], after.getCoordinateSet().get(c))
                    - pair[0].computeMomentArm(states[0], before.getCoordinateSet().get(c))
                    for c in own
                ]
            )
    return {m: np.array(v) for m, v in lengths.items()}, {m: np.array(v) for m, v in arms.items()}


def reported(result: Conversion):
    return {f.muscle: f for f in result.fits}


@pytest.mark.parametrize(
    ("file", "n_muscle", "n_force"),
    [
        ("gait10dof18musc/gait10dof18musc.osim", 18, 18),
        ("moco_2d_walking/2D_gait.osim", 18, 23),
    ],
)
def test_planar_models_convert_without_a_fit(shared_data, tmp_path, file, n_muscle, n_force):
    result = convert(shared_data / file, tmp_path / "ready.osim")
    model = osim.Model(str(tmp_path / "ready.osim"))
    assert model.getForceSet().getSize() == n_force
    assert model.getMuscles().getSize() == n_muscle
    kinds = {m.getConcreteClassName() for m in components.muscles(model)}
    assert kinds == {"DeGrooteFregly2016Muscle"}
    assert result.fits == [] and result.acceleration_error < 1e-9


def test_polynomials_of_a_planar_model_match_its_conditional_and_moving_points(
    shared_data, tmp_path
):
    source, out = shared_data / "gait10dof18musc/gait10dof18musc.osim", tmp_path / "ready.osim"
    result = convert(source, out, ConvertOptions(paths="polynomial"))
    lengths, arms = compare_paths(source, out, 60, seed=11)
    for m, one in reported(result).items():
        assert np.sqrt(np.mean(lengths[m] ** 2)) < 1.5 * one.length_rms + 1e-4
        assert np.sqrt(np.mean(arms[m] ** 2)) < 1e-3
    assert sum(f.n_terms for f in result.fits) < 150


@pytest.mark.slow
def test_eighty_muscles_with_wrapping_keep_lengths_and_moment_arms(shared_data, tmp_path):
    source, out = shared_data / "rajagopal/Rajagopal2016.osim", tmp_path / "ready.osim"
    result = convert(source, out)
    assert len(result.fits) == 42 and len(result.replaced) == 80
    assert set(result.changes["joints welded"]) == {
        f"{j}_{side}" for j in ("subtalar", "mtp", "radius_hand") for side in "rl"
    }
    assert len(result.changes["forces on held coordinates dropped"]) == 4
    assert result.acceleration_error < 1e-9
    lengths, arms = compare_paths(source, out, 25, seed=12)
    told = reported(result)
    for m, one in told.items():
        if one.own_disagreement.max() > 1e-3 or one.leap_share:
            continue
        assert np.sqrt(np.mean(lengths[m] ** 2)) < 2.0 * one.length_rms + 1e-4, m
        assert np.sqrt(np.mean(arms[m] ** 2)) < 2.0 * one.arm_rms.max() + 2e-4, m
    rms = [float(f.arm_rms.max()) for f in result.fits]
    assert np.median(rms) < 0.8e-3 and max(rms) < 1.5e-3
    assert max(f.length_rms for f in result.fits) < 2e-3


@pytest.mark.slow
def test_arms_and_toes_weld_and_contact_comes_from_further_files(shared_data, tmp_path):
    folder = shared_data / "moco_3d_walking"
    parts = ("ContactGeometrySet", "ContactForceSet", "ExpressionBasedCoordinateForceSet")
    options = ConvertOptions(
        weld_arms=True,
        weld_toes=True,
        samples=600,
        add=tuple(str(folder / f"subject_walk_scaled_{part}.xml") for part in parts),
    )
    result = convert(folder / "subject_walk_scaled.osim", tmp_path / "ready.osim", options)
    model = osim.Model(str(tmp_path / "ready.osim"))
    state = model.initSystem()
    assert model.getCoordinateSet().getSize() == 21
    contacts = [osim.SmoothSphereHalfSpaceForce.safeDownCast(c) for c in model.getComponentsList()]
    assert sum(c is not None for c in contacts) == 12
    assert result.acceleration_error < 1e-9
    model.realizeAcceleration(state)
    slipping = {f.muscle for f in result.fits if f.leap_size > 5e-3}
    assert {"psoas_r", "psoas_l"} <= slipping
