"""The staged protocol: three arms that a comparison may trust, because they trained equally long.

The human learns to walk, adapts to the worn device without torque, then a device learns to help
that human while it stands still in its learning, and at last both learn. Beside that the worn human
goes on without torque, and the human without device goes on, for as many steps: more training alone
makes a gait cheaper too (in this project's prototype by 2.8 % of the metabolic cost).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from osim_exo.config import Config
from osim_exo.errors import InputError
from osim_exo.files import writable_folder
from osim_exo.learn.chain import EXO, WORN, Chain, Stage, seed_folder, steps_of
from osim_exo.learn.recipes import device_learning, device_task, real, walking
from osim_exo.learn.stages import ChainResult, claim, run_chain, steps_done
from osim_exo.learn.tasks.config import ExoSenses
from osim_exo.models import HipExo, JointExo
from osim_exo.names import CONDITIONS, Condition
from osim_exo.parallel import each
from osim_exo.progress import SILENT, Progress, Step
from osim_exo.provenance import cores

FINE_DIVERGENCE = 0.008
"""Target of the policies' divergence per iteration in the stages that go on with a good gait: half
the usual one. Measured on co-adaptation: reward per step 0.759 in place of 0.753 after 300 000
steps (one seed)."""

POLL_S = 2.0
"""Time between two looks at what other processes have trained."""


class StagedConfig(Config):
    """The staged protocol for a human that stages of its own have taught to walk."""

    human: tuple[Stage, ...] = Field(min_length=1, description="stages without device, in order")
    device: JointExo = Field(default_factory=lambda: real(HipExo()), description="the worn device")
    senses: ExoSenses = Field(default=ExoSenses(), description="what the device measures")
    angle_noise: float = Field(
        default=0.01, ge=0.0, le=0.5, description="of the device's angle sensors, rad"
    )
    rate_noise: float = Field(
        default=0.1, ge=0.0, le=5.0, description="of the device's rate sensors, rad/s"
    )
    worn_steps: int = Field(default=2_000_000, ge=1, description="adapting to the worn device")
    exo_steps: int = Field(default=4_000_000, ge=1, description="device against the frozen human")
    both_steps: int = Field(default=3_000_000, ge=1, description="human and device together")

    @model_validator(mode="after")
    def _human_alone(self) -> Self:
        names = {*CONDITIONS, WORN, EXO} & {stage.name for stage in self.human}
        if names:
            raise ValueError(f"stages of the protocol have these names: {', '.join(sorted(names))}")
        for stage in self.human:
            if stage.task.condition != "no_exo":
                raise ValueError(
                    f"stage {stage.name} of the human has condition {stage.task.condition}; the "
                    "device is put on by the protocol. Use no_exo"
                )
        if self.human[-1].learn.stop is not None:
            raise ValueError(
                f"stage {self.human[-1].name} stops early (learn.stop), but arms that are compared "
                "have equal budgets; leave it out"
            )
        return self

    @property
    def walker(self) -> Stage:
        """The stage that gives the human its gait."""
        return self.human[-1]


def stages(config: StagedConfig) -> tuple[Stage, ...]:
    """All stages of the protocol; the arms have equal budgets.

    The device learns by `osim_exo.learn.recipes.device_task`; what the arms end with has the
    human's own reward in all three. The stage of both begins with the critic of the worn human, the
    last run that is named: with that of the device's stage, whose human made no attempts, both lost
    the gait within 100 000 steps (one seed).

    Parameters
    ----------
    config : StagedConfig
    """
    last = Path(config.walker.name)
    worn, exo = Path(WORN), Path(EXO)
    taught = worn / "policy" / "human"
    adapt, both = (_whole(config, steps) for steps in (config.worn_steps, config.both_steps))
    alone = _stage(config, EXO, "assisted", 1, (), learner="exo", human_policy=taught)
    device = alone.changed(
        task=device_task(alone.task), learn=device_learning(alone.learn, config.exo_steps)
    )
    own = steps_of(device)
    return (
        *config.human,
        _stage(config, WORN, "zero_torque", adapt, (last,)),
        device,
        _stage(config, "assisted", "assisted", both, (exo, worn), learner="both"),
        _stage(config, "zero_torque", "zero_torque", own + both, (worn,)),
        _stage(config, "no_exo", "no_exo", adapt + own + both, (last,)),
    )


def _stage(
    config: StagedConfig,
    name: str,
    condition: Condition,
    steps: int,
    start_from: tuple[Path, ...],
    **task: Any,
) -> Stage:
    """A stage as the human's last one, with another condition, for a walker that walks."""
    before = walking(config.walker.task)
    if condition != "no_exo":
        task["model"] = before.model.changed(exo=config.device)
    if condition == "assisted":
        task["senses"] = config.senses
        task["randomisation"] = before.randomisation.changed(
            sensor_angle_noise=config.angle_noise, sensor_rate_noise=config.rate_noise
        )
    ppo = config.walker.learn.ppo
    if start_from:
        ppo = ppo.changed(kl_target=min(ppo.kl_target, FINE_DIVERGENCE))
    learn = config.walker.learn.changed(steps=steps, start_from=start_from, ppo=ppo)
    return Stage(name=name, task=before.changed(condition=condition, **task), learn=learn)


