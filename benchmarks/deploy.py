"""How long a policy takes on a device: ONNX, numpy and C here, instructions on a microcontroller.

The policy that ships, and networks of the sizes that training and distillation make, with random
weights. Times on this machine are the least of several turns. The emulator counts instructions; it
knows no cycles, caches or flash, so a time on a real board is an estimate that everybody makes for
their own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from osim_exo import provenance
from osim_exo.deploy.emulator import BOARDS, EmulatedDevice, build_program, missing_tools
from osim_exo.deploy.export import export, random_windows, read_bundle
from osim_exo.deploy.host_c import HostPolicy, build_library, host_compiler
from osim_exo.deploy.link import Link
from osim_exo.deploy.log import LogWriter
from osim_exo.deploy.policy_controller import bundle_hash
from osim_exo.deploy.runtime import Runtime
from osim_exo.deploy.settings import ControllerSpec, RunSettings
from osim_exo.deploy.shipped import find_policy
from osim_exo.deploy.streams import open_stream
from osim_exo.deploy.timing import SystemClock, real_time
from osim_exo.files import write_json
from osim_exo.policy import Action, Interface, Policy, Signal

NETWORKS: dict[str, dict[str, Any]] = {
    "dense, 10 readings": {"history": 10, "blocks": (10,), "width": 64},
    "convolutions, 100 readings": {},
    "recurrent, 100 readings": {"kind": "gru"},
}
"""Settings of students, as `osim_exo.learn.students.StudentConfig` has them."""

SHIPPED = "hip_thigh_gyro"
RATE = 100.0


def run(json_path: str | Path | None = None, quick: bool = False) -> dict[str, Any]:
    """Measure, and write the result if a path is given.

    Parameters
    ----------
    json_path : path, optional
    quick : fewer repeats, and 3 s of the loop in place of 20 s

    Returns
    -------
    dict
        ``{"name", "machine", "rows": [{"what", "value", "unit"}], "ratios": {name: number},
        "skipped": [{"what", "reason"}]}``
    """
    rows: list[dict[str, Any]] = []
    ratios: dict[str, float] = {}
    skipped: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        bundles = {f"shipped {SHIPPED}": find_policy(SHIPPED), **_random(Path(folder), skipped)}
        for place, (name, bundle) in enumerate(bundles.items()):
            work = Path(folder) / str(place)
            work.mkdir()
            times = _times(bundle, work, 20 if quick else 200, skipped)
            rows += [_row(f"{name}: {engine}", t, "us") for engine, t in times.items()]
            if "C" in times:
                ratios |= {
                    f"{name}: {engine} / C": t / times["C"]
                    for engine, t in times.items()
                    if engine != "C"
                }
            rows += _emulated(name, work, skipped)
        rows += _loop(Path(folder), 3.0 if quick else 20.0)
    result = {
        "name": "deploy",
        "machine": provenance.machine(),
        "rows": rows,
        "ratios": ratios,
        "skipped": skipped,
    }
    if json_path is not None:
        write_json(json_path, result)
    return result


def _row(what: str, value: float, unit: str) -> dict[str, Any]:
    return {"what": what, "value": float(value), "unit": unit}


def _interface(history: int) -> Interface:
    """Two gyroscopes, as the seed paper has them."""
    signals = [
        Signal(name=f"thigh_{side}/thigh_rate", unit="rad/s", low=-35.0, high=35.0) for side in "rl"
    ]
    actions = [
        Action(
            name=f"exo_hip_{side}",
            unit="Nm/kg",
            low=-0.2,
            high=0.2,
            squashing="clip",
            gain=0.2,
            positive=f"hip_flexion_{side} positive",
        )
        for side in "rl"
    ]
    return Interface(
        observations=tuple(signals), actions=tuple(actions), rate_hz=RATE, history=history
    )


def _random(folder: Path, skipped: list[dict[str, str]]) -> dict[str, Path]:
    """Bundles of networks with random weights; they need torch."""
    try:
        import torch

        from osim_exo.learn.export_students import export_student
        from osim_exo.learn.students import Student, StudentConfig
    except ModuleNotFoundError as error:
        reason = f"{error.name} is not installed."
        skipped.append({"what": "networks with random weights", "reason": reason})
        return {}
    found: dict[str, Path] = {}
    for name, fields in NETWORKS.items():
        config = StudentConfig(**fields)
        student = Student(config, 2, 2, torch.Generator().manual_seed(0))
        recorded = np.random.default_rng(0).normal(0.0, 2.0, (64, 2 * config.history))
        student.normalise_like(torch.from_numpy(recorded))
        face, place = _interface(config.history), folder / f"random {len(found)}"
        found[name] = export_student(place, student, face, {"run": "bench"}, recorded)
    return found


def _least(what: Callable[[], object], repeats: int, turns: int = 7) -> float:
    """Least time of one call in several turns, us."""
    found = []
    for _ in range(turns):
        begin = time.perf_counter()
        for _ in range(repeats):
            what()
        found.append((time.perf_counter() - begin) / repeats)
    return 1e6 * min(found)


def _times(
    bundle: Path, work: Path, repeats: int, skipped: list[dict[str, str]]
) -> dict[str, float]:
    """Time of one inference by engine, us."""
    _, network, _ = read_bundle(bundle)
    window = random_windows(network, 1)
    onnx, plain = Policy.load(bundle, "onnx"), Policy.load(bundle, "numpy")
    times = {
        "ONNX": _least(lambda: onnx(window), repeats),
        "numpy": _least(lambda: plain(window), repeats),
    }
    export(bundle, "c99", work / "out")
    if host_compiler() is None:
        skipped.append({"what": "C on this machine", "reason": "There is no C compiler."})
        return times
    compiled = HostPolicy(build_library(work / "out", work))
    runs = 50 * repeats
    times["C"] = _least(lambda: compiled.time(window[0], runs), 1) / runs
    return times


def _emulated(name: str, work: Path, skipped: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Instructions, flash and memory of the whole firmware on the emulated boards."""
    missing = missing_tools()
    if missing:
        reason = f"Not installed: {', '.join(missing)}."
        skipped.append({"what": f"{name} on emulated boards", "reason": reason})
        return []
    rows = []
    for core in BOARDS:
        program = build_program(work / "out", core, work)
        device = EmulatedDevice(program, count=True)
        try:
            instructions = device.instructions()
        finally:
            device.close()
        rows += [
            _row(f"{name}: {core}, one inference", instructions / 1e3, "thousand instructions"),
            _row(f"{name}: {core}, flash of the firmware", program.flash_bytes / 1e3, "kB"),
            _row(f"{name}: {core}, static memory", program.ram_bytes / 1e3, "kB"),
        ]
    return rows


