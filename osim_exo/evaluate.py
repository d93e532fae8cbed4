"""Motions through a model: inverse dynamics of recorded walks, forward runs of planned controls.

`inverse_dynamics` and `measured_trial` turn a motion and its ground forces into joint moments;
`rollout` runs prescribed excitations and an exo controller in a stepped physics, OpenSim's own or a
compiled one. All give what analysis reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from osim_exo.analysis.metabolics import with_metabolic_rates
from osim_exo.control.base import Controller
from osim_exo.errors import InputError, check_option
from osim_exo.inverse import FEET, as_config, differentiate, inverse_dynamics, measured_trial
from osim_exo.models import ModelConfig
from osim_exo.models.recipe import load_opensim
from osim_exo.names import Condition
from osim_exo.physics import CompiledPhysics, OpenSimPhysics, Physics, StartState
from osim_exo.trial import Array, Trial
from osim_exo.walking import WalkingBatch

if TYPE_CHECKING:
    from osim_exo.physics.record import Motion

__all__ = [
    "FEET",
    "STEPPED",
    "Stepped",
    "differentiate",
    "inverse_dynamics",
    "measured_trial",
    "rollout",
]


Stepped = Literal["opensim", "compiled"]
STEPPED: tuple[Stepped, ...] = get_args(Stepped)
"""Physics that a rollout can be stepped in."""

COMPILED_STEP = 0.0005
"""s; of the compiled physics in rollouts, where it is about as close to a plan as the manager."""


def rollout(
    model: ModelConfig | str | Path,
    plan: Motion,
    duration: float | None = None,
    *,
    start: float | None = None,
    controller: Controller | None = None,
    controller_name: str = "",
    control_dt: float = 0.01,
    physics: Stepped = "opensim",
    mode: Literal["fixed", "manager"] = "manager",
    substep: float = COMPILED_STEP,
    name: str = "rollout",
    **facts: Any,
) -> Trial:
    """Run planned controls from a planned state in a stepped physics.

    Every control is held over `control_dt` at the plan's value in the middle of it. Nothing
    corrects the walker: open-loop walking departs from its plan within a few tenths of a second.
    The exo torque is the controller's, or else the plan's control of the device; in both cases
    the device's delay, bandwidth, rate and power limits act, from zero torque at the start.

    Parameters
    ----------
    model : ModelConfig, or path of an ``.osim`` file
        An exo has ``exo_actuator="torque"``: its dynamics act outside the model.
    plan : Motion
        As ``gait.solution.stride()`` gives it: states by absolute path, of which coordinates,
        speeds and activations at `start` are used, and controls by actuator name. Tendons that
        stretch start in equilibrium.
    duration : s; to the plan's end if not given
    start : s, time in the plan; its beginning if not given
    controller : exo controller; it senses hip angles and heel strikes since the start
    controller_name : label of the trial; the controller's class name if not given
    control_dt : s
    physics : ``"opensim"``, or ``"compiled"``: the same model, compiled. What the trial tells of
        the motion is OpenSim's evaluation of the model in both.
    mode : of `OpenSimPhysics`; the manager is the closer one to the plan
    substep : of both physics where the step is fixed, s
    name : label of the trial
    facts : further fields of `TrialInfo`, as ``subject`` and ``speed``

    Returns
    -------
    Trial
        Sampled every `control_dt`. If the walker falls, the trial ends there, and
        ``info.provenance["fell_at"]`` is the time of it in s, otherwise None.

    Raises
    ------
    InputError
        The time span lies outside the plan, or the plan lacks states or excitations.
    SimulationError
        The simulation left the finite numbers.
    """
    check_option("physics", physics, STEPPED)
    config = as_config(model)
    first = float(plan.time[0]) if start is None else float(start)
    length = float(plan.time[-1]) - first if duration is None else float(duration)
    n_step = _checked_steps(plan, first, length, control_dt)
    stepped: OpenSimPhysics | CompiledPhysics
    if physics == "compiled":
        stepped = CompiledPhysics(config, control_dt=control_dt, substep=substep)
    else:
        stepped = OpenSimPhysics(config, control_dt=control_dt, mode=mode, substep=substep)
    stepped.reset(_start(stepped, plan, first))
    batch = WalkingBatch(stepped, controller=controller)
    actions = _actions(stepped, plan, first, n_step, controller is not None)
    states, torques = [stepped.snapshot().states[0]], [stepped.exo_torque[0]]
    fell_at = None
    for action in actions:
        down = bool(batch.step(action[None]).terminated[0])
        states.append(stepped.snapshot().states[0])
        torques.append(stepped.exo_torque[0])
        if down:
            fell_at = float(stepped.time[0])
            break
    by_path = _by_path(config, stepped, np.array(states))
    motion = _motion(stepped, first, by_path, np.array(torques), actions)
    label = controller_name or (type(controller).__name__ if controller else "none")
    planned = any(np.any(plan.controls.get(n, 0.0)) for n in stepped.names.exo)
    identity: dict[str, Any] = {
        "condition": _condition(config, controller is not None or planned),
        "controller": "playback" if planned and controller is None else label,
        "physics": physics,
        **facts,
    }
    identity["provenance"] = {
        "fell_at": fell_at,
        "control_dt": control_dt,
        **({"substep": substep} if physics == "compiled" else {"mode": mode}),
        **facts.get("provenance", {}),
    }
    return _recorded(config, motion, name, identity)


def _condition(config: ModelConfig, commanded: bool) -> Condition:
    if config.exo is None:
        return "no_exo"
    return "assisted" if commanded else "zero_torque"


def _checked_steps(plan: Motion, first: float, length: float, control_dt: float) -> int:
    begin, end = float(plan.time[0]), float(plan.time[-1])
    inside = begin - 1e-9 <= first and first + length <= end + 1e-9
    n_step = round(length / control_dt) if length > 0 and control_dt > 0 else 0
    if not inside or n_step < 1:
        raise InputError(
            f"A run of {length:g} s from {first:g} s in steps of {control_dt:g} s was asked for; "
            f"the plan spans {begin:g} to {end:g} s. Ask for at least one step within it."
        )
    return n_step


def _start(physics: Physics, plan: Motion, first: float) -> StartState:
    """The plan's state at a time; every coordinate must be in it."""
    found: dict[str, dict[str, Any]] = {"value": {}, "speed": {}, "activation": {}}
    for path, values in plan.states.items():
        owner, _, kind = path.rpartition("/")
        if kind in found:
            found[kind][owner.rsplit("/", 1)[-1]] = float(np.interp(first, plan.time, values))
    names = physics.names
    missing = [n for n in names.coordinates if n not in found["value"] or n not in found["speed"]]
    if missing:
        raise InputError(
            f"The plan has no value or speed of {', '.join(missing)}. It needs states of every "
            "coordinate, by absolute path as /jointset/hip_r/hip_flexion_r/value."
        )
    held = {n: min(max(a, 0.0), 1.0) for n, a in found["activation"].items() if n in names.muscles}
    return StartState(found["value"], found["speed"], held, time=first)


