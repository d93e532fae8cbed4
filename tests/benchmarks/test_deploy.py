"""The benchmark of the device measures every engine and says what it left out."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("cobs")

from osim_exo.benchmarks import deploy  # noqa: E402
from osim_exo.deploy.host_c import host_compiler  # noqa: E402
from osim_exo.deploy.shipped import find_policy  # noqa: E402


def test_engines_give_a_time_each(tmp_path):
    skipped = []
    times = deploy._times(find_policy("hip_thigh_gyro"), tmp_path, 3, skipped)
    assert all(value > 0.0 for value in times.values())
    assert ("C" in times) == (host_compiler() is not None)
    assert len(skipped) == (0 if "C" in times else 1)


def test_what_is_missing_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(deploy, "missing_tools", lambda: ["qemu-system-arm"])
    skipped = []
    assert deploy._emulated("dense", tmp_path, skipped) == []
    assert "qemu-system-arm" in skipped[0]["reason"]


@pytest.mark.slow
def test_the_whole_benchmark_prints_the_loops_latency(tmp_path):
    result = deploy.run(tmp_path / "bench.json", quick=True)
    rows = {row["what"]: row["value"] for row in result["rows"]}
    assert rows["loop at 100 Hz, latency: p99"] > 0.0
    assert (tmp_path / "bench.json").is_file()
