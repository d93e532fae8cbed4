"""A straight-line program: what a backend compiles, a cache keeps, and numpy can run slowly.

Instruction k puts its value into register k; arguments are earlier registers. Inputs and outputs
are groups of numbers per environment, as ``q`` with one number per coordinate.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.symbols.expression import CONDITIONS, Expr, Graph, Node
from osim_exo.errors import DataError, InputError

OPERATIONS = (
    "input",
    "const",
    "neg",
    "abs",
    "sqrt",
    "exp",
    "log",
    "sin",
    "cos",
    "tanh",
    "add",
    "sub",
    "mul",
    "div",
    "min",
    "max",
    "lt",
    "le",
    "eq",
    "and",
    "or",
    "not",
    "select",
)
"""What an instruction can do; the position is its code in a stored program."""

FORMAT_VERSION = 1

_NUMPY: dict[str, Callable[..., Any]] = {
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "select": np.where,
}


@dataclass(frozen=True)
class Instruction:
    """One operation.

    Attributes
    ----------
    op : of `OPERATIONS`
    args : registers
    value : of a ``const`` its number; of an ``input`` its (group, position)
    """

    op: str
    args: tuple[int, ...] = ()
    value: float | tuple[str, int] | None = None


@dataclass(frozen=True)
class Program:
    """A function of groups of numbers.

    Attributes
    ----------
    inputs : size of each input group, in the order a backend takes them
    outputs : registers of each output group, likewise
    code : instructions, every one of them needed
    feedback : output group to the input group that it becomes in the next of several repeats
    streamed : input groups of which every repeat takes the next set
    """

    inputs: Mapping[str, int]
    outputs: Mapping[str, tuple[int, ...]]
    code: tuple[Instruction, ...]
    feedback: Mapping[str, str] = field(default_factory=dict)
    streamed: tuple[str, ...] = ()

    @classmethod
    def build(
        cls,
        graph: Graph,
        inputs: Mapping[str, int],
        outputs: Mapping[str, Sequence[Expr] | npt.NDArray[np.object_]],
        feedback: Mapping[str, str] | None = None,
        streamed: Sequence[str] = (),
    ) -> Program:
        """The program that computes expressions; nodes that they do not need are left out.

        Parameters
        ----------
        graph : where the expressions live
        inputs : every input group with its size, also those that no output needs
        outputs : expressions by output group
        feedback, streamed : as the attributes
        """
        roots = {name: [graph.as_node(x).index for x in group] for name, group in outputs.items()}
        order = _needed(graph, [i for group in roots.values() for i in group])
        register = {index: k for k, index in enumerate(order)}
        code = []
        for index in order:
            node = graph.nodes[index]
            _check_input(node, inputs)
            _check_conditions(graph, node)
            code.append(Instruction(node.op, tuple(register[a] for a in node.args), node.value))
        for target, source in (feedback or {}).items():
            if len(roots[target]) != inputs[source]:
                raise InputError(
                    f"Output '{target}' has {len(roots[target])} numbers and cannot become input "
                    f"'{source}' with {inputs[source]}."
                )
        return cls(
            dict(inputs),
            {name: tuple(register[i] for i in group) for name, group in roots.items()},
            tuple(code),
            dict(feedback or {}),
            tuple(streamed),
        )

    @property
    def operations(self) -> int:
        """Number of instructions that compute something."""
        return sum(i.op not in ("input", "const") for i in self.code)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the program, first 32 digits."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:32]

    def __call__(self, **inputs: npt.ArrayLike) -> dict[str, npt.NDArray[np.float64]]:
        """Run once with numpy, the reference for every backend.

        Parameters
        ----------
        inputs : (n, size) array for every input group

        Returns
        -------
        dict
            (n, size) array for every output group
        """
        missing = sorted(set(self.inputs) - set(inputs))
        if missing:
            raise InputError(f"The program needs inputs that are not given: {', '.join(missing)}.")
        arrays = {name: np.asarray(inputs[name], dtype=float) for name in self.inputs}
        n = max((a.shape[0] for a in arrays.values()), default=1)
        for name, array in arrays.items():
            if array.shape != (n, self.inputs[name]):
                raise InputError(
                    f"Input '{name}' has shape {array.shape}; it must be ({n}, "
                    f"{self.inputs[name]})."
                )
        values: list[npt.NDArray[np.float64]] = []
        with np.errstate(all="ignore"):
            for instruction in self.code:
                values.append(_evaluate(instruction, values, arrays, n))
        return {
            name: np.stack([values[r] for r in group], axis=1) if group else np.zeros((n, 0))
            for name, group in self.outputs.items()
        }

    def to_bytes(self) -> bytes:
        """The program as bytes, the same ones for the same program."""
        groups = list(self.inputs)
        head = {
            "format": FORMAT_VERSION,
            "inputs": [[name, size] for name, size in self.inputs.items()],
            "outputs": [[name, list(group)] for name, group in self.outputs.items()],
            "feedback": sorted(self.feedback.items()),
            "streamed": list(self.streamed),
        }
        ops = np.array([OPERATIONS.index(i.op) for i in self.code], dtype="<u1")
        args = np.full((len(self.code), 3), -1, dtype="<i4")
        values = np.zeros(len(self.code), dtype="<f8")
        for k, instruction in enumerate(self.code):
            args[k, : len(instruction.args)] = instruction.args
            if isinstance(instruction.value, tuple):
                args[k, :2] = groups.index(instruction.value[0]), instruction.value[1]
            elif instruction.value is not None:
                values[k] = instruction.value
        text = json.dumps(head).encode()
        stream = io.BytesIO()
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.write(len(self.code).to_bytes(8, "little"))
        for array in (ops, args, values):
            stream.write(array.tobytes())
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """The program that `to_bytes` wrote; a `DataError` if the bytes are no such thing."""
        try:
            return cls._parse(data)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise DataError(
                f"These {len(data)} bytes are no program of format {FORMAT_VERSION}: {error}. "
                "The file is truncated or of another version; delete it and build again."
            ) from error

    @classmethod
    def _parse(cls, data: bytes) -> Program:
        start = 8 + int.from_bytes(data[:8], "little")
        head = json.loads(data[8:start])
        if head["format"] != FORMAT_VERSION:
            raise ValueError(f"format {head['format']}")
        n = int.from_bytes(data[start : start + 8], "little")
        body = data[start + 8 :]
        if len(body) != n * (1 + 12 + 8):
            raise ValueError(f"{len(body)} bytes of code where {n * 21} are announced")
        ops = np.frombuffer(body[:n], dtype="<u1")
        args = np.frombuffer(body[n : 13 * n], dtype="<i4").reshape(n, 3).tolist()
        values = np.frombuffer(body[13 * n :], dtype="<f8").tolist()
        inputs = dict(head["inputs"])
        groups = list(inputs)
        code = []
        for op, arg, value in zip([OPERATIONS[o] for o in ops], args, values):
            if op == "input":
                code.append(Instruction(op, (), (groups[arg[0]], arg[1])))
            elif op == "const":
                code.append(Instruction(op, (), value))
            else:
                found = tuple(a for a in arg if a >= 0)
                if not found or max(found) >= len(code):
                    raise ValueError(f"instruction {len(code)} uses what comes after it")
                code.append(Instruction(op, found))
        outputs = {name: tuple(group) for name, group in head["outputs"]}
        return cls(inputs, outputs, tuple(code), dict(head["feedback"]), tuple(head["streamed"]))


def _needed(graph: Graph, roots: list[int]) -> list[int]:
    """Indices of the nodes that the roots need, in the graph's order."""
    needed = bytearray(len(graph.nodes))
    for index in roots:
        needed[index] = 1
    for index in range(len(graph.nodes) - 1, -1, -1):
        if needed[index]:
            for argument in graph.nodes[index].args:
                needed[argument] = 1
    return [i for i, used in enumerate(needed) if used]


