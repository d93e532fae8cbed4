"""The host's end of the line: sessions, the newest sample, counted errors, reconnection."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from osim_exo.deploy.faults import LinkCounts
from osim_exo.deploy.packets import (
    SEQUENCE_MODULUS,
    TO_HOST,
    Body,
    Decoder,
    DeviceFacts,
    Enable,
    Fault,
    Hello,
    Packet,
    Sensors,
    Status,
    Stop,
    StopReason,
    TorqueCommand,
    encode,
)
from osim_exo.deploy.sequence import Order, SequenceWindow
from osim_exo.deploy.streams import ByteStream

READ_LIMIT, READS = 4096, 64
"""Bytes per read, and reads per period: a line that brings more is drained in the next one."""

HELLO_EVERY = 0.1
RETRY_EVERY = 0.5
SILENCE = 0.5
"""s: between two hellos, between two attempts to open, and until a silent session ends."""


@dataclass(slots=True)
class News:
    """What the line brought since the last `Link.poll`."""

    sample: Packet | None = None
    counts: LinkCounts = field(default_factory=LinkCounts)
    status: Status | None = None
    faults: list[Fault] = field(default_factory=list)


class Link:
    """Talks with one device; opens the line again when it was lost.

    Parameters
    ----------
    open_line : opens the stream of bytes; raises `OSError` where that fails
    new_session : gives a session number that is not zero
    """

    def __init__(
        self,
        open_line: Callable[[], ByteStream],
        new_session: Callable[[], int] = lambda: secrets.randbelow(SEQUENCE_MODULUS - 1) + 1,
    ) -> None:
        self._open_line, self._new_session = open_line, new_session
        self._stream: ByteStream | None = None
        self._decoder = Decoder(TO_HOST)
        self._window = SequenceWindow()
        self._sequence = 0
        self._session = 0
        self._try_at = self._hello_at = self._heard_at = float("-inf")
        self._sensor_sequence = 0
        self.facts: DeviceFacts | None = None
        self.status: Status | None = None
        self.lost = 0
        self.last_error = ""

    @property
    def is_open(self) -> bool:
        """The line is there; `facts` says whether the device has answered."""
        return self._stream is not None

    @property
    def sequence(self) -> int:
        """Number of the packet that was sent last."""
        return self._sequence

    def connect(self, now: float) -> None:
        """Open the line and begin a session; `OSError` if it cannot be opened."""
        self._stream = self._open_line()
        self._begin(now)

    def poll(self, now: float) -> News:
        """Everything that has arrived; of several samples the newest.

        Parameters
        ----------
        now : host's clock, s
        """
        news = News()
        if self._stream is None:
            self._reopen(now)
        if self._stream is None:
            return news
        if self.facts is not None and now - self._heard_at > SILENCE:
            self._begin(now)
        if self.facts is None and now >= self._hello_at:
            self._hello(now)
        flawed, lost = self._decoder.bad, self._window.lost
        duplicated, reordered = self._refused()
        for packet in self._decoder.feed(self._drain()):
            self._take(packet, now, news)
        twice, late = self._refused()
        # A new session sets the window's counters back to nothing.
        news.counts = LinkCounts(
            self._decoder.bad - flawed,
            max(self._window.lost - lost, 0),
            max(twice - duplicated, 0),
            max(late - reordered, 0),
        )
        return news

    def send_torque(self, now: float, torque_mnm: tuple[int, int], enable: Enable) -> None:
        """Send a torque command; without a session nothing is sent.

        Parameters
        ----------
        now : host's clock, s
        torque_mnm : right, left, 0.001 Nm
        enable : what the drives are to do
        """
        if self.facts is not None:
            right, left = torque_mnm
            self._send(
                TorqueCommand(self._session, right, left, int(enable), self._sensor_sequence), now
            )

    def stop(self, now: float, reason: StopReason) -> None:
        """Send a stop, which the device obeys in any session."""
        self._send(Stop(int(reason)), now)

    def close(self) -> None:
        """Close the line."""
        stream, self._stream = self._stream, None
        self.facts = None
        if stream is not None:
            stream.close()

    def _refused(self) -> tuple[int, int]:
        counts = self._window.counts
        return counts[Order.DUPLICATE], counts[Order.REORDERED] + counts[Order.OUTSIDE]

    def _drain(self) -> bytes:
        pieces: list[bytes] = []
        for _ in range(READS):
            piece = self._guarded_read()
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces)

    def _guarded_read(self) -> bytes:
        if self._stream is None:
            return b""
        try:
            return self._stream.read(READ_LIMIT)
        except OSError as error:
            self._lose(error)
            return b""

    def _take(self, packet: Packet, now: float, news: News) -> None:
        body = packet.body
        if isinstance(body, DeviceFacts):
            if body.session == self._session and self.facts is None:
                self.facts = body
                self._window.reset()
                self._window.take(packet.sequence)
                self._heard_at = now
            return
        if self.facts is None or not self._window.take(packet.sequence):
            return
        self._heard_at = now
        if isinstance(body, Sensors):
            news.sample, self._sensor_sequence = packet, packet.sequence
        elif isinstance(body, Status):
            news.status = self.status = body
        elif isinstance(body, Fault):
            news.faults.append(body)

    def _begin(self, now: float) -> None:
        """Begin a session: what the device sent before counts no more."""
        self.facts = None
        self._session = self._new_session()
        self._sensor_sequence = 0
        self._hello_at = now

    def _hello(self, now: float) -> None:
        self._hello_at = now + HELLO_EVERY
        self._send(Hello(self._session), now)

    def _send(self, body: Body, now: float) -> None:
        if self._stream is None:
            return
        self._sequence = (self._sequence + 1) % SEQUENCE_MODULUS
        try:
            self._stream.write(encode(Packet(self._sequence, int(now * 1e6), body)))
        except OSError as error:
            self._lose(error)

    def _reopen(self, now: float) -> None:
        if now < self._try_at:
            return
        self._try_at = now + RETRY_EVERY
        try:
            self._stream = self._open_line()
        except OSError as error:
            self.last_error = str(error)
            return
        self._decoder = Decoder(TO_HOST)
        self._begin(now)

    def _lose(self, error: OSError) -> None:
        self.lost += 1
        self.last_error = str(error) or type(error).__name__
        stream, self._stream = self._stream, None
        self.facts = None
        if stream is not None:
            try:
                stream.close()
            except OSError as closing:
                self.last_error += f"; closing failed too: {closing}"
