"""Device realism: what limits, bandwidth, delay and sensor noise take from assistance.

Run with ``osim-exo study run device_realism --out DIR`` or as a script. It trains the device's
policy anew at every level.
"""

from pathlib import Path

from osim_exo.progress import for_stream
from osim_exo.study import DeviceRealismSweep, LearnedArm, run_sweep

CONFIG = DeviceRealismSweep(
    name="device_realism",
    title="From an ideal actuator to a real device",
    question="How much of the help that an ideal actuator gives is left once torque rate, power, "
    "bandwidth, delay and sensors are those of a real device?",
    arm=LearnedArm(transfer=False),
)


def main() -> None:
    """Run the study into ``results/device_realism`` and say where the report lies."""
    result = run_sweep(CONFIG, Path("results") / CONFIG.name, progress=for_stream())
    print(result.folder / "report.html")


if __name__ == "__main__":
    main()
