"""The methods paragraph of a report: only what trials and settings show was done."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from osim_exo.analysis.arms import walk_of
from osim_exo.analysis.bibliography import Reference, cited, numbered
from osim_exo.analysis.clinical import PELVIS_TILT_OFFSET_DEG
from osim_exo.analysis.events import FORCE_THRESHOLD, find_events
from osim_exo.analysis.metabolics import BASAL_COEFFICIENT, muscle_states
from osim_exo.errors import DataError
from osim_exo.trial import Trial, TrialInfo
from osim_exo.units import grade_percent

Settings = Mapping[str, Any]

_CONTROLLERS: Mapping[str, str] = {
    "optimal": "torques found by optimal control together with the muscles",
    "spline": "a torque profile over the gait cycle, a spline through onset, peak and end",
    "delayed_output_feedback": "delayed output feedback of the hip angles [@lim2019]",
    "playback": "a torque profile solved before and played back",
    "learned": "a policy learned in simulation",
}

_TERMS: Mapping[str, str] = {
    "effort": "squared muscle excitations",
    "tracking": "squared deviation from human joint angles",
    "tracking_speed": "joint speeds, relative to the angles",
    "foot_height": "squared deviation of the feet's height from that motion's, in m^2",
    "metabolic": "metabolic rate after Bhargava et al.",
    "lumbar": "lumbar control, relative to effort",
    "exo": "optimal exo torque over its maximum, squared, relative to effort",
    "exo_rate": "rate of that torque over its limit, squared, relative to effort",
}
"""Terms of the objective by the names of their weights."""

_LIMITS: Mapping[str, tuple[str, str]] = {
    "max_torque": ("torque", "Nm"),
    "rate_limit": ("torque rate", "Nm/s"),
    "power_limit": ("power", "W"),
    "bandwidth_hz": ("first-order bandwidth", "Hz"),
    "delay_s": ("transport delay", "s"),
}


@dataclass(frozen=True)
class Methods:
    """A methods text with its references.

    Attributes
    ----------
    paragraphs : texts with citations as ``[@key]``
    references : in the order of their first citation
    """

    paragraphs: tuple[str, ...]
    references: tuple[Reference, ...]

    @property
    def plain(self) -> tuple[str, ...]:
        """The paragraphs with numbers for citations."""
        return tuple(numbered(text, self.references) for text in self.paragraphs)


def find_setting(settings: object, *names: str) -> Any:
    """The first value under one of these names, at any depth of nested settings; None if absent."""
    if isinstance(settings, Mapping):
        for name in names:
            if settings.get(name) is not None:
                return settings[name]
        inner: Iterable[object] = settings.values()
    elif isinstance(settings, (list, tuple)):
        inner = settings
    else:
        return None
    return next((v for v in (find_setting(i, *names) for i in inner) if v is not None), None)


def listed(items: Sequence[str]) -> str:
    """Items as an enumeration: ``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _span(values: Iterable[float], unit: str) -> str:
    known = sorted({round(v, 4) for v in values if math.isfinite(v)})
    if not known:
        return ""
    if len(known) == 1:
        return f"{known[0]:.4g} {unit}"
    return f"{known[0]:.4g} to {known[-1]:.4g} {unit}"


def _model(trials: Sequence[Trial], study: Settings) -> Iterator[str]:
    simulated = [t for t in trials if t.info.physics != "measured"]
    if not simulated:
        yield "Walking was measured."
    elif len(simulated) < len(trials):
        yield f"{len(trials) - len(simulated)} of {len(trials)} trials were measured."
    if not simulated:
        return
    models = sorted({t.info.model for t in simulated if t.info.model})
    records = [study.get("provenance"), *(t.info.provenance for t in simulated)]
    version = find_setting(records, "opensim")
    software = f"OpenSim{f' {version}' if isinstance(version, str) else ''} [@delp2007; @seth2018]"
    named = f" with the model {listed(models)}" if models else ""
    yield f"Walking was simulated{named} in {software}."
    muscles = max(len(t.activations) for t in simulated)
    degrees = max(len(t.coordinates) for t in simulated)
    if "gait2d" in models:
        yield (
            f"The model is planar, with {degrees} degrees of freedom and {muscles} muscles; "
            "its geometry and muscle parameters follow published tables [@delp1990; "
            "@yamaguchi1989; @anderson1999; @thelen2003]. Muscles have activation dynamics and "
            "the force curves of De Groote et al. [@degroote2016]; the feet meet the ground "
            "through smooth contact spheres [@serrancoli2019]."
        )
    elif muscles:
        yield f"The model has {degrees} coordinates and {muscles} muscles."


