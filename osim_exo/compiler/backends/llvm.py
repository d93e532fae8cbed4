"""Programs as machine code for this processor, through LLVM: no C compiler is needed.

The code works on blocks of ``width`` environments, one vector lane each. A group of numbers is an
array (n_block, size, width), a streamed one (n_block, repeats, size, width).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from osim_exo.compiler.backends.vector_ir import bits
from osim_exo.errors import MissingExtraError

EMITTER_VERSION = 4
"""Part of every cache key; a change of what this module or its neighbours write raises it."""


@dataclass(frozen=True)
class Options:
    """How a program is compiled; the defaults are what was measured to be fastest.

    Attributes
    ----------
    piece : operations of one LLVM function; 0 for all of them in one
    level : LLVM's effort when it selects and schedules instructions, 0 to 3
    """

    piece: int = 1000
    level: int = 2


@cache
def binding() -> Any:
    """The binding of llvmlite, ready to compile for this processor."""
    try:
        from llvmlite import binding as llvm
    except ImportError as error:
        raise MissingExtraError("llvmlite", "sim") from error
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@cache
def processor() -> tuple[str, str]:
    """Name and features of this processor, as LLVM calls them."""
    llvm = binding()
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def pause() -> tuple[str, str]:
    """An instruction that tells this processor that it waits, and its declaration; or neither."""
    kind = binding().get_default_triple().split("-")[0]
    if kind in ("x86_64", "i686"):
        return "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"
    if kind in ("aarch64", "arm64"):
        return "call void @llvm.aarch64.hint(i32 1)", "declare void @llvm.aarch64.hint(i32)"
    return "", ""


def default_width(dtype: str) -> int:
    """Environments that one vector of this processor holds."""
    features = set(processor()[1].split(","))
    if {"+avx512f", "+avx512dq", "+avx512vl"} <= features:
        return 512 // bits(dtype)
    return (256 if "+avx2" in features else 128) // bits(dtype)


def object_code(text: str, level: int) -> bytes:
    """Machine code of a module, as an object file of this platform."""
    llvm = binding()
    module = llvm.parse_assembly(text)
    module.verify()
    name, features = processor()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=name, features=features, opt=level, jit=True
    )
    return bytes(machine.emit_object(module))


def load(code: bytes, *names: str) -> tuple[Any, tuple[int, ...]]:
    """An object file in memory: what keeps it alive, and the addresses of its functions."""
    llvm = binding()
    name, features = processor()
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=name, features=features)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine, tuple(engine.get_function_address(name) for name in names)
