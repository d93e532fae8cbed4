"""Where a compiled physics gets its model from: a spec, or OpenSim where it was not read before."""

from __future__ import annotations

import hashlib
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from osim_exo import models
from osim_exo.compiler.backends import cache as kept
from osim_exo.compiler.spec import SPEC_VERSION, ModelSpec
from osim_exo.errors import DataError, InputError
from osim_exo.models import ModelConfig, available
from osim_exo.models.recipe import ModelFile, ModelRecipe, as_recipe, load_opensim
from osim_exo.parallel import spawning
from osim_exo.physics.compiled.shipped import shipped_spec
from osim_exo.progress import SILENT, Progress

Source = ModelRecipe | ModelSpec | str | Path
"""What a compiled physics is made from."""

SPEC_SUFFIX = ".spec.json"


def model_spec(source: Source, progress: Progress = SILENT) -> ModelSpec:
    """The model as data, read with OpenSim where it has not been read before.

    `gait2d`, alone and with its hip device, ships as data. Whatever else was read from a shipped
    model or a file is kept beside the compiled programs, so that OpenSim is not even loaded the
    next time.

    Parameters
    ----------
    source : a spec, the path of one (``.json``), a recipe, a shipped model's name, or the path of
        an ``.osim`` file
    progress : Progress

    Raises
    ------
    ModelError
        There is no such model, or something in it does not compile.
    MissingExtraError
        OpenSim is needed and not installed. A `ModelSpec` needs no OpenSim.
    """
    if isinstance(source, ModelSpec):
        return source
    if isinstance(source, (str, Path)) and Path(source).suffix == ".json":
        return ModelSpec.load(Path(source))
    recipe = ModelConfig(name=str(source)) if source in available() else as_recipe(source)
    ready = shipped_spec(recipe)
    if ready is not None:
        return ready
    path = _kept_as(recipe)
    if path is not None and path.is_file():
        try:
            return ModelSpec.load(path)
        except (DataError, InputError) as error:
            _tell(f"The kept model {path} cannot be used ({error}); it is read again.")
    with progress.step("Reading the model with OpenSim"):
        spec = _read(recipe)
    if path is not None:
        _keep(spec, path)
    return spec


def _kept_as(recipe: ModelRecipe) -> Path | None:
    """File whose name depends on all that the spec of a recipe depends on; None if unknown."""
    place = kept.folder()
    if place is None or not isinstance(recipe, (ModelConfig, ModelFile)):
        return None
    parts = [str(SPEC_VERSION), kept.source_digest(), _models_digest(), type(recipe).__name__]
    file: Path | None
    if isinstance(recipe, ModelConfig):
        parts.append(recipe.model_dump_json())
        file = None if recipe.name in available() else Path(recipe.name)
    else:
        file = recipe.path
    total = hashlib.sha256("\0".join(parts).encode())
    if file is not None:
        if not file.is_file():
            return None
        report = file.with_suffix(".convert.json")
        total.update(file.name.encode() + b"\0" + file.read_bytes())
        total.update(report.read_bytes() if report.is_file() else b"")
    return place / f"{total.hexdigest()[:32]}{SPEC_SUFFIX}"


@cache
def _models_digest() -> str:
    """Hash of everything that shipped models are built from."""
    total, root = hashlib.sha256(), Path(models.__file__).parent
    for path in sorted(root.rglob("*")):
        if path.suffix in (".py", ".csv", ".osim"):
            total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def _keep(spec: ModelSpec, path: Path) -> None:
    try:
        spec.save(path)
    except (OSError, InputError) as error:
        _tell(f"The model cannot be kept in {path.parent} ({error}); every start reads it anew.")


def _tell(message: str) -> None:
    warnings.warn(message, kept.CacheWarning, stacklevel=4)


def _read(recipe: ModelRecipe) -> ModelSpec:
    """A spec by the reader, in a process of its own where OpenSim must not be loaded here."""
    # The CasADi of its wheel and OpenSim's own cannot live in one process.
    if "casadi" in sys.modules and "opensim" not in sys.modules:
        context = spawning()
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(read_here, recipe).result()
    return read_here(recipe)


def read_here(recipe: ModelRecipe) -> ModelSpec:
    """A spec by the reader, with OpenSim in this process."""
    load_opensim()
    from osim_exo.compiler.reading import model as reader

    return reader.spec_of(recipe)
