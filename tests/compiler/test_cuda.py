"""CUDA text: compiled for a real GPU without one, and its arithmetic run on this processor.

The kernel itself runs only where there is an NVIDIA GPU; the last tests are skipped elsewhere.
"""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from osim_exo.compiler.backends import cuda, cuda_driver
from osim_exo.compiler.backends.emit import groups
from osim_exo.compiler.symbols import expression as ex
from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import InputError, MissingExtraError
from tests.compiler import programs
from tests.compiler.test_kernel import counter, every_operation

COMPILER = next((c for c in map(shutil.which, ("g++", "clang++")) if c), None)

HOST = """\
#include <cmath>
#include <cstddef>
#include <cstring>
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(n)
using std::size_t;
struct Index { int x; };
static Index blockIdx = {0}, blockDim = {1}, threadIdx = {0};
static double __longlong_as_double(long long i) { double d; std::memcpy(&d, &i, 8); return d; }
%s
extern "C" void thread(int t) { threadIdx.x = t; }
"""


def has_nvrtc():
    try:
        cuda._nvrtc()
    except MissingExtraError:
        return False
    return True


def has_gpu():
    try:
        cuda_driver._driver(0)
    except cuda.CudaError:
        return False
    return has_nvrtc()


needs_nvrtc = pytest.mark.skipif(not has_nvrtc(), reason="nvidia-cuda-nvrtc is not installed")
needs_gpu = pytest.mark.skipif(not has_gpu(), reason="no NVIDIA GPU, or no NVRTC")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler to run the text with")


def run_on_host(folder, program, dtype, values, repeats=1):
    """What the CUDA text computes, compiled as C++ for this processor."""
    (folder / "run.cpp").write_text(HOST % cuda.source(program, dtype))
    command = [COMPILER, "-O1", "-fPIC", "-shared", "-o", folder / "run.so", folder / "run.cpp"]
    subprocess.run(command, check=True, timeout=100)
    library = ctypes.CDLL(str(folder / "run.so"))
    n = len(next(iter(values.values())))
    arrays = {}
    for name in groups(program):
        size = program.inputs.get(name, len(program.outputs.get(name, ())))
        given = values.get(name, np.zeros((n, size)))
        arrays[name] = np.ascontiguousarray(np.moveaxis(np.asarray(given, dtype=dtype), 0, -1))
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in arrays.values()]
    for t in range(n + 1):
        library.thread(t)
        library.run(n, repeats, *pointers)
    return {name: np.moveaxis(a, -1, 0) for name, a in arrays.items()}


def values_of_every_operation():
    graph = ex.Graph()
    x, y = graph.inputs("x", 2)
    outputs = every_operation(graph, x, y)
    outputs |= {"both": ex.sin(x) + ex.cos(x), "nan": graph.constant(np.nan)}
    outputs["inf"] = graph.constant(-np.inf)
    program = Program.build(graph, {"x": 2}, {"y": list(outputs.values())})
    edges = np.array([0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan])
    grid = np.stack(np.meshgrid(edges, edges), axis=-1).reshape(-1, 2)
    return program, np.concatenate([grid, np.random.default_rng(0).normal(size=(60, 2))])


@needs_compiler
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-15), ("float32", 1e-6)])
def test_the_text_computes_every_operation(tmp_path, dtype, tolerance):
    program, values = values_of_every_operation()
    values = values.astype(dtype)
    found = run_on_host(tmp_path, program, dtype, {"x": values})["y"]
    np.testing.assert_allclose(found, program(x=values)["y"], rtol=tolerance, atol=tolerance)


