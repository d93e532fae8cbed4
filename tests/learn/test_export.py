"""Exported networks give what the trained ones give."""

import numpy as np
import pytest

from osim_exo.errors import DataError, MissingExtraError

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from osim_exo.learn import export  # noqa: E402
from osim_exo.learn.base import Mirror, Mirroring  # noqa: E402
from osim_exo.learn.config import NetworkConfig  # noqa: E402
from osim_exo.learn.networks import Actor, Part  # noqa: E402
from osim_exo.policy import Action, Interface, Policy, Signal  # noqa: E402

SEEN, DRIVEN = ("hip_r", "hip_l", "list", "tilt"), ("a_r", "a_l", "exo_r", "exo_l")
MIRROR = Mirror(
    Mirroring.of_names(SEEN, odd=("list",)), Mirroring.of_names(()), Mirroring.of_names(DRIVEN)
)
FACE = Interface(
    observations=tuple(Signal(name=n, unit="rad", low=-3.0, high=3.0) for n in SEEN),
    actions=tuple(Action(name=n, unit="1", low=-1.0, high=1.0, squashing="clip") for n in DRIVEN),
    rate_hz=50.0,
)
PARTS = {"human": Part((0, 1, 2, 3), (0, 1)), "exo": Part((0, 1), (2, 3))}


def trained(symmetry="network", activation="relu", parts=PARTS):
    config = NetworkConfig(
        hidden=(32, 16), exo_hidden=(8, 8), symmetry=symmetry, activation=activation
    )
    actor = Actor(4, 4, parts, config, MIRROR, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name in parts:
            actor.network(name).layers[-1].weight.mul_(200.0)
    random = np.random.default_rng(0)
    actor.normaliser.update(torch.from_numpy(random.normal(1.0, 3.0, (500, 4))))
    return actor


@pytest.mark.parametrize("engine", ["onnx", "numpy"])
@pytest.mark.parametrize("activation", ["relu", "elu", "tanh"])
@pytest.mark.parametrize("symmetry", ["network", "average", "none"])
def test_an_exported_policy_gives_what_the_network_gives(tmp_path, symmetry, activation, engine):
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
    actor = trained(symmetry, activation)
    seen = np.random.default_rng(1).normal(1.0, 5.0, (300, 4)).astype(np.float32)
    with torch.no_grad():
        expected = actor(torch.from_numpy(seen)).numpy()
    for part, columns in PARTS.items():
        folder = export.export_policy(tmp_path / part, actor, part, FACE, {})
        policy = Policy.load(folder, engine=engine)
        found = policy(np.ascontiguousarray(seen[:, list(columns.observation)]))
        wanted = expected[:, list(columns.action)]
        assert np.abs(wanted).max() > 0.5
        assert np.max(np.abs(found - wanted) / (1.0 + np.abs(wanted))) < 1e-6


def test_a_part_s_interface_holds_its_own_signals(tmp_path):
    folder = export.export_policy(tmp_path / "exo", trained(), "exo", FACE, {"seed": 1})
    face = Policy.load(folder, engine="numpy").interface
    assert [signal.name for signal in face.observations] == ["hip_r", "hip_l"]
    assert [action.name for action in face.actions] == ["exo_r", "exo_l"]


def test_the_mirrored_walker_gets_the_mirrored_action_from_the_bundle_too(tmp_path):
    folder = export.export_policy(tmp_path / "human", trained(), "human", FACE, {})
    policy = Policy.load(folder, engine="numpy")
    seen = np.random.default_rng(1).normal(1.0, 5.0, (100, 4)).astype(np.float32)
    mirrored = policy(np.asarray(MIRROR.observation(seen)))
    np.testing.assert_allclose(mirrored, policy(seen)[:, [1, 0]], atol=1e-5)


def test_a_wrong_export_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "LIMIT", 0.5)
    with pytest.raises(DataError, match="differs from the trained one"):
        export.export_policy(tmp_path / "human", trained(), "human", FACE, {})
    assert not list(tmp_path.iterdir())


def test_a_missing_library_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"osim_exo\[export\]"):
        export.export_policy(tmp_path / "human", trained(), "human", FACE, {})
