"""Where a model comes from: a recipe that any process can carry out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from osim_exo.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    import opensim


class ModelRecipe(Protocol):
    """A request for a model that can be sent to another process, as `osim_exo.models.ModelConfig`.

    A recipe may also have ``exo``, the worn `JointExo` or None.
    """

    def build(self) -> opensim.Model:
        """Make a new model; ``initSystem()`` is called on it afterwards."""


@dataclass(frozen=True)
class ModelFile:
    """A model file as it is, without anything attached."""

    path: Path

    def build(self) -> opensim.Model:
        """Read the file."""
        osim = load_opensim()
        if not self.path.is_file():
            raise ModelError(f"There is no model file '{self.path}'. Name an existing .osim file.")
        try:
            return osim.Model(str(self.path))
        except RuntimeError as error:
            raise ModelError(
                f"'{self.path}' cannot be read as an OpenSim model: "
                f"{str(error).strip().splitlines()[0]}"
            ) from None


def as_recipe(source: ModelRecipe | str | Path) -> ModelRecipe:
    """A recipe from a recipe or from the path of an ``.osim`` file."""
    return ModelFile(Path(source)) if isinstance(source, (str, Path)) else source


def load_opensim() -> Any:
    """Import OpenSim quietly: no opensim.log in the working folder, nothing below errors.

    Raises
    ------
    MissingExtraError
        OpenSim is not installed.
    """
    try:
        import opensim
    except ImportError as error:
        raise MissingExtraError("opensim", "sim") from error
    opensim.Logger.removeFileSink()
    opensim.Logger.setLevelString("error")
    return opensim
