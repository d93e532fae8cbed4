"""The policy that ships: whole, honest about where it is from, and usable by its name alone."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from osim_exo import bundle
from osim_exo.cli import main
from osim_exo.control import LearnedController
from osim_exo.deploy.export import read_bundle
from osim_exo.deploy.host_c import HostPolicy, build_library, host_compiler
from osim_exo.deploy.shipped import find_policy, library, shipped_policies
from osim_exo.errors import DataError
from osim_exo.policy import Policy

pytest.importorskip("cobs", reason="the extra deploy is not installed")

NAME = "hip_thigh_gyro"


def test_the_shipped_student_is_there_small_and_says_where_it_is_from():
    assert NAME in shipped_policies()
    folder = find_policy(NAME)
    assert folder.parent == library()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000
    policy = Policy.load(folder, "numpy")
    assert [row.name for row in policy.interface.observations] == [
        "thigh_r/thigh_rate",
        "thigh_l/thigh_rate",
    ]
    assert policy.record["teacher"] == "hip/seed_4"
    assert policy.record["settings"]["errors"]["delay_s"] == [0.0, 0.02]
    text = (folder / bundle.DESCRIPTION).read_text(encoding="utf-8")
    assert not re.search(r'"(/|[A-Za-z]:\\\\)', text), "a path of the machine that made it"


@pytest.mark.parametrize("engine", ["numpy", "onnx"])
def test_it_gives_its_golden_outputs(engine):
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
    folder = find_policy(NAME)
    golden = np.load(folder / "golden.npz")
    policy = Policy.load(folder, engine)
    inputs, outputs = (golden[name] for name in sorted(golden.files))
    np.testing.assert_allclose(policy(inputs), outputs, atol=1e-5)
    most = np.array([action.high for action in policy.interface.actions])
    assert LearnedController.load(folder, 70.0, engine="numpy") is not None
    wild = 1e3 * np.random.default_rng(0).standard_normal((500, inputs.shape[1]))
    assert np.all(np.abs(policy.commands(wild.astype(np.float32))) <= most * (1 + 1e-6))


def test_a_changed_byte_is_refused_and_an_unknown_name_lists_what_ships(tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in find_policy(NAME).iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    weights = bytearray((copy / "network.npz").read_bytes())
    weights[len(weights) // 2] ^= 1
    (copy / "network.npz").write_bytes(bytes(weights))
    with pytest.raises(DataError):
        Policy.load(copy, "numpy")
    with pytest.raises(DataError, match=NAME):
        find_policy("ankle_wish")
    assert find_policy(copy) == copy


def test_it_exports_to_c_by_name_and_the_c_stays_within_bounds(tmp_path):
    if host_compiler() is None:
        pytest.skip("there is no C compiler on this machine")
    assert main(["--quiet", "export", NAME, "--to", "c99", "--out", str(tmp_path / "c")]) == 0
    interface, _, _ = read_bundle(find_policy(NAME))
    compiled = HostPolicy(build_library(tmp_path / "c", tmp_path))
    size = interface.history * len(interface.observations)
    windows = np.random.default_rng(1).standard_normal((300, size)).astype(np.float32)
    own = Policy.load(find_policy(NAME), "numpy")
    outputs, finite = compiled.run(windows)
    assert all(finite)
    np.testing.assert_allclose(outputs, own(windows), atol=1e-5)
    wild, _ = compiled.run(np.float32(1e6) * windows)
    assert np.isfinite(wild).all() and len(wild) == len(windows)


def test_a_virtual_device_runs_it_by_name(tmp_path, capsys):
    pytest.importorskip("serial")
    words = [sys.executable, "-m", "osim_exo", "--quiet", "deploy", "virtual"]
    words += ["--port", "socket://127.0.0.1:0", "--seconds", "60"]
    device = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        port = device.stdout.readline().partition(": ")[2].strip()
        log = tmp_path / "run.exolog"
        run = ["--quiet", "deploy", "run", NAME, "--port", port, "--mass", "75"]
        assert main([*run, "--seconds", "4", "--log", str(log), "--json", "-"]) == 0
    finally:
        device.kill()
        device.communicate()
    told = json.loads(capsys.readouterr().out)
    assert told["faults"] == [] and told["samples"] > 200
    assert 0.5 < told["peak_torque"] <= 0.2 * 75.0
    assert main(["--quiet", "deploy", "replay", str(log), "--policy", NAME]) == 0


def test_the_firmware_holds_it_by_name(tmp_path):
    if host_compiler() is None:
        pytest.skip("there is no C compiler on this machine")
    words = ["--quiet", "deploy", "virtual", "--policy", NAME, "--board", "host"]
    assert main([*words, "--port", "socket://127.0.0.1:0", "--seconds", "1"]) == 0
