"""A trained walker that wears a device outside the simulation: poses out, torque in.

For hardware in the loop: the virtual exo of `osim_exo.deploy`, or a real one on a bench, asks for
the pose and tells the torque that it delivers.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from osim_exo.control import Signals
from osim_exo.errors import InputError, check_option
from osim_exo.learn.tasks import strides_of
from osim_exo.learn.tasks.config import CommandPoint, Commands, TaskConfig
from osim_exo.learn.tasks.ends import Falls
from osim_exo.learn.tasks.onboard import Onboard
from osim_exo.learn.tasks.senses import Reading
from osim_exo.learn.tasks.starts import StartSource
from osim_exo.learn.tasks.walker import Walker
from osim_exo.learn.walkers import TrainedWalker
from osim_exo.models import HipExo
from osim_exo.physics import CompiledPhysics, OpenSimPhysics
from osim_exo.physics.compiled.source import model_spec

Array = npt.NDArray[np.float64]
Pair = tuple[float, float]

IDEAL = {"rate_limit": 1e6, "bandwidth_hz": 1e4, "delay_s": 0.0, "power_limit": 1e5}
"""The device's drives are outside: what they deliver acts at once."""


class _Felt:
    """As a controller of the simulated device: the torque that was told from outside."""

    def __init__(self) -> None:
        self.torque: Pair = (0.0, 0.0)

    def reset(self, n_env: int, environments: npt.ArrayLike | None = None) -> None:
        """Nothing to forget."""

    def __call__(self, signals: Signals) -> Array:
        """The torque, (1, 2) array, Nm."""
        return np.array([self.torque])


