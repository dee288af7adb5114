"""Counts the share of a program's work that is in loops.

XLA's cost analysis counts the body of a loop once, whatever its number of iterations. This module counts the matrix
products and convolutions of the program before compilation, where the lengths of loops are known.
"""

from __future__ import annotations

import math
from typing import Any

from jax.extend import core


def loop_factor(jaxpr: Any) -> float:
    """Ratio of the product FLOPs of a closed jaxpr to those with every loop executed once."""
    once = product_flops(jaxpr, loops=False)
    return product_flops(jaxpr, loops=True) / once if once else 1.0


def product_flops(jaxpr: Any, *, loops: bool) -> float:
    """FLOPs of all matrix products and convolutions; of a conditional, those of the most expensive branch.

    Args:
      jaxpr: of one device if it is mapped over several.
      loops: whether to multiply by the number of iterations of a loop, if it is known.
    """
    total = 0.0
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        name, params = equation.primitive.name, equation.params
        if name == "dot_general":
            contracted = params["dimension_numbers"][0][0]
            shape = equation.invars[0].aval.shape
            total += 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(shape[i] for i in contracted)
        elif name == "conv_general_dilated":
            total += _convolution(equation)
        else:
            inner = [product_flops(part, loops=loops) for part in _parts(params)]
            inside = max(inner, default=0.0) if name == "cond" else sum(inner)
            total += inside * (params["length"] if loops and name == "scan" else 1)
    return total


def _convolution(equation: Any) -> float:
    """Two per output, tap and input channel; taps on zeros inserted by dilation are not counted."""
    kernel, params = equation.invars[1].aval.shape, equation.params
    _, features, *spatial = params["dimension_numbers"].rhs_spec
    taps = math.prod(kernel[i] for i in spatial) * kernel[features]
    spread = math.prod(params["lhs_dilation"])
    return 2 * math.prod(equation.outvars[0].aval.shape) * taps / spread


def _parts(params: dict[str, Any]) -> list[Any]:
    """The jaxprs in an equation's parameters."""
    parts = []
    for value in params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(item, (core.Jaxpr, core.ClosedJaxpr)):
                parts.append(item)
    return parts
