"""Wrong settings are told in words: what was given, and both ends of what is allowed."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from osim_exo.config import Config
from osim_exo.errors import InputError

Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class Inner(Config):
    count: int = Field(default=1, ge=1, le=9)
    share: Share | None = None


class Outer(Config):
    slope: float = Field(default=0.0, ge=-15.0, le=15.0)
    speed: float | None = Field(default=None, gt=0.0, le=2.2)
    mass: float = Field(gt=0.0)
    top: float = Field(default=0.0, le=3.0)
    below: float = Field(default=0.0, lt=3.0)
    shares: tuple[Share, ...] = Field(default=(0.5,), min_length=1)
    pair: tuple[Share, ...] = Field(default=(0.5, 0.5), min_length=2)
    factors: dict[str, Share] = Field(default_factory=dict)
    inner: Inner = Field(default_factory=Inner)
    kind: Literal["a", "b"] = "a"


def message(**fields: object) -> str:
    with pytest.raises(InputError) as caught:
        Outer(**{"mass": 1.0, **fields})
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"slope": 16}, "slope: 16 was given; allowed is -15 to 15."),
        ({"slope": -16}, "slope: -16 was given; allowed is -15 to 15."),
        ({"slope": float("nan")}, "slope: nan was given; allowed is a finite number, -15 to 15."),
        ({"speed": 3}, "speed: 3 was given; allowed is more than 0, up to 2.2."),
        ({"mass": -1}, "mass: -1 was given; allowed is more than 0."),
        ({"top": 4}, "top: 4 was given; allowed is at most 3."),
        ({"below": 3}, "below: 3 was given; allowed is less than 3."),
        ({"shares": [0.5, 1]}, "shares.1: 1 was given; allowed is more than 0, less than 1."),
        (
            {"factors": {"soleus": 2}},
            "factors.soleus: 2 was given; allowed is more than 0, less than 1.",
        ),
        ({"inner": {"count": 0}}, "inner.count: 0 was given; allowed is 1 to 9."),
        (
            {"inner": {"share": 1.5}},
            "inner.share: 1.5 was given; allowed is more than 0, less than 1.",
        ),
        ({"shares": []}, "shares: [] was given; at least 1 item must be given."),
        ({"pair": [0.5]}, "pair: [0.5] was given; at least 2 items must be given."),
        ({"kind": "c"}, "kind: 'c' was given; input should be 'a' or 'b'."),
        ({"colour": 1}, "colour: there is no such field; the fields of Outer are: slope, speed, "),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(fields: dict, expected: str) -> None:
    assert message(**fields).startswith(f"Outer cannot be made. {expected}")


def test_a_wrong_item_is_one_fault_and_not_a_list_too_short_as_well() -> None:
    assert message(shares=["much"]).count("was given") == 1


def test_every_fault_is_told() -> None:
    found = message(slope=16, inner={"count": 10})
    assert "slope: 16" in found
    assert "inner.count: 10" in found


def test_a_field_that_is_missing_is_named_without_everything_else_that_was_given() -> None:
    with pytest.raises(InputError) as caught:
        Outer.model_validate({"slope": 1.0})
    assert str(caught.value) == (
        "Outer cannot be made. mass: this field is required and was not given."
    )
