"""Robustness: which pushes, bodies, grounds and devices does a trained walker survive.

Run with ``osim-exo study run robustness --out DIR``, with ``--walker RUN`` for a walker of your
own, or as a script.
"""

from pathlib import Path

from osim_exo.progress import for_stream
from osim_exo.study import RobustnessSweep, run_sweep

CONFIG = RobustnessSweep(
    name="robustness",
    title="Who falls: trained walkers against pushes, bodies, grounds and devices",
    question="Which share of walkers falls after a push, and when body, ground or device differ "
    "from what the policy learned with?",
    walkers=("gait2d_walk_1.25_mps",),
)


def main() -> None:
    """Run the study into ``results/robustness`` and say where the figure lies."""
    result = run_sweep(CONFIG, Path("results") / CONFIG.name, progress=for_stream())
    print(result.folder / "robustness.png")


if __name__ == "__main__":
    main()
