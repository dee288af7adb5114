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


def generator(fake: Outputs, form: str = "hinge") -> jax.Array:
    """The generator's loss: "hinge", mean max(0, 1 - D(y)), which the papers state, or "linear", mean -D(y).

    audiocraft names them otherwise: its "hinge" is "linear" here, its "hinge2" is "hinge". The discriminators' loss is
    `discriminator_hinge` beside either.
    """
    logits = [f.astype(jnp.float32) for f, _ in fake]
    return jnp.mean(jnp.stack([jnp.mean(jax.nn.relu(1 - f) if form == "hinge" else -f) for f in logits]))


def feature_l1(real: Outputs, fake: Outputs, form: str = "absolute") -> jax.Array:
    """Mean absolute difference of the activations, over layers and discriminators; no gradient to the real side.

    With "relative" each layer's difference is divided by the mean absolute value of its real activations (EnCodec,
    equation 3).
    """
    per_discriminator = []
    for (_, real_features), (_, fake_features) in zip(real, fake, strict=True):
        layers = []
        for r, f in zip(real_features, fake_features, strict=True):
            wanted = jax.lax.stop_gradient(r).astype(jnp.float32)
            difference = jnp.mean(jnp.abs(wanted - f.astype(jnp.float32)))
            layers.append(difference / jnp.mean(jnp.abs(wanted)) if form == "relative" else difference)
        per_discriminator.append(jnp.mean(jnp.stack(layers)))
    return jnp.mean(jnp.stack(per_discriminator))
