"""The exported policy on an emulated microcontroller: same torque, driven by the runtime."""

import numpy as np
import pytest

from osim_exo.deploy.device_core import FirmwareSettings, Measurement
from osim_exo.deploy.emulator import (
    BOARDS,
    COMPILER,
    EmulatedDevice,
    EmulatorError,
    build_program,
    missing_tools,
)
from osim_exo.deploy.export import export
from osim_exo.deploy.host_c import HostDevice, build_library, host_compiler
from osim_exo.deploy.log import read_log
from osim_exo.deploy.packets import Enable, Hello, Packet, TorqueCommand, encode
from osim_exo.deploy.replay import replay
from osim_exo.deploy.states import Ramps, State
from osim_exo.deploy.virtual_exo import VirtualSettings
from osim_exo.deploy.walkers import SineWalker
from tests.deploy.device import Bench, policy_settings
from tests.deploy.policies import interface, write_policy

pytest.importorskip("cobs", reason="the extra deploy is not installed")
pytestmark = pytest.mark.skipif(
    bool(missing_tools()), reason=f"not installed: {', '.join(missing_tools())}"
)

SLOW = FirmwareSettings(tick_us=10_000)
"""One step of the torque loop per period: each takes milliseconds to emulate."""


def exported(folder, face=None, kind="mlp"):
    policy = write_policy(folder / "policy", face, kind=kind)
    export(policy, "c99", folder / "out")
    return policy, folder / "out"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    work = tmp_path_factory.mktemp("emulated")
    policy, out = exported(work)
    return policy, out, build_program(out, "cortex-m4", work)


@pytest.mark.parametrize("core", BOARDS)
@pytest.mark.parametrize("kind", ["mlp", "tcn", "gru"])
def test_the_policy_passes_its_self_test_on_the_microcontroller(core, kind, tmp_path):
    face = interface(kinds=("thigh_rate",), lags=(0,), own=False, history=16)
    _, out = exported(tmp_path, face, kind)
    program = build_program(out, core, tmp_path)
    assert 4_000 < program.flash_bytes < 200_000
    assert program.ram_bytes < 60_000
    device = EmulatedDevice(program, count=True)
    try:
        # At least an instruction per multiplication, and not hundreds.
        assert 300 < device.instructions() < 1_000_000
    finally:
        device.close()


def test_the_emulated_device_gives_the_torque_of_the_same_code_here(program, tmp_path):
    _, out, elf = program
    if host_compiler() is None:
        pytest.skip("there is no C compiler on this machine")
    ours = HostDevice(build_library(out, tmp_path), SLOW, mass=70.0)
    theirs, walker = EmulatedDevice(elf, SLOW, mass=70.0), SineWalker()
    found = []
    try:
        for k in range(120):
            now = 10_000 * k
            body = TorqueCommand(9, 9000, 9000, int(Enable.BY_ITSELF), 0)
            data = encode(Packet(1, 0, Hello(9))) if k == 0 else encode(Packet(k + 1, 0, body))
            pose = walker(now * 1e-6)
            pairs = [
                tuple(round(v * 1e6) for v in pair)
                for pair in (pose.angle, pose.speed, pose.thigh, pose.gyro)
            ]
            seen = Measurement(*pairs)
            for device in (ours, theirs):
                device.receive(data, now)
            found.append((ours.tick(now, seen), theirs.tick(now, seen)))
            for device in (ours, theirs):
                device.sample(now, seen)
            assert ours.state == theirs.state
            a, b = ours.take_output(), theirs.take_output()
            assert len(a) == len(b) or abs(len(a) - len(b)) < 4
    finally:
        theirs.close()
    a, b = (np.array([pair[i] for pair in found]) for i in (0, 1))
    assert np.max(np.abs(a)) > 1000
    # A different order of sums may round to the next whole 0.001 Nm.
    assert np.max(np.abs(a - b)) <= 1


def test_a_run_on_the_emulated_device_walks_and_replays(program, tmp_path):
    policy, _, elf = program
    settings = policy_settings(
        policy, arm=True, onboard=True, ramps=Ramps(armed_s=0.1, ramp_in_s=0.5, ramp_out_s=0.1)
    )
    device = VirtualSettings(firmware=SLOW)
    core = EmulatedDevice(elf, SLOW, mass=70.0)
    try:
        run = Bench(tmp_path, settings, device=device, core=core)
        report = run.run(2.5)
    finally:
        core.close()
    assert report.faults == []
    assert run.states()[-3:] == [State.ACTIVE, State.RAMP_OUT, State.IDLE]
    assert run.peak() > 1.0
    assert run.moments[-1].delivered == (0.0, 0.0)
    assert replay(read_log(run.path)).reproduced


def test_a_board_that_hangs_is_an_error(program, monkeypatch):
    monkeypatch.setattr("osim_exo.deploy.emulator.PATIENCE", 0.5)
    monkeypatch.setattr("osim_exo.deploy.emulator.BOARDS", {"cortex-m4": "none"})
    with pytest.raises(EmulatorError, match="did not answer|has gone"):
        EmulatedDevice(program[2])


def test_sources_that_do_not_compile_are_told(program, tmp_path):
    from osim_exo.errors import DataError

    out = tmp_path / "out"
    out.mkdir()
    (out / "exo_policy_data.h").write_text("#error unfinished\n")
    (out / "exo_policy_data.c").write_text('#include "exo_policy_data.h"\n')
    with pytest.raises(DataError, match="unfinished"):
        build_program(out, "cortex-m4", tmp_path)
    assert COMPILER not in missing_tools()
