"""``osim-exo baseline``: solve a gait, rebuild the shipped library, look at what is solved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro import conf

from osim_exo.cli.command import DONE, STDOUT, Command, JsonTarget, emit_json, output, table
from osim_exo.cli.gait_table import show_gait
from osim_exo.cli.replay import GAIT, ReplayGait, find_gait
from osim_exo.errors import InputError
from osim_exo.files import MARKER, RESULTS, read_json, writable_folder
from osim_exo.progress import Progress

if TYPE_CHECKING:
    from osim_exo.baseline import BaselineConfig, Gait
    from osim_exo.models import Subject


@dataclass(frozen=True)
class SolveGait(Command):
    """Solve one gait by optimal control, check it and write it.

    The exo is the shipped hip exoskeleton; for another device, or for several arms, write a study.
    """

    out: Path
    """output folder, new or of the same gait"""

    model: str = "gait2d"
    """shipped model, or path of an .osim file"""

    speed: float = 1.25
    """m/s, above 0 and up to 2.2"""

    slope: float = 0.0
    """degrees, uphill positive, within 15"""

    condition: Literal["no_exo", "zero_torque", "assisted"] | None = None
    """by default no_exo, and assisted where a controller is given"""

    controller: Literal["optimal", "spline", "delayed_output_feedback", "playback"] | None = None
    """of the assisted condition; by default optimal"""

    profile: Path | None = None
    """folder of a solved assisted gait whose torque controller playback plays"""

    stride_time: float | None = None
    """impose the stride time, s; by default it is optimised within 0.9 to 1.4 s"""

    mesh: int = 50
    """mesh intervals over the solved time"""

    max_iterations: int = 400
    """of the solver"""

    metabolic_weight: float = 0.0
    """weight of the metabolic rate in the objective, per W/kg"""

    mass: float | None = None
    """body mass without device, kg"""

    height: float | None = None
    """stature, m"""

    weakness: tuple[str, ...] = ()
    """weaker muscles as NAME=FACTOR, like soleus_r=0.5; without side for both"""

    guess: Path | None = None
    """folder of a solved gait to start from; by default the nearest of the library"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Solve, write and print."""
        from osim_exo import baseline

        config = self._config()
        digest = config.hash
        start = baseline.load_gait(self.guess).solution if self.guess else None
        _claim(self.out, digest)
        if (self.out / GAIT).is_file():
            progress.note(f"'{self.out}' holds this gait already; it is shown as it is.")
            gait = baseline.load_gait(self.out)
        else:
            gait = baseline.solve(config, out=self.out, guess=start, progress=progress)
        _report(gait, self.json)
        if str(self.json) != STDOUT:
            output().print(f"Gait: {self.out}")
        return DONE

    @property
    def kept(self) -> str:
        """What an interrupt leaves behind."""
        return f"The best motion so far, if there was one, lies in '{self.out}' as partial.sto."

    def _config(self) -> BaselineConfig:
        from osim_exo.baseline import BaselineConfig, Solver, StrideTime, Weights
        from osim_exo.models import HipExo, ModelConfig

        condition = self.condition or ("assisted" if self.controller else "no_exo")
        controller = self.controller or ("optimal" if condition == "assisted" else "none")
        model = ModelConfig(
            name=self.model,
            subject=self._subject(),
            exo=None if condition == "no_exo" else HipExo(),
            slope_deg=self.slope,
            weakness=dict(_factor(text) for text in self.weakness),
        )
        return BaselineConfig(
            model=model,
            speed=self.speed,
            condition=condition,
            controller=controller,
            playback=self._profile(controller),
            weights=Weights(metabolic=self.metabolic_weight),
            solver=Solver(mesh_intervals=self.mesh, max_iterations=self.max_iterations),
            stride_time=StrideTime(fixed=self.stride_time),
        )

    def _subject(self) -> Subject | None:
        from osim_exo.models import Subject

        given = {"mass": self.mass, "height": self.height}
        known = {name: value for name, value in given.items() if value is not None}
        return Subject(**known) if known else None

    def _profile(self, controller: str) -> Any:
        if (controller == "playback") != (self.profile is not None):
            raise InputError(
                "Controller playback and --profile belong together: --profile names the folder of "
                "a solved assisted gait, whose torque is played back."
            )
        if self.profile is None:
            return None
        from osim_exo.study.conditions import torque_profile

        return torque_profile(self.profile)


