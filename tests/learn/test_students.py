"""Students: by hand, in torch, in numpy and in ONNX."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from osim_exo import bundle  # noqa: E402
from osim_exo.errors import DataError, InputError  # noqa: E402
from osim_exo.learn.export_students import export_student  # noqa: E402
from osim_exo.learn.students import Student, StudentConfig  # noqa: E402
from osim_exo.networks import network  # noqa: E402
from osim_exo.policy import Action, Interface, Policy  # noqa: E402
from osim_exo.sensors import sensor_signals  # noqa: E402

CONFIGS = {
    "tcn": StudentConfig(kind="tcn", history=12, blocks=(2, 3, 2), width=8),
    "gru": StudentConfig(kind="gru", history=12, block=3, width=8, head=6),
}


def student(kind):
    found = Student(CONFIGS[kind], 2, 2, torch.Generator().manual_seed(3))
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(
                0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
            )
    found.normalise_like(torch.randn(200, 24) * 2.0 + 0.5)
    return found


def windows(n=50, scale=3.0):
    return (scale * np.random.default_rng(0).standard_normal((n, 24))).astype(np.float32)


def interface(**changes):
    actions = [
        Action(
            name=f"exo_hip_{s}",
            unit="Nm/kg",
            low=-0.2,
            high=0.2,
            squashing="clip",
            gain=0.2,
            positive=f"hip_flexion_{s} positive",
        )
        for s in "rl"
    ]
    fields = {"observations": sensor_signals(["thigh_gyro"]), "actions": actions}
    return Interface(**{**fields, "rate_hz": 100.0, "history": 12, **changes})


def described(kind, **changes):
    content = {"kind": kind, "activation": "relu", "limit": 10.0, **changes}
    return {"network": content}


@pytest.mark.parametrize("engine", ["onnx", "numpy"])
@pytest.mark.parametrize("kind", ["tcn", "gru"])
def test_a_bundle_gives_what_torch_gives(kind, engine, tmp_path):
    trained = student(kind)
    export_student(tmp_path / "s", trained, interface(), {"seed": 1}, windows())
    policy = Policy.load(tmp_path / "s", engine)
    with torch.no_grad():
        expected = trained(torch.from_numpy(windows(500))).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(policy(windows(500)), expected, atol=2e-6, rtol=1e-5)


def test_a_tcn_is_a_stack_of_dilated_causal_convolutions():
    """PyTorch's own dilated convolutions over the window, and their newest output."""
    trained = student("tcn")
    values = torch.from_numpy(windows(20))
    normal = ((values - trained.centre) * trained.scale).clamp(-10, 10)
    signal = normal.reshape(20, 12, 2).transpose(1, 2)
    dilation = 1
    for layer, block in zip(trained.layers[:-1], trained.config.blocks):
        n_in = signal.shape[1]
        kernel = layer.weight.reshape(-1, block, n_in).transpose(1, 2)
        signal = torch.relu(
            torch.nn.functional.conv1d(signal, kernel, layer.bias, dilation=dilation)
        )
        dilation *= block
    assert signal.shape == (20, 8, 1)
    expected = trained.layers[-1](signal[:, :, 0])
    torch.testing.assert_close(trained(values), expected)


def test_a_tcn_of_numbers_by_hand():
    arrays = {
        "centre": np.zeros(4, np.float32),
        "scale": np.ones(4, np.float32),
        "weight_0": np.array([[1.0, -1.0]], np.float32),
        "bias_0": np.array([0.5], np.float32),
        "weight_1": np.array([[2.0, 1.0]], np.float32),
        "bias_1": np.array([0.0], np.float32),
        "weight_2": np.array([[3.0]], np.float32),
        "bias_2": np.array([-1.0], np.float32),
    }
    run = network(bundle.pack(arrays), described("tcn", blocks=[2, 2]))
    # relu(3 - 1 + .5) = 2.5, relu(1 - 4 + .5) = 0; relu(2 * 2.5 + 0) = 5; 3 * 5 - 1
    assert run(np.array([[3.0, 1.0, 1.0, 4.0]], np.float32)) == pytest.approx(14.0)


def test_a_gru_of_numbers_by_hand():
    arrays = {
        "centre": np.zeros(2, np.float32),
        "scale": np.ones(2, np.float32),
        "gru_weight_input": np.array([[0.5], [-1.0], [2.0]], np.float32),
        "gru_weight_state": np.array([[1.0], [0.5], [-1.5]], np.float32),
        "gru_bias_input": np.array([0.1, 0.2, 0.3], np.float32),
        "gru_bias_state": np.array([0.0, -0.1, 0.4], np.float32),
        "weight_0": np.array([[2.0]], np.float32),
        "bias_0": np.array([1.0], np.float32),
    }
    run = network(bundle.pack(arrays), described("gru", block=1))
    state = 0.0
    for x in (1.0, -0.5):
        r = 1 / (1 + np.exp(-(0.5 * x + 0.1 + 1.0 * state)))
        z = 1 / (1 + np.exp(-(-1.0 * x + 0.2 + 0.5 * state - 0.1)))
        fresh = np.tanh(2.0 * x + 0.3 + r * (-1.5 * state + 0.4))
        state = (1 - z) * fresh + z * state
    assert run(np.array([[1.0, -0.5]], np.float32)) == pytest.approx(2 * state + 1, rel=1e-6)


@pytest.mark.parametrize("kind", ["tcn", "gru"])
def test_arrays_that_do_not_fit_are_refused(kind):
    trained = student(kind)
    whole = trained.arrays()
    content = {"network": trained.described()}
    for name in whole:
        missing = {n: a for n, a in whole.items() if n != name}
        with pytest.raises(DataError):
            network(bundle.pack(missing), content)
    with pytest.raises(DataError, match="kind 'lstm'"):
        network(bundle.pack(whole), {"network": {**content["network"], "kind": "lstm"}})
    with pytest.raises(DataError):
        network(bundle.pack({**whole, "centre": whole["centre"][:-1]}), content)


def test_blocks_that_do_not_make_the_window_are_refused():
    with pytest.raises(InputError, match="do not make a history of 100"):
        StudentConfig(blocks=(5, 5))
    with pytest.raises(InputError, match="does not divide"):
        StudentConfig(kind="gru", block=7)
    trained = student("tcn")
    content = {"network": {**trained.described(), "blocks": [2, 3]}}
    with pytest.raises(DataError, match="blocks of"):
        network(bundle.pack(trained.arrays()), content)


def test_windows_of_another_size_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"needed is \(n, 24\)"):
        export_student(tmp_path / "s", student("tcn"), interface(), {}, np.zeros((5, 20)))


def test_signals_that_never_vary_are_not_seen():
    trained = student("tcn")
    still = torch.from_numpy(windows(100))
    still[:, 1::2] = 0.3
    trained.normalise_like(still)
    moved = still.clone()
    moved[:, 1::2] = 9.0
    torch.testing.assert_close(trained(still), trained(moved))
