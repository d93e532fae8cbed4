"""Thousands of damaged bundles: a clear error or unchanged behaviour, never anything else."""

import hashlib
import io
import json
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from osim_exo import bundle
from osim_exo.deploy.export import read_bundle
from osim_exo.deploy.policy_controller import PolicyController
from osim_exo.errors import InputError, OsimExoError
from osim_exo.policy import Policy
from tests.deploy.policies import interface, write_policy

pytest.importorskip("cobs", reason="the extra deploy is not installed")

PIECES, PER_PIECE = 10, 1000


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    face = interface(lags=(0,), kinds=("thigh_rate",), own=False, history=4)
    folder = write_policy(tmp_path_factory.mktemp("whole") / "p", face, kind="gru")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    probe = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    return files, probe, Policy.load(folder, "numpy")(probe)


def mutated(draw: random.Random, data: bytes) -> bytes:
    """Some bytes changed, cut, put in, repeated or swapped for numbers that are hard to read."""
    out = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        kind, at = draw.randrange(6), draw.randrange(max(len(out), 1))
        if kind == 0 and out:
            out[at % len(out)] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del out[at:]
        elif kind == 2:
            out[at:at] = draw.randbytes(draw.randrange(1, 20))
        elif kind == 3:
            del out[at : at + draw.randrange(1, 20)]
        elif kind == 4:
            out[at:at] = out[at : at + draw.randrange(1, 40)]
        else:
            word = draw.choice([b"1e999", b"NaN", b"-1", b"null", b"{}", b"[]", b"9" * 40, b'"'])
            out[at : at + len(word)] = word
    return bytes(out)


def mutated_json(draw: random.Random, data: bytes) -> bytes:
    """A value somewhere in the description replaced by another one."""
    content = json.loads(data)
    node, path = content, []
    while isinstance(node, dict | list) and node:
        key = draw.choice(list(node)) if isinstance(node, dict) else draw.randrange(len(node))
        path.append((node, key))
        node = node[key]
        if draw.random() < 0.2:
            break
    if path:
        parent, key = path[-1]
        parent[key] = draw.choice(
            [None, -1, 0, 1e300, True, "", "x" * 1000, [], {}, [[]], {"a": 1}, 3, "gru", "mlp"]
        )
    return json.dumps(content).encode()


def signed(files: dict[str, bytes]) -> dict[str, bytes]:
    """As whoever changes a bundle on purpose would do it: hashes that fit."""
    names = sorted(name for name in files if name != bundle.SUMS)
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in names]
    return {**files, bundle.SUMS: "".join(lines).encode()}


def place(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def fuzz(folder: Path, whole, seed: int, n: int) -> dict[str, int]:
    """Outcomes of `n` damaged bundles."""
    files, probe, expected = whole
    draw, seen = random.Random(seed), {"refused": 0, "unchanged": 0, "other numbers": 0}
    for _ in range(n):
        damaged, name = dict(files), draw.choice(sorted(files))
        by_hash = draw.random() < 0.5
        if name == bundle.DESCRIPTION and draw.random() < 0.5:
            damaged[name] = mutated_json(draw, damaged[name])
        elif draw.random() < 0.05:
            del damaged[name]
        else:
            damaged[name] = mutated(draw, damaged[name])
        target = place(folder, damaged if by_hash else signed(damaged))
        try:
            found = Policy.load(target, "numpy")(probe)
            read_bundle(target)
            PolicyController(target, 70.0)
        except OsimExoError as error:
            assert isinstance(error, InputError) and str(error)
            seen["refused"] += 1
            continue
        if found.shape == expected.shape and np.array_equal(found, expected):
            seen["unchanged"] += 1
        else:
            # Only where weights and hashes were changed together, and the golden outputs allow it.
            assert not by_hash
            assert np.all(np.isfinite(found))
            seen["other numbers"] += 1
    return seen


def test_damaged_bundles_are_refused_or_do_what_they_did(whole, tmp_path):
    seen = fuzz(tmp_path / "p", whole, seed=1, n=400)
    assert seen["refused"] > 300
    assert seen["other numbers"] < 20


@pytest.mark.slow
@pytest.mark.parametrize("piece", range(PIECES))
def test_ten_thousand_damaged_bundles_are_refused_or_do_what_they_did(whole, tmp_path, piece):
    seen = fuzz(tmp_path / "p", whole, seed=100 + piece, n=PER_PIECE)
    assert seen["refused"] > 0.7 * PER_PIECE
    assert seen["other numbers"] < 0.05 * PER_PIECE


class Bomb:
    """Runs when it is unpickled."""

    armed = False

    def __reduce__(self):
        return (exec, ("from tests.deploy.test_bundle_fuzz import Bomb; Bomb.armed = True",))


def test_code_in_a_bundle_is_never_run(whole, tmp_path):
    files, _, _ = whole
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb()], dtype=object), allow_pickle=True)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as held:
        held.writestr("centre.npy", stream.getvalue())
    for name in ("network.npz", "golden.npz"):
        for data in (archive.getvalue(), stream.getvalue(), pickle.dumps(Bomb())):
            target = place(tmp_path / "p", signed({**files, name: data}))
            with pytest.raises(OsimExoError):
                Policy.load(target, "numpy")
    assert Bomb.armed is False


def test_names_that_lead_out_of_the_folder_are_refused(whole, tmp_path):
    files, _, _ = whole
    secret = tmp_path / "secret.npz"
    secret.write_bytes(files["network.npz"])
    for name in ("../secret.npz", "/etc/passwd", "..\\secret.npz"):
        line = f"{hashlib.sha256(files['network.npz']).hexdigest()}  {name}\n"
        damaged = signed(files)
        damaged[bundle.SUMS] += line.encode()
        with pytest.raises(InputError):
            Policy.load(place(tmp_path / "p", damaged), "numpy")
