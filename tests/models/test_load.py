"""Loading models: slope, weakness, users' own files, and what is said when it cannot be done."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import osim_exo
from osim_exo.errors import InputError, ModelError
from osim_exo.models import (
    HipExo,
    ModelConfig,
    Subject,
    available,
    card,
    components,
    load,
    shipped_path,
)
from osim_exo.units import GRAVITY

osim = pytest.importorskip("opensim")


def minimal_model(path, leave_out=(), **gravity):
    """A user's own model: a chain of rods with the named coordinates and one muscle."""
    osim.Logger.removeFileSink()
    osim.Logger.setLevelString("error")
    model = osim.Model()
    model.setName("mine")
    inertia = osim.Inertia(0.1, 0.1, 0.1)
    zero, down = osim.Vec3(0.0), osim.Vec3(0.0, -0.4, 0.0)
    pelvis = osim.Body("hips", 30.0, zero, inertia)
    model.addBody(pelvis)
    planar = osim.PlanarJoint("base", model.getGround(), pelvis)
    for k, name in enumerate(("pelvis_tilt", "pelvis_tx", "pelvis_ty")):
        planar.upd_coordinates(k).setName(name)
    model.addJoint(planar)
    for side in "rl":
        parent, place = pelvis, zero
        for name in ("hip_flexion", "knee_angle", "ankle_angle"):
            body = osim.Body(f"{name}_part_{side}", 5.0, osim.Vec3(0.0, -0.2, 0.0), inertia)
            model.addBody(body)
            joint = osim.PinJoint(f"{name}_{side}_joint", parent, place, zero, body, zero, zero)
            full = f"{name}_{side}"
            joint.upd_coordinates(0).setName(f"other_{full}" if full in leave_out else full)
            model.addJoint(joint)
            parent, place = body, down
    muscle = osim.DeGrooteFregly2016Muscle()
    muscle.setName("thigh_r")
    muscle.set_max_isometric_force(1000.0)
    muscle.set_optimal_fiber_length(0.1)
    muscle.set_tendon_slack_length(0.2)
    way = osim.GeometryPath()
    way.setName("path")
    muscle.set_path(way)
    model.addForce(muscle)
    muscle.addNewPathPoint("a", pelvis, osim.Vec3(0.05, 0.0, 0.0))
    muscle.addNewPathPoint("b", model.getBodySet().get("hip_flexion_part_r"), down)
    model.finalizeConnections()
    model.printToXML(str(path))
    return path


@pytest.mark.parametrize("slope_deg", [-5.0, 0.0, 8.0])
def test_a_slope_turns_gravity_and_keeps_its_size_and_uphill_brakes(slope_deg):
    model = load(slope_deg=slope_deg)
    gravity = model.get_gravity().to_numpy()
    assert np.linalg.norm(gravity) == pytest.approx(GRAVITY, rel=1e-12)
    assert gravity[1] < 0.0 and gravity[2] == 0.0
    # Uphill is forward and up: gravity pulls a forward walker (+x) back.
    assert np.sign(gravity[0]) == -np.sign(slope_deg) or slope_deg == gravity[0] == 0.0
    assert np.degrees(np.arctan2(-gravity[0], -gravity[1])) == pytest.approx(slope_deg)


def test_on_a_slope_a_body_in_the_air_accelerates_with_gravity():
    model = load(slope_deg=5.0)
    state = model.initSystem()
    model.getCoordinateSet().get("pelvis_ty").setValue(state, 3.0, False)
    model.realizeAcceleration(state)
    found = model.calcMassCenterAcceleration(state).to_numpy()
    expected = GRAVITY * np.array([-np.sin(np.radians(5)), -np.cos(np.radians(5)), 0.0])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_weakness_halves_the_force_that_a_muscle_gives_in_the_same_state():
    forces = {}
    for label, weakness in (("strong", {}), ("weak", {"soleus_r": 0.5, "vasti": 0.25})):
        model = load(weakness=weakness)
        state = model.initSystem()
        for muscle in components.muscles(model):
            muscle.setActivation(state, 0.6)
        model.realizeDynamics(state)
        forces[label] = {m.getName(): m.getTendonForce(state) for m in components.muscles(model)}
    ratios = {n: forces["weak"][n] / f for n, f in forces["strong"].items()}
    expected = {"soleus_r": 0.5, "vasti_r": 0.25, "vasti_l": 0.25}
    for name, ratio in ratios.items():
        assert ratio == pytest.approx(expected.get(name, 1.0), rel=1e-9), name


def test_weakness_on_one_side_is_not_symmetric():
    assert ModelConfig(weakness={"vasti": 0.5}).symmetric
    assert not ModelConfig(weakness={"soleus_r": 0.5}).symmetric


@pytest.mark.parametrize(
    ("weakness", "says"),
    [
        ({"biceps": 0.5}, "'biceps', which the model does not have"),
        ({"soleus_r": 0.0}, "0.0; allowed is above 0"),
        ({"soleus_r": -1.0}, "allowed is above 0"),
        ({"soleus_r": 3.0}, "up to 2"),
        ({"soleus_r": float("nan")}, "weakness"),
    ],
)
def test_weakness_that_cannot_be_is_refused_in_words(weakness, says):
    with pytest.raises(InputError, match=says):
        load(weakness=weakness)


