"""Hinge adversarial losses and the feature loss (SoundStream, equations 1 to 3).

A discriminator's output is (logits, features): logits [batch, ...] and a list of intermediate activations. Every
function averages over the positions of each discriminator first and over discriminators then.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

Outputs = Sequence[tuple[jax.Array, Sequence[jax.Array]]]


def discriminator_hinge(real: Outputs, fake: Outputs) -> jax.Array:
    """mean max(0, 1 - D(x)) + mean max(0, 1 + D(y))."""
    losses = [
        jnp.mean(jax.nn.relu(1 - r.astype(jnp.float32))) + jnp.mean(jax.nn.relu(1 + f.astype(jnp.float32)))
        for (r, _), (f, _) in zip(real, fake, strict=True)
    ]
    return jnp.mean(jnp.stack(losses))


def generator_hinge(fake: Outputs) -> jax.Array:
    """mean max(0, 1 - D(y)), the form that SoundStream states."""
    return jnp.mean(jnp.stack([jnp.mean(jax.nn.relu(1 - f.astype(jnp.float32))) for f, _ in fake]))


def feature_l1(real: Outputs, fake: Outputs) -> jax.Array:
    """Mean absolute difference of the activations, over layers and discriminators; no gradient to the real side."""
    per_discriminator = []
    for (_, real_features), (_, fake_features) in zip(real, fake, strict=True):
        layers = [
            jnp.mean(jnp.abs(jax.lax.stop_gradient(r).astype(jnp.float32) - f.astype(jnp.float32)))
            for r, f in zip(real_features, fake_features, strict=True)
        ]
        per_discriminator.append(jnp.mean(jnp.stack(layers)))
    return jnp.mean(jnp.stack(per_discriminator))
