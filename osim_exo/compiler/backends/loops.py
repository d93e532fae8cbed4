"""Loops as LLVM text."""

from __future__ import annotations


class Loops:
    """Collects the lines of a function with nested loops, from its block ``entry`` on."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._label = "entry"

    def line(self, text: str) -> None:
        """Add an instruction."""
        self.lines.append(f"  {text}")

    def open(self, name: str, start: str, end: str) -> None:
        """Open a loop; its number is the value of this name."""
        self.line(f"br label %{name}.head")
        self.lines.append(f"{name}.head:")
        self.line(f"%{name} = phi i64 [ {start}, %{self._label} ], [ %{name}.next, %{name}.latch ]")
        self.line(f"%{name}.more = icmp slt i64 %{name}, {end}")
        self.line(f"br i1 %{name}.more, label %{name}.body, label %{name}.exit")
        self.lines.append(f"{name}.body:")
        self._label = f"{name}.body"

    def claim(self, name: str, counter: str, end: str) -> None:
        """Open a loop whose numbers are taken from a counter in memory, until it reaches the end.

        Threads that share the counter share the work, each at its own pace.
        """
        self.line(f"br label %{name}.head")
        self.lines.append(f"{name}.head:")
        self.line(f"%{name} = atomicrmw add ptr {counter}, i64 1 monotonic")
        self.line(f"%{name}.more = icmp slt i64 %{name}, {end}")
        self.line(f"br i1 %{name}.more, label %{name}.body, label %{name}.exit")
        self.lines.append(f"{name}.body:")
        self._label = f"{name}.body"

    def again(self, name: str) -> None:
        """Close a loop that `claim` opened."""
        self.line(f"br label %{name}.head")
        self.lines.append(f"{name}.exit:")
        self._label = f"{name}.exit"

    def close(self, name: str) -> None:
        """Close a loop that `open` opened."""
        self.line(f"br label %{name}.latch")
        self.lines.append(f"{name}.latch:")
        self.line(f"%{name}.next = add i64 %{name}, 1")
        self.line(f"br label %{name}.head")
        self.lines.append(f"{name}.exit:")
        self._label = f"{name}.exit"
