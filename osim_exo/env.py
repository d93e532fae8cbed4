"""Walking with an exoskeleton as a Gymnasium environment, single and vectorised, on any physics.

Importing this module registers ``osim_exo/Gait-v0``, so that ``gymnasium.make`` finds it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Literal

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from osim_exo.control.base import Controller
from osim_exo.errors import InputError, check_option
from osim_exo.files import write_text
from osim_exo.models import HipExo, ModelConfig
from osim_exo.physics import CompiledPhysics, ModelRecipe, OpenSimPhysics, Physics, StartState
from osim_exo.task import GaitTask
from osim_exo.walking import Array, EnvState, Mask, Observed, WalkingBatch


class GaitEnv(gymnasium.Env[Observed, npt.NDArray[np.float32]]):
    """Walking as a Gymnasium environment.

    ``terminated`` on a fall or a failed simulation, ``truncated`` when the episode's time is over;
    ``info["reward_terms"]`` holds the weighted terms. `reset` takes
    ``options={"commanded_speed": m/s}``. The observations are listed by
    `osim_exo.observations.ObservationLayout`.

    Parameters
    ----------
    physics : Physics
        With one environment. Make it with ``on_failure="mark"`` for training; otherwise a failed
        simulation raises.
    task : GaitTask, optional
    controller : Controller, optional
        Drives the exo in place of the action.
    starts : sequence of StartState, optional
        Where episodes start, one drawn each time; standing if not given.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self,
        physics: Physics,
        task: GaitTask | None = None,
        controller: Controller | None = None,
        starts: Sequence[StartState] | None = None,
    ) -> None:
        if physics.n_env != 1:
            raise InputError(
                f"GaitEnv needs a physics with one environment; this one has {physics.n_env}. Use "
                "GaitVectorEnv."
            )
        self.batch = WalkingBatch(physics, task, controller, starts)
        self.observation_space, self.action_space = _spaces(self.batch)
        self.render_mode = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observed, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        self.batch.reset(np.array([0]), [self.np_random], _speed_option(options))
        return self.batch.observe()[0], self._info()

    def step(
        self, action: npt.NDArray[np.float32]
    ) -> tuple[Observed, float, bool, bool, dict[str, Any]]:
        """Advance by one control step."""
        done = self.batch.step(np.asarray(action)[None])
        terms = {name: float(value[0]) for name, value in done.terms.items()}
        info = {**self._info(), "reward_terms": terms}
        return (
            done.observation[0],
            float(done.reward[0]),
            bool(done.terminated[0]),
            bool(done.truncated[0]),
            info,
        )

    def _info(self) -> dict[str, Any]:
        return {
            "commanded_speed": float(self.batch.commanded_speed[0]),
            "failed": bool(self.batch.physics.failed[0]),
        }

    def snapshot(self) -> EnvState:
        """A copy of everything that `restore` needs."""
        return self.batch.snapshot([self.np_random])

    def restore(self, state: EnvState) -> None:
        """Go back to a snapshot."""
        self.batch.restore(state, [self.np_random])

    def close(self) -> None:
        """Close the physics."""
        self.batch.physics.close()


