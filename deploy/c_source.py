"""A policy as C99: its constants and tables as text, to be compiled with ``firmware/exo_*.c``."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.control.learned import SENSORS
from osim_exo.deploy.network import Layer, Network
from osim_exo.deploy.novelty import NoveltyLimits
from osim_exo.errors import DataError, InputError
from osim_exo.names import SIDES, side
from osim_exo.policy import Interface

Float32 = npt.NDArray[np.float32]

CHANNELS = {"hip_angle": 0, "hip_speed": 2, "thigh_angle": 4, "thigh_rate": 6, "torque": 8}
"""First channel of each reading, right; the left one follows. As enum exo_channel."""

SQUASHINGS = {"clip": "EXO_CLIP", "tanh": "EXO_SQUASH_TANH", "sigmoid": "EXO_SIGMOID"}
KINDS = {"dense": "EXO_DENSE", "gru": "EXO_GRU"}
ACTIVATIONS = {"linear": "EXO_LINEAR", "relu": "EXO_RELU", "tanh": "EXO_TANH", "elu": "EXO_ELU"}

GOLDEN_NUMBERS = 4096
"""Numbers of golden inputs that go onto the device at most."""

HEADER, SOURCE = "exo_policy_data.h", "exo_policy_data.c"


@dataclass(frozen=True)
class CSource:
    """A policy's constants as C.

    Attributes
    ----------
    header, source : text of `HEADER` and `SOURCE`
    crc : CRC-32 of the network's constants
    flash_bytes, ram_bytes : of constants and static buffers, without code
    """

    header: str
    source: str
    crc: int
    flash_bytes: int
    ram_bytes: int


def channel(name: str) -> int:
    """The channel that an observation is read from, by its name in a bundle.

    Raises
    ------
    InputError
        A hip device does not measure it.
    """
    own = name.partition("/@")[0]
    if own in SENSORS:
        field, column = SENSORS[own]
        return CHANNELS[field] + column
    place, slash, what = own.rpartition("/")
    which = side(place) if slash else None
    if what == "torque" and place.startswith("exo_") and which is not None:
        return CHANNELS["torque"] + SIDES.index(which)
    raise InputError(
        f"The policy observes {name}, which a device on the hip does not measure. Export a student "
        "that was distilled for its sensors."
    )


def c_source(
    interface: Interface,
    network: Network,
    golden: tuple[Float32, Float32],
    novelty: NoveltyLimits,
    title: str,
) -> CSource:
    """Write a policy as C.

    Parameters
    ----------
    interface : Interface
        Of a policy with one action per hip.
    network : Network
    golden : inputs (n, n_input) and outputs (n, 2)
    novelty : from where on torque fades
    title : what stands at the head of the files

    Raises
    ------
    InputError
        The policy does not fit a hip device.
    """
    per_mass = _units(interface)
    blob, layers = _constants(network)
    n_golden = max(1, min(len(golden[0]), GOLDEN_NUMBERS // golden[0].shape[1]))
    back = [round(row.delay_s * interface.rate_hz) for row in interface.observations]
    if max(back) > 255:
        raise InputError(f"An observation is {max(back)} periods old; at most 255 are stored.")
    depth = interface.history + max(back)
    signals = [
        f"{{{channel(row.name)}, {lag}, {number(row.low)}, {number(row.high)}}}, /* {row.name} */"
        for row, lag in zip(interface.observations, back)
    ]
    crc = constants_crc(network)
    source = SOURCE_TEXT.format(
        title=title,
        header=HEADER,
        n_constant=blob.size,
        constants=_numbers(blob),
        layers=_lines(layers),
        signals=_lines(signals),
        golden_input=_numbers(golden[0][:n_golden].ravel()),
        golden_output=_numbers(golden[1][:n_golden].ravel()),
        n_golden=n_golden,
        room=network.room,
        past=f"{depth} * EXO_N_CHANNEL",
        window=network.history * network.n_input,
        crc=crc,
        n_layer=len(layers),
        n_input=network.n_input,
        history=network.history,
        n_output=network.n_output,
        scale=network.centre.size,
        limit=number(network.limit),
        actions=_lines(_actions(interface), 8),
        per_mass="true" if per_mass else "false",
        period_us=round(1e6 / interface.rate_hz),
        depth=depth,
        begin=number(novelty.begin),
        end=number(novelty.end),
    )
    floats = blob.size + golden[0][:n_golden].size + golden[1][:n_golden].size
    buffers = 2 * network.room + depth * 10 + network.history * network.n_input
    header = HEADER_TEXT.format(title=title, crc=crc)
    return CSource(header, source, crc, 4 * floats + 12 * len(signals), 4 * buffers)


def constants_crc(network: Network) -> int:
    """CRC-32 of a network's constants as they lie on the device."""
    blob, _ = _constants(network)
    return zlib.crc32(blob.astype("<f4").tobytes())


