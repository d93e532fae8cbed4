"""A made-up walker whose time series agree with one another, for tests of analysis and report.

Kinematics follow the mean human curves; muscle forces come from activations through fibre lengths,
velocities and constant moment arms, so that muscle powers, joint moments and speeds are consistent
to rounding. It is not a solution of the equations of motion.
"""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np

from osim_exo.analysis.metabolics import active_force_length, with_metabolic_rates
from osim_exo.analysis.normative import LEG_LENGTH_PER_HEIGHT, band
from osim_exo.trial import Channels, MuscleParameters, Trial, TrialInfo
from osim_exo.units import DEG, GRAVITY

TILT = 11.5
ARMS = {  # muscle: moment arms (m) at hip, knee, ankle in the coordinates' signs
    "hamstrings": (-0.060, -0.035, 0.0),
    "bifemsh": (0.0, -0.030, 0.0),
    "glut_max": (-0.055, 0.0, 0.0),
    "iliopsoas": (0.045, 0.0, 0.0),
    "rect_fem": (0.045, 0.045, 0.0),
    "vasti": (0.0, 0.045, 0.0),
    "gastroc": (0.0, -0.020, -0.048),
    "soleus": (0.0, 0.0, -0.048),
    "tib_ant": (0.0, 0.0, 0.040),
}
MUSCLES = {  # maximum isometric force (N), optimal fibre length (m), slow-twitch share
    "hamstrings": (2594.0, 0.109, 0.5),
    "bifemsh": (804.0, 0.173, 0.5),
    "glut_max": (1944.0, 0.147, 0.55),
    "iliopsoas": (2186.0, 0.100, 0.5),
    "rect_fem": (1169.0, 0.114, 0.4),
    "vasti": (4530.0, 0.107, 0.5),
    "gastroc": (2241.0, 0.090, 0.5),
    "soleus": (3549.0, 0.050, 0.8),
    "tib_ant": (1759.0, 0.098, 0.7),
}
BURSTS = {  # (height, centre %, width %)
    "hamstrings": ((0.30, 95, 7), (0.18, 5, 6)),
    "bifemsh": ((0.15, 72, 8),),
    "glut_max": ((0.35, 6, 8),),
    "iliopsoas": ((0.30, 58, 9),),
    "rect_fem": ((0.15, 10, 6), (0.15, 62, 6)),
    "vasti": ((0.22, 11, 7),),
    "gastroc": ((0.35, 42, 9),),
    "soleus": ((0.50, 44, 9),),
    "tib_ant": ((0.30, 3, 6), (0.20, 72, 12)),
}
HIP_MUSCLES = ("hamstrings", "glut_max", "iliopsoas", "rect_fem")


def _smooth(curve: np.ndarray, phase: np.ndarray, harmonics: int = 8) -> tuple:
    """Fourier series of one cycle (101 points) and its derivative by phase (cycles)."""
    spectrum = np.fft.rfft(curve[:-1]) / 100
    k = np.arange(1, harmonics + 1)
    wave = 2 * spectrum[1 : harmonics + 1] * np.exp(2j * np.pi * np.outer(phase, k))
    return spectrum[0].real + wave.real.sum(1), (wave * 2j * np.pi * k).real.sum(1)


def _bursts(muscle: str, phase: np.ndarray) -> np.ndarray:
    value = np.full(phase.shape, 0.02)
    for height, centre, width in BURSTS[muscle]:
        away = (100 * phase - centre + 50) % 100 - 50
        value = value + height * np.exp(-0.5 * (away / width) ** 2)
    return value


def _unit_draw(*labels: object) -> float:
    """A number from -1 to 1 that depends only on the labels."""
    return zlib.crc32(repr(labels).encode()) / 2**31 - 1


