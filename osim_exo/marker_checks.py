"""Whether recorded markers fit a model: names, unit, axes and facing; and their weights."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from osim_exo.errors import DataError
from osim_exo.trial import Array

Mask = npt.NDArray[np.bool_]

FEWEST = 3
"""Markers that fix a body in space."""

WRONG_UNIT = 2.0
"""A recording larger or smaller than the model by more than this factor has another unit."""

OTHER_PERSON = 1.2
"""Beyond this factor the model is not scaled to the person."""

UPRIGHT, CLEARER = 0.7, 0.2
"""Correlation of marker heights with the model's that is expected; and by how much better another
axis must be to be named."""

FOOT, NEAR = 0.06, 0.01
"""m; markers whose lowest place is within the first of the lowest of all are on the feet; they
stand while within the second of it."""

FACING = 60.0
"""Degrees about the vertical from where the model's marker set faces."""


def common_names(
    recorded: tuple[str, ...], model: tuple[str, ...], label: str, notes: list[str]
) -> dict[str, str]:
    """Recorded name by model's name, for markers that both have.

    Parameters
    ----------
    recorded, model : names
    label : of the model, for the message
    notes : what is left out is put here

    Raises
    ------
    DataError
        Fewer than three are shared.
    """
    found = {name: name for name in model if name in recorded}
    if len(found) < FEWEST:
        plain = {name.rsplit(":", 1)[-1].strip(): name for name in recorded}
        found = {name: plain[name] for name in model if name in plain}
    if len(found) < FEWEST:
        raise DataError(
            f"The recording and the model {label} share {len(found)} marker names; at least "
            f"{FEWEST} are needed. The recording has: {', '.join(recorded)}. The model has: "
            f"{', '.join(model)}. Rename markers in one of the two."
        )
    taken = set(found.values())
    only = [name for name in recorded if name not in taken]
    missing = [name for name in model if name not in found]
    if only:
        notes.append(f"Recorded, but not in the model: {', '.join(only)}.")
    if missing:
        notes.append(f"In the model, but not recorded: {', '.join(missing)}.")
    return found


def were_seen(positions: Array) -> Mask:
    """Which markers were seen in which frame, (n_time, n_marker) array."""
    return np.asarray(np.isfinite(positions).all(axis=2))


def check_size(positions: Array, pose: Array, label: str, notes: list[str]) -> None:
    """Compare the size of the recorded markers with that of the model's.

    Parameters
    ----------
    positions : (n_time, n_marker, 3) array, m; NaN where not seen
    pose : (n_marker, 3) array, m; of the model
    label : of the model
    notes : a model of another size is put here

    Raises
    ------
    DataError
        They differ by more than a factor of two, as with a wrong unit; or nothing was seen.
    """
    seen = were_seen(positions)
    full = np.flatnonzero(seen.sum(axis=1) >= FEWEST)
    if not full.size:
        raise DataError(
            f"In no frame are {FEWEST} of the markers seen that recording and model share."
        )
    shares = [_spread(positions[i][seen[i]]) / _spread(pose[seen[i]]) for i in map(int, full)]
    factor = float(np.median(shares))
    if not 1.0 / WRONG_UNIT < factor < WRONG_UNIT:
        raise DataError(
            f"The recorded markers are spread {factor:.3g} times as far as those of the model "
            f"{label}. The unit that the file names seems wrong: allowed are m, cm and mm in "
            "'Units' of a .trc header, and POINT:UNITS of a .c3d file."
        )
    if not 1.0 / OTHER_PERSON < factor < OTHER_PERSON:
        notes.append(
            f"The recorded markers are spread {factor:.2f} times as far as the model's: scale the "
            "model to the person."
        )


def _spread(points: Array) -> float:
    """Root mean squared distance from the middle."""
    return float(np.sqrt(np.mean(np.sum((points - points.mean(axis=0)) ** 2, axis=1))))


