"""ELU, the activation of SoundStream and EnCodec (Clevert et al., arXiv 1511.07289)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from codax.backend import platform

_LOG2E = 1.4426950408889634
# log 2 as a number of few digits, whose small multiples are exact in float32, and the rest.
_LOG2_HIGH, _LOG2_LOW = 0.693359375, -2.12194440e-4
_LOWEST = -25.0  # exp(x) - 1 is -1 in float32 from here on
_COEFFICIENTS = (1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2)  # of the exponential series


def elu(x: jax.Array) -> jax.Array:
    """x where it is positive, else exp(x) - 1; any shape."""
    negative = jnp.where(x > 0, 0, x)  # and not a minimum, whose slope at 0 is a half
    return jnp.where(x > 0, x, expm1_of_negative(negative) if platform() == "cpu" else jnp.expm1(negative))


@jax.jit  # whose name tells exporters what this is
def expm1_of_negative(x: jax.Array) -> jax.Array:
    """exp(x) - 1 for x up to 0: nearer to it than XLA's own, which takes a hyperbolic tangent and an exponential.

    With x = k log 2 + r it is 2^k (exp(r) - 1) + (2^k - 1): a short series, and a float made of its exponent's bits.
    """
    return _expm1(x)


@jax.custom_jvp
def _expm1(x: jax.Array) -> jax.Array:
    wide = jnp.maximum(x.astype(jnp.float32), _LOWEST)
    k = jnp.round(wide * _LOG2E)
    r = wide - k * _LOG2_HIGH - k * _LOG2_LOW
    series = jnp.full_like(r, _COEFFICIENTS[0])
    for coefficient in _COEFFICIENTS[1:]:
        series = series * r + coefficient
    power = jax.lax.bitcast_convert_type((k.astype(jnp.int32) + 127) << 23, jnp.float32)
    return (power * (r + r * r * series) + (power - 1)).astype(x.dtype)


@_expm1.defjvp
def _expm1_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    y = _expm1(*primals)
    return y, tangents[0] * (y + 1)
