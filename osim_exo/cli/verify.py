"""``osim-exo models verify``: the compiled model against OpenSim, number by number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tyro import conf

from osim_exo.cli.command import (
    DONE,
    FAILED,
    STDOUT,
    Command,
    JsonTarget,
    emit_json,
    output,
    table,
)
from osim_exo.errors import InputError
from osim_exo.progress import Progress

if TYPE_CHECKING:
    from osim_exo.compiler.proof.trajectory import Growth
    from osim_exo.compiler.proof.verify import Verification


@dataclass(frozen=True)
class VerifyModel(Command):
    """Compile a model and compare every quantity with OpenSim at random states.

    Exit code 0: the compiled model is OpenSim's; 1: something differs; 2: it does not compile.
    """

    model: conf.Positional[str]
    """a shipped model's name, or the path of an .osim file"""

    states: int = 200
    """random states to compare at"""

    seed: int = 0
    """of the states"""

    dtype: Literal["float64", "float32"] = "float64"
    """of the compiled model"""

    paths: Literal["polynomial", "geometry"] = "polynomial"
    """of a shipped model"""

    tendon: Literal["rigid", "compliant"] | None = None
    """all muscles' tendons; by default rigid for a shipped model, and a file's own"""

    exo: bool = False
    """with the shipped hip exoskeleton"""

    slope: float = 0.0
    """degrees, uphill positive, within 15"""

    trajectory: bool = False
    """also compare motions over 0.25 s with OpenSim's integrator, for 0.5, 1 and 2 ms steps"""

    starts: int = 4
    """random states that those motions start from"""

    scheme: Literal["midpoint", "implicit", "exact_damping", "explicit"] = "midpoint"
    """how those motions step"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Compare, print and judge."""
        from osim_exo.models.recipe import load_opensim

        load_opensim()
        from osim_exo.compiler.proof.trajectory import error_growth
        from osim_exo.compiler.proof.verify import verify

        if self.states < 1 or self.starts < 1 or self.seed < 0:
            raise InputError(
                f"--states {self.states} --starts {self.starts} --seed {self.seed} were given; "
                "allowed are 1 or more states and starts, and a seed of 0 or more."
            )
        source = self._source()
        found = verify(source, self.states, self.seed, self.dtype)
        growth = []
        if self.trajectory:
            growth = error_growth(source, self.starts, self.seed, scheme=self.scheme)
        if self.json is None or str(self.json) != STDOUT:
            _show(found, growth)
        if self.json is not None:
            emit_json(self.json, {**found.to_json(), **_growth_json(growth)})
        return DONE if found.passed else FAILED

    def _source(self) -> Any:
        from osim_exo.models import HipExo, ModelConfig, available

        if self.model in available() or self.exo or self.slope or self.tendon is not None:
            return ModelConfig(
                name=self.model,
                paths=self.paths,
                tendon=self.tendon or "rigid",
                exo=HipExo() if self.exo else None,
                slope_deg=self.slope,
            )
        return self.model


def _show(found: Verification, growth: list[Growth]) -> None:
    rows = []
    for name, error in found.quantities.items():
        verdict = "no" if name in found.failed else "yes"
        numbers = (f"{error.max_rel_error:.1e}", f"{error.median_rel_error:.1e}", error.n)
        rows.append((name, *numbers, verdict))
    console = output()
    console.print(f"{found.model}: compiled ({found.backend}, {found.dtype}) against OpenSim")
    console.print(table(("quantity", "max error", "median", "n", "passed"), rows))
    for name in found.failed:
        console.print(f"{name} is worst at {found.quantities[name].worst}")
    if growth:
        heads = ("step", *(f"after {1e3 * t:g} ms" for t in growth[0].times))
        cells = [
            (
                f"{1e3 * g.step:g} ms",
                *(f"{m:.1e} (max {x:.1e})" for m, x in zip(g.median, g.largest)),
            )
            for g in growth
        ]
        console.print(
            "Error of coordinates against OpenSim's integrator, rad or m: median of starts"
        )
        console.print(table(heads, cells))


def _growth_json(growth: list[Growth]) -> dict[str, Any]:
    if not growth:
        return {}
    keys = ("step", "times", "median", "largest")
    return {"trajectory": [{key: getattr(g, key) for key in keys} for g in growth]}
