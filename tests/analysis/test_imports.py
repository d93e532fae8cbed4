"""Analysis of recorded trials needs neither OpenSim nor a learning library."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(p.stem for p in (ROOT / "analysis").glob("*.py") if p.stem != "__init__")


def test_every_analysis_module_loads_without_opensim_and_torch():
    lines = [
        "import importlib, sys",
        "sys.modules['opensim'] = sys.modules['torch'] = None",
        "import osim_exo.io",
        *(f"importlib.import_module('osim_exo.analysis.{m}')" for m in MODULES),
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["osim_exo.analysis.compare", "osim_exo.io"])
def test_import_loads_neither_opensim_nor_torch(package):
    code = f"import sys, {package}; print(sorted({{'opensim', 'torch'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
