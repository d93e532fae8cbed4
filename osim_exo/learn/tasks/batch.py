"""The tasks as batches of environments over the compiled physics."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from osim_exo.errors import InputError
from osim_exo.learn.base import (
    Mirror,
    Mirroring,
    Observation,
    Snapshot,
    Step,
    generator_state,
    restore_generator,
)
from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.learn.tasks.curriculum import Effort
from osim_exo.learn.tasks.ends import Falls
from osim_exo.learn.tasks.hardest import Hardest
from osim_exo.learn.tasks.randomise import Randomiser
from osim_exo.learn.tasks.rewards import ImitateTerms, Outcome, WalkTerms, squared_slip
from osim_exo.learn.tasks.senses import CLOCK, Reading
from osim_exo.learn.tasks.snapshots import flat, unflat
from osim_exo.learn.tasks.starts import StartSource
from osim_exo.learn.tasks.strides import Strides
from osim_exo.learn.tasks.walker import Actor, Walker
from osim_exo.physics.compiled import CompiledPhysics
from osim_exo.policy import Interface
from osim_exo.units import DEG, GRAVITY

Array = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

QUANTITIES = ("grf", "mass_centre_velocity", "passive_moment")
"""What is read of the compiled model in every control step, in one go."""

METABOLIC = "bhargava2004"
"""Read too where it has a cost; W per muscle."""

CONTACTS = ("contact_force", "contact_sliding")
"""Read too where slip has a cost."""

SLOPE_EVERY = 5
"""Control steps between two changes of the ground's slope: setting it costs a part of a step."""

HUGE = 1e3
"""Bound of what failed environments read."""

PUSH_EVERY = 10
"""Control steps between two looks for pushes that are due."""


