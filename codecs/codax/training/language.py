"""Training of a language model on the codes of a trained codec (`lm.codec`), in the same loop as codecs."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from codax.codec.codec import Codec
from codax.codec.microbatches import mean_value_and_grad
from codax.config import Config
from codax.data import pipeline
from codax.data.batches import Batches
from codax.dsp.distances import rms_scale
from codax.errors import CodaxError
from codax.interop.models import load
from codax.lm.config import LMConfig
from codax.lm.model import LanguageModel, bits_of_codes
from codax.lm.predictor import LM
from codax.lm.storage import has_lm, save_lm
from codax.tokens.packing import Packed, packed_batches, validation_codes
from codax.training.evaluator import EXPORT_FOLDER
from codax.training.optimizers import make_optimizers
from codax.training.parallel import mean_over
from codax.training.randomness import Purpose, global_size, make_key, shard_of
from codax.training.reporting import Log
from codax.training.state import TrainState, parameter_count, update_ema
from codax.training.step import Batch, Metrics, Phase, Step, keep_if_finite


def with_codec(config: Config) -> tuple[Config, Codec]:
    """Returns the config with the network and quantizer of the codec that `lm.codec` names, and that codec.

    Raises:
      CodaxError: no such codec exists.
    """
    codec = load(config.lm.codec)
    theirs, hashes = codec.config, (codec.hash.hex(),)  # with the hash, a run resumes with the same codec or not at all
    return dataclasses.replace(config, model=theirs.model, quantizer=theirs.quantizer, codes_of=hashes), codec


def init_state(config: Config) -> TrainState:
    """Returns a fresh state whose generator is the language model, without discriminators and codebooks."""
    lm = LMConfig.of_recipe(config)
    codes = jnp.zeros((1, 1, lm.codebooks), jnp.int32)
    params = LanguageModel(lm).init(make_key(config.seed, Purpose.INIT, 0), codes)["params"]
    optimizer, _ = make_optimizers(config)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        generator=params,
        discriminator={},
        codebook={},
        average=jax.tree.map(jnp.copy, params),
        generator_optimizer=optimizer.init(params),
        discriminator_optimizer={},
        balancer=None,
        bad_steps=jnp.zeros((), jnp.int32),
        bad_total=jnp.zeros((), jnp.int32),
    )


def bits_per_code(model: LanguageModel, params: Any, codes: jax.Array, offset: jax.Array | int = 0) -> jax.Array:
    """Mean cross-entropy per code of each codebook: codes int32 [batch, frames, codebooks] -> bits [codebooks]."""
    bits = bits_of_codes(model, params, codes, offset)
    return jnp.sum(bits, axis=(0, 1)) / (codes.shape[0] * codes.shape[1])


def make_step(config: Config, phase: Phase, axis: str | None) -> Step:
    """Builds `step(state, batch) -> (state, metrics)`; `batch["codes"]` is int32 [batch, frames, codebooks].

    The step does not depend on the phase.
    """
    lm = LMConfig.of_recipe(config)
    dtype: Any = jnp.bfloat16 if config.train.compute_dtype == "bfloat16" else None
    model = LanguageModel(lm, dtype=dtype)
    optimizer, _ = make_optimizers(config)
    most = max(1, round(config.lm.offset_seconds * config.frame_rate))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        codes = batch["codes"]
        key = make_key(config.seed, Purpose.OFFSET, state.step)
        offset = shard_of(jax.random.randint(key, (global_size(codes.shape[0], axis),), 0, most), axis)

        def loss(params, codes, offset):
            bits = bits_per_code(model, params, codes, offset)
            return jnp.mean(bits), bits

        value_and_grad = mean_value_and_grad(loss, config.memory.accumulate, has_aux=True)
        (mean, bits), gradients = mean_over(value_and_grad(state.generator, codes, offset), axis)
        updates, optimizer_state = optimizer.update(gradients, state.generator_optimizer, state.generator)
        params = optax.apply_updates(state.generator, updates)
        new = state.replace(
            generator=params,
            average=update_ema(state.average, params, state.step, config.train.ema_decay),
            generator_optimizer=optimizer_state,
        )
        metrics = {
            "loss/bits": mean,
            "bits": bits,
            "kbps": jnp.sum(bits) * config.frame_rate / 1000,
            "gradient/generator": optax.tree.norm(gradients),
        }
        return keep_if_finite(state, new, metrics)

    return step


def open_tokens(config: Config, codec: Codec, split: str) -> Packed:
    """Opens the token data set `lm.tokens`. Raises CodaxError, also if another codec made it."""
    frames = config.segment_samples // config.hop
    packed = Packed(config.lm.tokens, split, frames, LMConfig.of_recipe(config).codebooks)
    about = packed.records.about
    if about["hash"] != codec.hash.hex():
        raise CodaxError(
            f"{config.lm.tokens}: has tokens of {about['model']} with hash {about['hash']}, lm.codec is "
            f"{codec.model_id} with hash {codec.hash.hex()}"
        )
    return packed


def training_batches(config: Config, codec: Codec, *, split: str, **share: Any) -> Batches:
    """Returns the batches of `data.pipeline.training_batches`, or codes of the token data set `lm.tokens`."""
    if config.lm.tokens:
        return packed_batches(open_tokens(config, codec, split), config, **share)
    return pipeline.training_batches(config, split=split, **share)


def add_codes(config: Config, codec: Codec, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Encodes the audio of a batch to the codes that the step takes, on one device; stored codes are unchanged."""
    if "codes" in batch:
        return batch
    audio = batch["audio"]
    if config.model.normalize:
        audio = audio / rms_scale(audio)[:, None, None]
    return {"codes": codec.engine.encode_piece(audio, False, LMConfig.of_recipe(config).codebooks)}


