"""Networks of one form, computed together for TPUs, equal the same networks alone: outputs, gradients, sizes."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import DiscriminatorConfig
from codax.discriminators.ensemble import Discriminators, groups_of
from codax.runtime.platforms import tracing_for

NONE = {"stft": False, "wave_scales": 0}
BANDS = DiscriminatorConfig(bands_windows=(64,), bands_channels=3, **NONE)
WIDE_BANDS = DiscriminatorConfig(bands_windows=(128,), bands_channels=3, **NONE)
PERIODS = DiscriminatorConfig(periods=(2, 3, 5, 7), hifigan_max_channels=6, **NONE)
WITHOUT_LOGITS = DiscriminatorConfig(periods=(3, 11), hifigan_max_channels=6, hifigan_logits=False, **NONE)


def outputs_and_loss(net: Discriminators, params: Any, audio: jax.Array) -> tuple[jax.Array, Any]:
    outputs = net.apply(params, audio)
    leaves = [x.astype(jnp.float32) for x in jax.tree.leaves(outputs)]
    return sum(jnp.mean(jnp.sin(x * (1 + i % 3))) for i, x in enumerate(leaves)), outputs


@pytest.mark.parametrize(
    ("config", "samples", "dtype", "convolutions"),
    [
        (BANDS, 700, None, 6),
        (WIDE_BANDS, 513, None, 6),
        (BANDS, 400, jnp.bfloat16, 6),
        (PERIODS, 1000, None, 6),
        (PERIODS, 81 * 14, None, 6),
        (WITHOUT_LOGITS, 777, None, 6),
        (PERIODS, 500, jnp.bfloat16, 6),
    ],
)
def test_computed_together_equals_computed_apart(
    config: DiscriminatorConfig, samples: int, dtype: Any, convolutions: int
) -> None:
    net = Discriminators(config, dtype=dtype)
    audio = jnp.asarray(np.random.default_rng(0).standard_normal((2, samples, 2)), jnp.float32)
    params = jax.jit(net.init)(jax.random.key(0), audio)
    params = jax.tree.map(lambda x: x + 0.3 if x.ndim == 1 else x, params)  # biases of 0 would hide a lacking mask

    def compute() -> Any:
        run = functools.partial(outputs_and_loss, net)  # JAX keeps the trace of a function that it knows
        return jax.jit(jax.value_and_grad(run, argnums=(0, 1), has_aux=True))(params, audio)

    apart = compute()
    with tracing_for("tpu"):
        text = jax.jit(functools.partial(outputs_and_loss, net)).lower(params, audio).as_text()
        together = compute()
    assert text.count("stablehlo.convolution") == convolutions
    exact = dtype is None
    for expected, actual in zip(jax.tree.leaves(apart), jax.tree.leaves(together), strict=True):
        assert expected.shape == actual.shape and expected.dtype == actual.dtype
        scale = max(1.0, float(jnp.max(jnp.abs(expected))))
        np.testing.assert_allclose(
            np.asarray(actual, np.float32), np.asarray(expected, np.float32), atol=(3e-5 if exact else 3e-2) * scale
        )


def test_one_of_several_is_computed_alone() -> None:
    audio = jnp.asarray(np.random.default_rng(1).standard_normal((1, 600, 1)), jnp.float32)
    params = jax.jit(Discriminators(PERIODS).init)(jax.random.key(0), audio)
    every = Discriminators(PERIODS).apply(params, audio)
    with tracing_for("tpu"):
        (alone,) = Discriminators(PERIODS, only=("period3",)).apply(params, audio)
        two = Discriminators(PERIODS, only=("period2", "period7")).apply(params, audio)
    for actual, expected in [(alone, every[1]), (two[0], every[0]), (two[1], every[3])]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), actual, expected)


def test_groups_are_of_one_form_and_on_tpus_alone() -> None:
    config = DiscriminatorConfig(periods=(2, 3), scales=2, msstft_windows=(64, 128), **NONE)
    names = [("msstft64",), ("msstft128",), ("period2",), ("period3",), ("scale0",), ("scale1",)]
    assert groups_of(config) == names
    with tracing_for("tpu"):
        assert groups_of(config) == [*names[:2], ("period2", "period3"), *names[4:]]
