"""Adversarial losses and the feature loss (SoundStream, equations 1 to 3; least squares: LSGAN, arXiv 1611.04076).

A discriminator's output is (logits, features): logits [batch, ...] and a list of intermediate activations. Every
function averages over the positions of each discriminator, then over layers and discriminators; with `add`, it sums
over layers and discriminators.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

Outputs = Sequence[tuple[jax.Array, Sequence[jax.Array]]]


CHANCE = {"hinge": 2.0, "linear": 2.0, "least_squares": 0.5}  # loss of a discriminator that tells nothing apart


def _joined(values: list[jax.Array], add: bool) -> jax.Array:
    return jnp.sum(jnp.stack(values)) if add else jnp.mean(jnp.stack(values))


def discriminator(real: Outputs, fake: Outputs, form: str = "hinge", add: bool = False) -> jax.Array:
    """The discriminators' loss for real audio x and reconstructed audio y.

    It is mean max(0, 1 - D(x)) + mean max(0, 1 + D(y)) for the generator's forms "hinge" and "linear", and
    mean (1 - D(x))^2 + mean D(y)^2 for "least_squares".
    """
    losses = []
    for (a, _), (b, _) in zip(real, fake, strict=True):
        r, f = a.astype(jnp.float32), b.astype(jnp.float32)
        if form == "least_squares":
            losses.append(jnp.mean((1 - r) ** 2) + jnp.mean(f**2))
        else:
            losses.append(jnp.mean(jax.nn.relu(1 - r)) + jnp.mean(jax.nn.relu(1 + f)))
    return _joined(losses, add)


_GENERATOR = {"hinge": lambda f: jax.nn.relu(1 - f), "linear": lambda f: -f, "least_squares": lambda f: (1 - f) ** 2}


def generator(fake: Outputs, form: str = "hinge", add: bool = False) -> jax.Array:
    """The generator's loss.

    Args:
      form: "hinge", mean max(0, 1 - D(y)), as in the papers; "linear", mean -D(y); or "least_squares",
        mean (1 - D(y))^2. In audiocraft, "hinge" is "linear", and "hinge2" is "hinge".
    """
    return _joined([jnp.mean(_GENERATOR[form](f.astype(jnp.float32))) for f, _ in fake], add)


def feature_l1(real: Outputs, fake: Outputs, form: str = "absolute", add: bool = False) -> jax.Array:
    """Mean absolute difference of the activations, over layers and discriminators; no gradient reaches the real side.

    "relative" divides each layer's difference by the mean absolute value of its real activations (EnCodec, equation 3).
    """
    per_discriminator = []
    for (_, real_features), (_, fake_features) in zip(real, fake, strict=True):
        layers = []
        for r, f in zip(real_features, fake_features, strict=True):
            target = jax.lax.stop_gradient(r).astype(jnp.float32)
            difference = jnp.mean(jnp.abs(target - f.astype(jnp.float32)))
            layers.append(difference / jnp.mean(jnp.abs(target)) if form == "relative" else difference)
        per_discriminator.append(_joined(layers, add))
    return _joined(per_discriminator, add)
