"""A policy bundle as something that other devices run: C99, ONNX, or a profile for OpenExo.

Everything that is written was compared with the bundle first; where it differs, nothing is written.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from osim_exo import bundle
from osim_exo.control import Signals
from osim_exo.deploy.c_source import HEADER, SOURCE, CSource, c_source
from osim_exo.deploy.host_c import (
    HostPolicy,
    build_library,
    firmware_folder,
    firmware_sources,
    host_compiler,
)
from osim_exo.deploy.network import Network, read_network
from osim_exo.deploy.novelty import NoveltyLimits
from osim_exo.deploy.openexo import fit_franks_collins, fit_spline, openexo_tables
from osim_exo.deploy.policy_controller import PolicyController, bundle_hash
from osim_exo.deploy.stride_profile import StrideProfile, stride_profile
from osim_exo.deploy.walkers import SineWalker, TrialWalker, Walker
from osim_exo.errors import DataError, InputError, check_option
from osim_exo.files import to_json, writable_folder
from osim_exo.policy import GOLDEN, ONNX, WEIGHTS, Interface, Policy
from osim_exo.trial import Trial

Float32 = npt.NDArray[np.float32]
Target = Literal["c99", "onnx", "openexo"]
TARGETS: tuple[Target, ...] = get_args(Target)

TOLERANCE = 1e-5
"""Largest difference of an output from the bundle's, over 1 + its size."""

N_RANDOM = 4000
MANIFEST = "export.json"


@dataclass(frozen=True)
class Exported:
    """What was written and how it was checked.

    Attributes
    ----------
    target, folder : as asked for
    sha256 : hash of the bundle
    files : names in the folder
    n_compared : inputs that were run through the artefact and through the bundle
    largest_error : of an output over 1 + its size; None where nothing could be compared
    facts : more of it, as sizes or the quality of a fit
    notes : what could not be checked, and why
    """

    target: Target
    folder: str
    sha256: str
    files: tuple[str, ...]
    n_compared: int
    largest_error: float | None
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)


def export(
    folder: str | Path,
    target: Target,
    out: str | Path,
    walk: Trial | None = None,
    mass: float = 75.0,
    novelty: NoveltyLimits | None = None,
) -> Exported:
    """Write a policy for another device, checked against its bundle.

    Parameters
    ----------
    folder : of the bundle
    target : ``c99``, ``onnx`` or ``openexo``
    out : folder, new or empty or of an earlier export
    walk : recorded or simulated walk whose readings are compared and averaged; a walk of sines
        if not given
    mass : body mass for commands per kg, kg
    novelty : for ``c99``, from where on torque fades

    Raises
    ------
    InputError
        The policy does not fit the target.
    DataError
        The bundle is not whole, or the artefact differs from it.
    """
    check_option("target", target, TARGETS)
    walker: Walker = SineWalker() if walk is None else TrialWalker(walk)
    controller = PolicyController(folder, mass)
    with tempfile.TemporaryDirectory() as work:
        fresh = Path(work) / "out"
        fresh.mkdir()
        if target == "c99":
            told = _c99(folder, fresh, controller, walker, mass, novelty or NoveltyLimits())
        elif target == "onnx":
            told = _onnx(folder, fresh, controller, walker)
        else:
            told = _openexo(fresh, controller, walker, mass)
        names = tuple(sorted(path.name for path in fresh.iterdir())) + (MANIFEST,)
        exported = Exported(target, str(out), bundle_hash(folder), names, **told)
        (fresh / MANIFEST).write_text(to_json(exported.to_dict()), encoding="utf-8")
        _place(fresh, Path(out))
    return exported


def _place(fresh: Path, out: Path) -> None:
    """Put the files where they belong, the manifest last."""
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise InputError(
            f"'{out}' holds something else than an export. Nothing was changed. Name another."
        )
    writable_folder(out)
    (out / MANIFEST).unlink(missing_ok=True)
    for path in sorted(fresh.iterdir(), key=lambda p: p.name == MANIFEST):
        shutil.copy2(path, out / path.name)


