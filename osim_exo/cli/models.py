"""``osim-exo models``: which models ship, what is in one, where its file lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from tyro import conf

from osim_exo.cli.command import DONE, Command, JsonTarget, emit_json, output, table
from osim_exo.progress import Progress


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
class Models:
    """List the gait models, show what is in one, or print where its file lies."""

    command: Annotated[
        Annotated[ListModels, conf.subcommand("list")]
        | Annotated[ShowCard, conf.subcommand("card")]
        | Annotated[ShowPath, conf.subcommand("path")],
        conf.arg(name=""),
    ]


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)}: " + ", ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
