"""A solved gait as the tables that the terminal shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from osim_exo.cli.command import table

HUMAN = "human_"
"""Gates that begin so compare a curve with people."""


def show_gait(
    console: Console,
    summary: Mapping[str, Any],
    gates: Sequence[Mapping[str, Any]],
    explanation: str,
) -> None:
    """Print what was asked, the gates, the comparison with people, and the explanation."""
    facts = [(key.replace("_", " "), _text(value)) for key, value in summary.items()]
    console.print(table(("", ""), facts))
    console.print()
    rows = [
        (gate["name"], f"{gate['value']:.4g}", gate["limit"], _verdict(gate), gate["explanation"])
        for gate in gates
        if not gate["name"].startswith(HUMAN)
    ]
    console.print(table(("gate", "value", "allowed", "", "meaning"), rows))
    human = [
        (
            gate["name"].removeprefix(HUMAN).replace("_", " "),
            f"{gate['value']:.0f}",
            gate["explanation"],
        )
        for gate in gates
        if gate["name"].startswith(HUMAN)
    ]
    if human:
        console.print()
        console.print(table(("curve", "% of cycle within 2 SD of people", "and"), human))
    console.print()
    console.print(explanation)


def _verdict(gate: Mapping[str, Any]) -> str:
    if gate["informative"]:
        return "reported"
    return "passed" if gate["passed"] else "FAILED"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(part)}" for key, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
