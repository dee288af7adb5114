"""Language models of any codec's codes with random weights, for the tests of files."""

from __future__ import annotations

import jax
import numpy as np
from codax.config import Config
from codax.lm.config import LMConfig
from codax.lm.model import LanguageModel
from codax.lm.predictor import LM


def random_lm(config: Config, seed: int) -> LM:
    """A language model of the size that the codec's `config.lm` says."""
    lm = LMConfig.of_recipe(config)
    net = LanguageModel(lm)
    shapes = jax.eval_shape(net.init, jax.random.key(0), np.zeros((1, 1, lm.codebooks), np.int32))["params"]
    rng = np.random.default_rng(seed)
    return LM(lm, jax.tree.map(lambda s: rng.normal(0, 0.2, s.shape).astype(np.float32), shapes))
