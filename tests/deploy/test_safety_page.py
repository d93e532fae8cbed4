"""The hazard list names tests that exist, and says what this software is not."""

import ast
import re
from pathlib import Path
from typing import get_args

from osim_exo.deploy.disturbances import What
from osim_exo.deploy.safety import SafetyLimits
from osim_exo.deploy.states import Ramps, State

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")


def test_every_hazard_has_a_cause_a_measure_and_tests_that_exist():
    trees = [ast.parse(p.read_text(encoding="utf-8")) for p in (ROOT / "tests/deploy").glob("*.py")]
    present = {node.name for tree in trees for node in tree.body if hasattr(node, "name")}
    section = PAGE.split("## Hazards")[1].split("## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    for row in rows:
        assert len(row) == 4
        assert all(cell.strip() for cell in row)
        named = re.findall(r"`(test_\w+)`", row[3])
        assert named
        assert set(named) <= present, set(named) - present


def test_the_page_claims_no_conformity():
    assert "research software" in PAGE
    assert re.search(r"no conformity with any\s+standard is claimed", PAGE)


def test_the_page_gives_the_defaults_of_the_code():
    limits, ramps = SafetyLimits(), Ramps()
    for words in (
        f"{limits.max_torque:g} Nm and {limits.max_torque_per_mass:g} Nm per kg",
        f"{limits.rate_limit:g} Nm/s; {limits.power_limit:g} W",
        f"({limits.angle_low:g} to {limits.angle_high:g} rad)",
        f"fades over {limits.angle_taper:g} rad",
        f"between {limits.speed_limit - limits.speed_taper:g} and {limits.speed_limit:g} rad/s",
        f"zero torque, {ramps.armed_s:g} s",
        f"`RAMP_IN` ({ramps.ramp_in_s:g} s)",
        f"`RAMP_OUT` ({ramps.ramp_out_s:g} s)",
    ):
        assert words in " ".join(PAGE.split()), words


def test_the_page_names_every_state_and_every_disturbance():
    assert all(f"`{state.name}`" in PAGE for state in State)
    assert all(f"`{what}`" in PAGE for what in get_args(What))
