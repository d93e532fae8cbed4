"""Programs as machine code for this processor, through LLVM: no C compiler is needed.

The code works on blocks of ``width`` environments, one vector lane each. A group of numbers is an
array (n_block, size, width), a streamed one (n_block, repeats, size, width).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from osim_exo.compiler import schedule, vector_math
from osim_exo.compiler.program import Instruction, Program
from osim_exo.compiler.vector_ir import VectorWriter, bits
from osim_exo.errors import MissingExtraError

EMITTER_VERSION = 1
"""Part of every cache key; a change of what this module or its neighbours write raises it."""

ENTRY = "run"
"""Name of the compiled function: (first block, end block, repeats, table of groups, scratch)."""

WINDOW = 256
"""Vectors that one pointer serves, half of them below it.

Distances up to 128 vectors fit into one byte of an x86 instruction. Those with four bytes were
measured to run at half the rate or less.
"""

_BINARY = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_COMPARE = {"lt": "olt", "le": "ole", "eq": "oeq"}
_CONDITIONS = frozenset({"lt", "le", "eq", "and", "or", "not"})


@dataclass(frozen=True)
class Options:
    """How a program is compiled; the defaults are what was measured to be fastest.

    Attributes
    ----------
    piece : operations of one LLVM function; 0 for all of them in one
    tile : blocks that a piece works on before the next piece's turn
    level : LLVM's effort when it selects and schedules instructions, 0 to 3
    """

    piece: int = 1000
    tile: int = 1
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


def default_width(dtype: str) -> int:
    """Environments that one vector of this processor holds."""
    features = set(processor()[1].split(","))
    if {"+avx512f", "+avx512dq", "+avx512vl"} <= features:
        return 512 // bits(dtype)
    return (256 if "+avx2" in features else 128) // bits(dtype)


def groups(program: Program) -> list[str]:
    """Groups in the order of the entry's table: inputs, then outputs that are not fed back."""
    return [*program.inputs, *(g for g in program.outputs if g not in program.feedback)]


