"""What is simulated: gait models, the person, the worn device, the ground.

``load("gait2d", subject=Subject(mass=70, height=1.75), exo=HipExo(), slope_deg=5)`` gives an
`opensim.Model`; a `ModelConfig` is the same request as a value that can be hashed, stored and sent
to another process.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from osim_exo.config import Config
from osim_exo.errors import ModelError
from osim_exo.models.exo import AnkleExo, HipExo, JointExo
from osim_exo.models.recipe import load_opensim
from osim_exo.models.subject import REFERENCE_HEIGHT, Subject

if TYPE_CHECKING:
    import opensim

__all__ = [
    "AnkleExo",
    "HipExo",
    "JointExo",
    "ModelConfig",
    "Subject",
    "available",
    "card",
    "load",
    "shipped_path",
]

_SHIPPED = {"gait2d": "Planar walker: 10 coordinates, 18 muscles, 6 contact spheres"}


def available() -> tuple[str, ...]:
    """Names of the shipped models."""
    return tuple(_SHIPPED)


def shipped_path(name: str) -> Path:
    """Path of a shipped model's .osim file, to open in the OpenSim GUI."""
    if name not in _SHIPPED:
        raise ModelError(_unknown(name))
    return Path(str(files("osim_exo.models"))) / name / f"{name}.osim"


def _unknown(name: str) -> str:
    return (
        f"Unknown model '{name}'. Shipped models: {', '.join(_SHIPPED)}; or give the path of an "
        "existing .osim file."
    )


class ModelConfig(Config):
    """A request for a model: everything that `load` takes, as a value.

    Tendons are rigid by default. Paths are smooth polynomials by default (for a user's own file:
    the file's own paths).
    """

    name: str = Field(default="gait2d", description="shipped model, or path of an .osim file")
    subject: Subject | None = Field(default=None, description="None: the model's own size")
    exo: JointExo | None = Field(default=None, description="worn device")
    slope_deg: float = Field(default=0.0, ge=-15.0, le=15.0, description="uphill positive, degrees")
    weakness: dict[str, float] = Field(
        default_factory=dict, description="factor on isometric force by muscle name"
    )
    contracture: dict[str, float] = Field(
        default_factory=dict, description="factor on optimal fibre length by muscle name"
    )
    tendon: Literal["rigid", "compliant"] = "rigid"
    paths: Literal["polynomial", "geometry"] = "polynomial"
    exo_actuator: Literal["torque", "activation"] = Field(
        default="torque",
        description="torque: the exo torque is what is commanded (stepped physics apply the "
        "device's dynamics outside the model); activation: a state with controlled rate (Moco)",
    )

    def build(self) -> opensim.Model:
        """A new `opensim.Model`; call ``initSystem()`` on it."""
        model = self._base(load_opensim())
        from osim_exo.models import components, ground

        components.require_coordinates(model, source=self.name)
        for muscle in components.muscles(model):
            muscle.set_ignore_tendon_compliance(self.tendon == "rigid")
        components.weaken(model, self.weakness)
        components.contract(model, self.contracture)
        ground.set_slope(model, self.slope_deg)
        if self.exo is not None:
            self.exo.attach(model, actuator=self.exo_actuator)
        model.finalizeConnections()
        return model

    def _base(self, opensim: Any) -> opensim.Model:
        if self.name in _SHIPPED:
            from osim_exo.models import paths
            from osim_exo.models.gait2d.build import build

            model = build(self.subject)
            if self.paths == "polynomial":
                table = shipped_path(self.name).parent / "polynomials.csv"
                scale = (self.subject or Subject()).length_scale
                paths.use_polynomials(model, paths.read_polynomials(table), scale)
            return model
        file = Path(self.name)
        if file.suffix != ".osim" or not file.is_file():
            raise ModelError(_unknown(self.name))
        if self.subject is not None:
            raise ModelError(
                f"A subject was given for {file.name}. Scaling is built in for shipped models "
                "only; scale your own file with OpenSim's Scale tool and pass subject=None."
            )
        try:
            return opensim.Model(str(file))
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = " ".join(lines[:3]).rstrip(".") + "."
            raise ModelError(
                f"{file} cannot be read as an OpenSim model: {reason} Open it in the OpenSim GUI "
                "to see what is wrong."
            ) from error

    @property
    def body_mass(self) -> float:
        """Body mass without device, kg; for a user's file the model's total mass without exo."""
        if self.subject is not None or self.name in _SHIPPED:
            return (self.subject or Subject()).mass
        model = self.changed(exo=None).build()
        return float(model.getTotalMass(model.initSystem()))

    @property
    def exo_mass(self) -> float:
        """Mass worn on top of the body, kg."""
        return self.exo.mass if self.exo is not None else 0.0

    @property
    def reference_height(self) -> float:
        """Stature of the unscaled model, m; NaN for a user's file, which does not tell."""
        return REFERENCE_HEIGHT if self.name in _SHIPPED else float("nan")

    @property
    def slow_fractions(self) -> dict[str, float]:
        """Share of slow-twitch fibres by muscle without side; empty for a user's file."""
        if self.name not in _SHIPPED:
            return {}
        from osim_exo.models.gait2d import tables

        return {r["muscle"]: float(r["slow_twitch_share"]) for r in tables.rows("fibres")}

    @property
    def display(self) -> opensim.Model | None:
        """The same person with geometry paths, to draw muscles; None if the model has its own."""
        if self.name not in _SHIPPED or self.paths == "geometry":
            return None
        return self.changed(exo=None, paths="geometry").build()

    @property
    def symmetric(self) -> bool:
        """Whether left and right are the same, so that half a stride tells all."""
        changed = (*self.weakness, *self.contracture)
        return not any(name.endswith(("_r", "_l")) for name in changed)

    @property
    def hash(self) -> str:
        """SHA-256 of the model as built, first 16 digits: any change of a table or file shows."""
        return hashlib.sha256(self.build().dump().encode()).hexdigest()[:16]


