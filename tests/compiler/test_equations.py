"""Motion of small models against analytic cases and differences."""

import numpy as np
import pytest

from osim_exo.compiler import spec
from osim_exo.compiler.equations.model import Equations
from osim_exo.compiler.equations.options import Imu, Options
from osim_exo.errors import InputError, ModelError
from tests.compiler import specs

G = 9.81


def inputs(equations, coordinates, speeds=None, controls=None, **parameters):
    """Inputs of a program for (n, n_coordinate) coordinates."""
    q = np.atleast_2d(np.asarray(coordinates, dtype=float))
    n, layout = len(q), equations.layout
    state = np.zeros((n, layout.n_state))
    state[:, layout["coordinates"]] = q
    state[:, layout["speeds"]] = 0.0 if speeds is None else speeds
    table = np.tile(equations.table.default, (n, 1))
    for name, value in parameters.items():
        table[:, equations.table[name].slice] = value
    return {
        "state": state,
        "controls": np.zeros((n, layout.n_control)) if controls is None else controls,
        "drive": np.zeros((n, len(layout.exo))),
        "parameters": table,
    }


def accelerations(equations, coordinates, speeds=None, **parameters):
    return equations.rates_program()(**inputs(equations, coordinates, speeds, **parameters))[
        "speeds"
    ]


def test_a_pendulum_swings_as_the_textbook_says():
    equations = Equations(specs.pendulum(mass=2.0, length=0.7, inertia_zz=0.05))
    angle = np.array([[0.3], [-1.2], [2.5]])
    expected = -2.0 * G * 0.7 * np.sin(angle) / (0.05 + 2.0 * 0.7**2)
    np.testing.assert_allclose(accelerations(equations, angle), expected, rtol=1e-14)


def test_a_free_body_falls_and_spins_by_eulers_equations():
    brick = specs.body("brick", mass=3.0)
    names = ["a", "b", "c", "x", "y", "z"]
    equations = Equations(
        specs.model([brick], [specs.joint("free", "free", "ground", "brick", names)])
    )
    w = np.array([1.0, -2.0, 3.0])
    found = accelerations(equations, np.zeros(6), [[*w, 0.4, 0.5, 0.6]])[0]
    inertia = np.diag([0.1, 0.2, 0.3])
    spin = np.linalg.solve(inertia, -np.cross(w, inertia @ w))
    np.testing.assert_allclose(found, [*spin, 0.0, -G, 0.0], rtol=1e-13, atol=1e-14)


def test_a_double_pendulum_keeps_its_energy_while_it_steps_finely():
    rods = [specs.body(n, 1.0, (0.0, -0.5, 0.0)) for n in ("upper", "lower")]
    pins = [
        specs.joint("top", "pin", "ground", "upper", ["first"]),
        specs.joint("mid", "pin", "upper", "lower", ["second"], at=(0.0, -1.0, 0.0)),
    ]
    equations = Equations(specs.model(rods, pins))
    step, energy = (
        equations.step_program(),
        equations.output_program(["kinetic_energy", "potential_energy"]),
    )
    given = inputs(equations, [[1.5, 0.4]], time_step=1e-4)
    history = []
    for _ in range(3000):
        given["state"] = step(**given)["next"]
        found = energy(**given)
        history.append([found["kinetic_energy"][0, 0], found["potential_energy"][0, 0]])
    kinetic, potential = np.array(history).T
    assert kinetic.max() > 5.0
    assert np.ptp(kinetic + potential) < 2e-3 * kinetic.max()


@pytest.mark.parametrize("scheme", ["implicit", "exact_damping"])
def test_a_damper_too_stiff_for_an_explicit_step_only_stops(scheme):
    spring = spec.SpringForce(
        name="damper", coordinate="angle", stiffness=0.0, rest=0.0, viscosity=1e4
    )
    still = specs.pendulum(gravity=(0.0, 0.0, 0.0), forces=(spring,))
    equations = Equations(still)
    given = inputs(equations, [[0.2]], [[1.0]], time_step=0.005)
    new = equations.step_program(scheme)(**given)["next"][0]
    inertia = 0.05 + 2.0 * 0.7**2
    assert new[1] == pytest.approx(1.0 / (1.0 + 0.005 * 1e4 / inertia), rel=1e-12)
    assert new[0] == pytest.approx(0.2 + 0.005 * new[1], rel=1e-12)
    explicit = equations.step_program("explicit")(**given)["next"][0]
    assert explicit[1] < -10.0


def test_exact_bias_is_the_derivative_of_the_velocity_and_simbodys_is_not():
    shank = specs.body("shank", 1.0, (0.1, -0.2, 0.05))
    knee = specs.model([shank], [specs.shared_rotation_joint()], gravity=(0.0, 0.0, 0.0))
    imu = Imu(name="shank", frame=spec.Frame(base="/bodyset/shank", translation=(0.1, -0.3, 0.0)))

    def specific_force(simbody_bias):
        equations = Equations(knee, Options(simbody_bias=simbody_bias, imus=(imu,)))
        given = inputs(equations, [[0.4]], [[2.0]])
        rate = equations.rates_program()(**given)["speeds"][0, 0]
        return equations, rate, equations.output_program(["imu"])(**given)["imu"][0]

    equations, rate, exact = specific_force(False)
    # Angular rate and its change along the motion, by differences of the sensor's own rate.
    dt = 1e-5
    output = equations.output_program(["imu", "kinetic_energy"])
    ends = [
        output(**inputs(equations, [[0.4 + s * 2.0 * dt]], [[2.0 + s * rate * dt]]))
        for s in (-1.0, 1.0)
    ]
    energy = [e["kinetic_energy"][0, 0] for e in ends]
    assert (energy[1] - energy[0]) / (2 * dt) == pytest.approx(0.0, abs=1e-7)
    _, quirk_rate, _ = specific_force(True)
    assert abs(quirk_rate - rate) > 1e-3 * abs(rate)
    assert np.isfinite(exact).all()


