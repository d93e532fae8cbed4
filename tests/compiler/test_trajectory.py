"""Steps of the compiled model against OpenSim's integrator, and against their own definition."""

import numpy as np
import pytest

from osim_exo.errors import InputError

pytest.importorskip("opensim")

from osim_exo.compiler.equations.model import Equations
from osim_exo.compiler.proof.oracle import Oracle
from osim_exo.compiler.proof.sampling import plausible
from osim_exo.compiler.proof.trajectory import error_growth
from osim_exo.compiler.reading.model import model_and_spec


@pytest.mark.parametrize(("scheme", "most"), [("midpoint", 0.004), ("implicit", 0.02)])
def test_motion_follows_opensims_integrator_and_errors_shrink_with_the_step(scheme, most):
    fine, coarse = error_growth("gait2d", n=3, seed=2, steps=(0.001, 0.002), scheme=scheme)
    assert max(coarse.median) < most
    for half, whole in zip(fine.median, coarse.median):
        assert 0.2 < half / whole < 0.65


def test_a_step_that_does_not_fill_ten_milliseconds_is_refused():
    with pytest.raises(InputError, match="multiple"):
        error_growth("gait2d", n=1, steps=(0.003,))


@pytest.fixture(scope="module")
def resting():
    """Equations and a state with contact at which the body all but rests: no gyroscopic terms."""
    model, spec = model_and_spec("gait2d")
    states = plausible(Oracle(model, spec), 2, seed=0)
    equations = Equations(spec)
    x = np.zeros(equations.layout.n_state)
    for part in ("coordinates", "speeds", "activations"):
        x[equations.layout[part]] = getattr(states, part)[0]
    x[equations.layout["speeds"]] *= 1e-3
    return equations, x, np.concatenate([states.excitations[0], states.controls[0]])


@pytest.mark.parametrize(("scheme", "tolerance"), [("exact_damping", 1e-5), ("implicit", 1e-2)])
def test_a_step_solves_the_equations_linearised_in_the_speeds(resting, scheme, tolerance):
    equations, x, controls = resting
    speeds = equations.layout["speeds"]
    n, h = speeds.stop - speeds.start, 0.002

    def run(program, rows):
        count = len(rows)
        parameters = np.tile(equations.table.default, (count, 1))
        parameters[:, equations.table["time_step"].slice] = h
        return program(
            state=rows,
            controls=np.tile(controls, (count, 1)),
            drive=np.zeros((count, 0)),
            parameters=parameters,
        )

    rates = equations.rates_program()
    shifts = 1e-5 * np.eye(len(x))[speeds]
    answer = run(rates, x + shifts)["speeds"] - run(rates, x - shifts)["speeds"]
    jacobian = answer.T / 2e-5
    now = run(rates, x[None])["speeds"][0]
    expected = np.linalg.solve(np.eye(n) - h * jacobian, h * now)
    step = run(equations.step_program(scheme), x[None])["next"][0][speeds] - x[speeds]
    assert np.abs(step - expected).max() < tolerance * np.abs(expected).max()