def walking_trial(
    condition: str = "no_exo",
    subject: str = "s0",
    scale: float = 1.0,
    *,
    controller: str | None = None,
    speed: float = 1.25,
    slope_deg: float = 0.0,
    body_mass: float = 75.0,
    height: float = 1.75,
    exo_mass: float = 3.2,
    peak_torque: float = 8.0,
    stride_time: float = 1.1,
    n_strides: int = 1,
    n_time: int = 101,
    seed: int | None = None,
    name: str | None = None,
    physics: str = "opensim",
) -> Trial:
    """A trial with every series filled; `scale` multiplies the activations.

    One stride is periodic from right heel strike (``info.stride``); with ``n_strides > 1`` it is a
    longer walk with ``n_time - 1`` samples per stride.
    """
    worn = condition != "no_exo"
    assisted = condition == "assisted"
    time = np.linspace(0.0, n_strides * stride_time, n_strides * (n_time - 1) + 1)
    phases = {"r": time / stride_time, "l": time / stride_time + 0.5}
    leg = LEG_LENGTH_PER_HEIGHT * height
    effort = scale * (1 + 0.04 * _unit_draw(subject, "effort") + 0.02 * worn)
    relief = 0.12 * (peak_torque / 8) * (1 + 0.3 * _unit_draw(subject, seed, "relief")) * assisted

    q, qd = _coordinates(time, phases, speed, leg, stride_time)
    names = tuple(f"{m}_{s}" for s in "rl" for m in MUSCLES)
    muscles = {
        f"{m}_{s}": MuscleParameters(f * body_mass / 75, lo, slow_fraction=slow)
        for s in "rl"
        for m, (f, lo, slow) in MUSCLES.items()
    }
    series = {key: {} for key in _MUSCLE_SERIES}
    moments = {f"{j}_{s}": np.zeros(time.size) for s in "rl" for j in _JOINTS}
    for side in "rl":
        for m in MUSCLES:
            less = 1 - relief if m in HIP_MUSCLES else 1.0
            activation = np.clip(effort * less * _bursts(m, phases[side]), 0, 1)
            _muscle(m, side, activation, time, q, qd, muscles, series, moments)
    passive = {c: -1.5 * (q[c] - q[c].mean()) for c in moments}
    moments = {c: moments[c] + passive[c] for c in moments}
    # An actuator holds the still trunk, so that its moment does no work.
    moments["lumbar_extension"] = 6.0 + 2.0 * np.sin(4 * np.pi * time / stride_time)
    torque = {f"hip_flexion_{s}": _exo(phases[s], peak_torque) * assisted for s in "rl"}
    if worn and not assisted:
        torque = {c: -0.05 * qd[c] for c in torque}
    if not worn:
        torque = {}
    weight = (body_mass + exo_mass * worn) * GRAVITY
    points = _points(q, height)
    info = TrialInfo(
        name=name or f"{subject}_{condition}",
        condition=condition,
        controller=controller or ("optimal" if assisted else "none"),
        physics=physics,
        subject=subject,
        body_mass=body_mass,
        height=height,
        exo_mass=exo_mass if worn else 0.0,
        speed=speed,
        slope_deg=slope_deg,
        seed=seed,
        model="synthetic",
        model_hash="0" * 12,
        stride=n_strides == 1,
        muscles=muscles,
        provenance={
            "coordinate_paths": {c: _coordinate_path(c) for c in q},
            "muscle_paths": {m: f"/forceset/{m}" for m in names},
        },
    )
    trial = Trial.build(
        time,
        info,
        coordinates=_channels(q),
        speeds=_channels(qd),
        **{key: _channels({n: value[n] for n in names}) for key, value in series.items()},
        moments=_channels(moments),
        passive_moments=_channels(passive),
        grf=_channels(_grf(phases, points, speed, leg, weight)),
        exo_torque=_channels(torque) if torque else Channels.empty(time.size),
        exo_power=_channels({c: torque[c] * qd[c] for c in torque})
        if torque
        else Channels.empty(time.size),
        points=_channels(points),
    )
    return with_metabolic_rates(trial) if len(trial.activations) else trial


def three_arms(subjects: int = 8, **options: object) -> list[Trial]:
    """The three conditions of several subjects."""
    return [
        walking_trial(condition, f"s{i}", body_mass=60.0 + 4 * i, **options)
        for i in range(subjects)
        for condition in ("no_exo", "zero_torque", "assisted")
    ]


