"""Starts a run from its own checkpoint, or from the weights of a trained model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
from flax.traverse_util import unflatten_dict

from codax.codec.loading import load
from codax.config import Config
from codax.errors import CodaxError
from codax.losses.balancer import BalancerState, carry_over, init_balancer
from codax.storage.tensors import check_arrays
from codax.training.checkpoints import Checkpoints
from codax.training.state import TrainState


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


def start_from(config: Config, state: TrainState, sharding: jax.sharding.Sharding) -> TrainState:
    """Copies network and codebooks of the model that `train.start_from` names into a fresh state.

    Optimisers, discriminators and all counters remain fresh. The averaged weights start equal to the network's.

    Raises:
      CodaxError: no such model exists, or it does not fit the config's network and quantizer.
    """
    name = config.train.start_from
    codec = load(name)
    for field in dataclasses.fields(config.model):
        mine, theirs = (getattr(c.model, field.name) for c in (config, codec.config))
        if mine != theirs and not field.name.startswith("segment_"):
            raise CodaxError(f"train.start_from = {name}: model.{field.name} is {theirs}, not {mine}")
    fresh = {"params": state.generator, "codebook": state.codebook}
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), fresh)
    arrays = codec.flat()
    check_arrays(arrays, shapes, Path(name))
    whole = unflatten_dict(arrays, sep=".")
    # Three copies, since no buffer can be donated twice.
    generator, average, codebook = (
        jax.device_put(whole[part], sharding, may_alias=False) for part in ("params", "params", "codebook")
    )
    return state.replace(generator=generator, average=average, codebook=codebook)
