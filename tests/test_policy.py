"""Policies: commands from outputs, and bundles that are whole or refused."""

import json
import math

import numpy as np
import pytest

from osim_exo import bundle
from osim_exo.errors import DataError, InputError, MissingExtraError
from osim_exo.policy import Action, Interface, Policy, Signal, sigmoid_for

LIMIT = 10.0


def interface(**changes):
    given = {
        "observations": (
            Signal(name="hip_flexion_r", unit="rad", low=-1.0, high=2.0, delay_s=0.02),
            Signal(name="hip_flexion_r/speed", unit="rad/s", low=-10.0, high=10.0),
            Signal(name="silent", unit="1", low=0.0, high=1.0),
        ),
        "actions": (
            Action(name="soleus_r", unit="1", low=0.0, high=1.0, squashing="sigmoid"),
            Action(name="exo_r", unit="Nm/kg", low=-0.2, high=0.2, squashing="clip", gain=0.2),
        ),
        "rate_hz": 50.0,
    }
    return Interface(**{**given, **changes})


def network(activation="relu"):
    random = np.random.default_rng(0)
    shapes = {
        "centre": (3,),
        "weight_0": (4, 3),
        "bias_0": (4,),
        "weight_1": (2, 4),
        "bias_1": (2,),
    }
    arrays = {k: random.standard_normal(v).astype(np.float32) for k, v in shapes.items()}
    arrays["scale"] = np.array([2.0, 0.5, 0.0], dtype=np.float32)
    described = {"kind": "mlp", "activation": activation, "limit": LIMIT}
    return arrays, described


def by_hand(arrays, observation, activation="relu"):
    """The network in float64, unit by unit."""
    functions = {
        "relu": lambda v: max(v, 0.0),
        "tanh": math.tanh,
        "elu": lambda v: v if v > 0.0 else math.exp(v) - 1.0,
    }
    rows = []
    for row in np.asarray(observation, dtype=float):
        x = [
            min(max((v - c) * s, -LIMIT), LIMIT)
            for v, c, s in zip(row, arrays["centre"], arrays["scale"])
        ]
        h = [
            functions[activation](sum(w * v for w, v in zip(ws, x)) + b)
            for ws, b in zip(arrays["weight_0"], arrays["bias_0"])
        ]
        rows.append(
            [
                sum(w * v for w, v in zip(ws, h)) + b
                for ws, b in zip(arrays["weight_1"], arrays["bias_1"])
            ]
        )
    return np.array(rows)


def observations(n=20):
    values = np.random.default_rng(1).standard_normal((n, 3)).astype(np.float32)
    values[-1] = 1e6
    return values


def write(folder, activation="relu", face=None, **files):
    arrays, described = network(activation)
    seen = observations()
    golden = {"observation": seen, "output": by_hand(arrays, seen, activation).astype(np.float32)}
    content = {
        "interface": (face or interface()).model_dump(mode="json"),
        "network": described,
        "record": {"seed": 3},
    }
    every = {"network.npz": bundle.pack(arrays), "golden.npz": bundle.pack(golden), **files}
    return bundle.write(folder, content, every)


@pytest.mark.parametrize("activation", ["relu", "tanh", "elu"])
def test_a_policy_gives_what_its_network_gives_by_hand(tmp_path, activation):
    policy = Policy.load(write(tmp_path / "p", activation), engine="numpy")
    arrays, _ = network(activation)
    seen = observations()
    np.testing.assert_allclose(
        policy(seen), by_hand(arrays, seen, activation), rtol=1e-5, atol=1e-6
    )
    assert policy(seen).dtype == np.float32
    assert policy.record == {"seed": 3}
    assert policy.interface == interface()


def test_commands_are_squashed_into_their_limits(tmp_path):
    policy = Policy.load(write(tmp_path / "p"), engine="numpy")
    seen = observations()
    output, commands = policy(seen).astype(float), policy.commands(seen)
    np.testing.assert_allclose(commands[:, 0], 1.0 / (1.0 + np.exp(-output[:, 0])), rtol=1e-5)
    np.testing.assert_allclose(commands[:, 1], np.clip(0.2 * output[:, 1], -0.2, 0.2), rtol=1e-5)


def test_a_tanh_command_reaches_from_low_to_high():
    action = Action(name="a", unit="Nm", low=-1.0, high=3.0, squashing="tanh", gain=0.5, offset=0.1)
    face = interface(actions=(action,))
    x = np.array([[-50.0], [0.3], [50.0], [1e30]])
    expected = 1.0 + 2.0 * np.tanh(0.5 * x + 0.1)
    np.testing.assert_allclose(face.commands(x), expected, atol=1e-12)


def test_a_sigmoid_begins_where_it_is_wanted():
    action = Action(
        name="a", unit="1", low=0.0, high=1.0, squashing="sigmoid", **sigmoid_for(0.08, gain=3.0)
    )
    assert interface(actions=(action,)).commands(np.zeros((1, 1)))[0, 0] == pytest.approx(0.08)


