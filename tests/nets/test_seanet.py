"""SEANet at full size, and weight normalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.codec.codec import Codec
from codax.config import presets
from codax.nets.weightnorm import fold
from codax.training.state import init_state, parameter_count


@pytest.mark.parametrize(
    ("config", "stored", "gains"),
    [(presets.encodec_24khz(), 14_851_810, 4_993), (presets.encodec_48khz(), 14_856_294, 0)],
)
def test_parameter_counts_are_those_of_the_package(config, stored, gains) -> None:
    params = jax.eval_shape(lambda: init_state(config)).generator
    # PyTorch's second bias of each of the four LSTM layers has no use of its own, and none here.
    biases = 4 * 4 * 512
    assert parameter_count(params) == stored - biases
    assert parameter_count(jax.eval_shape(fold, params)) == stored - gains - biases


def test_folding_changes_nothing_that_is_heard() -> None:
    config = presets.encodec_24khz()
    config.model.channels, config.model.dimension = 2, 4
    config.quantizer.num_quantizers, config.quantizer.codebook_size, config.quantizer.kbps = 2, 8, ()
    codec = Codec.init_random(config)
    audio = jnp.asarray(np.random.default_rng(0).standard_normal((1, 3200, 1)), jnp.float32)
    plain = codec.module.apply({"params": codec.params, "codebook": codec.codebook}, audio, method="encode_latent")
    folded = codec.module.apply(codec.engine.folded, audio, method="encode_latent")
    np.testing.assert_allclose(folded, plain, rtol=1e-5, atol=1e-5)
    names = {path[-1].key for path, _ in jax.tree_util.tree_flatten_with_path(codec.engine.folded["params"])[0]}
    assert "kernel" in names and not names & {"kernel_scale", "kernel_direction"}