def read_bundle(folder: str | Path) -> tuple[Interface, Network, tuple[Float32, Float32]]:
    """Interface, layers and golden pairs of a bundle."""
    content, files = bundle.read(folder)
    interface = Interface.model_validate(content["interface"])
    described = content.get("network")
    if not isinstance(described, dict) or WEIGHTS not in files or GOLDEN not in files:
        raise DataError(f"The policy in '{folder}' lacks its layers. Export it anew.")
    arrays = bundle.unpack(files[WEIGHTS], WEIGHTS)
    network = read_network(described, arrays, interface.history, len(interface.observations))
    golden = bundle.unpack(files[GOLDEN], GOLDEN)
    return interface, network, (golden["observation"], golden["output"])


def _c99(
    folder: str | Path,
    fresh: Path,
    controller: PolicyController,
    walker: Walker,
    mass: float,
    novelty: NoveltyLimits,
) -> dict[str, Any]:
    interface, network, golden = read_bundle(folder)
    title = f"Policy {bundle_hash(folder)[:16]} at {interface.rate_hz:g} Hz."
    text = c_source(interface, network, golden, novelty, title)
    (fresh / HEADER).write_text(text.header, encoding="ascii")
    (fresh / SOURCE).write_text(text.source, encoding="ascii")
    for path in (*firmware_sources(), *sorted(firmware_folder().glob("exo_*.h"))):
        shutil.copy2(path, fresh / path.name)
    n, worst, notes = _compare_c(fresh, controller, network, golden[0], walker, mass, novelty)
    return {
        "n_compared": n,
        "largest_error": worst,
        "facts": _c_facts(text, network, interface),
        "notes": notes,
    }


def _c_facts(text: CSource, network: Network, interface: Interface) -> dict[str, Any]:
    return {
        "crc32": f"{text.crc:08x}",
        "constants_bytes": text.flash_bytes,
        "buffers_bytes": text.ram_bytes,
        "multiplications": network.operations,
        "rate_hz": interface.rate_hz,
    }


def _compare_c(
    fresh: Path,
    controller: PolicyController,
    network: Network,
    golden: Float32,
    walker: Walker,
    mass: float,
    novelty: NoveltyLimits,
) -> tuple[int, float | None, tuple[str, ...]]:
    """Compile, and compare network and torque with the bundle's."""
    if host_compiler() is None:
        return 0, None, ("There is no C compiler on this machine; the C code was not run.",)
    with tempfile.TemporaryDirectory() as work:
        compiled = HostPolicy(build_library(fresh, Path(work)), mass)
        if compiled.self_test() != 0:
            raise DataError("The exported policy's self-test fails. Nothing was written.")
        windows = np.concatenate([random_windows(network, N_RANDOM), golden])
        found, sound = compiled.run(windows)
        worst = _worst(found, controller.policy(windows))
        n_step, walked = _walk(compiled, controller, walker, novelty)
        worst = max(worst, walked)
    if not (worst <= TOLERANCE and all(sound)):
        raise DataError(
            f"The exported C differs from the policy by {worst:.3g}; allowed is {TOLERANCE:g}. "
            "Nothing was written."
        )
    return len(windows) + n_step, worst, ()


def random_windows(network: Network, n: int, seed: int = 0) -> Float32:
    """Windows as in training, with one in eight far outside; (n, history * n_input)."""
    random = np.random.default_rng(seed)
    alive = network.scale > 0.0
    width = np.where(alive, 1.0 / np.where(alive, network.scale, 1.0), 1.0)
    spread = np.where(np.arange(n) % 8 == 7, 20.0, 1.0)[:, None]
    noise = random.standard_normal((n, network.centre.size))
    return np.asarray(network.centre + width * spread * noise, dtype=np.float32)


def channels_of(walker: Walker, time: float, torque: tuple[float, float]) -> list[float]:
    """What a device measures on a walk, in the order of enum exo_channel; torque as a share."""
    pose = walker(time)
    return [*pose.angle, *pose.speed, *pose.thigh, *pose.gyro, *torque]


