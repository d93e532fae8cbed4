"""A walker and its device on any physics: senses, drives and commands, without any reward.

Training and evaluation share it, so that a policy meets the same world in both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from osim_exo.control import Controller
from osim_exo.errors import InputError
from osim_exo.learn.synergies import basis
from osim_exo.learn.tasks.commands import CommandSource
from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.learn.tasks.drive import ExoDrive, HumanDrive
from osim_exo.learn.tasks.onboard import Onboard
from osim_exo.learn.tasks.senses import ExoSensors, HumanSenses, Reading
from osim_exo.learn.tasks.strides import FORWARD, Posture, Strides
from osim_exo.physics.base import Physics
from osim_exo.policy import Action, Interface, Signal

Array = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]
Arrays = dict[str, npt.NDArray[np.generic]]

MEAN_SPEED_TIME = 0.4
"""s; time constant of the low-pass filter on the forward speed."""


class Actor(Protocol):
    """A policy that is not learned any more."""

    @property
    def interface(self) -> Interface:
        """What it observes and gives."""

    def __call__(self, observation: Float32) -> Float32:
        """Outputs before squashing, (n, n_action), for (n, n_observation) observations."""


class Walker:
    """Senses, drives and commands of all environments of a physics.

    Parameters
    ----------
    config : TaskConfig
    physics : Physics
        Of the task's model.
    trunk_torque : of the trunk's actuator at full control, Nm
    strides : reference whose phase is observed; for imitation
    frozen : policies by part, ``human`` or ``exo``, that act but are not learned
    controller : drives the device in place of a policy; a frozen ``exo`` then only advises

    Attributes
    ----------
    advice : (n_env, n_exo) array or None
        Nm; what the frozen ``exo`` would have commanded in the last control step, where a
        controller drives the device.
    learned : parts whose actions come from outside, in their order
    commands : CommandSource
    mean_speed : (n_env,) array, m/s; forward, low-passed
    phase : (n_env,) array, share of the reference's stride
    """

    def __init__(
        self,
        config: TaskConfig,
        physics: Physics,
        trunk_torque: float,
        strides: Strides | None = None,
        frozen: Mapping[str, Actor] | None = None,
        controller: Controller | None = None,
    ) -> None:
        names, n, dt = physics.names, physics.n_env, config.control_dt
        self._config, self._physics, self._dt = config, physics, dt
        self._strides, self._frozen = strides, dict(frozen or {})
        self._onboard = None if controller is None else Onboard(physics, controller)
        self.advice: Array | None = None
        assisted = config.condition == "assisted"
        # Beside a controller, the exo's policy is there only if it is to advise.
        has_exo = assisted and (controller is None or "exo" in self._frozen)
        parts = ("human", "exo") if has_exo else ("human",)
        self.learned = tuple(part for part in parts if part not in self._frozen)
        groups = basis(config.synergies.number, config.starts.gaits) if config.synergies else None
        self._senses = HumanSenses(names, physics.standing_height, strides is not None)
        self._drive = HumanDrive(names, config.trunk, trunk_torque, config.synergies, groups)
        self.exo: ExoSensors | None = None
        if "exo" in parts:
            self.exo = ExoSensors(config.senses, names, physics.max_torque, n, dt)
            self._exo_drive = ExoDrive(names, physics.max_torque, physics.body_weight)
        self._signals: dict[str, tuple[Signal, ...]] = {"human": self._senses.signals}
        self._actions: dict[str, tuple[Action, ...]] = {"human": self._drive.actions}
        if self.exo is not None:
            teacher = self._senses.signals if config.senses.privileged else ()
            self._signals["exo"] = (*self.exo.signals, *teacher)
            self._actions["exo"] = self._exo_drive.actions
        self._check_frozen()
        self.commands = CommandSource(config.commands, n, dt)
        self._forward = names.coordinates.index(FORWARD)
        self._share = 1.0 - math.exp(-dt / MEAN_SPEED_TIME)
        self.mean_speed, self.phase = np.zeros(n), np.zeros(n)
        self._seen: dict[str, Float32] = {
            part: np.zeros((n, len(rows)), dtype=np.float32) for part, rows in self._signals.items()
        }

    def _check_frozen(self) -> None:
        """Refuse policies that were made for other signals."""
        for part, actor in self._frozen.items():
            if part not in self._signals:
                raise InputError(f"There is a frozen {part} policy, but the task has no {part}.")
            for what, rows, given in (
                ("observes", self._signals[part], actor.interface.observations),
                ("drives", self._actions[part], actor.interface.actions),
            ):
                here, there = {row.name for row in rows}, {row.name for row in given}
                if [row.name for row in rows] != [row.name for row in given]:
                    only = sorted(there - here) or ["the same in another order"]
                    raise InputError(
                        f"The frozen {part} policy {what} {', '.join(only)}, which this task does "
                        f"not have; missing: {', '.join(sorted(here - there)) or 'none'}. Use a "
                        "policy of the same model, kind of task and settings."
                    )

    def signals(self) -> tuple[Signal, ...]:
        """What the learned parts observe, one after the other; names twice only once."""
        rows: dict[str, Signal] = {}
        for part in self.learned:
            rows |= {row.name: row for row in self._signals[part]}
        return tuple(rows.values())

    def actions(self) -> tuple[Action, ...]:
        """What the learned parts give."""
        return tuple(row for part in self.learned for row in self._actions[part])

    def part_columns(self) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
        """Columns of observation and action that belong to each learned part."""
        place = {row.name: i for i, row in enumerate(self.signals())}
        found, at = {}, 0
        for part in self.learned:
            n = len(self._actions[part])
            seen = tuple(place[row.name] for row in self._signals[part])
            found[part] = (seen, tuple(range(at, at + n)))
            at += n
        return found

    def human_observation(self, rows: Rows | slice) -> Float32:
        """What the human observed last, (n_row, n_signal) array."""
        return self._seen["human"][rows]

    @property
    def human_signals(self) -> tuple[Signal, ...]:
        """What the human observes."""
        return self._signals["human"]

    def begin(self, rows: Rows, reading: Reading, mean_speed: Array, phase: Array) -> None:
        """Begin episodes: filters and memories of some environments.

        Parameters
        ----------
        rows : environments
        reading : of these rows, at the start
        mean_speed, phase : (n_row,) arrays
        """
        self.mean_speed[rows], self.phase[rows] = mean_speed, phase
        if self.exo is not None:
            self.exo.begin(rows, self.exo.measure(reading))
        if self._onboard is not None:
            self._onboard.begin(rows)

    def observe(self, reading: Reading, rows: Rows | slice = slice(None)) -> Float32:
        """What the learned parts observe, a new (n_row, n_observation) array.

        Parameters
        ----------
        reading : of these rows
        rows : environments; all if not given
        """
        commands = self.commands
        human = np.empty((len(reading.coordinates), len(self._signals["human"])), dtype=np.float32)
        phase = self.phase[rows] if self._strides is not None else None
        self._senses.observe(reading, commands.speed[rows], self.mean_speed[rows], phase, human)
        self._seen["human"][rows] = human
        if self.exo is None:
            return human
        n_own = len(self.exo.signals)
        exo = np.empty((len(human), len(self._signals["exo"])), dtype=np.float32)
        self.exo.observe(reading.exo_torque, rows, exo[:, :n_own])
        exo[:, n_own:] = human if exo.shape[1] > n_own else 0.0
        self._seen["exo"][rows] = exo
        if self.learned == ("human", "exo"):
            return np.hstack([human, exo[:, :n_own]])
        if not self.learned:
            return human[:, :0]
        return human if self.learned[0] == "human" else exo

    def controls(self, action: Float32, reading: Reading) -> tuple[Array, Array, Array]:
        """Excitations, commanded exo torque (Nm) and other controls for the learned parts' action.

        Parameters
        ----------
        action : (n_env, n_action) array, before squashing
        reading : now
        """
        outputs, at = {}, 0
        for part in self.learned:
            n = len(self._actions[part])
            outputs[part], at = action[:, at : at + n], at + n
        for part, actor in self._frozen.items():
            outputs[part] = actor(self._seen[part])
        excitations, others = self._drive(outputs["human"], reading.coordinates, reading.speeds)
        torque = np.zeros(reading.exo_torque.shape)
        if self.exo is not None:
            torque = self._exo_drive(outputs["exo"])
        if self._onboard is not None:
            self.advice = torque if self.exo is not None else None
            torque = self._onboard.torque()
        return excitations, torque, others

    def device_torque(self, commanded: Array) -> Array:
        """Commanded exo torque now, within a control step, (n_env, n_exo) array, Nm.

        Parameters
        ----------
        commanded : of the last call; a policy's holds over its control step, a controller acts in
            every step of the physics
        """
        return commanded if self._onboard is None else self._onboard.torque()

    def advance(
        self, reading: Reading, random: np.random.Generator, measured: Array | None = None
    ) -> None:
        """Go on by a control step: filters, phase, commands, the device's memory.

        Parameters
        ----------
        reading : after the step
        random : draws commands
        measured : what the device measures, if not the truth
        """
        forward = reading.speeds[:, self._forward]
        self.mean_speed += self._share * (forward - self.mean_speed)
        if self._strides is not None:
            period = self._strides.period(self.commands.speed, self.commands.slope_deg)
            self.phase = np.mod(self.phase + self._dt / period, 1.0)
        self.commands.advance(random)
        if self.exo is not None:
            self.exo.push(self.exo.measure(reading) if measured is None else measured)

    def target(self) -> Posture | None:
        """States of the reference now; None without one."""
        if self._strides is None:
            return None
        return self._strides.at(self.phase, self.commands.speed, self.commands.slope_deg)

    def snapshot(self) -> Arrays:
        """A copy of everything that `restore` needs beside the physics."""
        held: Arrays = {"mean_speed": self.mean_speed.copy(), "phase": self.phase.copy()}
        held |= {f"commands/{n}": v for n, v in self.commands.snapshot().items()}
        held |= {f"seen/{n}": v.copy() for n, v in self._seen.items()}
        if self.exo is not None:
            held["exo_past"] = self.exo.snapshot()
        return held

    def restore(self, held: Arrays) -> None:
        """Go back to a snapshot."""
        self.mean_speed = np.array(held["mean_speed"], dtype=float)
        self.phase = np.array(held["phase"], dtype=float)
        self.commands.restore({n[9:]: v for n, v in held.items() if n.startswith("commands/")})
        for part in self._seen:
            self._seen[part] = np.array(held[f"seen/{part}"], dtype=np.float32)
        if self.exo is not None:
            self.exo.restore(held["exo_past"])
