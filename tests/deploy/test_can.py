"""Drives on a CAN bus: the manual's frames, torque only while the device's side allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osim_exo.cli import main
from osim_exo.deploy.can_codec import (
    ENTER,
    LEAVE,
    RANGES,
    SET_ZERO,
    MitCommand,
    MitReply,
    decode_command,
    decode_reply,
    drive_range,
    encode_command,
    encode_reply,
)
from osim_exo.deploy.can_device import CanStream, Drives, PythonCanBus, open_can
from osim_exo.deploy.link import Link
from osim_exo.deploy.log import LogWriter
from osim_exo.deploy.runtime import Runtime
from osim_exo.deploy.states import State
from osim_exo.deploy.timing import SimulatedClock
from osim_exo.deploy.walkers import SineWalker
from osim_exo.errors import DataError, InputError
from tests.deploy.device import settings
from tests.deploy.policies import write_policy

pytest.importorskip("cobs", reason="the extra deploy is not installed")

AK80 = RANGES["AK80-9"]


@pytest.mark.parametrize(
    ("command", "data"),
    [
        # By hand from the manual's formula: 0 is half of 65535 and of 4095, rounded.
        (MitCommand(), "8000800000000800"),
        (MitCommand(torque=18.0), "8000800000000fff"),
        (MitCommand(torque=-18.0), "8000800000000000"),
        (MitCommand(position=12.5, velocity=-50.0, kp=500.0, kd=5.0), "ffff000fffffF800".lower()),
        (MitCommand(position=-12.5, velocity=50.0), "0000fff000000800"),
        # 9 / 18 of the way up: (9 + 18) * 4095 / 36 = 3071.25.
        (MitCommand(torque=9.0), "8000800000000bff"),
    ],
)
def test_commands_are_the_manuals_bytes(command, data):
    assert encode_command(command, AK80).hex() == data


@pytest.mark.parametrize(
    ("reply", "data"),
    [
        (MitReply(1, 0.0, 0.0, 0.0, 30, 0), "0180008008001e00"),
        (MitReply(2, 12.5, -50.0, 18.0, 80, 3), "02ffff000fff5003"),
    ],
)
def test_replies_are_the_manuals_bytes(reply, data):
    assert encode_reply(reply, AK80).hex() == data
    found = decode_reply(bytes.fromhex(data), AK80)
    assert (found.drive, found.temperature_c, found.error) == (
        reply.drive,
        reply.temperature_c,
        reply.error,
    )
    assert found.position == pytest.approx(reply.position, abs=25.0 / 65535)
    assert found.torque == pytest.approx(reply.torque, abs=36.0 / 4095)


numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(numbers, numbers, numbers, numbers, numbers)
def test_any_numbers_become_a_frame_within_the_ranges(torque, position, velocity, kp, kd):
    data = encode_command(MitCommand(torque, position, velocity, kp, kd), AK80)
    back = decode_command(data, AK80)
    if back is not None:
        assert abs(back.torque) <= 18.0 and abs(back.position) <= 12.5
        assert 0.0 <= back.kp <= 500.0 and 0.0 <= back.kd <= 5.0


@given(st.binary(max_size=12))
def test_any_bytes_are_a_reply_or_a_data_error(data):
    try:
        found = decode_reply(data, AK80)
    except DataError:
        assert len(data) not in (6, 8)
    else:
        assert abs(found.torque) <= 18.0


@given(st.floats(-18.0, 18.0), st.floats(-12.5, 12.5), st.floats(-50.0, 50.0))
def test_a_command_comes_back_to_a_step_of_its_range(torque, position, velocity):
    back = decode_command(encode_command(MitCommand(torque, position, velocity), AK80), AK80)
    assert back is not None
    assert back.torque == pytest.approx(torque, abs=18.0 / 4095 + 1e-9)
    assert back.position == pytest.approx(position, abs=12.5 / 65535 + 1e-9)
    assert back.velocity == pytest.approx(velocity, abs=50.0 / 4095 + 1e-9)


def test_special_frames_are_no_commands():
    assert [decode_command(data, AK80) for data in (ENTER, LEAVE, SET_ZERO)] == [None] * 3


class DrivesOnABus:
    """Two drives that walk and answer every command at once."""

    def __init__(self, clock, dead=(), error=0):
        self.clock, self.drives, self.dead, self.error = clock, Drives(), dead, error
        self.walk, self.answers, self.sent, self.on = SineWalker(), [], [], set()
        self.torque, self.closed = {}, False

    def send(self, number, data):
        self.sent.append((number, data))
        command = decode_command(data, AK80)
        if data == ENTER:
            self.on.add(number)
        elif data == LEAVE:
            self.on.discard(number)
        if command is not None:
            self.torque[number] = command.torque
        if number in self.dead:
            return
        side = self.drives.numbers.index(number)
        sign, pose = self.drives.signs[side], self.walk(self.clock.now())
        # The last bit of a real encoder is never still.
        jitter = 4e-4 * (len(self.sent) % 3)
        state = MitReply(
            number,
            sign * pose.angle[side] + jitter,
            sign * pose.speed[side],
            self.torque.get(number, 0.0),
            35,
            self.error,
        )
        self.answers.append((0, encode_reply(state, AK80)))

    def receive(self):
        return self.answers.pop(0) if self.answers else None

    def close(self):
        self.closed = True


def run(tmp_path, seconds=6.0, **fields):
    clock = SimulatedClock()
    bus = DrivesOnABus(clock, **fields)
    stream = CanStream(bus, clock=clock)
    config = settings("spline", arm=True)
    log = LogWriter(tmp_path / "can.exolog", config, {})
    runtime = Runtime(config, Link(lambda: stream), log, clock)
    return bus, runtime.run(seconds)


def test_an_armed_run_drives_both_motors_and_ends_them(tmp_path):
    bus, report = run(tmp_path)
    assert report.faults == []
    assert State.ACTIVE.name in report.states
    torques = [decode_command(data, AK80) for _, data in bus.sent]
    wanted = [c.torque for c in torques if c is not None]
    assert max(wanted) > 3.0 and min(wanted) < -3.0
    assert all(c.kp == 0.0 and c.kd == 0.0 for c in torques if c is not None)
    assert bus.on == set() and bus.closed
    assert all(abs(t) < 0.01 for t in bus.torque.values())


def test_left_and_right_turn_the_way_of_their_signs(tmp_path):
    clock = SimulatedClock()
    bus = DrivesOnABus(clock)
    stream = CanStream(bus, clock=clock)
    clock.sleep_until(0.02)
    stream.read(1)
    seen, pose = stream._measure(), bus.walk(0.0)
    assert seen.angle_urad[0] * 1e-6 == pytest.approx(pose.angle[0], abs=2e-3)
    assert seen.angle_urad[1] * 1e-6 == pytest.approx(pose.angle[1], abs=2e-3)


@pytest.mark.parametrize("fields", [{"dead": (2,)}, {"error": 5}])
def test_a_silent_or_failing_drive_is_a_fault(tmp_path, fields):
    bus, report = run(tmp_path, **fields)
    assert "DEVICE" in report.faults
    assert State.ACTIVE.name not in report.states
    assert all(abs(t) < 0.01 for t in bus.torque.values())


def test_every_drive_is_ended_although_the_bus_fails():
    clock = SimulatedClock()
    bus = DrivesOnABus(clock)
    stream, failed = CanStream(bus, clock=clock), []

    def broken(number, data):
        failed.append((number, data))
        raise OSError("bus off")

    bus.send = broken
    with pytest.raises(OSError, match="bus off"):
        stream.close()
    assert (1, LEAVE) in failed and (2, LEAVE) in failed and bus.closed


def test_garbage_on_the_bus_is_passed_over():
    clock = SimulatedClock()
    bus = DrivesOnABus(clock)
    stream = CanStream(bus, clock=clock)
    bus.answers = [(0, b"\1\2"), (77, bytes(8)), (0, bytes([9] * 8))] * 1000
    stream.read(100)
    assert stream._heard[0].reply is None


def test_frames_go_through_a_bus_of_python_can():
    pytest.importorskip("can", reason="the extra can is not installed")
    ours, theirs = (PythonCanBus("virtual", "osim_exo_test") for _ in range(2))
    try:
        data = encode_command(MitCommand(torque=5.0), AK80)
        ours.send(1, data)
        assert theirs.receive() == (1, data)
        assert theirs.receive() is None
        theirs.send(0, encode_reply(MitReply(1, 0.5, 0.0, 5.0, 30, 0), AK80))
        number, answer = ours.receive()
        assert number == 0
        assert decode_reply(answer, AK80).position == pytest.approx(0.5, abs=1e-3)
    finally:
        ours.close()
        theirs.close()


def test_an_address_opens_the_drives_on_a_virtual_bus():
    pytest.importorskip("can", reason="the extra can is not installed")
    peer = PythonCanBus("virtual", "legs")
    stream = open_can("can://virtual/legs?model=AK70-10&right=3&left=4&left_sign=1")
    try:
        assert stream.drives == Drives((3, 4), "AK70-10", (1, 1))
        assert peer.receive() == (3, ENTER) and peer.receive() == (4, ENTER)
    finally:
        stream.close()
        peer.close()


@pytest.mark.parametrize(
    "url",
    [
        "can://",
        "can://virtual",
        "can://virtual/x?right=one",
        "can://virtual/x?right_sign=3",
        "can://virtual/x?right=2",
        "can://virtual/x?colour=red",
        "can://virtual/x?model=AK1",
    ],
)
def test_addresses_that_name_no_drives_are_bad_input(url):
    with pytest.raises(InputError):
        open_can(url)
    with pytest.raises(InputError):
        drive_range("AK1")


def test_a_policy_that_needs_thigh_sensors_is_refused_on_a_bus(tmp_path, capsys):
    policy = write_policy(tmp_path / "p")
    words = f"deploy run {policy} --port can://virtual/x --mass 70"
    assert main(words.split()) == 2
    assert "encoders" in capsys.readouterr().err
