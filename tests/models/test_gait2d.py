"""The planar model against the published one, against mechanics, and against its own file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from osim_exo import names
from osim_exo.models import HipExo, ModelConfig, components, ground, shipped_path
from osim_exo.models.gait2d import build, tables
from osim_exo.units import GRAVITY

osim = pytest.importorskip("opensim")

PUBLISHED_MASS = 75.1646
"""kg; gait10dof18musc, after Anderson & Pandy 1999."""


def members(collection):
    return [collection.get(i) for i in range(collection.getSize())]


def set_state(model, state, values, speeds=None, activations=None):
    coordinates = model.getCoordinateSet()
    for name, value in values.items():
        coordinates.get(name).setValue(state, value, False)
    for name, value in (speeds or {}).items():
        coordinates.get(name).setSpeedValue(state, value)
    for name, value in (activations or {}).items():
        model.getMuscles().get(name).setActivation(state, value)


def set_controls(model, state, controls):
    """Controls by actuator name, on a state that is realised to velocity."""
    model.realizeVelocity(state)
    vector = model.updControls(state)
    for name, value in controls.items():
        actuator = osim.Actuator.safeDownCast(model.getComponent(f"/forceset/{name}"))
        actuator.setControls(osim.Vector(1, value), vector)
    model.setControls(state, vector)


def random_state(model, rng, low=0.9, high=0.97):
    """A walker near the ground in any posture, with everything that can act."""
    coordinates = {
        "pelvis_tilt": rng.uniform(-0.3, 0.3),
        "pelvis_tx": rng.uniform(-1.0, 1.0),
        "pelvis_ty": rng.uniform(low, high),
        "lumbar_extension": rng.uniform(-0.3, 0.3),
    }
    for side in names.SIDES:
        coordinates[f"hip_flexion_{side}"] = rng.uniform(-0.5, 1.0)
        coordinates[f"knee_angle_{side}"] = rng.uniform(-1.7, 0.05)
        coordinates[f"ankle_angle_{side}"] = rng.uniform(-0.6, 0.5)
    speeds = {name: 2.0 * rng.standard_normal() for name in coordinates}
    muscles = [m.getName() for m in components.muscles(model)]
    activations = {name: rng.uniform(0.05, 1.0) for name in muscles}
    actuators = [a.getName() for a in components.coordinate_actuators(model)]
    controls = {name: rng.uniform(-1.0, 1.0) for name in actuators}
    return coordinates, speeds, activations, controls


def accelerations(model, state, situation):
    coordinates, speeds, activations, controls = situation
    set_state(model, state, coordinates, speeds, activations)
    set_controls(model, state, controls)
    model.realizeAcceleration(state)
    return {c.getName(): c.getAccelerationValue(state) for c in members(model.getCoordinateSet())}


def test_a_rebuild_is_the_committed_model(tmp_path):
    build.build().printToXML(str(tmp_path / "gait2d.osim"))
    rebuilt = (tmp_path / "gait2d.osim").read_text(encoding="utf-8")
    assert rebuilt == shipped_path("gait2d").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def published(shared_data):
    osim.Logger.setLevelString("error")
    return osim.Model(str(shared_data / "gait10dof18musc" / "gait10dof18musc.osim"))


def grid():
    """Postures over the joints' ranges, pelvis at an arbitrary place."""
    for hip in (-0.5, 0.0, 0.4, 1.2):
        for knee in (-1.9, -1.45, -0.8, -0.2, 0.0, 0.15):
            for ankle in (-0.7, 0.0, 0.4):
                yield {
                    "pelvis_tilt": 0.2,
                    "pelvis_tx": 0.3,
                    "pelvis_ty": 1.1,
                    "lumbar_extension": -0.3,
                    **{f"hip_flexion_{s}": hip for s in "rl"},
                    **{f"knee_angle_{s}": knee for s in "rl"},
                    **{f"ankle_angle_{s}": ankle for s in "rl"},
                }


