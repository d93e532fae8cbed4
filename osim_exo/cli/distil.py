"""``osim-exo distil``: a student that sees only what a device measures, and how good it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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
from osim_exo.errors import InputError, MissingExtraError
from osim_exo.files import to_json, write_text
from osim_exo.progress import Progress

if TYPE_CHECKING:
    from osim_exo.learn.cases import JudgeConfig
    from osim_exo.learn.distil import DistilConfig

Sensor = Literal["thigh_gyro", "thigh_imu", "hip_encoder"]


@dataclass(frozen=True)
class Distil(Command):
    """Teach a student the exo policy of a run, from onboard sensors alone, and judge it.

    The student drives in the compiled physics while the teacher says what it would do. Then both,
    and what the student must beat, walk in OpenSim; a report tells agreement, benefit and falls.
    Exit code 1 if the student fails in what is asked of it.
    """

    teacher: conf.Positional[str]
    """folder of a run with an exo policy, of a chain of stages, or the name of a shipped walker"""

    out: Path
    """folder of the student's bundle; the report goes beside it, into OUT_report"""

    sensors: tuple[Sensor, ...] = ("thigh_gyro",)
    """what the device has, one or more"""

    student: Literal["tcn", "gru"] = "tcn"
    """kind of network: causal convolutions or a gated recurrent unit, over a window of 1 s"""

    rounds: int = 6
    """of walking and learning"""

    seed: int = 0
    """every random number follows from it"""

    physics: Literal["opensim", "compiled"] = "opensim"
    """in which the student is judged"""

    duration: float = 7.0
    """of each walk, s; the first 2.5 s are left out of agreement and metrics"""

    runs: int = 1
    """walks of each speed and slope"""

    jobs: int = 1
    """walks at a time"""

    quick: bool = False
    """a rough student and few walks, to see that everything works"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Distil, judge, write and print."""
        try:
            from osim_exo.learn import distil as learning
        except ModuleNotFoundError as error:
            raise MissingExtraError(str(error.name), "learn") from error
        from osim_exo.learn.degradation import degradation
        from osim_exo.learn.judge import body_mass, judge
        from osim_exo.learn.teachers import find_teacher
        from osim_exo.learn.verdict import accepted, summarise

        if self.jobs < 1:
            raise InputError(f"--jobs {self.jobs} was given; at least 1 is needed.")
        walker = find_teacher(self.teacher)
        record = {"teacher": self.teacher, "body_mass": body_mass(walker)}
        made = learning.distil(walker, self.out, self.settings(), record, progress, _tell)
        judged = judge(self.teacher, find_teacher, self.out, self.walks(), self.jobs, progress)
        n_env, seconds = (16, 3.0) if self.quick else (32, 6.0)
        worse = degradation(walker, self.out, n_env, seconds, progress=progress)
        verdict = accepted(judged.rows)
        content = {
            "teacher": self.teacher,
            "student": str(self.out),
            "sensors": list(self.sensors),
            "network": self.student,
            "seconds_to_distil": made.seconds,
            "rounds": list(made.rounds),
            "summary": summarise(judged.rows),
            "accepted": verdict,
            "rows": judged.rows,
            "degradation": worse,
            "rivals": judged.rivals,
            "curves": [
                {"case": case, "arm": arm, "nm_per_kg": curve.tolist()}
                for (case, arm), curve in judged.curves.items()
            ],
        }
        self._write(content)
        if self.json is not None:
            emit_json(self.json, content)
        if str(self.json) != STDOUT:
            self._show(content)
        return DONE if all(held is not False for held in verdict.values()) else FAILED

    @property
    def report(self) -> Path:
        """Folder of the report."""
        return self.out.with_name(f"{self.out.name}_report")

    @property
    def kept(self) -> str:
        """What an interrupt leaves behind."""
        whole = (self.out / "SHA256SUMS").is_file()
        return f"The student is in '{self.out}'." if whole else "Nothing had been written."

    def settings(self) -> DistilConfig:
        """How the student learns."""
        from osim_exo.learn.distil import DistilConfig
        from osim_exo.learn.students import StudentConfig

        settings = DistilConfig(
            sensors=tuple(self.sensors),
            student=StudentConfig(kind=self.student),
            rounds=min(self.rounds, 3) if self.quick else self.rounds,
            seed=self.seed,
        )
        return settings.changed(n_env=32, seconds=4.0, batches=150) if self.quick else settings

    def walks(self) -> JudgeConfig:
        """By what the student is judged."""
        from osim_exo.learn.cases import JudgeConfig

        return JudgeConfig(
            physics="compiled" if self.quick else self.physics,
            duration=self.duration,
            settle=min(2.5, 0.5 * self.duration),
            runs=self.runs,
            seed=self.seed,
        )

    def _write(self, content: dict[str, Any]) -> None:
        from osim_exo.analysis.distillation import write_distillation

        self.report.mkdir(parents=True, exist_ok=True)
        write_text(self.report / "distil.json", to_json(content))
        write_distillation(content, self.report)

    def _show(self, content: dict[str, Any]) -> None:
        console = output()
        lines = []
        for arm, facts in content["summary"].items():
            share = facts["share_of_benefit"].values()
            walks = facts["walks"]
            falls = [f"{facts['falls'][k]}/{walks[k]}" if walks[k] else "–" for k in walks]
            cells = (facts["r_mean"], facts["r_worst"], facts["rmse_mean_nm_per_kg"])
            lines.append((arm, *map(_number, cells), *map(_percent, share), *falls))
        heads = ("arm", "r", "worst r", "RMSE Nm/kg", "activation", "joint power", "metabolic rate")
        console.print(table((*heads, "falls", "beyond", "changing"), lines))
        console.print("Activation, power and rate: share of the teacher's saving that is kept.")
        for what, held in content["accepted"].items():
            console.print(f"{_WORDS[held]}  {what}")
        console.print(f"Student: {self.out}; report: {self.report / 'distil.html'}")


_WORDS = {True: "yes", False: "NO ", None: "–  "}


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100.0 * value:.0f} %"


def _tell(measured: dict[str, float]) -> None:
    """One line per round."""
    own = ""
    if "walking_r" in measured:
        own = f"; walking r {measured['walking_r']:.3f}, RMSE {measured['walking_rmse']:.4f} Nm/kg"
    output().print(
        f"round {measured['round'] + 1:.0f}: held out r {measured['held_out_r']:.3f}, "
        f"RMSE {measured['held_out_rmse']:.4f} Nm/kg{own}, {measured['falls']:.0f} falls in "
        f"{measured['seconds_walked']:.0f} s"
    )
