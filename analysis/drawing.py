"""How figures of a report are made: one style, and SVG that many can share a page with."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from osim_exo.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#1f2733"
MUTED = "#5c6675"
GRID = "#dfe3e8"
BAND = "#b9c0ca"

WIDTH = 9.6
"""Inches; a page shows figures at about 1.5 times this size."""

VARIABLES: Mapping[str, str] = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    BAND: "band",
    "#4d5663": "arm-no-exo",
    "#d55e00": "arm-zero-torque",
    "#0072b2": "arm-assisted",
}
"""Colours that a page may replace, by the name of the CSS variable that does so."""

_STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "osim_exo",
    "pdf.fonttype": 42,
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "hatch.linewidth": 0.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "figure.constrained_layout.use": True,
}


@contextmanager
def style() -> Iterator[None]:
    """The look of every figure, in force while figures are made or written."""
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise MissingExtraError("matplotlib", "sim") from error
    with rc_context(dict(_STYLE)):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size (inches), outside any window system; use within `style`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def legend_columns(labels: Sequence[str]) -> int:
    """Entries side by side in a legend that is not wider than the figure."""
    room, sign = 152, 7
    if sum(len(label) + sign for label in labels) <= room:
        return len(labels)
    return max(1, room // (max(len(label) for label in labels) + sign))


def svg(figure: Figure, identifier: str, description: str) -> str:
    """The figure as an ``<svg>`` element for an HTML page.

    Its ids start with `identifier`, so that several figures can stand in one page; the colours of
    `VARIABLES` become CSS variables with the colour as fallback; the same figure always gives the
    same text.

    Parameters
    ----------
    identifier : letters, digits and ``-``; unique within the page
    description : what the figure shows, for those who do not see it
    """
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*|<style.*?</style>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{identifier}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{identifier}-", text)
    text = _shorten(text)
    for colour, name in VARIABLES.items():
        text = text.replace(colour, f"var(--{name}, {colour})")
    label = f'role="img" aria-label="{escape(description, quote=True)}"'
    return re.sub(
        r'(<svg[^>]*?) width="[^"]*" height="[^"]*"|(<svg[^>]*?)height="[^"]*" width="[^"]*"',
        rf"\g<1>\g<2> {label}",
        text,
        count=1,
    )


def _shorten(text: str) -> str:
    """Path coordinates to a hundredth of a point: a third of the size, no visible change."""

    def cut(match: re.Match[str]) -> str:
        return re.sub(
            r"-?\d+\.\d{3,}", lambda number: f"{float(number.group()):.2f}", match.group()
        )

    text = re.sub(r' (?:d|points|x|y|transform)="[^"]*"', cut, text)
    return re.sub(r"\s*\n([A-Zz]) ?", r"\1", re.sub(r"\n\s+<", "\n<", text))