class TaskEnv:
    """Walking in all environments of a compiled physics; see `osim_exo.learn.base.BatchEnv`.

    Parameters
    ----------
    config : TaskConfig
    physics : CompiledPhysics
        Made with ``on_failure="mark"``.
    seed : of everything that is drawn
    strides : to start within and to imitate; None if every episode begins standing
    frozen : policies that act but are not learned, by part

    Attributes
    ----------
    notes : what was done to a recorded reference
    """

    def __init__(
        self,
        config: TaskConfig,
        physics: CompiledPhysics,
        seed: int,
        strides: Strides | None,
        frozen: Mapping[str, Actor] | None = None,
    ) -> None:
        self.config, self._physics = config, physics
        self.notes = () if strides is None else strides.notes
        imitates = config.kind == "imitate"
        others = physics.names.others
        torques = [a.optimal_force for a in physics.spec.actuators if a.name in others]
        trunk = torques[0] if torques else 1.0
        self._walker = walker = Walker(
            config, physics, trunk, strides if imitates else None, frozen
        )
        self._trunk_share = trunk / config.trunk.largest
        self._random = np.random.default_rng(seed)
        self._starts = StartSource(config.starts, physics, strides)
        n_angle = int(walker.exo.is_angle.sum()) if walker.exo is not None else 0
        self._randomiser = Randomiser(config.randomisation, physics, n_angle)
        mass = physics.body_weight / GRAVITY
        names = physics.names
        self._walk = WalkTerms(config.walk, names, physics.max_torque, mass)
        self._imitate = ImitateTerms(config.imitate, names, physics.max_torque)
        first = config.imitate.effort if imitates else config.walk.effort
        last = None if imitates else config.walk.final_effort
        goal = config.walk.learned_share * config.ends.duration
        self._effort = Effort(first, last, config.walk.final_effort_steps, goal)
        costs = not imitates
        metabolic = (METABOLIC,) if costs and config.walk.metabolic else ()
        contacts = CONTACTS if costs and config.walk.slip else ()
        self._quantities = (*QUANTITIES, *metabolic, *contacts)
        self._metabolic: Array | None = None
        self._slip: Array | None = None
        self._trunk: Array | None = None
        self._falls = Falls(config, physics)
        self._most_steps = max(round(config.ends.duration / config.control_dt), 1)
        n = physics.n_env
        standing = 1.0 if strides is None else config.starts.standing_share
        self._hardest = Hardest(config.commands, n, config.starts.hard_share, standing)
        self._clock = np.zeros(n, dtype=np.int64)
        self._lasted = np.zeros(n, dtype=np.int64)
        self._steps = 0
        self._excitations = np.zeros((n, len(names.muscles)))
        self._torque = np.zeros((n, len(names.exo)))
        self._describe()
        self._reading = Reading.of(physics)
        self._load = self._reading.ground[:, 1::2].copy()
        self._centre_speed = np.zeros((n, 3))

    def _describe(self) -> None:
        """Names, mirror and interface."""
        config, walker = self.config, self._walker
        self._signals, self._actions = walker.signals(), walker.actions()
        self._sees_human = walker.learned == ("exo",) and not config.senses.privileged
        extra = [f"human/{row.name}" for row in walker.human_signals] if self._sees_human else []
        speeds = ["mass_centre_speed_forward", "mass_centre_speed_upward"]
        self._privileged = (*speeds, *self._randomiser.labels, *extra)
        odd = [n for n in self.observation_names if n in CLOCK]
        odd_extra = [n for n in extra if n.removeprefix("human/") in CLOCK]
        self._mirror = Mirror(
            Mirroring.of_names(self.observation_names, odd),
            Mirroring.of_names(self._privileged, odd_extra),
            Mirroring.of_names(self.action_names),
        )
        symmetric = config.model.symmetric and config.reference is None
        self._symmetric = symmetric

    @property
    def n_env(self) -> int:
        """Number of environments."""
        return self._physics.n_env

    @property
    def observation_names(self) -> tuple[str, ...]:
        """Columns of the policy's observation."""
        return tuple(row.name for row in self._signals)

    @property
    def privileged_names(self) -> tuple[str, ...]:
        """Columns of what only the critic sees."""
        return self._privileged

    @property
    def action_names(self) -> tuple[str, ...]:
        """Columns of the action."""
        return tuple(row.name for row in self._actions)

    @property
    def mirror(self) -> Mirror | None:
        """The mirrored walker; None if person or reference are not symmetric."""
        return self._mirror if self._symmetric else None

    @property
    def interface(self) -> Interface:
        """Signals and actions of what is learned, as they go into the policy's bundle."""
        return Interface(
            observations=self._signals,
            actions=self._actions,
            rate_hz=1.0 / self.config.control_dt,
            model=self.config.model.name,
            model_hash=self._physics.spec.digest,
        )

    @property
    def parts(self) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
        """Columns of observation and action by learned part, ``human`` and ``exo``."""
        return self._walker.part_columns()

    @property
    def physics(self) -> CompiledPhysics:
        """What is stepped."""
        return self._physics

    @property
    def walker(self) -> Walker:
        """Senses, drives and commands."""
        return self._walker

    def reset(self) -> Observation:
        """Begin every environment's episode."""
        every = np.arange(self.n_env)
        self._begin(every)
        if self.config.ends.stagger:
            self._clock[:] = self._random.integers(0, self._most_steps // 2 + 1, self.n_env)
        return self._observe(slice(None))

    def _begin(self, rows: Rows) -> None:
        """Begin episodes: body, commands, start, filters."""
        random, commands = self._random, self._walker.commands
        self._randomiser.draw(rows, random)
        speed, slope = commands.draw(random, rows.size)
        standing = self._starts.draw_standing(random, rows.size)
        speed, slope, standing = self._hardest.redraw(random, speed, slope, standing)
        self._hardest.begin(rows, speed, slope, standing)
        commands.begin(rows, speed, slope, standing, random)
        self._set_slopes(rows)
        begun = self._starts.place(rows, standing, speed, slope, random)
        self._clock[rows], self._lasted[rows] = 0, 0
        self._excitations[rows], self._torque[rows] = 0.0, 0.0
        self._read()
        self._load[rows] = self._reading.ground[rows, 1::2]
        self._walker.begin(rows, self._reading.of_rows(rows), begun.forward, begun.phase)

    def _set_slopes(self, rows: Rows) -> None:
        """Tilt the ground of environments whose slope differs from the commanded one."""
        wanted = self._walker.commands.slope_deg[rows]
        other = np.abs(wanted - self._physics.slope[rows] / DEG) > 1e-9
        if other.any():
            self._physics.set_parameters(rows[other], slope_deg=wanted[other])

    def _read(self) -> None:
        """Read the physics once, for observation, reward and ends."""
        found = self._physics.quantities(*self._quantities)
        self._centre_speed = found["mass_centre_velocity"]
        self._passive = found["passive_moment"]
        if METABOLIC in found:
            self._metabolic = np.clip(np.nan_to_num(found[METABOLIC].sum(axis=1)), 0.0, HUGE**2)
        if CONTACTS[0] in found:
            force, sliding = (np.nan_to_num(found[name]) for name in CONTACTS)
            self._slip = squared_slip(force, np.clip(sliding, -HUGE, HUGE))
        self._reading = Reading.of(self._physics)
        failed = np.flatnonzero(self._physics.failed)
        if failed.size:
            # They are over: what they read must only be a number that squares.
            parts = (*vars(self._reading).values(), self._centre_speed, self._passive)
            for part in parts:
                part[failed] = np.clip(np.nan_to_num(part[failed]), -HUGE, HUGE)

    def _observe(self, rows: Rows | slice) -> Observation:
        reading = self._reading if isinstance(rows, slice) else self._reading.of_rows(rows)
        policy = self._walker.observe(reading, rows)
        privileged = np.empty((len(policy), len(self._privileged)), dtype=np.float32)
        privileged[:, :2] = self._centre_speed[rows, :2]
        at = 2
        for values in self._randomiser.drawn.values.values():
            privileged[:, at] = values[rows]
            at += 1
        if self._sees_human:
            privileged[:, at:] = self._walker.human_observation(rows)
        return Observation(policy, privileged)

    def step(self, action: Float32) -> Step:
        """Advance by one control step."""
        shape = (self.n_env, len(self._actions))
        if np.shape(action) != shape:
            raise InputError(
                f"The action has shape {np.shape(action)}; this task needs {shape}: one row per "
                f"environment, the columns {', '.join(self.action_names)}."
            )
        excitations, command, others = self._walker.controls(
            np.asarray(action, dtype=np.float32), self._reading
        )
        command *= self._randomiser.drawn.torque_gain[:, None]
        self._physics.step(excitations, command, others)
        self._trunk = self._trunk_share * others[:, 0] if others.shape[1] else None
        self._steps += 1
        self._clock += 1
        self._lasted += 1
        if self._steps % PUSH_EVERY == 0:
            self._randomiser.push(self._seconds(self._clock), self._random)
        self._read()
        self._advance()
        terminated, terms, reward = self._judge(excitations)
        truncated = (self._clock >= self._most_steps) & ~terminated
        final = observation = self._observe(slice(None))
        ended = terminated | truncated
        if ended.any():
            rows = np.flatnonzero(ended)
            self._effort.learn(self._seconds(self._lasted[rows]))
            self._hardest.learn(rows, terminated[rows])
            self._begin(rows)
            observation = Observation(final.policy.copy(), final.privileged.copy())
            fresh = self._observe(rows)
            observation.policy[rows] = fresh.policy
            observation.privileged[rows] = fresh.privileged
        self._effort.advance(self.n_env)
        return Step(observation, reward, terminated, truncated, final, terms)

    def _seconds(self, steps: npt.NDArray[np.int64]) -> Array:
        return np.asarray(steps * self.config.control_dt, dtype=float)

    def _advance(self) -> None:
        """Filters, phase, commands and the device's memory; the ground follows the command."""
        walker, measured = self._walker, None
        if walker.exo is not None:
            true = walker.exo.measure(self._reading)
            measured = self._randomiser.noisy(true, walker.exo.is_angle, self._random)
        walker.advance(self._reading, self._random, measured)
        if self._steps % SLOPE_EVERY == 0:
            self._set_slopes(np.arange(self.n_env))

    def _judge(self, excitations: Array) -> tuple[npt.NDArray[np.bool_], dict[str, Array], Array]:
        """Falls, terms by name, and the reward."""
        walker, reading = self._walker, self._reading
        target = walker.target()
        fallen = self._falls(reading, target)
        outcome = Outcome(
            reading,
            self._centre_speed,
            self._passive,
            walker.commands.speed,
            walker.mean_speed,
            excitations - self._excitations,
            reading.exo_torque - self._torque,
            fallen,
            target,
            reading.ground[:, 1::2] - self._load,
            self._metabolic,
            self._trunk,
            self._slip,
        )
        judge = self._walk if target is None else self._imitate
        weighted, facts = judge(outcome, self._effort.weight)
        self._excitations, self._torque = excitations, reading.exo_torque
        self._load = reading.ground[:, 1::2].copy()
        reward = np.sum(list(weighted.values()), axis=0)
        terms = {f"reward/{name}": value for name, value in weighted.items()} | facts
        terms["effort_weight"] = np.full(self.n_env, self._effort.weight)
        return fallen, terms, reward

    def snapshot(self) -> Snapshot:
        """All that `restore` needs to go on bit for bit."""
        held: Snapshot = {
            "clock": self._clock.copy(),
            "lasted": self._lasted.copy(),
            "steps": np.array(self._steps),
            "excitations": self._excitations.copy(),
            "torque": self._torque.copy(),
            "load": self._load.copy(),
            "random": generator_state(self._random),
            "effort": self._effort.snapshot(),
        }
        held |= {f"walker/{n}": v for n, v in self._walker.snapshot().items()}
        held |= {f"random/{n}": v for n, v in self._randomiser.snapshot().items()}
        held |= {f"hardest/{n}": v for n, v in self._hardest.snapshot().items()}
        return held | {f"physics/{n}": v for n, v in flat(self._physics.snapshot()).items()}

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of an environment that was made alike.

        Raises
        ------
        InputError
            The snapshot is of another task or number of environments.
        """
        here = {name: np.shape(values) for name, values in self.snapshot().items()}
        wrong = sorted(n for n, shape in here.items() if n not in snapshot)
        if wrong or np.shape(snapshot["clock"]) != self._clock.shape:
            raise InputError(
                "The snapshot belongs to another task or number of environments (missing: "
                f"{', '.join(wrong) or 'none'}). Restore it with the configuration of its run."
            )

        def part(prefix: str) -> Snapshot:
            return {n[len(prefix) :]: v for n, v in snapshot.items() if n.startswith(prefix)}

        self._clock = np.array(snapshot["clock"], dtype=np.int64)
        self._lasted = np.array(snapshot["lasted"], dtype=np.int64)
        self._steps = int(snapshot["steps"])
        self._excitations = np.array(snapshot["excitations"], dtype=float)
        self._torque = np.array(snapshot["torque"], dtype=float)
        self._load = np.array(snapshot["load"], dtype=float)
        restore_generator(self._random, snapshot["random"])
        self._effort.restore(snapshot["effort"])
        self._walker.restore(part("walker/"))
        self._randomiser.restore(part("random/"))
        self._hardest.restore(part("hardest/"))
        self._physics.restore(unflat(part("physics/")))
        self._read()

    def close(self) -> None:
        """Give back what the physics holds."""
        self._physics.close()
