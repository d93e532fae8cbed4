"""What ships is whole, imports only downwards, and names no machine."""

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(
    not (ROOT / "setup.cfg").is_file(), reason="these tests look at a checkout"
)

GROUND = {
    "config",
    "device",
    "errors",
    "files",
    "names",
    "parallel",
    "progress",
    "provenance",
    "strap",
    "trial",
    "units",
}
"""Modules of osim_exo that are the ground floor: every room stands on them."""

BELOW = {
    "ground": set(),
    "io": set(),
    "models": set(),
    "control": {"policy"},
    "analysis": set(),
    "deploy": {"control", "policy", "sensors"},
    "compiler": {"models", "analysis"},
    "physics": {"models", "io", "compiler"},
    "sensors": {"control", "policy"},
    "observations": {"physics"},  # for the types only: the device reads layouts without physics
    "env": {"models", "io", "physics", "control", "observations"},
    "baseline": {"models", "io", "physics", "control", "env", "analysis"},
    "evaluate": {"models", "io", "physics", "control", "env", "baseline", "analysis"},
    "doctor": {"models"},
    "policy": set(),
    "learn": {
        "models",
        "io",
        "compiler",
        "physics",
        "control",
        "observations",
        "env",
        "baseline",
        "analysis",
        "policy",
        "sensors",
    },
    "results": {"io", "analysis"},
    "study": {
        "models",
        "io",
        "physics",
        "control",
        "env",
        "baseline",
        "evaluate",
        "analysis",
        "results",
        "learn",
        "policy",
        "deploy",
    },
}
"""Who may import whom, beside the ground floor and the room itself."""

HOUSED = {
    "bundle": "policy",
    "networks": "policy",
    "__main__": "cli",
    "selftest": "doctor",
    "task": "env",
    "walking": "env",
    "inverse": "evaluate",
    "kinematics": "evaluate",
    "marker_checks": "evaluate",
}
"""Modules that belong to the room of another one."""

BELOW["studies"] = BELOW["study"] | {"study"}
BELOW["benchmarks"] = BELOW["study"] | {"study", "compiler"}
BELOW["cli"] = BELOW["benchmarks"] | {
    "observations",
    "studies",
    "benchmarks",
    "doctor",
    "deploy",
}

OPENSIM_ROOMS = {
    "models",
    "compiler",
    "physics",
    "env",
    "baseline",
    "evaluate",
    "doctor",
    "benchmarks",
}
"""Rooms that may import opensim; in the others a Trial or a specification stands for it."""


@cache
def setup() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def packages() -> list[str]:
    return setup()["options"]["packages"].split()


def folder_of(package: str) -> Path:
    """Folder of a package in the checkout: analysis/, models/, ... stand beside osim_exo/."""
    places = dict(
        re.split(r"\s*=\s*", line)
        for line in setup()["options"]["package_dir"].strip().splitlines()
    )
    head = max((p for p in places if f"{package}.".startswith(f"{p}.")), key=len)
    return ROOT / places[head] / Path(*package[len(head) :].split("."))


def modules() -> dict[str, Path]:
    """Every module that ships, by its full name."""
    found = {}
    for package in packages():
        for path in folder_of(package).glob("*.py"):
            name = package if path.stem == "__init__" else f"{package}.{path.stem}"
            found[name] = path
    return found


def room(module: str) -> str:
    """The room a module belongs to."""
    parts = module.split(".")
    second = parts[1] if len(parts) > 1 else ""
    if not second or second in GROUND:
        return "ground"
    return HOUSED.get(second, second)


def imports(name: str, path: Path) -> list[tuple[int, str]]:
    """Line and full name of everything that a module imports, wherever it does so."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name if path.stem == "__init__" else name.rpartition(".")[0]
                stem = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{stem}.{base}".rstrip(".")
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
    return found


def shipped_files() -> dict[str, Path]:
    """Every file of the packages, by its path inside site-packages."""
    found = {}
    for package in ("osim_exo", "analysis", "benchmarks", "deploy", "models", "studies"):
        for path in (ROOT / package).rglob("*"):
            inside = path.relative_to(ROOT)
            if path.is_file() and "__pycache__" not in inside.parts and path.suffix != ".pyc":
                place = inside if package == "osim_exo" else Path("osim_exo") / inside
                found[place.as_posix()] = path
    return found


def run(code: str, cwd: Path, *paths: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, away from the checkout, with `paths` in front."""
    search = os.pathsep.join(map(str, paths or (ROOT,)))
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": search, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


