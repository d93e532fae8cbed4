"""Where a virtual exo can be reached: within the process, on a pseudo-terminal, on a TCP port."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from osim_exo.deploy.streams import TCP_SCHEME, TcpStream
from osim_exo.deploy.timing import Clock
from osim_exo.deploy.virtual_exo import Moment, VirtualExo
from osim_exo.errors import DataError, InputError

NAP = 0.001
"""s between two looks at the line."""

TRACE = struct.Struct("<QiiddBQ")
"""The fields of `Moment` in their order."""


class InProcessLine:
    """The stream of bytes to a virtual exo in the same process, on any clock.

    Parameters
    ----------
    exo : VirtualExo
    clock : Clock
        Its time when this line is made is the device's zero.
    """

    def __init__(self, exo: VirtualExo, clock: Clock) -> None:
        self._exo, self._clock, self._start = exo, clock, clock.now()
        self._arrived = bytearray()

    def read(self, limit: int) -> bytes:
        """At most `limit` bytes of what has arrived."""
        self._run()
        data = bytes(self._arrived[:limit])
        del self._arrived[:limit]
        return data

    def write(self, data: bytes) -> None:
        """Send to the device."""
        self._run()
        self._exo.receive(data)

    def close(self) -> None:
        """Leave the device alone."""

    def _run(self) -> None:
        self._exo.advance(round((self._clock.now() - self._start) * 1e6))
        self._arrived += self._exo.take_output()


class Port(Protocol):
    """The device's end of a line; it is never lost, only nobody may be there."""

    name: str

    def read(self) -> bytes:
        """What has come from the host."""

    def write(self, data: bytes) -> None:
        """Send; what the line does not take is lost, as on a wire."""

    def close(self) -> None:
        """Take the line away."""


class PtyPort:
    """A pseudo-terminal, which a host opens like a serial port.

    Parameters
    ----------
    alias : path of a link to it, replaced if it is a link already; optional
    """

    def __init__(self, alias: Path | None = None) -> None:
        if not hasattr(os, "openpty"):
            raise InputError(
                "This system has no pseudo-terminals. Use --port socket://127.0.0.1:5760 instead."
            )
        import tty

        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.name = os.ttyname(self._theirs)
        self._alias = alias
        if alias is not None:
            if alias.is_symlink():
                alias.unlink()
            elif alias.exists():
                raise InputError(f"'{alias}' exists and is no link. Name another path.")
            alias.symlink_to(self.name)

    def read(self) -> bytes:
        """What has come from the host."""
        try:
            return os.read(self._ours, 4096)
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> None:
        """Send what the terminal's buffer takes."""
        try:
            os.write(self._ours, data)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Take the terminal away."""
        alias = self._alias
        # Another device may have taken the name in the meantime.
        if alias is not None and alias.is_symlink() and os.readlink(alias) == self.name:
            alias.unlink()
        os.close(self._ours)
        os.close(self._theirs)


class TcpPort:
    """A TCP port that serves one host at a time; pyserial opens it as ``socket://host:port``.

    Parameters
    ----------
    url : ``socket://host:port``; port 0 lets the system choose
    """

    def __init__(self, url: str) -> None:
        host, separator, port = url.removeprefix(TCP_SCHEME).rpartition(":")
        if not (separator and host and port.isdigit() and int(port) < 65536):
            raise InputError(f"'{url}' names no TCP port. Write socket://127.0.0.1:5760.")
        self._listening = socket.create_server((host, int(port)))
        self._listening.setblocking(False)
        self.name = f"{TCP_SCHEME}{host}:{self._listening.getsockname()[1]}"
        self._host: TcpStream | None = None

    def read(self) -> bytes:
        """What has come from the host; a new host takes the place of one that went."""
        if self._host is None:
            try:
                self._host = TcpStream(self._listening.accept()[0])
            except BlockingIOError:
                return b""
        try:
            return self._host.read(4096)
        except OSError:
            self._drop()
            return b""

    def write(self, data: bytes) -> None:
        """Send to the host, if one is there."""
        if self._host is not None:
            try:
                self._host.write(data)
            except OSError:
                self._drop()

    def close(self) -> None:
        """Close the port and the connection."""
        self._drop()
        self._listening.close()

    def _drop(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            host.close()


def serve(
    exo: VirtualExo,
    port: Port,
    clock: Clock,
    seconds: float,
    going_on: Callable[[], bool] = lambda: True,
) -> None:
    """Run a virtual exo on a port for a time, or until `going_on` says no."""
    start = clock.now()
    while (elapsed := clock.now() - start) < seconds and going_on():
        exo.receive(port.read())
        exo.advance(round(elapsed * 1e6))
        data = exo.take_output()
        if data:
            port.write(data)
        clock.sleep_until(start + elapsed + NAP)


class Trace:
    """Writes every step of a virtual exo's torque loop to a file at once, for tests and plots.

    Parameters
    ----------
    path : file, replaced
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)

    def __call__(self, moment: Moment) -> None:
        """Append one step."""
        self._file.write(
            TRACE.pack(
                moment.time_us,
                *moment.commanded_mnm,
                *moment.delivered,
                moment.state,
                moment.heard_us,
            )
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_trace(path: Path) -> list[Moment]:
    """Steps of a trace, oldest first; the last one is left out where it was cut."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"There is no trace '{path}'.") from None
    whole = len(data) // TRACE.size * TRACE.size
    return [
        Moment(time, (right, left), (given_r, given_l), state, heard)
        for time, right, left, given_r, given_l, state, heard in TRACE.iter_unpack(data[:whole])
    ]
