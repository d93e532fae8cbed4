"""The page of a score: what was compared, how well it agrees, and the curves, in one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from osim_exo.deploy.log import Log
from osim_exo.deploy.score import Array, Curves, Score, curves, score
from osim_exo.trial import Trial

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 430, 230, 58, 40, 26
SIMULATED, MEASURED = "#33658a", "#c8553d"


@dataclass(frozen=True)
class Comparison:
    """One log against one simulated walk.

    Attributes
    ----------
    name : what the recording was labelled, or its file
    scores : right, left, both
    curves : right, left
    onboard : the device's own policy acted
    sent : torque went to the device
    """

    name: str
    scores: tuple[Score, ...]
    curves: tuple[Curves, ...]
    onboard: bool
    sent: bool


def compare(log: Log, trial: Trial) -> Comparison:
    """Score and curves of a log; raises as `osim_exo.deploy.score.score`."""
    return Comparison(
        log.settings.condition or log.path.name,
        tuple(score(log, trial)),
        tuple(curves(log, trial)),
        log.settings.onboard,
        log.settings.arm,
    )


def page(comparisons: Sequence[Comparison], title: str, remarks: Sequence[str] = ()) -> str:
    """An HTML page without any other file.

    Parameters
    ----------
    comparisons : in the order in which they are shown
    title : heading
    remarks : paragraphs after it
    """
    parts = [HEAD.format(title=escape(title))]
    parts += [f"<p>{escape(text)}</p>" for text in remarks]
    parts.append(_table(comparisons))
    for comparison in comparisons:
        condition = comparison.scores[0].condition
        parts.append(f"<h2>{escape(comparison.name)}: {escape(condition)}</h2>")
        parts.append(f"<p>{_what(comparison)}</p><div class='row'>")
        parts += [_drawing(c) for c in comparison.curves]
        parts.append("</div>")
    parts.append(METHOD)
    return "\n".join(parts)


def _what(comparison: Comparison) -> str:
    if comparison.onboard:
        return "Torque that the device measured while its own policy acted."
    if comparison.sent:
        return "Torque that was sent to the device."
    return "Torque that was computed; zero was sent to the device (shadow mode)."


def _table(comparisons: Sequence[Comparison]) -> str:
    heads = (
        "recording",
        "simulated walk",
        "side",
        "strides",
        "r",
        "RMSE, Nm/kg",
        "lag, %",
        "lag, ms",
    )
    rows = []
    for comparison in comparisons:
        for s in comparison.scores:
            lag = None if s.phase_lag_s is None else 1e3 * s.phase_lag_s
            cells = (
                escape(comparison.name),
                escape(s.condition),
                s.side,
                str(s.n_stride),
                _with_spread(s.r, s.r_sd),
                _with_spread(s.rmse_nm_per_kg, s.rmse_sd_nm_per_kg),
                _number(s.phase_lag_percent),
                _number(lag),
            )
            mark = " class='both'" if s.side == "both" else ""
            rows.append(f"<tr{mark}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th scope='col'>{text}</th>" for text in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}".replace("-", "−")


def _with_spread(value: float | None, spread: float | None) -> str:
    return "–" if value is None else f"{_number(value)} ± {_number(spread)}"


def _drawing(c: Curves) -> str:
    """Mean curves of one side, with the spread of what was measured."""
    band = np.concatenate([c.measured + c.spread, (c.measured - c.spread)[::-1]])
    top = float(max(np.max(np.abs(band)), np.max(np.abs(c.simulated)), 1e-6)) * 1.1
    step = _step(top)

    def x(percent: Array) -> Array:
        return LEFT + percent / 100.0 * (WIDTH - LEFT - 12)

    def y(torque: Array) -> Array:
        return TOP + (1.0 - torque / top) / 2.0 * (HEIGHT - TOP - BOTTOM)

    def points(percent: Array, torque: Array) -> str:
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x(percent), y(torque)))

    stride = np.linspace(0.0, 100.0, len(c.measured))
    lines = [
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='exo torque, {c.side} hip'>",
        f"<text x='{LEFT}' y='16' class='head'>{c.side} hip, Nm/kg, flexion positive</text>",
    ]
    for k in range(-int(top / step), int(top / step) + 1):
        at = float(y(np.array(k * step)))
        lines.append(f"<line x1='{LEFT}' x2='{WIDTH - 12}' y1='{at:.1f}' y2='{at:.1f}' class='g'/>")
        label = f"{k * step:.3g}".replace("-", "−")
        lines.append(f"<text x='{LEFT - 6}' y='{at + 4:.1f}' class='y'>{label}</text>")
    for percent in (0, 25, 50, 75, 100):
        at = float(x(np.array(float(percent))))
        lines.append(f"<text x='{at:.1f}' y='{HEIGHT - 20}' class='x'>{percent}</text>")
    lines.append(
        f"<text x='{(LEFT + WIDTH) / 2:.0f}' y='{HEIGHT - 4}' class='x'>"
        "stride from peak hip flexion, %</text>"
    )
    both = np.concatenate([stride, stride[::-1]])
    lines.append(f"<polygon points='{points(both, band)}' fill='{MEASURED}' opacity='0.18'/>")
    for curve, colour, dash in ((c.simulated, SIMULATED, "6 4"), (c.measured, MEASURED, "none")):
        lines.append(
            f"<polyline points='{points(stride, curve)}' fill='none' stroke='{colour}' "
            f"stroke-width='2' stroke-dasharray='{dash}'/>"
        )
    lines.append("</svg>")
    return "\n".join(lines)


def _step(top: float) -> float:
    """A round distance of grid lines, two to five of them up to `top`."""
    size = 10.0 ** np.floor(np.log10(top))
    return float(next(size * f for f in (2.0, 1.0, 0.5, 0.2) if top / (size * f) >= 2.0))


HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c2733; }}
h1 {{ font-size: 1.6rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; width: 100%; font-size: 0.9rem; }}
th, td {{ text-align: right; padding: 0.3rem 0.6rem; border-bottom: 1px solid #d8dee4; }}
th:nth-child(-n+3), td:nth-child(-n+3) {{ text-align: left; }}
tr.both td {{ font-weight: 600; }}
.row {{ display: flex; flex-wrap: wrap; gap: 1rem; }} svg {{ width: 430px; max-width: 100%; }}
svg text {{ font-size: 12px; fill: #51606f; }} svg .head {{ fill: #1c2733; }}
svg .y {{ text-anchor: end; }} svg .x {{ text-anchor: middle; }} svg .g {{ stroke: #e6eaee; }}
.note {{ font-size: 0.9rem; color: #51606f; }}
</style></head><body>
<h1>{title}</h1>"""

METHOD = f"""<p class="note"><b style="color:{MEASURED}">Solid:</b> mean stride on the device, with
one standard deviation. <b style="color:{SIMULATED}">Dashed:</b> mean stride of the simulation.</p>
<p class="note">Strides run from peak to peak of hip flexion, 101 points each. r and RMSE are those
of each stride against the simulation's mean stride, given as mean ± standard deviation, as Park,
Song and Kang (2026, arXiv:2603.04166) report them; the lag is the peak of the circular
cross-correlation of the mean strides, positive where the device is later. Periods count where the
whole torque was on.</p>
<p class="note">Research software. No conformity with any standard is claimed; a virtual device is
no evidence of safety on a person.</p>
</body></html>"""
