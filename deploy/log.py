"""The black box: every period of a run, appended to a file that is readable whatever happens.

A record is framed like a packet on the line (COBS, CRC-32, zero byte), so that a reader is in step
again after a torn record. Records go to the system at once: a killed process loses none. A full
disk loses records, never the loop; the loss is noted as soon as there is space again.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osim_exo.deploy.core import TickInput, TickOutput
from osim_exo.deploy.faults import FaultCode, LinkCounts
from osim_exo.deploy.packets import Enable, Flaw, Packet, frame, from_content, to_content, unframe
from osim_exo.deploy.settings import RunSettings
from osim_exo.deploy.states import Request, State
from osim_exo.errors import DataError, InputError

FORMAT = 2
"""Version of the file's format, in its first record."""

BEGIN, TICK, EVENT = 1, 2, 3
"""Kinds of records: what ran, one period, anything else worth keeping."""

INPUT = struct.Struct("<BIdIIIIIBB")
OUTPUT = struct.Struct("<BId2d2d2iB")
CHUNK = 1 << 16


def pack_input(number: int, tick: TickInput) -> bytes:
    """Record of what came in, without its sample."""
    c = tick.counts
    bits = (
        (tick.sample is not None)
        | tick.connected << 1
        | tick.suitable << 2
        | tick.link_lost << 3
        | tick.log_lost << 4
    )
    counts = (c.flawed, c.lost, c.duplicated, c.reordered, tick.overruns)
    return INPUT.pack(TICK, number, tick.now, *counts, bits, int(tick.request))


def pack_output(out: TickOutput) -> bytes:
    """Record of what went out: equal bytes are equal outputs, bit for bit."""
    return OUTPUT.pack(
        int(out.state),
        int(out.faults),
        out.gain,
        *out.wanted,
        *out.limited,
        *out.sent_mnm,
        out.enable,
    )


class LogWriter:
    """Appends to a new file; failures to write are counted, not raised.

    Parameters
    ----------
    path : a file that does not exist yet
    settings : of the run
    facts : anything else worth keeping at the beginning
    """

    def __init__(self, path: Path, settings: RunSettings, facts: Mapping[str, Any]) -> None:
        self.path = path
        self.dropped = 0
        self.failing = False
        self._gap = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._file: int | None = os.open(path, flags, 0o644)
        except FileExistsError:
            raise InputError(
                f"The log '{path}' exists already, and a black box is never written over. "
                "Name another file."
            ) from None
        begin = {"format": FORMAT, "settings": settings.model_dump(mode="json"), **facts}
        self._write(bytes([BEGIN]) + json.dumps(begin).encode())

    def tick(self, number: int, tick: TickInput, out: TickOutput) -> None:
        """Append one period."""
        sample = b"" if tick.sample is None else to_content(tick.sample)
        self._write(pack_input(number, tick) + pack_output(out) + sample)

    def event(self, **facts: Any) -> None:
        """Append facts that can be stored as JSON."""
        self._write(bytes([EVENT]) + json.dumps(facts).encode())

    def sync(self) -> None:
        """Wait until all is on the disk; for after a fault, not for the loop."""
        if self._file is not None:
            os.fsync(self._file)

    def close(self) -> None:
        """Bring everything to the disk and close the file."""
        file, self._file = self._file, None
        if file is not None:
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def _write(self, content: bytes) -> None:
        if self._file is None:
            self.dropped += 1
            return
        record = frame(content)
        if self._gap:
            # The zero ends whatever was torn; then comes how much is missing.
            gap = bytes([EVENT]) + json.dumps({"event": "gap", "dropped": self._gap}).encode()
            record = b"\0" + frame(gap) + record
        try:
            whole = os.write(self._file, record) == len(record)
        except OSError:
            whole = False
        self.failing = not whole
        if whole:
            self._gap = 0
        else:
            self._gap += 1
            self.dropped += 1


@dataclass(frozen=True, slots=True)
class Tick:
    """One period from a log.

    Attributes
    ----------
    number : of the period in its run
    tick : what came in
    output : what went out
    """

    number: int
    tick: TickInput
    output: TickOutput


@dataclass(frozen=True)
class Log:
    """A black box that was read.

    Attributes
    ----------
    path : its file
    facts : what was kept at the beginning
    settings : of the run
    ticks : periods, oldest first
    events : everything else, oldest first
    torn : records that cannot be read; a killed process leaves none or one
    """

    path: Path
    facts: Mapping[str, Any]
    settings: RunSettings
    ticks: tuple[Tick, ...]
    events: tuple[Mapping[str, Any], ...]
    torn: int


def read_log(path: Path) -> Log:
    """Read a black box; torn records are counted and passed over.

    Raises
    ------
    DataError
        The file is missing or is no black box of this format.
    """
    begin: Mapping[str, Any] | None = None
    ticks: list[Tick] = []
    events: list[Mapping[str, Any]] = []
    torn = 0
    for content in _records(path):
        if isinstance(content, Flaw):
            torn += 1
            continue
        kind, rest = content[0], content[1:]
        if kind == BEGIN and begin is None:
            begin = _json(rest)
        elif kind == EVENT:
            events.append(_json(rest))
        elif kind == TICK and (tick := _tick(content)) is not None:
            ticks.append(tick)
        else:
            torn += 1
    if begin is None or begin.get("format") != FORMAT:
        raise DataError(
            f"'{path}' is no black box of format {FORMAT} that this version reads: its first "
            "record is missing or of another format."
        )
    settings = RunSettings.model_validate(begin["settings"])
    return Log(path, begin, settings, tuple(ticks), tuple(events), torn)


def _records(path: Path) -> Iterator[bytes | Flaw]:
    rest = b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                *complete, rest = (rest + chunk).split(b"\0")
                for piece in complete:
                    if piece:
                        content = unframe(piece)
                        yield content if content else Flaw.LENGTH
    except FileNotFoundError:
        raise DataError(f"There is no file '{path}'.") from None
    except IsADirectoryError:
        raise DataError(f"'{path}' is a folder; a black box is a file.") from None
    if rest:
        yield Flaw.LENGTH


def _json(data: bytes) -> Mapping[str, Any]:
    """Content of a record that its CRC has shown to be whole."""
    content = json.loads(data)
    if not isinstance(content, dict):
        raise DataError("A record of the black box holds JSON of another kind than was written.")
    return content


def _tick(content: bytes) -> Tick | None:
    if len(content) < INPUT.size + OUTPUT.size:
        return None
    _, number, now, flawed, lost, twice, late, overruns, bits, request = INPUT.unpack_from(content)
    state, faults, gain, w0, w1, l0, l1, s0, s1, enable = OUTPUT.unpack_from(content, INPUT.size)
    sample = from_content(content[INPUT.size + OUTPUT.size :]) if bits & 1 else None
    if isinstance(sample, Flaw) or enable not in set(Enable):
        return None
    tick = TickInput(
        now=now,
        sample=sample,
        counts=LinkCounts(flawed, lost, twice, late),
        overruns=overruns,
        connected=bool(bits & 2),
        suitable=bool(bits & 4),
        link_lost=bool(bits & 8),
        log_lost=bool(bits & 16),
        request=Request(request),
    )
    output = TickOutput(
        State(state), FaultCode(faults), gain, (w0, w1), (l0, l1), (s0, s1), Enable(enable)
    )
    return Tick(number, tick, output)


def samples(log: Log) -> list[tuple[Packet, TickOutput]]:
    """The periods that brought a new sample, with what was made of it."""
    return [(t.tick.sample, t.output) for t in log.ticks if t.tick.sample is not None]