def _whole(config: StagedConfig, steps: int) -> int:
    """Steps of whole iterations, so that sums of stages are equal, not nearly so."""
    learn = config.walker.learn
    per = learn.n_env * learn.ppo.horizon
    return -(-steps // per) * per


def run_seeds(
    chains: Sequence[Chain],
    out: str | Path,
    *,
    jobs: int | None = None,
    progress: Progress = SILENT,
) -> tuple[ChainResult, ...]:
    """Run chains of several seeds as parallel processes, or go on with them.

    Parameters
    ----------
    chains : of different seeds
    out : folder; each chain gets ``out/seed_<seed>``
    jobs : processes at a time, each on one thread; by default one per core
    progress : Progress

    Raises
    ------
    InputError
        A folder holds something else, or `jobs` is less than 1.
    KeyboardInterrupt
        What was learned up to the last checkpoints is kept.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"{jobs} jobs were given; at least 1 is needed.")
    twice = [c.seed for c in chains if sum(o.seed == c.seed for o in chains) > 1]
    if twice:
        raise InputError(f"The seed {twice[0]} was given twice.")
    writable_folder(out)
    folders = [claim(chain, seed_folder(out, chain.seed)) for chain in chains]
    n_job = min(jobs or cores(), len(chains))
    if n_job == 1:
        return tuple(run_chain(c, f, progress=progress) for c, f in zip(chains, folders))
    total = sum(chain.steps for chain in chains)
    with (
        progress.step(f"Training {len(chains)} seeds", total, "steps") as step,
        _watched(lambda: _tell(step, chains, folders)),
        _one_thread_each(),
    ):
        found = list(each(run_chain, zip(chains, folders), n_job))
        _tell(step, chains, folders)
    return tuple(sorted(found, key=lambda result: result.chain.seed))


def _one_thread_each() -> AbstractContextManager[Any]:
    """Keep joblib's own processes to one thread; a backend chosen outside is left as it is."""
    from joblib import parallel_config
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    if not backend.supports_inner_max_num_threads:
        return nullcontext()
    one: AbstractContextManager[Any] = parallel_config(backend="loky", inner_max_num_threads=1)
    return one


def _tell(step: Step, chains: Sequence[Chain], folders: Sequence[Path]) -> None:
    """Say how far all chains are, from what they have written."""
    found = [steps_done(chain, folder) for chain, folder in zip(chains, folders)]
    where = ", ".join(f"{chain.seed} {stage}" for chain, (_, stage) in zip(chains, found))
    step.update(sum(done for done, _ in found), seeds=where)


@contextmanager
def _watched(look: Callable[[], None]) -> Iterator[None]:
    """Call `look` now and then from another thread."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL_S):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