def replaced(trial: Trial, **info: object) -> Trial:
    """The same trial with other facts in its info."""
    return dataclasses.replace(trial, info=dataclasses.replace(trial.info, **info))


_JOINTS = ("hip_flexion", "knee_angle", "ankle_angle")
_MUSCLE_SERIES = (
    "excitations",
    "activations",
    "fibre_lengths",
    "fibre_velocities",
    "active_fibre_forces",
    "passive_fibre_forces",
    "muscle_powers",
)


def _channels(columns: dict) -> Channels:
    return Channels(tuple(columns), np.column_stack(list(columns.values())))


def _coordinate_path(name: str) -> str:
    joint = {"pelvis": "ground_pelvis", "lumbar": "back"}.get(name.split("_")[0])
    return f"/jointset/{joint or name.split('_')[0] + name[-2:]}/{name}"


def _coordinates(time, phases, speed, leg, stride_time):
    def angle(quantity, side, sign, offset):
        curve = sign * (band(quantity, speed, leg)[0] - offset) * DEG
        value, slope = _smooth(curve, phases[side])
        return value, slope / stride_time

    q, qd = {}, {}
    tilts = [angle("pelvis_anterior_tilt", s, -1, TILT) for s in "rl"]
    q["pelvis_tilt"], qd["pelvis_tilt"] = (sum(t[i] for t in tilts) / 2 for i in (0, 1))
    q["pelvis_tx"], qd["pelvis_tx"] = speed * time, np.full(time.size, speed)
    bob = 2 * np.pi * 2 / stride_time
    q["pelvis_ty"] = 1.06 * leg - 0.02 * np.cos(bob * time)
    qd["pelvis_ty"] = 0.02 * bob * np.sin(bob * time)
    q["lumbar_extension"] = np.full(time.size, -0.1)
    qd["lumbar_extension"] = np.zeros(time.size)
    for side in "rl":
        for coordinate, quantity, sign, offset in (
            ("hip_flexion", "hip_flexion", 1, TILT),
            ("knee_angle", "knee_flexion", -1, 0),
            ("ankle_angle", "ankle_dorsiflexion", 1, 0),
        ):
            c = f"{coordinate}_{side}"
            q[c], qd[c] = angle(quantity, side, sign, offset)
    return q, qd


def _muscle(m, side, activation, time, q, qd, muscles, series, moments):
    n = f"{m}_{side}"
    p = muscles[n]
    crossed = [(f"{j}_{side}", r) for j, r in zip(_JOINTS, ARMS[m]) if r]
    length = 0.95 - sum(r * (q[c] - q[c].mean()) for c, r in crossed) / p.optimal_fibre_length
    velocity = -sum(r * qd[c] for c, r in crossed)
    v = np.clip(velocity / (p.optimal_fibre_length * p.max_contraction_velocity), -1, 1)
    force_velocity = np.where(v < 0, (1 + v) / (1 - 4 * v), 1 + 0.4 * np.tanh(5 * v))
    active = activation * p.max_isometric_force * active_force_length(length) * force_velocity
    stretch = np.maximum(length - 1, 0)
    passive = p.max_isometric_force * (0.1 * stretch**2 + 0.01 * v)
    for c, r in crossed:
        moments[c] += r * (active + passive)
    excitation = np.clip(activation + 0.03 * np.gradient(activation, time), 0, 1)
    for key, value in zip(
        _MUSCLE_SERIES,
        (excitation, activation, length, velocity, active, passive, -(active + passive) * velocity),
    ):
        series[key][n] = value


def _exo(phase, peak):
    def bump(centre, width):
        away = (100 * phase - centre + 50) % 100 - 50
        return np.exp(-0.5 * (away / width) ** 2)

    return peak * (bump(60, 8) - bump(8, 7))


