"""Training runs: begin, go on, stop without losing anything."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from osim_exo.config import Config
from osim_exo.errors import InputError, OsimExoError
from osim_exo.learn import checkpoint
from osim_exo.learn.base import BatchEnv
from osim_exo.learn.clock import Clock
from osim_exo.learn.config import LearnConfig, StopConfig
from osim_exo.learn.export import export_policy
from osim_exo.learn.gather import Gatherer
from osim_exo.learn.held import Held
from osim_exo.learn.networks import Part
from osim_exo.learn.ppo import Ppo
from osim_exo.learn.records import Board, RunFolder
from osim_exo.learn.synthetic import SyntheticConfig, SyntheticEnv
from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.learn.tasks.motion import keep, kept
from osim_exo.learn.transfer import adopt
from osim_exo.progress import SILENT, Progress, Step
from osim_exo.provenance import config_hash

SEEN_EVERY = 4
"""Of so many control steps one teaches the normalisers; the others look much like it."""

AnyTask = Annotated[TaskConfig | SyntheticConfig, Field(discriminator="kind")]


class TrainConfig(Config):
    """A training run: the task, and how it is learned."""

    task: AnyTask
    learn: LearnConfig = LearnConfig()


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes
    ----------
    folder : Path
    status : ``finished``, ``converged`` or ``interrupted``
    steps, iterations : int
    seconds, cpu_seconds : of training, by the wall and by the processor
    split, cpu_split : the same by part: physics, inference and update
    metrics : the last iteration's
    """

    folder: Path
    status: str
    steps: int
    iterations: int
    seconds: float
    cpu_seconds: float
    split: dict[str, float]
    cpu_split: dict[str, float]
    metrics: dict[str, float]


def make_env(task: TaskConfig | SyntheticConfig, n_env: int, seed: int) -> BatchEnv:
    """Environments of a task."""
    if isinstance(task, SyntheticConfig):
        return SyntheticEnv(task, n_env, seed)
    from osim_exo.learn import tasks

    return tasks.make(task, n_env, seed)


