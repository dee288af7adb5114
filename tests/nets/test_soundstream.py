"""SoundStream's sizes: the full models by shape alone."""

import jax
import pytest
from codax.config import Config, ConfigError
from codax.training.state import init_state, parameter_count


def conv_count(width, inputs, outputs):
    return width * inputs * outputs + outputs


def expected_parameters(channels, strides, dimension):
    """Counted layer by layer from the paper's description."""
    total, width = 0, channels
    total += conv_count(7, 1, channels) + conv_count(7, channels, 1)
    for stride in strides:
        units = 3 * (conv_count(7, width, width) + conv_count(1, width, width))
        total += 2 * units + conv_count(2 * stride, width, 2 * width) + conv_count(2 * stride, 2 * width, width)
        width *= 2
    return total + conv_count(3, width, dimension) + conv_count(7, dimension, width)


@pytest.mark.parametrize("channels,dimension,published", [(32, 64, 9.5e6), (32, 512, 11.8e6), (16, 64, None)])
def test_parameter_counts(channels, dimension, published):
    config = Config()
    config.model.channels, config.model.dimension = channels, dimension
    count = parameter_count(jax.eval_shape(lambda: init_state(config)).generator)
    assert count == expected_parameters(channels, config.model.strides, dimension)
    if published:
        assert abs(count - published) < 0.05e6


def test_full_size_shapes():
    config = Config()
    state = jax.eval_shape(lambda: init_state(config))
    assert parameter_count(state.generator) == 9_510_977
    assert state.codebook["quantizer"]["embedding"].shape == (24, 1024, 64)
    assert {k: parameter_count(v) for k, v in state.discriminator.items()} == {
        "stft": 5_547_585,
        "wave0": 5_637_953,
        "wave1": 5_637_953,
        "wave2": 5_637_953,
    }


def test_computed_facts():
    config = Config()
    assert (config.hop, config.frame_rate, config.bits_per_code) == (320, 75.0, 10)
    assert [config.quantizers_for(k) for k in (3, 6, 12, 18)] == [4, 8, 16, 24]
    assert config.kbps(24) == 18.0
    assert config.latency_ms == pytest.approx(13.3, abs=0.05)
    with pytest.raises(ConfigError, match="5 kbps"):
        config.quantizers_for(5)