@dataclass(frozen=True)
class BuildLibrary(Command):
    """Solve the library of shipped gaits: what is missing or outdated, all with --fresh."""

    out: Path | None = None
    """folder for the library; by default the checkout's own"""

    model: str = "gait2d"
    """shipped model"""

    fresh: bool = False
    """solve also what is there and current"""

    def run(self, progress: Progress) -> int:
        """Solve and list."""
        from osim_exo.baseline import library
        from osim_exo.models import shipped_path

        shipped_path(self.model)
        root = self.out
        if root is None:
            if not _is_checkout():
                raise InputError(
                    "This is an installed osim_exo, whose own library stays as it was shipped. "
                    "Name a folder for the new gaits with --out DIR."
                )
            root = library.folder()
        writable_folder(root)
        library.build(self.model, root, fresh=self.fresh, progress=progress)
        _show_library(root, None)
        return DONE

    @property
    def kept(self) -> str:
        """What an interrupt leaves behind."""
        return (
            "Gaits that were finished are kept; the same command without --fresh solves the rest."
        )


@dataclass(frozen=True)
class ShowGaits(Command):
    """Show the gaits of the library, or one gait with its gates and how human it is."""

    gait: conf.Positional[str] = ""
    """folder of a gait, or SPEED/SLOPE like 1.25/0 in the library; all of it if left out"""

    model: str = "gait2d"
    """model of the library's gait"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Read and print."""
        if not self.gait:
            _show_library(None, self.json)
            return DONE
        _report(find_gait(self.gait, self.model), self.json)
        return DONE


@dataclass(frozen=True)
class Baseline:
    """Solve gaits by optimal control, rebuild the shipped ones, look at them, run them forward."""

    command: Annotated[
        Annotated[SolveGait, conf.subcommand("solve")]
        | Annotated[BuildLibrary, conf.subcommand("library")]
        | Annotated[ShowGaits, conf.subcommand("show")]
        | Annotated[ReplayGait, conf.subcommand("replay")],
        conf.arg(name=""),
    ]


def _factor(text: str) -> tuple[str, float]:
    name, _, factor = text.partition("=")
    try:
        return name, float(factor)
    except ValueError:
        raise InputError(
            f"Weakness '{text}' cannot be read; it must be NAME=FACTOR, like soleus_r=0.5."
        ) from None


def _claim(folder: Path, digest: str) -> None:
    """Refuse a folder that holds anything but this gait; a partial solution may lie there."""
    writable_folder(folder)
    held = [name for name in (MARKER, *RESULTS) if (folder / name).exists()]
    if held:
        raise InputError(
            f"The output folder '{folder}' holds the results of a study ({', '.join(held)}). "
            "Nothing was changed. Name another folder with --out."
        )
    if (folder / GAIT).is_file() and read_json(folder / GAIT).get("config_hash") != digest:
        raise InputError(
            f"The output folder '{folder}' holds another gait. Nothing was changed. Name another "
            "folder with --out; osim-exo baseline show tells what it holds."
        )


def _is_checkout() -> bool:
    import osim_exo

    return (Path(osim_exo.__file__).resolve().parents[1] / "setup.cfg").is_file()


def _report(gait: Gait, target: Path | None) -> None:
    gates = [gate.as_dict() for gate in gait.gates]
    if target is not None:
        content = {
            "config": gait.config.model_dump(mode="json"),
            "summary": gait.summary(),
            "gates": gates,
            "search": [list(point) for point in gait.search],
            "explanation": gait.explanation(),
        }
        emit_json(target, content)
    if str(target) != STDOUT:
        show_gait(output(), gait.summary(), gates, gait.explanation())


def _show_library(root: Path | None, target: Path | None) -> None:
    from osim_exo.baseline import library

    entries = library.entries(root)
    if target is not None:
        emit_json(target, entries)
    if str(target) == STDOUT:
        return
    rows = [
        (
            entry["model"],
            f"{entry['speed_mps']:g}",
            f"{entry['slope_deg']:+g}",
            f"{entry['stride_time_s']:.3f}",
            f"{entry['cost_of_transport']:.3g}",
            f"{entry['objective']:.4g}",
            entry["status"],
            "passed" if entry["passed"] else "FAILED",
            "" if entry["current"] else "outdated: osim-exo baseline library",
        )
        for entry in entries
    ]
    names = (
        *("model", "speed, m/s", "slope, deg", "stride time, s", "cost of transport, J/kg/m"),
        *("objective", "solver", "gates", ""),
    )
    output().print(table(names, rows))
