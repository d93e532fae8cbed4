"""The compiled physics against OpenSim stepping the same model, and in what a batch promises."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from osim_exo.baseline import library
from osim_exo.device import DeviceLimits
from osim_exo.errors import DataError, InputError, ModelError, SimulationError
from osim_exo.evaluate import rollout
from osim_exo.models import HipExo, ModelConfig
from osim_exo.physics import (
    CompiledPhysics,
    EndReason,
    OpenSimPhysics,
    PhysicsPool,
    StartState,
    end_reasons,
    fallen,
)
from osim_exo.physics.compiled.shipped import SHIPPED, shipped_spec
from osim_exo.physics.compiled.source import model_spec, read_here

pytest.importorskip("opensim")

BARE, WORN = ModelConfig(), ModelConfig(exo=HipExo())
N_MUSCLE = 18


def excitations(n_step, n_env=1, seed=0):
    noise = np.random.default_rng(seed).standard_normal((n_step, n_env, N_MUSCLE))
    return np.clip(0.15 + 0.15 * noise, 0.0, 1.0)


# Starts.


@pytest.mark.parametrize("recipe", [BARE, WORN, ModelConfig(slope_deg=8.0)])
def test_names_weight_and_standing_are_opensim_s(recipe):
    compiled, reference = CompiledPhysics(recipe), OpenSimPhysics(recipe)
    assert compiled.names == reference.names
    assert compiled.body_weight == pytest.approx(reference.body_weight, rel=1e-12)
    assert compiled.standing_height == pytest.approx(reference.standing_height, abs=1e-9)
    assert compiled.max_torque == reference.max_torque
    np.testing.assert_allclose(compiled.slope, reference.slope, atol=1e-15)
    np.testing.assert_allclose(compiled.coordinates, reference.coordinates, atol=1e-9)
    np.testing.assert_allclose(compiled.activations, reference.activations, atol=1e-15)
    np.testing.assert_allclose(compiled.grf, reference.grf, atol=1e-4)
    weight = compiled.body_weight + (WORN.exo.mass if recipe.exo else 0.0) * 9.80665
    assert compiled.grf[0, :, 1].sum() == pytest.approx(weight, rel=1e-9)


def test_random_postures_are_placed_where_opensim_places_them():
    random = np.random.default_rng(4)
    compiled, reference = CompiledPhysics(WORN, n_env=12), OpenSimPhysics(WORN, n_env=12)
    free = [n for n in compiled.names.coordinates if not n.startswith("pelvis_t")]
    start = StartState(
        coordinates={n: random.uniform(-0.4, 0.4, 12) for n in free},
        speeds={n: random.uniform(-2, 2, 12) for n in compiled.names.coordinates},
        activations={"*": 0.2, "soleus_l": random.uniform(0, 1, 12)},
        time=3.0,
    )
    for physics in (compiled, reference):
        physics.reset(start)
    np.testing.assert_allclose(compiled.coordinates, reference.coordinates, atol=1e-8)
    np.testing.assert_allclose(compiled.speeds, reference.speeds, atol=1e-15)
    np.testing.assert_allclose(compiled.activations, reference.activations, atol=1e-15)
    np.testing.assert_allclose(compiled.grf, reference.grf, rtol=1e-6, atol=0.05)
    np.testing.assert_allclose(compiled.time, 3.0)


def test_compliant_tendons_start_in_opensim_s_equilibrium():
    recipe = ModelConfig(tendon="compliant")
    compiled = CompiledPhysics(recipe, substep=0.0002)
    reference = OpenSimPhysics(recipe, mode="manager")
    start = StartState(
        coordinates={"knee_angle_r": -0.3, "ankle_angle_l": 0.1},
        speeds={"hip_flexion_r": 1.0},
        activations={"*": 0.1, "soleus_r": 0.6},
    )
    for physics in (compiled, reference):
        physics.reset(start)
    model = recipe.build()
    state = model.initSystem()
    osim = pytest.importorskip("opensim")
    state.setY(osim.Vector.createFromMat(reference.snapshot().states[0]))
    columns, ours = compiled.state_paths, compiled.snapshot().states[0]
    tendons = [path for path in columns if path.endswith("normalized_tendon_force")]
    assert len(tendons) == N_MUSCLE
    theirs = [model.getStateVariableValue(state, path) for path in tendons]
    np.testing.assert_allclose([ours[columns[p]] for p in tendons], theirs, atol=1e-6)
    for physics in (compiled, reference):
        physics.step(np.full((1, N_MUSCLE), 0.1))
    np.testing.assert_allclose(compiled.coordinates, reference.coordinates, atol=5e-3)


# Trajectories.


@pytest.fixture(scope="module")
def gait():
    try:
        return library.load("gait2d", 1.25, 0.0)
    except DataError as error:
        pytest.skip(f"no shipped gait of this model yet: {error}")


def along(physics, gait, n_step=10):
    """Coordinates after each step of the gait's own controls, from four of its states."""
    plan = gait.solution.stride()
    names, found = physics.names, []
    values = {p.rsplit("/", 2)[-2] + "/" + p.rsplit("/", 1)[-1]: v for p, v in plan.states.items()}

    def at(time, kind, wanted):
        return {n: float(np.interp(time, plan.time, values[f"{n}/{kind}"])) for n in wanted}

    for begin in plan.time[-1] * np.array([0.0, 0.2, 0.4, 0.7]):
        held = {n: min(max(a, 0.0), 1.0) for n, a in at(begin, "activation", names.muscles).items()}
        physics.reset(
            StartState(
                at(begin, "value", names.coordinates), at(begin, "speed", names.coordinates), held
            )
        )
        for k in range(n_step):
            time = begin + physics.control_dt * (k + 0.5)
            row = [np.interp(time, plan.time, plan.controls[n]) for n in names.muscles]
            other = [np.interp(time, plan.time, plan.controls[n]) for n in names.others]
            physics.step([row], None, [other])
            found.append(physics.coordinates[0])
    return np.array(found).reshape(4, n_step, -1)


