"""The decoder at the frame rate: its transforms, its causality, its streaming and its noise."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import ConfigError, FrameDecoderConfig, SoundStreamConfig
from codax.dsp.stft import hann
from codax.nets import frame_decoder, noise
from codax.nets.frame_decoder import Decoder, Synthesis, inverse_transform
from small_models import config

HOP = 10


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def model(name: str) -> SoundStreamConfig:
    made = config(name).model
    assert isinstance(made, SoundStreamConfig)
    return made


def decoder(name: str) -> tuple[Decoder, dict]:
    """A small decoder with random parameters, also where they start as zeros or constants."""
    made = Decoder(model(name))
    variables = made.init(jax.random.key(0), jnp.zeros((1, 4, 16)))
    leaves, structure = jax.tree.flatten(variables["params"])
    params = structure.unflatten([jnp.asarray(0.3 * random(*x.shape, seed=i)) for i, x in enumerate(leaves)])
    return made, {"params": params}


@pytest.mark.parametrize("size", [2, 20, 64])
def test_the_matrix_is_the_inverse_real_transform(size):
    spectrum = random(3, size // 2 + 1) + 1j * random(3, size // 2 + 1, seed=1)
    parts = np.concatenate([spectrum.real, spectrum.imag], axis=-1)
    np.testing.assert_allclose(parts @ inverse_transform(size), np.fft.irfft(spectrum, size), atol=1e-6)


@pytest.mark.parametrize("causal,ratio", [(True, 2), (True, 4), (False, 2), (False, 4)])
def test_synthesis_overlaps_and_adds_windows(causal, ratio):
    """Compared with windows that are added one by one."""
    frames, size = 7, ratio * HOP
    spectrum = random(2, frames, 2 * (size // 2 + 1))
    ours = np.asarray(Synthesis(HOP, ratio, causal).apply({}, spectrum))
    window = frame_decoder.synthesis_window(HOP, ratio) if causal else hann(size)
    magnitude, phase = np.split(spectrum, 2, axis=-1)
    samples = np.fft.irfft(np.exp(magnitude + 1j * phase), size) * window
    # All frames of an endless signal overlap in a causal decoder, also before the first one.
    total, envelope = np.zeros((2, (frames + ratio) * HOP)), np.zeros((frames + 2 * ratio) * HOP)
    for f in range(frames):
        total[:, f * HOP : f * HOP + size] += samples[:, f]
    for f in range(-ratio, frames) if causal else range(frames):
        envelope[(f + ratio) * HOP :][:size] += window**2
    envelope = envelope[ratio * HOP :]
    start = 0 if causal else (size - HOP) // 2
    kept = slice(start, start + frames * HOP)
    np.testing.assert_allclose(ours, total[:, kept] / envelope[kept], rtol=2e-4, atol=1e-5)


def test_a_window_begins_with_its_own_frame():
    window = frame_decoder.synthesis_window(160, 2)
    assert window.shape == (320,) and np.argmax(window) in (39, 40)
    total = window[:160] + window[160:]
    assert total.min() > 0.5  # no sample is left to the division


@pytest.mark.parametrize("name", ["frames", "linear_frames"])
def test_no_frame_depends_on_later_ones(name):
    made, variables = decoder(name)
    latent = random(1, 9, 16)
    changed = latent.copy()
    changed[:, 5:] += 1
    a, b = (np.asarray(made.apply(variables, x))[0, :, 0] for x in (latent, changed))
    first = np.flatnonzero(a != b)[0]
    hop = made.config.hop
    np.testing.assert_array_equal(a[: 5 * hop], b[: 5 * hop])
    assert first < 6 * hop  # the frame's own samples


@pytest.mark.parametrize("name", ["frames", "linear_frames"])
@pytest.mark.parametrize("chunk", [1, 4])
def test_streaming_equals_offline(name, chunk):
    made, variables = decoder(name)
    latent, state, pieces = random(2, 11, 16), {}, []
    for start in range(0, 11, chunk):
        piece, updated = made.apply(
            {**variables, "stream": state}, latent[:, start : start + chunk], mutable=["stream"]
        )
        state = updated["stream"]
        pieces.append(piece)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), np.asarray(made.apply(variables, latent)), atol=1e-5)


def test_reach_of_a_symmetric_decoder():
    made, variables = decoder("symmetric_frames")
    reach, latent = frame_decoder.reach(made.config), random(1, 40, 16)
    changed = latent.copy()
    changed[:, 20] += 1
    a, b = (np.asarray(made.apply(variables, x))[0] for x in (latent, changed))
    frames = np.flatnonzero(np.abs(a - b).reshape(-1, made.config.hop).max(axis=-1))
    assert 20 - reach <= frames.min() < 20 < frames.max() <= 20 + reach


def test_channels_have_signals_of_their_own():
    made = Decoder(model("frames"))
    made.config.audio_channels = 2
    variables = made.init(jax.random.key(0), jnp.zeros((1, 4, 16)))
    audio = np.asarray(made.apply(variables, random(3, 5, 16)))
    assert audio.shape == (3, 5 * made.config.hop, 2) and np.abs(audio[..., 0] - audio[..., 1]).max() > 0.01


def test_options_of_training_change_no_output():
    """Recomputed activations give the same gradients; a bfloat16 decoder gives about the same audio."""
    made, variables = decoder("frames")
    latent = random(1, 7, 16)

    def gradient(**options) -> jax.Array:
        def loss(x: jax.Array) -> jax.Array:
            return jnp.sum(jnp.square(jnp.asarray(made.clone(**options).apply(variables, x), jnp.float32)))

        return jax.grad(loss)(latent)

    expected = gradient()
    np.testing.assert_allclose(gradient(remat=True), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    difference = np.abs(np.asarray(gradient(dtype=jnp.bfloat16)) - expected)
    assert 0 < np.median(difference) < 0.1 * np.abs(expected).max()


def test_noise_makes_the_frames_of_a_constant_latent_differ():
    """Without noise, a constant latent gives the same samples in every frame once the context is full."""
    latent = np.broadcast_to(random(1, 1, 16), (1, 30, 16))
    for name, are_equal in (("linear_frames", True), ("frames", False)):
        made, variables = decoder(name)
        frames = np.asarray(made.apply(variables, latent)).reshape(30, -1)[-10:]
        assert np.allclose(frames, frames[0], atol=1e-5) == are_equal


def test_noise_has_the_same_values_everywhere():
    table = noise.table(3)
    assert table.shape == (noise.PERIOD, 3) and abs(table.mean()) < 0.1 and 0.9 < table.std() < 1.1
    np.testing.assert_allclose(table[:2, 0], [1.7640524, 2.2408931], rtol=1e-6)


@pytest.mark.parametrize(
    "change,reason",
    [
        ({"noise_channels": 2, "causal": False}, "0 for a model that is not causal"),
        ({"strides": (3, 5), "frame_decoder": FrameDecoderConfig(layers=1)}, "an odd number of samples"),
        ({"frame_decoder": FrameDecoderConfig(layers=1, head="mdct")}, "istft or linear"),
    ],
)
def test_what_does_not_fit_is_refused(change, reason):
    recipe = config("soundstream")
    with pytest.raises(ConfigError, match=reason):
        recipe.model = SoundStreamConfig(**{"sample_rate": 8_000} | change)
        recipe.validate()
