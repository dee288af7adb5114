"""DAC's discriminators by hand: shapes, sizes, what is a feature, and the levels of signals."""

import jax
import jax.numpy as jnp
import numpy as np
from codax.config import DiscriminatorConfig
from codax.discriminators.bands import BandsDiscriminator
from codax.discriminators.ensemble import Discriminators
from codax.discriminators.layers import normalized


def test_every_band_has_convolutions_of_its_own() -> None:
    audio = jax.ShapeDtypeStruct((2, 4000, 1), jnp.float32)
    net = BandsDiscriminator(512)
    params = jax.eval_shape(net.init, jax.random.key(0), audio)["params"]
    # PyTorch's, with one more value for each output channel's scale.
    band = 27 * 2 * 32 + 3 * 27 * 32 * 32 + 9 * 32 * 32 + 5 * 2 * 32
    assert sum(x.size for x in jax.tree.leaves(params)) == 5 * band + 9 * 32 + 2
    logits, features = jax.eval_shape(lambda x: net.init_with_output(jax.random.key(0), x)[0], audio)
    # 257 bins in bands that begin at 0, 25, 64, 128, 192; each of three strides leaves half of them, rounded up.
    widths = [25, 39, 64, 64, 65]
    frames = -(-4000 // 128)
    assert [f.shape for f in features[::5]] == [(2, frames, width, 32) for width in widths]
    assert [f.shape[2] for f in features[4::5]] == [4, 5, 8, 8, 9]
    assert len(features) == 25 and logits.shape == (2, frames, 34, 1)


def test_levels_and_offsets_are_taken_out() -> None:
    signal = np.random.default_rng(0).standard_normal((2, 300, 2)).astype(np.float32)
    actual = normalized(jnp.asarray(signal))
    np.testing.assert_allclose(jnp.abs(actual).max(axis=1), 0.8, rtol=1e-5)
    np.testing.assert_allclose(actual.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(normalized(jnp.asarray(3 * signal + 0.5)), actual, atol=1e-5)
    assert np.isfinite(normalized(jnp.zeros((1, 5, 1)))).all()


def test_logits_are_no_features_where_that_is_asked_for() -> None:
    config = DiscriminatorConfig(
        stft=False, wave_scales=0, periods=(2, 3), hifigan_max_channels=4, bands_windows=(64,), normalize=True
    )
    counts = {}
    for config.hifigan_logits in (True, False):
        audio = jax.ShapeDtypeStruct((1, 1000, 1), jnp.float32)
        outputs = jax.eval_shape(lambda x: Discriminators(config).init_with_output(jax.random.key(0), x)[0], audio)
        counts[config.hifigan_logits] = [len(features) for _, features in outputs]
    assert counts == {True: [25, 6, 6], False: [25, 5, 5]}


def test_the_level_of_a_signal_does_not_reach_the_judges() -> None:
    config = DiscriminatorConfig(stft=False, wave_scales=0, periods=(3,), hifigan_max_channels=4, normalize=True)
    audio = jnp.asarray(np.random.default_rng(0).standard_normal((1, 500, 1)), jnp.float32)
    net = Discriminators(config)
    params = net.init(jax.random.key(0), audio)
    for a, b in zip(*map(jax.tree.leaves, (net.apply(params, audio), net.apply(params, 0.1 * audio))), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