def test_muscle_paths_equal_the_published_model_over_the_joints_ranges(published):
    ours = ModelConfig(paths="geometry").build()
    states = [ours.initSystem(), published.initSystem()]
    joints = [n for n in components.GAIT_COORDINATES if not n.startswith("pelvis")]
    lengths, arms = [], []
    for posture in grid():
        for model, state in zip((ours, published), states):
            set_state(model, state, posture)
            model.realizePosition(state)
        for muscle in components.muscles(ours):
            name = muscle.getName()
            twins = (muscle, published.getMuscles().get(name))
            a, b = (m.getLength(s) for m, s in zip(twins, states))
            lengths.append(a - b)
            for joint in joints:
                if names.side(joint) == names.side(name):
                    a, b = (
                        m.computeMomentArm(s, model.getCoordinateSet().get(joint))
                        for m, s, model in zip(twins, states, (ours, published))
                    )
                    arms.append(a - b)
    assert len(lengths) == 18 * 72
    assert np.abs(lengths).max() < 1e-9
    assert np.abs(arms).max() < 1e-9


def test_masses_inertias_and_joint_centres_equal_the_published_model(published):
    ours = build.build()
    states = [ours.initSystem(), published.initSystem()]
    for body in members(ours.getBodySet()):
        twin = published.getBodySet().get(body.getName())
        assert body.getMass() == pytest.approx(twin.getMass(), abs=1e-9), body.getName()
        inertias = [[b.get_inertia().get(i) for i in range(6)] for b in (body, twin)]
        np.testing.assert_allclose(*inertias, atol=1e-9, err_msg=body.getName())
    for posture in grid():
        for model, state in zip((ours, published), states):
            set_state(model, state, posture)
            model.realizePosition(state)
        for body in members(ours.getBodySet()):
            twin = published.getBodySet().get(body.getName())
            for point in (osim.Vec3(0.0), body.getMassCenter()):
                a, b = (
                    x.findStationLocationInGround(s, point).to_numpy()
                    for x, s in zip((body, twin), states)
                )
                np.testing.assert_allclose(a, b, atol=1e-9, err_msg=body.getName())
            np.testing.assert_allclose(
                body.getMassCenter().to_numpy(), twin.getMassCenter().to_numpy(), atol=1e-9
            )


def test_muscle_parameters_equal_the_published_model(published):
    ours = build.build()  # held: muscles of a model that is gone crash
    for muscle in components.muscles(ours):
        twin = published.getMuscles().get(muscle.getName())
        for fact in (
            "getMaxIsometricForce",
            "getOptimalFiberLength",
            "getTendonSlackLength",
            "getPennationAngleAtOptimalFiberLength",
        ):
            value = getattr(muscle, fact)()
            assert value == pytest.approx(getattr(twin, fact)(), rel=1e-8), (muscle.getName(), fact)


MEASURED_ARMS_CM = {
    # (muscle, joint): lowest and highest moment arm near upright stance, cm, in the coordinate's
    # sign; ranges drawn wide around what was measured. Achilles tendon: Manal et al. 2013, Physiol
    # Rep 1:e00139 (3.5 to 3.8 by ultrasound, larger by magnetic resonance). Tibialis anterior:
    # Maganaris 2000, J Biomech 33:375 (2.9 to 4.5 at rest, 0.9 to 1.5 more in contraction).
    # Quadriceps and hamstrings at the knee: Buford et al. 1997, IEEE Trans Rehabil Eng 5:367.
    # Gastrocnemius at the knee: Spoor et al. 1990, J Biomech 23:1247. Hip extensors: Nemeth &
    # Ohlsen 1985, J Biomech 18:129.
    ("soleus_r", "ankle_angle_r"): (-6.5, -3.5),
    ("gastroc_r", "ankle_angle_r"): (-6.5, -3.5),
    ("tib_ant_r", "ankle_angle_r"): (3.0, 6.0),
    ("vasti_r", "knee_angle_r"): (3.0, 6.0),
    ("rect_fem_r", "knee_angle_r"): (3.0, 6.0),
    ("hamstrings_r", "knee_angle_r"): (-4.5, -1.0),
    ("hamstrings_r", "hip_flexion_r"): (-9.0, -4.5),
    ("glut_max_r", "hip_flexion_r"): (-9.0, -4.0),
    ("gastroc_r", "knee_angle_r"): (-4.5, -1.0),
}


