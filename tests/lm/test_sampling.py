"""Continuations of codes: cached steps equal the whole, in every layout, and the draws are those asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
from codax.errors import CodaxError
from codax.lm.config import LAYOUTS, LMConfig
from codax.lm.model import LanguageModel, frames_of, laid_out, previous_codes
from codax.lm.predictor import LM, from_weights, parameter_shapes
from codax.lm.sampling import extend

SMALL = LMConfig(codebooks=3, codebook_size=10, dim=8, layers=2, heads=2, hidden=16, past_context=5)


def model(layout: str) -> LM:
    config, rng = dataclasses.replace(SMALL, layout=layout), np.random.default_rng(0)
    shapes = parameter_shapes(config)
    weights = {name: 0.5 * rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return from_weights(weights, config, Path("x"))


def whole(lm: LM, steps: np.ndarray) -> np.ndarray:
    """Logits of all steps, from one call."""
    return np.asarray(jax.jit(LanguageModel(lm.config).apply)({"params": lm.params}, previous_codes(steps)))


PROMPT = np.random.default_rng(1).integers(0, 10, (2, 7, 3))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("known", [0, 7])
def test_cached_steps_equal_the_whole(layout: str, known: int) -> None:
    lm, prompt = model(layout), PROMPT[:, :known]
    codes = extend(lm, prompt, 12, temperature=0.0)
    assert codes.shape == (2, known + 12, 3) and codes.dtype == np.int32
    np.testing.assert_array_equal(codes[:, :known], prompt)
    expected = frames_of(np.argmax(whole(lm, laid_out(codes, lm.config)), axis=-1), lm.config)
    np.testing.assert_array_equal(codes[:, known:], expected[:, known:])


def test_draws_depend_on_the_seed_alone_and_are_among_the_likeliest() -> None:
    lm = model("delay")
    first, repeated, other = (extend(lm, PROMPT, 40, top_k=2, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, repeated)
    assert (first != other).any()
    steps = laid_out(first, lm.config)
    logits = whole(lm, steps)
    rank = (logits > np.take_along_axis(logits, np.maximum(steps, 0)[..., None], -1)).sum(-1)
    rank = frames_of(rank, lm.config)[:, 7:]
    assert rank.max() == 1 and 0.1 < rank.mean() < 0.9


def test_frequencies_are_the_probabilities() -> None:
    lm = model("acoustic_delay")
    drawn = extend(lm, np.zeros((4000, 0, 3), int), 1, temperature=2.0)[:, 0, 0]
    expected = jax.nn.softmax(whole(lm, np.zeros((1, 1, 3), np.int32))[0, 0, 0] / 2)
    np.testing.assert_allclose(np.bincount(drawn, minlength=10) / 4000, expected, atol=0.04)


@pytest.mark.parametrize(
    ("prompt", "options", "reason"),
    [
        (PROMPT[..., :2], {}, r"\[2, 7, 2\], expected \[batch, frames, 3\]"),
        (PROMPT + 5, {}, "not all from 0 to 9"),
        (PROMPT - 9, {}, "not all from 0 to 9"),
        (PROMPT, {"temperature": -1.0}, "out of range"),
        (PROMPT, {"temperature": float("nan")}, "out of range"),
        (PROMPT, {"top_k": 11}, "out of range"),
    ],
)
def test_invalid_arguments(prompt: np.ndarray, options: dict, reason: str) -> None:
    with pytest.raises(CodaxError, match=reason):
        extend(model(""), prompt, 3, **options)
