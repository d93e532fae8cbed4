"""Packets: bytes as documented, nothing flawed gets through, always in step again."""

import random
import re
import struct
import zlib
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osim_exo.deploy import packets
from osim_exo.deploy.packets import (
    BODIES,
    MAX_FRAME,
    TO_DEVICE,
    TO_HOST,
    Decoder,
    Flaw,
    Hello,
    Packet,
    Stop,
    TorqueCommand,
    encode,
    frame,
    from_content,
    to_content,
)
from osim_exo.deploy.sequence import Order, SequenceWindow
from osim_exo.errors import InputError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
TYPES = {"B": "u8", "H": "u16", "I": "u32", "h": "i16", "i": "i32"}

pytest.importorskip("cobs", reason="the extra deploy is not installed")


def vectors() -> list[tuple[Packet, bytes]]:
    """Packets and frames of the documentation's table."""
    kinds = {kind.__name__: kind for kind in BODIES.values()}
    rows = re.findall(
        r"^\| (\w+) \| (\d+) \| (\d+) \| ([-\d, ]+) \| `([0-9a-f]+)` \|$",
        PAGE.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return [
        (
            Packet(int(sequence), int(time), kinds[name](*map(int, values.split(",")))),
            bytes.fromhex(text),
        )
        for name, sequence, time, values, text in rows
    ]


def field_types(kind: type) -> list[str]:
    counts = re.findall(r"(\d*)([BHIhi])", kind.LAYOUT.format[1:])
    return [TYPES[letter] for number, letter in counts for _ in range(int(number or 1))]


def packet_of(kind: type, draw: random.Random) -> Packet:
    values = []
    for name in field_types(kind):
        bits = int(name[1:])
        low = 0 if name[0] == "u" else -(2 ** (bits - 1))
        values.append(draw.randrange(low, low + 2**bits))
    return Packet(draw.randrange(2**32), draw.randrange(2**64), kind(*values))


def unstuffed(data: bytes) -> bytes:
    """COBS by its definition, independent of the library."""
    out, place = bytearray(), 0
    while place < len(data):
        code = data[place]
        out += data[place + 1 : place + code]
        place += code
        if code < 0xFF and place < len(data):
            out.append(0)
    return bytes(out)


def test_the_documentation_has_a_vector_of_every_kind():
    assert [type(packet.body) for packet, _ in vectors()] == [BODIES[k] for k in sorted(BODIES)]


@pytest.mark.parametrize(("packet", "data"), vectors(), ids=lambda v: type(v).__name__)
def test_packets_are_the_bytes_of_the_documented_vectors(packet, data):
    assert encode(packet) == data
    assert Decoder(BODIES.values()).feed(data) == [packet]


@pytest.mark.parametrize(("packet", "data"), vectors(), ids=lambda v: type(v).__name__)
def test_vectors_hold_header_and_checksum_where_the_page_says(packet, data):
    raw = unstuffed(data[:-1])
    header = struct.unpack("<BBHIQ", raw[:16])
    assert header[:3] == (2, packet.body.KIND, len(raw) - 20)
    assert header[3:] == (packet.sequence, packet.time_us)
    assert struct.unpack("<I", raw[-4:])[0] == zlib.crc32(raw[:-4])


@pytest.mark.parametrize("kind", BODIES.values(), ids=lambda k: k.__name__)
def test_documented_fields_and_sizes_are_those_of_the_code(kind):
    page = PAGE.read_text(encoding="utf-8")
    listed = re.search(rf"^\| `{kind.__name__}` \| ([a-z][^|]*) \|$", page, re.MULTILINE)
    assert listed is not None
    have = [f"{f.name} {t}" for f, t in zip(fields(kind), field_types(kind), strict=True)]
    assert listed.group(1).split(", ") == have
    direction = "host to device" if kind in TO_DEVICE else "device to host"
    row = rf"^\| {kind.KIND} \| `{kind.__name__}` \| {direction} \| {kind.LAYOUT.size} byte"
    assert re.search(row, page, re.MULTILINE)


@pytest.mark.parametrize("seed", range(5))
def test_any_packet_comes_back_as_it_was(seed):
    draw = random.Random(seed)
    sent = [packet_of(draw.choice(list(BODIES.values())), draw) for _ in range(200)]
    data = b"".join(map(encode, sent))
    decoder, got = Decoder(BODIES.values()), []
    while data:
        cut = draw.randrange(1, 100)
        got += decoder.feed(data[:cut])
        data = data[cut:]
    assert got == sent
    assert decoder.bad == 0


def test_no_frame_is_longer_than_the_documented_limit():
    draw = random.Random(1)
    longest = max(len(encode(packet_of(kind, draw))) for kind in BODIES.values())
    assert longest - 1 <= MAX_FRAME == 96


def test_every_single_flipped_bit_is_refused():
    data = encode(Packet(7, 8, TorqueCommand(1, 9000, -9000, 1, 3)))
    for bit in range(8 * (len(data) - 1)):
        spoilt = bytearray(data)
        spoilt[bit // 8] ^= 1 << bit % 8
        assert Decoder(TO_DEVICE).feed(bytes(spoilt)) == []


def test_a_truncated_frame_is_refused_and_the_next_one_taken():
    first, second = (encode(Packet(n, 0, Hello(5))) for n in (1, 2))
    for cut in range(1, len(first) - 1):
        decoder = Decoder(TO_DEVICE)
        got = decoder.feed(first[:cut] + b"\0" + second)
        assert [packet.sequence for packet in got] == [2]
        assert decoder.bad == 1


@pytest.mark.parametrize(
    ("content", "flaw"),
    [
        (b"", Flaw.LENGTH),
        (b"\1\7", Flaw.LENGTH),
        (struct.pack("<BBHIQB", 1, 7, 1, 1, 1, 0), Flaw.VERSION),
        (struct.pack("<BBHIQB", 2, 99, 1, 1, 1, 0), Flaw.KIND),
        (struct.pack("<BBHIQB", 2, 7, 2, 1, 1, 0), Flaw.LENGTH),
        (struct.pack("<BBHIQH", 2, 7, 1, 1, 1, 0), Flaw.LENGTH),
    ],
)
def test_what_is_wrong_with_a_frame_is_named(content, flaw):
    decoder = Decoder(TO_DEVICE)
    assert decoder.feed(frame(content)) == []
    assert decoder.flaws[flaw] == 1
    assert decoder.bad == 1


def test_packets_for_the_other_end_are_refused():
    decoder = Decoder(TO_HOST)
    assert decoder.feed(encode(Packet(1, 1, Stop(0)))) == []
    assert decoder.flaws[Flaw.KIND] == 1


def test_endless_garbage_uses_no_memory_and_ends_with_the_next_zero():
    decoder = Decoder(TO_DEVICE)
    for _ in range(1000):
        assert decoder.feed(b"\x55" * 1000) == []
        assert decoder.pending <= MAX_FRAME
    assert decoder.bad == 1
    decoder.feed(b"\0")
    assert len(decoder.feed(encode(Packet(1, 1, Stop(0))))) == 1


@given(st.binary(max_size=400), st.lists(st.integers(1, 50), min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_random_bytes_never_raise_and_the_way_they_are_cut_does_not_matter(data, cuts):
    whole, pieces = Decoder(TO_DEVICE), Decoder(TO_DEVICE)
    expected, got = whole.feed(data), []
    for cut in cuts:
        got += pieces.feed(data[:cut])
        data = data[cut:]
    got += pieces.feed(data)
    assert got == expected
    assert pieces.flaws == whole.flaws


@given(st.binary(max_size=120))
@settings(max_examples=200, deadline=None)
def test_content_is_a_packet_only_if_it_is_one_exactly(content):
    result = from_content(content)
    assert isinstance(result, Flaw) or to_content(result) == content


def test_a_number_that_does_not_fit_is_bad_input_that_says_so():
    with pytest.raises(InputError, match=r"does not fit.*docs/protocol\.md"):
        encode(Packet(1, 1, TorqueCommand(1, 2**31, 0, 1, 0)))


def test_without_the_library_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "cobs", None)
    packets._codec.cache_clear()
    with pytest.raises(ImportError, match=r"osim_exo\[deploy\]"):
        encode(Packet(1, 1, Stop(0)))
    packets._codec.cache_clear()


# Sequence numbers


def test_numbers_go_forward_within_the_window_only():
    window = SequenceWindow(window=10)
    taken = [n for n in (5, 6, 6, 5, 9, 8, 20, 19, 18, 3, 0) if window.take(n)]
    assert taken == [5, 6, 9, 19]
    assert window.lost == 2 + 9
    assert window.counts[Order.DUPLICATE] == 1
    assert window.counts[Order.REORDERED] == 3
    assert window.counts[Order.OUTSIDE] == 3


def test_numbers_wrap_without_a_break():
    window = SequenceWindow()
    assert all(window.take(n % 2**32) for n in range(2**32 - 3, 2**32 + 3))
    assert window.lost == 0
    assert window.order(2**32 - 1) is Order.REORDERED


def test_a_new_session_takes_any_number_first():
    window = SequenceWindow()
    window.take(1_000_000)
    assert not window.take(1)
    window.reset()
    assert window.take(1)


@pytest.mark.parametrize("size", [0, 2**31])
def test_a_window_without_sense_is_bad_input(size):
    with pytest.raises(InputError, match="sequence window"):
        SequenceWindow(size)
