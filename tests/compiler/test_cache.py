"""Compiled programs on disk: hits, misses, damage, several processes, no room."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from osim_exo.compiler.backends import cache, kernel, llvm
from osim_exo.errors import DataError
from tests.compiler import programs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An own cache folder, and no warning told before."""
    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path / "kept"))
    monkeypatch.setattr(cache, "_told", set())
    return tmp_path / "kept"


@pytest.fixture
def compilations(monkeypatch):
    """Counts how often something is really compiled."""
    calls = []
    original = kernel.compile_program

    def counted(*args, **kwargs):
        calls.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(kernel, "compile_program", counted)
    return calls


@pytest.fixture(scope="module")
def program():
    return programs.random_program(0, 200)


def outputs(compiled, program):
    values = programs.values(program, 9)
    arrays = {name: compiled.pack(name, v) for name, v in values.items()}
    arrays["y"] = compiled.zeros("y", 9)
    compiled.run(arrays)
    return compiled.unpack(arrays["y"], 9)


def test_the_second_time_nothing_is_compiled_and_the_numbers_are_the_same(program, compilations):
    first = cache.load_or_compile(program)
    second = cache.load_or_compile(program)
    assert len(compilations) == 1 and len(cache.files()) == 1
    assert second.signature == first.signature
    np.testing.assert_array_equal(outputs(first, program), outputs(second, program))


def test_whatever_changes_the_code_changes_the_key(program, compilations):
    cache.load_or_compile(program)
    cache.load_or_compile(program, "float32")
    cache.load_or_compile(program, width=2)
    cache.load_or_compile(program, options=llvm.Options(piece=50))
    cache.load_or_compile(programs.random_program(1, 200))
    assert len(compilations) == len(cache.files()) == 5


def test_another_processor_or_emitter_does_not_get_this_code(program, compilations, monkeypatch):
    cache.load_or_compile(program)
    monkeypatch.setattr(llvm, "EMITTER_VERSION", llvm.EMITTER_VERSION + 1)
    cache.load_or_compile(program)
    name, features = llvm.processor()
    monkeypatch.setattr(llvm, "processor", lambda: (name, features + ",+other"))
    monkeypatch.setattr(
        kernel, "compile_program", lambda *a: cache.decode(cache.files()[0].read_bytes())
    )
    cache.load_or_compile(program)
    assert len(cache.files()) == 3


def test_a_key_of_ones_own_builds_only_when_it_is_new(program):
    builds = []

    def build():
        builds.append(1)
        return program

    for key in ("model 1", "model 1", "model 2"):
        cache.load_or_build(key, build)
    assert len(builds) == 2


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "foreign"])
def test_a_damaged_file_is_told_and_built_again(program, compilations, damage):
    cache.load_or_compile(program)
    path = cache.files()[0]
    data = path.read_bytes()
    changed = {
        "truncated": data[: len(data) // 2],
        "empty": b"",
        "flipped": data[:-100] + bytes([data[-100] ^ 1]) + data[-99:],
        "foreign": b"something else entirely",
    }
    path.write_bytes(changed[damage])
    with pytest.warns(cache.CacheWarning, match="built again"):
        compiled = cache.load_or_compile(program)
    assert np.isfinite(outputs(compiled, program)).all()
    assert path.read_bytes() == data
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.load_or_compile(program)
    assert len(compilations) == 2


def test_decode_refuses_what_encode_did_not_write(program):
    data = cache.encode(kernel.compile_program(program))
    assert cache.decode(data).signature.operations == program.operations
    with pytest.raises(DataError, match="checksum"):
        cache.decode(data + b"0")
    with pytest.raises(DataError, match="does not begin"):
        cache.decode(b"")


def test_a_folder_that_cannot_be_made_costs_one_warning(tmp_path, monkeypatch, program):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path / "file" / "below"))
    with pytest.warns(cache.CacheWarning) as told:
        for _ in range(3):
            compiled = cache.load_or_compile(program)
    assert np.isfinite(outputs(compiled, program)).all()
    assert len([w for w in told if "cannot be kept" in str(w.message)]) == 1


def test_a_full_disk_leaves_no_unfinished_file(place, monkeypatch, program):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", full)
    with pytest.warns(cache.CacheWarning, match="No space left on device.*Make room"):
        compiled = cache.load_or_compile(program)
    assert np.isfinite(outputs(compiled, program)).all()
    assert list(place.iterdir()) == []


def test_an_empty_setting_keeps_nothing(tmp_path, monkeypatch, program):
    monkeypatch.setenv(cache.ENVIRONMENT, "")
    monkeypatch.chdir(tmp_path)
    cache.load_or_compile(program)
    assert cache.folder() is None and cache.files() == [] and list(tmp_path.iterdir()) == []
    assert cache.clear() == 0


def test_without_a_setting_the_folder_is_the_platforms(monkeypatch, tmp_path):
    monkeypatch.delenv(cache.ENVIRONMENT)
    monkeypatch.setattr(cache.Path, "home", lambda: tmp_path)
    for platform, variable, expected in (
        ("linux", None, tmp_path / ".cache" / "osim_exo" / "kernels"),
        ("linux", "XDG_CACHE_HOME", tmp_path / "given" / "osim_exo" / "kernels"),
        ("darwin", None, tmp_path / "Library" / "Caches" / "osim_exo" / "kernels"),
        ("win32", "LOCALAPPDATA", tmp_path / "given" / "osim_exo" / "kernels"),
    ):
        for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            monkeypatch.delenv(name, raising=False)
        if variable:
            monkeypatch.setenv(variable, str(tmp_path / "given"))
        monkeypatch.setattr(cache.sys, "platform", platform)
        assert cache.folder() == expected


def test_a_user_without_a_home_is_told(monkeypatch):
    monkeypatch.delenv(cache.ENVIRONMENT)

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache.Path, "home", homeless)
    with pytest.warns(cache.CacheWarning, match="not kept"):
        assert cache.folder() is None


def test_clear_deletes_kept_and_unfinished_files_and_nothing_else(place, program):
    cache.load_or_compile(program)
    (place / "x.part").write_bytes(b"half")
    (place / "model.spec.json").write_text("{}")
    (place / "notes.txt").write_text("mine")
    assert cache.clear() == 2
    assert [p.name for p in place.iterdir()] == ["notes.txt"]


PROCESS = """
import sys
from osim_exo.compiler.backends import cache
from tests.compiler import programs
program = programs.random_program(7, 1500)
print("ready", flush=True)
sys.stdin.readline()
compiled = cache.load_or_compile(program)
arrays = {name: compiled.pack(name, v) for name, v in programs.values(program, 4).items()}
arrays["y"] = compiled.zeros("y", 4)
compiled.run(arrays)
print(compiled.unpack(arrays["y"], 4).tobytes().hex())
"""


def test_two_processes_that_build_the_same_program_agree(place):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::UserWarning"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    ended = [process.communicate("go\n", timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    assert ended[0][0] == ended[1][0] != ""
    assert [p.suffix for p in place.iterdir()] == [".kernel"]
    program = programs.random_program(7, 1500)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled = cache.load_or_compile(program)
    values = programs.values(program, 4)
    arrays = {name: compiled.pack(name, v) for name, v in values.items()}
    arrays["y"] = compiled.zeros("y", 4)
    compiled.run(arrays)
    assert compiled.unpack(arrays["y"], 4).tobytes().hex() == ended[0][0].strip()
