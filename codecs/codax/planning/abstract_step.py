"""The training step of a recipe on abstract arrays (shapes without values), for compilation."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from codax.config import Config, presets
from codax.interop import models
from codax.lm.config import LMConfig
from codax.teachers.open import open_differentiable
from codax.training import language
from codax.training import state as st
from codax.training.compilation import Program
from codax.training.parallel import BATCH, Parallel
from codax.training.programs import Programs
from codax.training.step import Phase, phase_at

# Codecs whose shapes are known without their files; a recipe of a language model needs no more than that.
_KNOWN = {"encodec_24khz": presets.encodec_24khz, "encodec_48khz": presets.encodec_48khz}


@dataclasses.dataclass(frozen=True)
class AbstractStep:
    """A training step, mapped over devices as in training."""

    programs: list[Program]  # in the order of their calls
    state: Any  # shapes and shardings
    batch: Any
    notes: tuple[str, ...]  # omissions and assumptions of the plan


def heaviest_phase(config: Config) -> Phase:
    """The training phase with every option that the recipe ever enables, and one draw of `discriminator.drawn`."""
    steps = range(max(0, config.train.steps - max(1, config.discriminator.every)), config.train.steps)
    return max((phase_at(config, step) for step in steps), key=dataclasses.astuple)


def abstract_step(
    config: Config, mapped: Parallel, per_device: int, phases: Sequence[Phase] | None = None
) -> AbstractStep:
    """The step of a recipe for `per_device` examples on each device, with the programs of `phases`.

    Without `phases`, that of `heaviest_phase`.

    Raises:
      CodaxError: the recipe cannot be planned.
    """
    size = per_device * mapped.devices
    notes: list[str] = []
    frozen: tuple[Any, ...] = ()
    if config.lm.codec:
        config, notes = _with_codec(config)
        make_state: Any = functools.partial(language.init_state, config)
        shape = (size, config.segment_samples // config.hop, LMConfig.of_recipe(config).codebooks)
        batch = {"codes": jax.ShapeDtypeStruct(shape, jnp.int32)}
        notes.append("the codec that makes the codes runs outside the step and is not planned")
    else:
        make_state = functools.partial(st.init_state, config)
        batch = _batch(config, size)
        if config.loss.self_supervised > 0:
            frozen = (mapped.abstract(functools.partial(open_differentiable, config)),)
        if "features" in batch:
            notes.append("the teacher's features are an input of the step, as precomputed ones are")
    state, batch = mapped.abstract(make_state), mapped.shapes(batch, BATCH)
    programs, phases = Programs(config, mapped), phases or [heaviest_phase(config)]
    if config.discriminator.drawn and len(phases) == 1:
        notes.append(f"the step with {phases[0]} is planned; those with other drawn discriminators differ from it")
    listed = [program for phase in phases for program in programs.outline(phase, state, batch, *frozen)]
    return AbstractStep(listed, state, batch, tuple(notes))


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
    folder, notes = Path(config.lm.codec), []
    if not folder.exists() and folder.name in _KNOWN:
        codec = _KNOWN[folder.name]()
        notes.append(f"lm.codec {config.lm.codec} does not exist: the shapes of the released {folder.name} are used")
    else:
        codec = Config.load(models.find(config.lm.codec) / "config.json")
    return dataclasses.replace(config, model=codec.model, quantizer=codec.quantizer), notes
