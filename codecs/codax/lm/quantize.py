"""Quantizes a language model: integer weights and tables for `lm.integer` from float weights.

Every activation has an exponent: an integer represents value / 2**exponent. The exponents depend on the weights alone.
Normalised values are assumed to lie within six times their scale, and outputs of dense layers within six times the
square root of their kernel's energy; larger values are clipped. Kernels use the finest resolution that keeps sums
exact, with an exponent for each output channel.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.special

from codax.errors import CodaxError
from codax.lm import fixedpoint as fx
from codax.lm.config import LMConfig

Arrays = dict[str, np.ndarray]
_SIGMAS = 6.0
_PIECE = 256  # input channels summed at once
_EMBEDDING_BITS = 18  # of the sum over all codebooks
_FINEST = 20  # largest exponent of a kernel


def quantize(weights: Arrays, config: LMConfig, frames: int) -> Arrays:
    """Integer arrays for sequences of at most `frames` frames.

    Args:
      weights: as in `LM.flat`.
      config: of the model.
      frames: number of positions.

    Raises:
      CodaxError: the weights exceed the range of the integer arithmetic.
    """
    if config.dim > 500:
        raise CodaxError(f"config field lm.dim = {config.dim}: integer arithmetic holds at most 500")

    def get(name: str) -> np.ndarray:
        return np.asarray(weights[f"params.{name}"], np.float64)

    embedding = get("embedding")
    largest = np.abs(embedding).max(axis=(1, 2)).sum()
    exponent = _exponent(largest, (1 << _EMBEDDING_BITS) - 1)
    out: Arrays = {"embedding": _integers(embedding, exponent)}
    # Position embeddings (at most 1, mean square 1/2) are added.
    norm, here, energy = _norm("norm_in", get("transformer.norm_in.scale"), get("transformer.norm_in.bias"), more=1.0)
    out |= norm
    out["positions"] = _integers(positions(frames, config), here)
    energy += 0.5
    for i in range(config.layers):
        out, here, energy = _layer(out, get, f"transformer.layer{i}", i, config, here, energy)
    kernel = get("kernel").reshape(config.dim, -1) / math.log(2)
    dense, _ = _dense("head", kernel, get("bias").reshape(-1) / math.log(2), here, fx.FRACTION)
    out |= dense
    out["exp2"] = np.rint(2.0 ** (fx.EXP2_BITS + np.arange(1 << fx.FRACTION) / (1 << fx.FRACTION))).astype(np.int32)
    return out


def _layer(out: Arrays, get, place: str, i: int, config: LMConfig, here: int, energy: float):
    """Adds a layer; `here` and `energy` are the exponent and mean square of its input; returns those of its output."""
    dim, name = config.dim, f"layer{i}"
    kernel, bias = get(f"{place}.attention.kernel"), get(f"{place}.attention.bias")
    # Scores are in powers of 2; 1 / sqrt(width) is folded into the queries.
    factor = (dim // config.heads) ** -0.5 / math.log(2)
    parts = zip(np.split(kernel, 3, axis=1), np.split(bias, 3), (factor, 1.0, 1.0), strict=True)
    exponents = []
    for part, (w, b, f) in zip(("queries", "keys", "values"), parts, strict=True):
        limit = fx.LARGEST if part == "values" else fx.LARGEST_QUERY
        dense, exponent = _dense(f"{name}.{part}", f * w, f * b, here, None, energy, limit)
        out |= dense
        exponents.append(exponent)
    excess = exponents[0] + exponents[1] - fx.FRACTION
    if excess < 0:
        raise CodaxError(f"{place}: scores of {2**-excess} are beyond the integer arithmetic")
    out[f"{name}.score_places"] = np.asarray(excess, np.int32)
    # Weighted values have WEIGHT_BITS more bits than the values; they are shifted away.
    dense, _ = _dense(f"{name}.out", get(f"{place}.attention.out_kernel"), get(f"{place}.attention.out_bias"),
                      exponents[2], here)  # fmt: skip
    out |= dense
    norm, here, energy = _norm(f"{name}.norm1", get(f"{place}.norm1.scale"), get(f"{place}.norm1.bias"))
    out |= norm
    dense, hidden = _dense(f"{name}.dense1", get(f"{place}.dense1.kernel"), get(f"{place}.dense1.bias"), here, None,
                           energy)  # fmt: skip
    out |= dense
    # Table of GELU for every input. Its magnitude never exceeds that of the input.
    values = np.arange(-fx.LARGEST, fx.LARGEST + 1) / 2.0**hidden
    out[f"{name}.gelu"] = _integers(values * 0.5 * (1 + scipy.special.erf(values / math.sqrt(2))), hidden)
    dense, _ = _dense(f"{name}.dense2", get(f"{place}.dense2.kernel"), get(f"{place}.dense2.bias"), hidden, here)
    out |= dense
    norm, here, energy = _norm(f"{name}.norm2", get(f"{place}.norm2.scale"), get(f"{place}.norm2.bias"))
    out |= norm
    return out, here, energy


def positions(frames: int, config: LMConfig) -> np.ndarray:
    """Position embeddings float64 [frames, dim]; see `nets.transformer.sinusoids`."""
    half = config.dim // 2
    phase = np.arange(frames)[:, None] / config.period ** (np.arange(half) / (half - 1))
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=1)


def _dense(
    name: str,
    kernel: np.ndarray,
    bias: np.ndarray,
    exponent: int,
    result: int | None,
    energy: float = 1.0,
    limit: int = fx.LARGEST,
) -> tuple[Arrays, int]:
    """Arrays of `fixedpoint.dense` and the exponent of its result.

    Args:
      name: prefix of the arrays.
      kernel: [in, out].
      bias: [out].
      exponent: of the input.
      result: exponent of the result; None = as fine as `limit` allows.
      energy: mean square of the input, used if `result` is None.
      limit: largest magnitude of the result.
    """
    if result is None:
        reach = _SIGMAS * np.sqrt(energy * np.sum(kernel**2, axis=0)) + np.abs(bias)
        result = _exponent(float(reach.max()), limit)
    pieces = -(-len(kernel) // _PIECE)
    while len(kernel) % pieces:
        pieces += 1
    parts = kernel.reshape(pieces, -1, kernel.shape[1])
    capacity = fx.EXACT // fx.LARGEST - parts.shape[1] / 2 - 1  # rounding can add half to each weight
    sums = np.maximum(np.abs(parts).sum(axis=1).max(axis=0), 1e-9)
    fine = np.minimum(np.floor(np.log2(capacity / sums)), _FINEST).astype(np.int32)
    places = fine + exponent - result
    if places.min() < 0:
        raise CodaxError(f"{name}: weights of {2.0 ** -places.min():g} times what the integer arithmetic holds")
    integers = np.rint(parts * 2.0**fine).astype(np.int16)
    biases = np.rint(bias * 2.0 ** (fine + exponent))
    if np.abs(biases).max(initial=0) >= 1 << 29:
        raise CodaxError(f"{name}: biases are beyond the integer arithmetic")
    return {f"{name}.kernel": integers, f"{name}.bias": biases.astype(np.int32), f"{name}.places": places}, result


def _norm(name: str, scale: np.ndarray, bias: np.ndarray, more: float = 0.0) -> tuple[Arrays, int, float]:
    """Arrays of `fixedpoint.layer_norm`, and the exponent and mean square of its result.

    `more` is the largest magnitude that will be added to the result.
    """
    exponent = _exponent(float((_SIGMAS * np.abs(scale) + np.abs(bias)).max()) + more)
    gains = _integers(scale * math.sqrt(len(scale)), exponent)
    if np.abs(gains).max() >= 1 << 18:
        raise CodaxError(f"{name}: gains are beyond the integer arithmetic")
    arrays = {f"{name}.scale": gains, f"{name}.bias": _integers(bias, exponent)}
    return arrays, exponent, float(np.mean(scale**2 + bias**2))


def _exponent(reach: float, largest: int = fx.LARGEST) -> int:
    """The largest exponent in 0 to 12 with which `reach` is at most `largest`."""
    return int(np.clip(math.floor(math.log2(largest / max(reach, 1e-9))), 0, 12))


def _integers(values: np.ndarray, exponent: int) -> np.ndarray:
    return np.rint(values * 2.0**exponent).astype(np.int32)
