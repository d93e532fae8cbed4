"""Exported C gives what the bundle gives, within its bounds whatever comes in."""

import csv
import struct
import zlib

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from osim_exo import bundle
from osim_exo.cli import main
from osim_exo.control import Signals, SplineProfile
from osim_exo.deploy import openexo
from osim_exo.deploy.device_core import FirmwareSettings, Measurement
from osim_exo.deploy.export import MANIFEST, export, read_bundle
from osim_exo.deploy.host_c import HostDevice, HostPolicy, build_library, host_compiler
from osim_exo.deploy.packets import TO_HOST, Decoder, Enable, Hello, Packet, TorqueCommand, encode
from osim_exo.deploy.policy_controller import PolicyController
from osim_exo.deploy.walkers import SineWalker
from osim_exo.errors import DataError, InputError
from osim_exo.files import read_json
from tests.deploy.policies import interface, write_policy

needs_compiler = pytest.mark.skipif(
    host_compiler() is None, reason="there is no C compiler on this machine"
)
pytest.importorskip("cobs", reason="the extra deploy is not installed")


@needs_compiler
@pytest.mark.parametrize("activation", ["relu", "tanh", "elu"])
@pytest.mark.parametrize(
    "face",
    [
        interface(),
        interface(kinds=("thigh_rate",), lags=(0,), own=False, history=12),
        interface(rate=50.0, lags=(0, 60, 120)),
    ],
    ids=["lags", "history", "50 Hz"],
)
def test_the_exported_c_is_the_policy(face, activation, tmp_path):
    policy = write_policy(tmp_path / "p", face, activation=activation)
    done = export(policy, "c99", tmp_path / "out")
    assert done.n_compared > 4000
    assert done.largest_error is not None and 0.0 < done.largest_error < 1e-5
    assert read_json(tmp_path / "out" / MANIFEST)["sha256"] == done.sha256


@needs_compiler
@pytest.mark.parametrize("kind", ["tcn", "gru"])
def test_exported_windows_of_samples_are_the_policy(kind, tmp_path):
    face = interface(kinds=("thigh_rate",), lags=(0,), own=False, history=24)
    policy = write_policy(tmp_path / "p", face, kind=kind)
    done = export(policy, "c99", tmp_path / "out")
    assert done.n_compared > 4000
    assert done.largest_error is not None and 0.0 < done.largest_error < 1e-5


@needs_compiler
@pytest.mark.parametrize("squashing", ["clip", "tanh", "sigmoid"])
def test_commands_are_squashed_as_in_the_bundle(squashing, tmp_path):
    face = interface()
    actions = [a.changed(squashing=squashing, gain=0.7, offset=0.02) for a in face.actions]
    policy = write_policy(tmp_path / "p", face.changed(actions=tuple(actions)))
    export(policy, "c99", tmp_path / "out")
    compiled = HostPolicy(build_library(tmp_path / "out", tmp_path))
    outputs = np.random.default_rng(0).normal(0.0, 3.0, (500, 2)).astype(np.float32)
    expected = PolicyController(policy, 70.0).policy.interface.commands(outputs)
    np.testing.assert_allclose(compiled.commands(outputs), expected, atol=2e-6)


@needs_compiler
def test_left_and_right_keep_their_sides_in_any_order(tmp_path):
    face = interface()
    policy = write_policy(tmp_path / "p", face.changed(actions=face.actions[::-1]))
    export(policy, "c99", tmp_path / "out")
    compiled = HostPolicy(build_library(tmp_path / "out", tmp_path), 80.0)
    controller, walker = PolicyController(policy, 80.0), SineWalker()
    for k in range(200):
        pose = walker(k * 0.01)
        row = np.array([*pose.angle, *pose.speed, *pose.thigh, *pose.gyro, 0, 0], dtype=np.float32)
        signals = Signals(
            time=[k * 0.01],
            hip_angle=[row[0:2]],
            hip_speed=[row[2:4]],
            thigh_angle=[row[4:6]],
            thigh_rate=[row[6:8]],
            torque=[[0.0, 0.0]],
        )
        assert compiled.step(row) == pytest.approx(controller(signals)[0], abs=2e-4)


