"""Starts a run from its own checkpoint, or from the weights of a trained model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
from flax.traverse_util import flatten_dict, unflatten_dict

from codax.config import Config, ConfigError, ModelConfig
from codax.interop.models import load
from codax.losses.balancer import BalancerState, carry_over, init_balancer
from codax.storage.tensors import check_arrays
from codax.training.checkpoints import Checkpoints
from codax.training.frozen import keeps_codes
from codax.training.state import TrainState
from codax.training.workdir import CONFIG_FILE

_DECODER, _FILM = "params.decoder.", "params.film."


def resume(checkpoints: Checkpoints, step: int, shapes: TrainState, data: Any) -> tuple[TrainState, dict]:
    """Restores a checkpoint, with the balancer's state matched by the names of losses.

    A loss that the checkpoint does not have starts fresh; one that the recipe no longer has is dropped.

    Args:
      shapes: shapes of a fresh state, with shardings.
    """
    if shapes.balancer is None:
        return checkpoints.restore(step, shapes, data)
    sharding = shapes.step.sharding
    number = jax.ShapeDtypeStruct((), "float32", sharding=sharding)

    def as_saved(saved: Any) -> TrainState:
        return shapes.replace(balancer=jax.tree.map(lambda _: number, BalancerState(**saved["balancer"])))

    state, log = checkpoints.restore(step, as_saved, data)
    fresh = jax.device_put(init_balancer(shapes.balancer.norm), sharding)
    return state.replace(balancer=carry_over(state.balancer, fresh)), log


def adopt(config: Config, workdir: Path | None) -> Config:
    """Returns the config with network and quantizer of the model that `train.start_from` names.

    Quantization and the spectral loss are active from the first step.

    Args:
      workdir: the run to resume, whose config.json has them, so that it does not need the model; None = a new run.

    Raises:
      CodaxError: there is no such model, or it does not suit the recipe.
    """
    if workdir is not None:
        theirs = Config.load(workdir / CONFIG_FILE)
        codes_of = theirs.codes_of
    else:
        codec = load(config.train.start_from)
        theirs = codec.config
        codes_of = (codec.hash.hex(), *theirs.codes_of) if keeps_codes(config) else ()
    return dataclasses.replace(
        config,
        model=_model_of(config, theirs.model),
        quantizer=dataclasses.replace(config.quantizer.with_codebooks_of(theirs.quantizer), start_step=0),
        loss=dataclasses.replace(config.loss, spectral_start_step=0),
        codes_of=codes_of,
    ).validate()


def _model_of(config: Config, theirs: ModelConfig) -> ModelConfig:
    """Returns the model section of a run that starts from a model with the section `theirs`."""
    changes: dict[str, Any] = {}
    if config.model.film != "none":
        if not theirs.film_fields:
            raise ConfigError(f"config field model.film: the model {config.train.start_from} cannot have it")
        changes |= {name: getattr(config.model, name) for name in theirs.film_fields}
    if "decoder" in config.train.freeze:
        return dataclasses.replace(theirs, **changes)
    changes["gains_db"] = ()  # they were measured with the decoder as it was
    if config.train.new_decoder:
        if type(theirs) is not type(config.model) or not theirs.decoder_fields:
            raise ConfigError(
                f"config field train.new_decoder: the recipe has a decoder of family {config.model.family}, the model "
                f"{config.train.start_from} one of {theirs.family}; both must be of the same family, which must have "
                "more than one decoder"
            )
        changes |= {name: getattr(config.model, name) for name in theirs.decoder_fields}
    return dataclasses.replace(theirs, **changes)


def start_from(config: Config, state: TrainState, sharding: jax.sharding.Sharding) -> TrainState:
    """Copies network and codebooks of the model that `train.start_from` names into a fresh state.

    Optimisers, discriminators and all counters remain fresh. The averaged weights start equal to the network's.

    Args:
      config: from `adopt`.

    Raises:
      CodaxError: there is no such model, or it has changed since.
    """
    name = config.train.start_from
    codec = load(name)
    fresh = {"params": state.generator, "codebook": state.codebook}
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), fresh)
    arrays = codec.flat()
    if config.train.new_decoder:
        arrays = _with_new(arrays, fresh, _DECODER)
    if config.model.film != "none":
        arrays = _with_new(arrays, fresh, _FILM)
    check_arrays(arrays, shapes, Path(name))
    whole = unflatten_dict(arrays, sep=".")
    # Three copies, since no buffer can be donated twice.
    generator, average, codebook = (
        jax.device_put(whole[part], sharding, may_alias=False) for part in ("params", "params", "codebook")
    )
    return state.replace(generator=generator, average=average, codebook=codebook)


def _with_new(arrays: dict[str, Any], fresh: Any, part: str) -> dict[str, Any]:
    """Replaces a part's arrays by those of a fresh one, except arrays with the same name and shape."""
    new = {
        name: arrays[name] if name in arrays and arrays[name].shape == value.shape else value
        for name, value in flatten_dict(fresh, sep=".").items()
        if name.startswith(part)
    }
    return {name: value for name, value in arrays.items() if not name.startswith(part)} | new