def _walk(
    compiled: HostPolicy,
    controller: PolicyController,
    walker: Walker,
    novelty: NoveltyLimits,
    seconds: float = 10.0,
) -> tuple[int, float]:
    """Both drive a device that delivers at once; largest difference of their torques."""
    period = 1.0 / controller.rate_hz
    limit = controller.largest_torque
    controller.reset(1)
    torque, worst, n = (0.0, 0.0), 0.0, round(seconds / period)
    for k in range(n):
        channels = channels_of(walker, k * period, (torque[0] / limit, torque[1] / limit))
        row = np.array(channels, dtype=np.float32)
        exact = row.astype(float)
        signals = Signals(
            time=np.array([k * period]),
            hip_angle=exact[None, 0:2],
            hip_speed=exact[None, 2:4],
            thigh_angle=exact[None, 4:6],
            thigh_rate=exact[None, 6:8],
            torque=exact[None, 8:10] * limit,
        )
        expected = controller(signals)[0] * novelty.share(controller.novelty)
        found = compiled.step(row)
        for a, b in zip(found, expected):
            worst = max(worst, abs(a - float(b)) / (1.0 + abs(float(b))))
        torque = float(expected[0]), float(expected[1])
    controller.reset(1)
    return n, worst


def _onnx(
    folder: str | Path, fresh: Path, controller: PolicyController, walker: Walker
) -> dict[str, Any]:
    """The bundle's own ONNX network, compared with its weights as plain arrays."""
    _, network, golden = read_bundle(folder)
    shutil.copy2(Path(folder) / ONNX, fresh / ONNX)
    windows = np.concatenate([random_windows(network, N_RANDOM), golden[0]])
    worst = _worst(Policy.load(folder, "onnx")(windows), controller.policy(windows))
    if not worst <= TOLERANCE:
        raise DataError(
            f"The ONNX network differs from its weights by {worst:.3g}; allowed is {TOLERANCE:g}. "
            "Nothing was written."
        )
    face = controller.policy.interface
    (fresh / "interface.json").write_text(to_json(face.model_dump(mode="json")), encoding="utf-8")
    return {"n_compared": len(windows), "largest_error": worst, "facts": {"rate_hz": face.rate_hz}}


def _openexo(
    fresh: Path, controller: PolicyController, walker: Walker, mass: float
) -> dict[str, Any]:
    """The policy's mean torque over the stride, as parameters of two of OpenExo's controllers."""
    profile = stride_profile(controller, walker)
    spline, franks = fit_spline(profile.torque), fit_franks_collins(profile.torque)
    for name, text in openexo_tables(spline, franks, mass).items():
        (fresh / name).write_text(text, encoding="ascii")
    (fresh / "profile.csv").write_text(profile.to_csv(), encoding="ascii")
    return {
        "n_compared": profile.n_sample,
        "largest_error": None,
        "facts": _profile_facts(profile, spline.torque(), franks.torque()),
        "notes": (
            "A profile over the gait cycle is not the policy: it does not react. The errors say "
            "how much of the mean torque it keeps.",
        ),
    }


def _profile_facts(
    profile: StrideProfile, spline: npt.NDArray[np.float64], franks: npt.NDArray[np.float64]
) -> dict[str, Any]:
    def quality(curve: npt.NDArray[np.float64]) -> dict[str, float | None]:
        error = float(np.sqrt(np.mean((curve - profile.torque) ** 2)))
        moves = np.ptp(curve) > 0.0 and np.ptp(profile.torque) > 0.0
        r = float(np.corrcoef(curve, profile.torque)[0, 1]) if moves else None
        return {"r": r, "rmse_nm": error}

    return {
        "n_stride": profile.n_stride,
        "spread_nm": float(np.mean(profile.spread)),
        "peak_nm": float(np.max(np.abs(profile.torque))),
        "spline": quality(spline),
        "franks_collins": quality(franks),
    }


def _worst(found: npt.NDArray[np.floating], expected: npt.NDArray[np.floating]) -> float:
    return float(np.max(np.abs(found - expected) / (1.0 + np.abs(expected))))