# What imports what


def test_every_folder_with_python_in_it_is_a_package_that_ships():
    roots = [ROOT / name for name in ("osim_exo", "analysis", "benchmarks", "deploy", "models")]
    found = {init.parent for root in roots for init in root.rglob("__init__.py")}
    found.add(ROOT / "studies")
    assert {folder_of(package) for package in packages()} == found


def test_every_module_lies_in_a_room_with_a_place_in_the_order():
    assert {room(name) for name in modules()} <= set(BELOW)


def test_the_order_of_rooms_has_no_circle():
    for name, below in BELOW.items():
        assert all(name not in BELOW[other] for other in below), name


def test_rooms_import_only_rooms_below_them():
    wrong = []
    for name, path in modules().items():
        allowed = BELOW[room(name)] | {"ground", room(name)}
        for line, target in imports(name, path):
            if target.split(".")[0] == "osim_exo" and room(target) not in allowed:
                if target == "osim_exo.__version__":
                    continue
                wrong.append(f"{name}:{line} imports {target}")
    assert not wrong


def test_top_level_folders_are_imported_through_the_package():
    tops = {"analysis", "benchmarks", "deploy", "models", "studies", "tests"}
    wrong = [
        f"{name}:{line}"
        for name, path in modules().items()
        for line, target in imports(name, path)
        if target.split(".")[0] in tops
    ]
    assert not wrong


def test_opensim_is_imported_only_where_physics_is_made():
    wrong = [
        f"{name}:{line}"
        for name, path in modules().items()
        for line, target in imports(name, path)
        if target.split(".")[0] == "opensim" and room(name) not in OPENSIM_ROOMS
    ]
    assert not wrong