def test_a_walk_goes_as_in_opensim_and_the_error_at_least_halves_with_the_step(gait):
    model = gait.config.model
    reference = along(OpenSimPhysics(model, mode="manager", accuracy=1e-7), gait)
    errors = {}
    for h in (0.0005, 0.001, 0.002):
        found = along(CompiledPhysics(model, substep=h), gait)
        errors[h] = np.abs(found - reference).max(axis=2)
    # After 50 and 100 ms, rad or m, the worst coordinate: of the worst start, which lands, and of
    # the median one.
    for at in (4, 9):
        assert errors[0.0005][:, at].max() < 1.5e-3 and errors[0.002][:, at].max() < 5e-3, errors
        assert np.median(errors[0.002][:, at]) < 5e-4, errors
        for coarse, fine in ((0.001, 0.0005), (0.002, 0.001)):
            assert 1.6 < errors[coarse][:, at].max() / errors[fine][:, at].max() < 4.0, errors
    same_length = np.abs(along(OpenSimPhysics(model), gait) - reference).max()
    assert errors[0.0005].max() < same_length


@pytest.mark.parametrize("scheme", ["implicit", "exact_damping", "explicit"])
def test_every_scheme_comes_to_the_same_walk(gait, scheme):
    model = gait.config.model
    reference = along(OpenSimPhysics(model, mode="manager", accuracy=1e-7), gait, 5)
    found = along(CompiledPhysics(model, substep=0.0001, scheme=scheme), gait, 5)
    assert np.abs(found - reference).max() < 2e-3


def test_compliant_tendons_go_as_in_opensim():
    recipe = ModelConfig(tendon="compliant")
    reference = OpenSimPhysics(recipe, mode="manager", accuracy=1e-6)
    compiled = CompiledPhysics(recipe, substep=0.0002)
    for row in excitations(8):
        reference.step(row)
        compiled.step(row)
    np.testing.assert_allclose(compiled.coordinates, reference.coordinates, atol=3e-3)


