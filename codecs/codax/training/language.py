"""Training a language model on the codes of a finished codec (`lm.codec`), in the loop that also trains codecs."""

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
from codax.codec.loading import load
from codax.codec.microbatches import mean_value_and_grad
from codax.config import Config
from codax.data.pipeline import validation_batches
from codax.dsp.distances import rms_scale
from codax.lm.config import LMConfig
from codax.lm.model import LanguageModel, previous_codes
from codax.lm.predictor import LM
from codax.lm.storage import has_lm, save_lm
from codax.training import state as st
from codax.training.evaluation import EXPORT_FOLDER
from codax.training.parallel import Parallel
from codax.training.reporting import Log
from codax.training.state import TrainState
from codax.training.step import Batch, Metrics, Step, keep_if_finite, mean_over, shard_of

_LN2 = float(np.log(2.0))


def with_codec(config: Config) -> tuple[Config, Codec]:
    """The codec that `lm.codec` names, and the config with that one's network and quantizer.

    Raises:
      CodaxError: no such codec.
    """
    codec = load(config.lm.codec)
    return dataclasses.replace(config, model=codec.config.model, quantizer=codec.config.quantizer), codec


def init_state(config: Config) -> TrainState:
    """A fresh state; the language model takes the generator's place, and there are no discriminators and codebooks."""
    lm = LMConfig.of_recipe(config)
    nothing = jnp.zeros((1, 1, lm.codebooks), jnp.int32)
    params = LanguageModel(lm).init(st.make_key(config.seed, st.KEY_INIT, 0), nothing)["params"]
    optimizer, _ = st.make_optimizers(config)
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
    """Mean information of the codes of each codebook: codes int32 [batch, time, codebooks] -> bits [codebooks]."""
    logits = model.apply({"params": params}, previous_codes(codes), offset)
    assert isinstance(logits, jax.Array)
    chosen = jnp.take_along_axis(logits, codes[..., None], -1)[..., 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - chosen, axis=(0, 1)) / _LN2


def make_step(config: Config, axis: str | None) -> Step:
    """Builds `step(state, batch) -> (state, metrics)`; `batch["codes"]` is int32 [batch, frames, codebooks]."""
    lm = LMConfig.of_recipe(config)
    model = LanguageModel(lm, dtype=jnp.bfloat16 if config.train.compute_dtype == "bfloat16" else None)
    optimizer, _ = st.make_optimizers(config)
    most = max(1, round(config.lm.offset_seconds * config.frame_rate))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        codes = batch["codes"]
        replicas = 1 if axis is None else jax.lax.axis_size(axis)
        key = st.make_key(config.seed, st.KEY_OFFSET, state.step)
        offset = shard_of(jax.random.randint(key, (codes.shape[0] * replicas,), 0, most), axis)

        def loss(params, codes, offset):
            bits = bits_per_code(model, params, codes, offset)
            return jnp.mean(bits), bits

        value_and_grad = mean_value_and_grad(loss, config.memory.accumulate, has_aux=True)
        (mean, bits), gradients = mean_over(value_and_grad(state.generator, codes, offset), axis)
        updates, optimizer_state = optimizer.update(gradients, state.generator_optimizer, state.generator)
        params = optax.apply_updates(state.generator, updates)
        new = state.replace(
            generator=params,
            average=st.follow(state.average, params, state.step, config.train.ema_decay),
            generator_optimizer=optimizer_state,
        )
        metrics = {
            "loss/bits": mean,
            "bits": bits,
            "kbps": jnp.sum(bits) * config.frame_rate / 1000,
            "gradient/generator": optax.global_norm(gradients),
        }
        return keep_if_finite(state, new, metrics)

    return step


class LanguageTask:
    """What `training.loop` trains where `lm.codec` is set: see `tasks.CodecTask`."""

    def __init__(self, config: Config, codec: Codec, mapped: Parallel, workdir: Path) -> None:
        self.config, self._codec, self._mapped, self._workdir = config, codec, mapped, workdir
        self.lm = LMConfig.of_recipe(config)
        self.make_state = functools.partial(init_state, config)
        self._step: Any = None
        model = LanguageModel(self.lm)
        self._score = jax.jit(functools.partial(bits_per_code, model))
        self._validation: list[np.ndarray] | None = None

    def describe(self, state: TrainState) -> str:
        return (
            f"parameters: {st.parameter_count(state.generator):,}; codes of {self._codec.model_id}, "
            f"{self.config.kbps(self.lm.codebooks):g} kbps"
        )

    def prepare(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Audio to codes, on one device: the codec does not change, so no step has to know it."""
        audio = batch["audio"]
        if self.config.model.normalize:
            audio = audio / rms_scale(audio)[:, None, None]
        return {"codes": self._codec.encode_piece(audio, False, self.lm.codebooks)}

    def is_new(self, step: int) -> bool:
        return self._step is None

    def run(self, state: TrainState, batch: Any, step: int) -> tuple[TrainState, Metrics]:
        if self._step is None:
            self._step = self._mapped.compile(make_step(self.config, self._mapped.axis))
        return self._step(state, batch)

    def evaluate(self, step: int, state: TrainState, log: Log) -> float | None:
        """Bits per code on the validation split, and the export. Returns the bits, if any."""
        score = None
        params = jax.device_put(jax.device_get(state.average), jax.local_devices()[0])
        if self.config.train.eval_batches > 0:
            if self._validation is None:
                size = self.config.train.batch_size
                batches = validation_batches(self.config, batch_size_per_process=size)
                self._validation = [self.prepare(batch)["codes"] for batch in batches]
            bits = np.mean([self._score(params, codes) for codes in self._validation], axis=0)
            kbps = float(bits.sum() * self.config.frame_rate / 1000)
            score = float(bits.mean())
            line = {"bits": bits.tolist(), "bits_mean": score, "kbps": kbps}
            log.write(step, "validation", line)
            packed = self.config.kbps(self.lm.codebooks)
            log.terminal.say(
                f"validation at step {step:,}: {bits.mean():.3f} bits per code, {kbps:.2f} kbps of {packed:g} "
                f"({100 - 100 * kbps / packed:.1f} % saved)"
            )
        if jax.process_index() == 0:
            self.export(state)
        return score

    def export(self, state: TrainState, folder: str = EXPORT_FOLDER) -> None:
        """Writes WORKDIR/FOLDER."""
        save_lm(LM(self.lm, jax.device_get(state.average)), self.config, self._workdir / folder)

    def has_export(self) -> bool:
        return has_lm(self._workdir / EXPORT_FOLDER)
