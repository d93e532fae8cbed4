"""What `osim-exo doctor` looks at: can this machine do the main job, and if not, what mends it."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import osim_exo
from osim_exo import provenance
from osim_exo.errors import InputError
from osim_exo.files import writable_folder
from osim_exo.selftest import STAGES

State = Literal["ok", "note", "problem"]

MAIN_JOB = {
    "opensim": "the physics and the Moco solver",
    "scipy": "signal filters and statistics",
    "matplotlib": "the figures of the report",
    "jinja2": "the report",
    "joblib": "running virtual subjects side by side",
    "gymnasium": "the environment for controllers",
    "psutil": "memory measurements",
    "llvmlite": "the compiled physics",
    "ezc3d": "reading .c3d recordings",
    "c3d": "reading .c3d recordings that ezc3d refuses",
}
"""Modules of the extra `sim` and what each is for; the first five are needed by every study."""

NEEDED = frozenset(list(MAIN_JOB)[:5])

OTHER_EXTRAS = {
    "stats": (("spm1d",), "curve statistics by random field theory (compare --curves spm1d)"),
    "dask": (("dask", "dask_jobqueue"), "studies on a Dask cluster"),
    "ray": (("ray",), "studies on a Ray cluster"),
    "bench": (("mujoco", "skrl"), "benchmarks beside MuJoCo and skrl"),
    "casadi": (("casadi",), "compiled models as CasADi functions"),
    "cuda": (("nvidia",), "compiled models on a GPU"),
    "learn": (
        ("torch", "onnx", "onnxruntime", "tensorboard"),
        "training of walkers and controllers",
    ),
    "sb3": (("stable_baselines3",), "the example with Stable-Baselines3"),
    "deploy": (("onnxruntime", "serial", "cobs"), "driving a device, and learned policies on it"),
    "can": (("can",), "drives on a CAN bus (deploy run --port can://...)"),
    "export": (("onnx",), "writing learned policies as ONNX"),
    "video": (("imageio_ffmpeg",), "films of a walk; this version makes none yet"),
    "imu": (("vqf",), "orientation from motion sensors; this version does not use it yet"),
    "test": (("pytest", "hypothesis", "nbclient"), "the tests"),
}
"""Modules of the other extras and what each extra is for."""

SELF_TEST_LIMIT = 120.0
"""s; far more than the second it takes, for a machine that is busy."""

LITTLE_MEMORY_GB = 4.0
LITTLE_DISK_GB = 1.0

INSTALL = 'pip install "osim_exo[sim]"'
WHEELS = (
    "OpenSim 4.6 comes ready-made for Python 3.11 to 3.13 on x86-64 Linux (glibc 2.28 or newer), "
    "Windows and recent macOS"
)
REINSTALL = (
    "Make a new virtual environment with nothing else in it and install there: "
    f"python -m venv fresh, activate it, {INSTALL}. Clear PYTHONPATH and LD_LIBRARY_PATH first; "
    "libraries of another OpenSim or Conda found through them are the usual cause. "
) + f"{WHEELS}."


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes
    ----------
    subject : what was looked at
    state : ``ok``; ``note``, worth knowing but no hindrance; ``problem``, stops the main job
    found : what is the case
    fix : what to do, where something is to be done
    """

    subject: str
    state: State
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Report:
    """All findings, with versions and machine."""

    findings: tuple[Finding, ...]
    versions: dict[str, str]
    machine: dict[str, Any]

    @property
    def healthy(self) -> bool:
        """Whether the main job can run here."""
        return not any(finding.state == "problem" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "healthy": self.healthy,
            "versions": self.versions,
            "machine": self.machine,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def as_text(self) -> str:
        """The report for people: findings first, then every fix, then the verdict."""
        width = max(len(finding.subject) for finding in self.findings)
        lines = [f"{f.state:<8} {f.subject:<{width}}  {f.found}" for f in self.findings]
        for finding in self.findings:
            if finding.fix:
                lines += ["", f"{finding.subject}: {finding.fix}"]
        problems = [f.subject for f in self.findings if f.state == "problem"]
        verdict = "This machine can do the main job."
        if problems:
            verdict = f"This machine cannot do the main job yet; mend: {', '.join(problems)}."
        return "\n".join([*lines, "", verdict])


def examine(out: Path) -> Report:
    """Look at everything.

    Parameters
    ----------
    out : folder that results are to go to; nothing in it is changed, and it is not made
    """
    findings = [_versions(), *_libraries(), *_extras(), *_machine()]
    findings += [_write_access("output folder", out), _write_access("temporary files", None)]
    findings += self_test() if is_present("opensim") else []
    return Report(tuple(findings), provenance.versions(), provenance.machine())


def is_present(module: str) -> bool:
    """Whether a module can be imported, found without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _versions() -> Finding:
    checkout = (Path(osim_exo.__file__).resolve().parents[1] / "setup.cfg").is_file()
    kind = "a checkout" if checkout else "installed"
    return Finding(
        "osim_exo",
        "ok",
        f"{osim_exo.__version__} ({kind}), Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}",
    )


def _libraries() -> Iterator[Finding]:
    missing = [module for module in MAIN_JOB if not is_present(module)]
    if not missing:
        number = provenance.library_version("opensim") or "of unknown version"
        yield Finding("main job", "ok", f"OpenSim {number} and all its companions are installed")
    for module in missing:
        needed = module in NEEDED
        fix = f"Install it with: {INSTALL}"
        if module == "opensim":
            fix += f". {WHEELS}; here is Python {platform.python_version()}"
        yield Finding(
            module,
            "problem" if needed else "note",
            f"not installed; it is for {MAIN_JOB[module]}",
            fix + ".",
        )


def _extras() -> Iterator[Finding]:
    for extra, (modules, purpose) in OTHER_EXTRAS.items():
        missing = [module for module in modules if not is_present(module)]
        found = f"not installed ({', '.join(missing)})" if missing else "installed"
        yield Finding(f"extra {extra}", "note" if missing else "ok", f"{found}; for {purpose}")


def _machine() -> Iterator[Finding]:
    cores = provenance.cores()
    yield Finding("cores", "ok", f"{cores}; a study uses them all unless --jobs says otherwise")
    memory = provenance.memory_gb()
    if memory is None:
        yield Finding("memory", "note", "cannot be learned on this system")
    elif memory < LITTLE_MEMORY_GB:
        yield Finding(
            "memory",
            "note",
            f"{memory:g} GB",
            "That is little. Run one thing at a time (--jobs 1) and close other programs.",
        )
    else:
        yield Finding("memory", "ok", f"{memory:g} GB")


def _write_access(subject: str, out: Path | None) -> Finding:
    """Whether files can be put into `out`, or into the nearest folder above it that exists."""
    folder = Path(tempfile.gettempdir()) if out is None else out
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        writable_folder(folder)
    except InputError as error:
        option = "Give another folder with --out" if out is not None else "Set TMPDIR (or TEMP)"
        return Finding(subject, "problem", str(error), f"{option}, or change its permissions.")
    free = shutil.disk_usage(folder).free / 1e9
    name = f"'{out}'" if out is not None else "their folder"
    found = f"{name} can be written to, {free:.1f} GB free"
    if free < LITTLE_DISK_GB:
        return Finding(subject, "note", found, "Free some space; a study needs up to 1 GB.")
    return Finding(subject, "ok", found)


def self_test(command: Sequence[str] = ()) -> list[Finding]:
    """Run the self-test in a process of its own; one finding per stage that was reached.

    Parameters
    ----------
    command : program and arguments to run instead of Python with `osim_exo.selftest`; the path
        of the record is added as the last argument
    """
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.jsonl"
        record.touch()
        try:
            done = subprocess.run(
                [*(command or _self_test_command()), str(record)],
                cwd=folder,
                capture_output=True,
                timeout=SELF_TEST_LIMIT,
            )
        except subprocess.TimeoutExpired:
            ending = f"did not end within {SELF_TEST_LIMIT:g} s"
            return _stage_findings(record, ending, "")
        last_words = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return _stage_findings(record, _ending(done.returncode), last_words)


def _self_test_command() -> list[str]:
    """Python, told where osim_exo lies, so that it runs from a checkout and from any folder."""
    home = str(Path(osim_exo.__file__).resolve().parents[1])
    code = (
        "import sys; from pathlib import Path; sys.path.append(sys.argv[1]); "
        "from osim_exo.selftest import main; sys.exit(main(Path(sys.argv[2])))"
    )
    return [sys.executable, "-c", code, home]


def _ending(code: int) -> str:
    """How a process ended, in words; a signal is a negative code, or a large one on Windows."""
    signals = {4: "illegal instruction", 6: "abort", 9: "killed", 11: "segmentation fault"}
    windows = {0xC0000005: "access violation", 0xC000001D: "illegal instruction"}
    if code < 0:
        return f"crashed ({signals.get(-code, f'signal {-code}')})"
    if code & 0xFFFFFFFF in windows:
        return f"crashed ({windows[code & 0xFFFFFFFF]})"
    return f"ended with code {code}"


def _stage_findings(record: Path, ending: str, last_words: str) -> list[Finding]:
    lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    findings = []
    for line in lines:
        if line["state"] == "passed":
            findings.append(Finding(f"self-test {line['stage']}", "ok", line["found"]))
        elif line["state"] == "failed":
            fix = _fix(line["stage"], line["found"])
            findings.append(Finding(f"self-test {line['stage']}", "problem", line["found"], fix))
    last = lines[-1] if lines else {"stage": "start", "state": "begun"}
    if last["state"] == "begun":
        stage = STAGES.get(last["stage"])
        what = stage.task if stage else "start Python"
        found = f"the process {ending} when it was to {what}"
        found += f"; its last words: {last_words}" if last_words else ""
        fix = _fix(last["stage"], ending)
        findings.append(Finding(f"self-test {last['stage']}", "problem", found, fix))
    return findings


def _fix(stage: str, reason: str) -> str:
    """What mends a stage that failed."""
    if "illegal instruction" in reason:
        return "This processor lacks instructions that OpenSim's build uses; use another machine."
    if "did not end" in reason:
        return "Try again when the machine is less busy; if it stays so: " + REINSTALL
    if "cannot open shared object file" in reason:
        return (
            "A system library is missing; install the package that holds the file named above "
            "(on Debian and Ubuntu: apt-get install libgfortran5 libgomp1), then try again."
        )
    if stage in ("model", "step", "ground") and "crashed" not in reason:
        return (
            "OpenSim works but the walking model does not. Reinstall osim_exo "
            f"(pip install --force-reinstall --no-deps osim_exo, then {INSTALL}); in a checkout "
            "undo changes under models/."
        )
    return REINSTALL
