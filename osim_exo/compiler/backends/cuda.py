"""Programs as CUDA text: one thread per environment, all repeats inside, compiled by NVRTC.

A group of numbers is an array (size, n) on the device, a streamed one (repeats, size, n), so that
neighbouring threads read neighbouring numbers. `cuda_driver` runs the result.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from osim_exo.compiler.backends import schedule
from osim_exo.compiler.backends.emit import groups
from osim_exo.compiler.backends.vector_ir import bits
from osim_exo.compiler.symbols.program import Instruction, Program
from osim_exo.errors import MissingExtraError, OsimExoError

ENTRY = "run"
"""Name of the kernel: (n, repeats, one pointer per group)."""

THREADS = 128
"""Environments of a thread block."""

_HEAD = """\
typedef {scalar} real;
static __device__ __forceinline__ real smaller(real a, real b) {{ return b < a ? b : a; }}
static __device__ __forceinline__ real larger(real a, real b) {{ return b > a ? b : a; }}
"""
_TEXT = {
    "neg": "-{0}",
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "min": "smaller({0}, {1})",
    "max": "larger({0}, {1})",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "eq": "{0} == {1}",
    "and": "{0} && {1}",
    "or": "{0} || {1}",
    "not": "!{0}",
    "select": "{0} ? {1} : {2}",
}
_FUNCTIONS = {
    "abs": "fabs",
    **{name: name for name in ("sqrt", "exp", "log", "sin", "cos", "tanh")},
}
_CONDITIONS = frozenset({"lt", "le", "eq", "and", "or", "not"})


def source(program: Program, dtype: str = "float64") -> str:
    """The program as CUDA C++.

    Parameters
    ----------
    program : what to compute
    dtype : float64 or float32

    Notes
    -----
    An output that is fed back is written over the input that it becomes, after all else of a
    repeat. exp, log, sin, cos, tanh and sqrt are those of CUDA, within 2 units in the last place.
    """
    single = bits(dtype) == 32
    order = groups(program)
    written = [name for name in order if name not in program.inputs]
    written += list(program.feedback.values())
    parameters = ["int n", "int repeats"]
    for k, name in enumerate(order):
        kind = "real" if name in written else "const real"
        parameters.append(f"{kind}* __restrict__ g{k}")
    lines = [
        _HEAD.format(scalar="float" if single else "double"),
        f'extern "C" __global__ void __launch_bounds__({THREADS}) {ENTRY}({", ".join(parameters)})',
        "{",
        "  const int t = blockIdx.x * blockDim.x + threadIdx.x;",
        "  if (t >= n) return;",
        "  const size_t m = n;",
        "  for (int repeat = 0; repeat < repeats; ++repeat) {",
        *(f"    {line}" for line in _body(program, order, "f" if single else "")),
        "  }",
        "}",
        "",
    ]
    return "\n".join(lines)


def _body(program: Program, order: list[str], suffix: str) -> list[str]:
    """Statements of one repeat."""
    index = {name: k for k, name in enumerate(order)}
    partners = schedule.sincos_partners(program)
    lines: list[str] = []
    for register, instruction in enumerate(program.code):
        if register in partners:
            if partners[register] > register:
                pair = sorted((register, partners[register]), key=lambda r: program.code[r].op)
                cosine, sine = pair
                argument = f"v{instruction.args[0]}"
                lines.append(f"real v{sine}, v{cosine};")
                lines.append(f"sincos{suffix}({argument}, &v{sine}, &v{cosine});")
            continue
        kind = "bool" if instruction.op in _CONDITIONS else "real"
        value = _value(program, index, instruction, suffix)
        lines.append(f"const {kind} v{register} = {value};")
    for group, registers in program.outputs.items():
        target = index[program.feedback.get(group, group)]
        for k, register in enumerate(registers):
            value = f"v{register}"
            if program.code[register].op in _CONDITIONS:
                value = f"{value} ? real(1) : real(0)"
            lines.append(f"g{target}[{k} * m + t] = {value};")
    return lines


def _value(program: Program, index: dict[str, int], instruction: Instruction, suffix: str) -> str:
    if instruction.op == "const":
        return _number(instruction.value)  # type: ignore[arg-type]
    if instruction.op == "input":
        group, position = instruction.value  # type: ignore[misc]
        row = str(position)
        if group in program.streamed:
            row = f"(size_t(repeat) * {program.inputs[group]} + {position})"
        return f"g{index[str(group)]}[{row} * m + t]"
    arguments = [f"v{a}" for a in instruction.args]
    if instruction.op in _FUNCTIONS:
        return f"{_FUNCTIONS[instruction.op]}{suffix}({arguments[0]})"
    return _TEXT[instruction.op].format(*arguments)


def _number(value: float) -> str:
    if math.isnan(value):
        return "real(__longlong_as_double(0x7ff8000000000000LL))"
    if math.isinf(value):
        pattern = "0x7ff0000000000000LL" if value > 0 else "0xfff0000000000000LL"
        return f"real(__longlong_as_double({pattern}))"
    return f"real({value.hex()})"


@cache
def _nvrtc() -> ctypes.CDLL:
    """NVIDIA's run-time compiler: from its wheel, else from the system."""
    names = [*_wheel_libraries(), *_SYSTEM_LIBRARIES]
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise MissingExtraError("nvidia-cuda-nvrtc", "cuda")


_SYSTEM_LIBRARIES = (
    ("nvrtc64_130_0.dll", "nvrtc64_120_0.dll")
    if sys.platform == "win32"
    else ("libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12")
)


def _wheel_libraries() -> list[str]:
    """Files of the compiler in NVIDIA's wheels, the newest first."""
    spec = find_spec("nvidia")
    found: list[Path] = []
    for root in (spec.submodule_search_locations or []) if spec else []:
        for pattern in ("*/lib/libnvrtc.so.*", "*/bin/**/nvrtc64_*_0.dll"):
            found.extend(p for p in Path(root).glob(pattern) if "alt" not in p.name)
    return [str(path) for path in sorted(found, key=lambda p: p.name, reverse=True)]


class CudaError(OsimExoError):
    """NVIDIA's compiler or driver refused; the message holds what it said."""


def compile_text(text: str, architecture: str = "sm_90", kind: str = "cubin") -> bytes:
    """Compile CUDA text; no GPU is needed.

    Parameters
    ----------
    text : from `source`
    architecture : as ``sm_90`` (H100, H200) or, for PTX, ``compute_90``
    kind : cubin (machine code of that architecture) or ptx (which later ones can read too)

    Raises
    ------
    MissingExtraError
        NVIDIA's run-time compiler is not installed
    CudaError
        it refused the text; its log is in the message
    """
    nvrtc = _nvrtc()
    handle = ctypes.c_void_p()
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(handle), text.encode(), b"run.cu", 0, None, None))
    try:
        options = [f"--gpu-architecture={architecture}", "--std=c++17"]
        table = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
        if nvrtc.nvrtcCompileProgram(handle, len(options), table):
            log = _text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, handle)
            raise CudaError(f"NVRTC refused the program for {architecture}: {log.decode().strip()}")
        if kind == "ptx":
            return _text(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, handle)
        return _text(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN, handle)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(handle))


def _text(size: Callable[..., int], get: Callable[..., int], handle: ctypes.c_void_p) -> bytes:
    length = ctypes.c_size_t()
    _check(size(handle, ctypes.byref(length)))
    buffer = ctypes.create_string_buffer(length.value)
    _check(get(handle, buffer))
    return buffer.raw


def _check(code: int) -> None:
    if code:
        raise CudaError(f"NVRTC failed with error {code}.")
