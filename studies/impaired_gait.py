"""Impaired gait: weak plantarflexors of the right leg, without and with a hip or ankle device.

Run with ``osim-exo study run impaired_gait --out DIR`` or as a script.
"""

from pathlib import Path

from osim_exo.progress import for_stream
from osim_exo.study import ImpairedSweep, run_sweep

CONFIG = ImpairedSweep(
    name="impaired_gait",
    title="Weak plantarflexors of the right leg",
    question="How does a walker adapt to weak plantarflexors of one leg, and what do a hip and an "
    "ankle exoskeleton change about cost and symmetry?",
    walker="gait2d_walk_generalist",
)


def main() -> None:
    """Run the study into ``results/impaired_gait`` and say where the results lie."""
    result = run_sweep(CONFIG, Path("results") / CONFIG.name, progress=for_stream())
    print(result.folder)


if __name__ == "__main__":
    main()
