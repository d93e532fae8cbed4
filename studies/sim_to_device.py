"""From policy to device: the exported policy on the firmware against the simulation.

Run with ``osim-exo study run sim_to_device --out DIR``, or as a script with the folder of a bundle,
or the name of a shipped one: ``python -m osim_exo.studies.sim_to_device hip_thigh_gyro``. Without
one, a small exo policy is trained first.
"""

import sys
from pathlib import Path

from osim_exo.progress import for_stream
from osim_exo.study import run_sweep
from osim_exo.study.sim_to_device import DeviceSweep

CONFIG = DeviceSweep(
    name="sim_to_device",
    title="From policy to device",
    question="Does the exported policy, on the firmware and worn by the simulated walker, give the "
    "torque of the simulation?",
    walker="gait2d_walk_generalist",
)


def main() -> None:
    """Run the study into ``results/sim_to_device`` and say where the report lies."""
    config = CONFIG.changed(exo=sys.argv[1]) if len(sys.argv) > 1 else CONFIG
    result = run_sweep(config, Path("results") / CONFIG.name, jobs=1, progress=for_stream())
    print(result.folder / "report.html")


if __name__ == "__main__":
    main()
