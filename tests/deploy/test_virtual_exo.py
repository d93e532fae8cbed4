"""The virtual exo: motor, sensors, line and ports do what they are said to do."""

import math
import random
import socket
import statistics
import time

import pytest

from osim_exo.deploy.device_core import FirmwareSettings
from osim_exo.deploy.disturbances import Disturbance, Disturber, read_script
from osim_exo.deploy.packets import (
    TO_HOST,
    Decoder,
    DeviceFacts,
    Hello,
    Packet,
    Sensors,
    TorqueCommand,
    encode,
)
from osim_exo.deploy.streams import TcpStream, open_stream
from osim_exo.deploy.timing import SystemClock
from osim_exo.deploy.virtual_exo import Moment, VirtualExo, VirtualSettings
from osim_exo.deploy.virtual_port import PtyPort, TcpPort, Trace, read_trace, serve
from osim_exo.deploy.walkers import Pose
from osim_exo.errors import InputError
from osim_exo.strap import Strap

pytest.importorskip("cobs", reason="the extra deploy is not installed")


def standing(_: float) -> Pose:
    return Pose((0.2, 0.2), (0.0, 0.0), (0.0, 0.0), (0.1, 0.1))


def held(exo: VirtualExo, torque_mnm: int, seconds: float) -> list[Sensors]:
    """Samples while a torque is commanded on both sides every 10 ms."""
    decoder, got = Decoder(TO_HOST), []
    exo.receive(encode(Packet(1, 0, Hello(5))))
    for k in range(round(seconds * 100)):
        exo.receive(encode(Packet(k + 2, 0, TorqueCommand(5, torque_mnm, torque_mnm, 1, 0))))
        exo.advance((k + 1) * 10_000)
        got += [p.body for p in decoder.feed(exo.take_output()) if isinstance(p.body, Sensors)]
    return got


def test_torque_follows_a_step_with_the_drives_bandwidth_and_delay():
    moments: list[Moment] = []
    firmware = FirmwareSettings(rate_limit_mnm_per_s=5_000_000)
    settings = VirtualSettings(firmware=firmware)
    settings = settings.changed(drive=settings.drive.changed(rate_limit=1e5))
    exo = VirtualExo(settings, standing, observer=moments.append)
    held(exo, 6000, 0.3)
    drive = settings.drive
    # A command holds over the step that ends at its moment.
    first = next(m.time_us for m in moments if m.commanded_mnm[0] > 0) - firmware.tick_us
    begin = first * 1e-6 + drive.delay_s
    constant = 1.0 / (2.0 * math.pi * drive.bandwidth_hz)
    for m in moments:
        since = m.time_us * 1e-6 - begin
        if since > 0.005:
            expected = 6.0 * (1.0 - math.exp(-since / constant))
            assert m.delivered[0] == pytest.approx(expected, abs=0.35)
    assert moments[-1].delivered[0] == pytest.approx(6.0, abs=0.01)


def test_a_strap_begins_at_rest_and_passes_the_torque_on_with_its_overshoot():
    strap = Strap(stiffness=135.0, damping=0.2, inertia=0.02)
    drive = VirtualSettings().drive.changed(bandwidth_hz=100.0, rate_limit=1e5)
    firmware = FirmwareSettings(rate_limit_mnm_per_s=5_000_000)
    rigid, soft = [], []
    for kept, limits in ((rigid, drive), (soft, drive.changed(strap=strap))):
        settings = VirtualSettings(firmware=firmware, drive=limits)
        exo = VirtualExo(settings, standing, observer=kept.append)
        held(exo, 6000, 0.6)
    first = next(k for k, m in enumerate(rigid) if m.commanded_mnm[0] > 0)
    # The thighs are 0.2 rad from zero; a strap that did not begin there would pull by 27 Nm.
    assert max(abs(m.delivered[0]) for m in soft[: first + 1]) < 0.5
    assert max(m.delivered[0] for m in rigid) < 6.01
    assert 7.0 < max(m.delivered[0] for m in soft) < 12.0
    assert abs(soft[-1].delivered[0] - 6.0) < 0.5