@pytest.mark.parametrize("paths", ["geometry", "polynomial"])
def test_moment_arms_in_stance_lie_where_they_have_been_measured(paths):
    model = ModelConfig(paths=paths).build()
    state = model.initSystem()
    set_state(model, state, {"knee_angle_r": -0.2, "hip_flexion_r": 0.1})
    model.realizePosition(state)
    for (muscle, joint), (low, high) in MEASURED_ARMS_CM.items():
        coordinate = model.getCoordinateSet().get(joint)
        arm = 100 * model.getMuscles().get(muscle).computeMomentArm(state, coordinate)
        assert low < arm < high, (muscle, joint, arm)


def test_gastrocnemius_crosses_the_knee_and_the_ankle_and_every_muscle_is_in_the_force_set():
    for paths in ("geometry", "polynomial"):
        model = ModelConfig(paths=paths).build()
        state = model.initSystem()
        inside = {f.getName() for f in members(model.getForceSet())}
        found = {m.getName() for m in components.muscles(model)}
        assert len(found) == 18 and found <= inside
        for side in names.SIDES:
            muscle = model.getMuscles().get(f"gastroc_{side}")
            for joint in ("knee_angle", "ankle_angle"):
                coordinate = model.getCoordinateSet().get(f"{joint}_{side}")
                assert muscle.computeMomentArm(state, coordinate) < -0.01


def test_total_mass_is_the_published_one_and_the_device_adds_its_own():
    for exo, worn in ((None, 0.0), (HipExo(), HipExo().mass)):
        model = ModelConfig(exo=exo).build()
        total = model.getTotalMass(model.initSystem())
        assert total == pytest.approx(PUBLISHED_MASS + worn, abs=1e-9)
    assert sum(float(r["mass_kg"]) * (1 if r["body"] in ("pelvis", "torso") else 2)
               for r in tables.rows("bodies")) == pytest.approx(PUBLISHED_MASS)  # fmt: skip


def test_in_quiet_standing_the_ground_carries_the_body_weight():
    """At the pelvis height where the ground force equals the weight, nothing moves vertically."""
    model = build.build()
    state = model.initSystem()
    weight = PUBLISHED_MASS * GRAVITY
    contacts = ground.contact_forces(model)

    def load(height):
        set_state(model, state, {"pelvis_ty": height})
        model.realizeVelocity(state)
        return sum(c.getRecordValues(state).get(1) for c in contacts)

    low, high = 0.85, 1.05
    assert load(high) < 0.05 * weight < weight < load(low)
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if load(middle) > weight else (low, middle)
    assert load(low) == pytest.approx(weight, rel=1e-9)
    deepest = min(
        sphere.getFrame().findStationLocationInGround(state, sphere.get_location()).get(1)
        - sphere.getRadius()
        for sphere in (osim.ContactSphere.safeDownCast(c.getConnectee("sphere")) for c in contacts)
    )
    assert -0.015 < deepest < 0.0
    # Newton: the mass centre's acceleration is the difference of force and weight over mass.
    model.realizeAcceleration(state)
    assert model.calcMassCenterAcceleration(state).get(1) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("slope_deg", [0.0, 5.0])
