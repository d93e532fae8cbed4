"""exp, log, sin, cos and tanh of vectors, written as arithmetic that every processor has.

Each function splits its argument exactly, evaluates a polynomial on a short interval and puts the
scale back. Their polynomials are own minimax fits (Remez exchange with 60 digits, then rounded):

- exp: ``exp(r) = 1 + r + r^2 q(r)``, q of degree 9 (float32: 4) on ``|r| <= log(2)/2``, weight
  ``sqrt(r^2 + 0.02^2)``
- sin: ``r + r^3 s(r^2)``, cos: ``1 - r^2/2 + r^4 c(r^2)`` on ``|r| <= pi/4``, of degree 5
  (float32: 3)
- log: ``log(1 + f) = 2 atanh(s)``, ``s = f/(2 + f)``, ``2 atanh(s) = 2 s + s^3 l(s^2)`` of degree
  6 (float32: 3) on ``1/sqrt(2) <= 1 + f <= sqrt(2)``; how the pieces are summed follows Tang
  (1990), ACM TOMS 16(4), and K. C. Ng's fdlibm.

Arguments are reduced after Cody and Waite (1980), *Software Manual for the Elementary Functions*.
Results below the smallest normal number are zero, and log takes such arguments as zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from osim_exo.compiler.backends.vector_ir import VectorWriter

LARGEST_ANGLE = {64: 1.0e6, 32: 1.0e4}
"""sin and cos of anything beyond, by bits of a number, are NaN: no digit of it would be right."""

_LN2 = {
    64: (0.6931471805582987, 1.6465949582897082e-12),
    32: (0.6923828125, 0.0007643680437467992),
}
_HALF_PI = {
    64: (1.570796325802803, 9.920935791635221e-10, 5.170182981794105e-19),
    32: (1.5703125, 0.00048351287841796875, 3.1385570764541626e-07, 6.07710062827671e-11),
}
_EXP = {
    64: (
        2.5126277180049295e-08,
        2.7626321587178016e-07,
        2.755719639945351e-06,
        2.480150457020686e-05,
        0.00019841269931875253,
        0.0013888888932141149,
        0.008333333333304282,
        0.04166666666657502,
        0.16666666666666696,
        0.5,
    ),
    32: (
        0.0013952753506600857,
        0.008366660214960575,
        0.04166621342301369,
        0.16666541993618011,
        0.5,
    ),
}
_SIN = {
    64: (
        1.5896815060432931e-10,
        -2.5050758489663906e-08,
        2.755731369464764e-06,
        -0.00019841269829817059,
        0.008333333333322427,
        -0.16666666666666632,
    ),
    32: (
        2.718307996474323e-06,
        -0.0001983933470910415,
        0.008333329111337662,
        -0.1666666716337204,
    ),
}
_COS = {
    64: (
        -1.1359744086962316e-11,
        2.087572530195223e-09,
        -2.7557314368830976e-07,
        2.480158728954643e-05,
        -0.0013888888888874242,
        0.0416666666666666,
    ),
    32: (
        -2.7210325015403214e-07,
        2.4799521270324476e-05,
        -0.0013888883404433727,
        0.0416666679084301,
    ),
}
_LOG = {
    64: (
        0.14796250269495861,
        0.15314022161843488,
        0.18183565368818574,
        0.2222219855446542,
        0.2857142874255631,
        0.3999999999941399,
        0.6666666666666734,
    ),
    32: (
        0.23582132160663605,
        0.28537312150001526,
        0.4000033438205719,
        0.6666666269302368,
    ),
}
_MANTISSA = {64: 52, 32: 23}
_BIAS = {64: 1023, 32: 127}
_SHIFTER = {64: 1.5 * 2.0**52, 32: 1.5 * 2.0**23}
"""Added to a small number, its last bits hold the nearest integer."""
_OVERFLOW = {64: 709.782712893384, 32: 88.72283}
_UNDERFLOW = {64: -707.7, 32: -86.6}
_SMALLEST = {64: 2.0**-1022, 32: 2.0**-126}
_SATURATED = {64: 20.0, 32: 10.0}


def horner(w: VectorWriter, x: str, coefficients: Sequence[float]) -> str:
    """Polynomial in x, the highest power first."""
    total = w.constant(coefficients[0])
    for c in coefficients[1:]:
        total = w.add(w.mul(total, x), w.constant(c))
    return total


def _exp_parts(w: VectorWriter, x: str, exponent: int) -> tuple[str, str]:
    """(exp(r) - 1, 2^(n + exponent)) with x = n log(2) + r."""
    # The bias of the exponent rides on the shifter, so that a shift alone makes the power of two.
    shifter = w.constant(_SHIFTER[w.bits] + _BIAS[w.bits] + exponent)
    shifted = w.add(w.mul(x, w.constant(1.0 / math.log(2.0))), shifter)
    n = w.sub(shifted, shifter)
    r = x
    for part in _LN2[w.bits]:
        r = w.sub(r, w.mul(n, w.constant(part)))
    tail = w.mul(w.mul(r, r), horner(w, r, _EXP[w.bits]))
    scale = w.integral("shl", w.to_integer(shifted), w.integers(_MANTISSA[w.bits]))
    return w.add(r, tail), w.to_float(scale)


def exp(w: VectorWriter, x: str) -> str:
    """E to the x; infinity above the range, zero below it."""
    # 2 exp(r) 2^(n-1): 2^n alone would overflow just below the largest result.
    minus_one, half_scale = _exp_parts(w, x, -1)
    value = w.mul(w.add(w.add(minus_one, minus_one), w.constant(2.0)), half_scale)
    over = w.compare("ogt", x, w.constant(_OVERFLOW[w.bits]))
    under = w.compare("olt", x, w.constant(_UNDERFLOW[w.bits]))
    value = w.select(over, w.constant(math.inf), value)
    return w.select(under, w.constant(0.0), value)


def tanh(w: VectorWriter, x: str) -> str:
    """Hyperbolic tangent, with small relative error also near zero."""
    size = w.intrinsic("fabs", x)
    limit = w.constant(_SATURATED[w.bits])
    size = w.select(w.compare("ogt", size, limit), limit, size)
    minus_one, scale = _exp_parts(w, w.add(size, size), 0)
    # expm1(2 |x|): n = 0 leaves exp(r) - 1 as it is, so nothing cancels near zero.
    e = w.add(w.mul(scale, minus_one), w.sub(scale, w.constant(1.0)))
    value = w.to_integer(w.div(e, w.add(e, w.constant(2.0))))
    sign = w.integral("and", w.to_integer(x), w.integers(1 << (w.bits - 1)))
    return w.to_float(w.integral("or", value, sign))


def log(w: VectorWriter, x: str) -> str:
    """Natural logarithm; -infinity at zero, NaN below."""
    mantissa, smallest = _MANTISSA[w.bits], _SMALLEST[w.bits]
    root = 0x3FE6A09E667F3BCD if w.bits == 64 else 0x3F3504F3  # the bits of sqrt(1/2)
    x_bits = w.to_integer(x)
    above = w.integral("sub", x_bits, w.integers(root))
    k_bits = w.integral("and", above, w.integers(-(1 << mantissa)))
    m = w.to_float(w.integral("sub", x_bits, k_bits))
    # k may be negative: 2^(bits - mantissa - 2) is added before the shift that knows no sign.
    lift = 1 << (w.bits - mantissa - 2)
    k = w.integral("add", k_bits, w.integers(lift << mantissa))
    k = w.integral("lshr", k, w.integers(mantissa))
    shifter = _SHIFTER[w.bits]
    pattern = 0x4338000000000000 if w.bits == 64 else 0x4B400000  # the bits of the shifter
    k = w.sub(w.to_float(w.integral("or", k, w.integers(pattern))), w.constant(shifter + lift))
    f = w.sub(m, w.constant(1.0))
    s = w.div(f, w.add(f, w.constant(2.0)))
    z = w.mul(s, s)
    rest = w.mul(z, horner(w, z, _LOG[w.bits]))
    half = w.mul(w.mul(f, f), w.constant(0.5))
    ln2, ln2_tail = _LN2[w.bits]
    small = w.add(w.mul(s, w.add(half, rest)), w.mul(k, w.constant(ln2_tail)))
    value = w.sub(w.mul(k, w.constant(ln2)), w.sub(w.sub(half, small), f))
    tiny = w.compare("olt", x, w.constant(smallest))
    negative = w.compare("olt", x, w.constant(0.0))
    infinite = w.compare("oeq", x, w.constant(math.inf))
    unordered = w.compare("uno", x, x)
    value = w.select(tiny, w.constant(-math.inf), value)
    value = w.select(negative, w.constant(math.nan), value)
    return w.select(w.logical("or", infinite, unordered), x, value)


def sincos(w: VectorWriter, x: str) -> tuple[str, str]:
    """Sine and cosine of an angle up to `LARGEST_ANGLE`; NaN beyond."""
    size = w.intrinsic("fabs", x)
    within = w.compare("ole", size, w.constant(LARGEST_ANGLE[w.bits]))
    shifter = w.constant(_SHIFTER[w.bits])
    shifted = w.add(w.mul(x, w.constant(2.0 / math.pi)), shifter)
    n = w.sub(shifted, shifter)
    quadrant = w.to_integer(shifted)
    r = w.select(within, x, w.constant(math.nan))
    for part in _HALF_PI[w.bits]:
        r = w.sub(r, w.mul(n, w.constant(part)))
    z = w.mul(r, r)
    sine = w.add(r, w.mul(w.mul(r, z), horner(w, z, _SIN[w.bits])))
    head = w.sub(w.constant(1.0), w.mul(z, w.constant(0.5)))
    cosine = w.add(head, w.mul(w.mul(z, z), horner(w, z, _COS[w.bits])))
    even = w.equal(w.integral("and", quadrant, w.integers(1)), w.integers(0))
    turned = w.integral("add", quadrant, w.integers(1))
    return (
        _signed(w, w.select(even, sine, cosine), quadrant),
        _signed(w, w.select(even, cosine, sine), turned),
    )


def _signed(w: VectorWriter, x: str, quadrant: str) -> str:
    """-x where the quadrant's second bit is set."""
    flip = w.integral("and", quadrant, w.integers(2))
    flip = w.integral("shl", flip, w.integers(w.bits - 2))
    return w.to_float(w.integral("xor", w.to_integer(x), flip))
