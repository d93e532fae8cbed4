"""The controller of a policy bundle for the runtime: known by its hash, aware of novelty."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from osim_exo import bundle
from osim_exo.control import LearnedController, Signals
from osim_exo.control.base import Array
from osim_exo.errors import DataError, InputError
from osim_exo.policy import WEIGHTS, Policy

Float32 = npt.NDArray[np.float32]
Engine = Literal["numpy", "onnx"]


def bundle_hash(folder: str | Path) -> str:
    """SHA-256 of a bundle's list of hashes: it stands for every byte of the bundle.

    Raises
    ------
    DataError
        The folder is no bundle.
    """
    try:
        return hashlib.sha256((Path(folder) / bundle.SUMS).read_bytes()).hexdigest()
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise DataError(f"'{folder}' is not a policy's folder: {reason}.") from None


class PolicyController:
    """A `LearnedController` that tells how unlike training its input is.

    Parameters
    ----------
    folder : of the bundle
    mass : body mass, kg
    expected : hash of the bundle (`bundle_hash`) that it must have; optional
    engine : ``numpy`` gives the same bits wherever numpy does, ``onnx`` is quicker

    Attributes
    ----------
    policy : Policy
    sha256 : hash of the bundle
    largest_torque : that it can ask for, Nm
    novelty : largest ``|z|`` of the newest sample that the policy saw; see `NoveltyLimits`

    Raises
    ------
    DataError
        The folder is no whole bundle, or another one than expected.
    InputError
        The policy does not fit a hip device.
    """

    def __init__(
        self, folder: str | Path, mass: float, expected: str = "", engine: Engine = "numpy"
    ) -> None:
        self.sha256 = bundle_hash(folder)
        if expected and expected != self.sha256:
            raise DataError(
                f"The policy in '{folder}' is another one than in the record: its hash is "
                f"{self.sha256[:12]}, that of the record {expected[:12]}. Name the folder of the "
                "policy that ran."
            )
        self.policy = Policy.load(folder, engine)
        _, files = bundle.read(folder)
        arrays = bundle.unpack(files[WEIGHTS], WEIGHTS)
        n = len(self.policy.interface.observations)
        # Where each number of the window has its own normaliser, that of the newest sample counts.
        self._centre, self._scale = arrays["centre"].ravel()[-n:], arrays["scale"].ravel()[-n:]
        self.novelty = 0.0
        action = self.policy.interface.actions[0]
        self.largest_torque = action.high * (mass if action.unit == "Nm/kg" else 1.0)
        watched = Policy(self.policy.interface, self._watch, self.policy.record)
        self._controller = LearnedController(watched, mass)

    @property
    def rate_hz(self) -> float:
        """How often the policy acts, Hz."""
        return self._controller.rate_hz

    def check_rate(self, rate_hz: float) -> None:
        """Refuse a loop that does not run at the policy's rate or a multiple of it."""
        times = rate_hz / self.rate_hz
        if times < 1.0 or abs(times - round(times)) > 1e-6:
            raise InputError(
                f"The loop runs at {rate_hz:g} Hz, the policy acts at {self.rate_hz:g} Hz. Choose "
                f"rate_hz = {self.rate_hz:g} or a multiple of it."
            )

    def reset(self, n_env: int, environments: npt.ArrayLike | None = None) -> None:
        """Forget the readings."""
        self.novelty = 0.0
        self._controller.reset(n_env, environments)

    def __call__(self, signals: Signals) -> Array:
        """Torque, (n_env, 2) array, Nm, right then left, flexion positive."""
        return self._controller(signals)

    def _watch(self, observation: npt.NDArray[np.floating]) -> Float32:
        newest = observation[:, -self._centre.size :]
        self.novelty = float(np.max(np.abs((newest - self._centre) * self._scale)))
        return self.policy(observation)
