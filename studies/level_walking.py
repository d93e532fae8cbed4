"""Level walking: does the hip exoskeleton help at a usual speed, and is it worth its mass.

Run with ``osim-exo study run level_walking --out DIR`` or as a script. ``--arms both`` adds what
was learned: walkers and devices of several training seeds, in closed loop in OpenSim.
"""

from pathlib import Path

from osim_exo.models import HipExo
from osim_exo.progress import for_stream
from osim_exo.study import LearnedArm, StudyConfig, run

CONFIG = StudyConfig(
    name="level_walking",
    title="Level walking with a hip exoskeleton",
    question="How much does a hip exoskeleton with the best possible torque lower the metabolic "
    "cost of level walking at 1.25 m/s, beside what its mass costs?",
    speeds=(1.25,),
    slopes_deg=(0.0,),
    subjects=4,
    exo=HipExo(),
    controllers=("optimal",),
    learned=LearnedArm(by_default=False),
)


def main() -> None:
    """Run the study into ``results/level_walking`` and say where the report lies."""
    result = run(CONFIG, Path("results") / CONFIG.name, progress=for_stream())
    print(result.folder / "report.html")


if __name__ == "__main__":
    main()
