"""``osim-exo deploy score``: how well a device's torque agrees with the simulation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro import conf

from osim_exo.cli.command import DONE, STDOUT, Command, JsonTarget, emit_json, output, table
from osim_exo.errors import InputError
from osim_exo.files import write_text
from osim_exo.progress import Progress


@dataclass(frozen=True)
class ScoreLog(Command):
    """Compare the torque of black boxes with simulated walks: correlation, error, phase lag."""

    logs: Annotated[conf.Positional[tuple[Path, ...]], conf.arg(metavar="LOG ...")]
    """black boxes of runs"""

    against: tuple[Path, ...]
    """trial folders: one for all logs, or one for each, in their order"""

    report: Path | None = None
    """.html page with the table and the curves"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Compare and print."""
        from osim_exo.deploy.log import read_log
        from osim_exo.deploy.score import score
        from osim_exo.io import read_trial

        if not self.logs or len(self.against) not in (1, len(self.logs)):
            raise InputError(
                f"{len(self.logs)} logs and {len(self.against)} trials were given; give one trial "
                "for all logs or one for each."
            )
        trials = [read_trial(folder) for folder in self.against]
        trials = trials * len(self.logs) if len(trials) == 1 else trials
        rows = [
            (path, row)
            for path, trial in zip(self.logs, trials)
            for row in score(read_log(path), trial)
        ]
        if self.report is not None:
            from osim_exo.deploy.score_page import compare, page

            shown = [compare(read_log(path), trial) for path, trial in zip(self.logs, trials)]
            write_text(self.report, page(shown, "Device against simulation"))
            progress.note(f"Page: {self.report}")
        if self.json is not None:
            emit_json(self.json, [{"log": str(path), **row.to_dict()} for path, row in rows])
        if str(self.json) != STDOUT:
            columns = ("log", "condition", "side", "strides", "r", "RMSE Nm/kg", "lag %", "lag s")
            cells = [
                (
                    path.name,
                    row.condition,
                    row.side,
                    row.n_stride,
                    _with_sd(row.r, row.r_sd),
                    _with_sd(row.rmse_nm_per_kg, row.rmse_sd_nm_per_kg),
                    number_or_dash(row.phase_lag_percent),
                    number_or_dash(row.phase_lag_s),
                )
                for path, row in rows
            ]
            output().print(table(columns, cells))
        return DONE


def number_or_dash(value: float | None) -> str:
    """A number in three digits."""
    return "-" if value is None else f"{value:.3g}"


def _with_sd(value: float | None, sd: float | None) -> str:
    return "-" if value is None else f"{number_or_dash(value)} ± {number_or_dash(sd)}"