def _loop(work: Path, seconds: float) -> list[dict[str, Any]]:
    """The runtime with the shipped policy against a virtual exo in a process of its own."""
    bundle = find_policy(SHIPPED)
    spec = {"folder": str(bundle), "sha256": bundle_hash(bundle)}
    settings = RunSettings(mass=75.0, controller=ControllerSpec(kind="policy", settings=spec))
    words = [sys.executable, "-m", "osim_exo", "--quiet", "deploy", "virtual"]
    words += ["--port", "socket://127.0.0.1:0", "--seconds", f"{seconds + 30:g}"]
    device = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        line = device.stdout.readline() if device.stdout is not None else ""
        port, clock = line.partition(": ")[2].strip(), SystemClock()
        link = Link(lambda: open_stream(port, 921_600))
        link.connect(clock.now())
        log = LogWriter(work / "loop.exolog", settings, {})
        with real_time():
            report = Runtime(settings, link, log, clock).run(seconds)
    finally:
        device.kill()
        device.communicate()
    return [
        _row(f"loop at {RATE:g} Hz, {what}: {name.removesuffix('_ms')}", value or 0.0, "ms")
        for what, times in (("latency", report.latency), ("round trip", report.round_trip))
        for name, value in times.items()
    ] + [_row(f"loop at {RATE:g} Hz: missed deadlines", report.overruns, "1")]
