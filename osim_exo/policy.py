"""A learned policy: what it reads and gives, with units, and the network between them.

Needs numpy and, for networks in ONNX, onnxruntime; nothing that learns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from osim_exo import bundle
from osim_exo.config import Config
from osim_exo.errors import DataError, InputError, MissingExtraError, check_option
from osim_exo.networks import WEIGHTS as WEIGHTS
from osim_exo.networks import Array, Evaluate, Float32, network

Squashing = Literal["sigmoid", "clip", "tanh"]


class Signal(Config):
    """One observed number."""

    name: str = Field(min_length=1, description="as the model or the sensor is called")
    unit: str = Field(min_length=1, description="SI unit; 1 for a share")
    low: float = Field(description="least value that is expected")
    high: float = Field(description="largest value that is expected")
    delay_s: float = Field(default=0.0, ge=0.0, le=1.0, description="age of the reading, s")
    meaning: str = Field(default="", description="what it is, in words")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"{self.name}: low = {self.low:g} must be below high = {self.high:g}")
        return self


class Action(Config):
    """One number that the policy gives, and how it becomes a command.

    With x = gain a + offset, the command is for

    - ``sigmoid``: low + (high - low) / (1 + exp(-x)),
    - ``tanh``: the middle of low and high + tanh(x) half their distance,
    - ``clip``: x, not below low and not above high.
    """

    name: str = Field(min_length=1, description="actuator")
    unit: str = Field(min_length=1, description="unit of the command; 1 for an excitation")
    low: float = Field(description="least command")
    high: float = Field(description="largest command")
    squashing: Squashing = Field(description="how the network's output becomes a command")
    gain: float = Field(default=1.0, gt=0.0, description="of the network's output")
    offset: float = Field(default=0.0, description="added to the network's output times gain")
    positive: str = Field(default="", description="what a positive command does, as 'hip flexion'")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"{self.name}: low = {self.low:g} must be below high = {self.high:g}")
        return self


class Interface(Config):
    """Everything between a policy and the world it acts in."""

    observations: tuple[Signal, ...] = Field(min_length=1, description="in the network's order")
    actions: tuple[Action, ...] = Field(min_length=1, description="in the network's order")
    rate_hz: float = Field(gt=0.0, le=1e4, description="how often the policy acts, Hz")
    history: int = Field(default=1, ge=1, le=1000, description="observations that go in at a time")
    model: str = Field(default="", description="name of the model that it was trained on")
    model_hash: str = Field(default="", description="hash of that model's compiled form")

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for what, rows in (("observations", self.observations), ("actions", self.actions)):
            names = [row.name for row in rows]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} with the same name: {', '.join(twice)}")
        return self

    @property
    def period_s(self) -> float:
        """Time between two actions, s."""
        return 1.0 / self.rate_hz

    def commands(self, output: Array) -> Array:
        """Commands for the network's output, (..., n_action) arrays; see `Action`."""
        return Squash(self.actions)(output)


class Squash:
    """Turns a network's output into commands; made once, used every step.

    Parameters
    ----------
    actions : in the network's order
    """

    def __init__(self, actions: tuple[Action, ...]) -> None:
        self._gain = np.array([a.gain for a in actions])
        self._offset = np.array([a.offset for a in actions])
        self._low = np.array([a.low for a in actions])
        self._high = np.array([a.high for a in actions])
        kinds = [a.squashing for a in actions]
        self._smooth = np.array([kind != "clip" for kind in kinds])
        # tanh(x) = 2 / (1 + exp(-2 x)) - 1: one formula for both smooth kinds.
        self._slope = np.array([2.0 if kind == "tanh" else 1.0 for kind in kinds])

    def __call__(self, output: Array) -> Array:
        """Commands, of the shape (..., n_action) of `output`; same precision."""
        x = output * self._gain + self._offset
        # Beyond 700 the exponential leaves the numbers; the share is 0 or 1 long before.
        share = 1.0 / (1.0 + np.exp(np.clip(-self._slope * x, -700.0, 700.0)))
        smooth = self._low + (self._high - self._low) * share
        command = np.where(self._smooth, smooth, np.clip(x, self._low, self._high))
        return np.asarray(command, dtype=output.dtype)


def sigmoid_for(start: float, gain: float = 2.0) -> dict[str, float]:
    """Gain and offset with which a sigmoid of a zero output gives the share `start`."""
    return {"gain": gain, "offset": math.log(start / (1.0 - start))}


ONNX, GOLDEN = "network.onnx", "golden.npz"
"""Files of a bundle beside `WEIGHTS`: the network; inputs with their outputs."""

GOLDEN_TOLERANCE = 1e-5
"""Largest difference from a golden output, over 1 + its size; float32 sums in another order."""


