"""ELU, the activation of SoundStream and EnCodec (Clevert et al., arXiv 1511.07289)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from codax.runtime.platforms import platform

_LOG2 = 0.6931471805599453
_LOWEST = -25.0  # below this exp(x) - 1 is -1 in float32
# Chebyshev fit of (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2; the relative error of exp(r) - 1 is at most 2e-8.
_COEFFICIENTS = (0.00139337332, 0.00836323538, 0.0416664642, 0.166665766, 0.500000001)


def elu(x: jax.Array) -> jax.Array:
    """x if positive, otherwise exp(x) - 1; any shape."""
    negative = jnp.minimum(x, 0)
    return jnp.maximum(x, 0) + (expm1_of_negative(negative) if platform() == "cpu" else jnp.expm1(negative))


@jax.jit  # exporters recognise the function by its name
def expm1_of_negative(x: jax.Array) -> jax.Array:
    """exp(x) - 1 for x <= 0, more accurate than XLA's expm1, which uses tanh and exp.

    With x = k log 2 + r it is 2^k (exp(r) - 1) + (2^k - 1): a polynomial, and 2^k from its exponent bits.
    """
    return _expm1(x)


@jax.custom_jvp
def _expm1(x: jax.Array) -> jax.Array:
    wide = jnp.maximum(x.astype(jnp.float32), _LOWEST)
    k = jax.lax.round(wide / _LOG2, jax.lax.RoundingMethod.TO_NEAREST_EVEN)
    r = wide - k * _LOG2  # exact for k = 0, where the result is small
    polynomial: jax.Array | float = _COEFFICIENTS[0]
    for coefficient in _COEFFICIENTS[1:]:
        polynomial = polynomial * r + coefficient
    power = jax.lax.bitcast_convert_type((k.astype(jnp.int32) + 127) << 23, jnp.float32)
    return (power * (r + r * r * polynomial) + (power - 1)).astype(x.dtype)


@_expm1.defjvp
def _expm1_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    y = _expm1(*primals)
    return y, tangents[0] * (y + 1)
