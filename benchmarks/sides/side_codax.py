"""The codax side, through its public interface."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import codax
import jax
import numpy as np
from case import Case, folder_of
from codax.config.recipe_files import load_recipe

RECIPES = Path(__file__).parents[2] / "configs"


def build(case: Case, weights: Path) -> Callable[[], Any]:
    """A function that executes the case once and returns codes if it encodes."""
    if case.task == "train":
        return training(case)
    codec = codax.load(folder_of(weights, case.model, "codax"))
    if case.task == "encode":
        audio = case.audio()
        return lambda: codec.encode(audio, num_quantizers=case.used).codes
    if case.task == "decode":
        length = case.audio().shape[1]
        tokens = codax.Tokens(case.codes(), length, case.shape.sample_rate, case.shape.channels)
        if codec.config.model.normalize:
            tokens = codec.encode(case.audio(), num_quantizers=case.used)
        return lambda: codec.decode(tokens)
    return stream(codec, case)


def stream(codec: codax.Codec, case: Case) -> Callable[[], Any]:
    """Encodes and decodes one frame of a live stream."""
    encoder, decoder = codec.stream(num_quantizers=case.used, batch=case.batch)
    encoder.prepare([1])
    decoder.prepare([1], case.used)
    frame = case.audio()[:, : case.shape.hop]

    def run() -> None:
        decoder.push(encoder.push(frame))

    return run


def training(case: Case) -> Callable[[], None]:
    """A complete step of the recipe with all losses, on one device."""
    from codax.training import state as st
    from codax.training.step import Phase, make_step

    config = load_recipe(RECIPES / f"{case.model}.py")
    config.train.batch_size, config.train.segment_seconds = case.batch, case.seconds
    config.train.compute_dtype, config.memory.accumulate = case.dtype, case.pieces
    config.discriminator.update_probability = 1.0
    config.discriminator.per_kbps = False
    config.quantizer.dropout = config.quantizer.dropout_kbps = False
    config.validate()
    batch = {"audio": case.audio()}
    step = jax.jit(make_step(config, Phase(quantize=True, spectral=True, adversarial=True), None), donate_argnums=0)
    state = [st.init_state(config)]
    compiled = step.lower(state[0], batch).compile()

    def run() -> None:
        state[0], metrics = compiled(state[0], batch)
        if not np.isfinite(float(metrics["loss/generator"])):
            raise FloatingPointError("the loss is not finite")

    return run
