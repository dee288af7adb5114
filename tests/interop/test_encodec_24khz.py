"""EnCodec 24 kHz gives what the `encodec` package gives, offline and in pieces."""

import numpy as np
import pytest
from codax.codec.codec import Codec, Tokens
from codax.interop import encodec
from small_encodec import golden, lengths, relative_error, small_codec, small_config, state_of

ARRAYS = golden("24khz")


@pytest.fixture(scope="module")
def codec() -> Codec:
    return small_codec("24khz")


@pytest.mark.parametrize("length", lengths(ARRAYS))
def test_codes_and_audio_equal_those_of_the_package(codec: Codec, length: int) -> None:
    audio = np.moveaxis(ARRAYS[f"audio/{length}"], 1, 2)
    tokens = codec.encode(audio)
    np.testing.assert_array_equal(tokens.codes, np.moveaxis(ARRAYS[f"codes/{length}"], 1, 2))
    decoded = codec.decode(tokens)
    assert decoded.shape == audio.shape
    assert relative_error(decoded, np.moveaxis(ARRAYS[f"decoded/{length}"], 1, 2)) < 1e-5


@pytest.mark.parametrize("kbps", [0.5, 1.0])
def test_a_lower_rate_is_the_first_levels(codec: Codec, kbps: float) -> None:
    length = lengths(ARRAYS)[1]
    tokens = codec.encode(np.moveaxis(ARRAYS[f"audio/{length}"], 1, 2), kbps=kbps)
    levels = int(kbps / 0.5)
    np.testing.assert_array_equal(tokens.codes, np.moveaxis(ARRAYS[f"codes/{length}"], 1, 2)[..., :levels])


@pytest.mark.parametrize(("length", "chunk"), [(960, 227), (960, 24), (809, 5), (217, 24), (123, 5), (11, 24)])
def test_streaming_equals_offline(codec: Codec, length: int, chunk: int) -> None:
    audio = np.moveaxis(ARRAYS[f"audio/{length}"], 1, 2)
    expected = codec.encode(audio)
    encoder, decoder = codec.stream_encoder(batch=2), codec.stream_decoder(batch=2)
    codes, pieces = [], []
    for start in range(0, length, chunk):
        codes.append(encoder.push(audio[:, start : start + chunk]))
        pieces.append(decoder.push(codes[-1]))
    codes.append(encoder.finish())
    pieces += [decoder.push(codes[-1]), decoder.finish()]
    np.testing.assert_array_equal(np.concatenate(codes, axis=1), expected.codes)
    decoded = np.concatenate(pieces, axis=1)[:, :length]
    np.testing.assert_allclose(decoded, codec.decode(expected), atol=2e-6)


def test_a_last_piece_may_be_long(codec: Codec) -> None:
    length = lengths(ARRAYS)[1]
    audio = np.moveaxis(ARRAYS[f"audio/{length}"], 1, 2)
    expected = codec.encode(audio)
    encoder, decoder = codec.stream_encoder(batch=2), codec.stream_decoder(batch=2)
    codes = [encoder.push(audio[:, :300]), encoder.finish(audio[:, 300:])]
    np.testing.assert_array_equal(np.concatenate(codes, axis=1), expected.codes)
    decoded = np.concatenate([decoder.push(codes[0]), decoder.finish(codes[1])], axis=1)[:, :length]
    np.testing.assert_allclose(decoded, codec.decode(expected), atol=2e-6)


@pytest.mark.parametrize("layout", [encodec.NATIVE, encodec.HUGGINGFACE])
def test_weights_survive_the_way_out_and_back(codec: Codec, layout: encodec.Layout) -> None:
    state = encodec.from_codax(codec.flat(), codec.config, layout)
    back = encodec.to_codax(state, codec.config, layout)
    for name, value in codec.flat().items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)
    if layout is encodec.NATIVE:
        original = state_of(ARRAYS)
        assert set(state) == set(original)
        for name, value in original.items():
            assert state[name].shape == value.shape, name


def test_missing_and_unknown_entries_are_named() -> None:
    state = state_of(ARRAYS)
    missing = {k: v for k, v in state.items() if k != "encoder.model.1.block.3.conv.conv.bias"}
    with pytest.raises(encodec.LayoutError, match=r"encoder\.model\.1\.block\.3\.conv\.conv\.bias is missing"):
        encodec.to_codax(missing, small_config("24khz"), encodec.NATIVE)
    with pytest.raises(encodec.LayoutError, match=r"more does not belong to"):
        encodec.to_codax(state | {"more": np.zeros(1)}, small_config("24khz"), encodec.NATIVE)


def test_decoding_takes_tokens_of_any_number_of_levels(codec: Codec) -> None:
    tokens = Tokens(np.zeros((1, 12, 2), np.int32), length=280, sample_rate=2400)
    assert codec.decode(tokens).shape == (1, 280, 1)


def test_a_last_piece_runs_at_a_size_that_is_compiled(codec: Codec) -> None:
    encoder, decoder = codec.stream_encoder(), codec.stream_decoder()
    encoder.push(np.zeros((1, 16 * 24, 1), np.float32))
    assert encoder.finish(np.zeros((1, 5 * 24 + 1, 1), np.float32)).shape == (1, 6, 4)
    decoder.push(np.zeros((1, 16, 4), np.int32))
    assert decoder.finish(np.zeros((1, 6, 4), np.int32)).shape == (1, 6 * 24, 1)
    assert encoder._sizes == decoder._sizes == {16}