def _subjects(trials: Sequence[Trial], study: Settings) -> Iterator[str]:
    infos = {t.info.subject: t.info for t in trials}
    measured = all(t.info.physics == "measured" for t in trials)
    count = len(infos)
    kind = "person" if measured else "virtual subject"
    plural = ("people" if measured else "virtual subjects") if count > 1 else kind
    parts = [
        text
        for text in (
            _span((i.body_mass for i in infos.values()), "kg body mass"),
            _span((i.height for i in infos.values()), "m height"),
        )
        if text
    ]
    yield f"{_number(count)} {plural} walked{f' ({listed(parts)})' if parts else ''}."
    masses = {round(i.body_mass, 3) for i in infos.values()}
    if "gait2d" in {i.model for i in infos.values()} and len(masses) > 1 and not measured:
        yield (
            "Segments kept their published shares of stature and body mass [@winter2009], and "
            "maximum muscle forces followed muscle volume [@handsfield2014]."
        )
    seeds = sorted({t.info.seed for t in trials if t.info.seed is not None})
    if seeds:
        yield f"Training seeds: {listed([str(s) for s in seeds])}."
    seed = find_setting(study.get("provenance"), "seed")
    if seed is not None and not seeds:
        yield f"Random numbers came from seed {seed}."


def _number(count: int) -> str:
    words = "One Two Three Four Five Six Seven Eight Nine Ten Eleven Twelve".split()
    return words[count - 1] if 1 <= count <= len(words) else str(count)


def _walks(infos: Sequence[TrialInfo]) -> Iterator[str]:
    speeds = _span((i.speed for i in infos), "m/s")
    slopes = sorted({round(walk_of(i).slope_deg, 2) for i in infos})
    inclined = [f"{s:+g}° ({grade_percent(s):+.1f} % grade)" for s in slopes if s]
    ground = (["level ground"] if 0.0 in slopes else []) + inclined
    if speeds:
        yield f"Walking speed was {speeds} on {listed(ground)}.".replace("-", "−")
    if inclined and any(i.physics != "measured" for i in infos):
        yield "Slopes were made by turning gravity; coordinates run along the ground."


def _solving(trials: Sequence[Trial], study: Settings) -> Iterator[str]:
    physics = {t.info.physics for t in trials}
    settings = study.get("configuration")
    if "moco" in physics:
        text = (
            "Gaits were solved as optimal control problems by direct collocation with OpenSim Moco"
        )
        yield f"{text} [@dembia2020], CasADi [@andersson2019] and IPOPT [@wachter2006]."
        yield from _transcription(trials, settings)
        yield from _objective(settings)
    if "opensim" in physics:
        yield "Motions were stepped forward in time in OpenSim."
    if "compiled" in physics:
        yield "Motions were stepped forward in time with the compiled form of the model."


def _transcription(trials: Sequence[Trial], settings: object) -> Iterator[str]:
    mesh = find_setting(settings, "mesh_intervals")
    if mesh is not None:
        tolerances = [
            f"{words} tolerance {value:g}"
            for name, words in (
                ("convergence_tolerance", "convergence"),
                ("constraint_tolerance", "constraint"),
            )
            if isinstance(value := find_setting(settings, name), (int, float))
        ]
        ending = f", {listed(tolerances)}" if tolerances else ""
        yield f"Each problem had {mesh} mesh intervals{ending}."
    stride = find_setting(settings, "stride_time")
    if isinstance(stride, Mapping):
        found = _span((t.info.provenance.get("stride_time", math.nan) for t in trials), "s")
        if stride.get("fixed") is not None:
            yield f"Stride time was imposed: {stride['fixed']:g} s."
        elif "low" in stride and "high" in stride and find_setting(settings, "cadence") != "shared":
            result = f"; it came out as {found}" if found else ""
            yield (
                f"Stride time was not imposed but optimised between {stride['low']:g} and "
                f"{stride['high']:g} s{result}."
            )
    if any(t.info.provenance.get("mirrored") for t in trials):
        yield "Half a stride was solved and mirrored."
    if find_setting(settings, "cadence") == "shared":
        yield (
            "The arms of one subject shared one stride time: the reference person's is the "
            "optimised one of the no-exo gait, the others' follow from it by leg length."
        )
    statuses = Counter(str(t.info.provenance["status"]) for t in trials if _status(t))
    if statuses:
        parts = [f"{status.replace('_', ' ')} ({count})" for status, count in statuses.items()]
        yield f"Solver status, with the number of trials: {listed(parts)}."


def _status(trial: Trial) -> bool:
    return trial.info.physics == "moco" and bool(trial.info.provenance.get("status"))


def _objective(settings: object) -> Iterator[str]:
    weights = find_setting(settings, "weights")
    if isinstance(weights, Mapping):
        terms = [
            f"{_TERMS.get(str(name), str(name).replace('_', ' '))} ({value:g})"
            for name, value in weights.items()
            if isinstance(value, (int, float)) and value
        ]
        if terms:
            yield f"The objective is a weighted sum (weights in brackets): {listed(terms)}."


def tracks_human_angles(trials: Sequence[Trial], study: Settings) -> bool:
    """Whether gaits were solved with joint angles of people as a target."""
    weight = find_setting(study.get("configuration"), "tracking")
    terms = (find_setting(t.info.provenance.get("objective_terms"), "tracking") for t in trials)
    solved = any(t.info.physics == "moco" for t in trials)
    return solved and (bool(weight) or any(terms))