class Policy:
    """A policy that is not learned any more; make it with `load`.

    Parameters
    ----------
    interface : Interface
    evaluate : the network, (n, n_input) to (n, n_action) arrays of float32
    record : where it comes from: run, seed, steps, versions

    Attributes
    ----------
    interface, record : as given
    """

    def __init__(
        self, interface: Interface, evaluate: Evaluate, record: Mapping[str, Any] | None = None
    ) -> None:
        self.interface, self.record = interface, dict(record or {})
        self._evaluate = evaluate
        self._squash = Squash(interface.actions)
        self._n_input = interface.history * len(interface.observations)

    @classmethod
    def load(cls, folder: str | Path, engine: Literal["onnx", "numpy"] = "onnx") -> Policy:
        """Read a bundle, check every byte and the golden outputs.

        Parameters
        ----------
        folder : path
        engine : ``onnx`` runs the network in onnxruntime, ``numpy`` its weights as plain arrays

        Raises
        ------
        DataError
            The folder is no bundle, was changed, or gives other outputs than when it was written.
        MissingExtraError
            onnxruntime is not installed.
        """
        check_option("engine", engine, ("onnx", "numpy"))
        content, files = bundle.read(folder)
        if not isinstance(content.get("interface"), dict):
            raise DataError(f"The policy in '{folder}' has no interface. Export it anew.")
        try:
            interface = Interface.model_validate(content["interface"])
        except InputError as error:
            raise DataError(f"The policy in '{folder}': {error}") from None
        name = ONNX if engine == "onnx" else WEIGHTS
        if name not in files or GOLDEN not in files:
            raise DataError(
                f"The policy in '{folder}' cannot be run by {engine}: it holds "
                f"{', '.join(sorted(files))}; needed are {name} and {GOLDEN}."
            )
        made = onnx_network(files[ONNX]) if engine == "onnx" else network(files[WEIGHTS], content)
        record = content.get("record")
        policy = cls(interface, made, record if isinstance(record, dict) else None)
        policy.check(bundle.unpack(files[GOLDEN], GOLDEN))
        return policy

    def __call__(self, observation: Array) -> Float32:
        """Outputs before squashing, (n, n_action), for (n, history * n_observation) observations.

        With a history the oldest observation comes first.

        Raises
        ------
        InputError
            The observations have another number of columns.
        """
        given = np.ascontiguousarray(observation, dtype=np.float32)
        if given.ndim != 2 or given.shape[1] != self._n_input:
            raise InputError(
                f"The policy was given observations of shape {given.shape}; it needs "
                f"(n, {self._n_input}): {', '.join(s.name for s in self.interface.observations)}."
            )
        return self._evaluate(given)

    def commands(self, observation: Array) -> Array:
        """Commands in their units, (n, n_action) array; see `Action`."""
        return self._squash(self(observation))

    def check(self, golden: Mapping[str, npt.NDArray[Any]]) -> None:
        """Compare with outputs that are known; a `DataError` where they differ."""
        inputs, expected = golden.get("observation"), golden.get("output")
        shape = (0 if inputs is None else len(inputs), len(self.interface.actions))
        if inputs is None or expected is None or expected.shape != shape or shape[0] == 0:
            raise DataError(f"{GOLDEN} must hold observations and their outputs. Export it anew.")
        try:
            found = self(inputs)
        except (InputError, ValueError) as error:
            raise DataError(f"The network does not fit its interface: {error}") from None
        if found.shape != shape:
            raise DataError(f"The network gives {found.shape[1:]} numbers; needed: {shape[1]}.")
        worst = float(np.max(np.abs(found - expected) / (1.0 + np.abs(expected))))
        if not worst <= GOLDEN_TOLERANCE:
            raise DataError(
                f"The network gives other outputs here than when it was written: they differ by "
                f"{worst:.3g}, allowed is {GOLDEN_TOLERANCE:g}. Use the versions in its record, or "
                "export it anew."
            )


def onnx_network(data: bytes) -> Evaluate:
    """The network of an ONNX model with one input and one output.

    Raises
    ------
    MissingExtraError
        onnxruntime is not installed.
    DataError
        onnxruntime refuses the model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "deploy") from error
    options = onnxruntime.SessionOptions()
    # A small network is slower on several threads, and a control loop shares its processor.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        (source,), (target,) = session.get_inputs(), session.get_outputs()
    except Exception as error:
        # onnxruntime's own kinds of errors have no common base.
        reason = str(error).partition("\n")[0]
        raise DataError(f"onnxruntime refuses the policy's network: {reason}") from None
    names, name = [target.name], source.name
    return lambda observation: np.asarray(session.run(names, {name: observation})[0])
