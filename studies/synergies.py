"""Synergies: is walking learned sooner, or more human, when muscles are driven in groups.

Run with ``osim-exo study run synergies --out DIR`` or as a script.
"""

from pathlib import Path

from osim_exo.progress import for_stream
from osim_exo.study import ActionSweep, run_sweep

CONFIG = ActionSweep(
    name="synergies",
    title="Muscles driven one by one, or in groups",
    question="Is walking learned sooner, and is it more like people's, when muscles are driven in "
    "synergies of solved gaits and not one by one?",
    synergies=(4, 5),
)


def main() -> None:
    """Run the study into ``results/synergies`` and say where the figure lies."""
    result = run_sweep(CONFIG, Path("results") / CONFIG.name, progress=for_stream())
    print(result.folder / "actions.png")


if __name__ == "__main__":
    main()
