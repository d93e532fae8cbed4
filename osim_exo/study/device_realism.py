"""How much of what an ideal actuator gives is left once the device is as slow as a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from osim_exo.device import DeviceLimits
from osim_exo.errors import InputError, check_option
from osim_exo.learn.chain import EXO, WORN, Chain, Stage
from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.progress import Progress
from osim_exo.strap import Strap
from osim_exo.study.loops import Loop
from osim_exo.study.sweep import Row
from osim_exo.study.trained_sweep import TrainedSweep

Level = Literal["ideal", "limits", "bandwidth", "delay", "noise", "strap"]

LEVELS: tuple[Level, ...] = ("ideal", "limits", "bandwidth", "delay", "noise", "strap")
"""What each level adds to the one before."""

IDEAL: dict[str, float] = {
    "rate_limit": 1e6,
    "power_limit": 1e5,
    "bandwidth_hz": 1e4,
    "delay_s": 0.0,
}
"""Limits that limit nothing; the largest torque stays the device's."""

ADDS: dict[Level, tuple[str, ...]] = {
    "limits": ("rate_limit", "power_limit"),
    "bandwidth": ("bandwidth_hz",),
    "delay": ("delay_s",),
}


class DeviceRealismSweep(TrainedSweep):
    """The device's policy learned anew on the same frozen human, at every level of realism.

    The level ``noise`` is the chain's own device and sensors; from there on the noise is there in
    training and in the walks. The level ``strap`` puts a strap between that device and the limb.
    """

    kind: Literal["device_realism"] = "device_realism"
    levels: tuple[Level, ...] = Field(default=LEVELS, min_length=1)
    steps: int | None = Field(
        default=None, ge=1, description="of each training; none: those of the chain's own stage"
    )

    def quick_look(self) -> Self:
        """The two ends, one seed, one walk, little training."""
        arm = self.arm.quick_look().changed(seeds=1)
        ends = tuple(dict.fromkeys((self.levels[0], self.levels[-1])))
        return self.changed(arm=arm, levels=ends, steps=min(self.steps or 500_000, 500_000))

    def waves(self) -> tuple[tuple[str, ...], ...]:
        """Training at every level for every seed, with its walks, and walks without torque."""
        arms = ("zero_torque", *self.levels)
        seeds = [chain.seed for chain in self.chains().values()]
        return (tuple(f"{arm}-{seed}" for arm in arms for seed in seeds),)

    def settle(self, cell: str, folder: Path, progress: Progress) -> list[Row]:
        """Train the device's policy, or go on with it, and walk."""
        arm, _, number = cell.partition("-")
        seed = int(number)
        if arm != "zero_torque":
            from osim_exo.learn.stages import run_chain

            run_chain(self.chain(arm, seed), _place(folder, arm, seed), progress=progress)
        (loop,) = (x for x in self.loops(folder) if (x.arm, x.seed) == (arm, seed))
        return self.walk(loop, folder)

    def loops(self, folder: Path) -> list[Loop]:
        """Walks of all levels that are trained, and without torque."""
        settings = self.arm.evaluation(self.speed, self.slope_deg)
        noisy = settings.changed(sensor_noise="trained")
        own = {level: noisy if "noise" in _reached(level) else settings for level in self.levels}
        chains = {chain.seed: place for place, chain in self.chains().items()}
        found = [
            Loop("zero_torque", "zero_torque", place, WORN, seed, settings)
            for seed, place in chains.items()
        ]
        return found + [
            Loop(level, "assisted", _place(folder, level, seed), EXO, seed, own[level], label=level)
            for level in self.levels
            for seed in chains
            if (_place(folder, level, seed) / "chain.json").is_file()
        ]

    def chain(self, level: str, seed: int) -> Chain:
        """A chain of one stage: the device's policy at a level of realism, on the seed's human.

        Parameters
        ----------
        level : one of `LEVELS`
        seed : of the chain that the human is from
        """
        place, chain = next((p, c) for p, c in self.chains().items() if c.seed == seed)
        task = real_up_to(chain.task(place, EXO), level)
        learn = chain.learn(place, EXO)
        learn = learn.changed(steps=self.steps or learn.steps)
        return Chain(stages=(Stage(name=EXO, task=task, learn=learn),), seed=seed)


def real_up_to(task: TaskConfig, level: str) -> TaskConfig:
    """A task whose device is as real as the task's own in all levels up to this one, else ideal.

    The strap is the device's own, or the usual one where it has none.

    Parameters
    ----------
    task : with a device
    level : one of `LEVELS`

    Raises
    ------
    InputError
        The task has no device, or there is no such level.
    """
    check_option("level", level, LEVELS)
    device = task.model.exo
    if device is None:
        raise InputError("The task's model wears no device, so none can be made more real.")
    own = device.limits
    limits = dict(IDEAL)
    reached = _reached(level)
    for name in reached:
        limits |= {field: getattr(own, field) for field in ADDS.get(name, ())}
    rotor = device.reflected_inertia
    limits["max_torque"] = own.max_torque
    worn = device.changed(limits=DeviceLimits.model_validate(limits))
    if "strap" in reached:
        worn = worn.strapped(own.strap or (Strap(inertia=rotor) if rotor else Strap()))
    quiet = {"sensor_angle_noise": 0.0, "sensor_rate_noise": 0.0, "sensor_angle_offset": 0.0}
    senses = task.randomisation if "noise" in reached else task.randomisation.changed(**quiet)
    model = task.model.changed(exo=worn)
    return task.changed(model=model, randomisation=senses)


def _reached(level: str) -> tuple[Level, ...]:
    """Levels up to this one."""
    return LEVELS[: list[str](LEVELS).index(level) + 1]


def _place(folder: Path, level: str, seed: int) -> Path:
    return folder / "trained" / level / f"seed_{seed}"