@pytest.mark.parametrize("slope_deg", [16.0, -20.0, float("nan"), float("inf")])
def test_a_slope_out_of_range_is_refused(slope_deg):
    with pytest.raises(InputError, match="slope_deg"):
        load(slope_deg=slope_deg)


def test_a_user_s_own_file_with_the_named_coordinates_is_accepted(tmp_path):
    file = minimal_model(tmp_path / "mine.osim")
    config = ModelConfig(name=str(file), slope_deg=3.0, weakness={"thigh": 0.5})
    model = config.build()
    state = model.initSystem()
    assert model.getTotalMass(state) == pytest.approx(60.0)
    assert config.body_mass == pytest.approx(60.0)
    assert model.get_gravity().get(0) < 0.0
    assert model.getMuscles().get("thigh_r").getMaxIsometricForce() == pytest.approx(500.0)
    facts = card(str(file))
    assert facts["muscles"] == ["thigh_r"] and facts["contacts"] == []
    assert set(components.GAIT_COORDINATES) <= set(facts["coordinates"])


def test_a_user_s_file_without_the_coordinates_is_refused_with_the_list_of_them(tmp_path):
    file = minimal_model(tmp_path / "mine.osim", leave_out=("ankle_angle_l", "knee_angle_r"))
    with pytest.raises(ModelError) as refused:
        load(str(file))
    text = str(refused.value)
    missing, there = text.split(". It has: ")
    assert missing.endswith("knee_angle_r, ankle_angle_l") and "mine.osim" in missing
    assert "other_ankle_angle_l" in there and "Rename" in there


@pytest.mark.parametrize(
    ("file", "mass", "n_muscle", "n_contact"),
    [
        ("gait10dof18musc/gait10dof18musc.osim", 75.1646, 18, 0),
        ("moco_2d_walking/2D_gait.osim", 62.0, 18, 4),
    ],
)
def test_published_models_with_the_coordinates_are_accepted(
    shared_data, file, mass, n_muscle, n_contact
):
    facts = card(str(shared_data / file))
    assert facts["mass_kg"] == pytest.approx(mass, rel=1e-3)
    assert len(facts["muscles"]) == n_muscle
    assert len(facts["contacts"]) == n_contact


def test_malformed_missing_and_unknown_models_are_refused_in_words(tmp_path):
    broken = tmp_path / "broken.osim"
    for text in ("<OpenSimDocument><Model>", "not xml at all", ""):
        broken.write_text(text, encoding="utf-8")
        with pytest.raises(ModelError, match="broken.osim cannot be read as an OpenSim model"):
            load(str(broken))
    for name in (str(tmp_path / "absent.osim"), "gait9d", "", str(tmp_path)):
        with pytest.raises(ModelError, match="Shipped models: gait2d"):
            load(name)
    with pytest.raises(ModelError, match="Unknown model 'gait9d'"):
        shipped_path("gait9d")


def test_a_subject_for_a_user_s_own_file_is_refused(tmp_path):
    file = minimal_model(tmp_path / "mine.osim")
    with pytest.raises(ModelError, match="Scale tool"):
        load(str(file), subject=Subject(mass=60.0))


def test_the_hash_is_the_same_in_another_process_and_moves_with_every_parameter(tmp_path):
    config = ModelConfig(subject=Subject(mass=70.0), exo=HipExo(), slope_deg=5.0)
    code = (
        "import sys; from osim_exo.models import ModelConfig; "
        "print(ModelConfig.model_validate_json(sys.argv[1]).hash)"
    )
    root = str(Path(osim_exo.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, config.model_dump_json()],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root, "PYTHONHASHSEED": "7"},
    )
    assert done.stdout.strip() == config.hash, done.stderr
    changes = [
        dict(subject=Subject(mass=70.1)),
        dict(subject=Subject(mass=70.0, height=1.81)),
        dict(subject=Subject(mass=70.0, strength=0.9)),
        dict(exo=None),
        dict(exo=HipExo(drag=0.06)),
        dict(slope_deg=4.0),
        dict(weakness={"soleus_r": 0.5}),
        dict(tendon="compliant"),
        dict(paths="geometry"),
        dict(exo_actuator="activation"),
    ]
    hashes = [config.hash, *(config.changed(**change).hash for change in changes)]
    assert len(set(hashes)) == len(hashes)


def test_the_card_counts_what_the_model_has():
    facts = card("gait2d")
    assert available() == ("gait2d",)
    assert len(facts["coordinates"]) == 10
    assert len(facts["muscles"]) == 18
    assert len(facts["contacts"]) == 6
    assert facts["hash"] == ModelConfig().hash


def test_fibre_shares_reach_the_muscle_parameters():
    config = ModelConfig()
    model = config.build()
    found = components.muscle_parameters(model, config.slow_fractions)
    assert found["soleus_l"].slow_fraction == 0.70
    assert found["gastroc_r"].slow_fraction == 0.50
    assert len(found) == 18