class LanguageEvaluator:
    """Validation and export of the averaged language model; see `evaluator.CodecEvaluator`."""

    def __init__(self, config: Config, codec: Codec, workdir: Path) -> None:
        self._config, self._codec, self._workdir = config, codec, workdir
        self._lm = LMConfig.of_recipe(config)
        self._bits = jax.jit(functools.partial(bits_per_code, LanguageModel(self._lm)))
        self._validation: list[np.ndarray] | None = None

    def describe(self, state: TrainState) -> str:
        """Returns the sizes of the model and its codes, for the log."""
        return (
            f"parameters: {parameter_count(state.generator):,}; codes of {self._codec.model_id}, "
            f"{self._config.kbps(self._lm.codebooks):g} kbps"
        )

    def __call__(self, step: int, state: TrainState, log: Log) -> float | None:
        """Validates and exports; returns the bits per code of the validation split, or None without validation."""
        score = None
        params = jax.device_put(jax.device_get(state.average), jax.local_devices()[0])
        if self._config.train.eval_batches > 0:
            bits = np.mean([self._bits(params, codes) for codes in self._validation_codes()], axis=0)
            kbps = float(bits.sum() * self._config.frame_rate / 1000)
            score = float(bits.mean())
            log.write(step, "validation", {"bits": bits.tolist(), "bits_mean": score, "kbps": kbps})
            packed = self._config.kbps(self._lm.codebooks)
            log.terminal.say(
                f"validation at step {step:,}: {score:.3f} bits per code, {kbps:.2f} kbps of {packed:g} "
                f"({100 - 100 * kbps / packed:.1f} % saved)"
            )
        if jax.process_index() == 0:
            self.export(state)
        return score

    def writes_samples(self, step: int) -> bool:
        """Never: codes alone cannot be heard."""
        return False

    def sample(self, step: int, state: TrainState, log: Log) -> None:
        """Writes nothing."""

    def _validation_codes(self) -> list[np.ndarray]:
        if self._validation is None and self._config.lm.tokens:
            self._validation = validation_codes(open_tokens(self._config, self._codec, "validation"), self._config)
        elif self._validation is None:
            batches = pipeline.validation_batches(self._config, batch_size_per_process=self._config.train.batch_size)
            self._validation = [add_codes(self._config, self._codec, batch)["codes"] for batch in batches]
        return self._validation

    def export(self, state: TrainState, folder: str = EXPORT_FOLDER) -> None:
        """Writes WORKDIR/FOLDER."""
        lm = LM(self._lm, jax.device_get(state.average))
        save_lm(lm, self._codec.config, self._workdir / folder, codec_hash=self._codec.hash)

    def has_export(self) -> bool:
        return has_lm(self._workdir / EXPORT_FOLDER)
