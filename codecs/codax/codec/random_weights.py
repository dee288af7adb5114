"""Random weights of a codec's shapes, for tests and benchmarks."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from codax.codec.module import init_variables
from codax.config import Config
from codax.quantizers.registry import make_quantizer


def random_variables(config: Config, seed: int) -> dict[str, Any]:
    """Draws random {"params", "codebook"} as NumPy arrays.

    Only the shapes are traced: compiling the real initialisation takes many seconds.
    """
    shapes = jax.eval_shape(lambda: init_variables(config))
    rng = np.random.default_rng(seed)

    def draw(shape: jax.ShapeDtypeStruct) -> np.ndarray:
        scale = 0.1 if len(shape.shape) < 2 else float(np.prod(shape.shape[:-1])) ** -0.5
        return (scale * rng.standard_normal(shape.shape)).astype(np.float32)

    params = jax.tree.map(draw, shapes["params"])
    books = make_quantizer(config).random_state(rng)
    return {"params": params, "codebook": {"quantizer": books}}
