"""``osim-exo study``: list the studies that ship, and run one or go on with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
from osim_exo.cli.comparison_table import show, show_transfer
from osim_exo.errors import InputError
from osim_exo.progress import Progress

if TYPE_CHECKING:
    from osim_exo.study import StudyResult, Sweep, SweepResult

Controllers = tuple[Literal["optimal", "spline", "delayed_output_feedback", "playback"], ...]


@dataclass(frozen=True)
class ListStudies(Command):
    """List the studies that ship with osim_exo, with their questions."""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Print names and questions."""
        from osim_exo import study

        found = [study.load(name) for name in study.available()]
        if self.json is not None:
            emit_json(self.json, [config.model_dump(mode="json") for config in found])
            return DONE
        rows = [
            (c.name, len(c.speeds), len(c.slopes_deg), c.subjects, c.question)
            if isinstance(c, study.StudyConfig)
            else (c.name, "–", "–", "–", c.question)
            for c in found
        ]
        output().print(table(("study", "speeds", "slopes", "subjects", "question"), rows))
        return DONE


@dataclass(frozen=True)
class RunStudy(Command):
    """Run a study, or go on with it where it stopped, and write comparison and report.

    The output folder gets study.json, trials/, comparison.json, comparison.csv and report.html.
    """

    name: conf.Positional[str]
    """a shipped study, or a .py or .json file with a study's configuration"""

    out: Path
    """output folder, new or of the same study"""

    quick: bool = False
    """a quick look: one subject and a coarser mesh"""

    subjects: int | None = None
    """number of virtual subjects; by default the study's own"""

    controller: Controllers = ()
    """one or more controllers of the assisted arm; by default the study's own"""

    walker: tuple[str, ...] = ()
    """for sweeps over walkers: shipped ones or folders of runs; by default the study's own"""

    fresh: bool = False
    """solve the no-exo baseline from nothing instead of loading it from the library"""

    arms: Literal["solved", "learned", "both"] | None = None
    """solved by optimal control, learned (closed loops in OpenSim), or both; a study's own by
    default, but only solved ones with --quick"""

    trained: str | None = None
    """chains for the learned arms: a shipped set, or the folder of osim-exo train --staged"""

    jobs: int | None = None
    """conditions at a time; by default all cores"""

    backend: Literal["loky", "dask", "ray"] = "loky"
    """where they run: processes here, or a Dask or Ray cluster, started here if none is named"""

    address: str | None = None
    """of a cluster that runs already, as tcp://host:8786 (Dask) or auto (Ray)"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Run and print."""
        from osim_exo import study

        config = study.load(self.name)
        if isinstance(config, study.Sweep):
            return self._sweep(config, progress)
        if self.walker:
            raise InputError(f"Study {config.name} has no trained walkers; leave out --walker.")
        result = study.run(
            config,
            self.out,
            quick=self.quick,
            subjects=self.subjects,
            controllers=self.controller or None,
            fresh=self.fresh,
            jobs=self.jobs,
            backend=self.backend,
            address=self.address,
            arms=self.arms,
            trained=self.trained,
            progress=progress,
        )
        if self.json is not None:
            emit_json(self.json, _as_dict(result))
        if str(self.json) != STDOUT:
            _print(result)
        return FAILED if result.failures else DONE

    def _sweep(self, config: Sweep, progress: Progress) -> int:
        """Run a sweep and print its table."""
        from osim_exo.study import RobustnessSweep, run_sweep
        from osim_exo.study.trained_sweep import TrainedSweep

        if self.subjects is not None or self.controller or self.fresh or self.arms:
            raise InputError(
                f"Study {config.name} is a sweep; leave out --subjects, --controller, --fresh and "
                "--arms."
            )
        if isinstance(config, TrainedSweep):
            config = config.of(self.trained)
        elif self.trained:
            raise InputError(f"Study {config.name} uses no trained chains; leave out --trained.")
        if self.walker and not isinstance(config, RobustnessSweep):
            raise InputError(f"Study {config.name} trains its own walkers; leave out --walker.")
        if isinstance(config, RobustnessSweep):
            config = config.for_walkers(self.walker or config.walkers)
        result = run_sweep(
            config,
            self.out,
            quick=self.quick,
            jobs=self.jobs,
            backend=self.backend,
            address=self.address,
            progress=progress,
        )
        if self.json is not None:
            emit_json(self.json, {"study": config.name, "rows": list(result.rows)})
        if str(self.json) != STDOUT:
            _print_sweep(result)
        return FAILED if result.failures else DONE

    @property
    def kept(self) -> str:
        """What an interrupt leaves behind."""
        return (
            f"Finished conditions are kept in '{self.out}'; the same command goes on with the rest."
        )


@dataclass(frozen=True)
class Study:
    """List the studies, or run one: baseline, exo arms, comparison, report."""

    command: Annotated[
        Annotated[ListStudies, conf.subcommand("list")]
        | Annotated[RunStudy, conf.subcommand("run")],
        conf.arg(name=""),
    ]


def _as_dict(result: StudyResult) -> dict[str, Any]:
    return {
        "study": result.config.name,
        "failures": dict(result.failures),
        "gates": {name: list(gates) for name, gates in result.gates.items()},
        "comparison": result.comparison.to_dict(),
    }


def _print_sweep(result: SweepResult) -> None:
    console = output()
    heads, lines = result.config.lines(result.rows)
    console.print(table(heads, lines))
    for name, value in result.findings.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {part:.3g}" for key, part in value.items())
        console.print(f"{name.replace('_', ' ')}: {value}")
    for cell, explanation in result.failures.items():
        console.print(f"Failed: {cell}. {explanation}")
    console.print(f"Results: {result.folder}")


def _print(result: StudyResult) -> None:
    console = output()
    show(console, result.comparison)
    required = [
        (name, gate)
        for name, gates in result.gates.items()
        for gate in gates
        if not gate["informative"]
    ]
    missed = [(name, gate) for name, gate in required if not gate["passed"]]
    console.print()
    console.print(
        f"Quality gates: {len(required) - len(missed)} of {len(required)} passed in "
        f"{len(result.gates)} gaits."
    )
    for name, gate in missed:
        console.print(f"  {name}: {gate['name']} {gate['value']:.3g}, allowed {gate['limit']}")
    for name, explanation in result.failures.items():
        console.print(f"Failed: {name}. {explanation}")
    if result.learned is not None:
        show_transfer(console, result.learned.transfer)
        console.print(f"Report of the learned arms: {result.learned.folder / 'report.html'}")
    if (result.folder / "report.html").is_file():
        console.print(f"Report: {result.folder / 'report.html'}")
