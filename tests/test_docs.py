"""The pages in docs say what the code does: fields, gates, metrics, flags and commands."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from osim_exo.cli import main
from osim_exo.files import read_json
from tests.synthetic import walking_trial

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BASELINE = (ROOT / "docs" / "baseline.md").read_text(encoding="utf-8")
COMPARISON = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")


def table_names(page: str, heading: str) -> set[str]:
    """Names in backticks in the first column of the tables under a heading."""
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_weight_stands_in_the_page_with_its_default():
    pytest.importorskip("opensim")
    from osim_exo.baseline import Weights

    shown = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", BASELINE, flags=re.MULTILINE))
    assert {name: float(value) for name, value in shown.items()} == Weights().model_dump()


def test_every_gate_of_a_shipped_gait_stands_in_the_page():
    folder = ROOT / "osim_exo" / "baseline" / "library" / "gait2d" / "1.25_mps_+0_deg"
    gates = {gate["name"] for gate in read_json(folder / "gait.json")["gates"]}
    named = table_names(BASELINE, "Gates")
    patterns = {name[:-1] for name in named if name.endswith("*")}
    missing = [g for g in gates - named if not g.startswith(tuple(patterns))]
    assert missing == []
    assert named - gates == {"human_*", "exo_torque", "exo_rate", "exo_power", "exo_delivery"}


def test_every_metric_stands_in_the_page():
    from osim_exo.analysis.compare import compare

    trials = [walking_trial(arm, "s0") for arm in ("no_exo", "zero_torque", "assisted")]
    found = {row["name"].split("/")[0] for row in compare(trials).rows}
    named = {name.split("/")[0] for name in table_names(COMPARISON, "Metrics")}
    assert {n for n in found - named if not n.endswith("_net")} == set()
    assert named - found == {"…_net"}


def test_every_flag_stands_in_the_page():
    sources = (ROOT / "analysis" / "comparison_rows.py").read_text(encoding="utf-8")
    flags = set(re.findall(r'append\("(\w+)"\)', sources))
    assert table_names(COMPARISON, "Flags") == flags


@pytest.mark.parametrize("page", [BASELINE, COMPARISON], ids=["baseline", "comparison"])
def test_commands_and_options_of_a_page_exist(page, capsys):
    commands = set(re.findall(r"osim-exo ([a-z]+(?: (?:solve|show|library|run|list))?)", page))
    helps = ""
    for command in sorted(commands):
        assert main([*command.split(), "--help"]) == 0
        helps += capsys.readouterr().out
    for option in set(re.findall(r"(--[a-z][a-z-]+)", page)):
        assert option in helps


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_what_a_pages_code_imports_exists(page):
    missing = []
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module:
                found = import_module(node.module)
                names = (alias.name for alias in node.names)
                missing += [f"{node.module}.{name}" for name in names if not hasattr(found, name)]
    assert missing == []
