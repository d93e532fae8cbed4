"""The chain from policy to device runs as a study and is scored against the simulation."""

import pytest

pytest.importorskip("llvmlite", reason="the extra sim is not installed")
pytest.importorskip("cobs", reason="the extra deploy is not installed")
pytest.importorskip("onnxruntime", reason="the extra deploy is not installed")

from osim_exo.deploy.host_c import host_compiler
from osim_exo.deploy.log import read_log
from osim_exo.deploy.replay import replay
from osim_exo.errors import InputError, SimulationError
from osim_exo.files import read_json
from osim_exo.study import load, run_sweep
from osim_exo.study.sim_to_device import DeviceSweep

WALKER = "gait2d_walk_generalist"


def sweep(**fields):
    return DeviceSweep(name="chain", walker=WALKER, **{"boards": ("host",), **fields})


@pytest.mark.slow
@pytest.mark.skipif(host_compiler() is None, reason="there is no C compiler on this machine")
def test_the_chain_gives_the_torque_of_the_simulation(tmp_path):
    pytest.importorskip("torch", reason="the extra learn is not installed")
    config = sweep(exo_steps=150_000, seconds=7.0, tick_us=10_000)
    result = run_sweep(config, tmp_path / "out", jobs=1)
    assert not result.failures
    row = next(row for row in result.rows if "cell" in row)
    assert row["fell_s"] is None and row["faults"] is None
    assert row["r"] > 0.9
    assert row["rmse_nm_per_kg"] < 0.03
    assert row["replayed"] == row["periods"]
    log = read_log(result.folder / "host_1.25" / "run.exolog")
    assert log.settings.onboard and log.settings.arm
    assert replay(log).reproduced
    report = (result.folder / "report.html").read_text(encoding="utf-8")
    assert "host_1.25" in report and "<svg" in report
    assert read_json(result.folder / "results.json")


def test_the_shipped_study_is_of_this_kind():
    config = load("sim_to_device")
    assert isinstance(config, DeviceSweep)
    assert config.waves()[0] == ("policy",)
    assert "cortex-m4_1.25" in config.waves()[1]
    quick = config.quick_look()
    assert quick.seconds < config.seconds


def test_a_board_that_does_not_exist_is_bad_input():
    with pytest.raises(InputError, match="boards"):
        sweep(boards=("esp32",))


def test_a_board_without_its_tools_is_told(monkeypatch, tmp_path):
    from osim_exo.deploy.device_core import FirmwareSettings
    from osim_exo.study import sim_to_device

    monkeypatch.setattr(sim_to_device, "missing_tools", lambda: ["qemu-system-arm"])
    with pytest.raises(SimulationError, match="qemu-system-arm"):
        with sim_to_device._firmware("cortex-m4", tmp_path, tmp_path, FirmwareSettings(), 75.0):
            pass
