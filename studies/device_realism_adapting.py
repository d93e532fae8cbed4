"""Device realism for wearers who adapt: what each step towards a real device takes from both.

Run with ``osim-exo study run device_realism_adapting --out DIR`` or as a script. At every level it
trains the device's policy anew, and then human and device together.
"""

from pathlib import Path

from osim_exo.progress import for_stream
from osim_exo.studies.device_realism import CONFIG as FROZEN
from osim_exo.study import run_sweep

CONFIG = FROZEN.changed(
    name="device_realism_adapting",
    title="From an ideal actuator to a real device, wearers who adapt",
    wearer="adapting",
)


def main() -> None:
    """Run the study into ``results/device_realism_adapting`` and say where the report lies."""
    result = run_sweep(CONFIG, Path("results") / CONFIG.name, progress=for_stream())
    print(result.folder / "report.html")


if __name__ == "__main__":
    main()
