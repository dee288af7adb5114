"""The training step of a recipe on abstract arrays (shapes without values), for compilation."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from codax.codec import shipped
from codax.config import Config, presets
from codax.errors import CodaxError
from codax.teachers.open import open_differentiable
from codax.training import language
from codax.training import state as st
from codax.training.parallel import Parallel
from codax.training.step import Phase, make_step, phase_at

# Codecs whose shapes are known without their files; a recipe of a language model needs no more than that.
_KNOWN = {"encodec_24khz": presets.encodec_24khz, "encodec_48khz": presets.encodec_48khz}


@dataclasses.dataclass(frozen=True)
class AbstractStep:
    """A training step, mapped over devices as in training."""

    step: Any  # jitted; can be lowered for `state` and `batch`
    state: Any  # shapes and shardings
    batch: Any
    frozen: tuple[Any, ...]  # further arguments
    notes: tuple[str, ...]  # omissions and assumptions of the plan


def heaviest_phase(config: Config) -> Phase:
    """The training phase with every option that the recipe ever enables."""
    steps = range(max(0, config.train.steps - max(1, config.discriminator.every)), config.train.steps)
    return max((phase_at(config, step) for step in steps), key=dataclasses.astuple)


def abstract_step(config: Config, mapped: Parallel, per_device: int) -> AbstractStep:
    """The step of a recipe for `per_device` examples on each device.

    Raises:
      CodaxError: the recipe cannot be planned.
    """
    size = per_device * mapped.devices
    notes: list[str] = []
    frozen: tuple[Any, ...] = ()
    if config.lm.codec:
        config, notes = _with_codec(config)
        step = language.make_step(config, phase_at(config, 0), mapped.axis)
        make_state: Any = functools.partial(language.init_state, config)
        codebooks = config.lm.codebooks or config.quantizer.num_quantizers
        batch = {"codes": jax.ShapeDtypeStruct((size, config.segment_samples // config.hop, codebooks), jnp.int32)}
        notes.append("the codec that makes the codes runs outside the step and is not planned")
    else:
        step = make_step(config, heaviest_phase(config), mapped.axis)
        make_state = functools.partial(st.init_state, config)
        batch = _batch(config, size)
        if config.loss.self_supervised > 0:
            frozen = (mapped.abstract(functools.partial(open_differentiable, config)),)
        if "features" in batch:
            notes.append("the teacher's features are an input of the step, as precomputed ones are")
    abstract = functools.partial(jax.ShapeDtypeStruct, sharding=mapped.batch_sharding)
    batch = {name: abstract(x.shape, x.dtype) for name, x in batch.items()}
    compiled = mapped.compile(step, frozen=len(frozen))
    return AbstractStep(compiled, mapped.abstract(make_state), batch, frozen, tuple(notes))


def _batch(config: Config, size: int) -> dict[str, jax.ShapeDtypeStruct]:
    """The batch that the data pipeline and the teacher provide to a codec's step."""
    audio = jax.ShapeDtypeStruct((size, config.segment_samples, config.model.audio_channels), jnp.float32)
    batch = {"audio": audio}
    if config.data.noise_source:
        batch["clean"] = audio
    if config.loss.distillation > 0:
        shape = (size, config.segment_samples // config.hop, config.model.semantic_dimension)
        batch["features"] = jax.ShapeDtypeStruct(shape, jnp.float32)
    return batch


def _with_codec(config: Config) -> tuple[Config, list[str]]:
    """The config of a language model with the network and quantizer of its codec; weights are not read."""
    folder = shipped.find(config.lm.codec)
    notes = []
    if (folder / "config.json").is_file():
        codec = Config.load(folder / "config.json")
    elif folder.name in _KNOWN:
        codec = _KNOWN[folder.name]()
        notes.append(f"lm.codec {config.lm.codec} does not exist: the shapes of the released {folder.name} are used")
    else:
        raise CodaxError(f"config field lm.codec = {config.lm.codec!r}: no such model folder")
    return dataclasses.replace(config, model=codec.model, quantizer=codec.quantizer), notes
