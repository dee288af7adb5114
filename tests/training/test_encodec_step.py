"""EnCodec's recipe in small: what its steps do, and that they learn."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import Config
from codax.config.recipe_files import load_recipe
from codax.training.optimizers import make_optimizers
from codax.training.randomness import draw_levels, draw_rate
from codax.training.state import init_state, parameter_count, take_rate
from codax.training.step import Phase, make_codebook_init, make_step
from tiny_run import ROOT, tiny_config, voices

FULL = Phase(quantize=True, spectral=True, adversarial=True)


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
    state = jax.jit(lambda: init_state(config))()
    return jax.jit(make_codebook_init(config, None))(state, batch)[0], batch


def test_losses_fall_and_the_balancer_follows() -> None:
    config = encodec_config()
    state, batch = started(config)
    step = jax.jit(make_step(config, FULL, None))
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
    step = jax.jit(make_step(config, FULL, None))
    _, plain = step(state, batch)
    _, loud = step(state, {"audio": batch["audio"] * 4})
    # The codes see the same signal whatever its level, and the output has it again.
    np.testing.assert_allclose(loud["codebook/perplexity"], plain["codebook/perplexity"], rtol=1e-5)
    np.testing.assert_allclose(loud["loss/waveform"], 4 * plain["loss/waveform"], rtol=1e-4)


def test_discriminators_are_updated_by_chance() -> None:
    config = encodec_config(discriminator__update_probability=1e-9)
    state, batch = started(config)
    after, metrics = jax.jit(make_step(config, FULL, None))(state, batch)
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


@pytest.fixture(scope="module")
def per_rate() -> Config:
    return encodec_config(discriminator__per_kbps=True, quantizer__kbps=(4.0, 8.0, 16.0))


@pytest.fixture(scope="module")
def per_rate_start(per_rate: Config):
    return started(per_rate)


@pytest.fixture(scope="module")
def per_rate_step(per_rate: Config):
    return jax.jit(make_step(per_rate, FULL, None))


def changed(after, before) -> np.ndarray:
    """Which rates' parts of the discriminators and of their optimiser differ anywhere: [2, rates]."""
    rows = []
    for name in ("discriminator", "discriminator_optimizer"):
        pairs = zip(*(jax.tree.leaves(getattr(state, name)) for state in (after, before)), strict=True)
        unequal = [np.not_equal(a, b).reshape(len(a), -1).any(axis=1) for a, b in pairs]
        rows.append(np.any(unequal, axis=0))
    return np.stack(rows)


def test_every_rate_starts_with_other_discriminators(per_rate: Config, per_rate_start) -> None:
    state, _ = per_rate_start
    one = jax.eval_shape(lambda: init_state(encodec_config()))
    for name in ("discriminator", "discriminator_optimizer"):
        stacked = jax.tree.map(lambda x: jax.ShapeDtypeStruct((3, *x.shape), x.dtype), getattr(one, name))
        assert jax.eval_shape(lambda x: x, getattr(state, name)) == stacked
    kernel = np.asarray(state.discriminator["msstft64"]["stem"]["kernel"])
    assert all(np.abs(kernel[a] - kernel[b]).max() > 0.01 for a, b in ((0, 1), (0, 2), (1, 2)))


def test_a_step_updates_the_discriminators_of_its_rate_alone(per_rate: Config, per_rate_start, per_rate_step) -> None:
    state, batch = per_rate_start
    drawn = []
    for _ in range(8):
        after, metrics = per_rate_step(state, batch)
        rate = int(draw_rate(per_rate, state.step))
        assert changed(after, state).tolist() == [[i == rate for i in range(3)]] * 2
        levels = per_rate.quantizers_for(per_rate.quantizer.kbps[rate])
        assert np.asarray(metrics["codebook/used"] > 0).tolist() == [level < levels for level in range(4)]
        drawn.append(rate)
        state = after
    assert set(drawn) == {0, 1, 2}
    # Each rate counts its own updates.
    count = np.asarray(state.discriminator_optimizer[0].count)
    np.testing.assert_array_equal(count, np.bincount(drawn, minlength=3))