@pytest.mark.parametrize("name", ["bundle.json", "network.npz", "golden.npz", "SHA256SUMS"])
def test_a_changed_byte_is_refused(tmp_path, name):
    folder = write(tmp_path / "p")
    path = folder / name
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 20):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(bytes(changed))
        with pytest.raises(DataError):
            Policy.load(folder, engine="numpy")
    path.write_bytes(whole)
    Policy.load(folder, engine="numpy")


def test_a_missing_or_additional_file_is_refused(tmp_path):
    folder = write(tmp_path / "p")
    (folder / "more.txt").write_text("x")
    with pytest.raises(DataError, match="not listed in SHA256SUMS: more.txt"):
        Policy.load(folder, engine="numpy")
    (folder / "more.txt").unlink()
    (folder / "golden.npz").unlink()
    with pytest.raises(DataError, match="Missing: golden.npz"):
        Policy.load(folder, engine="numpy")


def test_a_network_that_gives_something_else_than_when_it_was_written_is_refused(tmp_path):
    arrays, _ = network()
    arrays["bias_1"] = arrays["bias_1"] + np.float32(1e-3)
    folder = write(tmp_path / "p", **{"network.npz": bundle.pack(arrays)})
    with pytest.raises(DataError, match="gives other outputs here than when it was written"):
        Policy.load(folder, engine="numpy")


def test_a_network_that_gives_nan_is_refused(tmp_path):
    arrays, _ = network()
    arrays["bias_1"][:] = np.nan
    folder = write(tmp_path / "p", **{"network.npz": bundle.pack(arrays)})
    with pytest.raises(DataError, match="other outputs"):
        Policy.load(folder, engine="numpy")


def test_a_network_of_another_size_than_its_interface_is_refused(tmp_path):
    one = interface(observations=interface().observations[:2])
    with pytest.raises(DataError, match="does not fit its interface"):
        Policy.load(write(tmp_path / "p", face=one), engine="numpy")


def test_objects_are_neither_written_nor_read(tmp_path):
    with pytest.raises(InputError, match="hold objects"):
        bundle.pack({"a": np.array([object()])})
    np.savez(tmp_path / "evil.npz", a=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="cannot be read as arrays"):
        bundle.unpack((tmp_path / "evil.npz").read_bytes(), "evil.npz")


def test_another_layout_is_refused(tmp_path, monkeypatch):
    folder = write(tmp_path / "p")
    monkeypatch.setattr(bundle, "SCHEMA", "osim_exo.policy/2")
    with pytest.raises(DataError, match="layout 'osim_exo.policy/1'"):
        Policy.load(folder, engine="numpy")


def test_what_is_no_bundle_is_refused_and_not_overwritten(tmp_path):
    with pytest.raises(DataError, match="not a policy's folder"):
        Policy.load(tmp_path, engine="numpy")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="Nothing was changed"):
        write(tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_a_bundle_takes_the_place_of_an_older_one(tmp_path):
    write(tmp_path / "p", "relu")
    write(tmp_path / "p", "tanh")
    content, _ = bundle.read(tmp_path / "p")
    assert content["network"]["activation"] == "tanh"
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_observations_of_another_size_are_refused(tmp_path):
    policy = Policy.load(write(tmp_path / "p"), engine="numpy")
    with pytest.raises(InputError, match="needs .n, 3.: hip_flexion_r"):
        policy(np.zeros((1, 4)))


def test_a_bundle_without_the_network_that_is_asked_for_says_what_it_holds(tmp_path):
    with pytest.raises(DataError, match="cannot be run by onnx: it holds golden.npz, network.npz"):
        Policy.load(write(tmp_path / "p"))


def test_bytes_that_are_no_network_are_refused_by_the_runtime(tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(DataError, match="onnxruntime refuses"):
        Policy.load(write(tmp_path / "p", **{"network.onnx": b"nonsense"}))


def test_a_missing_runtime_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"osim_exo\[deploy\]"):
        Policy.load(write(tmp_path / "p", **{"network.onnx": b""}))


@pytest.mark.parametrize(
    "content",
    [
        {"observations": ()},
        {"rate_hz": 0.0},
        {"history": 0},
        {"actions": interface().actions * 2},
        {"observations": interface().observations * 2},
    ],
)
def test_an_interface_that_makes_no_sense_is_refused(content):
    with pytest.raises(InputError):
        interface(**content)


@pytest.mark.parametrize("kind", [Signal, Action])
def test_limits_are_ordered(kind):
    more = {"squashing": "clip"} if kind is Action else {}
    with pytest.raises(InputError, match="must be below"):
        kind(name="a", unit="1", low=1.0, high=1.0, **more)


def test_a_description_that_was_written_badly_is_refused(tmp_path):
    arrays, described = network()
    for spoil in ({"network": {}}, {"interface": None}, {"interface": {"rate_hz": "x"}}):
        content = {
            "interface": json.loads(interface().model_dump_json()),
            "network": described,
            **spoil,
        }
        files = {"network.npz": bundle.pack(arrays), "golden.npz": bundle.pack({})}
        folder = bundle.write(tmp_path / "p", content, files)
        with pytest.raises(DataError):
            Policy.load(folder, engine="numpy")