def test_weights_on_the_device_carry_the_checksum_of_their_bytes(folder, library):
    _, network, _ = read_bundle(folder)
    parts = [network.centre, network.scale]
    for layer in network.layers:
        parts += [layer.weight, layer.bias]
    data = b"".join(struct.pack(f"<{part.size}f", *part.tolist()) for part in parts)
    device = HostDevice(library)
    device.receive(encode(Packet(1, 0, Hello(5))), 0)
    (facts,) = Decoder(TO_HOST).feed(device.take_output())
    assert facts.body.controller_crc == zlib.crc32(data)


@needs_compiler
def test_the_self_test_finds_a_changed_weight_and_a_changed_golden_output(folder, tmp_path):
    export(folder, "c99", tmp_path / "out")
    source = tmp_path / "out" / "exo_policy_data.c"
    text = source.read_text()

    def spoilt(name: str) -> int:
        before, start, after = text.partition(f"static const float {name}")
        head, brace, numbers = after.partition("{\n    ")
        first, comma, rest = numbers.partition(",")
        source.write_text(before + start + head + brace + "0x1.23p+1f" + comma + rest)
        return HostPolicy(build_library(tmp_path / "out", tmp_path)).self_test()

    assert spoilt("CONSTANTS") == 1
    assert spoilt("GOLDEN_OUTPUT") == 2


bits = st.integers(0, 2**32 - 1).map(lambda n: struct.unpack("<f", struct.pack("<I", n))[0])
wild = st.one_of(bits, st.sampled_from([float("nan"), float("inf"), -float("inf"), 3e38, -0.0]))


@given(st.lists(st.lists(wild, min_size=10, max_size=10), min_size=1, max_size=10))
@hypothesis.settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_compiled_policy_stays_within_its_bounds_for_any_bits(library, rows):
    compiled = HostPolicy(library, 80.0)
    for row in rows:
        torque = compiled.step(np.array(row, dtype=np.float32))
        assert all(abs(t) <= 0.15 * 80.0 * (1 + 1e-6) for t in torque)
        if not np.all(np.isfinite(np.array(row, dtype=np.float32))):
            assert torque == (0.0, 0.0)


@given(st.data())
@hypothesis.settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bits_in_a_window_give_finite_outputs_or_none(library, data):
    _, sound = HostPolicy(library).run(
        np.array([data.draw(st.lists(wild, min_size=10, max_size=10))], dtype=np.float32)
    )
    outputs, _ = HostPolicy(library).run(np.full((1, 10), np.nan, dtype=np.float32))
    assert outputs.tolist() == [[0.0, 0.0]]
    assert len(sound) == 1


whole = st.integers(-(2**31), 2**31 - 1)
moments = st.tuples(
    st.tuples(st.integers(-1_000_000, 2_000_000) | whole, whole),
    st.tuples(st.integers(-14_000_000, 14_000_000) | whole, whole),
    st.tuples(whole, whole),
    st.tuples(whole, whole),
)


@given(st.lists(moments, min_size=1, max_size=60), st.integers(-(2**31), 2**31 - 1))
@hypothesis.settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_limits_of_a_device_with_its_own_policy_hold_for_any_readings(library, stream, allowed):
    s = FirmwareSettings()
    device, step = HostDevice(library, s), s.rate_limit_mnm_per_s * s.tick_us / 1e6
    device.receive(encode(Packet(1, 0, Hello(9))), 0)
    before = (0, 0)
    for k, (angle, speed, thigh, gyro) in enumerate(stream):
        now = (k + 1) * s.tick_us
        command = TorqueCommand(9, allowed, allowed, int(Enable.BY_ITSELF), 0)
        device.receive(encode(Packet(k + 2, 0, command)), now)
        torque = device.tick(now, Measurement(angle, speed, thigh, gyro))
        for i in (0, 1):
            assert abs(torque[i]) <= max(allowed, 0)
            assert abs(torque[i]) <= s.max_torque_mnm
            assert abs(torque[i]) <= abs(before[i]) + step
            assert abs(torque[i] * 1e-3 * speed[i] * 1e-6) <= s.power_limit_mw * 1e-3
            assert torque[i] == 0 or abs(speed[i]) < s.speed_limit_urad_per_s
            assert torque[i] <= 0 or angle[i] < s.angle_high_urad
            assert torque[i] >= 0 or angle[i] > s.angle_low_urad
        before = torque