@pytest.mark.parametrize("package", ["deploy", "analysis", "control", "io", "cli", "ground"])
def test_light_rooms_load_neither_opensim_nor_torch(package, tmp_path):
    names = [name for name in modules() if room(name) == package and not name.endswith("__main__")]
    assert names
    code = (
        "import sys, importlib\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "heavy = {'opensim', 'torch', 'casadi'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = run(code, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


# The base install alone


def base_distributions() -> set[str]:
    """Names of the libraries of the base install and of all that these need."""
    waiting = [re.split(r"[<>=]", r)[0] for r in setup()["options"]["install_requires"].split()]
    found: set[str] = set()
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        for need in distribution(name).requires or []:
            if "extra ==" not in need and "extra==" not in need:
                text = re.match(r"[\w.-]+", need)
                if text and is_installed(text.group()):
                    waiting.append(text.group())
    return found


def is_installed(name: str) -> bool:
    try:
        distribution(name)
    except ImportError:
        return False
    return True


@pytest.fixture
def base_only(tmp_path: Path) -> Path:
    """Folder with a sitecustomize that hides every library which the base install lacks."""
    allowed = base_distributions()
    hidden = {
        module
        for module, owners in packages_distributions().items()
        if not any(owner.lower().replace("_", "-") in allowed for owner in owners)
    } - {"osim_exo"}
    assert {"opensim", "scipy", "matplotlib", "pytest"} <= hidden
    assert not {"numpy", "pydantic", "pydantic_core", "tyro", "rich"} & hidden
    folder = tmp_path / "base_only"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        f"HIDDEN = frozenset({sorted(hidden)!r})\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in HIDDEN:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
    )
    return folder


def cli(*words: str) -> str:
    return f"import sys; from osim_exo.cli import main; sys.exit(main({list(words)!r}))"


def test_base_install_shows_help(base_only, tmp_path):
    done = run(cli("--help"), tmp_path, base_only, ROOT)
    assert done.returncode == 0, done.stderr
    assert "doctor" in done.stdout


def test_base_install_has_a_doctor_who_says_what_is_missing(base_only, tmp_path):
    done = run(cli("doctor"), tmp_path, base_only, ROOT)
    assert done.returncode == 1, done.stderr
    assert re.search(r"problem +opensim +not installed", done.stdout)
    assert 'pip install "osim_exo[sim]"' in done.stdout
    assert "Traceback" not in done.stderr


def test_base_install_names_the_extra_that_a_model_needs(base_only, tmp_path):
    done = run(cli("models", "card", "gait2d"), tmp_path, base_only, ROOT)
    assert done.returncode == 1
    assert 'pip install "osim_exo[sim]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("package", ["deploy", "control", "ground"])
def test_base_install_imports_what_a_small_board_runs(package, base_only, tmp_path):
    names = [name for name in modules() if room(name) == package]
    code = f"import importlib\nfor name in {names!r}: importlib.import_module(name)"
    done = run(code, tmp_path, base_only, ROOT)
    assert done.returncode == 0, done.stderr


# The installed package


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that ``pip install`` has put the package into, made from a copy of the sources."""
    source = tmp_path_factory.mktemp("source") / "osim_exo"
    leave = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "results", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=leave)
    target = tmp_path_factory.mktemp("target")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return target


def test_installed_package_holds_every_file_of_the_checkout(installed):
    missing = [
        place
        for place, path in shipped_files().items()
        if not (installed / place).is_file()
        or (installed / place).read_bytes() != path.read_bytes()
    ]
    assert not missing


def test_installed_package_adds_one_name_to_site_packages(installed):
    tops = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert tops - {"bin", "Scripts"} == {"osim_exo"}


def test_installed_package_runs_away_from_the_checkout(installed, tmp_path):
    done = run(
        "import osim_exo, osim_exo.analysis, osim_exo.models as m, pathlib;"
        "print(osim_exo.__file__); print(m.shipped_path('gait2d').is_file())",
        tmp_path,
        installed,
    )
    assert done.returncode == 0, done.stderr
    place, model_is_there = done.stdout.splitlines()
    assert Path(place).is_relative_to(installed)
    assert model_is_there == "True"


def test_installed_command_starts(installed, tmp_path):
    script = next(p for p in installed.glob("*/osim-exo*"))
    done = subprocess.run(
        [str(script), "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.strip()) == (0, f"osim-exo {version()}")


def version() -> str:
    return setup()["metadata"]["version"]


@pytest.mark.parametrize("file", ["CITATION.cff", "CHANGELOG.md", "osim_exo/__init__.py"])
def test_version_is_the_same_everywhere(file):
    assert version() in (ROOT / file).read_text(encoding="utf-8")


# What is tracked


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    done = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


FOLDERS = "home root tmp work farm mnt Users private var/folders".split()
MACHINE_PATH = re.compile(r"(?<![\w.:/~-])/(" + "|".join(FOLDERS) + r")/[\w.-]")
REGISTRY = re.compile(
    r"pypi\.org|python" + r"hosted|conda\.anaconda|npm" + r"js\.|--index" + "-url"
)


def tracked_texts() -> list[tuple[Path, str]]:
    texts = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data[:8192]:
            texts.append((path.relative_to(ROOT), data.decode("utf-8", errors="replace")))
    return texts


@pytest.mark.parametrize(
    ("pattern", "what"), [(MACHINE_PATH, "path of a machine"), (REGISTRY, "registry host")]
)
def test_no_tracked_file_names_a_machine_or_a_registry(pattern, what):
    wrong = [
        f"{path}:{number}: {what}: {line.strip()[:80]}"
        for path, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not wrong


def test_the_search_for_machine_paths_finds_them():
    slash = "/"
    assert MACHINE_PATH.search(f"open('{slash}home{slash}me/a.sto')")
    assert MACHINE_PATH.search(f"cd {slash}tmp{slash}x")
    assert not MACHINE_PATH.search("see docs/home/index and ./work/a, https://a.org/work/b")


def test_nothing_generated_is_tracked():
    wrong = [
        path
        for path in tracked()
        if path.name == "opensim.log" or path.suffix in {".pyc", ".pkl", ".pt"}
    ]
    assert not wrong


def test_modules_stay_within_four_hundred_lines():
    long = {
        name: lines
        for name, path in modules().items()
        if (lines := path.read_text(encoding="utf-8").count("\n")) > 400
    }
    assert not long