def number(value: float) -> str:
    """A float32 as C writes it without loss."""
    single = float(np.float32(value))
    if not np.isfinite(single):
        raise DataError(f"The policy holds the number {value}, which is no float32.")
    return f"{single.hex()}f"


def _units(interface: Interface) -> bool:
    """Whether commands are per kg of body mass."""
    units = {action.unit for action in interface.actions}
    if len(interface.actions) != 2 or units not in ({"Nm/kg"}, {"Nm"}):
        raise InputError(
            f"The policy gives {len(interface.actions)} commands in {', '.join(sorted(units))}; "
            "one torque per hip in Nm or Nm/kg is needed. Export an exo's policy."
        )
    return units == {"Nm/kg"}


def _actions(interface: Interface) -> list[str]:
    """Rows for the right and the left hip."""
    place = {side(action.name): i for i, action in enumerate(interface.actions)}
    if set(place) != set(SIDES):
        names = ", ".join(action.name for action in interface.actions)
        raise InputError(f"The policy drives {names}; one right and one left hip are needed.")
    rows = []
    for which in SIDES:
        a = interface.actions[place[which]]
        numbers = ", ".join(map(number, (a.gain, a.offset, a.low, a.high)))
        rows.append(f"{{{place[which]}, {SQUASHINGS[a.squashing]}, {numbers}}}, /* {a.name} */")
    return rows


def _constants(network: Network) -> tuple[Float32, list[str]]:
    """All numbers in one row, and the layers that point into it."""
    parts: list[Float32] = [network.centre, network.scale]
    at = network.centre.size + network.scale.size
    rows = []
    for layer in network.layers:
        rows.append(_layer(layer, at, at + layer.weight.size))
        parts += [layer.weight.ravel(), layer.bias.ravel()]
        at += layer.weight.size + layer.bias.size
    return np.concatenate(parts).astype(np.float32), rows


def _layer(layer: Layer, weight: int, bias: int) -> str:
    sizes = (layer.n_time, layer.n_in, layer.n_out, weight, bias)
    numbers = ", ".join(map(str, sizes))
    return f"{{{KINDS[layer.kind]}, {ACTIVATIONS[layer.activation]}, {numbers}}},"


def _numbers(values: Float32) -> str:
    """Rows of four numbers."""
    words = [number(value) for value in values.tolist()]
    rows = (", ".join(words[i : i + 4]) for i in range(0, len(words), 4))
    return _lines(f"{row}," for row in rows)


def _lines(rows: Iterable[str], indent: int = 4) -> str:
    return "\n".join(" " * indent + row for row in rows)


HEADER_TEXT = """/* {title}
 *
 * Written by osim-exo export. Research software; see docs/safety.md.
 */
#ifndef EXO_POLICY_DATA_H
#define EXO_POLICY_DATA_H

#include "exo_policy.h"

#define EXO_POLICY_CRC 0x{crc:08X}u

extern const struct exo_policy_data EXO_POLICY_DATA;

#endif
"""

SOURCE_TEXT = """/* {title}
 *
 * Written by osim-exo export. Research software; see docs/safety.md.
 */
#include "{header}"

enum {{ ROOM = {room} }};

static const float CONSTANTS[{n_constant}] = {{
{constants}
}};

static const struct exo_layer LAYERS[] = {{
{layers}
}};

/* channel, periods ago, low, high */
static const struct exo_signal SIGNALS[] = {{
{signals}
}};

static const float GOLDEN_INPUT[] = {{
{golden_input}
}};

static const float GOLDEN_OUTPUT[] = {{
{golden_output}
}};

static float scratch[2][ROOM];
static float past[{past}];
static float window[{window}];

const struct exo_policy_data EXO_POLICY_DATA = {{
    .network = {{
        .constants = CONSTANTS,
        .n_constant = {n_constant},
        .crc = EXO_POLICY_CRC,
        .layers = LAYERS,
        .n_layer = {n_layer},
        .n_input = {n_input},
        .history = {history},
        .n_output = {n_output},
        .centre = 0,
        .scale = {scale},
        .limit = {limit},
        .scratch = {{scratch[0], scratch[1]}},
    }},
    .signals = SIGNALS,
    .actions = {{
{actions}
    }},
    .per_mass = {per_mass},
    .period_us = {period_us},
    .depth = {depth},
    .novelty_begin = {begin},
    .novelty_end = {end},
    .golden_input = GOLDEN_INPUT,
    .golden_output = GOLDEN_OUTPUT,
    .n_golden = {n_golden},
    .past = past,
    .window = window,
}};
"""
