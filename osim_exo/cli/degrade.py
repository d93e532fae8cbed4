"""``osim-exo degrade``: what is left of a student when its sensors get worse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tyro import conf

from osim_exo.cli.command import DONE, STDOUT, Command, JsonTarget, emit_json, output, table
from osim_exo.errors import InputError
from osim_exo.progress import Progress


@dataclass(frozen=True)
class Degrade(Command):
    """Walk with a student whose sensors err, one error after the other, beside its teacher.

    Mounting error, bias, delay and lost samples, each alike on both legs, and all errors of its
    training drawn together. The share of benefit is the fall of activation, joint power and
    metabolic rate against zero torque, over that of the teacher with true readings.
    """

    student: conf.Positional[Path]
    """bundle of osim-exo distil, or the name of a shipped one as hip_thigh_gyro"""

    teacher: str | None = None
    """run, chain or shipped walker that taught; by default the one that the bundle names"""

    speeds: tuple[float, ...] = ()
    """m/s; by default three of the teacher's range"""

    slopes: tuple[float, ...] = (0.0,)
    """degrees, uphill positive"""

    physics: Literal["opensim", "compiled"] = "opensim"
    """where they walk"""

    duration: float = 7.0
    """of each walk, s; the first 2.5 s are left out of agreement and metrics"""

    runs: int = 1
    """walks of each speed and slope"""

    jobs: int = 1
    """walks at a time"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Walk and print."""
        from osim_exo.deploy.shipped import find_policy
        from osim_exo.learn.cases import JudgeConfig
        from osim_exo.learn.teachers import find_teacher
        from osim_exo.learn.worse_sensors import walked_degradation
        from osim_exo.policy import Policy

        if self.jobs < 1:
            raise InputError(f"--jobs {self.jobs} was given; at least 1 is needed.")
        student = find_policy(self.student)
        named = self.teacher or Policy.load(student, "numpy").record.get("teacher")
        if not isinstance(named, str):
            raise InputError(f"'{self.student}' does not say who taught it; give --teacher.")
        config = JudgeConfig(
            physics=self.physics,
            speeds=self.speeds,
            slopes=self.slopes,
            duration=self.duration,
            settle=min(2.5, 0.5 * self.duration),
            runs=self.runs,
        )
        rows = walked_degradation(named, find_teacher, student, config, self.jobs, progress)
        content = {"student": str(self.student), "teacher": named, "physics": self.physics}
        if self.json is not None:
            emit_json(self.json, {**content, "rows": rows})
        if str(self.json) != STDOUT:
            _show(content, rows)
        return DONE


def _show(content: dict[str, str], rows: list[dict[str, Any]]) -> None:
    lines = []
    for row in rows:
        size = f"{row['value']:+g} {row['unit']}" if row["unit"] else ""
        agreement = (row["r"], row["rmse_nm_per_kg"])
        shares = row["share_of_benefit"].values()
        cells = ["–" if value is None else f"{value:.3f}" for value in agreement]
        cells += ["–" if share is None else f"{100 * share:.0f} %" for share in shares]
        label = row["error"].replace("_", " ")
        lines.append((f"{label} {size}".strip(), *cells, f"{row['falls']}/{row['walks']}"))
    heads = ("sensors", "r", "RMSE Nm/kg", "activation", "joint power", "metabolic rate", "falls")
    console = output()
    console.print(table(heads, lines))
    console.print(
        f"Activation, power and rate: share of the benefit of {content['teacher']} that is kept, "
        f"in {content['physics']}."
    )
