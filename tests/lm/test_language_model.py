"""The language model of codes: sizes, pieces of a sequence, and what a configuration may not be."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import jax
import numpy as np
import pytest
from codax.config import Config, presets
from codax.errors import ConfigError
from codax.lm.config import LMConfig
from codax.lm.model import LanguageModel, previous_codes
from codax.lm.predictor import LM, from_weights, parameter_shapes

SMALL = LMConfig(codebooks=3, codebook_size=10, dim=8, layers=2, heads=2, hidden=16, past_context=5)


@pytest.fixture(scope="module")
def lm() -> LM:
    rng = np.random.default_rng(0)
    shapes = parameter_shapes(SMALL)
    return from_weights(
        {k: 0.5 * rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()}, SMALL, Path("x")
    )


def whole(lm: LM, codes: np.ndarray, offset: object = 0) -> np.ndarray:
    """Probabilities of all frames at once."""
    logits = jax.jit(LanguageModel(SMALL).apply)({"params": lm.params}, previous_codes(codes), offset)
    return np.asarray(jax.nn.softmax(logits, axis=-1))


@pytest.mark.parametrize(
    ("codec", "count", "past"), [(presets.encodec_24khz(), 15_559_768, 262), (presets.encodec_48khz(), 8_986_584, 525)]
)
def test_parameters_at_full_size(codec: Config, count: int, past: int) -> None:
    config = LMConfig.of_recipe(codec)
    assert config.past_context == past
    assert sum(int(np.prod(shape)) for shape in parameter_shapes(config).values()) == count


@pytest.mark.parametrize("codebooks", [1, 3])
def test_steps_and_chunks_are_the_whole(lm: LM, codebooks: int) -> None:
    codes = np.random.default_rng(0).integers(0, 10, (2, 19, codebooks), dtype=np.int32)
    previous = np.asarray(previous_codes(codes))
    np.testing.assert_array_equal(previous[:, 0], 0)
    np.testing.assert_array_equal(previous[:, 1:], codes[:, :-1] + 1)
    expected = whole(lm, codes, np.asarray([0, 50]))
    step = jax.jit(functools.partial(LanguageModel(SMALL).apply, mutable=["stream"]))
    for cuts in (range(1, 19), [7, 8, 15]):
        state, parts = {}, []
        for piece in np.split(previous, cuts, axis=1):
            logits, state = step({"params": lm.params, **state}, piece, np.asarray([0, 50]))
            parts.append(jax.nn.softmax(logits, axis=-1))
        np.testing.assert_allclose(np.concatenate(parts, axis=1), expected, atol=1e-6)


def test_a_frame_depends_on_the_frames_before_it_alone(lm: LM) -> None:
    codes = np.random.default_rng(0).integers(0, 10, (1, 12, 3), dtype=np.int32)
    changed = codes.copy()
    changed[:, 6] = (changed[:, 6] + 1) % 10
    same = (whole(lm, codes) == whole(lm, changed)).all(axis=(0, 2, 3))
    np.testing.assert_array_equal(same, [t <= 6 for t in range(12)])


@pytest.mark.parametrize(
    ("field", "value"),
    [("dim", 9), ("dim", 2), ("heads", 3), ("past_context", 0), ("codebook_size", 1), ("layers", 0), ("period", 0.0)],
)
def test_a_config_that_cannot_be_is_refused(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=r"lm\."):
        dataclasses.replace(SMALL, **{field: value}).validate()


def test_plain_values() -> None:
    assert LMConfig.from_dict(SMALL.to_dict()) == SMALL
    with pytest.raises(ConfigError, match=r"lm\.size"):
        LMConfig.from_dict({"size": 3})
    with pytest.raises(ConfigError, match="4 codebooks"):
        SMALL.checked_codebooks(4)
