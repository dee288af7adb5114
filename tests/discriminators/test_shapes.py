"""Discriminators: shapes, strides and number of features."""

import jax
import jax.numpy as jnp
import pytest
from codax.config import DiscriminatorConfig
from codax.discriminators.ensemble import Discriminators
from codax.discriminators.msstft import compressed
from codax.discriminators.stft import STFTDiscriminator
from codax.discriminators.waveform import WaveDiscriminator, halve_rate


def shapes(module, time):
    def run(x):
        return module.apply(module.init(jax.random.key(0), x), x)

    return jax.eval_shape(run, jax.ShapeDtypeStruct((2, time, 1), jnp.float32))


def test_stft_discriminator():
    logits, features = shapes(STFTDiscriminator(), 24_000)
    frames = 24_000 // 256
    assert logits.shape == (2, -(-frames // 8), 1)
    assert [f.shape[2:] for f in features] == [
        (512, 32), (256, 64), (128, 128), (64, 128), (32, 256), (16, 256), (8, 512)
    ]  # fmt: skip


@pytest.mark.parametrize("module", [STFTDiscriminator(window=128, hop=32, channels=2), WaveDiscriminator(channels=8)])
def test_gradients_are_those_of_native_convolutions(module, monkeypatch):
    audio = jax.random.normal(jax.random.key(0), (2, 1000, 1))
    params = jax.jit(module.init)(jax.random.key(1), audio)

    def gradients():
        def loss(params, audio):
            logits, features = module.apply(params, audio)
            return jnp.mean(logits**2) + sum(jnp.mean(feature**2) for feature in features)

        return jax.jit(jax.grad(loss, (0, 1)))(params, audio)

    ours = gradients()
    for nets in ("conv2d", "grouped"):
        monkeypatch.setattr(f"codax.nets.{nets}.platform", lambda: "gpu")
    for mine, plain in zip(jax.tree.leaves(ours), jax.tree.leaves(gradients()), strict=True):
        assert jnp.allclose(mine, plain, rtol=1e-4, atol=1e-5 * float(jnp.abs(plain).max()))


def test_wave_discriminator():
    logits, features = shapes(WaveDiscriminator(), 8192)
    assert logits.shape == (2, 32, 1)
    assert [f.shape[1:] for f in features] == [(8192, 16), (2048, 64), (512, 256), (128, 1024), (32, 1024), (32, 1024)]


def test_ensemble_of_the_paper():
    outputs = shapes(Discriminators(DiscriminatorConfig()), 8192)
    assert len(outputs) == 4
    assert [o[0].shape[1] for o in outputs[1:]] == [32, 16, 8]


def test_halving():
    x = jnp.ones((1, 10, 1))
    assert halve_rate(x).shape == (1, 5, 1)
    assert jnp.allclose(halve_rate(x), 1.0)


def test_a_power_compresses_magnitudes_and_keeps_phases():
    spectrum = jnp.array([0.0, 0.5j, -0.25, 3e-3 + 4e-3j])
    assert jnp.array_equal(compressed(spectrum, 1.0), spectrum)
    halved = compressed(spectrum, 0.5)
    assert jnp.allclose(jnp.abs(halved[1:3]), jnp.array([0.5, 0.25]) ** 0.5, rtol=1e-4)
    assert jnp.allclose(halved[1:] / jnp.abs(halved[1:]), spectrum[1:] / jnp.abs(spectrum[1:]), atol=1e-6)
    assert jnp.abs(halved[3]) == pytest.approx(5e-3**0.5, rel=0.02) and halved[0] == 0
    gradient = jax.grad(lambda x: jnp.abs(compressed(jax.lax.complex(x, x), 0.5) + 1).sum())(jnp.zeros(3))
    assert jnp.all(jnp.isfinite(gradient)) and jnp.all(gradient > 0)