def test_the_drawn_discriminators_are_trained_as_one_set_is(per_rate: Config, per_rate_start, per_rate_step) -> None:
    state, batch = per_rate_start
    rate = draw_rate(per_rate, state.step)
    shared = encodec_config(quantizer__kbps=per_rate.quantizer.kbps)
    names = ("discriminator", "discriminator_optimizer")
    after, metrics = per_rate_step(state, batch)
    alone, expected = jax.jit(make_step(shared, FULL, None))(
        state.replace(**{name: take_rate(getattr(state, name), rate) for name in names}), batch
    )
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
    jax.tree.map(close, metrics, expected)
    jax.tree.map(close, take_rate(after.discriminator, rate), alone.discriminator)


def test_a_nan_batch_leaves_every_rate_alone(per_rate_start, per_rate_step) -> None:
    state, batch = per_rate_start
    after, metrics = per_rate_step(state, {"audio": np.full_like(batch["audio"], np.nan)})
    assert not changed(after, state).any()
    assert int(metrics["bad_steps"]) == 1


def test_a_schedule_of_each_rate_spans_its_share_of_the_steps() -> None:
    config = encodec_config(discriminator__per_kbps=True, optimizer__schedule="cosine", train__steps=200)
    params = jnp.ones(1)
    sizes = {}
    for config.discriminator.per_kbps in (False, True):
        _, optimizer = make_optimizers(config)
        state, updates = optimizer.init(params), []
        for _ in range(101):
            update, state = optimizer.update(params, state, params)
            updates.append(abs(float(update[0])))
        sizes[config.discriminator.per_kbps] = updates
    # Two rates: after half of the steps one rate is at the end of its cosine, a shared discriminator halfway.
    np.testing.assert_allclose(sizes[True][100] / sizes[True][0], 0, atol=1e-6)
    np.testing.assert_allclose(sizes[False][100] / sizes[False][0], 0.5, rtol=1e-3)


def test_full_size_recipes_have_a_set_for_each_rate() -> None:
    counts = {}
    for name in ("encodec_24khz", "encodec_48khz", "encodec_24khz_audiocraft"):
        config = load_recipe(ROOT / "configs" / f"{name}.py")
        state = jax.eval_shape(functools.partial(init_state, config))
        counts[name] = [parameter_count(part) for part in state.discriminator.values()]
    # Of one window, a 2 x 32 x (3, 8) stem, three of 32 x 32 x (3, 8), one of 32 x 32 x (3, 3) and logits, with biases
    # and, but for the stem, one gain for each output.
    stem, last, logits = 2 * 32 * 24 + 32, 32 * 32 * 9 + 64, 32 * 9 + 2
    one = stem + 3 * (32 * 32 * 24 + 64) + last + logits
    assert counts["encodec_24khz"] == [5 * one] * 5
    assert counts["encodec_48khz"] == [4 * one] * 5
    longer = 3 * 32 * (2 + 3 * 32)  # audiocraft's kernels are 3 x 9
    assert counts["encodec_24khz_audiocraft"] == [one + longer] * 5


@pytest.mark.parametrize("form", ["soundstream", "encodec", "audiocraft"])
def test_every_spectral_form_is_zero_for_equal_signals_and_has_a_finite_gradient(form: str) -> None:
    from codax.losses.spectral import multiscale_mel

    config = encodec_config(loss__spectral_form=form)
    audio = jnp.asarray(voices(2, 800))
    value, negative_slope = jax.value_and_grad(lambda x: multiscale_mel(audio, x, config.loss, sample_rate=8000))(audio)
    assert float(value) < 1e-3
    assert np.isfinite(negative_slope).all()
    noisy = audio + 0.1 * jax.random.normal(jax.random.key(0), audio.shape)
    assert float(multiscale_mel(audio, noisy, config.loss, sample_rate=8000)) > 10 * float(value) + 1e-3
