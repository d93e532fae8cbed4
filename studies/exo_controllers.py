"""Exo controllers: which one helps most, on the same person, with the same device.

Run with ``osim-exo study run exo_controllers --out DIR`` or as a script.
"""

from pathlib import Path

from osim_exo.progress import for_stream
from osim_exo.study import ControllerSweep, run_sweep

CONFIG = ControllerSweep(
    name="exo_controllers",
    title="Controllers of a hip exoskeleton on the same wearer",
    question="How do a learned policy, delayed output feedback, a torque profile and the optimal "
    "torque played back compare on a person who is used to the device but not to its help?",
)


def main() -> None:
    """Run the study into ``results/exo_controllers`` and say where the report lies."""
    result = run_sweep(CONFIG, Path("results") / CONFIG.name, progress=for_stream())
    print(result.folder / "report.html")


if __name__ == "__main__":
    main()
