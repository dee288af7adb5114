"""EnCodec 48 kHz: stereo, segments with their scales and group normalisation, as the `encodec` package has them."""

import dataclasses

import numpy as np
import pytest
from codax.audio.segments import OverlapAdder, bounds
from codax.codec.codec import Codec
from codax.errors import CodaxError
from codax.interop import encodec
from small_encodec import golden, lengths, relative_error, small_codec, state_of

ARRAYS = golden("48khz")


@pytest.fixture(scope="module")
def codec() -> Codec:
    return small_codec("48khz")


@pytest.mark.parametrize("length", lengths(ARRAYS))
def test_codes_scales_and_audio_equal_those_of_the_package(codec: Codec, length: int) -> None:
    audio = np.moveaxis(ARRAYS[f"audio/{length}"], 1, 2)
    tokens = codec.encode(audio)
    np.testing.assert_array_equal(tokens.codes, np.moveaxis(ARRAYS[f"codes/{length}"], 1, 2))
    np.testing.assert_allclose(tokens.scales, ARRAYS[f"scales/{length}"], rtol=1e-6)
    decoded = codec.decode(tokens)
    assert decoded.shape == audio.shape
    assert relative_error(decoded, np.moveaxis(ARRAYS[f"decoded/{length}"], 1, 2)) < 1e-5


def test_tokens_that_do_not_fit_are_refused(codec: Codec) -> None:
    tokens = codec.encode(np.moveaxis(ARRAYS["audio/720"], 1, 2))
    with pytest.raises(CodaxError, match="31 frames of codes: too few for 1700 samples"):
        codec.decode(dataclasses.replace(tokens, length=1700))
    with pytest.raises(CodaxError, match="31 frames of codes: 700 samples have 30"):
        codec.decode(dataclasses.replace(tokens, length=700))
    with pytest.raises(CodaxError, match="scales must be"):
        codec.decode(dataclasses.replace(tokens, scales=None))


def test_it_does_not_stream(codec: Codec) -> None:
    with pytest.raises(CodaxError, match="not causal"):
        codec.stream_encoder()


def test_weights_survive_the_way_out_and_back(codec: Codec) -> None:
    state = encodec.from_codax(codec.flat(), codec.config, encodec.NATIVE)
    assert set(state) == set(state_of(ARRAYS))
    back = encodec.to_codax(state, codec.config, encodec.NATIVE)
    for name, value in codec.flat().items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)


def test_segments_by_hand() -> None:
    assert bounds(10, 4, 3) == [(0, 4), (3, 7), (6, 10), (9, 10)]
    one, two = np.full((1, 3, 1), 1.0, np.float32), np.full((1, 2, 1), 5.0, np.float32)
    # Triangle of 3: 1/4, 1/2, 1/4. At sample 2 the first has weight 1/4 and the second, at its start, 1/4.
    adder = OverlapAdder(2)
    joined = np.concatenate([adder.push(one), adder.push(two), adder.finish()], axis=1)
    np.testing.assert_allclose(joined[0, :, 0], [1, 1, 3, 5])