def test_single_precision_follows_double():
    double, single = (CompiledPhysics(WORN, n_env=4, dtype=d) for d in ("float64", "float32"))
    for row in excitations(10, n_env=4):
        double.step(row)
        single.step(row)
    np.testing.assert_allclose(single.coordinates, double.coordinates, atol=1e-3)
    assert single.coordinates.dtype == np.float64


def test_a_compiled_rollout_is_a_trial_of_its_own_physics(gait):
    plan = gait.solution.stride()
    trials = {
        physics: rollout(
            gait.config.model, plan, 0.1, start=0.2, control_dt=0.005, physics=physics, speed=1.25
        )
        for physics in ("opensim", "compiled")
    }
    ours, theirs = trials["compiled"], trials["opensim"]
    assert (ours.info.physics, theirs.info.physics) == ("compiled", "opensim")
    assert ours.info.provenance["substep"] == 0.0005 and "mode" not in ours.info.provenance
    np.testing.assert_allclose(ours.coordinates.values, theirs.coordinates.values, atol=4e-3)
    np.testing.assert_allclose(ours.activations.values, theirs.activations.values, atol=2e-3)
    assert ours.grf.names == theirs.grf.names and ours.info.model_hash == theirs.info.model_hash
    with pytest.raises(InputError, match="compiled, opensim"):
        rollout(gait.config.model, plan, 0.1, physics="mujoco")


# Batches.


def test_results_do_not_depend_on_threads_other_environments_or_how_often():
    inputs, torque = excitations(20, n_env=19), np.tile([5.0, -3.0], (19, 1))

    def play(rows=slice(None), **options):
        physics = CompiledPhysics(WORN, n_env=len(range(19)[rows]), on_failure="mark", **options)
        for row in inputs:
            physics.step(row[rows], torque[rows])
        return physics.snapshot().states

    first = play()
    np.testing.assert_array_equal(play(), first)
    np.testing.assert_array_equal(play(threads=3), first)
    np.testing.assert_array_equal(play(slice(16, 19)), first[16:])
    np.testing.assert_allclose(play(width=4), first, rtol=1e-6, atol=1e-9)


def test_excitations_may_lie_in_memory_in_any_way():
    given = excitations(1, n_env=5)[0]
    odd = np.zeros(given.nbytes + 1, dtype=np.uint8)[1:].view(float).reshape(given.shape)
    odd[:] = given
    wide = np.repeat(given, 3, axis=1)
    found = []
    for layout in (given, np.asfortranarray(given), odd, wide[:, ::3]):
        physics = CompiledPhysics(WORN, n_env=5)
        physics.step(layout)
        found.append(physics.snapshot().states)
    for states in found[1:]:
        np.testing.assert_array_equal(states, found[0])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_restoring_a_snapshot_repeats_the_same_bits(dtype):
    physics = CompiledPhysics(WORN, n_env=5, dtype=dtype, on_failure="mark")
    physics.set_parameters([1, 3], exo_delay_s=0.033, slope_deg=4.0)
    inputs, random = excitations(16, n_env=5), np.random.default_rng(0)
    torque = random.uniform(-12, 12, (16, 5, 2))
    inputs[2, 2, 5] = np.nan
    for row, push in zip(inputs[:8], torque[:8]):
        physics.step(row, push)
    state = physics.snapshot()

    def rest():
        for row, push in zip(inputs[8:], torque[8:]):
            physics.step(row, push)
        end = physics.snapshot()
        return end.states, end.time, end.failed, end.reasons, physics.grf, physics.slope

    first = rest()
    physics.set_parameters(exo_delay_s=0.2, slope_deg=0.0, muscle_strength=0.5)
    physics.restore(state)
    for again, before in zip(rest(), first):
        np.testing.assert_array_equal(again, before)
    assert first[2].tolist() == [False, False, True, False, False]


