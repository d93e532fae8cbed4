from typing import Any

import numpy as np
import opensim as osim

from osim_exo.compiler.equations.bushing import apply_bushing
from osim_exo.compiler.equations.passive import apply_passive_force
from osim_exo.compiler.spec import Bushing
from osim_exo.compiler.symbols.expression import Expr, derivatives
from osim_exo.trial import Array
from tests.compiler.bench_model import BenchModel, relative_error
from tests.compiler.test_contact import six_axes


def bushing_model(to_ground: bool = False) -> osim.Model:
    """Two free blocks, the second carrying a welded plate, held together by a bushing."""
    model = osim.Model()
    blocks = []
    for i in range(2):
        block = osim.Body(f"block{i}", 2.0, osim.Vec3(0), osim.Inertia(0.2))
        model.addBody(block)
        axes = six_axes()
        for kind in ("rotation", "translation"):
            for k in (1, 2, 3):
                axis = getattr(axes, f"upd_{kind}{k}")()
                axis.setCoordinateNames(osim.ArrayStr(f"{kind[0]}{k}_{i}", 1))
        model.addJoint(osim.CustomJoint(f"six{i}", model.getGround(), block, axes))
        blocks.append(block)
    plate = osim.Body("plate", 0.3, osim.Vec3(0), osim.Inertia(0.01))
    model.addBody(plate)
    model.addJoint(
        osim.WeldJoint(
            "weld", blocks[1], osim.Vec3(0.1, 0, 0.2), osim.Vec3(0.2, 0, 0), plate,
            osim.Vec3(0), osim.Vec3(0),
        )
    )  # fmt: skip
    first: Any = model.getGround() if to_ground else blocks[0]
    force = osim.BushingForce(
        "bushing",
        first,
        osim.Transform(osim.Rotation(0.3, osim.CoordinateAxis(1)), osim.Vec3(0.1, 0.2, -0.1)),
        plate,
        osim.Transform(osim.Rotation(-0.2, osim.CoordinateAxis(0)), osim.Vec3(-0.05, 0.1, 0.0)),
        osim.Vec3(1000, 1500, 800),
        osim.Vec3(30, 40, 50),
        osim.Vec3(10, 20, 30),
        osim.Vec3(1, 2, 3),
    )
    model.addForce(force)
    model.finalizeConnections()
    return model


def states(n: int, seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {"q": rng.uniform(-0.6, 0.6, (n, 12)), "u": rng.normal(0, 2, (n, 12))}


def own(bench: BenchModel) -> Bushing:
    (force,) = bench.spec.forces
    assert isinstance(force, Bushing)
    return force


def test_record_and_generalised_forces_equal_opensims() -> None:
    for to_ground in (False, True):
        bench = BenchModel(bushing_model(to_ground))
        record = apply_passive_force(own(bench), bench.mechanics, bench.loads)
        inputs = states(25, 1)
        outputs = {"record": record, "f": [bench.generalised(k) for k in range(12)]}
        found = bench.run(outputs, **inputs)
        force = bench.model.getForceSet().get(0)
        records, forces = [], []
        for q, u in zip(inputs["q"], inputs["u"]):
            forces.append(bench.forces_in_opensim(q, u))
            values = force.getRecordValues(bench.set(q, u))
            records.append([values.get(i) for i in range(12)])
        assert relative_error(found["record"], records) < 1e-10
        assert relative_error(found["f"], forces) < 1e-9


def test_the_damping_is_the_exact_derivative_by_the_speeds() -> None:
    bench = BenchModel(bushing_model())
    apply_bushing(own(bench), bench.mechanics, bench.loads)
    matrix: Any = np.zeros((12, 12), dtype=object)
    for part in bench.loads.muscles:
        for i, a in part.gradient.items():
            for j, b in part.gradient.items():
                matrix[i, j] = matrix[i, j] + part.damping * a * b
    forces: list[Expr] = [bench.generalised(k) for k in range(12)]
    slopes = [derivatives(forces, u) for u in bench.mechanics.u]
    outputs = {"d": matrix.ravel(), "s": [-slopes[j][i] for i in range(12) for j in range(12)]}
    found = bench.run(outputs, **states(10, 2))
    assert np.abs(found["d"]).max() > 1.0
    assert np.abs(found["d"] - found["s"]).max() < 1e-11 * np.abs(found["s"]).max()


def test_the_rate_is_the_derivative_of_the_deflection() -> None:
    bench = BenchModel(bushing_model())
    state = apply_bushing(own(bench), bench.mechanics, bench.loads)
    inputs, h = states(10, 3), 1e-6
    found = bench.run({"r": state.rate}, **inputs)["r"]
    up, down = (
        bench.run({"d": state.deflection}, q=inputs["q"] + s * h * inputs["u"], u=inputs["u"])["d"]
        for s in (1, -1)
    )
    assert np.abs(found - (up - down) / (2 * h)).max() < 1e-7


def test_a_bushing_at_rest_exerts_nothing() -> None:
    bench = BenchModel(bushing_model())
    state = apply_bushing(own(bench), bench.mechanics, bench.loads)
    energy: Expr = 0.0
    stiffness = own(bench).rotational_stiffness + own(bench).translational_stiffness
    for k, x in zip(stiffness, state.deflection):
        energy = energy + 0.5 * k * x * x
    slope = [derivatives([energy], q)[0] for q in bench.mechanics.q]
    outputs = {"e": slope, "f": [bench.generalised(k) for k in range(12)]}
    inputs = states(10, 4)
    found = bench.run(outputs, q=inputs["q"], u=0 * inputs["u"])
    assert np.abs(found["f"] + found["e"]).max() < 1e-10 * np.abs(found["f"]).max()
