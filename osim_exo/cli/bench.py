"""``osim-exo bench``: measure, side by side in one run, and print the ratios."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any

from tyro import conf

from osim_exo.cli.command import DONE, STDOUT, Command, JsonTarget, emit_json, output, table
from osim_exo.errors import InputError, check_option
from osim_exo.files import writable_folder
from osim_exo.progress import Progress


def available() -> tuple[str, ...]:
    """Names of the benchmarks, found without importing them."""
    import osim_exo.benchmarks

    found = pkgutil.iter_modules(osim_exo.benchmarks.__path__)
    return tuple(sorted(module.name for module in found if not module.name.startswith("_")))


@dataclass(frozen=True)
class Bench(Command):
    """Run a benchmark; every number is measured now, and ratios come from one run.

    Give a name that does not exist to see which there are.
    """

    name: conf.Positional[str]
    """which benchmark"""

    quick: bool = False
    """a shorter, noisier measurement"""

    model: tuple[str, ...] = ()
    """for engine: shipped models or .osim files to measure, by default gait2d"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Measure and print."""
        check_option("benchmark", self.name, available())
        if self.json is not None and str(self.json) != STDOUT:
            writable_folder(self.json.parent)  # said now, not after minutes of measuring
        measure = import_module(f"osim_exo.benchmarks.{self.name}").run
        options: dict[str, Any] = {"quick": self.quick}
        if self.model:
            if "models" not in signature(measure).parameters:
                raise InputError(f"Benchmark {self.name} has its own model; leave out --model.")
            options["models"] = self.model
        result: dict[str, Any] = measure(**options)
        if self.json is not None:
            emit_json(self.json, result)
        if str(self.json) != STDOUT:
            console = output()
            rows = [(r["what"], f"{r['value']:.4g}", r["unit"]) for r in result["rows"]]
            console.print(table(("measured", "value", "unit"), rows))
            console.print()
            ratios = [(name, f"{value:.3g}") for name, value in result["ratios"].items()]
            console.print(table(("ratio", "value"), ratios))
            for left_out in result.get("skipped", ()):
                console.print(f"Left out: {left_out['what']}. {left_out['reason']}")
        return DONE