def _check_input(node: Node, inputs: Mapping[str, int]) -> None:
    if node.op == "input":
        group, position = node.value
        if group not in inputs or not 0 <= int(position) < inputs[group]:
            raise InputError(
                f"The program uses {group}[{position}], which is not among its inputs: "
                f"{', '.join(f'{k} ({v})' for k, v in inputs.items())}."
            )


def _check_conditions(graph: Graph, node: Node) -> None:
    """Conditions and numbers are different things for a compiler: an `InputError` if mixed."""
    wants = {
        "and": (True, True),
        "or": (True, True),
        "not": (True,),
        "select": (True, False, False),
    }
    expected = wants.get(node.op, (False,) * len(node.args))
    for argument, condition in zip(node.args, expected):
        if (graph.nodes[argument].op in CONDITIONS) != condition:
            raise InputError(
                f"Operation '{node.op}' takes '{graph.nodes[argument].op}' where it needs a "
                f"{'condition' if condition else 'number'}. Make a number of a condition with "
                "select(condition, 1.0, 0.0), and a condition of a number with less()."
            )


def _evaluate(
    instruction: Instruction,
    values: list[npt.NDArray[np.float64]],
    arrays: Mapping[str, npt.NDArray[np.float64]],
    n: int,
) -> npt.NDArray[np.float64]:
    if instruction.op == "const":
        return np.full(n, instruction.value, dtype=float)
    if instruction.op == "input":
        group, position = instruction.value  # type: ignore[misc]
        return arrays[group][:, int(position)]
    args = [values[a] for a in instruction.args]
    if instruction.op == "min":  # as the compiled code: the first where they do not compare
        return np.where(args[1] < args[0], args[1], args[0])
    if instruction.op == "max":
        return np.where(args[1] > args[0], args[1], args[0])
    return np.asarray(_NUMPY[instruction.op](*args))
