"""``osim-exo models``: which models ship, what is in one, how to make one's own file ready."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro import conf

from osim_exo.cli.command import DONE, STDOUT, Command, JsonTarget, emit_json, output, table
from osim_exo.cli.kept import ModelsCache
from osim_exo.cli.verify import VerifyModel
from osim_exo.errors import InputError
from osim_exo.progress import Progress

if TYPE_CHECKING:
    from osim_exo.models.convert import Conversion, ConvertOptions


@dataclass(frozen=True)
class ListModels(Command):
    """List the models that ship with osim_exo."""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Print the names and files."""
        from osim_exo import models

        rows = [(name, models.shipped_path(name)) for name in models.available()]
        if self.json is not None:
            emit_json(self.json, [{"name": name, "file": path.name} for name, path in rows])
            return DONE
        output().print(table(("model", "file"), rows))
        return DONE


@dataclass(frozen=True)
class ShowCard(Command):
    """Show what a model holds: mass, coordinates, muscles, contacts."""

    model: conf.Positional[str]
    """a shipped model's name, or the path of an .osim file"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Print the card."""
        from osim_exo import models

        card = models.card(self.model)
        if self.json is not None:
            emit_json(self.json, card)
            return DONE
        output().print(
            table(("", ""), [(key.replace("_", " "), _cell(v)) for key, v in card.items()])
        )
        return DONE


@dataclass(frozen=True)
class ShowPath(Command):
    """Print where a shipped model's .osim file lies, to open it in the OpenSim GUI."""

    model: conf.Positional[str]
    """a shipped model's name"""

    def run(self, progress: Progress) -> int:
        """Print the path."""
        from osim_exo import models

        print(models.shipped_path(self.model))
        return DONE


@dataclass(frozen=True)
class ConvertModel(Command):
    """Make an .osim file ready to be compiled: welds, muscles, smooth paths; with a report.

    Locked joints are welded; Millard, Thelen and rigid-tendon muscles become DeGrooteFregly2016
    ones; wrapping paths become polynomials, tested on postures that the fit has not seen;
    controllers and probes go. OUT.convert.json beside the output says what was changed and how
    large every error is.
    """

    source: conf.Positional[Path]
    """the .osim file to convert; it is never changed"""

    out: conf.Positional[Path]
    """the .osim file to write"""

    weld: tuple[str, ...] = ()
    """joints to weld at their default pose, besides locked ones"""

    weld_arms: bool = False
    """weld shoulders, elbows and wrists"""

    weld_toes: bool = False
    """weld the toe joints"""

    tendon: Literal["rigid", "compliant"] = "rigid"
    """tendons of the new muscles"""

    paths: Literal["auto", "polynomial", "geometry"] = "auto"
    """auto: polynomials for muscles that wrap; polynomial: for all; geometry: leave all"""

    range: tuple[str, ...] = ()
    """range of the path fit as NAME=LOW:HIGH, degrees (m for a translation)"""

    contact: Literal["keep", "smooth"] = "keep"
    """smooth: Hunt-Crossley contact spheres become smooth ones"""

    drop: tuple[str, ...] = ()
    """forces or constraints to leave out, by name or class"""

    add: tuple[str, ...] = ()
    """ForceSet or ContactGeometrySet files to add"""

    goal_mm: float = 0.5
    """error that the path fit aims at, mm"""

    limit_mm: float = 2.0
    """RMS error on unseen postures above which a path fails, mm"""

    samples: int = 3000
    """postures of the path fit"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Convert, write, print the report."""
        from osim_exo.models.convert import convert, report_path

        made = convert(self.source, self.out, self._options(), progress)
        if self.json is not None:
            emit_json(self.json, made.to_dict())
        if str(self.json) != STDOUT:
            _show(made)
            output().print(f"Model: {self.out}\nReport: {report_path(self.out)}")
        return DONE

    def _options(self) -> ConvertOptions:
        from osim_exo.models.convert import ConvertOptions

        return ConvertOptions(
            weld=self.weld,
            weld_arms=self.weld_arms,
            weld_toes=self.weld_toes,
            tendon=self.tendon,
            paths=self.paths,
            ranges=dict(_range(text) for text in self.range),
            contact=self.contact,
            drop=self.drop,
            add=self.add,
            goal_mm=self.goal_mm,
            limit_mm=self.limit_mm,
            samples=self.samples,
        )


@dataclass(frozen=True)
class Models:
    """List the gait models, show one, make your own file ready, verify a compiled model."""

    command: Annotated[
        Annotated[ListModels, conf.subcommand("list")]
        | Annotated[ShowCard, conf.subcommand("card")]
        | Annotated[ShowPath, conf.subcommand("path")]
        | Annotated[ConvertModel, conf.subcommand("convert")]
        | Annotated[VerifyModel, conf.subcommand("verify")]
        | Annotated[ModelsCache, conf.subcommand("cache")],
        conf.arg(name=""),
    ]


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)}: " + ", ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _range(text: str) -> tuple[str, tuple[float, float]]:
    name, equals, ends = text.partition("=")
    low, colon, high = ends.partition(":")
    try:
        if not (name and equals and colon):
            raise ValueError
        return name, (float(low), float(high))
    except ValueError:
        raise InputError(
            f"--range was given '{text}'; needed is NAME=LOW:HIGH in degrees (m for a "
            "translation), like hip_flexion_r=-30:60."
        ) from None


def _show(made: Conversion) -> None:
    output().print(table(("", ""), made.rows()))
    for warning in made.warnings:
        output().print(f"Note: {warning}")
