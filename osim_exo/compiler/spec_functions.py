"""Functions of coordinates as data: parts of a `ModelSpec`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from osim_exo.config import Config


class Constant(Config):
    """A number."""

    kind: Literal["constant"] = "constant"
    value: float


class Linear(Config):
    """sum(slopes[i] * x[i]) + intercept."""

    kind: Literal["linear"] = "linear"
    slopes: tuple[float, ...]
    intercept: float


class Polynomial(Config):
    """Polynomial of one variable, highest power first."""

    kind: Literal["polynomial"] = "polynomial"
    coefficients: tuple[float, ...] = Field(min_length=1)


class PiecewiseCubic(Config):
    """Cubic per interval, c0 + c1 t + c2 t^2 + c3 t^3 with t = x - knots[i]; straight outside.

    A SimmSpline or a natural cubic spline.
    """

    kind: Literal["piecewise_cubic"] = "piecewise_cubic"
    knots: tuple[float, ...] = Field(min_length=2)
    coefficients: tuple[tuple[float, float, float, float], ...]
    slope_left: float
    slope_right: float

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.coefficients) != len(self.knots) - 1:
            raise ValueError(
                f"{len(self.knots)} knots need {len(self.knots) - 1} cubics, not "
                f"{len(self.coefficients)}"
            )
        if any(b <= a for a, b in zip(self.knots, self.knots[1:])):
            raise ValueError("the knots of a spline must increase")
        return self


class PiecewiseLinear(Config):
    """Straight between knots, and straight on outside with the slope of the end pieces."""

    kind: Literal["piecewise_linear"] = "piecewise_linear"
    knots: tuple[float, ...] = Field(min_length=2)
    values: tuple[float, ...]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.values) != len(self.knots):
            raise ValueError(f"{len(self.knots)} knots need as many values")
        return self


class MultivariatePolynomial(Config):
    """Polynomial of several variables; exponents' sum up to `order`, last one running fastest."""

    kind: Literal["multivariate_polynomial"] = "multivariate_polynomial"
    dimension: int = Field(ge=1, le=8)
    order: int = Field(ge=0, le=12)
    coefficients: tuple[float, ...]


class Multiplier(Config):
    """Another function times a number."""

    kind: Literal["multiplier"] = "multiplier"
    scale: float
    function: Function


Function = Annotated[
    Constant
    | Linear
    | Polynomial
    | PiecewiseCubic
    | PiecewiseLinear
    | MultivariatePolynomial
    | Multiplier,
    Field(discriminator="kind"),
]
"""A function of coordinates."""
