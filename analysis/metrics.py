"""Every scalar that a comparison knows of one trial, under stable names with units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from osim_exo.analysis.activation import summarise_activation, without_side
from osim_exo.analysis.clinical import body_mass
from osim_exo.analysis.cycles import stride_mean
from osim_exo.analysis.energy import energy_cost
from osim_exo.analysis.events import GaitEvents, find_events
from osim_exo.analysis.grf import grf_features, weight_ratio
from osim_exo.analysis.metabolics import MODELS
from osim_exo.analysis.power import exo_work, joint_work, positive_joint_power
from osim_exo.analysis.spatiotemporal import spatiotemporal
from osim_exo.analysis.symmetry import joint_symmetry, leg_symmetry, legs
from osim_exo.errors import DataError
from osim_exo.names import SIDES
from osim_exo.trial import Trial

OF_WALKERS = ("fall_share", "strides")
"""Those of a closed loop: a solved or measured gait cannot fall."""

HEADLINE = (
    "metabolic_rate_bhargava2004",
    "metabolic_rate_bhargava2004_net",
    "metabolic_rate_umberger2010",
    "metabolic_rate_umberger2010_net",
    "cost_of_transport",
    "mean_activation",
    "mean_activation_volume_weighted",
    "positive_joint_power",
    "mean_trunk_moment",
    "exo_positive_power",
    "energy_ratio",
    "walking_speed",
    "cadence",
    "stride_length",
    "stance_percent",
    "grf_peak1_bw",
    *OF_WALKERS,
)
"""The metrics of the short table, in its order."""

SAVINGS = (
    "metabolic_rate_",
    "cost_of_transport",
    "mean_activation",
    "peak_activation",
    "group_activation",
    "positive_joint_power",
)
"""How the names of metrics start of which less is a saving."""


TRUNK = "lumbar_extension"


@dataclass(frozen=True)
class Metric:
    """One number of one trial.

    Attributes
    ----------
    name : stable name; parts of a whole follow a slash
    value : NaN where it is not defined for the trial
    unit : ``1`` for pure numbers
    normalisation : ``none``, ``body_mass``, ``body_weight`` or ``maximum``
    """

    name: str
    value: float
    unit: str
    normalisation: str = "none"


@dataclass(frozen=True)
class MetricSet:
    """The metrics of one trial.

    Attributes
    ----------
    metrics : by name
    missing : reason by group of metrics that could not be computed
    """

    metrics: dict[str, Metric]
    missing: dict[str, str]


def compute_metrics(trial: Trial, events: GaitEvents | None = None) -> MetricSet:
    """All metrics of a trial.

    Groups of metrics whose data the trial does not hold are left out and named in ``missing`` with
    the reason, so that a measured walk without muscles can be compared too.

    Raises
    ------
    DataError
        The trial holds no whole right stride.
    """
    events = events or find_events(trial)
    metrics: dict[str, Metric] = {}
    missing: dict[str, str] = {}
    for group, compute in _GROUPS.items():
        try:
            found = list(compute(trial, events))
        except DataError as error:
            missing[group] = str(error)
            continue
        metrics |= {m.name: m for m in found if np.isfinite(m.value)}
        lost = [m.name for m in found if not np.isfinite(m.value)]
        missing |= {name: "not defined for this trial" for name in lost}
    return MetricSet(metrics, missing)


def _activation(trial: Trial, events: GaitEvents) -> Iterator[Metric]:
    summary = summarise_activation(trial, events)
    yield Metric("mean_activation", summary.overall, "1", "maximum")
    weighted = summary.overall_volume_weighted
    yield Metric("mean_activation_volume_weighted", weighted, "1", "maximum")
    for name, value in without_side(summary.mean).items():
        yield Metric(f"mean_activation/{name}", value, "1", "maximum")
    for name, value in without_side(summary.peak).items():
        yield Metric(f"peak_activation/{name}", value, "1", "maximum")
    for name, value in summary.group_mean.items():
        yield Metric(f"group_activation/{name}", value, "1", "maximum")


def _joint_power(trial: Trial, events: GaitEvents) -> Iterator[Metric]:
    mass = body_mass(trial)
    joints = positive_joint_power(trial, events)
    yield Metric("positive_joint_power", sum(joints.values()) / mass, "W/kg", "body_mass")
    for joint, value in joints.items():
        yield Metric(f"positive_joint_power/{joint}", value / mass, "W/kg", "body_mass")
    for name, done in joint_work(trial, events).items():
        if name.startswith("pelvis_"):
            continue  # the free joint to the ground carries no moment
        yield Metric(f"positive_work/{name}", done.positive / mass, "J/kg", "body_mass")
        yield Metric(f"negative_work/{name}", done.negative / mass, "J/kg", "body_mass")


def _trunk(trial: Trial, events: GaitEvents) -> Iterator[Metric]:
    """Effort that no muscle of the model pays for: an actuator moves the trunk."""
    if TRUNK not in trial.moments:
        raise DataError(f"Trial '{trial.info.name}' has no moment of {TRUNK}.")
    moment = stride_mean(trial, np.abs(trial.moments[TRUNK]), events)
    yield Metric("mean_trunk_moment", float(moment) / body_mass(trial), "Nm/kg", "body_mass")


def _metabolics(model: str) -> Callable[[Trial, GaitEvents], Iterator[Metric]]:
    def compute(trial: Trial, events: GaitEvents) -> Iterator[Metric]:
        cost = energy_cost(trial, model, events=events)
        ending = "" if model == MODELS[0] else f"_{model}"
        for name, value, unit in (
            (f"metabolic_rate_{model}", cost.gross, "W/kg"),
            (f"metabolic_rate_{model}_net", cost.net, "W/kg"),
            (f"cost_of_transport{ending}", cost.cost_of_transport, "J/kg/m"),
            (f"cost_of_transport_net{ending}", cost.cost_of_transport_net, "J/kg/m"),
        ):
            yield Metric(name, value, unit, "body_mass")

    return compute


def _exo(trial: Trial, events: GaitEvents) -> Iterator[Metric]:
    """Zero without a device, so that arms compare."""
    mass = body_mass(trial)
    done = exo_work(trial, events).values()
    positive = float(sum(w.mean_positive for w in done))
    negative = float(sum(w.mean_negative for w in done))
    yield Metric("exo_positive_power", positive / mass, "W/kg", "body_mass")
    yield Metric("exo_negative_power", negative / mass, "W/kg", "body_mass")
    yield Metric("exo_positive_power_watts", positive, "W")
    torque = trial.exo_torque.values
    yield Metric("exo_peak_torque", float(np.abs(torque).max(initial=0.0)), "Nm")
    square = stride_mean(trial, torque**2, events) if torque.shape[1] else np.zeros(1)
    yield Metric("exo_rms_torque", float(np.sqrt(np.mean(square))), "Nm")


def _spatiotemporal(trial: Trial, events: GaitEvents) -> Iterator[Metric]:
    s = spatiotemporal(trial, events)
    yield Metric("walking_speed", s.speed, "m/s")
    yield Metric("stride_time", s.stride_time, "s")
    yield Metric("cadence", s.cadence, "steps/min")
    yield Metric("stride_length", s.stride_length, "m")
    yield Metric("step_length", _mean(s.step_length.values()), "m")
    yield Metric("stance_percent", _mean(s.stance_percent.values()), "%")
    yield Metric("double_support_percent", s.double_support_percent, "%")
    for side in SIDES:
        yield Metric(f"step_length/{side}", s.step_length[side], "m")
        yield Metric(f"stance_percent/{side}", s.stance_percent[side], "%")


def _forces(trial: Trial, events: GaitEvents) -> Iterator[Metric]:
    both = [grf_features(trial, side, events) for side in SIDES]
    for name, attribute in (
        ("grf_peak1_bw", "first_peak"),
        ("grf_peak1_after_landing_bw", "first_peak_after_landing"),
        ("grf_trough_bw", "trough"),
        ("grf_peak2_bw", "second_peak"),
        ("grf_braking_bw", "braking"),
        ("grf_propulsion_bw", "propulsion"),
    ):
        yield Metric(name, _mean(getattr(b, attribute) for b in both), "BW", "body_weight")
    yield Metric("grf_weight_ratio", weight_ratio(trial, events), "1")


def _symmetry(trial: Trial, events: GaitEvents) -> Iterator[Metric]:
    if trial.info.provenance.get("mirrored"):
        raise DataError(
            f"Trial '{trial.info.name}' is half a stride and its mirror image: it has no asymmetry."
        )
    found = joint_symmetry(trial, events)
    if not found:
        raise DataError(f"Trial '{trial.info.name}' has no joint angle of both sides.")
    for name, s in found.items():
        yield Metric(f"symmetry_index/{name}", s.index, "%")
        yield Metric(f"symmetry_correlation/{name}", s.correlation, "1")
        yield Metric(f"symmetry_rms/{name}", s.rms, "deg")
    for name, index in leg_symmetry(trial, events).items():
        yield Metric(f"symmetry_index/{name}", index, "%")
    for side, leg in legs(trial, events).items():
        yield Metric(f"stance_time/{side}", leg.stance_time, "s")
        for name in ("positive_work", "negative_work"):
            done = getattr(leg, name) / body_mass(trial)
            yield Metric(f"leg_{name}/{side}", done, "J/kg", "body_mass")


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


_GROUPS: dict[str, Callable[[Trial, GaitEvents], Iterator[Metric]]] = {
    "activation": _activation,
    "joint_power": _joint_power,
    "trunk": _trunk,
    **{f"metabolic_rate_{model}": _metabolics(model) for model in MODELS},
    "exo": _exo,
    "spatiotemporal": _spatiotemporal,
    "ground_reaction_force": _forces,
    "symmetry": _symmetry,
}
