"""Speeds and slopes: where does the hip exoskeleton help, and where is it only carried.

Run with ``osim-exo study run speed_slope_grid --out DIR`` or as a script. ``--arms solved`` leaves
out what was learned, ``--arms learned`` runs nothing else.
"""

from pathlib import Path

from osim_exo.models import HipExo
from osim_exo.progress import for_stream
from osim_exo.study import LearnedArm, Quick, StudyConfig, run

CONFIG = StudyConfig(
    name="speed_slope_grid",
    title="Hip exoskeleton over speeds and slopes",
    question="At which walking speeds and slopes does a hip exoskeleton with the best possible "
    "torque save more than its mass costs?",
    speeds=(0.8, 1.0, 1.25, 1.5),
    slopes_deg=(-5.0, 0.0, 5.0),
    subjects=1,
    exo=HipExo(),
    controllers=("optimal",),
    learned=LearnedArm(),
    quick=Quick(speeds=(1.25,), slopes_deg=(-5.0, 0.0, 5.0)),
)


def main() -> None:
    """Run the study into ``results/speed_slope_grid`` and say where the report lies."""
    result = run(CONFIG, Path("results") / CONFIG.name, progress=for_stream())
    print(result.folder / "report.html")


if __name__ == "__main__":
    main()
