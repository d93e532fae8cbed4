"""A headless browser for tests of pages: what they log, and what a script sees in them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
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
    "--enable-logging=stderr",
    "--window-size=1200,900",
)


@dataclass(frozen=True)
class Visit:
    """What a page did: its console lines, and what the probe returned."""

    console: list[str]
    seen: Any


def visit(page: Path, probe: str, folder: Path, *flags: str) -> Visit:
    """Open a copy of `page` in a headless browser and run `probe` in it.

    `probe` is the body of an async JavaScript function; what it returns comes back. Requests to
    anywhere but the file itself fail. The test is skipped where no browser is installed.
    """
    binary = next((found for name in NAMES if (found := shutil.which(name))), None)
    if binary is None:
        pytest.skip(f"no browser on this machine (looked for {', '.join(NAMES)})")
    script = (
        "<script>addEventListener('load', () => { (async () => {" + probe + "})().then(v => {"
        "const out = document.createElement('pre'); out.id = 'probe';"
        "out.textContent = JSON.stringify(v); document.body.append(out); }); });</script>"
    )
    copy = folder / f"probed_{page.name}"
    text = page.read_text(encoding="utf-8")
    head, tail = text.rsplit("</body>", 1)
    copy.write_text(f"{head}{script}</body>{tail}", encoding="utf-8")
    profile = folder / f"profile_{page.stem}"
    done = subprocess.run(
        [
            binary,
            *FLAGS,
            *flags,
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={profile}",
            "--virtual-time-budget=6000",
            "--dump-dom",
            copy.resolve().as_uri(),
        ],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
    )
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, f"the probe gave nothing back: {done.stderr[-2000:]}"
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return Visit(console, json.loads(unescape(found.group(1))))
