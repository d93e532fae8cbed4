"""Converting a model: what is welded, replaced, moved and dropped, held against OpenSim itself."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from osim_exo.cli import main
from osim_exo.errors import DataError, InputError, ModelError
from osim_exo.files import read_json

osim = pytest.importorskip("opensim")

from osim_exo.models.convert import (  # noqa: E402
    ConvertOptions,
    convert,
    read_path_ranges,
    report_path,
)
from tests.models import leg as legs  # noqa: E402

FAST = {"samples": 200}


def bare(model):
    for component in model.getComponentsList():
        force = osim.Force.safeDownCast(component)
        if force is not None:
            force.set_appliesForce(False)
    return model


def accelerations(model, values, speeds):
    """Coordinate accelerations of a model at values and speeds by coordinate name."""
    state = model.initSystem()
    listed = model.getCoordinateSet()
    for i in range(listed.getSize()):
        coordinate = listed.get(i)
        if coordinate.getName() in values and not coordinate.getLocked(state):
            coordinate.setValue(state, values[coordinate.getName()], False)
            coordinate.setSpeedValue(state, speeds[coordinate.getName()])
    model.realizeAcceleration(state)
    found = (listed.get(i) for i in range(listed.getSize()))
    return {c.getName(): c.getAccelerationValue(state) for c in found}


def random_motion(seed):
    """A motion of the leg that its coupler and locks allow."""
    rng = np.random.default_rng(seed)
    free = ("pelvis_tilt", "pelvis_tx", "pelvis_ty", "hip_adduction", "hip_rotation", "knee_angle")
    values = {n: rng.uniform(-0.4, 0.4) for n in (*free, "ankle_angle")}
    speeds = {n: rng.uniform(-2.0, 2.0) for n in values}
    values["knee_beta"] = 0.6 * values["knee_angle"] + 0.1
    speeds["knee_beta"] = 0.6 * speeds["knee_angle"]
    return values, speeds


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("leg")
    source = legs.save(legs.leg(), folder / "leg.osim")
    out = folder / "new" / "ready.osim"
    return source, out, convert(source, out, ConvertOptions(**FAST))


def test_a_locked_joint_is_welded_where_it_was_locked_and_the_motion_is_the_same(converted):
    source, out, result = converted
    assert result.changes["joints welded"] == ["mtp"]
    model = osim.Model(str(out))
    assert model.getJointSet().get("mtp").getConcreteClassName() == "WeldJoint"
    for seed in range(3):
        values, speeds = random_motion(seed)
        expected = accelerations(bare(osim.Model(str(source))), values, speeds)
        found = accelerations(bare(osim.Model(str(out))), values, speeds)
        assert "mtp_angle" not in found
        for name, one in found.items():
            assert one == pytest.approx(expected[name], rel=1e-9, abs=1e-9), name
    assert result.acceleration_error < 1e-9


def test_actuators_on_welded_coordinates_go_and_others_stay(converted):
    _, out, result = converted
    listed = result.changes["forces on held coordinates dropped"]
    assert listed == ["CoordinateActuator drive_mtp_angle"]
    model = osim.Model(str(out))
    forces = model.getForceSet()
    assert forces.getIndex("drive_mtp_angle") == -1
    assert forces.getIndex("drive_ankle_angle") >= 0


def test_muscles_give_the_forces_of_opensim_s_own_replacement(converted):
    source, _, result = converted
    assert result.replaced == {
        "wrapped": "Millard2012EquilibriumMuscle",
        "kneecap": "Thelen2003Muscle",
        "calf": "Millard2012EquilibriumMuscle",
    }
    ours = convert(source, None, ConvertOptions(paths="geometry", **FAST)).xml
    processor = osim.ModelProcessor(osim.Model(str(source)))
    processor.append(osim.ModOpIgnoreTendonCompliance())
    processor.append(osim.ModOpReplaceMusclesWithDeGrooteFregly2016())
    reference = processor.process()
    path = source.parent / "ours.osim"
    path.write_text(ours, encoding="utf-8")
    values, speeds = random_motion(5)
    forces = []
    for model in (osim.Model(str(path)), reference):
        state = model.initSystem()
        for name, one in values.items():
            model.getCoordinateSet().get(name).setValue(state, one, False)
            model.getCoordinateSet().get(name).setSpeedValue(state, speeds[name])
        muscles = [model.getMuscles().get(n) for n in result.replaced]
        for muscle in muscles:
            muscle.setActivation(state, 0.6)
        model.realizeDynamics(state)
        forces.append([m.getTendonForce(state) for m in muscles])
    np.testing.assert_allclose(forces[0], forces[1], rtol=1e-9)


def test_the_change_of_force_is_measured_and_small_for_ordinary_muscles(converted):
    for change in converted[2].forces:
        assert change.n >= 40
        assert 0.001 < change.median < 0.06 < change.mean_force
        assert change.median < change.p95 < 0.3


def test_compliant_tendons_are_kept_on_request(converted):
    made = convert(converted[0], None, ConvertOptions(tendon="compliant", paths="geometry", **FAST))
    assert "<ignore_tendon_compliance>true" not in made.xml
    assert "<ignore_tendon_compliance>true" in converted[2].xml


def test_a_stock_opensim_opens_the_result_without_a_word(converted):
    code = (
        "import sys, opensim as o; o.Logger.removeFileSink(); o.Logger.setLevelString('warn');"
        "m = o.Model(sys.argv[1]); m.initSystem(); print(m.getMuscles().getSize())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(converted[1])], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "3" and done.stderr == ""


def test_the_report_beside_the_model_holds_ranges_and_errors(converted):
    _, out, result = converted
    assert report_path(out).name == "ready.convert.json"
    content = read_json(report_path(out))
    assert content == result.to_dict()
    low, high = read_path_ranges(out)["wrapped"]["knee_angle"]
    assert (low, high) == pytest.approx((0.2, 1.8))
    assert set(content["fibre_length_range"]) == set(result.replaced)


def test_converting_the_result_again_changes_nothing_and_keeps_the_ranges(converted, tmp_path):
    again = convert(converted[1], tmp_path / "again.osim", ConvertOptions(**FAST))
    assert again.changes == {} and again.replaced == {} and again.fits == []
    assert read_path_ranges(tmp_path / "again.osim") == read_path_ranges(converted[1])
    third = convert(tmp_path / "again.osim", None, ConvertOptions(**FAST))
    assert third.xml == again.xml


def test_a_model_without_a_report_has_no_ranges_and_a_foreign_report_is_refused(tmp_path):
    assert read_path_ranges(tmp_path / "none.osim") == {}
    (tmp_path / "odd.convert.json").write_text('{"schema_version": 99}', encoding="utf-8")
    with pytest.raises(DataError, match="not a conversion report of version 1"):
        read_path_ranges(tmp_path / "odd.osim")


def test_welding_by_name_takes_the_coupled_joint_along(tmp_path):
    source = legs.save(legs.leg(), tmp_path / "leg.osim")
    result = convert(source, None, ConvertOptions(weld=("knee",), **FAST))
    assert set(result.changes["joints welded"]) == {"knee", "cap", "mtp"}
    path = tmp_path / "welded.osim"
    path.write_text(result.xml, encoding="utf-8")
    model = osim.Model(str(path))
    state = model.initSystem()
    assert model.getConstraintSet().getSize() == 0
    frames = [model.getBodySet().get(n) for n in ("patella", "thigh")]
    turned = frames[0].findTransformBetween(state, frames[1])
    # knee at its default 0.5 rad, so the patella stands at 0.6 * 0.5 + 0.1
    assert turned.R().convertRotationToBodyFixedXYZ().get(2) == pytest.approx(0.4, abs=1e-12)


def test_toes_and_arms_are_welded_by_how_their_names_begin(tmp_path):
    source = legs.save(legs.leg(toes_locked=False), tmp_path / "leg.osim")
    assert "joints welded" not in convert(source, None, ConvertOptions(**FAST)).changes
    result = convert(source, None, ConvertOptions(weld_toes=True, **FAST))
    assert result.changes["joints welded"] == ["mtp"]
    with pytest.raises(InputError, match="begins with acromial.*it has: base, hip, knee"):
        convert(source, None, ConvertOptions(weld_arms=True, **FAST))


@pytest.mark.parametrize("kind", ["UniversalJoint", "GimbalJoint", "PlanarJoint"])
def test_one_locked_coordinate_of_a_joint_becomes_a_constant(tmp_path, kind):
    legs.quiet()
    model = osim.Model()
    one, two = legs.body(model, "one"), legs.body(model, "two")
    first = osim.PinJoint("first", model.getGround(), one)
    place = osim.Vec3(0.1, -0.2, 0.05)
    turn = osim.Vec3(0.2, 0.1, -0.3)
    second = getattr(osim, kind)("second", one, place, turn, two, legs.ZERO, legs.ZERO)
    n = second.numCoordinates()
    for k in range(n):
        legs.coordinate(second, k, f"c{k}", -2.0, 2.0, 0.3, locked=k == n - 1)
    model.addJoint(first)
    model.addJoint(second)
    source = legs.save(model, tmp_path / "two.osim")
    result = convert(source, tmp_path / "done.osim")
    assert result.changes["coordinates made constant"] == [f"c{n - 1}"]
    rng = np.random.default_rng(2)
    names = ["first_coord_0", *(f"c{k}" for k in range(n - 1))]
    values = {name: rng.uniform(-0.6, 0.6) for name in names}
    speeds = {name: rng.uniform(-3.0, 3.0) for name in names}
    expected = accelerations(osim.Model(str(source)), values, speeds)
    found = accelerations(osim.Model(str(tmp_path / "done.osim")), values, speeds)
    assert set(found) == set(names)
    for name in names:
        assert found[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-9)


def test_a_half_locked_free_joint_is_refused_with_what_to_do(tmp_path):
    legs.quiet()
    model = osim.Model()
    free = osim.FreeJoint("free", model.getGround(), legs.body(model, "one"))
    free.upd_coordinates(3).set_locked(True)
    model.addJoint(free)
    source = legs.save(model, tmp_path / "free.osim")
    with pytest.raises(ModelError, match="'free' .FreeJoint.*Lock all of them"):
        convert(source)


def test_a_coordinate_prescribed_as_a_constant_is_welded_and_by_a_function_refused(tmp_path):
    for function, welded in ((osim.Constant(0.25), True), (osim.LinearFunction(1.0, 0.0), False)):
        model = legs.leg(toes_locked=False)
        ankle = model.getCoordinateSet().get("ankle_angle")
        ankle.setPrescribedFunction(function)
        ankle.set_prescribed(True)
        source = legs.save(model, tmp_path / "prescribed.osim")
        if welded:
            result = convert(source, None, ConvertOptions(**FAST))
            assert result.changes["joints welded"] == ["ankle"]
        else:
            with pytest.raises(ModelError, match="'ankle_angle'.*prescribed by a function of time"):
                convert(source)


def test_points_that_follow_a_welded_coordinate_stay_where_they_were(tmp_path):
    model = legs.leg()
    muscle = model.getMuscles().get("calf")
    path = muscle.updGeometryPath()
    toes, mtp = model.getBodySet().get("toes"), model.getCoordinateSet().get("mtp_angle")
    moving = osim.MovingPathPoint()
    moving.setName("sliding")
    moving.setParentFrame(toes)
    for axis, slope in (("X", 0.1), ("Y", 0.05), ("Z", 0.0)):
        getattr(moving, f"set{axis}Coordinate")(mtp)
        getattr(moving, f"set_{axis.lower()}_location")(osim.LinearFunction(slope, 0.02))
    path.updPathPointSet().adoptAndAppend(moving)
    for name, low in (("there", 0.0), ("away", 0.4)):
        point = osim.ConditionalPathPoint()
        point.setName(name)
        point.setParentFrame(toes)
        point.setLocation(osim.Vec3(0.03, 0.0, 0.01))
        point.setCoordinate(mtp)
        point.setRangeMin(low)
        point.setRangeMax(0.5)
        path.updPathPointSet().adoptAndAppend(point)
    source = legs.save(model, tmp_path / "points.osim")
    result = convert(source, tmp_path / "done.osim", ConvertOptions(**FAST))
    assert result.changes["path points settled"] == ["sliding", "there", "away"]
    lengths = []
    for file in (source, tmp_path / "done.osim"):
        loaded = osim.Model(str(file))
        state = loaded.initSystem()
        lengths.append(loaded.getMuscles().get("calf").getLength(state))
    assert lengths[0] == pytest.approx(lengths[1], abs=1e-12)
    assert "sliding" in result.xml and "MovingPathPoint" not in result.xml


def test_forces_among_the_components_move_into_the_force_set_with_their_effect(tmp_path):
    model = legs.leg()
    muscle = model.getMuscles().get("calf").clone()
    model.updForceSet().remove(model.getForceSet().getIndex("calf"))
    model.addComponent(muscle)
    source = legs.save(model, tmp_path / "loose.osim")
    assert osim.Model(str(source)).getMuscles().getSize() == 2
    result = convert(source, tmp_path / "done.osim", ConvertOptions(**FAST))
    assert result.changes["moved into the ForceSet"] == ["calf"]
    assert osim.Model(str(tmp_path / "done.osim")).getMuscles().getSize() == 3


def test_controllers_probes_and_disabled_forces_go_and_are_listed(tmp_path):
    model = legs.leg()
    controller = osim.PrescribedController()
    controller.setName("brain")
    model.addController(controller)
    probe = osim.Umberger2010MuscleMetabolicsProbe()
    probe.setName("metabolics")
    model.addProbe(probe)
    model.getMuscles().get("calf").set_appliesForce(False)
    result = convert(legs.save(model, tmp_path / "full.osim"), None, ConvertOptions(**FAST))
    assert result.changes["controllers and probes removed"] == [
        "PrescribedController brain",
        "Umberger2010MuscleMetabolicsProbe metabolics",
    ]
    assert result.changes["disabled, dropped"] == ["Millard2012EquilibriumMuscle calf"]
    for gone in ("brain", "metabolics", "calf"):
        assert f'name="{gone}"' not in result.xml


def contact_model(force):
    """A ball over the ground with one contact force."""
    legs.quiet()
    model = osim.Model()
    ball = osim.Body("ball", 2.0, legs.ZERO, osim.Inertia(0.01))
    model.addBody(ball)
    model.addJoint(osim.FreeJoint("free", model.getGround(), ball))
    floor = osim.ContactHalfSpace(legs.ZERO, osim.Vec3(0, 0, -np.pi / 2), model.getGround())
    floor.setName("floor")
    sphere = osim.ContactSphere(0.05, legs.ZERO, ball)
    sphere.setName("sphere")
    model.addContactGeometry(floor)
    model.addContactGeometry(sphere)
    model.addForce(force)
    return model


@pytest.mark.parametrize("softer_floor", [1.0, 0.2])
def test_a_smooth_sphere_pushes_like_the_hunt_crossley_one_but_for_opensim_s_smoothing(
    tmp_path, softer_floor
):
    force = osim.HuntCrossleyForce()
    force.setName("touch")
    force.addGeometry("sphere floor")
    force.setStiffness(4e6)
    force.setDissipation(1.0)
    force.setStaticFriction(0.8)
    force.setDynamicFriction(0.6)
    force.setViscousFriction(0.1)
    source = legs.save(contact_model(force), tmp_path / "ball.osim")
    text = source.read_text(encoding="utf-8")
    tag = "HuntCrossleyForce::ContactParameters"
    start, end = text.index(f"<{tag}>"), text.index(f"</{tag}>") + len(f"</{tag}>")
    one = text[start:end].replace("sphere floor", "sphere")
    other = text[start:end].replace("sphere floor", "floor")
    other = other.replace("4000000", f"{4e6 * softer_floor:.0f}")
    other = other.replace("<dissipation>1<", "<dissipation>2<")
    source.write_text(text[:start] + one + other + text[end:], encoding="utf-8")
    with pytest.raises(ModelError, match="'touch' is a HuntCrossleyForce .--contact smooth"):
        convert(source)
    result = convert(source, tmp_path / "done.osim", ConvertOptions(contact="smooth"))
    assert result.changes["contacts made smooth"] == ["touch"]
    accelerations = []
    for file in (source, tmp_path / "done.osim"):
        model = osim.Model(str(file))
        state = model.initSystem()
        joint = osim.FreeJoint.safeDownCast(model.getJointSet().get(0))
        joint.getCoordinate(osim.FreeJoint.Coord_TranslationY).setValue(state, 0.045)
        joint.getCoordinate(osim.FreeJoint.Coord_TranslationY).setSpeedValue(state, -0.1)
        joint.getCoordinate(osim.FreeJoint.Coord_TranslationX).setSpeedValue(state, 1.0)
        model.realizeAcceleration(state)
        accelerations.append([joint.get_coordinates(k).getAccelerationValue(state) for k in (3, 4)])
    # OpenSim smooths depth as sqrt(x^2 + 1e-5) and blends with tanh(300 x) (Serrancoli et al. 2019)
    depth = 0.005
    factor = (1.0 + 1e-5 / depth**2) ** 0.75 * 0.5 * (1.0 + np.tanh(300.0 * depth))
    forces = np.array(accelerations) + np.array([0.0, 9.80665])
    assert forces[0, 1] > 20.0
    np.testing.assert_allclose(forces[1], factor * forces[0], rtol=1e-4)
    assert "harder" in result.warnings[0]


def test_a_floor_on_a_welded_platform_moves_to_the_ground_and_pushes_the_same(tmp_path):
    legs.quiet()
    model = osim.Model()
    ball = osim.Body("ball", 2.0, legs.ZERO, osim.Inertia(0.01))
    platform = osim.Body("platform", 20.0, legs.ZERO, osim.Inertia(1.0))
    for one in (ball, platform):
        model.addBody(one)
    model.addJoint(osim.FreeJoint("free", model.getGround(), ball))
    tilt = osim.PinJoint(
        "tilt", model.getGround(), osim.Vec3(0.1, 0.2, 0.0), osim.Vec3(0.1, 0.2, 0.1),
        platform, osim.Vec3(0.0, 0.1, 0.0), legs.ZERO,
    )  # fmt: skip
    legs.coordinate(tilt, 0, "tilt_angle", -1.0, 1.0, 0.15, locked=True)
    model.addJoint(tilt)
    turned = osim.Vec3(0.1, 0.2, -1.4)
    floor = osim.ContactHalfSpace(osim.Vec3(0.0, 0.02, 0.0), turned, platform)
    floor.setName("floor")
    sphere = osim.ContactSphere(0.3, legs.ZERO, ball)
    sphere.setName("sphere")
    force = osim.SmoothSphereHalfSpaceForce("touch", sphere, floor)
    force.set_stiffness(1e5)
    for one in (floor, sphere):
        model.addContactGeometry(one)
    model.addForce(force)
    source = legs.save(model, tmp_path / "platform.osim")
    result = convert(source, tmp_path / "done.osim")
    assert result.changes["floors moved to the ground"] == ["floor"]
    found = []
    for file in (source, tmp_path / "done.osim"):
        loaded = osim.Model(str(file))
        state = loaded.initSystem()
        joint = osim.FreeJoint.safeDownCast(loaded.getJointSet().get("free"))
        joint.getCoordinate(osim.FreeJoint.Coord_TranslationY).setValue(state, 0.4)
        loaded.realizeAcceleration(state)
        found.append([joint.get_coordinates(k).getAccelerationValue(state) for k in range(6)])
    assert np.linalg.norm(np.array(found[0]) - [0, 0, 0, 0, -9.80665, 0]) > 1.0
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-9)


def test_what_cannot_be_compiled_is_named_and_can_be_dropped(tmp_path):
    model = legs.leg()
    push = osim.PointActuator("pelvis")
    push.setName("push")
    model.addForce(push)
    weld = osim.WeldConstraint()
    weld.setName("held")
    weld.connectSocket_frame1(model.getGround())
    weld.connectSocket_frame2(model.getBodySet().get("pelvis"))
    model.addConstraint(weld)
    source = legs.save(model, tmp_path / "more.osim")
    with pytest.raises(ModelError) as refused:
        convert(source)
    text = str(refused.value)
    assert "'push' is a PointActuator (leave it out with --drop push)" in text
    assert "'held' is a WeldConstraint" in text and "CoordinateCouplerConstraint" in text
    result = convert(source, None, ConvertOptions(drop=("PointActuator", "held"), **FAST))
    assert result.changes["dropped on request"] == ["PointActuator push", "WeldConstraint held"]


def test_forces_of_further_files_are_added(tmp_path):
    source = legs.save(legs.leg(), tmp_path / "leg.osim")
    ankle = osim.SpringGeneralizedForce("ankle_angle")
    ankle.setName("boot")
    ankle.setStiffness(20.0)
    forces = osim.ForceSet()
    forces.cloneAndAppend(ankle)
    forces.printToXML(str(tmp_path / "forces.xml"))
    options = ConvertOptions(add=(str(tmp_path / "forces.xml"),), **FAST)
    result = convert(source, tmp_path / "done.osim", options)
    assert result.changes["added"] == ["boot"]
    assert osim.Model(str(tmp_path / "done.osim")).getForceSet().getIndex("boot") >= 0
    (tmp_path / "odd.xml").write_text("<OpenSimDocument><Set/></OpenSimDocument>")
    for name, says in (("absent.xml", "There is no file"), ("odd.xml", "holds Set; allowed")):
        with pytest.raises(InputError, match=says):
            convert(source, None, ConvertOptions(add=(str(tmp_path / name),)))


def refuse(source, out, says, **options):
    with pytest.raises(InputError, match=says):
        convert(source, out, ConvertOptions(**options))


def test_bad_input_is_refused_in_words_and_nothing_is_written(tmp_path):
    source = legs.save(legs.leg(), tmp_path / "leg.osim")
    before = source.read_bytes()
    refuse(tmp_path / "absent.osim", None, "There is no model file")
    refuse(source, source, "the input itself, which is never overwritten")
    refuse(source, tmp_path / "out.txt", "must be named .osim")
    refuse(source, source / "out.osim", "cannot be used")
    (tmp_path / "folder.osim").mkdir()
    refuse(source, tmp_path / "folder.osim", "is a folder")
    (tmp_path / "mine.osim").write_text("hand-made")
    refuse(source, tmp_path / "mine.osim", "was not made by a conversion")
    refuse(source, None, "'hips'.*It has: base, hip, knee", weld=("hips",))
    refuse(source, None, "names knee_l, which.*pelvis_tilt", ranges={"knee_l": (0, 1)})
    refuse(source, None, "'spring', which is no force.*Classes there", drop=("spring",))
    refuse(source, None, "only some|others of them are free", weld=("cap",))
    for text in ("<OpenSimDocument><Model>", "no xml", ""):
        (tmp_path / "broken.osim").write_text(text)
        refuse(tmp_path / "broken.osim", None, "cannot be read as an OpenSim model")
    with pytest.raises(InputError, match="low must be below"):
        ConvertOptions(ranges={"knee_angle": (30.0, 10.0)})
    assert source.read_bytes() == before
    assert (tmp_path / "mine.osim").read_text() == "hand-made"
    assert not list(tmp_path.glob("*.convert.json"))


def test_the_command_converts_prints_the_table_and_gives_exit_codes(tmp_path, capsys):
    source = legs.save(legs.leg(), tmp_path / "leg.osim")
    out = tmp_path / "ready.osim"
    words = ["models", "convert", str(source), str(out), "--samples", "200"]
    assert main([*words, "--range", "knee_angle=20:80"]) == 0
    printed = capsys.readouterr().out
    for line in ("joints welded", "muscle force change", "moment arm error", "ready.convert.json"):
        assert line in printed
    assert read_path_ranges(out)["wrapped"]["knee_angle"] == pytest.approx(np.radians((20, 80)))
    assert main([*words, "--json", str(tmp_path / "report.json")]) == 0
    assert read_json(tmp_path / "report.json")["source"] == "leg.osim"
    assert main([*words, "--range", "knee_angle"]) == 2
    assert "NAME=LOW:HIGH" in capsys.readouterr().err
    assert main([*words, "--weld", "nose"]) == 2
    assert main(["models", "convert", str(tmp_path / "absent.osim"), str(out)]) == 2
    assert "There is no model file" in capsys.readouterr().err


def test_the_shipped_model_converts_to_one_with_the_same_motion(tmp_path):
    from osim_exo.models import shipped_path

    result = convert(shipped_path("gait2d"), tmp_path / "same.osim")
    assert result.replaced == {} and result.fits == [] and result.acceleration_error < 1e-9
    assert Path(tmp_path / "same.osim").is_file()


def test_every_option_that_the_page_names_exists_and_every_option_is_named(capsys):
    import re

    page = (Path(__file__).resolve().parents[2] / "docs" / "convert.md").read_text(encoding="utf-8")
    assert main(["models", "convert", "--help"]) == 0
    options = set(re.findall(r"(--[a-z][a-z-]+)", capsys.readouterr().out))
    named = set(re.findall(r"(--[a-z][a-z-]+)", page))
    assert named <= options
    assert options - named <= {"--help", "--json", "--samples"}
