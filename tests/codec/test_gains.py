"""`model.gains_db` raises decoded audio by the gain of its number of quantizers, however it is decoded."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from codax.codec.codec import Codec
from codax.codec.module import CodecModel
from codax.config import ConfigError
from small_models import codec, signal


@pytest.fixture(scope="module")
def plain() -> Codec:
    """The model without its gains."""
    made = codec("beam")
    model = dataclasses.replace(made.config.model, gains_db=())
    return Codec(dataclasses.replace(made.config, model=model), made.params, made.codebook)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_every_way_to_decode_has_the_gain_of_its_number_of_quantizers(plain: Codec, levels: int) -> None:
    made = codec("beam")
    tokens = made.encode(signal(made, 1, 20), sample_rate=8_000, num_quantizers=levels)
    gain = 10 ** (made.config.model.gains_db[levels - 1] / 20)
    expected = gain * plain.decode(plain.encode(signal(made, 1, 20), sample_rate=8_000, num_quantizers=levels))
    np.testing.assert_allclose(made.decode(tokens), expected, atol=1e-6)
    decoder = made.stream_decoder()
    pieces = [decoder.push(tokens.codes[:, :7]), decoder.push(tokens.codes[:, 7:]), decoder.finish()]
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), expected, atol=1e-6)
    sessions = made.sessions(1, num_quantizers=levels)
    sessions.start()
    frames = [sessions.decode(tokens.codes[:, i : i + 1]) for i in range(20)]
    np.testing.assert_allclose(np.concatenate(frames, axis=1), expected, atol=1e-6)
    variables = {"params": made.params, "codebook": made.codebook}
    pure = made.module.apply(variables, tokens.codes, method=CodecModel.decode)
    np.testing.assert_allclose(pure, expected, atol=1e-6)
    assert made.hash == plain.hash


@pytest.mark.parametrize(("gains", "message"), [((1.0,), "one gain for each of 1 to 4"), ((0, 0, 0, 21), "-20 to 20")])
def test_gains_that_do_not_fit(plain: Codec, gains: tuple[float, ...], message: str) -> None:
    model = dataclasses.replace(plain.config.model, gains_db=gains)
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(plain.config, model=model).validate()
