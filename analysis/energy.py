"""Metabolic cost of a walk: watts, watts per kilogram, cost of transport, per muscle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osim_exo.analysis.clinical import body_mass
from osim_exo.analysis.cycles import stride_mean
from osim_exo.analysis.events import GaitEvents, find_events
from osim_exo.analysis.metabolics import (
    BASAL_COEFFICIENT,
    BASAL_EXPONENT,
    BhargavaOptions,
    UmbergerOptions,
    basal_rate,
    muscle_rates,
)
from osim_exo.analysis.spatiotemporal import spatiotemporal
from osim_exo.trial import Trial


@dataclass(frozen=True)
class EnergyCost:
    """Mean metabolic cost over the whole strides of a trial, by one metabolic model.

    Gross is muscles and basal rate, net the muscles alone. Per kilogram always means body mass
    without the device.

    Attributes
    ----------
    model : ``bhargava2004`` or ``umberger2010``
    muscles : W by muscle
    net_watts, basal_watts : W
    body_mass : kg
    speed : m/s; NaN where it is not known
    """

    model: str
    muscles: dict[str, float]
    net_watts: float
    basal_watts: float
    body_mass: float
    speed: float

    @property
    def gross_watts(self) -> float:
        """Muscles and basal rate, W."""
        return self.net_watts + self.basal_watts

    @property
    def gross(self) -> float:
        """Gross metabolic rate, W/kg."""
        return self.gross_watts / self.body_mass

    @property
    def net(self) -> float:
        """Net metabolic rate, W/kg."""
        return self.net_watts / self.body_mass

    @property
    def cost_of_transport(self) -> float:
        """Gross cost of transport, J/kg/m; NaN without forward speed."""
        return self.gross / self.speed if self.speed > 0 else float("nan")

    @property
    def cost_of_transport_net(self) -> float:
        """Net cost of transport, J/kg/m; NaN without forward speed."""
        return self.net / self.speed if self.speed > 0 else float("nan")


def energy_cost(
    trial: Trial,
    model: str = "bhargava2004",
    options: BhargavaOptions | UmbergerOptions | None = None,
    events: GaitEvents | None = None,
    basal_coefficient: float = BASAL_COEFFICIENT,
    basal_exponent: float = BASAL_EXPONENT,
) -> EnergyCost:
    """Metabolic cost of a trial.

    Parameters
    ----------
    trial : with the muscle series and parameters that metabolic models need
    model : ``bhargava2004`` or ``umberger2010``
    options : of that model; OpenSim's defaults when left out
    basal_coefficient, basal_exponent : of `osim_exo.analysis.metabolics.basal_rate`

    Raises
    ------
    DataError
        Muscle data or body mass are missing, or there is no whole stride.
    """
    events = events or find_events(trial)
    mass = body_mass(trial)
    means = stride_mean(trial, muscle_rates(trial, model, options).total, events)
    return EnergyCost(
        model=model,
        muscles={n: float(v) for n, v in zip(trial.activations.names, means)},
        net_watts=float(np.sum(means)),
        basal_watts=basal_rate(mass, basal_coefficient, basal_exponent),
        body_mass=mass,
        speed=spatiotemporal(trial, events).speed,
    )
