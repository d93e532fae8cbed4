"""Byte streams to a device: a serial port, a pseudo-terminal or a TCP socket; none of them waits.

Every failure of the line is an `OSError`.
"""

from __future__ import annotations

import socket
from typing import Any, Protocol

from osim_exo.errors import InputError, MissingExtraError

terminal_error: type[Exception]
try:
    from termios import error as terminal_error
except ImportError:  # Windows has no terminals of that kind
    terminal_error = OSError

TCP_SCHEME, CAN_SCHEME = "socket://", "can://"
WRITE_PATIENCE = 0.1
"""s; a serial port that takes no bytes for longer counts as lost.

Less would be wrong on a busy machine: pyserial looks at the time again after it has written.
"""

CONNECT_PATIENCE = 1.0
"""s"""


class ByteStream(Protocol):
    """An open line to a device."""

    def read(self, limit: int) -> bytes:
        """At most `limit` bytes of what has arrived; nothing if nothing has."""

    def write(self, data: bytes) -> None:
        """Send `data` whole, or raise `OSError`."""

    def close(self) -> None:
        """Give the line back."""


class SerialStream:
    """A serial port or pseudo-terminal, through pyserial; no other program may use it meanwhile.

    Parameters
    ----------
    port : path of the device, or any URL that pyserial knows
    baud_rate : bits per second
    """

    def __init__(self, port: str, baud_rate: int) -> None:
        try:
            import serial
        except ImportError:
            raise MissingExtraError("pyserial", "deploy") from None
        # A URL like loop:// has no file that could be locked.
        lock = {} if "://" in port else {"exclusive": True}
        try:
            self._port: Any = serial.serial_for_url(
                port, baudrate=baud_rate, timeout=0, write_timeout=WRITE_PATIENCE, **lock
            )
        except ValueError as error:
            raise InputError(
                f"The port '{port}' cannot be used: {error}. Name a device such as /dev/ttyACM0, "
                "or socket://host:port."
            ) from None
        except terminal_error as error:
            # A port that is pulled out while it is opened.
            raise OSError(f"the port '{port}' went away: {error}") from None

    def read(self, limit: int) -> bytes:
        """At most `limit` bytes of what has arrived."""
        return bytes(self._port.read(limit))

    def write(self, data: bytes) -> None:
        """Send `data` whole, or raise `OSError`."""
        self._port.write(data)

    def close(self) -> None:
        """Close the port."""
        self._port.close()


class TcpStream:
    """A TCP connection without delays: small packets are sent at once.

    Parameters
    ----------
    connection : a connected socket, which this object then owns
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection

    @classmethod
    def connect(cls, url: str) -> TcpStream:
        """Connect to ``socket://host:port``."""
        host, separator, port = url.removeprefix(TCP_SCHEME).rpartition(":")
        if not (separator and host and port.isdigit() and 0 < int(port) < 65536):
            raise InputError(
                f"'{url}' names no TCP port. Write socket://host:port, for instance "
                "socket://127.0.0.1:5760."
            )
        return cls(socket.create_connection((host, int(port)), timeout=CONNECT_PATIENCE))

    def read(self, limit: int) -> bytes:
        """At most `limit` bytes of what has arrived."""
        try:
            data = self._socket.recv(limit)
        except BlockingIOError:
            return b""
        if not data:
            raise ConnectionResetError("the other side closed the connection")
        return data

    def write(self, data: bytes) -> None:
        """Send `data` whole, or raise `OSError`."""
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            raise TimeoutError("the connection takes no more bytes")

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def open_stream(port: str, baud_rate: int = 921_600) -> ByteStream:
    """Open a port.

    Parameters
    ----------
    port : ``/dev/ttyACM0``, ``COM3``, the path of a pseudo-terminal, ``socket://host:port``, or
        drives on a CAN bus, ``can://socketcan/can0``; see `osim_exo.deploy.can_device.open_can`
    baud_rate : bits per second; of no meaning for a socket, a pseudo-terminal and most USB ports

    Raises
    ------
    InputError
        `port` cannot be a port.
    OSError
        It cannot be opened now.
    """
    if port.startswith(TCP_SCHEME):
        return TcpStream.connect(port)
    if port.startswith(CAN_SCHEME):
        from osim_exo.deploy.can_device import open_can

        return open_can(port)
    return SerialStream(port, baud_rate)
