"""The terms of the generator's loss: a registry of named functions, which recipes weight by name.

A term that needs only names in `RECONSTRUCTION` and `DISCRIMINATORS` is computed on the reconstruction; with
`loss.balancer`, its weight is a share of the gradient. Any other term is computed inside the generator's forward pass,
from the fields of `codax.codec.module.ForwardOutput` and the arrays of the batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

from codax.config import Config, ConfigError, LossConfig
from codax.errors import CodaxError
from codax.losses import adversarial, self_supervised, spectral
from codax.losses.distillation import distillation

# target and estimate are audio [batch, time, channels]; all terms of a step share the random key. The teacher maps
# audio to a sequence of features [batch, frames, channels].
RECONSTRUCTION = frozenset({"target", "estimate", "key", "teacher"})
# The outputs of one discriminator for target and estimate (`adversarial.Outputs` with one entry); no gradient reaches
# "real". The loss is the mean over discriminators, or their sum with `loss.sum_discriminators`.
DISCRIMINATORS = frozenset({"real", "fake"})
_FIELDS = frozenset(field.name for field in dataclasses.fields(LossConfig))


@dataclasses.dataclass(frozen=True)
class Term:
    """A loss.

    Attributes:
      name: its weight is the field `loss.NAME`, or `loss.extra["NAME"]` if no such field exists.
      compute: (config, **inputs) -> scalar, a mean over the examples; takes the inputs named in `needs`.
      needs: names of inputs.
    """

    name: str
    compute: Callable[..., jax.Array]
    needs: tuple[str, ...]

    @property
    def on_reconstruction(self) -> bool:
        """Whether the term is computed on the reconstruction, not inside the forward pass."""
        return not set(self.needs) - RECONSTRUCTION - DISCRIMINATORS

    @property
    def on_discriminators(self) -> bool:
        """Whether the term is computed on the discriminators' outputs."""
        return bool(DISCRIMINATORS.intersection(self.needs))

    def __call__(self, config: Config, inputs: Mapping[str, Any]) -> jax.Array:
        """Computes the term. Raises CodaxError if an input is missing."""
        if missing := [name for name in self.needs if name not in inputs]:
            raise CodaxError(f"loss {self.name} needs {missing[0]}, which neither the model nor the batch has")
        return self.compute(config, **{name: inputs[name] for name in self.needs})


def _waveform(config: Config, target: jax.Array, estimate: jax.Array) -> jax.Array:
    return spectral.waveform_l1(target, estimate)


def _spectral(config: Config, target: jax.Array, estimate: jax.Array, key: jax.Array) -> jax.Array:
    return spectral.drawn_multiscale_mel(target, estimate, config.loss, key, sample_rate=config.model.sample_rate)


def _adversarial(config: Config, fake: adversarial.Outputs) -> jax.Array:
    return adversarial.generator(fake, config.loss.adversarial_form, config.loss.sum_discriminators)


def _feature(config: Config, real: adversarial.Outputs, fake: adversarial.Outputs) -> jax.Array:
    return adversarial.feature_l1(real, fake, config.loss.feature_form, config.loss.sum_discriminators)


def _self_supervised(
    config: Config, target: jax.Array, estimate: jax.Array, key: jax.Array, teacher: Callable[[jax.Array], Any]
) -> jax.Array:
    # The same for every example, so that it does not depend on devices or microbatches.
    noise = config.loss.self_supervised_noise * jax.random.normal(key, (1, *target.shape[1:]))
    original, reconstruction = (teacher(audio.astype(noise.dtype) + noise) for audio in (target, estimate))
    return self_supervised.distance(original, reconstruction, config.loss.self_supervised_form)


def _distillation(config: Config, semantic: jax.Array, features: jax.Array) -> jax.Array:
    return distillation(semantic, features, config.loss.distillation_form)


TERMS: dict[str, Term] = {
    term.name: term
    for term in (
        Term("waveform", _waveform, ("target", "estimate")),
        Term("spectral", _spectral, ("target", "estimate", "key")),
        Term("self_supervised", _self_supervised, ("target", "estimate", "key", "teacher")),
        Term("adversarial", _adversarial, ("fake",)),
        Term("feature", _feature, ("real", "fake")),
        Term("commitment", lambda config, commitment: commitment, ("commitment",)),
        Term("codebook", lambda config, codebook: codebook, ("codebook",)),
        Term("distillation", _distillation, ("semantic", "features")),
    )
}


def register(term: Term) -> None:
    """Adds a term, which recipes weight by `loss.extra["NAME"]`; call it before a run starts.

    Raises:
      CodaxError: the name is taken, or the term needs no input, or inputs of both kinds.
    """
    if term.name in TERMS or term.name in _FIELDS:
        raise CodaxError(f"loss {term.name}: the name is taken")
    mixed = (RECONSTRUCTION | DISCRIMINATORS).intersection(term.needs) and not term.on_reconstruction
    if not term.needs or mixed:
        raise CodaxError(
            f"loss {term.name} needs {', '.join(term.needs) or 'nothing'}: expected some of "
            f"{', '.join(sorted(RECONSTRUCTION | DISCRIMINATORS))}, or fields of the forward pass and the batch alone"
        )
    TERMS[term.name] = term


def weights_of(loss: LossConfig) -> dict[str, float]:
    """Returns the positive weights of a recipe's terms, in the order of the registry.

    Raises:
      ConfigError: `loss.extra` names a term that is not registered.
    """
    for name in loss.extra:
        if name not in TERMS or name in _FIELDS:
            raise ConfigError(f"config field loss.extra: no loss named {name!r} is registered (losses/terms.py)")
    weights = {name: getattr(loss, name) if name in _FIELDS else loss.extra.get(name, 0.0) for name in TERMS}
    return {name: weight for name, weight in weights.items() if weight > 0}
