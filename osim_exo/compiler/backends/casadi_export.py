"""Programs as CasADi functions, for derivatives and optimal control.

CasADi and OpenSim bring different builds of one shared library and cannot be loaded in the same
process. A program crosses over as bytes: `Program.to_bytes` here, `Program.from_bytes` there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import MissingExtraError, OsimExoError


def _casadi() -> Any:
    if "opensim" in sys.modules:
        raise OsimExoError(
            "CasADi cannot be loaded in a process that has loaded OpenSim. Write the program with "
            "Program.to_bytes(), and export it in a process of its own."
        )
    try:
        import casadi
    except ModuleNotFoundError as error:
        raise MissingExtraError("casadi", "casadi") from error
    except ImportError as error:
        raise OsimExoError(
            f"CasADi is installed but cannot be loaded: {error}. A process started by one that has "
            "loaded OpenSim inherits a library path to OpenSim's own CasADi; start it with the "
            "variables of casadi_export.environment()."
        ) from error
    return casadi


def environment() -> dict[str, str]:
    """Environment variables for a process that is to load CasADi, started from any process.

    OpenSim puts its own folder, with its own CasADi in it, into the library path of whatever is
    started after it; here it is taken out.
    """
    found = dict(os.environ)
    spec = find_spec("opensim")
    folders = set((spec.submodule_search_locations or []) if spec else [])
    for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PATH"):
        if name in found:
            kept = [p for p in found[name].split(os.pathsep) if p not in folders]
            found[name] = os.pathsep.join(kept)
    return found


def to_function(program: Program, name: str = "program") -> Any:
    """A program as ``casadi.Function`` of scalar operations (SX).

    Parameters
    ----------
    program : what to compute
    name : of the function

    Returns
    -------
    casadi.Function
        its arguments and results are the program's groups, as columns, by their names; it can be
        differentiated, mapped, and generated as C. ``feedback`` and ``streamed`` are left to the
        caller. A ``min`` or ``max`` of NaN is CasADi's.

    Raises
    ------
    MissingExtraError
        casadi is not installed
    OsimExoError
        OpenSim is loaded in this process
    """
    ca = _casadi()
    inputs = {group: ca.SX.sym(group, size) for group, size in program.inputs.items()}
    operations = _operations(ca)
    values: list[Any] = []
    for instruction in program.code:
        if instruction.op == "const":
            values.append(ca.SX(instruction.value))
        elif instruction.op == "input":
            group, position = instruction.value  # type: ignore[misc]
            values.append(inputs[str(group)][int(position)])
        else:
            values.append(operations[instruction.op](*(values[a] for a in instruction.args)))
    outputs = {
        group: ca.vertcat(*(values[r] for r in registers)) if registers else ca.SX(0, 1)
        for group, registers in program.outputs.items()
    }
    return ca.Function(
        name, list(inputs.values()), list(outputs.values()), list(inputs), list(outputs)
    )


def _operations(ca: Any) -> dict[str, Callable[..., Any]]:
    return {
        "neg": lambda x: -x,
        "abs": ca.fabs,
        **{name: getattr(ca, name) for name in ("sqrt", "exp", "log", "sin", "cos", "tanh")},
        "add": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "mul": lambda x, y: x * y,
        "div": lambda x, y: x / y,
        "min": ca.fmin,
        "max": ca.fmax,
        "lt": ca.lt,
        "le": ca.le,
        "eq": ca.eq,
        "and": ca.logic_and,
        "or": ca.logic_or,
        "not": ca.logic_not,
        "select": ca.if_else,
    }
