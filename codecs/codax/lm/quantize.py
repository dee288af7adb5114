"""The language model of codes in integers: weights and tables for `lm.integer`, made of float weights.

Every activation has an exponent: it stands for value / 2**exponent. Exponents follow from the weights alone. Normed
values keep within six times their scale; a dense layer's output within six times the root of its kernel's energy. What
lies beyond is clipped. Kernels are as fine as exact sums allow, each output channel with an exponent of its own.
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
_PIECE = 256  # input channels that are summed at a time
_EMBEDDING_BITS = 18  # of the sum over all codebooks
_FINEST = 20  # largest exponent of a kernel


def quantize(weights: Arrays, config: LMConfig, frames: int) -> Arrays:
    """Integer arrays for sequences of at most `frames` frames.

    Args:
      weights: as `LM.flat` gives them.
      config: of the model.
      frames: positions that are needed.

    Raises:
      CodaxError: weights beyond what the arithmetic holds.
    """
    if config.dim > 500:
        raise CodaxError(f"config field lm.dim = {config.dim}: integer arithmetic holds at most 500")

    def get(name: str) -> np.ndarray:
        return np.asarray(weights[f"params.{name}"], np.float64)

    embedding = get("embedding")
    largest = np.abs(embedding).max(axis=(1, 2)).sum()
    exponent = _exponent(largest, (1 << _EMBEDDING_BITS) - 1)
    out: Arrays = {"embedding": _integers(embedding, exponent)}
    # Positions, at most 1 and with a mean square of a half, come on top.
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
    """Adds a layer; `here` and `energy` are exponent and mean square of its input, and are returned for its output."""
    dim, name = config.dim, f"layer{i}"
    kernel, bias = get(f"{place}.attention.kernel"), get(f"{place}.attention.bias")
    # Scores are powers of 2, and the root of the width goes into the queries.
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
    # Weighted values have the exponent of the values; WEIGHT_BITS more are shifted away.
    dense, _ = _dense(f"{name}.out", get(f"{place}.attention.out_kernel"), get(f"{place}.attention.out_bias"),
                      exponents[2], here)  # fmt: skip
    out |= dense
    norm, here, energy = _norm(f"{name}.norm1", get(f"{place}.norm1.scale"), get(f"{place}.norm1.bias"))
    out |= norm
    dense, hidden = _dense(f"{name}.dense1", get(f"{place}.dense1.kernel"), get(f"{place}.dense1.bias"), here, None,
                           energy)  # fmt: skip
    out |= dense
    # GELU of every value that there is. Its results are never larger.
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
      name: of the arrays.
      kernel: [in, out].
      bias: [out].
      exponent: of the input.
      result: exponent of the result; None = as fine as `limit` allows.
      energy: mean square of the input, for that.
      limit: largest result.
    """
    if result is None:
        reach = _SIGMAS * np.sqrt(energy * np.sum(kernel**2, axis=0)) + np.abs(bias)
        result = _exponent(float(reach.max()), limit)
    pieces = -(-len(kernel) // _PIECE)
    while len(kernel) % pieces:
        pieces += 1
    parts = kernel.reshape(pieces, -1, kernel.shape[1])
    room = fx.EXACT // fx.LARGEST - parts.shape[1] / 2 - 1  # rounding can add half to each weight
    sums = np.maximum(np.abs(parts).sum(axis=1).max(axis=0), 1e-9)
    fine = np.minimum(np.floor(np.log2(room / sums)), _FINEST).astype(np.int32)
    places = fine + exponent - result
    if places.min() < 0:
        raise CodaxError(f"{name}: weights of {2.0 ** -places.min():g} times what the integer arithmetic holds")
    integers = np.rint(parts * 2.0**fine).astype(np.int16)
    biases = np.rint(bias * 2.0 ** (fine + exponent))
    if np.abs(biases).max(initial=0) >= 1 << 29:
        raise CodaxError(f"{name}: biases are beyond the integer arithmetic")
    return {f"{name}.kernel": integers, f"{name}.bias": biases.astype(np.int32), f"{name}.places": places}, result


def _norm(name: str, scale: np.ndarray, bias: np.ndarray, more: float = 0.0) -> tuple[Arrays, int, float]:
    """Arrays of `fixedpoint.layer_norm`, the exponent of its result and that one's mean square.

    `more` is what will be added to the result, at most.
    """
    exponent = _exponent(float((_SIGMAS * np.abs(scale) + np.abs(bias)).max()) + more)
    gains = _integers(scale * math.sqrt(len(scale)), exponent)
    if np.abs(gains).max() >= 1 << 18:
        raise CodaxError(f"{name}: gains are beyond the integer arithmetic")
    arrays = {f"{name}.scale": gains, f"{name}.bias": _integers(bias, exponent)}
    return arrays, exponent, float(np.mean(scale**2 + bias**2))


def _exponent(reach: float, largest: int = fx.LARGEST) -> int:
    """The largest exponent with which `reach` is at most `largest`, from 0 to 12."""
    return int(np.clip(math.floor(math.log2(largest / max(reach, 1e-9))), 0, 12))


def _integers(values: np.ndarray, exponent: int) -> np.ndarray:
    return np.rint(values * 2.0**exponent).astype(np.int32)
