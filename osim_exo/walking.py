"""The walking task on a batched physics: actions in, observations, rewards and ends out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.control.base import Controller, Signals
from osim_exo.control.phase import HeelStrikePhase
from osim_exo.errors import InputError, ModelError
from osim_exo.observations import ObservationLayout
from osim_exo.physics.base import Physics, PhysicsState, StartState, fallen
from osim_exo.task import GaitTask, reward_terms

Array = npt.NDArray[np.float64]
Observed = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

NEEDED = ("pelvis_tilt", "pelvis_tx", "pelvis_ty", "hip_flexion_r", "hip_flexion_l")
"""Coordinates without which there is no walking task."""


@dataclass(frozen=True)
class EnvState:
    """A snapshot of an environment, to go on from with `restore`; controllers start anew."""

    physics: PhysicsState
    steps: npt.NDArray[np.int64]
    commanded_speed: Array
    last_action: Array
    generators: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class StepResult:
    """What one step of all environments gave, before any reset."""

    observation: Observed
    reward: Array
    terminated: Mask
    truncated: Mask
    terms: dict[str, Array]


class WalkingBatch:
    """The task on a batched physics: what `GaitEnv` and `GaitVectorEnv` share, without Gymnasium.

    The action holds, in this order, the excitation of every muscle (0 to 1), the control of every
    other actuator (-1 to 1), and the exo torque over its maximum (-1 to 1). With a `controller`
    the exo torque comes from there and is not part of the action.
    """

    def __init__(
        self,
        physics: Physics,
        task: GaitTask | None = None,
        controller: Controller | None = None,
        starts: Sequence[StartState] | None = None,
    ) -> None:
        names = physics.names
        missing = [name for name in NEEDED if name not in names.coordinates]
        if missing:
            raise ModelError(
                f"The walking task needs coordinates that the physics lacks: {', '.join(missing)}. "
                f"It has: {', '.join(names.coordinates)}."
            )
        if controller is not None and len(names.exo) != 2:
            raise InputError(
                f"A controller gives torque for two hips, but the model has {len(names.exo)} exo "
                "actuators. Build the model with HipExo(), or leave the controller out."
            )
        self.physics, self.task, self._controller = physics, task or GaitTask(), controller
        self._starts = tuple(starts or ())
        self.layout = ObservationLayout(names)
        n_exo = 0 if controller is not None else len(names.exo)
        self._split = (len(names.muscles), len(names.muscles) + len(names.others))
        n_action = self._split[1] + n_exo
        low = np.full(n_action, -1.0, dtype=np.float32)
        low[: self._split[0]] = 0.0
        self.action_low, self.action_high = low, np.ones(n_action, dtype=np.float32)
        self._hips = [names.coordinates.index(f"hip_flexion_{side}") for side in "rl"]
        self._n_step = max(round(self.task.duration / physics.control_dt), 1)
        self.steps = np.zeros(physics.n_env, dtype=np.int64)
        self.commanded_speed = np.zeros(physics.n_env)
        self.last_action = np.zeros((physics.n_env, n_action))
        self._phase = HeelStrikePhase()
        self._phase.reset(physics.n_env)
        if controller is not None:
            controller.reset(physics.n_env)

    def reset(
        self,
        chosen: npt.NDArray[np.intp],
        generators: Sequence[np.random.Generator],
        commanded_speed: float | None = None,
    ) -> None:
        """Start new episodes in the chosen environments, each drawn from its own generator."""
        task = self.task
        starts: list[StartState] = []
        for env in chosen:
            random = generators[env]
            low, high = task.lowest_speed, task.highest_speed
            speed = random.uniform(low, high) if commanded_speed is None else commanded_speed
            self.commanded_speed[env] = speed
            starts.append(self._start(random, float(speed)))
        for alike in _alike(starts):
            together = _joined([starts[k] for k in alike])
            self.physics.reset(together, chosen[alike])
        self.steps[chosen] = 0
        self.last_action[chosen] = 0.0
        self._phase.reset(self.physics.n_env, chosen)
        if self._controller is not None:
            self._controller.reset(self.physics.n_env, chosen)

    def _start(self, random: np.random.Generator, speed: float) -> StartState:
        """One of the given starts, or standing, with noise; standing starts at half the speed."""
        if self._starts:
            base = self._starts[int(random.integers(len(self._starts)))]
        else:
            base = StartState(speeds={"pelvis_tx": 0.5 * speed})
        free = [n for n in self.physics.names.coordinates if n not in ("pelvis_tx", "pelvis_ty")]
        angles = dict(zip(free, self.task.angle_noise * random.standard_normal(len(free))))
        rates = dict(zip(free, self.task.speed_noise * random.standard_normal(len(free))))
        coordinates = {n: float(np.asarray(base.coordinates.get(n, 0.0))) + angles[n] for n in free}
        speeds = {n: float(np.asarray(base.speeds.get(n, 0.0))) + rates[n] for n in free}
        return StartState(
            {**base.coordinates, **coordinates},
            {**base.speeds, **speeds},
            base.activations,
            base.time,
        )

    def observe(self) -> Observed:
        """Observations of all environments, (n_env, n_observation)."""
        return self.layout.observe(self.physics, self.commanded_speed)

    def step(self, action: npt.ArrayLike) -> StepResult:
        """Advance all environments by one control step."""
        values = np.asarray(action, dtype=float)
        if values.shape != self.last_action.shape:
            raise InputError(
                f"The action has shape {values.shape}; this environment needs "
                f"{self.last_action.shape}: muscles, other actuators, exo torques."
            )
        muscles, others, exo = np.split(values, self._split, axis=1)
        torque = exo * self.physics.max_torque
        if self._controller is not None:
            torque = self._controller(self.signals())
        self.physics.step(muscles, torque, others)
        self.steps += 1
        # A NaN in the action fails its environment; the reward of that step stays a number.
        acted = np.clip(np.nan_to_num(values), self.action_low, self.action_high)
        down = fallen(self.physics, self.task.fall_limits)
        change = acted - self.last_action
        terms = reward_terms(self.physics, self.task, self.commanded_speed, change, down)
        self.last_action = acted
        reward = np.sum(list(terms.values()), axis=0)
        late = (self.steps >= self._n_step) & ~down
        return StepResult(self.observe(), reward, down, late, terms)

    def signals(self) -> Signals:
        """What a controller senses now: hip angles, speeds and the phase from heel strikes.

        Call it once per step: the phase counts the heel strikes as it is read.
        """
        physics = self.physics
        return Signals(
            time=physics.time,
            hip_angle=physics.coordinates[:, self._hips],
            hip_speed=physics.speeds[:, self._hips],
            phase=self._phase.update(physics.time, physics.grf[:, :, 1]),
        )

    def snapshot(self, generators: Sequence[np.random.Generator]) -> EnvState:
        """A copy of everything that `restore` needs."""
        return EnvState(
            self.physics.snapshot(),
            self.steps.copy(),
            self.commanded_speed.copy(),
            self.last_action.copy(),
            tuple(dict(random.bit_generator.state) for random in generators),
        )

    def restore(self, state: EnvState, generators: Sequence[np.random.Generator]) -> None:
        """Go back to a snapshot; phase and controller start anew."""
        self.physics.restore(state.physics)
        self.steps, self.last_action = state.steps.copy(), state.last_action.copy()
        self.commanded_speed = state.commanded_speed.copy()
        for random, held in zip(generators, state.generators):
            random.bit_generator.state = held
        self._phase.reset(self.physics.n_env)
        if self._controller is not None:
            self._controller.reset(self.physics.n_env)


def _alike(starts: Sequence[StartState]) -> list[npt.NDArray[np.intp]]:
    """Positions of the starts that name the same things at the same time, in groups."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for k, start in enumerate(starts):
        named = (start.coordinates, start.speeds, start.activations)
        groups.setdefault((start.time, *(frozenset(part) for part in named)), []).append(k)
    return [np.array(group, dtype=np.intp) for group in groups.values()]


def _joined(starts: Sequence[StartState]) -> StartState:
    """Starts of one environment each, which name the same things, as one of several."""
    first = starts[0]

    def stacked(part: str) -> dict[str, npt.ArrayLike]:
        parts = [getattr(start, part) for start in starts]
        return {name: np.array([p[name] for p in parts], dtype=float) for name in parts[0]}

    return StartState(stacked("coordinates"), stacked("speeds"), stacked("activations"), first.time)
