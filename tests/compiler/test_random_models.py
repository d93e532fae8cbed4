"""Random small models with everything that compiles: the compiled model is OpenSim's."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osim_exo.models.recipe import load_opensim
from tests.compiler.generated import Builder, random_plan
from tests.compiler.generated_bodies import CONSTRAINTS, FORCES, JOINTS, MUSCLES, Plan

STATES = 12

pytest.importorskip("opensim")


@st.composite
def plans(draw):
    """Chains and trees of one to five bodies."""
    joints = draw(st.lists(st.sampled_from(JOINTS), min_size=1, max_size=5))
    parents = [-1, *(draw(st.integers(-1, i - 1)) for i in range(1, len(joints)))]
    several = {
        "muscles": (MUSCLES, 3),
        "forces": (FORCES, 4),
        "constraints": (CONSTRAINTS, 2),
    }
    parts = {
        name: tuple(draw(st.lists(st.sampled_from(options), max_size=most)))
        for name, (options, most) in several.items()
    }
    seed = draw(st.integers(0, 2**31 - 1))
    return Plan(joints=tuple(joints), parents=tuple(parents), seed=seed, **parts)


def assert_compiled_is_opensim(plan, backend="numpy"):
    from osim_exo.compiler.proof.verify import verify

    model = Builder(load_opensim(), plan).build()
    found = verify(model, STATES, seed=plan.seed % 1000, backend=backend, tails=True)
    worst = {name: found.quantities[name] for name in found.failed}
    assert found.passed, worst


@given(plans())
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_compiled_is_opensim_for_random_models(plan):
    assert_compiled_is_opensim(plan)


@pytest.mark.parametrize("joint", JOINTS)
def test_compiled_is_opensim_for_every_joint_between_moving_bodies(joint):
    for seed in range(3):
        assert_compiled_is_opensim(Plan(("free", joint, "pin"), (-1, 0, 1), seed=seed))


@pytest.mark.parametrize("force", FORCES)
def test_compiled_is_opensim_for_every_force(force):
    assert_compiled_is_opensim(Plan(("planar", "custom2"), (-1, 0), forces=(force, force), seed=4))


@pytest.mark.parametrize("muscle", MUSCLES)
def test_compiled_is_opensim_for_every_muscle(muscle):
    plan = Plan(("universal", "custom2", "ball"), (-1, 0, 1), muscles=(muscle,) * 3, seed=5)
    assert_compiled_is_opensim(plan)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_compiled_is_opensim_with_every_constraint(constraint):
    plan = Plan(
        ("planar", "gimbal", "custom3"),
        (-1, 0, 1),
        muscles=("points", "polynomial"),
        constraints=(constraint, constraint),
        seed=6,
    )
    assert_compiled_is_opensim(plan)


def test_machine_code_is_opensim_for_a_random_model():
    plan = Plan(
        ("planar", "custom2", "ball"),
        (-1, 0, 1),
        muscles=("points", "compliant"),
        forces=("contact", "limit", "bushing"),
        constraints=("coupler",),
        seed=7,
    )
    assert_compiled_is_opensim(plan, backend="llvm")


@pytest.mark.slow
def test_compiled_is_opensim_for_four_hundred_random_models():
    for seed in range(400):
        assert_compiled_is_opensim(random_plan(seed))