class _Emitter:
    """Writes one program as an LLVM module."""

    def __init__(self, program: Program, dtype: str, width: int, options: Options) -> None:
        self.program, self.dtype, self.width, self.options = program, dtype, width, options
        self.groups = groups(program)
        self.partners = schedule.sincos_partners(program)
        self.pieces = schedule.pieces(program, options.piece)
        self.places: dict[int, list[tuple[str, int]]] = {}
        self.slots, self.scratch = schedule.crossing(program, self.pieces)
        self.carried: list[tuple[int, str, int]] = []
        self._place_outputs()
        sizes = [self._size(group) for group in self.groups]
        self.windows = [
            *((f"g{k}", w) for k, size in enumerate(sizes) for w in range(_windows(size))),
            *(("s", w) for w in range(_windows(self.scratch))),
        ]
        self.signature = ", ".join(f"ptr noalias %{array}.{w}" for array, w in self.windows)

    def _place_outputs(self) -> None:
        """Where registers are kept: output arrays, and scratch for what is fed back."""
        for register, slot in self.slots.items():
            self.places[register] = [("s", slot)]
        for group, registers in self.program.outputs.items():
            target = self.program.feedback.get(group)
            for k, register in enumerate(registers):
                if target is None:
                    place = (f"g{self.groups.index(group)}", k)
                else:
                    # Inputs are still read when the first outputs are known: they wait in scratch.
                    place = ("s", self.scratch)
                    self.carried.append((self.scratch, f"g{self.groups.index(target)}", k))
                    self.scratch += 1
                self.places.setdefault(register, []).append(place)

    def module(self) -> str:
        """The text of the module."""
        functions = [self._piece(k, part) for k, part in enumerate(self.pieces)]
        declarations = VectorWriter(self.dtype, self.width).declarations()
        return "\n".join([declarations, *functions, self._carry(), self._entry()])

    def _function(self, name: str, lines: list[str]) -> str:
        head = f"define internal void @{name}({self.signature}) noinline nounwind {{"
        return "\n".join([head, *lines, "  ret void", "}"])

    def _piece(self, number: int, part: list[int]) -> str:
        w = VectorWriter(self.dtype, self.width)
        code = self.program.code
        values: dict[int, str] = {}

        def value(register: int) -> str:
            if register not in values:
                values[register] = self._fetch(w, register)
            return values[register]

        def define(register: int, text: str) -> None:
            values[register] = text
            self._keep(w, register, text)

        for register in part:
            if register in values:
                continue
            instruction = code[register]
            arguments = [value(a) for a in instruction.args]
            if register in self.partners:
                pair = vector_math.sincos(w, arguments[0])
                for r in (register, self.partners[register]):
                    define(r, pair[code[r].op == "cos"])
            else:
                define(register, _compute(w, instruction, arguments))
        if number == len(self.pieces) - 1:
            for register in self.places:
                if code[register].op in schedule.LEAVES:
                    self._keep(w, register, value(register))
        return self._function(f"piece{number}", w.lines)

    def _fetch(self, w: VectorWriter, register: int) -> str:
        """A value that this piece does not compute."""
        instruction = self.program.code[register]
        if instruction.op == "const":
            return w.constant(instruction.value)  # type: ignore[arg-type]
        if instruction.op == "input":
            group, position = instruction.value  # type: ignore[misc]
            return w.load(*_address(f"g{self.groups.index(group)}", int(position)))
        found = w.load(*_address("s", self.slots[register]))
        if instruction.op in _CONDITIONS:
            return w.compare("une", found, w.constant(0.0))
        return found

    def _keep(self, w: VectorWriter, register: int, text: str) -> None:
        """Store a value wherever it is wanted later; a condition as 0 or 1."""
        places = self.places.get(register, ())
        if places and self.program.code[register].op in _CONDITIONS:
            text = w.select(text, w.constant(1.0), w.constant(0.0))
        for array, position in places:
            w.store(text, *_address(array, position))

    def _carry(self) -> str:
        """The function that makes fed-back outputs the next repeat's inputs."""
        w = VectorWriter(self.dtype, self.width)
        for slot, array, position in self.carried:
            w.store(w.load(*_address("s", slot)), *_address(array, position))
        return self._function("carry", w.lines)

    def _entry(self) -> str:
        loops = _Loops()
        for k in range(len(self.groups)):
            loops.line(f"%slot{k} = getelementptr ptr, ptr %table, i64 {k}")
            loops.line(f"%base{k} = load ptr, ptr %slot{k}")
        loops.open("tile", "%first", "%end")
        loops.line(f"%tile.full = add i64 %tile, {self.options.tile}")
        loops.line("%tile.short = icmp slt i64 %tile.full, %end")
        loops.line("%tile.end = select i1 %tile.short, i64 %tile.full, i64 %end")
        loops.open("repeat", "0", "%repeats")
        functions = [f"piece{k}" for k in range(len(self.pieces))]
        for function in functions + ["carry"] * bool(self.carried):
            self._each_block(loops, function)
        loops.close("repeat", 1)
        loops.close("tile", self.options.tile)
        head = f"define void @{ENTRY}(i64 %first, i64 %end, i64 %repeats, ptr %table, ptr %scratch)"
        return "\n".join([f"{head} nounwind {{", "entry:", *loops.lines, "  ret void", "}", ""])

    def _each_block(self, loops: _Loops, function: str) -> None:
        """Call a function for the blocks of a tile."""
        loops.open(f"{function}.block", "%tile", "%tile.end")
        block = f"%{function}.block"
        starts = {}
        for k, group in enumerate(self.groups):
            at = block
            if group in self.program.streamed:
                loops.line(f"%{function}.set{k} = mul i64 {block}, %repeats")
                loops.line(f"%{function}.turn{k} = add i64 %{function}.set{k}, %repeat")
                at = f"%{function}.turn{k}"
            size = self._bytes(self._size(group))
            starts[f"g{k}"] = loops.offset(f"{function}.g{k}", f"%base{k}", at, size)
        loops.line(f"%{function}.lane = sub i64 {block}, %tile")
        size = self._bytes(self.scratch)
        lane = f"%{function}.lane"
        starts["s"] = loops.offset(f"{function}.s", "%scratch", lane, size)
        pointers = []
        for array, window in self.windows:
            name = f"%{function}.{array}.{window}"
            start = self._bytes(WINDOW * window + WINDOW // 2)
            loops.line(f"{name} = getelementptr i8, ptr {starts[array]}, i64 {start}")
            pointers.append(f"ptr {name}")
        loops.line(f"call void @{function}({', '.join(pointers)})")
        loops.close(f"{function}.block", 1)

    def _size(self, group: str) -> int:
        return self.program.inputs.get(group, len(self.program.outputs.get(group, ())))

    def _bytes(self, vectors: int) -> int:
        return vectors * self.width * bits(self.dtype) // 8


def _windows(size: int) -> int:
    return -(-size // WINDOW)


def _address(array: str, position: int) -> tuple[str, int]:
    """The pointer into an array that is nearest to a position, and the distance from it."""
    window, place = divmod(position, WINDOW)
    return f"%{array}.{window}", place - WINDOW // 2


class _Loops:
    """Nested counting loops as LLVM text."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._label = "entry"

    def line(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def offset(self, name: str, pointer: str, index: str, size: int) -> str:
        self.line(f"%{name}.bytes = mul i64 {index}, {size}")
        self.line(f"%{name} = getelementptr i8, ptr {pointer}, i64 %{name}.bytes")
        return f"%{name}"

    def open(self, name: str, start: str, end: str) -> None:
        self.line(f"br label %{name}.head")
        self.lines.append(f"{name}.head:")
        self.line(f"%{name} = phi i64 [ {start}, %{self._label} ], [ %{name}.next, %{name}.latch ]")
        self.line(f"%{name}.more = icmp slt i64 %{name}, {end}")
        self.line(f"br i1 %{name}.more, label %{name}.body, label %{name}.exit")
        self.lines.append(f"{name}.body:")
        self._label = f"{name}.body"

    def close(self, name: str, step: int) -> None:
        self.line(f"br label %{name}.latch")
        self.lines.append(f"{name}.latch:")
        self.line(f"%{name}.next = add i64 %{name}, {step}")
        self.line(f"br label %{name}.head")
        self.lines.append(f"{name}.exit:")
        self._label = f"{name}.exit"


def _compute(w: VectorWriter, instruction: Instruction, x: list[str]) -> str:
    """The value of one operation."""
    op = instruction.op
    if op in _BINARY:
        return w.binary(_BINARY[op], *x)
    if op in _COMPARE:
        return w.compare(_COMPARE[op], *x)
    if op in ("min", "max"):
        return w.select(w.compare("olt" if op == "min" else "ogt", x[1], x[0]), x[1], x[0])
    if op in ("and", "or"):
        return w.logical(op, *x)
    if op == "not":
        return w.logical("xor", x[0], "splat (i1 true)")
    if op == "select":
        return w.select(*x)
    if op == "neg":
        return w.neg(*x)
    if op in ("sqrt", "abs"):
        return w.intrinsic("sqrt" if op == "sqrt" else "fabs", *x)
    if op in ("sin", "cos"):
        return vector_math.sincos(w, x[0])[op == "cos"]
    return {"exp": vector_math.exp, "log": vector_math.log, "tanh": vector_math.tanh}[op](w, *x)


def module_text(program: Program, dtype: str, width: int, options: Options) -> tuple[str, int]:
    """The program as an LLVM module, and the vectors of scratch that each block of a tile needs."""
    emitter = _Emitter(program, dtype, width, options)
    return emitter.module(), emitter.scratch


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


def load(code: bytes) -> tuple[Any, int]:
    """An object file in memory: what keeps it alive, and the address of its entry."""
    llvm = binding()
    name, features = processor()
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=name, features=features)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine, engine.get_function_address(ENTRY)