def check_axes(positions: Array, pose: Array, turns: bool, notes: list[str]) -> None:
    """Compare up and forward of the recorded markers with the model's.

    Parameters
    ----------
    positions, pose : as for `check_size`
    turns : whether the model can turn about the vertical
    notes : a turned walk is put here

    Raises
    ------
    DataError
        Another axis points up, or a model that cannot turn would have to.
    """
    seen = were_seen(positions)
    row = int(np.argmax(seen.sum(axis=1)))
    there = seen[row]
    points, model = positions[row, there], pose[there]
    heights = [_correlation(points[:, axis], model[:, 1]) for axis in range(3)]
    best = int(np.argmax(np.abs(heights)))
    clearer = abs(heights[best]) > heights[1] + CLEARER
    if heights[1] < UPRIGHT and abs(heights[best]) > UPRIGHT and clearer:
        sign = "+" if heights[best] > 0 else "-"
        raise DataError(
            f"The recorded markers seem to have {sign}{'xyz'[best]} up; needed is +y. Say which "
            "axes point forward and up (forward and up; --forward and --up)."
        )
    angle = _heading(positions, pose)
    if abs(angle) > FACING:
        told = f"The recorded person faces {angle:.0f} degrees to the left of +x"
        if not turns:
            raise DataError(
                f"{told}, and the model cannot turn about the vertical. Say which axis points "
                "forward (forward; --forward), for instance -x."
            )
        notes.append(f"{told}; a reference to imitate must walk along +x.")


def _correlation(a: Array, b: Array) -> float:
    moves = min(np.ptp(a), np.ptp(b)) > 0.0
    return float(np.corrcoef(a, b)[0, 1]) if moves else 0.0


def _heading(positions: Array, pose: Array) -> float:
    """Degrees about +y that turn the model's markers to the recorded ones, mean of all frames.

    In each frame the turn of least squares (Kabsch 1976), in the horizontal plane.
    """
    total = 0j
    for points in positions:
        seen = ~np.isnan(points).any(axis=1)
        if seen.sum() < FEWEST:
            continue
        p, m = (x[:, [0, 2]] - x[:, [0, 2]].mean(axis=0) for x in (points[seen], pose[seen]))
        turn = complex(np.sum(p * m), np.sum(p[:, 0] * m[:, 1] - p[:, 1] * m[:, 0]))
        total += turn / max(abs(turn), 1e-12)
    return float(np.degrees(np.angle(total)))


def belt_speed(time: Array, positions: Array) -> float:
    """Speed of the ground under the feet, m/s, backward positive: 0 over ground.

    Median velocity of the lowest markers while each is near its own lowest place, which is stance.

    Parameters
    ----------
    time : (n_time,) array, s
    positions : (n_time, n_marker, 3) array, m; NaN where not seen
    """
    if time.size < 3:
        return 0.0
    with np.errstate(invalid="ignore"):
        forward = np.gradient(positions[..., 0], time, axis=0)
        height = positions[..., 1]
        seen = np.isfinite(forward) & np.isfinite(height)
        least = np.where(seen, height, np.inf).min(axis=0)
        low = least < least.min() + FOOT
        stance = seen & low & (height < least + NEAR)
    return -float(np.median(forward[stance])) if stance.any() else 0.0


def read_task_weights(path: str | Path) -> dict[str, float]:
    """Marker weights of an OpenSim IK setup or IKTaskSet; 0 where a task does not apply.

    Raises
    ------
    DataError
        The file cannot be read, has no marker tasks, or has coordinate tasks that apply.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Check the path.") from None
    except (ElementTree.ParseError, OSError) as error:
        raise DataError(f"{path} is no OpenSim .xml file: {error}.") from None
    tied = [t.get("name", "") for t in root.iter("IKCoordinateTask") if _applies(t)]
    if tied:
        raise DataError(
            f"{path} has coordinate tasks ({', '.join(tied)}); only markers are followed here. "
            "Lock these coordinates in the model, or set their tasks to apply = false."
        )
    found = {}
    for task in root.iter("IKMarkerTask"):
        name, text = task.get("name", ""), task.findtext("weight", "1")
        try:
            found[name] = float(text) if _applies(task) else 0.0
        except ValueError:
            raise DataError(f"{path}: the weight of {name} is '{text}', no number.") from None
    if not found:
        raise DataError(f"{path} has no IKMarkerTask. Name an IK setup or an IKTaskSet.")
    return found


def _applies(task: ElementTree.Element) -> bool:
    return (task.findtext("apply", "true") or "").strip().lower() != "false"