class GaitVectorEnv(VectorEnv[Observed, npt.NDArray[np.float32], npt.NDArray[Any]]):
    """Walking in all environments of a physics at once; arguments as for `GaitEnv`.

    A finished episode is reset in the same step (autoreset mode ``SAME_STEP``): the observation is
    the new episode's first, the finished one's last is in ``info["final_obs"]``, its facts in
    ``info["final_info"]``.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self,
        physics: Physics,
        task: GaitTask | None = None,
        controller: Controller | None = None,
        starts: Sequence[StartState] | None = None,
    ) -> None:
        self.batch = WalkingBatch(physics, task, controller, starts)
        self.num_envs = physics.n_env
        self.single_observation_space, self.single_action_space = _spaces(self.batch)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.render_mode = None
        self._generators = _generators(None, self.num_envs)

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observed, dict[str, Any]]:
        """Start an episode in every environment.

        One seed gives every environment its own stream by `numpy.random.SeedSequence.spawn`; a
        list gives one seed to each.
        """
        if seed is not None:
            self._generators = _generators(seed, self.num_envs)
        every = np.arange(self.num_envs)
        self.batch.reset(every, self._generators, _speed_option(options))
        return self.batch.observe(), self._info(np.ones(self.num_envs, dtype=bool))

    def step(
        self, actions: npt.NDArray[np.float32]
    ) -> tuple[Observed, Array, Mask, Mask, dict[str, Any]]:
        """Advance every environment by one control step; finished ones start again."""
        done = self.batch.step(actions)
        finished = done.terminated | done.truncated
        every = np.ones(self.num_envs, dtype=bool)
        info = self._info(every)
        info["reward_terms"] = _masked(done.terms, every)
        info["_reward_terms"] = every
        observation = done.observation
        if finished.any():
            last = np.full(self.num_envs, None, dtype=object)
            for env in np.flatnonzero(finished):
                last[env] = observation[env].copy()
            final = {**self._info(finished), "reward_terms": _masked(done.terms, finished)}
            info = {**info, "final_obs": last, "_final_obs": finished}
            info = {**info, "final_info": final, "_final_info": finished}
            self.batch.reset(np.flatnonzero(finished), self._generators)
            observation = self.batch.observe()
            info |= self._info(every)
        return observation, done.reward, done.terminated, done.truncated, info

    def _info(self, mask: Mask) -> dict[str, Any]:
        facts = {
            "commanded_speed": self.batch.commanded_speed.copy(),
            "failed": self.batch.physics.failed,
        }
        return _masked(facts, mask)

    def snapshot(self) -> EnvState:
        """A copy of everything that `restore` needs."""
        return self.batch.snapshot(self._generators)

    def restore(self, state: EnvState) -> None:
        """Go back to a snapshot."""
        self.batch.restore(state, self._generators)

    def close_extras(self, **_: Any) -> None:
        """Close the physics."""
        self.batch.physics.close()


def make_gait_env(
    model: ModelRecipe | None = None,
    task: GaitTask | None = None,
    physics: Literal["opensim", "compiled"] = "opensim",
    **options: Any,
) -> GaitEnv:
    """`GaitEnv` as ``gymnasium.make("osim_exo/Gait-v0", physics="compiled")`` gives it.

    Parameters
    ----------
    model : ModelRecipe, optional
        The planar model with a hip exoskeleton if not given.
    task : GaitTask, optional
    physics : ``"opensim"`` or ``"compiled"``
    options : further arguments of `osim_exo.physics.OpenSimPhysics` or `CompiledPhysics`
    """
    check_option("physics", physics, ("opensim", "compiled"))
    recipe = model or ModelConfig(exo=HipExo())
    options = {"on_failure": "mark", **options}
    if physics == "compiled":
        return GaitEnv(CompiledPhysics(recipe, **options), task)
    return GaitEnv(OpenSimPhysics(recipe, **options), task)


gymnasium.register(id="osim_exo/Gait-v0", entry_point="osim_exo.env:make_gait_env")


def _spaces(
    batch: WalkingBatch,
) -> tuple[gymnasium.spaces.Space[Any], gymnasium.spaces.Space[Any]]:
    """Observation and action space; every bound is finite."""
    return (
        gymnasium.spaces.Box(batch.layout.low, batch.layout.high),
        gymnasium.spaces.Box(batch.action_low, batch.action_high),
    )


def _masked(values: dict[str, Any], mask: Mask) -> dict[str, Any]:
    """Gymnasium's vector form: beside each entry, which environments have it."""
    return {**values, **{f"_{name}": mask.copy() for name in values}}


def _generators(seed: int | list[int | None] | None, n_env: int) -> list[np.random.Generator]:
    if isinstance(seed, list):
        if len(seed) != n_env:
            raise InputError(f"{len(seed)} seeds were given for {n_env} environments.")
        return [np.random.default_rng(one) for one in seed]
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(n_env)]


def _speed_option(options: dict[str, Any] | None) -> float | None:
    """The commanded speed that a reset asks for, m/s, or None."""
    given = dict(options or {})
    speed = given.pop("commanded_speed", None)
    if given:
        raise InputError(
            f"Unknown reset options: {', '.join(given)}. Allowed: commanded_speed (m/s)."
        )
    if speed is not None and not 0.0 < float(speed) <= 2.2:
        raise InputError(f"A commanded speed of {speed} m/s was given; allowed is 0 to 2.2 m/s.")
    return None if speed is None else float(speed)


if __name__ == "__main__":
    write_text(sys.argv[1], make_gait_env().batch.layout.markdown())
