"""Random draws of a training run; a key depends on (seed, purpose, step) alone and is equal on every replica.

Draws for examples cover the global batch, and each replica takes its part, so that results do not depend on sharding.
"""

from __future__ import annotations

import enum

import jax
import jax.numpy as jnp
import numpy as np

from codax.config import Config, ConfigError
from codax.discriminators.ensemble import members_of
from codax.quantizers import rvq
from codax.training.frozen import is_all_frozen


class Purpose(enum.IntEnum):
    """The purpose of a key. Existing runs depend on the numbers: add new ones at the end."""

    INIT = 0
    LEVELS = 1  # quantizer dropout
    REVIVE = 2  # dead entries of codebooks
    KMEANS = 3
    LOSSES = 4  # the windows of the spectral loss
    CONDITION = 5  # denoising on or off
    DISCRIMINATOR = 6  # whether a step updates the discriminators
    OFFSET = 7  # offset of a language model's positions
    BYPASS = 8  # examples without quantization
    DRAWN = 9  # the discriminators of a step
    CROPS = 10  # the parts of the signals that the discriminators process


def make_key(seed: int, purpose: Purpose, step: jax.Array | int) -> jax.Array:
    """Returns the key of a purpose at a step."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), int(purpose)), step)


def global_size(batch: int, axis: str | None) -> int:
    """Returns the number of examples of all replicas; each replica has `batch` examples."""
    return batch if axis is None else batch * jax.lax.axis_size(axis)


def shard_of(values: jax.Array, axis: str | None) -> jax.Array:
    """Returns this replica's part of an array drawn for the global batch: [replicas * n, ...] -> [n, ...]."""
    if axis is None:
        return values
    n = values.shape[0] // jax.lax.axis_size(axis)
    return jax.lax.dynamic_slice_in_dim(values, jax.lax.axis_index(axis) * n, n)


def draw_rate(config: Config, step: jax.Array) -> jax.Array:
    """Draws the index into `quantizer.kbps` of a step's rate, for `quantizer.dropout_kbps`: int32."""
    key = make_key(config.seed, Purpose.LEVELS, step)
    return jax.random.randint(key, (), 0, len(config.quantizer.kbps))


def draw_levels(config: Config, step: jax.Array, batch: int, axis: str | None) -> jax.Array:
    """Draws the number of quantizers of each example in this shard: int32 [batch]."""
    q = config.quantizer
    if not q.dropout:
        return jnp.full((batch,), q.num_quantizers, jnp.int32)
    if q.dropout_kbps:
        choices = jnp.asarray([config.quantizers_for(kbps) for kbps in q.kbps], jnp.int32)
        return jnp.full((batch,), choices[draw_rate(config, step)], jnp.int32)
    key = make_key(config.seed, Purpose.LEVELS, step)
    return shard_of(rvq.draw_levels(key, global_size(batch, axis), q.num_quantizers, q.semantic, q.dropout_share), axis)


def draw_bypass(config: Config, step: jax.Array, batch: int, axis: str | None) -> jax.Array | None:
    """Draws the examples of this shard that are not quantized: bool [batch]; None if the recipe has none."""
    if not config.quantizer.unquantized:
        return None
    draws = jax.random.uniform(make_key(config.seed, Purpose.BYPASS, step), (global_size(batch, axis),))
    return shard_of(draws < config.quantizer.unquantized, axis)


def draw_discriminators(config: Config, step: int) -> tuple[str, ...]:
    """Draws the names of the `discriminator.drawn` discriminators of step number `step`, outside the program.

    Raises:
      ConfigError: there are fewer discriminators.
    """
    names, count = [member.name for member in members_of(config.discriminator)], config.discriminator.drawn
    if count > len(names):
        raise ConfigError(
            f"config field discriminator.drawn = {count}: must be at most the {len(names)} discriminators"
        )
    # Without JAX, so that the draw does not wait for steps that the device has queued.
    random = np.random.default_rng((config.seed % 2**64, int(Purpose.DRAWN), step))
    chosen = random.choice(len(names), count, replace=False)
    return tuple(names[i] for i in sorted(chosen))


def draw_crops(
    config: Config, step: jax.Array, shape: tuple[int, ...], axis: str | None
) -> tuple[jax.Array | None, int]:
    """Draws where the discriminators' crop of each signal [batch, samples, channels] in this shard begins.

    Returns:
      The first samples, int32 [batch], None if the whole signals are processed; and the length in samples.
    """
    length = int(config.discriminator.crop_seconds * config.model.sample_rate)
    if not 0 < length < shape[1]:
        return None, shape[1]
    key = make_key(config.seed, Purpose.CROPS, step)
    starts = jax.random.randint(key, (global_size(shape[0], axis),), 0, shape[1] - length + 1)
    return shard_of(starts, axis), length


def draw_denoising(
    config: Config, batch: dict[str, jax.Array], step: jax.Array, axis: str | None
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Returns the input and target of a step, and where denoising is on.

    Without FiLM, input and target are the audio, and the condition is None. With FiLM, the input is the noisy signal;
    denoising is off, on, or changes at one random frame; the target is clean where denoising is on, else noisy. If a
    denoiser alone is trained, denoising is on: nothing can be learned where it is off.

    Returns:
      Input and target [batch, samples, channels], and the condition float32 [batch, frames].
    """
    audio = batch["audio"]
    if config.model.film == "none":
        return audio, audio, None
    examples, frames = audio.shape[0], audio.shape[1] // config.hop
    if is_all_frozen(config):
        return audio, batch["clean"], jnp.ones((examples, frames))
    key = make_key(config.seed, Purpose.CONDITION, step)
    draws = shard_of(jax.random.uniform(key, (global_size(examples, axis), 2)), axis)
    # The change is uniform over twice the length, so that half of the examples keep one value throughout.
    change = jnp.floor(draws[:, :1] * 2 * frames)
    before = draws[:, 1:] < 0.5
    on = jnp.where(jnp.arange(frames)[None] < change, before, ~before)
    on_samples = jnp.repeat(on, config.hop, axis=1)[..., None]
    return audio, jnp.where(on_samples, batch["clean"], audio), on.astype(jnp.float32)
