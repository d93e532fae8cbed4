"""The order in which a program's operations are computed, and its division into pieces."""

from __future__ import annotations

from osim_exo.compiler.symbols.program import Program

LEAVES = frozenset({"input", "const"})
"""Operations that need no computing: they are fetched where they are used."""


def sincos_partners(program: Program) -> dict[int, int]:
    """For each sine whose angle's cosine is computed too, the cosine's register, and back."""
    found: dict[int, dict[str, int]] = {}
    for register, instruction in enumerate(program.code):
        if instruction.op in ("sin", "cos"):
            found.setdefault(instruction.args[0], {})[instruction.op] = register
    partners = {}
    for pair in found.values():
        if len(pair) == 2:
            partners[pair["sin"]], partners[pair["cos"]] = pair["cos"], pair["sin"]
    return partners


def pieces(program: Program, size: int) -> list[list[int]]:
    """Registers to compute, in order, in pieces of about ``size`` (0: one piece).

    The partners of a sine-cosine pair stay together.
    """
    partners = sincos_partners(program)
    done: set[int] = set()
    found: list[list[int]] = [[]]
    for register, instruction in enumerate(program.code):
        if instruction.op in LEAVES or register in done:
            continue
        if size and len(found[-1]) >= size:
            found.append([])
        together = [register] + ([partners[register]] if register in partners else [])
        found[-1].extend(together)
        done.update(together)
    return found


def crossing(program: Program, parts: list[list[int]]) -> tuple[dict[int, int], int]:
    """Registers that another piece than their own needs, each with a place to keep it.

    Returns
    -------
    places, size
        place of each register, and how many places there are: one is used again when no later
        piece needs its value
    """
    home = {register: k for k, part in enumerate(parts) for register in part}
    last: dict[int, int] = {}
    for register, k in home.items():
        for argument in program.code[register].args:
            if home.get(argument, k) != k:
                last[argument] = max(k, last.get(argument, 0))
    places: dict[int, int] = {}
    free: list[int] = []
    size = 0
    for k, part in enumerate(parts):
        for register in part:
            if register in last:
                if not free:
                    free.append(size)
                    size += 1
                places[register] = free.pop()
        free.extend(place for register, place in places.items() if last[register] == k)
    return places, size
