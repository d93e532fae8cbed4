"""The walker of a report: trials as compact data for a canvas that plays them in any browser."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np

from osim_exo.analysis.arms import Arm, arms_of, muscle_label, sort_walks, walk_of
from osim_exo.analysis.events import knee_flexion_sign
from osim_exo.errors import InputError, MissingExtraError
from osim_exo.names import SIDES
from osim_exo.trial import Array, Trial
from osim_exo.units import GRAVITY

FRAMES = 61
"""Frames per trial; the player interpolates between them."""

MAX_NUMBERS = 400_000
"""More would make a page that is slow to open (about 2.5 MB); whole subjects are left out."""

_LONGEST = 3.0
"""Seconds shown of a recording that is not one stride."""

_LENGTH = 1e4
_SHARE = 1e3
_TORQUE = 1e2

_LIMBS = {"hip": "knee", "knee": "ankle", "ankle": "toe"}
_MOTIONS = {
    "hip": ("flexion", "extension"),
    "knee": ("extension", "flexion"),
    "ankle": ("dorsiflexion", "plantarflexion"),
}
_JOINT = re.compile(r"^(hip|knee|ankle)_(?:.*_)?(r|l)$")


def page_text(name: str) -> str:
    """Text of one of the files that a page is made of (template, script, style sheet)."""
    return resources.files("osim_exo.analysis").joinpath(name).read_text(encoding="utf-8")


def player_script() -> str:
    """The script of every player in a page; it stands after their markup."""
    return page_text("walker.js") + page_text("player.js")


def safe_json(data: object) -> str:
    """JSON that cannot end or open any element when it stands inside a ``<script>`` element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def colour_scale(steps: int = 33) -> list[str]:
    """Activation colours from 0 to 1 for a dark ground, `steps` hex strings.

    The upper part of matplotlib's plasma map: lightness rises evenly, so the order is seen with
    any kind of colour vision and in grey.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.colors import to_hex
    except ImportError as error:
        raise MissingExtraError("matplotlib", "sim") from error
    return [to_hex(colormaps["plasma"](0.22 + 0.76 * i / (steps - 1))) for i in range(steps)]


def _times(trial: Trial, frames: int) -> Array:
    end = trial.time[-1] if trial.info.stride else min(trial.time[-1], trial.time[0] + _LONGEST)
    return np.linspace(trial.time[0], end, frames)


def _whole(values: Array, scale: float) -> list[int]:
    return [int(v) for v in np.rint(values * scale)]


def _landmark_names(trial: Trial) -> list[str]:
    """Landmarks with an x and a y, in the order of the trial."""
    names = [
        n[:-2] for n in trial.points.names if n.endswith(".x") and f"{n[:-2]}.y" in trial.points
    ]
    return [n for n in names if not n.startswith("muscle/")]


def _muscle_paths(trial: Trial) -> dict[str, list[str]]:
    """Path points of every muscle in their order along the muscle."""
    paths: dict[str, list[tuple[int, str]]] = {}
    for name in trial.points.names:
        parts = name[:-2].split("/")
        if parts[0] == "muscle" and name.endswith(".x") and len(parts) == 3:
            order = int(parts[2]) if parts[2].isdigit() else len(paths.get(parts[1], []))
            paths.setdefault(parts[1], []).append((order, name[:-2]))
    return {muscle: [point for _, point in sorted(path)] for muscle, path in paths.items()}


def _body_weight(trial: Trial) -> float:
    """Newtons: body mass times gravity, or the mean vertical force where the mass is unknown."""
    if np.isfinite(trial.info.body_mass):
        return trial.info.body_mass * GRAVITY
    vertical = [trial.grf[n] for n in trial.grf.names if n.endswith("_vy")]
    mean = float(np.mean(np.sum(vertical, axis=0))) if vertical else 0.0
    return mean if mean > 0.0 else 75.0 * GRAVITY


def _force(trial: Trial, side: str, times: Array) -> list[list[int]] | None:
    """Fore-aft and vertical force per mille of body weight, and where it acts."""
    names = [f"ground_force_{side}_{axis}" for axis in ("vx", "vy", "px", "py")]
    if not all(name in trial.grf for name in names):
        return None
    fx, fy, px, py = (trial.grf[name] for name in names)
    weight = _body_weight(trial)
    held = fy > 0.03 * weight
    if not held.any():
        return None
    # A plate reports any point while nothing stands on it; the arrow must not jump there.
    px, py = (np.interp(trial.time, trial.time[held], p[held]) for p in (px, py))
    forces = [_whole(np.interp(times, trial.time, f) / weight, _SHARE) for f in (fx, fy)]
    return forces + [_whole(np.interp(times, trial.time, p), _LENGTH) for p in (px, py)]


def _exo(trial: Trial, times: Array) -> list[dict[str, Any]]:
    torques = []
    for name in trial.exo_torque.names:
        match = _JOINT.match(name)
        if match:
            joint, side = match.groups()
            torque = np.interp(times, trial.time, trial.exo_torque[name])
            # A flexing knee turns the shank backwards; positive turns are forwards in the picture.
            turn = -1 if joint == "knee" and knee_flexion_sign(trial) > 0 else 1
            torques.append(
                {
                    "joint": f"{joint}_{side}",
                    "limb": f"{_LIMBS[joint]}_{side}",
                    "torque": _whole(turn * torque, _TORQUE),
                    "signs": [turn, *_MOTIONS[joint]],
                }
            )
    return torques


def _stature(trial: Trial, heights: Array) -> float:
    """Metres the picture must be able to show."""
    known = trial.info.height if np.isfinite(trial.info.height) else 0.0
    return float(max(known, heights.max() - min(heights.min(), 0.0), 0.5))


def trial_data(trial: Trial, arm: Arm, *, frames: int = FRAMES) -> dict[str, Any]:
    """What the player needs of one trial, as whole numbers.

    Lengths are tenths of millimetres, activations and forces per mille (of full activation, of
    body weight), torques hundredths of a newton metre; all at `frames` equal steps of time.
    """
    times = _times(trial, frames)

    def at(name: str) -> list[int]:
        return _whole(np.interp(times, trial.time, trial.points[name]), _LENGTH)

    def point(name: str) -> list[list[int]]:
        return [at(f"{name}.x"), at(f"{name}.y")]

    landmarks = {name: point(name) for name in _landmark_names(trial)}
    root = next((n for n in ("pelvis", "lumbar", "torso") if n in landmarks), None)
    followed = landmarks[root][0] if root else np.mean([p[0] for p in landmarks.values()], axis=0)
    heights = np.array([p[1] for p in landmarks.values()]) / _LENGTH
    muscles = []
    for name, path in _muscle_paths(trial).items():
        muscle: dict[str, Any] = {"name": name, "path": [point(p) for p in path]}
        if name in trial.activations:
            active = np.interp(times, trial.time, trial.activations[name])
            muscle["activation"] = _whole(active, _SHARE)
        muscles.append(muscle)
    exo = _exo(trial, times)
    forces = {side: _force(trial, side, times) for side in SIDES}
    return {
        "subject": trial.info.subject,
        "walk": walk_of(trial.info).key,
        "walk_title": walk_of(trial.info).title,
        "arm": arm.key,
        "title": arm.label,
        "duration": round(float(times[-1] - times[0]), 4),
        "slope_deg": walk_of(trial.info).slope_deg,
        "stature": round(_stature(trial, heights), 3),
        "start": round(float(followed[0]) / _LENGTH, 4),
        "end": round(float(followed[-1]) / _LENGTH, 4),
        "landmarks": landmarks,
        "muscles": muscles,
        "grf": {side: force for side, force in forces.items() if force},
        "exo": exo,
    }


def _numbers(trial: Trial) -> float:
    """How many numbers a trial adds to the page: x and y of its points, the rest as it is."""
    channels = len(trial.points) * 2 / 3 + len(trial.activations) + len(trial.exo_torque)
    return FRAMES * channels


def playable(trials: Sequence[Trial]) -> list[Trial]:
    """Trials with landmarks, the first of each choice; whole subjects within `MAX_NUMBERS`."""
    chosen: dict[tuple[Any, ...], Trial] = {}
    for trial in trials:
        info = trial.info
        if _landmark_names(trial):
            key = (info.subject, walk_of(info), info.condition, info.controller, info.physics)
            chosen.setdefault(key, trial)
    subjects: dict[str, float] = {}
    for key, trial in chosen.items():
        subjects[key[0]] = subjects.get(key[0], 0.0) + _numbers(trial)
    while len(subjects) > 1 and sum(subjects.values()) > MAX_NUMBERS:
        subjects.popitem()
    return [trial for key, trial in chosen.items() if key[0] in subjects]


def player_data(trials: Sequence[Trial], *, frames: int = FRAMES) -> dict[str, Any]:
    """Data of the player for trials that hold landmarks.

    Parameters
    ----------
    trials : trials with `points`; those without are left out
    frames : samples kept of each trial, at least 2

    Returns
    -------
    dict that `safe_json` turns into what ``player.js`` reads

    Raises
    ------
    InputError
        With fewer than two frames.
    """
    if frames < 2:
        raise InputError(f"{frames} frames were asked for; a motion needs at least 2.")
    shown = playable(trials)
    arms = arms_of(trials)
    data = [
        trial_data(trial, next(arm for arm in arms if arm.holds(trial.info)), frames=frames)
        for trial in shown
    ]
    peak = max((abs(v) for t in data for exo in t["exo"] for v in exo["torque"]), default=0)
    for entry in data:
        entry["exo_limit"] = max(peak / _TORQUE, 1.0)
    names = (m["name"] for t in data for m in t["muscles"] if "activation" in m)
    bases = dict.fromkeys(re.sub(r"_(r|l)$", "", name) for name in names)
    active = max(
        (max(m["activation"]) for t in data for m in t["muscles"] if "activation" in m), default=0
    )
    return {
        "scale": colour_scale(),
        "activation_limit": min(max(math.ceil(active / _SHARE * 10) / 10, 0.3), 1.0),
        "muscle_names": list(bases),
        "muscle_labels": [muscle_label(base) for base in bases],
        "trials": data,
    }


def _context(trials: Sequence[Trial], data: Mapping[str, Any]) -> dict[str, Any]:
    shown = playable(trials)
    present = {entry["arm"] for entry in data["trials"]}
    return {
        "arms": [arm for arm in arms_of(trials) if arm.key in present],
        "walks": sort_walks(walk_of(trial.info) for trial in shown),
        "subjects": list(dict.fromkeys(trial.info.subject for trial in shown)),
        "has_muscles": any(entry["muscles"] for entry in data["trials"]),
        "has_forces": any(entry["grf"] for entry in data["trials"]),
        "has_torques": any(entry["exo"] for entry in data["trials"]),
    }


def player_markup(trials: Sequence[Trial], *, frames: int = FRAMES, name: str = "player") -> str:
    """The player's HTML with its data; empty where no trial holds landmarks.

    The page must carry ``player.css`` (`page_text`) and, after this, `player_script`.

    Parameters
    ----------
    trials, frames : as in `player_data`
    name : prefix of the form names, unique within the page
    """
    try:
        from jinja2 import Environment
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtraError("jinja2", "sim") from error
    data = player_data(trials, frames=frames)
    if not data["trials"]:
        return ""
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        page_text("player.html")
    )
    return template.render(data=Markup(safe_json(data)), name=name, **_context(trials, data))