def test_friction_is_missing_from_the_leg_while_it_moves():
    def moving(_: float) -> Pose:
        return Pose((0.2, 0.2), (1.0, -1.0), (1.0, -1.0), (0.1, 0.1))

    settings = VirtualSettings(friction=0.5, drag=0.1, torque_noise=0.0)
    last = held(VirtualExo(settings, moving), 4000, 0.5)[-1]
    assert last.torque_r_mnm == pytest.approx(4000 - 600, abs=20)
    assert last.torque_l_mnm == pytest.approx(4000 + 600, abs=20)


def test_sensors_have_the_resolution_bias_scale_and_noise_they_are_given():
    def turning(_: float) -> Pose:
        return Pose((0.12345, -0.3), (0.5, 0.5), (2.0, -2.0), (0.3, -0.2))

    settings = VirtualSettings(encoder_step=0.001, gyro_bias=0.1, gyro_scale=1.1, gyro_noise=0.05)
    got = held(VirtualExo(settings, turning), 0, 10.0)
    assert {s.hip_angle_r_urad for s in got} == {123_000}
    gyro = [s.thigh_gyro_r_urad_per_s * 1e-6 for s in got]
    assert statistics.mean(gyro) == pytest.approx(1.1 * 2.0 + 0.1, abs=0.01)
    assert statistics.stdev(gyro) == pytest.approx(0.05, rel=0.15)


def test_drives_warm_up_with_torque_and_the_battery_runs_down():
    settings = VirtualSettings(heating=0.01, cooling_s=1e4, battery_v_per_hour=36.0)
    got = held(VirtualExo(settings, standing), 10_000, 10.0)
    assert got[-1].temperature_r_decidegc - 250 == pytest.approx(100, abs=8)
    assert got[0].battery_mv - got[-1].battery_mv == pytest.approx(100, abs=2)


def test_the_line_is_late_by_what_it_is_said_to_be():
    exo = VirtualExo(VirtualSettings(line_delay_s=0.004), standing)
    exo.advance(13_000)
    assert exo.take_output() == b""
    exo.advance(14_000)
    assert Decoder(TO_HOST).feed(exo.take_output())[0].time_us == 10_000


def test_the_same_seed_gives_the_same_bytes():
    script = [Disturbance(what="corrupt", at_s=0.1, amount=0.5)]
    runs = []
    for seed in (1, 1, 2):
        exo = VirtualExo(VirtualSettings(seed=seed), script=script)
        exo.advance(1_000_000)
        runs.append(exo.take_output())
    assert runs[0] == runs[1] != runs[2]


def test_a_share_of_the_frames_is_hit():
    frames = [encode(Packet(k, 0, DeviceFacts(1, 1, 0, 0, 2, *[k] * 7))) for k in range(2000)]
    disturber = Disturber([Disturbance(what="drop", at_s=0.0, amount=0.3)], seed=4)
    left = sum(bool(disturber.sent(frame, 1.0)) for frame in frames)
    assert left == pytest.approx(1400, abs=80)


def test_a_script_is_read_and_its_mistakes_are_told(tmp_path):
    path = tmp_path / "faults.json"
    path.write_text('[{"what": "delay", "at_s": 2, "for_s": 1, "amount": 0.4}]')
    assert read_script(path) == (Disturbance(what="delay", at_s=2.0, for_s=1.0, amount=0.4),)
    path.write_text('[{"what": "explode", "at_s": 2}]')
    with pytest.raises(InputError, match="explode"):
        read_script(path)
    path.write_text("{}")
    with pytest.raises(InputError, match="list"):
        read_script(path)