def test_an_imu_at_rest_feels_minus_gravity_in_its_own_axes():
    imu = Imu(name="rod", frame=spec.Frame(base="/bodyset/rod", translation=(0.0, -0.3, 0.0)))
    heavy = spec.SpringForce(
        name="hold", coordinate="angle", stiffness=0.0, rest=0.0, viscosity=0.0
    )
    equations = Equations(specs.pendulum(forces=(heavy,)), Options(imus=(imu,)))
    found = equations.output_program(["imu"])(**inputs(equations, [[0.0]]))["imu"][0]
    np.testing.assert_allclose(found, [0.0, G, 0.0, 0.0, 0.0, 0.0], atol=1e-13)


def test_a_coupled_coordinate_carries_its_inertia_to_the_one_it_follows():
    wheels = [specs.body(n, 1.0, (0.0, -0.2, 0.0)) for n in ("one", "two")]
    pins = [specs.joint(n, "pin", "ground", n, [f"q_{n}"]) for n in ("one", "two")]
    coupler = spec.Coupler(
        name="gear",
        dependent="q_two",
        independent=("q_one",),
        function=spec.Linear(slopes=(3.0,), intercept=0.0),
    )
    equations = Equations(specs.model(wheels, pins, couplers=(coupler,)))
    found = accelerations(equations, [[0.2, 0.6]])[0]
    inertia = 0.3 + 1.0 * 0.2**2
    moment = -G * 0.2 * (np.sin(0.2) + 3.0 * np.sin(0.6))
    assert found[0] == pytest.approx(moment / (inertia * (1.0 + 9.0)), rel=1e-13)
    assert found[1] == pytest.approx(3.0 * found[0], rel=1e-14)
    stepped = equations.step_program()(**inputs(equations, [[0.2, 0.6]], [[1.0, 3.0]]))["next"][0]
    assert stepped[1] == pytest.approx(3.0 * stepped[0], rel=1e-14)


def test_a_locked_coordinate_is_a_weld():
    locked = specs.coordinate("second", locked=True, default=0.5)
    rods = [specs.body(n, 1.0, (0.0, -0.5, 0.0)) for n in ("upper", "lower")]
    pins = [
        specs.joint("top", "pin", "ground", "upper", ["first"]),
        specs.joint("mid", "pin", "upper", "lower", [locked], at=(0.0, -1.0, 0.0)),
    ]
    equations = Equations(specs.model(rods, pins))
    found = accelerations(equations, [[0.3, 9.0]], [[1.0, 9.0]])[0]
    lower = np.array([0.5 * np.sin(0.5), -1.0 - 0.5 * np.cos(0.5)])
    centre = np.array([0.0, -0.5]) + lower
    inertia = 0.3 + 0.25 + 0.3 + lower @ lower
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    assert found[0] == pytest.approx(-G * (turn @ centre)[0] / inertia, rel=1e-12)
    assert found[1] == 0.0


def test_heavier_segments_are_a_parameter_and_equal_a_model_built_so():
    light, heavy = specs.pendulum(mass=2.0), specs.pendulum(mass=3.0)
    equations = Equations(light)
    scaled = equations.topology.inertia(np.array([1.5]), np.array([1.0]))
    row = scaled[equations.inertia_used]
    found = accelerations(equations, [[0.8]], inertia=row)
    np.testing.assert_allclose(found, accelerations(Equations(heavy), [[0.8]]), rtol=1e-14)


def test_unknown_quantity_scheme_and_loose_bodies_are_told():
    equations = Equations(specs.pendulum())
    with pytest.raises(InputError, match="Unknown quantities colour"):
        equations.output_program(["colour"])
    with pytest.raises(ModelError, match="Unknown scheme 'magic'"):
        equations.step_program("magic")
    loose = specs.model(
        [specs.body("a"), specs.body("b")], [specs.joint("j", "pin", "a", "b", ["q"])]
    )
    with pytest.raises(ModelError, match="hang on no body"):
        Equations(loose)


def test_parameters_out_of_range_or_shape_are_refused():
    table = Equations(specs.pendulum()).table
    assert table.checked("time_step", 0.001, 3).shape == (3, 1)
    for values, words in (
        (1.0, "allowed is 1e-05 to 0.02 s"),
        (np.nan, "given as nan"),
        (np.zeros((2, 2)), "given with shape"),
    ):
        with pytest.raises(InputError, match=words):
            table.checked("time_step", values, 3)
    with pytest.raises(InputError, match="Unknown parameter 'colour'"):
        table.checked("colour", 1.0, 3)