class LiveWalker:
    """One walker in simulation, with its clock driven from outside.

    A walker that has fallen lies as it fell: its pose does not change any more.

    Parameters
    ----------
    trained : TrainedWalker
        Its human walks; the model wears the task's hip device, or `HipExo` if it had none.
    speed : commanded, m/s
    slope_deg : uphill positive, degrees
    dt : step of the simulation, s; the pose between two steps follows the joints' speeds
    substep : s
    seed : of the start's noise
    physics : ``compiled``, or real OpenSim with the same fixed sub-step, halved

    Attributes
    ----------
    fell_at : s, or None
    body_mass : kg, without the device

    Raises
    ------
    InputError
        There is no human policy, or the device is not on the hips.
    """

    def __init__(
        self,
        trained: TrainedWalker,
        speed: float = 1.25,
        slope_deg: float = 0.0,
        dt: float = 0.005,
        substep: float = 0.0005,
        seed: int = 0,
        physics: Literal["compiled", "opensim"] = "compiled",
    ) -> None:
        check_option("physics", physics, ("compiled", "opensim"))
        if "human" not in trained.policies:
            raise InputError(
                f"The walker has policies of {', '.join(trained.policies)}, none of a human. Name "
                "the run of a human."
            )
        task = worn_task(trained.task, speed, slope_deg)
        self._hold = round(task.control_dt / dt)
        if self._hold < 1 or abs(self._hold * dt - task.control_dt) > 1e-9:
            raise InputError(
                f"dt = {dt:g} s does not divide the walker's control step of {task.control_dt:g} s."
            )
        self._dt, self._step, self.fell_at = dt, 0, None
        self._random = np.random.default_rng(seed)
        worn = task.model.exo or HipExo()
        limits = worn.limits.changed(**IDEAL, strap=None)
        self._physics: CompiledPhysics | OpenSimPhysics
        if physics == "compiled":
            self._physics = CompiledPhysics(
                task.model, 1, dt, substep, limits=limits, on_failure="mark"
            )
            self._physics.set_parameters(slope_deg=slope_deg)
        else:
            # OpenSim's own fixed step is explicit: it needs a shorter one for the same walk.
            sloped = task.model.changed(slope_deg=slope_deg)
            self._physics = OpenSimPhysics(
                sloped, 1, dt, substep=0.5 * substep, limits=limits, on_failure="mark"
            )
        self._felt = _Felt()
        self._signals = Onboard(self._physics, self._felt)
        strides = strides_of(task, self._physics)
        followed = strides if task.kind == "imitate" else None
        trunk = [
            actuator.optimal_force
            for actuator in model_spec(task.model).actuators
            if not actuator.name.startswith("exo_")
        ]
        human = {"human": trained.policies["human"]}
        self._walker = Walker(
            task, self._physics, trunk[0] if trunk else 1.0, followed, human, self._felt
        )
        self._falls = Falls(task, self._physics)
        self._begin(StartSource(task.starts, self._physics, strides))
        self.body_mass = self._physics.body_weight / 9.80665
        self._controls: tuple[Array, Array, Array] | None = None
        self._pose = self._read()

    fell_at: float | None

    def _begin(self, starts: StartSource) -> None:
        rows, standing = np.arange(1), np.zeros(1, dtype=bool)
        speed, slope = self._walker.commands.draw(self._random, 1)
        self._walker.commands.begin(rows, speed, slope, standing, self._random)
        begun = starts.place(rows, standing, speed, slope, self._random, np.zeros(1))
        self._reading = Reading.of(self._physics)
        self._walker.begin(rows, self._reading, begun.forward, begun.phase)

    def feel(self, torque: Pair) -> None:
        """What the device delivers from now on, Nm; right then left, hip flexion positive."""
        self._felt.torque = torque

    def walk_to(self, time: float) -> dict[str, Pair]:
        """Pose at `time` (s), which does not go back; right then left, rad and rad/s.

        Returns
        -------
        dict with ``hip_angle``, ``hip_speed``, ``thigh_angle`` and ``thigh_rate``
        """
        while (self._step + 1) * self._dt <= time + 1e-9 and self.fell_at is None:
            self._advance()
        if self.fell_at is not None:
            return {**self._pose, "hip_speed": (0.0, 0.0), "thigh_rate": (0.0, 0.0)}
        ahead = min(max(time - self._step * self._dt, 0.0), self._dt)
        pose = self._pose
        return {
            "hip_angle": _moved(pose["hip_angle"], pose["hip_speed"], ahead),
            "hip_speed": pose["hip_speed"],
            "thigh_angle": _moved(pose["thigh_angle"], pose["thigh_rate"], ahead),
            "thigh_rate": pose["thigh_rate"],
        }

    def _advance(self) -> None:
        """One step of the physics; the human's policy acts at its own rate."""
        none = np.zeros((1, 0), dtype=np.float32)
        if self._controls is None or self._step % self._hold == 0:
            self._walker.observe(self._reading)
            self._controls = self._walker.controls(none, self._reading)
        excitations, _, others = self._controls
        self._physics.step(excitations, np.array([self._felt.torque]), others)
        self._step += 1
        if self._step % self._hold == 0:
            self._reading = Reading.of(self._physics)
            self._walker.advance(self._reading, self._random)
            if self._falls(self._reading, self._walker.target())[0]:
                self.fell_at = self._step * self._dt
        self._pose = self._read()

    def _read(self) -> dict[str, Pair]:
        signals = self._signals.signals()
        found = {}
        for name in ("hip_angle", "hip_speed", "thigh_angle", "thigh_rate"):
            right, left = getattr(signals, name)[0].tolist()
            found[name] = (right, left)
        return found


def worn_task(task: TaskConfig, speed: float, slope_deg: float) -> TaskConfig:
    """A walker's task with a device on the hips that somebody else drives.

    Parameters
    ----------
    task : of the walker, with a device or without
    speed : commanded, m/s
    slope_deg : uphill positive, degrees
    """
    exo = task.model.exo if task.model.exo is not None else HipExo()
    # The body's own torque is the device's; what was learned with an exo is not needed.
    return TaskConfig.model_validate(
        {
            **task.model_dump(mode="json"),
            "model": task.model.changed(exo=exo).model_dump(mode="json"),
            "condition": "zero_torque",
            "learner": "human",
            "human_policy": None,
            "exo_policy": None,
            "commands": Commands(
                schedule=(CommandPoint(time=0, speed=speed, slope_deg=slope_deg),)
            ).model_dump(mode="json"),
        }
    )


def _moved(angle: Pair, rate: Pair, time: float) -> Pair:
    return angle[0] + rate[0] * time, angle[1] + rate[1] * time