@needs_compiler
def test_the_text_repeats_feeds_back_and_streams(tmp_path):
    program, n, repeats = counter(), 6, 4
    rng = np.random.default_rng(0)
    x, push, gain = rng.normal(size=(n, 3)), rng.normal(size=(n, repeats, 3)), np.ones((n, 1))
    values = {"x": x, "push": push, "gain": gain}
    found = run_on_host(tmp_path, program, "float64", values, repeats)
    for k in range(repeats):
        out = program(x=x, push=push[:, k], gain=gain)
        x = out["next"]
    np.testing.assert_allclose(found["x"], x, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(found["sum"], out["sum"], rtol=1e-13, atol=1e-13)


@needs_compiler
def test_the_text_of_a_random_program_equals_the_interpreter(tmp_path):
    program = programs.random_program(0, 600)
    values = programs.values(program, 5)
    found = run_on_host(tmp_path, program, "float64", values)["y"]
    np.testing.assert_allclose(found, program(**values)["y"], rtol=1e-13, atol=1e-13)


class HostDriver:
    """Stands in for the GPU's driver: memory is this process's, threads run one after the other."""

    def __init__(self, folder):
        self.folder, self.memory = folder, {}

    def activate(self):
        pass

    def architecture(self):
        return "sm_90"

    def free(self, pointer):
        del self.memory[pointer.value]

    def call(self, name, *arguments):
        getattr(self, name)(*arguments)

    def cuModuleLoadData(self, module, code):
        self.library = ctypes.CDLL(code.decode())

    def cuModuleGetFunction(self, function, module, name):
        assert name == b"run"

    def cuMemAlloc_v2(self, pointer, size):
        buffer = ctypes.create_string_buffer(size.value)
        pointer._obj.value = ctypes.addressof(buffer)
        self.memory[pointer._obj.value] = buffer

    def cuMemcpyHtoD_v2(self, target, source, size):
        ctypes.memmove(target.value, source, size.value)

    def cuMemcpyDtoH_v2(self, target, source, size):
        ctypes.memmove(target, source.value, size.value)

    def cuCtxSynchronize(self):
        pass

    def cuLaunchKernel(self, function, gx, gy, gz, bx, by, bz, shared, stream, pointers, extra):
        n, repeats = (ctypes.c_int.from_address(p).value for p in pointers[:2])
        assert gx * bx >= n and (gy, gz, by, bz, shared) == (1, 1, 1, 1, 0)
        arrays = [ctypes.c_void_p.from_address(p) for p in pointers[2:]]
        for t in range(gx * bx):
            self.library.thread(t)
            self.library.run(n, repeats, *arrays)


@needs_compiler
def test_arrays_and_arguments_reach_the_kernel_as_it_expects(tmp_path, monkeypatch):
    def compile_for_host(text, architecture):
        (tmp_path / "run.cpp").write_text(HOST % text)
        target = tmp_path / "run.so"
        command = [COMPILER, "-O1", "-fPIC", "-shared", "-o", target, tmp_path / "run.cpp"]
        subprocess.run(command, check=True, timeout=100)
        return str(target).encode()

    driver = HostDriver(tmp_path)
    monkeypatch.setattr(cuda_driver, "_driver", lambda device: driver)
    monkeypatch.setattr(cuda, "compile_text", compile_for_host)
    check_repeats(cuda_driver.CudaKernel(counter(), "float64"))
    assert driver.memory == {}


def check_repeats(kernel):
    """A kernel of `counter` does what the interpreter does, and tells wrong arrays."""
    n, repeats = 200, 4
    rng = np.random.default_rng(0)
    x, push, gain = rng.normal(size=(n, 3)), rng.normal(size=(n, repeats, 3)), np.ones((n, 1))
    arrays = {name: kernel.zeros(name, n, repeats) for name in kernel.groups}
    for name, array in {"x": x, "push": push, "gain": gain}.items():
        arrays[name].upload(np.moveaxis(array, 0, -1))
    kernel.run(arrays, repeats)
    kernel.synchronize()
    for k in range(repeats):
        x = kernel.program(x=x, push=push[:, k], gain=gain)["next"]
    np.testing.assert_allclose(arrays["x"].download().T, x, rtol=1e-12, atol=1e-12)
    with pytest.raises(InputError, match="the kernel needs"):
        kernel.run({**arrays, "x": arrays["gain"]}, repeats)
    with pytest.raises(InputError, match=r"Arrays missing: \['gain'\]"):
        kernel.run({k: v for k, v in arrays.items() if k != "gain"}, repeats)
    with pytest.raises(InputError, match="device array"):
        arrays["x"].upload(np.zeros((2, 2)))
    with pytest.raises(InputError, match="Unknown group 'z'"):
        kernel.zeros("z", n)


@needs_nvrtc
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_text_compiles_for_sm_90_without_a_gpu(dtype):
    program, _ = values_of_every_operation()
    text = cuda.source(program, dtype)
    code = cuda.compile_text(text, "sm_90")
    assert code[:4] == b"\x7fELF"
    portable = cuda.compile_text(text, "compute_90", kind="ptx")
    assert b".visible .entry run" in portable and b".target sm_90" in portable


@needs_nvrtc
def test_a_refusal_of_the_compiler_is_passed_on():
    with pytest.raises(cuda.CudaError, match="NVRTC refused the program for sm_90: .*error"):
        cuda.compile_text("this is no program")


def test_without_the_compiler_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(cuda, "_wheel_libraries", list)
    monkeypatch.setattr(cuda, "_SYSTEM_LIBRARIES", ("libnothing-of-this-name.so",))
    cuda._nvrtc.cache_clear()
    try:
        with pytest.raises(MissingExtraError, match=r"osim_exo\[cuda\]"):
            cuda.compile_text("")
    finally:
        cuda._nvrtc.cache_clear()


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_without_a_gpu_the_error_says_so():
    with pytest.raises(cuda.CudaError, match="No NVIDIA driver|refused"):
        cuda_driver.CudaKernel(programs.random_program(0, 60))


@needs_gpu
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-4)])
def test_a_gpu_equals_the_interpreter(dtype, tolerance):
    program = programs.random_program(0, 600)
    values = programs.values(program, 300)
    kernel = cuda_driver.CudaKernel(program, dtype)
    arrays = {name: kernel.zeros(name, 300) for name in kernel.groups}
    for name, array in values.items():
        arrays[name].upload(array.T)
    kernel.run(arrays)
    found = arrays["y"].download().T
    np.testing.assert_allclose(found, program(**values)["y"], rtol=tolerance, atol=tolerance)


@needs_gpu
def test_a_gpu_repeats_feeds_back_and_streams():
    check_repeats(cuda_driver.CudaKernel(counter(), "float64"))