def test_a_device_acts_by_itself_only_when_it_is_let(library):
    device, walker = HostDevice(library, mass=80.0), SineWalker()

    def walk(enable: int, first: int) -> int:
        peak = 0
        for k in range(first, first + 2000):
            now = k * 1000
            if k % 10 == 0:
                body = TorqueCommand(9, 6000, 6000, enable, 0)
                device.receive(encode(Packet(k, 0, body)), now)
            pose = walker(now * 1e-6)
            pairs = [
                tuple(round(v * 1e6) for v in pair)
                for pair in (pose.angle, pose.speed, pose.thigh, pose.gyro)
            ]
            peak = max(peak, *map(abs, device.tick(now, Measurement(*pairs))))
        return peak

    device.receive(encode(Packet(1, 0, Hello(9))), 0)
    assert walk(int(Enable.OFF), 10) == 0
    assert 1000 < walk(int(Enable.BY_ITSELF), 2010) <= 6000
    assert walk(int(Enable.OFF), 4010) == 0


def test_a_spline_through_five_nodes_is_found_again():
    nodes = openexo.SplineNodes((0.0, 20.0, 45.0, 70.0, 100.0), (1.0, -6.0, 4.0, 8.0, 1.0))
    found = openexo.fit_spline(nodes.torque())
    np.testing.assert_allclose(found.torque(), nodes.torque(), atol=1e-9)
    assert found.percent == nodes.percent


def test_the_natural_spline_is_that_of_scipy():
    interpolate = pytest.importorskip("scipy.interpolate")
    nodes = openexo.SplineNodes((0.0, 10.0, 45.0, 70.0, 100.0), (1.0, -6.0, 4.0, 8.0, 1.0))
    curve = interpolate.CubicSpline(nodes.percent, nodes.nm, bc_type="natural")
    np.testing.assert_allclose(nodes.torque(), curve(openexo.PERCENT), atol=1e-9)


def test_franks_collins_finds_two_pulses_again():
    profile = SplineProfile().torque(openexo.PERCENT / 100.0)
    found = openexo.fit_franks_collins(profile)
    error = np.sqrt(np.mean((found.torque() - profile) ** 2))
    assert found.fits
    assert error < 0.35
    assert np.corrcoef(found.torque(), profile)[0, 1] > 0.99


def test_openexo_files_hold_as_many_parameters_as_they_say(folder, tmp_path):
    done = export(folder, "openexo", tmp_path / "out", mass=68.0)
    for name, n in (("spline.csv", 16), ("franksCollinsHip.csv", 15)):
        rows = list(csv.reader((tmp_path / "out" / name).read_text().splitlines()))
        assert int(rows[0][0]) == 5
        assert int(rows[1][0]) == n == len(rows[5]) == len(rows[4])
    assert float(rows[5][0]) == 68.0
    assert done.facts["spline"]["rmse_nm"] < done.facts["peak_nm"]


def test_an_export_of_another_kind_of_policy_is_refused(tmp_path):
    face = interface()
    blind = face.observations[0].changed(name="pelvis_tilt")
    policy = write_policy(tmp_path / "p", face.changed(observations=(blind,)))
    with pytest.raises(InputError, match="pelvis_tilt"):
        export(policy, "c99", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_does_not_overwrite_other_things(folder, tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.txt").write_text("years of work")
    with pytest.raises(InputError, match="something else"):
        export(folder, "openexo", out)
    assert (out / "chapter.txt").read_text() == "years of work"


def test_a_changed_bundle_is_not_exported(folder, tmp_path):
    copy = write_policy(tmp_path / "p")
    data = bytearray((copy / "network.npz").read_bytes())
    data[200] ^= 1
    (copy / "network.npz").write_bytes(bytes(data))
    with pytest.raises(DataError, match="changed"):
        export(copy, "c99", tmp_path / "out")


def test_a_network_of_an_unknown_kind_is_named(tmp_path):
    policy = write_policy(tmp_path / "p")
    content, files = bundle.read(policy)
    content["network"] = {"kind": "transformer"}
    bundle.write(policy, content, files)
    with pytest.raises(DataError):
        export(policy, "c99", tmp_path / "out")


@needs_compiler
def test_the_command_exports_and_tells_the_error(folder, tmp_path, capsys):
    assert main(["export", str(folder), "--to", "c99", "--out", str(tmp_path / "out")]) == 0
    assert "largest error" in capsys.readouterr().out
    assert (tmp_path / "out" / "exo_policy_data.c").is_file()
