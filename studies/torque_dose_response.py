"""Dose and response: how heavy may a hip exoskeleton be, and how strong must it be.

Run with ``osim-exo study run torque_dose_response --out DIR`` or as a script.
"""

from pathlib import Path

from osim_exo.progress import for_stream
from osim_exo.study import DoseSweep, run_sweep

CONFIG = DoseSweep(
    name="torque_dose_response",
    title="Mass and torque limit of a hip exoskeleton",
    question="How does the metabolic cost of walking at 1.25 m/s depend on the mass and on the "
    "torque limit of a learned hip exoskeleton?",
    walker="gait2d_walk_generalist",
)


def main() -> None:
    """Run the study into ``results/torque_dose_response`` and say where the figure lies."""
    result = run_sweep(CONFIG, Path("results") / CONFIG.name, progress=for_stream())
    print(result.folder / "dose_response.png")


if __name__ == "__main__":
    main()
