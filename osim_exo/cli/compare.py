"""``osim-exo compare`` and ``osim-exo report``: the arms side by side, for any trials."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro import conf

from osim_exo.cli.command import DONE, STDOUT, Command, JsonTarget, emit_json, output
from osim_exo.cli.comparison_table import show
from osim_exo.files import MARKER, claim_output, writable_folder, write_json
from osim_exo.progress import Progress
from osim_exo.provenance import config_hash, provenance
from osim_exo.results import read_record, read_trials, write_results


@dataclass(frozen=True)
class Compare(Command):
    """Compare walking without, with an unpowered and with an assisting exoskeleton.

    A measured walk is described by a .toml file: name, coordinates (.mot), body_mass, and where
    known grf, moments, activations, condition, controller, subject, speed, slope_deg. In place of
    coordinates it may name a c3d, with plates and markers.
    """

    trials: Annotated[conf.Positional[tuple[Path, ...]], conf.arg(metavar="TRIAL ...")]
    """trial folders, output folders of studies, or .toml files of measured walks"""

    out: Path | None = None
    """folder for comparison.json, comparison.csv and report.html; else only printed"""

    name: str = "comparison"
    """name of the comparison in its results"""

    units: Literal["subjects", "seeds"] | None = None
    """what intervals run over; by default subjects where there are several"""

    seed: int = 0
    """seed of the permutation tests"""

    curves: Literal["permutation", "spm1d"] = "permutation"
    """how gait-cycle curves are tested; spm1d needs the extra stats"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Read, compare, write and print."""
        from osim_exo.analysis.compare import compare

        trials = read_trials(self.trials)
        if self.out is None:
            comparison = compare(
                trials, study=self.name, seed=self.seed, units=self.units, curves=self.curves
            )
        else:
            names = [trial.info.name for trial in trials]
            marker = {"study": self.name, "config_hash": config_hash({"trials": names})}
            claim_output(self.out, marker)
            record = {
                **marker,
                "seed": self.seed,
                "curves": self.curves,
                "trials": names,
                "provenance": provenance(),
            }
            write_json(self.out / MARKER, record)
            comparison = write_results(
                self.out,
                trials,
                record,
                seed=self.seed,
                units=self.units,
                curves=self.curves,
            )
            progress.note(f"Report: {self.out / 'report.html'}")
        if self.json is not None:
            emit_json(self.json, comparison.to_dict())
        if str(self.json) != STDOUT:
            show(output(), comparison)
        return DONE


@dataclass(frozen=True)
class Report(Command):
    """Compare a folder's trials again and renew its comparison and report.html."""

    folder: conf.Positional[Path]
    """output folder of a study, or another folder of trial folders"""

    units: Literal["subjects", "seeds"] | None = None
    """what intervals run over; by default subjects where there are several"""

    curves: Literal["permutation", "spm1d"] = "permutation"
    """how gait-cycle curves are tested; spm1d needs the extra stats"""

    pdf: bool = False
    """write the same content as report.pdf too"""

    def run(self, progress: Progress) -> int:
        """Read, compare and write."""
        trials = read_trials([self.folder])
        record = read_record(self.folder)
        writable_folder(self.folder)
        seed = record.get("seed")
        seed = seed if isinstance(seed, int) else 0
        comparison = write_results(
            self.folder, trials, record, seed=seed, units=self.units, curves=self.curves
        )
        print(self.folder / "report.html")
        if self.pdf:
            from osim_exo.analysis.pdf import write_pdf

            study = {"name": comparison.study, **record}
            print(write_pdf(self.folder / "report.pdf", comparison, trials, study))
        return DONE
