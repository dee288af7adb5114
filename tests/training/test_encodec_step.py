"""EnCodec's recipe in small: what its steps do, and that they learn."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import Config
from codax.training.state import init_state
from codax.training.step import Phase, draw_levels, make_codebook_init, make_step
from tiny_run import tiny_config, voices

FULL = Phase(quantize=True, spectral=True, adversarial=True)
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def encodec_config(**changes) -> Config:
    settings = {
        "model__family": "encodec",
        "quantizer__start_step": 0,
        "quantizer__dropout_kbps": True,
        "discriminator__start_step": 0,
        "discriminator__every": 1,
        "discriminator__stft": False,
        "discriminator__msstft_windows": (64,),
        "discriminator__msstft_channels": 2,
        "loss__balancer": True,
        "loss__spectral_form": "encodec",
        "loss__feature_form": "relative",
        "optimizer__learning_rate": 3e-3,
        "train__batch_size": 4,
    }
    return tiny_config(**settings | changes)


def started(config: Config):
    batch = {"audio": np.repeat(voices(4, config.segment_samples), config.model.audio_channels, axis=2)}
    state = quick_jit(lambda: init_state(config))()
    return quick_jit(make_codebook_init(config, None))(state, batch)[0], batch


def test_losses_fall_and_the_balancer_follows() -> None:
    config = encodec_config()
    state, batch = started(config)
    step = quick_jit(make_step(config, FULL, None))
    history = []
    for _ in range(30):
        state, metrics = step(state, batch)
        history.append({name: float(metrics[f"loss/{name}"]) for name in ("waveform", "spectral")})
    assert int(state.bad_total) == 0
    for name in history[0]:
        assert np.mean([h[name] for h in history[-3:]]) < 0.8 * history[0][name], name
    assert {k for k, v in state.balancer.norm.items() if v > 0} == {"waveform", "spectral", "adversarial", "feature"}


def test_stereo_segments_are_normalised() -> None:
    config = encodec_config(
        model__audio_channels=2,
        model__causal=False,
        model__normalize=True,
        model__segment_seconds=0.1,
        discriminator__split_channels=True,
    )
    config.model.seanet.norm = "group"
    state, batch = started(config.validate())
    step = quick_jit(make_step(config, FULL, None))
    _, plain = step(state, batch)
    _, loud = step(state, {"audio": batch["audio"] * 4})
    # The codes see the same signal whatever its level, and the output has it again.
    np.testing.assert_allclose(loud["codebook/perplexity"], plain["codebook/perplexity"], rtol=1e-5)
    np.testing.assert_allclose(loud["loss/waveform"], 4 * plain["loss/waveform"], rtol=1e-4)


def test_discriminators_are_updated_by_chance() -> None:
    config = encodec_config(discriminator__update_probability=1e-9)
    state, batch = started(config)
    after, metrics = quick_jit(make_step(config, FULL, None))(state, batch)
    for name in ("discriminator", "discriminator_optimizer"):
        jax.tree.map(np.testing.assert_array_equal, getattr(after, name), getattr(state, name))
    assert metrics["loss/adversarial"] > 0
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), after.generator, state.generator)
    assert all(jax.tree.leaves(moved))


def test_one_rate_is_drawn_for_a_batch() -> None:
    config = encodec_config()
    allowed = {config.quantizers_for(kbps) for kbps in config.quantizer.kbps}
    draws = np.stack([draw_levels(config, jnp.int32(step), 6, None) for step in range(40)])
    assert np.all(draws == draws[:, :1])
    assert set(draws[:, 0].tolist()) == allowed


@pytest.mark.parametrize("form", ["soundstream", "encodec", "audiocraft"])
def test_every_spectral_form_is_zero_for_equal_signals_and_has_a_finite_gradient(form: str) -> None:
    from codax.losses.spectral import multiscale_mel

    config = encodec_config(loss__spectral_form=form)
    audio = jnp.asarray(voices(2, 800))
    value, slope = jax.value_and_grad(lambda x: multiscale_mel(audio, x, config.loss, sample_rate=8000))(audio)
    assert float(value) < 1e-3
    assert np.isfinite(slope).all()
    noisy = audio + 0.1 * jax.random.normal(jax.random.key(0), audio.shape)
    assert float(multiscale_mel(audio, noisy, config.loss, sample_rate=8000)) > 10 * float(value) + 1e-3
