"""Requests that make no sense are refused in words."""

import pytest

from osim_exo.baseline import BaselineConfig, Solver, StrideTime, Weights
from osim_exo.control.profiles import TorqueTable
from osim_exo.errors import InputError
from osim_exo.models import HipExo, ModelConfig


@pytest.mark.parametrize("speed", [0.0, -1.0, 2.3, float("nan"), float("inf")])
def test_speeds_nobody_walks_at_are_refused(speed: float) -> None:
    with pytest.raises(InputError, match="speed"):
        BaselineConfig(speed=speed)


def test_condition_exo_and_controller_must_belong_together() -> None:
    worn = ModelConfig(exo=HipExo())
    with pytest.raises(InputError, match="no_exo takes a model without"):
        BaselineConfig(model=worn)
    with pytest.raises(InputError, match="zero_torque needs an exo"):
        BaselineConfig(condition="zero_torque")
    with pytest.raises(InputError, match="needs a controller"):
        BaselineConfig(model=worn, condition="assisted")
    with pytest.raises(InputError, match="the others take none"):
        BaselineConfig(model=worn, condition="zero_torque", controller="optimal")
    with pytest.raises(InputError, match="torque table"):
        BaselineConfig(model=worn, condition="assisted", controller="playback")


def test_compliant_tendons_are_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="rigid tendons"):
        BaselineConfig(model=ModelConfig(tendon="compliant"))


def test_the_stride_times_range_must_be_in_order() -> None:
    with pytest.raises(InputError, match="below"):
        StrideTime(low=1.4, high=0.9)


def test_weakness_of_one_side_asks_for_a_whole_stride() -> None:
    assert BaselineConfig().half_stride
    assert BaselineConfig(model=ModelConfig(weakness={"soleus": 0.5})).half_stride
    assert not BaselineConfig(model=ModelConfig(weakness={"soleus_r": 0.5})).half_stride


def test_the_hash_knows_every_setting_and_the_model() -> None:
    table = TorqueTable(phase=(0.0, 0.5), right=(1.0, 2.0), left=(1.0, 2.0))
    worn = ModelConfig(exo=HipExo())
    requests = [
        BaselineConfig(),
        BaselineConfig(speed=1.0),
        BaselineConfig(weights=Weights(effort=2.0)),
        BaselineConfig(solver=Solver(mesh_intervals=25)),
        BaselineConfig(stride_time=StrideTime(fixed=1.1)),
        BaselineConfig(model=ModelConfig(slope_deg=1.0)),
        BaselineConfig(model=ModelConfig(weakness={"soleus": 0.5})),
        BaselineConfig(model=worn, condition="zero_torque"),
        BaselineConfig(model=worn, condition="assisted", controller="optimal"),
        BaselineConfig(model=worn, condition="assisted", controller="playback", playback=table),
    ]
    hashes = [r.hash for r in requests]
    assert len(set(hashes)) == len(hashes)
    assert BaselineConfig().hash == hashes[0]
    # The weight of an optimal exo's rate counts where there is one.
    optimal = requests[8]
    assert optimal.changed(weights=Weights(exo_rate=0.02)).hash != optimal.hash
    again = BaselineConfig.model_validate_json(requests[-1].model_dump_json())
    assert again.hash == hashes[-1]