def _grf(phases, points, speed, leg, weight):
    percent = np.arange(101.0)
    vertical = band("grf_vertical", speed, leg)[0].copy()
    anterior = band("grf_anterior", speed, leg)[0].copy()
    vertical[vertical < 0.005] = 0.0
    vertical *= 0.5 / np.trapezoid(vertical, percent / 100)
    push, brake = np.trapezoid([np.maximum(anterior, 0), np.minimum(anterior, 0)], percent)
    anterior = np.where(anterior > 0, -anterior * brake / push, anterior) * (vertical > 0)
    out = {}
    for s in "rl":
        at = 100 * (phases[s] % 1.0)
        load = np.interp(at, percent, vertical)
        force = {"vx": np.interp(at, percent, anterior), "vy": load, "vz": 0 * at}
        roll = np.clip(at / 62, 0, 1)
        heel, toe = points[f"heel_{s}.x"], points[f"toe_{s}.x"]
        place = {"px": heel + roll * (toe - heel), "py": 0 * at, "pz": points[f"ankle_{s}.z"]}
        out |= {f"ground_force_{s}_{a}": weight * f for a, f in force.items()}
        out |= {f"ground_force_{s}_{a}": np.where(load > 0, p, 0.0) for a, p in place.items()}
        out |= {f"ground_torque_{s}_{a}": 0 * at for a in "xyz"}
    return out


def _points(q, height):
    """Landmarks and straight muscle paths from the planar chain."""
    xyz = {}

    def put(name, x, y, z):
        xyz[name] = (x, y, z + 0 * x)

    def turned(origin, angle, x, y):
        return (
            origin[0] + x * np.cos(angle) - y * np.sin(angle),
            origin[1] + x * np.sin(angle) + y * np.cos(angle),
        )

    pelvis = (q["pelvis_tx"], q["pelvis_ty"])
    tilt = q["pelvis_tilt"]
    put("pelvis", *pelvis, 0.0)
    back = turned(pelvis, tilt, -0.06, 0.08)
    put("lumbar", *back, 0.0)
    put("head", *turned(back, tilt + q["lumbar_extension"], 0.0, 0.40 * height), 0.0)
    for s, z in (("r", 0.08), ("l", -0.08)):
        thigh = tilt + q[f"hip_flexion_{s}"]
        shank = thigh + q[f"knee_angle_{s}"]
        foot = shank + q[f"ankle_angle_{s}"]
        hip = turned(pelvis, tilt, -0.06, -0.06)
        knee = turned(hip, thigh, 0.0, -0.245 * height)
        ankle = turned(knee, shank, 0.0, -0.246 * height)
        for joint, place in (("hip", hip), ("knee", knee), ("ankle", ankle)):
            put(f"{joint}_{s}", *place, z)
        put(f"heel_{s}", *turned(ankle, foot, -0.05, -0.07), z)
        put(f"toe_{s}", *turned(ankle, foot, 0.17, -0.07), z)
        front, rear = (0.05, -0.05)
        paths = {
            "hamstrings": (turned(pelvis, tilt, -0.12, -0.08), turned(knee, shank, rear, -0.05)),
            "bifemsh": (turned(hip, thigh, -0.02, -0.2), turned(knee, shank, rear, -0.05)),
            "glut_max": (turned(pelvis, tilt, -0.13, 0.02), turned(hip, thigh, rear, -0.12)),
            "iliopsoas": (turned(pelvis, tilt, 0.0, 0.05), turned(hip, thigh, 0.02, -0.06)),
            "rect_fem": (turned(pelvis, tilt, 0.0, 0.0), turned(knee, shank, front, -0.04)),
            "vasti": (turned(hip, thigh, 0.03, -0.2), turned(knee, shank, front, -0.04)),
            "gastroc": (turned(knee, thigh, -0.03, 0.02), turned(ankle, foot, -0.05, -0.03)),
            "soleus": (turned(knee, shank, -0.03, -0.1), turned(ankle, foot, -0.05, -0.03)),
            "tib_ant": (turned(knee, shank, 0.03, -0.1), turned(ankle, foot, 0.08, -0.03)),
        }
        for m, path in paths.items():
            for k, place in enumerate(path):
                put(f"muscle/{m}_{s}/{k}", *place, z)
    return {f"{n}.{a}": v for n, place in xyz.items() for a, v in zip("xyz", place)}
