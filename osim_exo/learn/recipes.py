"""Recipes that taught this project's walkers and devices.

No stage of a walker has a reference in its reward. Episodes begin within strides of the solved
gaits, which track human joint angles weakly, or standing; after that nothing holds a walker near
them. One cost is a prior of posture, `SWING_ANKLE`; all weights were chosen by looking at human
bands too. docs/learning.md and docs/learned_arms.md tell what each part gave.
"""

from __future__ import annotations

from pathlib import Path

from osim_exo.errors import InputError
from osim_exo.learn.chain import Stage
from osim_exo.learn.config import LearnConfig
from osim_exo.learn.tasks.config import (
    Commands,
    Ends,
    Randomisation,
    Span,
    Starts,
    TaskConfig,
    WalkReward,
)
from osim_exo.models import JointExo, ModelConfig

STEPS, WIDE_STEPS = 8_000_000, 12_000_000
"""Control steps of all environments, for one speed and slope, and for ranges after that."""

STANDING_SHARE, DURATION = 0.5, 4.0
"""Of episodes, and s: where many episodes are short, many begin, and the start is learned.

With 10 s and a share of 0.3 a third of the walkers still fell from standing after 12 million steps.
"""

HARD_SHARE = 0.5
"""Of episodes, begun where walkers lately fell: with ranges, failures are rare and far between.

Drawn evenly, up to a third still fell from standing on the steepest slope.
"""

PUSHES = Randomisation(push_every=(1.0, 3.0), push_speed=0.5)
"""s and m/s; who was pushed in training stays up, and walks no worse without pushes."""

SPEED, SLOPE = 1.25, 0.0
"""m/s and degrees, or what of the ranges is nearest: where ranges are learned from."""

SWING_ANKLE = -0.7
"""Per rad of dorsiflexion beyond neutral in swing: a prior of posture, not a cost of walking.

The model's passive ankle resists from 25 degrees on only; people's calves resist from neutral on.
"""

REWARD = WalkReward(
    final_effort=-30.0,
    upright_bounce=0.2,
    loading=-2.0,
    pelvis_tilt=-15.0,
    swing_ankle=SWING_ANKLE,
    climb_power=0.5,
)
"""Heavy effort, and little against the mass centre's rise and fall, which heavy effort uses.

Uphill it counts less: where walking costs more than it earns, walkers learn to fall.
"""

WIDE_EFFORT, WIDE_FINAL_EFFORT = -10.0, -25.0
"""Weights of squared activation for ranges, at first and at last."""

STOP_EVERY, STOP_SHARE, STOP_STANDING = (2.0, 8.0), 0.5, 0.4
"""Time between commands, s; share of them that is to stand; share of episodes begun standing.

With a quarter of the commands to stand, and 5 million steps, walkers still fell when told to stop;
with a tenth of the episodes begun standing they forgot how to start.
"""

STOP_STEPS = 20_000_000
"""Control steps to learn it."""

LATER_STANDING_SHARE, LATER_DURATION = 0.1, 10.0
"""Of episodes that begin standing, at most, and s, at least: in the stages after the human's own,
which are about walking, not about its start."""

DEVICE_WEIGHTS = {"speed": 6.0, "alive": 4.0, "fall": -10.0, "metabolic": -1.0}
"""A device earns its wearer's metabolic rate and speed; all else of the wearer's reward is small.

With the wearer's own weights a device saved metabolic power by slowing its wearer down; and life
must earn more than metabolic power costs uphill, or falls pay. docs/learned_arms.md has numbers.
"""

DEVICE_START_STD = 0.4
"""Of the actions, as a share of the largest torque: a device must find out what torque does."""


def real(device: JointExo) -> JointExo:
    """A device as real as the model of it can be: 30 ms of transport delay, a bandwidth of 8 Hz.

    These are of control over a bus, a series elastic or strapped drive and tissue together; they
    are choices of this project.
    """
    return device.changed(limits=device.limits.changed(delay_s=0.03, bandwidth_hz=8.0))


def walking(task: TaskConfig) -> TaskConfig:
    """A walker's task for one that walks already.

    Effort has its last weight from the start, and most episodes are long and begin within a stride.
    """
    reward, starts = task.walk, task.starts
    if reward.final_effort is not None:
        reward = reward.changed(effort=reward.final_effort, final_effort=None)
    share = min(starts.standing_share, LATER_STANDING_SHARE)
    return task.changed(
        walk=reward,
        starts=starts.changed(standing_share=share, hard_share=0.0),
        ends=task.ends.changed(duration=max(task.ends.duration, LATER_DURATION)),
    )


def stopping(task: TaskConfig) -> TaskConfig:
    """A walker's task for one that walks already, and shall learn to stop, stand and walk on.

    Parameters
    ----------
    task : of the walker

    Raises
    ------
    InputError
        The walker is a frozen one, whom a device learns to help.
    """
    if task.learner == "exo":
        raise InputError("The task's human is frozen and learns nothing; give one that learns.")
    later = walking(task)
    return later.changed(
        commands=later.commands.changed(change_every=STOP_EVERY, stop_share=STOP_SHARE),
        starts=later.starts.changed(standing_share=STOP_STANDING),
    )


def device_task(task: TaskConfig) -> TaskConfig:
    """What a device learns that helps a frozen human.

    Parameters
    ----------
    task : of the device and its wearer, with the wearer's own reward
    """
    return task.changed(walk=task.walk.changed(**DEVICE_WEIGHTS))


def device_learning(learn: LearnConfig, steps: int) -> LearnConfig:
    """How a device learns that helps a frozen human: from nothing, at the usual rates.

    Its torque changes the reward by little, which pushes and commands shake: twice as much
    experience per iteration, and twice the passes over it.

    Parameters
    ----------
    learn : of the wearer
    steps : control steps of all environments
    """
    ppo = learn.ppo.changed(horizon=2 * learn.ppo.horizon, epochs=2 * learn.ppo.epochs)
    network = learn.network.changed(exo_start_std=DEVICE_START_STD)
    return learn.changed(steps=steps, start_from=(), ppo=ppo, network=network)


def human_stages(model: ModelConfig, commands: Commands) -> tuple[Stage, ...]:
    """Stages of a human alone, from nothing; in each, effort grows as long as episodes last.

    Ranges of speed or slope are learned from one speed, near 1.25 m/s on the level: learned from
    nothing, they ended in short steps and flat feet.

    Parameters
    ----------
    model : without device
    commands : speeds and slopes
    """
    wide = commands.speed[0] < commands.speed[1] or commands.slope_deg[0] < commands.slope_deg[1]
    task = TaskConfig(
        model=model,
        commands=commands,
        walk=REWARD,
        starts=Starts(standing_share=STANDING_SHARE, hard_share=HARD_SHARE),
        ends=Ends(duration=DURATION),
        randomisation=PUSHES,
    )
    if not wide:
        return (Stage(name="walk", task=task, learn=LearnConfig(steps=STEPS)),)
    one = Commands(
        speed=(_nearest(SPEED, commands.speed),) * 2,
        slope_deg=(_nearest(SLOPE, commands.slope_deg),) * 2,
    )
    reward = REWARD.changed(effort=WIDE_EFFORT, final_effort=WIDE_FINAL_EFFORT)
    level = Stage(name="level", task=task.changed(commands=one), learn=LearnConfig(steps=STEPS))
    ranges = LearnConfig(steps=WIDE_STEPS, start_from=(Path(level.name),))
    return (level, Stage(name="walk", task=task.changed(walk=reward), learn=ranges))


def _nearest(value: float, span: Span) -> float:
    return min(max(value, span[0]), span[1])