def test_a_reset_touches_the_named_environments_alone():
    physics, other = (CompiledPhysics(WORN, n_env=11) for _ in range(2))
    inputs, torque = excitations(8, n_env=11), np.tile([5.0, -5.0], (11, 1))
    for row in inputs[:4]:
        physics.step(row, torque)
        other.step(row, torque)
    chosen = np.array([2, 9, 10])
    start = StartState(coordinates={"hip_flexion_r": np.array([0.1, 0.2, 0.3])}, time=1.0)
    physics.reset(start, chosen)
    hip = physics.names.coordinates.index("hip_flexion_r")
    np.testing.assert_allclose(physics.coordinates[chosen, hip], [0.1, 0.2, 0.3])
    assert not physics.exo_torque[chosen].any()
    np.testing.assert_allclose(physics.time[chosen], 1.0)
    fresh = CompiledPhysics(WORN, n_env=3)
    fresh.reset(start)
    for row in inputs[4:]:
        physics.step(row, torque)
        other.step(row, torque)
        fresh.step(row[chosen], torque[chosen])
    kept = np.setdiff1d(np.arange(11), chosen)
    np.testing.assert_array_equal(physics.coordinates[kept], other.coordinates[kept])
    np.testing.assert_array_equal(physics.exo_torque[chosen], fresh.exo_torque)
    np.testing.assert_array_equal(physics.coordinates[chosen], fresh.coordinates)
    by_mask = CompiledPhysics(WORN, n_env=11)
    by_mask.reset(start, np.isin(np.arange(11), chosen))
    np.testing.assert_allclose(by_mask.coordinates[chosen, hip], [0.1, 0.2, 0.3])


@pytest.mark.parametrize("failing", [0, 5, 8])
def test_a_failure_stays_in_its_environment_and_says_why(failing):
    inputs = excitations(6, n_env=9)
    clean = CompiledPhysics(WORN, n_env=9)
    for row in inputs:
        clean.step(row)
    spoiled = CompiledPhysics(WORN, n_env=9, on_failure="mark")
    bad = inputs.copy()
    bad[2, failing, 7] = np.nan
    for row in bad:
        spoiled.step(row)
    others = np.arange(9) != failing
    np.testing.assert_array_equal(
        spoiled.snapshot().states[others], clean.snapshot().states[others]
    )
    assert spoiled.failed.tolist() == (~others).tolist()
    assert spoiled.failure_reasons[failing] == EndReason.CONTROLS_NOT_FINITE
    np.testing.assert_allclose(spoiled.time, np.where(others, 0.06, 0.02))
    assert np.isfinite(spoiled.coordinates).all() and np.isfinite(spoiled.grf).all()
    assert end_reasons(spoiled)[failing] == EndReason.CONTROLS_NOT_FINITE
    spoiled.reset(environments=[failing])
    spoiled.step(inputs[0])
    assert not spoiled.failed.any() and not spoiled.failure_reasons.any()


def test_a_failure_raises_with_time_reason_and_inputs_and_keeps_the_last_state():
    physics = CompiledPhysics(BARE)
    for row in excitations(3):
        physics.step(row)
    before, bad = physics.coordinates, excitations(1)[0]
    bad[0, 7] = np.nan
    with pytest.raises(SimulationError, match=r"not finite, at t = 0\.03 s.*soleus_r nan"):
        physics.step(bad)
    np.testing.assert_array_equal(physics.coordinates, before)
    assert physics.failed.all()


def test_states_beyond_numbers_fail_as_such():
    physics = CompiledPhysics(BARE, n_env=2, on_failure="mark")
    physics.reset(StartState(speeds={"knee_angle_r": np.array([0.0, 1e200])}))
    physics.step(np.zeros((2, N_MUSCLE)))
    assert physics.failed.tolist() == [False, True]
    assert physics.failure_reasons[1] == EndReason.NOT_FINITE
    assert np.isfinite(physics.snapshot().states).all()