class Training:
    """A learner with its environments; goes on iteration by iteration.

    Parameters
    ----------
    config : LearnConfig
    env : BatchEnv
    """

    def __init__(self, config: LearnConfig, env: BatchEnv) -> None:
        self.config, self.env = config, env
        seed = int(np.random.SeedSequence(config.seed).spawn(2)[1].generate_state(1)[0])
        sizes = (len(env.observation_names), len(env.privileged_names), len(env.action_names))
        parts = {name: Part(*columns) for name, columns in env.parts.items()}
        ppo_config = config.ppo.for_fine_tuning() if config.start_from else config.ppo
        device = learning_device(config.device)
        self.ppo = Ppo(sizes, parts, config.network, ppo_config, env.mirror, device, seed)
        self.gatherer = Gatherer(env, self.ppo)
        self.signature = checkpoint.signature(env)
        self.iteration = 0
        self.history: list[tuple[float, float]] = []

    def begin(self) -> None:
        """Prepare the first iteration: earlier networks, and what observations look like."""
        if self.config.start_from:
            runs = [Held.read(folder) for folder in self.config.start_from]
            adopt(self.ppo, self.signature, runs)
        self.gatherer.warm_up()

    @property
    def steps(self) -> int:
        """Control steps of all environments so far."""
        return self.iteration * self.config.n_env * self.config.ppo.horizon

    @property
    def clock(self) -> Clock:
        """Where the time went."""
        return self.gatherer.clock

    def iterate(self) -> dict[str, float]:
        """Gather experience and learn from it; returns measurements."""
        before = self.clock.total()
        rollout, terms = self.gatherer.gather()
        gathered = self.clock.now()
        facts = self.ppo.update(rollout)
        seen = rollout.observation[::SEEN_EVERY], rollout.privileged[::SEEN_EVERY]
        self.ppo.observe(*(values.flatten(0, 1) for values in seen))
        reward = float(rollout.reward.mean())
        self.clock.add("update", gathered)
        seconds, cpu_seconds = self.clock.total()
        episodes = self.gatherer.episodes.read()
        self.iteration += 1
        falls = episodes.get("episode/fall_share", float("nan"))
        self.history.append((reward, falls))
        return {
            "iteration": float(self.iteration - 1),
            "steps": float(self.steps),
            "reward/mean": reward,
            **terms,
            **episodes,
            **facts,
            "time/seconds": seconds,
            "time/cpu_seconds": cpu_seconds,
            "time/steps_per_s": rollout.reward.numel() / max(seconds - before[0], 1e-9),
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        facts = {
            "signature": self.signature,
            "config_hash": config_hash(self.config),
            "iteration": self.iteration,
            "clock": self.clock.state(),
        }
        history = np.array(self.history, dtype=float).reshape(-1, 2)
        arrays = checkpoint.learner_arrays(self.ppo) | self.gatherer.snapshot()
        checkpoint.save(path, facts, arrays | {"history": history})

    def restore(self, path: Path) -> None:
        """Go back to a checkpoint of a run with the same settings.

        Raises
        ------
        DataError
            It belongs to another model, task, version or network.
        """
        facts, arrays = checkpoint.load(path)
        checkpoint.check_signature(facts["signature"], self.signature, f"The checkpoint '{path}'")
        if facts["config_hash"] != config_hash(self.config):
            raise InputError(f"The checkpoint '{path}' was written with other settings.")
        checkpoint.restore_learner(self.ppo, arrays)
        self.gatherer.restore(arrays)
        self.iteration = int(facts["iteration"])
        self.clock.restore(facts["clock"])
        self.history = [(float(r), float(f)) for r, f in arrays["history"]]


def learning_device(name: str) -> torch.device:
    """The device, after a check that it is there; torch then computes on one thread.

    More threads made matrix products up to twenty times slower on a busy machine.

    Raises
    ------
    InputError
        There is no GPU that torch can use.
    """
    torch.set_num_threads(1)
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            'device = "cuda" was given, but torch finds no GPU here. Use device = "cpu", or '
            "install a build of torch for this machine's GPU."
        )
    return torch.device(name)


def converged(history: list[tuple[float, float]], stop: StopConfig) -> bool:
    """Whether the reward has settled and nearly every episode lasts.

    Parameters
    ----------
    history : mean reward and share of falls among ended episodes, by iteration
    stop : StopConfig
    """
    if len(history) < stop.window:
        return False
    recent = np.array(history[-stop.window :])
    half = stop.window // 2
    before, now = recent[:half, 0].mean(), recent[half:, 0].mean()
    falls = recent[half:, 1][np.isfinite(recent[half:, 1])]
    lasts = falls.size > 0 and 1.0 - float(falls.mean()) >= stop.least_length_share
    return bool(lasts and abs(now - before) <= stop.least_gain * max(abs(before), 1e-9))


def train(config: TrainConfig, out: str | Path, *, progress: Progress = SILENT) -> RunResult:
    """Learn a task from nothing, or fine-tune networks of earlier runs.

    Parameters
    ----------
    config : TrainConfig
    out : folder of the run, new or empty
    progress : Progress

    Returns
    -------
    RunResult
        ``out/policy/<part>`` holds the policies; see `osim_exo.policy.Policy.load`.

    Raises
    ------
    InputError
        A setting cannot be used, or the folder holds something.
    SimulationError
        A reward or observation left the finite numbers; what was learned before is kept.
    KeyboardInterrupt
        After the running iteration was finished and everything was written.
    """
    folder = RunFolder(out)
    folder.check_free()
    return _run(config, folder, False, progress)


def resume(out: str | Path, *, progress: Progress = SILENT) -> RunResult:
    """Go on with an interrupted run; the result is that of a run without interruption.

    Bit for bit on the same machine with the same versions; a run that was killed before its first
    checkpoint begins again. Raises as `train`, and a `DataError` where the folder holds no run or
    its settings were changed.
    """
    folder = RunFolder(out)
    config = TrainConfig.model_validate(folder.config())
    task = config.task
    if isinstance(task, TaskConfig) and task.reference is not None:
        own = task.changed(reference=kept(task.reference, folder.path))
        config = config.changed(task=own)
    return _run(config, folder, True, progress)


