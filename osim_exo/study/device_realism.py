"""How much of what an ideal actuator gives is left once the device is as slow as a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from osim_exo.device import DeviceLimits
from osim_exo.errors import DataError, InputError, check_option
from osim_exo.learn.chain import CHAIN, EXO, WORN, Chain, Stage
from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.names import CONDITIONS, Condition
from osim_exo.progress import Progress
from osim_exo.strap import Strap
from osim_exo.study.loops import Loop
from osim_exo.study.sweep import Row
from osim_exo.study.trained_sweep import TrainedSweep

NO_EXO, ZERO_TORQUE, ASSISTED = CONDITIONS

Level = Literal["privileged", "ideal", "limits", "bandwidth", "delay", "noise", "strap"]

LEVELS: tuple[Level, ...] = (
    "privileged", "ideal", "limits", "bandwidth", "delay", "noise", "strap",
)  # fmt: skip
"""What each level adds to the one before. The first has an ideal actuator and sees all that the
human's policy sees; the second sees only what the device measures."""

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
    """The device's policy learned anew on the same human, at every level of realism.

    The level ``noise`` is the chain's own device and sensors; from there on the noise is there in
    training and in the walks. The level ``strap`` puts a strap between that device and the limb.

    A frozen wearer is that of the chain's stage ``worn``, and walks without torque to be compared
    with. An adapting one goes on from there with every level's device, as in the chain's stage
    ``assisted``, and is compared with the chain's arms without torque and without device, which
    had as much training.
    """

    kind: Literal["device_realism"] = "device_realism"
    levels: tuple[Level, ...] = Field(default=LEVELS, min_length=1)
    wearer: Literal["frozen", "adapting"] = Field(
        default="frozen", description="whether the human learns too, once the device has"
    )
    steps: int | None = Field(
        default=None,
        ge=1,
        description="of each training; none: those of the chain's own stage, which alone make an "
        "adapting wearer's budget that of the arms it is compared with",
    )

    def quick_look(self) -> Self:
        """The two ends, one seed, one walk, little training."""
        arm = self.arm.quick_look().changed(seeds=1)
        ends = tuple(dict.fromkeys((self.levels[0], self.levels[-1])))
        return self.changed(arm=arm, levels=ends, steps=min(self.steps or 500_000, 500_000))

    def compared(self) -> dict[Condition, str]:
        """The chains' stages that the levels are compared with, by condition."""
        if self.wearer == "frozen":
            return {ZERO_TORQUE: WORN}
        return {NO_EXO: NO_EXO, ZERO_TORQUE: ZERO_TORQUE}

    def waves(self) -> tuple[tuple[str, ...], ...]:
        """Training at every level for every seed, with its walks; walks to compare with."""
        arms = (*self.compared(), *self.levels)
        seeds = [chain.seed for chain in self.chains().values()]
        return (tuple(f"{arm}-{seed}" for arm in arms for seed in seeds),)

    def settle(self, cell: str, folder: Path, progress: Progress) -> list[Row]:
        """Train the policies, or go on with them, and walk."""
        arm, _, number = cell.partition("-")
        seed = int(number)
        if arm in self.levels:
            from osim_exo.learn.stages import run_chain

            run_chain(self.chain(arm, seed), _place(folder, arm, seed), progress=progress)
        (loop,) = (x for x in self.loops(folder) if (x.arm, x.seed) == (arm, seed))
        return self.walk(loop, folder)

    def loops(self, folder: Path) -> list[Loop]:
        """Walks of all levels that are trained, and those to compare with."""
        settings = self.arm.evaluation(self.speed, self.slope_deg)
        noisy = settings.changed(sensor_noise="trained")
        own = {level: noisy if "noise" in _reached(level) else settings for level in self.levels}
        chains = {chain.seed: place for place, chain in self.chains().items()}
        found = [
            Loop(condition, condition, place, stage, seed, settings)
            for condition, stage in self.compared().items()
            for seed, place in chains.items()
        ]
        last = EXO if self.wearer == "frozen" else ASSISTED
        return found + [
            Loop(level, ASSISTED, _place(folder, level, seed), last, seed, own[level], label=level)
            for level in self.levels
            for seed in chains
            if (_place(folder, level, seed) / CHAIN).is_file()
        ]

    def chain(self, level: str, seed: int) -> Chain:
        """What is trained at a level of realism: the device, then an adapting wearer with it.

        Parameters
        ----------
        level : one of `LEVELS`
        seed : of the chain that the human is from

        Raises
        ------
        DataError
            The wearer is to adapt, but the chain's worn human came without its critic.
        """
        place, chain = next((p, c) for p, c in self.chains().items() if c.seed == seed)

        def stage(name: str, **learning: Any) -> Stage:
            learn = chain.learn(place, name)
            own = learn.changed(steps=self.steps or learn.steps, **learning)
            return Stage(name=name, task=real_up_to(chain.task(place, name), level), learn=own)

        device = stage(EXO)
        if self.wearer == "frozen":
            return Chain(stages=(device,), seed=seed)
        # With torch, which studies of solved gaits do without.
        from osim_exo.learn.held import Held

        worn = chain.place(place, WORN).resolve()
        if not Held.read(worn).has_critic:
            raise DataError(
                f"The worn human in '{worn}' came without its critic, so it cannot go on learning "
                "as in its chain. Use the folder of osim-exo train --staged, a chain packed by "
                'this osim_exo, or wearer = "frozen".'
            )
        both = stage(ASSISTED, start_from=(Path(EXO), worn))
        return Chain(stages=(device, both), seed=seed)


def real_up_to(task: TaskConfig, level: str) -> TaskConfig:
    """A task whose device is as real as the task's own in all levels up to this one, else ideal.

    From the level ``ideal`` on the policy sees what it sees in the task, before that all.

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
    readings = task.randomisation if "noise" in reached else task.randomisation.changed(**quiet)
    model = task.model.changed(exo=worn)
    seen = task.senses if "ideal" in reached else task.senses.changed(privileged=True)
    return task.changed(model=model, randomisation=readings, senses=seen)


def _reached(level: str) -> tuple[Level, ...]:
    """Levels up to this one."""
    return LEVELS[: list[str](LEVELS).index(level) + 1]


def _place(folder: Path, level: str, seed: int) -> Path:
    return folder / "trained" / level / f"seed_{seed}"