def test_absurd_speeds_fail_before_they_are_infinite():
    physics = CompiledPhysics(BARE, n_env=2, on_failure="mark")
    physics.reset(StartState(speeds={"pelvis_tx": np.array([0.0, 5e3])}))
    physics.step(np.zeros((2, N_MUSCLE)))
    assert physics.failure_reasons.tolist() == [EndReason.NONE, EndReason.TOO_FAST]


def test_a_fall_is_a_reason_too():
    physics = CompiledPhysics(BARE, n_env=3)
    height = physics.standing_height * np.array([1, 1, 0.6])
    tilt = np.array([0.0, -1.2, 0.0])
    physics.reset(StartState(coordinates={"pelvis_tilt": tilt, "pelvis_ty": height}))
    assert fallen(physics).tolist() == [False, True, True]
    assert end_reasons(physics).tolist() == [0, EndReason.FALLEN, EndReason.FALLEN]


def test_leaving_the_range_of_fitted_paths_is_reported():
    physics = CompiledPhysics(BARE, n_env=2)
    high = {c.name: c for c in physics.spec.coordinates}
    path = physics.spec.muscles[0].path
    name, (_, limit) = path.coordinates[0], path.valid[0]
    assert name in high
    physics.reset(StartState(coordinates={name: np.array([0.0, limit + 0.25]), "pelvis_ty": 1.0}))
    np.testing.assert_allclose(physics.path_excess, [0.0, 0.25], atol=1e-12)
    physics.step(np.zeros((2, N_MUSCLE)))
    assert not physics.failed.any()


# What it says of a state.


def test_quantities_are_there_without_asking_twice():
    physics = CompiledPhysics(WORN, n_env=3)
    drive = np.full((3, N_MUSCLE), 0.3)
    for _ in range(5):
        physics.step(drive)
    rates = physics.quantities("bhargava2004", "umberger2010", "tendon_force")
    assert {name: v.shape for name, v in rates.items()} == dict.fromkeys(rates, (3, N_MUSCLE))
    assert 50 < rates["bhargava2004"][0].sum() < 3000
    np.testing.assert_array_equal(rates["tendon_force"], physics.quantity("tendon_force"))
    with pytest.raises(InputError, match="mass_centre"):
        physics.quantity("temperature")
    rates["tendon_force"][:] = 0.0
    assert physics.quantity("tendon_force").all()


def test_a_falling_imu_feels_nothing_and_turns_with_its_body():
    physics = CompiledPhysics(WORN)
    physics.reset(
        StartState(
            coordinates={"pelvis_ty": 3.0}, speeds={"pelvis_tilt": 0.7}, activations={"*": 0.0}
        )
    )
    pelvis, right, left = physics.quantity("imu").reshape(3, 6)
    np.testing.assert_allclose(pelvis[3:], [0, 0, 0.7], atol=1e-12)
    np.testing.assert_allclose(right[3:], [0, 0, 0.7], atol=1e-12)
    np.testing.assert_allclose(left, right, atol=1e-9)
    # Near to free fall: what is left is passive joint moments and the centripetal part.
    assert np.abs(pelvis[:3]).max() < 2.0


# Sources.


def test_a_spec_runs_where_opensim_is_not_installed(tmp_path):
    spec = model_spec(WORN)
    spec.save(tmp_path / "walker.json")
    physics = CompiledPhysics(WORN)
    physics.step(np.full((1, N_MUSCLE), 0.1), [[3.0, 3.0]])
    code = f"""
import sys
sys.modules["opensim"] = None
import numpy as np
from pathlib import Path
from osim_exo.device import DeviceLimits
from osim_exo.physics import CompiledPhysics
physics = CompiledPhysics(Path({str(tmp_path / "walker.json")!r}), limits=DeviceLimits())
physics.step(np.full((1, {N_MUSCLE}), 0.1), [[3.0, 3.0]])
print(repr(physics.coordinates[0].tolist()))
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    np.testing.assert_array_equal(eval(done.stdout), physics.coordinates[0])


STARTS_WITHOUT_OPENSIM = """
import sys
sys.modules["opensim"] = None
from osim_exo.models import HipExo, ModelConfig
from osim_exo.physics import CompiledPhysics
for recipe in (ModelConfig(), ModelConfig(exo=HipExo()), {more}):
    CompiledPhysics(recipe)