def test_a_trace_comes_back_as_it_was_also_cut(tmp_path):
    moments: list[Moment] = []
    trace = Trace(tmp_path / "trace")
    exo = VirtualExo(observer=lambda m: (moments.append(m), trace(m)))
    exo.advance(50_000)
    trace.close()
    assert read_trace(tmp_path / "trace") == moments
    (tmp_path / "cut").write_bytes((tmp_path / "trace").read_bytes()[:-5])
    assert read_trace(tmp_path / "cut") == moments[:-1]


def test_a_period_that_is_no_multiple_of_the_tick_is_bad_input():
    with pytest.raises(InputError, match="multiple"):
        VirtualExo(VirtualSettings(firmware=FirmwareSettings(tick_us=3000)))


# Ports


def answer(port: str, exo: VirtualExo, ours) -> DeviceFacts:
    """Say hello over a port while the device is served, and wait for its answer."""
    stream, decoder, facts = open_stream(port), Decoder(TO_HOST), []
    try:
        stream.write(encode(Packet(1, 0, Hello(9))))
        until = time.monotonic() + 20.0

        def going_on() -> bool:
            facts.extend(
                p.body for p in decoder.feed(stream.read(4096)) if isinstance(p.body, DeviceFacts)
            )
            return not facts and time.monotonic() < until

        serve(exo, ours, SystemClock(), 30.0, going_on)
    finally:
        stream.close()
    return facts[0]


def test_a_host_reaches_the_device_over_tcp_one_after_the_other():
    port, exo = TcpPort("socket://127.0.0.1:0"), VirtualExo()
    try:
        for _ in range(2):
            assert answer(port.name, exo, port).session == 9
            exo = VirtualExo()
    finally:
        port.close()


def test_a_host_reaches_the_device_over_a_pseudo_terminal(tmp_path):
    pytest.importorskip("serial", reason="the extra deploy is not installed")
    alias = tmp_path / "exo"
    try:
        port = PtyPort(alias)
    except InputError:
        pytest.skip("this system has no pseudo-terminals")
    try:
        assert answer(str(alias), VirtualExo(), port).n_joint == 2
        with pytest.raises(InputError, match="exists and is no link"):
            (tmp_path / "file").write_text("")
            PtyPort(tmp_path / "file")
    finally:
        port.close()
    assert not alias.is_symlink()


def test_pyserials_own_socket_reaches_the_device_too():
    serial = pytest.importorskip("serial", reason="the extra deploy is not installed")
    port, exo = TcpPort("socket://127.0.0.1:0"), VirtualExo()
    host = serial.serial_for_url(port.name, timeout=0)
    decoder, got = Decoder(TO_HOST), []
    try:
        host.write(encode(Packet(1, 0, Hello(3))))
        until = time.monotonic() + 20.0

        def going_on() -> bool:
            got.extend(decoder.feed(host.read(1000)))
            return not got and time.monotonic() < until

        serve(exo, port, SystemClock(), 30.0, going_on)
    finally:
        host.close()
        port.close()
    assert got


def test_a_line_that_takes_nothing_more_is_an_error_and_not_a_wait():
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stream = TcpStream.__new__(TcpStream)
    ours.setblocking(False)
    stream._socket = ours
    with pytest.raises(OSError, match="no more bytes"):
        for _ in range(10_000):
            stream.write(random.randbytes(1000))
    theirs.close()
    with pytest.raises(OSError, match=r".*"):
        for _ in range(10):
            stream.read(10)
            stream.write(b"x" * 1000)
    stream.close()


@pytest.mark.parametrize("port", ["socket://", "socket://host", "socket://host:x", "socket://h:0"])
def test_a_port_that_cannot_be_is_bad_input(port):
    with pytest.raises(InputError, match="names no TCP port"):
        open_stream(port)


def test_a_port_that_is_not_there_is_an_error_of_the_system():
    pytest.importorskip("serial", reason="the extra deploy is not installed")
    with pytest.raises(OSError, match="no_such_port"):
        open_stream("./no_such_port")