def load(
    name: str = "gait2d",
    subject: Subject | None = None,
    exo: JointExo | None = None,
    slope_deg: float = 0.0,
    weakness: dict[str, float] | None = None,
    **options: Any,
) -> opensim.Model:
    """Build a gait model.

    Parameters
    ----------
    name : shipped model or path of an ``.osim`` file that has the named gait coordinates
    subject : body mass, height, strength; the model's own size if not given
    exo : worn device, attached to the model
    slope_deg : slope in degrees, uphill positive, within 15
    weakness : factor on isometric force by muscle name, as ``{"soleus_r": 0.5}``
    options : ``contracture``, ``tendon``, ``paths``, ``exo_actuator`` of `ModelConfig`

    Returns
    -------
    opensim.Model

    Raises
    ------
    ModelError
        Unknown model, unreadable file, missing coordinate or muscle.
    InputError
        A value out of range; the message says which.
    """
    config = ModelConfig(
        name=name,
        subject=subject,
        exo=exo,
        slope_deg=slope_deg,
        weakness=weakness or {},
        **options,
    )
    return config.build()


def card(name: str) -> dict[str, Any]:
    """Facts about a model: coordinates, muscles, mass, contacts, file.

    Counted on the built model, not written by hand.
    """
    from osim_exo.models import components, ground

    config = ModelConfig(name=name)
    model = config.build()
    state = model.initSystem()
    return {
        "name": name,
        "description": _SHIPPED.get(name, "user's file"),
        "file": shipped_path(name).name if name in _SHIPPED else str(name),
        "hash": config.hash,
        "mass_kg": model.getTotalMass(state),
        "coordinates": [c.getName() for c in components.coordinates(model)],
        "muscles": [m.getName() for m in components.muscles(model)],
        "contacts": [f.getName() for f in ground.contact_forces(model)],
    }
