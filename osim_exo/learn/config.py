"""Settings of a training run: networks, optimisation, when to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from osim_exo.config import Config

Activation = Literal["relu", "elu", "tanh"]
Symmetry = Literal["network", "average", "data", "none"]

LEAST_BF16_STD = 0.12
"""Below this deviation of the actions, rounding to bfloat16 is no longer small against it.

Measured: at 0.05 the rounding alone gives a divergence of 0.03 to 0.07, the learning rate falls
to its least value and learning stops.
"""


class NetworkConfig(Config):
    """Policy and critic: two networks of their own, and how they know that people are symmetric.

    Symmetry is used in one of these ways; o is an observation, M and P mirror it and the action:

    - ``network``: the weights are tied so that policy(M o) = P policy(o) holds by construction,
      at the cost of a plain network of the same width;
    - ``average``: (f(o) + P f(M o)) / 2 of a plain network f, at twice the cost;
    - ``data``: each sample is learned from in both forms; symmetry is approximate;
    - ``none``.
    """

    hidden: tuple[int, ...] = Field(default=(128, 128), min_length=1, description="policy's widths")
    exo_hidden: tuple[int, ...] = Field(
        default=(64, 64), min_length=1, description="widths of an exo's policy"
    )
    critic_hidden: tuple[int, ...] = Field(
        default=(128, 128), min_length=1, description="critic's widths"
    )
    activation: Activation = "relu"
    symmetry: Symmetry = "network"
    start_std: float = Field(
        default=0.5, gt=0.0, le=2.0, description="of the actions, before squashing, at the start"
    )
    exo_start_std: float = Field(
        default=0.2, gt=0.0, le=2.0, description="the same of an exo's actions"
    )
    least_std: float = Field(default=0.05, gt=0.0, le=1.0, description="it never falls below")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        widths = (*self.hidden, *self.exo_hidden, *self.critic_hidden)
        if min(widths) < 1 or (self.symmetry == "network" and any(w % 2 for w in widths)):
            raise ValueError(
                f"the widths {', '.join(map(str, widths))} were given; they must be positive, "
                'and even where symmetry = "network"'
            )
        start = min(self.start_std, self.exo_start_std)
        if self.least_std > start:
            raise ValueError(f"least_std = {self.least_std:g} is above the start at {start:g}")
        return self


class PpoConfig(Config):
    """Proximal policy optimisation (Schulman et al. 2017) with an adaptive learning rate.

    Short horizons and few epochs: 512 planar walkers lasted 9.5 s after 1.2 to 1.4 million steps
    with a horizon of 16 and 2 epochs (three runs), after 1.8 million with 32 and 4 and a minibatch
    of 4096 (one run), whose update cost 1.7 times as much per step.
    """

    horizon: int = Field(default=16, ge=1, le=4096, description="control steps per iteration")
    epochs: int = Field(default=2, ge=1, le=50, description="passes over them, at most")
    minibatch: int = Field(default=2048, ge=8, description="samples of one gradient step")
    clip: float = Field(default=0.2, gt=0.0, lt=1.0, description="of the probability ratio")
    value_clip: float | None = Field(
        default=None, gt=0.0, description="of the value's change, in deviations of the returns"
    )
    gamma: float = Field(default=0.99, gt=0.0, le=1.0, description="discount per control step")
    lam: float = Field(default=0.95, ge=0.0, le=1.0, description="of the advantage estimate")
    entropy: float = Field(default=0.0, ge=0.0, le=1.0, description="bonus per nat")
    largest_gradient: float = Field(default=1.0, gt=0.0, description="norm, of each network")
    learning_rate: float = Field(default=1e-3, gt=0.0, le=0.1, description="at the start")
    least_rate: float = Field(default=1e-5, gt=0.0, le=0.1, description="adapted within these")
    largest_rate: float = Field(default=3e-3, gt=0.0, le=0.1, description="two bounds")
    kl_target: float = Field(
        default=0.015, gt=0.0, le=1.0, description="divergence from the policy that acted"
    )
    kl_stop: float | None = Field(
        default=None, gt=1.0, description="end the epochs when it exceeds this many targets"
    )
    precision: Literal["auto", "float32"] = Field(
        default="auto", description="auto: bfloat16 while the actions' deviation allows it"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.least_rate <= self.learning_rate <= self.largest_rate:
            raise ValueError(
                f"learning_rate = {self.learning_rate:g} must lie within least_rate = "
                f"{self.least_rate:g} and largest_rate = {self.largest_rate:g}"
            )
        return self

    def for_fine_tuning(self) -> Self:
        """These settings with rates at which a policy that is good already survives.

        A fresh start at 1e-3 destroyed a walker in the measured prototype; 1e-4, at most 5e-4,
        did not.
        """
        largest = min(self.largest_rate, 5e-4)
        start = min(max(1e-4, self.least_rate), largest)
        return self.changed(
            learning_rate=start, largest_rate=largest, least_rate=min(self.least_rate, start)
        )


class StopConfig(Config):
    """When more training no longer helps; leave it out where arms with equal budgets compare."""

    window: int = Field(default=80, ge=4, description="iterations that are compared, in halves")
    least_gain: float = Field(
        default=0.01, ge=0.0, description="relative gain of the reward per step that goes on"
    )
    least_length_share: float = Field(
        default=0.95, ge=0.0, le=1.0, description="of episodes that end by the clock, to stop"
    )


class LearnConfig(Config):
    """Everything about learning that is not the task."""

    n_env: int = Field(default=512, ge=1, le=100_000, description="environments at a time")
    steps: int = Field(default=3_000_000, ge=1, description="control steps of all environments")
    seed: int = Field(default=0, ge=0, description="every random number of the run follows from it")
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="of the networks")
    network: NetworkConfig = NetworkConfig()
    ppo: PpoConfig = PpoConfig()
    stop: StopConfig | None = Field(default=None, description="none: use up all steps")
    start_from: tuple[Path, ...] = Field(
        default=(), description="run folders whose networks to go on with, as fine-tuning"
    )
    checkpoint_every: int = Field(default=50, ge=1, description="iterations")
    tensorboard: bool = Field(default=False, description="write event files too")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        samples = self.n_env * self.ppo.horizon
        if self.ppo.minibatch > samples:
            raise ValueError(
                f"ppo.minibatch = {self.ppo.minibatch} is more than the n_env x horizon = "
                f"{samples} samples of an iteration"
            )
        return self

    @property
    def iterations(self) -> int:
        """How often experience is gathered and learned from."""
        return -(-self.steps // (self.n_env * self.ppo.horizon))