def _actions(physics: Physics, plan: Motion, first: float, n_step: int, controlled: bool) -> Array:
    """Actions of the walking task, (n_step, n_action): muscles, other actuators, exo."""
    names = physics.names
    missing = [n for n in (*names.muscles, *names.others) if n not in plan.controls]
    if missing:
        raise InputError(
            f"The plan has no control of {', '.join(missing)}. It needs one of every muscle and "
            "of every actuator that is not the device's."
        )
    wanted = (*names.muscles, *names.others, *(() if controlled else names.exo))
    middle = first + physics.control_dt * (np.arange(n_step) + 0.5)
    none = np.zeros(plan.time.size)
    columns = [np.interp(middle, plan.time, plan.controls.get(n, none)) for n in wanted]
    return np.stack(columns, axis=1)


def _by_path(
    config: ModelConfig, physics: OpenSimPhysics | CompiledPhysics, states: Array
) -> dict[str, Array]:
    """States of a physics, (n_sample, n_state), by OpenSim's state paths."""
    if isinstance(physics, CompiledPhysics):
        return {path: states[:, column] for path, column in physics.state_paths.items()}
    osim = load_opensim()
    model = config.build()
    state = model.initSystem()
    rows = []
    for y in states:
        state.setY(osim.Vector.createFromMat(y))
        rows.append(model.getStateVariableValues(state).to_numpy().copy())
    names = model.getStateVariableNames()
    paths = [names.get(i) for i in range(names.getSize())]
    return dict(zip(paths, np.array(rows).T))


def _motion(
    physics: Physics, first: float, states: dict[str, Array], torques: Array, actions: Array
) -> Motion:
    """What was run, as states by path and controls by name; the last control is held."""
    from osim_exo.physics.record import Motion

    n_sample = len(torques)
    used = actions[np.minimum(np.arange(n_sample), len(actions) - 1)]
    driven = (*physics.names.muscles, *physics.names.others)
    controls = {n: used[:, k] for k, n in enumerate(driven)}
    for k, n in enumerate(physics.names.exo):
        controls[n] = torques[:, k] / physics.max_torque
    time = first + physics.control_dt * np.arange(n_sample, dtype=float)
    return Motion(time, states, controls)


def _recorded(config: ModelConfig, motion: Motion, name: str, identity: dict[str, Any]) -> Trial:
    from osim_exo.physics.record import Recorder, describe

    model = config.build()
    recorder = Recorder(model, config.display)
    info = describe(config, model, name, **identity)
    trial = recorder.record(motion, info)
    return with_metabolic_rates(trial) if len(trial.activations) else trial
