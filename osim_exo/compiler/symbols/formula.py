"""Formulas in text as expressions: the grammar of Lepton, which OpenSim uses.

Numbers, variables, ``+ - * /``, ``^`` (to the right first, before a minus sign), parentheses,
functions, and definitions after a semicolon, as ``2*a*q; a=exp(qdot)``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from osim_exo.compiler.symbols.elementary import (
    arctangent,
    hyperbolic_cosine,
    hyperbolic_sine,
    power,
)
from osim_exo.compiler.symbols.expression import (
    Expr,
    absolute,
    both,
    cos,
    exp,
    less,
    less_equal,
    log,
    select,
    sin,
    sqrt,
    tanh,
)
from osim_exo.errors import ModelError

_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[^\W\d]\w*)|(?P<sign>[-+*/^(),])"
)

_PRECEDENCE = {"+": 0, "-": 0, "*": 1, "/": 1, "^": 3}
_NEGATION = 2
_DEEPEST = 100

_ONE: dict[str, Callable[[Expr], Expr]] = {
    "sqrt": sqrt,
    "exp": exp,
    "log": log,
    "sin": sin,
    "cos": cos,
    "sec": lambda x: 1.0 / cos(x),
    "csc": lambda x: 1.0 / sin(x),
    "tan": lambda x: sin(x) / cos(x),
    "cot": lambda x: cos(x) / sin(x),
    "asin": lambda x: arctangent(x, sqrt(1.0 - x * x)),
    "acos": lambda x: arctangent(sqrt(1.0 - x * x), x),
    "atan": lambda x: arctangent(x, 1.0),
    "sinh": hyperbolic_sine,
    "cosh": hyperbolic_cosine,
    "tanh": tanh,
    "step": lambda x: select(less_equal(0.0, x), 1.0, 0.0),
    "delta": lambda x: select(both(less_equal(x, 0.0), less_equal(0.0, x)), 1.0, 0.0),
    "square": lambda x: x * x,
    "cube": lambda x: x * x * x,
    "recip": lambda x: 1.0 / x,
    "abs": absolute,
}
_TWO: dict[str, Callable[[Expr, Expr], Expr]] = {
    "min": lambda x, y: select(less(y, x), y, x),
    "max": lambda x, y: select(less(x, y), y, x),
}


def parse(text: str, variables: Mapping[str, Expr], owner: str) -> Expr:
    """The expression that a formula stands for.

    Parameters
    ----------
    text : the formula
    variables : what its names stand for
    owner : component the formula belongs to, for messages

    Raises
    ------
    ModelError
        The formula is malformed or uses a name that is not known; the message names the owner.
    """
    definitions = dict(variables)
    main, *parts = text.split(";")
    for part in reversed([p for p in parts if p.strip()]):
        name, equals, body = part.partition("=")
        if not equals or not name.strip():
            raise _error(owner, text, f"'{part.strip()}' defines no name")
        definitions[name.strip()] = _value(body, definitions, owner)
    return _value(main, definitions, owner)


def _value(text: str, variables: Mapping[str, Expr], owner: str) -> Expr:
    reader = _Reader(text, _tokens(text, owner), variables, owner)
    try:
        value = reader.expression(0)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise _error(owner, text, f"a constant part has no value ({error})") from error
    if reader.position != len(reader.tokens):
        raise reader.error(f"'{reader.tokens[reader.position]}' is not expected there")
    if isinstance(value, complex):
        raise _error(owner, text, "a constant part has no value (root of a negative number)")
    return value


def _tokens(text: str, owner: str) -> list[str]:
    compact = re.sub(r"\s+", "", text)
    found, position = [], 0
    while position < len(compact):
        match = _TOKEN.match(compact, position)
        if match is None:
            raise _error(owner, text, f"'{compact[position]}' is not understood")
        found.append(match.group())
        position = match.end()
    return found


def _error(owner: str, text: str, problem: str) -> ModelError:
    return ModelError(
        f"The formula of '{owner}', {text.strip()!r}, cannot be compiled: {problem}. It may use "
        f"its variables, numbers, + - * / ^, parentheses and {', '.join(sorted(_ONE | _TWO))}."
    )


@dataclass
class _Reader:
    """Reads one formula from left to right, stronger operators first."""

    text: str
    tokens: list[str]
    variables: Mapping[str, Expr]
    owner: str
    position: int = 0
    depth: int = field(default=0)

    def error(self, problem: str) -> ModelError:
        return _error(self.owner, self.text, problem)

    def next(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self) -> str:
        token = self.next()
        if not token:
            raise self.error("it ends too early")
        self.position += 1
        return token

    def expression(self, precedence: int) -> Expr:
        """What follows, as far as operators bind at least as strongly as `precedence`."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.error(f"it is nested deeper than {_DEEPEST} levels")
        value = self.operand()
        while self.next() in _PRECEDENCE and _PRECEDENCE[self.next()] >= precedence:
            sign = self.take()
            strength = _PRECEDENCE[sign] + (sign != "^")
            value = _combined(sign, value, self.expression(strength))
        self.depth -= 1
        return value

    def operand(self) -> Expr:
        token = self.take()
        if token == "-":
            return -self.expression(_NEGATION)
        if token == "(":
            value = self.expression(0)
            self.close()
            return value
        if token[0].isdigit() or token[0] == ".":
            return float(token)
        if token in _PRECEDENCE or token in "),":
            raise self.error(f"'{token}' is not expected there")
        if self.next() == "(":
            return self.call(token)
        if token not in self.variables:
            known = ", ".join(self.variables)
            raise self.error(f"'{token}' is unknown; its variables are {known}")
        return self.variables[token]

    def call(self, name: str) -> Expr:
        self.take()
        arguments = [self.expression(0)]
        while self.next() == ",":
            self.take()
            arguments.append(self.expression(0))
        self.close()
        if name in _ONE and len(arguments) == 1:
            return _ONE[name](arguments[0])
        if name in _TWO and len(arguments) == 2:
            return _TWO[name](arguments[0], arguments[1])
        if name in _ONE or name in _TWO:
            raise self.error(f"'{name}' does not take {len(arguments)} arguments")
        raise self.error(f"'{name}' is no function that can be compiled")

    def close(self) -> None:
        if self.next() != ")":
            raise self.error("a parenthesis is not closed")
        self.position += 1


def _combined(sign: str, x: Expr, y: Expr) -> Expr:
    if sign == "+":
        return x + y
    if sign == "-":
        return x - y
    if sign == "*":
        return x * y
    return x / y if sign == "/" else power(x, y)
