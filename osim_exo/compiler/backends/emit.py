"""A program as LLVM text: straight-line vector functions and the loop that calls them.

The text is cut into functions of limited length. What one leaves for another goes through scratch
memory, and everything in memory is addressed by pointers that are near it.
"""

from __future__ import annotations

from osim_exo.compiler.backends import prologue, schedule, vector_math
from osim_exo.compiler.backends.loops import Loops
from osim_exo.compiler.backends.prologue import Prologue
from osim_exo.compiler.backends.vector_ir import WINDOW, VectorWriter, address, bits, windows
from osim_exo.compiler.symbols.program import Instruction, Program

ENTRY = "run"
"""Name of the compiled function: (counter of blocks, end block, repeats, table, scratch).

The table points to the groups, then to what the prologue takes.
"""

_BINARY = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_COMPARE = {"lt": "olt", "le": "ole", "eq": "oeq"}
_CONDITIONS = frozenset({"lt", "le", "eq", "and", "or", "not"})


def groups(program: Program) -> list[str]:
    """Groups in the order of the entry's table: inputs, then outputs that are not fed back."""
    return [*program.inputs, *(g for g in program.outputs if g not in program.feedback)]


def module_text(
    program: Program, dtype: str, width: int, piece: int, before: Prologue | None = None
) -> tuple[str, int]:
    """The program as an LLVM module, and the vectors of scratch memory that it needs.

    Parameters
    ----------
    program : what to compute
    dtype : float64 or float32
    width : environments of a block
    piece : operations of one LLVM function; 0 for all of them in one
    before : what is done to a block before its repeats
    """
    emitter = _Emitter(program, dtype, width, piece, before)
    return emitter.module(), emitter.scratch


class _Emitter:
    """Writes one program as an LLVM module."""

    def __init__(
        self, program: Program, dtype: str, width: int, piece: int, before: Prologue | None
    ) -> None:
        self.program, self.dtype, self.width, self.before = program, dtype, width, before
        self.groups = groups(program)
        self.partners = schedule.sincos_partners(program)
        self.pieces = schedule.pieces(program, piece)
        self.places: dict[int, list[tuple[str, int]]] = {}
        self.slots, self.scratch = schedule.crossing(program, self.pieces)
        self.carried: list[tuple[int, str, int]] = []
        self._place_outputs()
        self.windows = [
            f"{array}.{window}"
            for array, size in [*self._arrays(), ("s", self.scratch)]
            for window in range(windows(size))
        ]

    def _arrays(self) -> list[tuple[str, int]]:
        """Name and size of each group's array."""
        sizes = {**{g: len(r) for g, r in self.program.outputs.items()}, **self.program.inputs}
        return [(f"g{k}", sizes[group]) for k, group in enumerate(self.groups)]

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
        writers = {f"piece{k}": self._piece(k, part) for k, part in enumerate(self.pieces)}
        if self.carried:
            writers["carry"] = self._carry()
        constants = range(max(windows(len(w.table)) for w in writers.values()))
        parameters = [*self.windows, *(f"c.{window}" for window in constants)]
        signature = ", ".join(f"ptr noalias %{name}" for name in parameters)
        lines = [VectorWriter(self.dtype, self.width).declarations()]
        for name, w in writers.items():
            lines.append(w.table_text(f"@{name}.constants"))
            lines.append(f"define internal void @{name}({signature}) noinline nounwind {{")
            lines += [*w.lines, "  ret void", "}"]
        if self.before is not None:
            sizes = self.program.inputs
            lines.append(
                prologue.function_text(self.before, self.groups, sizes, self.dtype, self.width)
            )
        return "\n".join([*lines, self._entry(list(writers), list(constants))])

    def _piece(self, number: int, part: list[int]) -> VectorWriter:
        w = VectorWriter(self.dtype, self.width)
        code = self.program.code
        values: dict[int, str] = {}

        def value(register: int) -> str:
            if register in values:
                return values[register]
            found = self._fetch(w, register)
            if code[register].op != "const":
                values[register] = found
            return found

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
        return w

    def _fetch(self, w: VectorWriter, register: int) -> str:
        """A value that this piece does not compute."""
        instruction = self.program.code[register]
        if instruction.op == "const":
            return w.constant(instruction.value)  # type: ignore[arg-type]
        if instruction.op == "input":
            group, position = instruction.value  # type: ignore[misc]
            return w.load(*address(f"g{self.groups.index(group)}", int(position)))
        found = w.load(*address("s", self.slots[register]))
        if instruction.op in _CONDITIONS:
            return w.compare("une", found, w.constant(0.0))
        return found

    def _keep(self, w: VectorWriter, register: int, text: str) -> None:
        """Store a value wherever it is wanted later; a condition as 0 or 1."""
        places = self.places.get(register, ())
        if places and self.program.code[register].op in _CONDITIONS:
            text = w.select(text, w.constant(1.0), w.constant(0.0))
        for array, position in places:
            w.store(text, *address(array, position))

    def _carry(self) -> VectorWriter:
        """Make fed-back outputs the next repeat's inputs."""
        w = VectorWriter(self.dtype, self.width)
        for slot, array, position in self.carried:
            w.store(w.load(*address("s", slot)), *address(array, position))
        return w

    def _entry(self, functions: list[str], constants: list[int]) -> str:
        """The function that calls all others for some blocks, several times each."""
        loops = Loops()
        for k in range(len(self.groups)):
            loops.line(f"%slot{k} = getelementptr ptr, ptr %table, i64 {k}")
            loops.line(f"%base{k} = load ptr, ptr %slot{k}")
        loops.claim("block", "%next", "%end")
        if self.before is not None:
            loops.line(f"call void @{prologue.NAME}(i64 %block, ptr %table)")
        loops.line("%turn = mul i64 %block, %repeats")
        loops.open("repeat", "0", "%repeats")
        loops.line("%set = add i64 %turn, %repeat")
        for (array, size), group in zip(self._arrays(), self.groups):
            index = "%set" if group in self.program.streamed else "%block"
            loops.line(f"%{array}.bytes = mul i64 {index}, {self._bytes(size)}")
            base = f"%base{array[1:]}"
            loops.line(f"%{array} = getelementptr i8, ptr {base}, i64 %{array}.bytes")
        for name in self.windows:
            array, window = name.split(".")
            start = self._bytes(WINDOW * int(window) + WINDOW // 2)
            base = "%scratch" if array == "s" else f"%{array}"
            loops.line(f"%{name} = getelementptr i8, ptr {base}, i64 {start}")
        near = [f"ptr %{name}" for name in self.windows]
        for function in functions:
            own = []
            for number in constants:
                distance = (WINDOW * number + WINDOW // 2) * bits(self.dtype) // 8
                table = f"@{function}.constants"
                loops.line(f"%{function}.{number} = getelementptr i8, ptr {table}, i64 {distance}")
                own.append(f"ptr %{function}.{number}")
            loops.line(f"call void @{function}({', '.join(near + own)})")
        loops.close("repeat")
        loops.again("block")
        head = f"define void @{ENTRY}(ptr %next, i64 %end, i64 %repeats, ptr %table, ptr %scratch)"
        return "\n".join([f"{head} nounwind {{", "entry:", *loops.lines, "  ret void", "}", ""])

    def _bytes(self, vectors: int) -> int:
        return vectors * self.width * bits(self.dtype) // 8


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