"""


@pytest.mark.parametrize("more", ["ModelConfig()", "ModelConfig(slope_deg=8.0)"])
def test_what_ships_or_was_read_once_starts_without_opensim(tmp_path, more):
    held = dict(os.environ)
    if "slope" in more:
        CompiledPhysics(ModelConfig(slope_deg=8.0))
    else:
        held["OSIM_EXO_CACHE"] = str(tmp_path)
    code = STARTS_WITHOUT_OPENSIM.format(more=more)
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, env=held, check=True)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_specs_are_what_opensim_reads(name):
    ships, read = shipped_spec(SHIPPED[name]), read_here(SHIPPED[name])
    assert ships is not None
    source = read.source.model_copy(update={"opensim_version": ships.source.opensim_version})
    assert ships == read.model_copy(update={"source": source}), (
        "the model changed: write its spec anew with osim_exo.physics.compiled.shipped.write()"
    )


def test_a_damaged_kept_model_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("OSIM_EXO_CACHE", str(tmp_path))
    sloped = ModelConfig(slope_deg=8.0)
    spec = model_spec(sloped)
    (kept,) = tmp_path.glob("*.spec.json")
    kept.write_text(kept.read_text(encoding="utf-8")[:1000], encoding="utf-8")
    with pytest.warns(UserWarning, match="read again"):
        assert model_spec(sloped) == spec
    assert model_spec(sloped) == spec


class Lines:
    """Progress that remembers what it was told."""

    def __init__(self):
        self.titles = []

    def step(self, title, total=None, unit=""):
        from contextlib import nullcontext

        self.titles.append(title)
        return nullcontext()

    def note(self, text):
        self.titles.append(text)


def test_a_cold_build_is_told_and_a_warm_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("OSIM_EXO_CACHE", str(tmp_path))
    cold, warm = Lines(), Lines()
    for lines in (cold, warm):
        CompiledPhysics(BARE, progress=lines)
    assert any("step" in title and "gait2d" in title for title in cold.titles)
    assert warm.titles == []


# Faults.


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(substep=0.003), "no multiple"),
        (dict(substep=0.02), "substep"),
        (dict(control_dt=1.0), "control_dt"),
        (dict(scheme="euler"), "midpoint"),
        (dict(dtype="float16"), "float32, float64"),
        (dict(on_failure="ignore"), "mark, raise"),
        (dict(n_env=0), "n_env"),
        (dict(threads=0), "threads"),
        (dict(width=3), "power of two"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(options, says):
    with pytest.raises(InputError, match=says):
        CompiledPhysics(BARE, **options)


def test_wrong_shapes_and_foreign_snapshots_are_refused():
    physics = CompiledPhysics(WORN, n_env=2)
    with pytest.raises(InputError, match="excitations"):
        physics.step(np.zeros(N_MUSCLE))
    with pytest.raises(InputError, match="exo_torque"):
        physics.step(np.zeros((2, N_MUSCLE)), np.zeros((2, 1)))
    with pytest.raises(InputError, match="n_env"):
        physics.restore(CompiledPhysics(WORN).snapshot())
    with pytest.raises(InputError, match="compiled"):
        physics.restore(OpenSimPhysics(WORN, n_env=2).snapshot())


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (StartState(coordinates={"elbow": 0.1}), "hip_flexion_r"),
        (StartState(coordinates={"knee_angle_r": float("nan")}), "finite"),
        (StartState(speeds={"pelvis_tx": [1.0, 2.0, 3.0]}), "one per environment"),
        (StartState(activations={"soleus_r": 1.5}), "0 to 1"),
        (StartState(activations={"biceps": 0.5}), "soleus_r"),
    ],
)
def test_a_start_that_cannot_be_is_refused_in_words(start, says):
    with pytest.raises(InputError, match=says):
        CompiledPhysics(BARE).reset(start)


def test_devices_without_limits_or_with_dynamics_are_refused_in_words(tmp_path):
    spec = model_spec(WORN)
    with pytest.raises(ModelError, match="limits=DeviceLimits"):
        CompiledPhysics(spec)
    weak = model_spec(ModelConfig(exo=HipExo(limits=DeviceLimits(max_torque=5.0))))
    with pytest.raises(ModelError, match="reach 5 Nm"):
        CompiledPhysics(weak, limits=DeviceLimits())
    with pytest.raises(ModelError, match='actuator="torque"'):
        CompiledPhysics(ModelConfig(exo=HipExo(), exo_actuator="activation"))
    with pytest.raises(ModelError, match="no model file"):
        CompiledPhysics(tmp_path / "missing.osim")
    sideless = spec.contacts[0].model_copy(update={"name": "contact"})
    with pytest.raises(ModelError, match="contact do not say"):
        CompiledPhysics(spec.model_copy(update={"contacts": (sideless,)}), limits=DeviceLimits())


# Models made by others.


def test_a_published_planar_model_goes_as_in_opensim(shared_data):
    file = shared_data / "moco_2d_walking" / "2D_gait.osim"
    reference = OpenSimPhysics(file, mode="manager", accuracy=1e-6)
    compiled = CompiledPhysics(file, substep=0.0005)
    assert compiled.names == reference.names
    for row in excitations(10):
        compiled.step(row)
        reference.step(row)
    np.testing.assert_allclose(compiled.coordinates, reference.coordinates, atol=2e-3)


@pytest.mark.slow
def test_eighty_muscles_in_three_dimensions_go_as_in_opensim_and_through_falls(
    shared_data, tmp_path
):
    from osim_exo.models.convert import ConvertOptions, convert

    folder, file = shared_data / "moco_3d_walking", tmp_path / "walker.osim"
    parts = ("ContactGeometrySet", "ContactForceSet", "ExpressionBasedCoordinateForceSet")
    further = tuple(str(folder / f"subject_walk_scaled_{part}.xml") for part in parts)
    options = ConvertOptions(add=further, samples=600)
    convert(folder / "subject_walk_scaled.osim", file, options)
    compiled = CompiledPhysics(file, substep=0.0005)
    # In a process of its own: OpenSim keeps the first model's activation times for all others.
    reference = PhysicsPool(file, n_env=1, n_worker=1, mode="manager", accuracy=1e-4)
    assert compiled.names == reference.names and len(compiled.names.muscles) == 80
    bent = {f"{joint}_{side}": 0.4 for joint in ("knee_angle", "hip_flexion") for side in "rl"}
    compiled.reset(StartState(coordinates=bent))
    assert compiled.grf[0, :, 1].sum() == pytest.approx(compiled.body_weight, rel=1e-6)
    start = dict(zip(compiled.names.coordinates, compiled.coordinates[0].tolist()))
    for name in ("knee_angle_r", "knee_angle_l"):
        assert start[f"{name}_beta"] == pytest.approx(0.4)  # coupled to the knee
    reference.reset(StartState(coordinates=start))
    random = np.random.default_rng(0)
    for _ in range(4):
        row = random.uniform(0.01, 0.2, (1, 80))
        compiled.step(row)
        reference.step(row)
    reference.close()
    np.testing.assert_allclose(compiled.coordinates, reference.coordinates, atol=4e-3)
    many = CompiledPhysics(file, n_env=64, on_failure="mark")
    many.reset(StartState(speeds={"pelvis_tx": random.uniform(-1, 1, 64)}))
    for _ in range(100):
        many.step(random.uniform(0.01, 0.5, (64, 80)))
    assert np.isfinite(many.snapshot().states).all()
    allowed = (EndReason.NONE, EndReason.SINGULAR_ORIENTATION)
    assert np.isin(many.failure_reasons, allowed).all()
    assert fallen(many).any()