def _run(config: TrainConfig, folder: RunFolder, again: bool, progress: Progress) -> RunResult:
    learn = config.learn
    env_seed = int(np.random.SeedSequence(learn.seed).spawn(2)[0].generate_state(1)[0])
    env = make_env(config.task, learn.n_env, env_seed)
    board, ours = None, again
    try:
        training = Training(learn, env)
        if again and folder.checkpoint.is_file():
            training.restore(folder.checkpoint)
        else:
            training.begin()
        if not ours:
            # Only now, so that settings that cannot be used leave no run behind.
            folder.begin(config.model_dump(mode="json"), learn.seed)
            ours = True
            if isinstance(config.task, TaskConfig) and config.task.reference is not None:
                keep(config.task.reference, folder.path)
        rows = folder.keep_metrics(training.iteration)
        board = Board(folder.path / "tensorboard") if learn.tensorboard else None
        last = rows[-1] if rows else {}
        with _patient() as asked, progress.step("Training", learn.steps, "steps") as step:
            status, last = _loop(training, folder, board, step, asked, last)
    except (OsimExoError, ArithmeticError) as error:
        if ours:
            folder.close("failed", {"reason": str(error)})
        raise
    finally:
        env.close()
        if board is not None:
            board.close()
    result = RunResult(
        folder.path,
        status,
        training.steps,
        training.iteration,
        *training.clock.total(),
        training.clock.wall,
        training.clock.cpu,
        last,
    )
    folder.close(status, _summary(result))
    if status == "interrupted":
        raise KeyboardInterrupt
    return result


def _summary(result: RunResult) -> dict[str, Any]:
    return {
        "steps": result.steps,
        "iterations": result.iterations,
        "seconds": round(result.seconds, 3),
        "cpu_seconds": round(result.cpu_seconds, 3),
        "steps_per_s": round(result.steps / max(result.seconds, 1e-9), 1),
        "split_s": {name: round(value, 3) for name, value in result.split.items()},
        "cpu_split_s": {name: round(value, 3) for name, value in result.cpu_split.items()},
        "metrics": result.metrics,
    }


def _loop(
    training: Training,
    folder: RunFolder,
    board: Board | None,
    step: Step,
    asked: threading.Event,
    last: dict[str, float],
) -> tuple[str, dict[str, float]]:
    """Iterate until the steps are used up, learning has settled or a stop was asked for."""
    learn, status = training.config, "finished"
    while training.iteration < learn.iterations:
        last = training.iterate()
        folder.add(last)
        if board is not None:
            board.add(last, training.steps)
        _show(step, training, last)
        if asked.is_set():
            status = "interrupted"
        elif learn.stop is not None and converged(training.history, learn.stop):
            status = "converged"
        if status != "finished":
            break
        if training.iteration % learn.checkpoint_every == 0:
            _keep(training, folder)
    _keep(training, folder)
    return status, last


def _keep(training: Training, folder: RunFolder) -> None:
    """Write the checkpoint and the policies as they are now."""
    training.save(folder.checkpoint)
    folder.policy.mkdir(exist_ok=True)
    record = {"run": config_hash(folder.config()), "seed": training.config.seed}
    for part in training.ppo.actor.parts:
        export_policy(
            folder.policy / part,
            training.ppo.actor,
            part,
            training.env.interface,
            {**record, "part": part, "steps": training.steps},
        )


def _show(step: Step, training: Training, facts: Mapping[str, float]) -> None:
    shown = {"reward_per_step": facts["reward/mean"]}
    for name in ("return", "length", "falls"):
        if f"episode/{name}" in facts:
            shown[name] = facts[f"episode/{name}"]
    shown["steps_per_s_now"] = facts["time/steps_per_s"]
    step.update(min(training.steps, training.config.steps), **shown)


@contextmanager
def _patient() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into a wish that the loop grants; the second one stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