def _arms(trials: Sequence[Trial], study: Settings) -> Iterator[str]:
    conditions = {t.info.condition for t in trials}
    names = {
        "no_exo": "no device",
        "zero_torque": "the device worn with zero torque",
        "assisted": "the device assisting",
    }
    arms = [text for key, text in names.items() if key in conditions]
    if arms:
        several = "Conditions were" if len(arms) > 1 else "The condition was"
        yield f"{several}: {listed(arms)}."
    mass = _span((t.info.exo_mass for t in trials if t.info.exo_mass > 0), "kg")
    if mass:
        yield f"The device weighs {mass}."
    device = find_setting(study.get("configuration"), "exo", "device") or study.get("configuration")
    limits = [
        f"{label} {value:g} {unit}"
        for name, (label, unit) in _LIMITS.items()
        if isinstance(value := find_setting(device, name), (int, float))
    ]
    if limits and conditions - {"no_exo"}:
        yield f"Each of its drives is limited to: {listed(limits)}."
    if any(t.info.controller == "optimal" and t.info.physics == "moco" for t in trials):
        yield (
            "Optimal torque was a state of the problem with bounded rate; the device's lag and "
            "delay do not act on it, because a command for a torque that is known a stride ahead "
            "can lead by both."
        )
    used = sorted({t.info.controller for t in trials if t.info.condition == "assisted"})
    if used:
        how = [_CONTROLLERS.get(c, f"the controller '{c}'") for c in used]
        yield f"Assistance came from {listed(how)}."


def has_metabolics(trial: Trial) -> bool:
    """Whether a trial holds what the metabolic models need."""
    try:
        muscle_states(trial)
    except DataError:
        return False
    return True


def _has_events(trial: Trial) -> bool:
    try:
        find_events(trial)
    except DataError:
        return False
    return True


def _measures(trials: Sequence[Trial], study: Settings, bands: bool) -> Iterator[str]:
    yield (
        "Curves are normalised to the gait cycle, 101 points from heel strike to the next heel "
        "strike of the same foot."
    )
    methods = {find_events(t).method for t in trials if _has_events(t)}
    if "grf" in methods:
        yield f"Feet are on the ground where the vertical force is above {FORCE_THRESHOLD:g} N."
    if "kinematic" in methods:
        yield "Heel strikes without force data come from foot positions [@zeni2008]."
    yield "Angles, internal joint moments and powers are in clinical signs."
    if any("pelvis_tilt" in t.coordinates for t in trials):
        yield (
            "The model's pelvis is upright at zero tilt; clinical anterior tilt and hip flexion "
            f"are {PELVIS_TILT_OFFSET_DEG:g}° larger than the model's."
        )
    if bands:
        yield (
            "Human bands are mean and standard deviation at the same dimensionless speed "
            "[@schwartz2008]."
        )
        if tracks_human_angles(trials, study):
            yield (
                "The objective tracks human joint angles, so that their agreement with the bands "
                "is no evidence; forces, moments, powers and activations are not tracked."
            )
    if any(has_metabolics(t) for t in trials):
        yield (
            "Metabolic rates come from two models on the same muscle states, Bhargava et al. "
            "[@bhargava2004] and Umberger [@umberger2003; @umberger2010], in W per kg of body "
            f"mass without the device; gross rates hold a basal part of {BASAL_COEFFICIENT:g} "
            "W/kg in every condition."
        )
    if any(len(t.moments) for t in trials):
        yield (
            "Biological positive joint power is the positive part of joint moment times joint "
            "speed at hip, knee and ankle of both legs, mean over the stride; the moments are "
            "those of muscles and passive structures, and exo power is counted apart."
        )
    if {t.info.condition for t in trials} >= {"zero_torque", "assisted"}:
        yield (
            "Mass penalty is zero torque minus no device, torque benefit is assisted minus zero "
            "torque. The energy ratio is the metabolic power that the torque saves per watt of "
            "positive exo power."
        )


def write_methods(
    trials: Sequence[Trial], study: Settings, statistics: Sequence[str], *, bands: bool
) -> Methods:
    """The methods paragraph with the references it cites.

    Parameters
    ----------
    trials : what was walked; their info tells model, physics, subjects, walks and controllers
    study : ``configuration`` and ``provenance`` are searched for settings at any depth:
        ``mesh_intervals``, ``convergence_tolerance``, ``constraint_tolerance``, ``stride_time``
        (``fixed``, ``low``, ``high``), ``weights``, ``exo`` with the device's limits, ``seed``,
        and OpenSim's version. What is not there is not told.
    statistics : sentences about the statistics that were done
    bands : human bands were compared with
    """
    if not trials:
        paragraphs = tuple(text for text in (" ".join(statistics),) if text)
        return Methods(paragraphs, cited(paragraphs))
    infos = [t.info for t in trials]
    groups = (
        [*_model(trials, study), *_subjects(trials, study), *_walks(infos)],
        [*_solving(trials, study), *_arms(trials, study)],
        list(_measures(trials, study, bands)),
        list(statistics),
    )
    paragraphs = tuple(" ".join(group) for group in groups if group)
    return Methods(paragraphs, cited(paragraphs))
