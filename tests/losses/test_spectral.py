"""Reconstruction losses against NumPy."""

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
from codax.config import LossConfig
from codax.config.losses import SPECTRAL_FORMS
from codax.dsp.mel import mel_matrix
from codax.dsp.stft import frame, hann, stft
from codax.losses.spectral import drawn_multiscale_mel, mel_distance, multiscale_mel, waveform_l1
from signals import noise


@pytest.mark.parametrize("window,hop", [(64, 16), (512, 128), (100, 30)])
def test_stft_equals_librosa(window, hop):
    x = noise(2, 2000, seed=0)
    want = librosa.stft(x, n_fft=window, hop_length=hop, center=False, window=hann(window))
    np.testing.assert_allclose(np.moveaxis(np.asarray(stft(x, window, hop, pad=False)), 1, 2), want, atol=2e-4)


def test_padded_stft_has_a_frame_per_hop():
    assert stft(jnp.zeros((1, 2000)), 256, 64).shape == (1, 2000 // 64, 129)


def test_short_signals_are_refused():
    with pytest.raises(ValueError, match="shorter than the window"):
        frame(jnp.zeros((1, 10)), 16, 4)


def test_mel_matrix_leaves_out_empty_filters():
    short, long = mel_matrix(16_000, 64, 64), mel_matrix(16_000, 2048, 64)
    assert long.shape == (1025, 64)
    assert short.shape[0] == 33 and short.shape[1] < 64
    assert (short.max(axis=0) > 0).all()


def test_one_scale_in_numpy():
    window, rate, mels, alpha, floor = 256, 16_000, 20, 3.0, 1e-5
    a, b = noise(2, 4000, seed=0), noise(2, 4000, seed=1)
    pad = ((0, 0), ((window - window // 4) // 2, window - window // 4 - (window - window // 4) // 2))
    bank = mel_matrix(rate, window, mels)

    def spectrogram(x):
        spectrum = librosa.stft(np.pad(x, pad), n_fft=window, hop_length=window // 4, center=False, window=hann(window))
        return np.moveaxis(np.abs(spectrum), 1, 2) @ bank

    sa, sb = spectrogram(a), spectrogram(b)
    linear = np.abs(sa - sb).sum(-1).mean()
    log = np.sqrt(((np.log(sa + floor) - np.log(sb + floor)) ** 2).sum(-1)).mean()
    got = mel_distance(
        jnp.asarray(a), jnp.asarray(b), window=window, sample_rate=rate, mels=mels, log_weight=alpha, log_floor=floor
    )
    np.testing.assert_allclose(got, linear + alpha * log, rtol=1e-3)


def test_paper_weights():
    """Sum over scales with alpha = sqrt(s / 2)."""
    a, b = jnp.asarray(noise(1, 4000, 1, seed=0)), jnp.asarray(noise(1, 4000, 1, seed=1))
    config = LossConfig()
    total = multiscale_mel(a, b, config, sample_rate=24_000)
    parts = [
        mel_distance(
            a[..., 0], b[..., 0], window=w, sample_rate=24_000, mels=64, log_weight=np.sqrt(w / 2), log_floor=1e-5
        )
        for w in (64, 128, 256, 512, 1024, 2048)
    ]
    np.testing.assert_allclose(total, sum(parts), rtol=1e-5)


def test_equal_signals_and_gradients():
    x = jnp.asarray(noise(1, 4000, 2, seed=0))
    config = LossConfig(windows=(64, 512))
    assert float(multiscale_mel(x, x, config, sample_rate=16_000)) < 0.1  # sqrt(1e-8) per frame, times alpha
    gradient = jax.jit(jax.grad(lambda y: multiscale_mel(x, y, config, sample_rate=16_000)))
    assert np.isfinite(gradient(jnp.zeros_like(x))).all()  # silence, where a plain absolute value has no slope
    negative_slope = gradient(0.5 * x)
    assert np.isfinite(negative_slope).all() and np.abs(negative_slope).max() > 0


def test_stays_float32_under_bfloat16():
    x = jnp.asarray(noise(1, 4000, 1, seed=0)).astype(jnp.bfloat16)
    assert multiscale_mel(x, x, LossConfig(windows=(64,)), sample_rate=16_000).dtype == jnp.float32
    assert waveform_l1(x, x).dtype == jnp.float32


def test_waveform_l1():
    assert float(waveform_l1(jnp.array([1.0, -1.0]), jnp.array([0.5, 1.0]))) == 1.25


def test_speechtokenizers_loss_by_hand():

    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 1, 2400)).astype(np.float32)
    total = 0.0
    for window, weight in ((1024, 45.0), (256, 1.0)):
        hop, pad = window * 240 // 1024, (window - window * 240 // 1024) // 2
        bank = librosa.filters.mel(sr=16000, n_fft=window, n_mels=20, htk=True, norm="slaney")
        mels = []
        for x in (a, b):
            padded = np.pad(x[0], pad, mode="reflect")
            actual = librosa.stft(padded, n_fft=window, hop_length=hop, window="hann", center=False)
            mels.append(np.log(np.maximum(bank @ np.abs(actual), 1e-5)))
        total += weight * np.abs(mels[0] - mels[1]).mean()
    config = LossConfig(
        spectral_form="speechtokenizer", windows=(1024, 256), window_weights=(45.0, 1.0), mels=20, log_floor=1e-5
    )
    actual = multiscale_mel(a[..., None], b[..., None], config, sample_rate=16000)
    np.testing.assert_allclose(actual, total, rtol=1e-4)


@pytest.mark.parametrize("form", SPECTRAL_FORMS)
@pytest.mark.parametrize("is_normalized", [False, True])
def test_random_windows_have_the_expectation_of_all(form, is_normalized):
    config = LossConfig(spectral_form=form, windows=(64, 256, 512), mels=8, normalize_windows=is_normalized)
    a, b = 0.1 * jax.random.normal(jax.random.key(0), (2, 2, 2_000, 1))
    whole = multiscale_mel(a, b, config, sample_rate=16_000)
    config.random_windows = 3
    drawn = drawn_multiscale_mel(a, b, config, jax.random.key(1), sample_rate=16_000)
    is_mean_of_sums = is_normalized and form in ("speechtokenizer", "dac")
    np.testing.assert_allclose(drawn, whole / 3 if is_mean_of_sums else whole, rtol=1e-5)
