"""Live comparison of the delayed layouts with `transformers`' MusicGen and Moshi, where it is installed."""

from __future__ import annotations

import types

import numpy as np
import pytest
from codax import tokens

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
FILL = 2048


# Theirs shifts nothing if there are fewer frames than levels - 1.
@pytest.mark.parametrize(("frames", "levels"), [(1, 1), (1, 2), (3, 4), (7, 2), (50, 8)])
def test_the_delay_is_that_of_musicgen(frames: int, levels: int) -> None:
    modeling = pytest.importorskip("transformers.models.musicgen.modeling_musicgen")
    decoder = modeling.MusicgenForCausalLM
    own = types.SimpleNamespace(num_codebooks=levels, config=types.SimpleNamespace(audio_channels=1))
    codes = np.random.default_rng(0).integers(0, FILL, (2, frames, levels))
    # Their sequences start with a step of padding, before the codes.
    first = np.full((2, 1, levels), FILL)
    ids = torch.tensor(np.concatenate([first, codes], axis=1)).transpose(1, 2).reshape(2 * levels, frames + 1)
    steps = frames + levels
    _, pattern = decoder.build_delay_pattern_mask(own, ids, pad_token_id=FILL, max_length=steps)
    ours = np.concatenate([first, tokens.delay(codes, fill=FILL)], axis=1)
    np.testing.assert_array_equal(ours, pattern.reshape(2, levels, -1).transpose(1, 2).numpy())

    # Generation: the pattern is open (-1) where codes are predicted; theirs and ours restore the same codes.
    _, pattern = decoder.build_delay_pattern_mask(own, ids[:, :1], pad_token_id=FILL, max_length=steps)
    predicted = torch.tensor(np.random.default_rng(1).integers(0, FILL, (2 * levels, steps)))
    applied = decoder.apply_delay_pattern_mask(predicted, pattern)
    theirs = applied[pattern != FILL].reshape(2, levels, frames).transpose(1, 2)
    laid = applied.reshape(2, levels, steps).transpose(1, 2)[:, 1:].numpy()
    np.testing.assert_array_equal(tokens.from_delay(laid), theirs.numpy())
    np.testing.assert_array_equal(tokens.delay(theirs.numpy(), fill=FILL), laid)


# Theirs also adds a step to a single level, which has no delay.
@pytest.mark.parametrize(("frames", "levels"), [(1, 2), (1, 4), (3, 4), (50, 8)])
def test_the_acoustic_delay_is_that_of_moshi(frames: int, levels: int) -> None:
    modeling = pytest.importorskip("transformers.models.moshi.modeling_moshi")
    model = modeling.MoshiForConditionalGeneration
    codes = np.random.default_rng(0).integers(0, FILL, (2, frames, levels))

    def pattern_of(ids):
        return model.build_delay_pattern_mask(None, ids, bos_token_id=FILL, pad_token_id=FILL, max_length=frames + 1)[1]

    pattern = pattern_of(torch.tensor(codes).transpose(1, 2))
    np.testing.assert_array_equal(tokens.acoustic_delay(codes, fill=FILL), pattern.transpose(1, 2).numpy())

    pattern = pattern_of(torch.zeros((2, levels, 0), dtype=torch.long))
    predicted = torch.tensor(np.random.default_rng(1).integers(0, FILL, (2, levels, frames + 1)))
    applied = model.apply_delay_pattern_mask(predicted, pattern)
    theirs = applied[pattern != FILL].reshape(2, levels, frames).transpose(1, 2).numpy()
    np.testing.assert_array_equal(tokens.from_acoustic_delay(applied.transpose(1, 2).numpy()), theirs)