def test_ground_forces_are_mass_times_acceleration_less_gravity(slope_deg):
    model = ModelConfig(exo=HipExo(), slope_deg=slope_deg).build()
    state = model.initSystem()
    mass, rng = model.getTotalMass(state), np.random.default_rng(0)
    gravity = model.get_gravity().to_numpy()
    loaded = 0
    for _ in range(20):
        accelerations(model, state, random_state(model, rng, 0.75, 0.85))
        total = sum(
            np.array([c.getRecordValues(state).get(k) for k in range(3)])
            for c in ground.contact_forces(model)
        )
        centre = model.calcMassCenterAcceleration(state).to_numpy()
        np.testing.assert_allclose(total, mass * (centre - gravity), atol=1e-6 * mass * GRAVITY)
        loaded += total[1] > 50.0
    assert loaded >= 5


@pytest.mark.parametrize("paths", ["polynomial", "geometry"])
@pytest.mark.parametrize("exo", [None, HipExo()])
def test_a_mirrored_state_has_mirrored_accelerations(paths, exo):
    model = ModelConfig(paths=paths, exo=exo).build()
    state, rng = model.initSystem(), np.random.default_rng(1)
    for _ in range(5):
        situation = random_state(model, rng)
        mirrored = [{names.mirror(n): v for n, v in part.items()} for part in situation]
        here = accelerations(model, state, situation)
        there = accelerations(model, state, mirrored)
        largest = max(abs(a) for a in here.values())
        for name, value in here.items():
            assert there[names.mirror(name)] == pytest.approx(value, abs=1e-9 * largest), name


def test_the_file_opens_in_a_stock_opensim_without_a_word():
    code = (
        "import opensim as o\n"
        "o.Logger.removeFileSink()\n"
        "o.Logger.setLevelString('warn')\n"
        f"m = o.Model(r'{shipped_path('gait2d')}')\n"
        "m.initSystem()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("paths", ["polynomial", "geometry"])
def test_compliant_tendons_find_their_equilibrium(paths):
    model = ModelConfig(tendon="compliant", paths=paths).build()
    state = model.initSystem()
    assert model.getStateVariableNames().getSize() == 20 + 18 + 18
    model.equilibrateMuscles(state)
    for muscle in components.muscles(model):
        along = muscle.getFiberForceAlongTendon(state)
        assert muscle.getTendonForce(state) == pytest.approx(along, abs=1e-3), muscle.getName()


def test_every_row_of_every_table_names_its_source():
    for table in ("bodies", "contact", "fibres", "friction", "joints", "muscles", "passive",
                  "paths", "splines"):  # fmt: skip
        assert all(row["source"].strip() for row in tables.rows(table)), table


def test_the_page_on_the_model_says_what_the_tables_say():
    page = Path(__file__).resolve().parents[2] / "docs" / "gait2d.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    shares = {r["muscle"]: r for r in tables.rows("fibres")}

    def cells(first):
        found = [line for line in lines if line.startswith(f"| `{first}` |")]
        return [cell.strip() for line in found for cell in line.strip("|").split("|")[1:]]

    for row in tables.rows("muscles"):
        share = shares[row["muscle"]]
        declared = " (default)" if "no measurement" in share["source"] else ""
        assert cells(row["muscle"])[1:] == [
            row["max_isometric_force_N"],
            row["optimal_fibre_length_m"],
            row["tendon_slack_length_m"],
            f"{np.degrees(float(row['pennation_rad'])):.1f}",
            share["slow_twitch_share"] + declared,
        ]
    for row in tables.rows("contact"):
        assert cells(row["sphere"]) == [
            f"`{row['body']}`",
            f"{row['x_m']}, {row['y_m']}",
            row["radius_m"],
            f"{float(row['stiffness_Pa']) / 1e6:g}",
            row["dissipation_s_per_m"],
        ]
    for row in tables.rows("passive"):
        numbers = [
            v for k, v in row.items() if k not in ("coordinate", "source") and "damp" not in k
        ]
        assert sorted(cells(row["coordinate"])[-5:]) == sorted(numbers)
    friction = tables.rows("friction")[0]
    text = " ".join(" ".join(lines).split())
    assert f"Friction {friction['static_friction']}, static and dynamic" in text
    assert f"Hertz smoothing {friction['hertz_smoothing']}," in text
