"""A headless browser for tests of pages: what they log and request, what a script sees in them.

The browser is driven over its own debugging pipe, in real time, so that animation frames come.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,900",
    "--remote-debugging-pipe",
    "about:blank",
)
PATIENCE = 90.0
"""Seconds until a silent browser counts as broken."""


@dataclass
class Visit:
    """What a page did.

    Attributes
    ----------
    console : messages, warnings and uncaught errors
    requests : addresses asked for, the page itself and data in it left out
    seen : what the probe returned
    """

    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    seen: Any = None


class _Pipe:
    """The browser's debugging protocol: JSON messages that end with a zero byte."""

    def __init__(self, binary: str, profile: Path) -> None:
        commands, self._out = os.pipe()
        self._in, events = os.pipe()
        # The browser reads descriptor 3 and writes 4; high copies cannot be overwritten midway.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 30) for end in (commands, events)]
        self.process = subprocess.Popen(
            [binary, f"--user-data-dir={profile}", *FLAGS],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            start_new_session=True,
            preexec_fn=lambda: [os.dup2(end, to) for end, to in zip(ends, (3, 4))] and None,
        )
        for end in (commands, events, *ends):
            os.close(end)
        self._buffer = b""
        self._last = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come meanwhile are kept."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                assert "error" not in answer, answer["error"]
                return dict(answer["result"])
            self.events.append(answer)

    def wait(self, method: str) -> None:
        """Wait for an event."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(end - time.monotonic(), 0.0))
            part = os.read(self._in, 1 << 16) if ready else b""
            assert part, "the browser ended or fell silent"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(text))

    def close(self) -> None:
        os.close(self._out)
        os.close(self._in)
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def visit(page: Path, probe: str, folder: Path) -> Visit:
    """Open `page` in a headless browser and run `probe` in it.

    `probe` is the body of an async JavaScript function; what it returns comes back. The test is
    skipped where no browser is installed.
    """
    binary = next((found for name in NAMES if (found := shutil.which(name))), None)
    if binary is None:
        pytest.skip(f"no browser on this machine (looked for {', '.join(NAMES)})")
    pipe = _Pipe(binary, folder / f"profile_{page.stem}")
    try:
        target = pipe.call("Target.createTarget", url="about:blank")["targetId"]
        session = pipe.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            pipe.call(f"{domain}.enable", session)
        pipe.call("Page.navigate", session, url=page.resolve().as_uri())
        pipe.wait("Page.loadEventFired")
        answer = pipe.call(
            "Runtime.evaluate",
            session,
            expression=f"(async () => {{{probe}}})()",
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in answer, answer
        seen = Visit(seen=answer["result"].get("value"))
        for event in pipe.events:
            _note(event, seen, page.resolve().as_uri())
        return seen
    finally:
        pipe.close()


def _note(event: dict[str, Any], seen: Visit, own: str) -> None:
    method, params = event.get("method"), event.get("params", {})
    if method == "Runtime.consoleAPICalled":
        seen.console.append(str([a.get("value") for a in params["args"]]))
    elif method == "Runtime.exceptionThrown":
        seen.console.append(str(params["exceptionDetails"].get("text")))
    elif method == "Log.entryAdded":
        seen.console.append(params["entry"]["text"])
    elif method == "Network.requestWillBeSent":
        address = params["request"]["url"]
        if address != own and not address.startswith(("data:", "about:")):
            seen.requests.append(address)
