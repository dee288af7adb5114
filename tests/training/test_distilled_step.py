"""The first quantizer follows the teacher's features."""

from __future__ import annotations

import jax
import numpy as np
from codax.training.state import init_state
from codax.training.step import Phase, make_codebook_init, make_step
from tiny_run import WHOLE_STEP, tiny_config, voices

PHASE = Phase(quantize=True, spectral=False, adversarial=False)


def test_the_loss_falls_and_its_gradient_reaches_encoder_and_head() -> None:
    config = tiny_config(
        **WHOLE_STEP, train__batch_size=4, model__semantic_dimension=6, loss__distillation=5.0, loss__waveform=0.0,
        loss__spectral=0.0, optimizer__learning_rate=1e-2,
    )  # fmt: skip
    audio = voices(4, config.segment_samples)
    frames = config.segment_samples // config.hop
    # Loudness along time, seen through a random matrix.
    loudness = np.log(1e-3 + np.abs(audio).reshape(4, frames, -1).mean(axis=-1, keepdims=True))
    mixed = loudness * np.random.default_rng(0).standard_normal((1, 1, 6))
    batch = {"audio": audio, "features": (mixed - mixed.mean(axis=1, keepdims=True)).astype(np.float32)}
    start = jax.jit(lambda: init_state(config))()
    start = jax.jit(make_codebook_init(config, None))(start, batch)[0]
    step = jax.jit(make_step(config, PHASE, None))
    state, losses = start, []
    for _ in range(60):
        state, metrics = step(state, batch)
        losses.append(float(metrics["loss/distillation"]))
    assert losses[-1] < losses[0] - 0.05
    for part in ("encoder", "transform"):
        before, after = (jax.tree.leaves(s.generator[part]) for s in (start, state))
        assert any(np.abs(np.asarray(a) - np.asarray(b)).max() > 1e-3 for a, b in zip(before, after, strict=True)), part
    # Another form is another loss, and without a weight there is none.
    config.loss.distillation_form = "t_axis"
    assert float(jax.jit(make_step(config, PHASE, None))(start, batch)[1]["loss/distillation"]) != losses[0]
    config.loss.distillation = 0.0
    assert "loss/distillation" not in jax.jit(make_step(config, PHASE, None))(start, {"audio": audio})[1]
