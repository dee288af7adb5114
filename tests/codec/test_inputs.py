"""Arrays that users pass to codecs of every family: integers, layouts, clips of unequal lengths, invalid values."""

from __future__ import annotations

import dataclasses

import codax
import numpy as np
import pytest
from codax.codec import coder
from codax.codec.codec import Codec
from codax.codec.voice_conversion import swap_levels
from codax.errors import CodaxError
from signals import noise
from small_models import codec

FAMILIES = ("soundstream", "encodec_24khz", "encodec_48khz", "speechtokenizer", "mimi", "dac")
BAD = {
    "nan": lambda x: np.where(np.arange(x.shape[1])[:, None] == 5, np.nan, x),
    "infinite": lambda x: np.where(np.arange(x.shape[1])[:, None] == 5, -np.inf, x),
    "overflow": lambda x: np.full_like(x, 3e38),
    "int64": lambda x: np.ones(x.shape, np.int64),
    "layout": lambda x: np.moveaxis(x, 1, 2),
    "batch": lambda x: np.concatenate([x, x]),
}


def integers(shape: tuple[int, ...]) -> np.ndarray:
    return np.rint(8_000 * noise(*shape)).clip(-32768, 32767).astype(np.int16)


def assert_same(tokens: codax.Tokens, other: codax.Tokens) -> None:
    for field in dataclasses.fields(codax.Tokens):
        np.testing.assert_array_equal(getattr(tokens, field.name), getattr(other, field.name))


def test_integers_are_floats_of_their_type() -> None:
    made = codec("soundstream")
    samples = integers((2, 200, 1))
    expected = made.encode(samples / 32768)
    assert len(np.unique(expected.codes)) > 4
    assert_same(made.encode(samples), expected)
    assert_same(made.encode(samples.astype(np.int32) << 16), expected)
    assert_same(made.encode(samples, sample_rate=11_025), made.encode(samples / 32768, sample_rate=11_025))
    streams = [made.stream_encoder(batch=2) for _ in range(2)]
    for x, stream in zip((samples, samples / 32768), streams, strict=True):
        np.testing.assert_array_equal(stream.push(x), expected.codes)
    sessions = made.sessions(2)
    sessions.start(), sessions.start()
    np.testing.assert_array_equal(sessions.encode(samples[:, :8]), expected.codes[:, :1])
    with pytest.raises(CodaxError, match="int64 has no full scale"):
        made.encode(samples.astype(np.int64))
    loud = (samples // 256 + 128).astype(np.uint8)
    assert_same(made.encode(loud), made.encode((loud.astype(float) - 128) / 128))


def test_one_signal_needs_no_batch() -> None:
    made = codec("soundstream")
    mono, stereo = noise(200), noise(200, 2)
    assert_same(made.encode(mono), made.encode(mono[None, :, None]))
    assert_same(made.encode(stereo), made.encode(stereo[None]))
    assert made.decode(made.encode(stereo)).shape == (1, 200, 2)
    np.testing.assert_array_equal(made.stream_encoder().push(mono), made.encode(mono).codes)
    for shape in ((1, 1, 16_000), (1, 16_000), (2, 1, 16_000)):
        with pytest.raises(
            CodaxError, match=r"audio must be \[time\], \[time, channels\] or \[batch, time, channels\]"
        ):
            made.encode(np.zeros(shape, np.float32))


def test_rates_are_checked() -> None:
    made = codec("soundstream")
    for rate in (0, -8_000, 1, 10**9, 8_000.5):
        with pytest.raises(CodaxError, match=f"sample rate {rate}: expected"):
            made.encode(noise(100), sample_rate=rate)
    assert made.encode(noise(100), sample_rate=np.int64(16_000)).sample_rate == 16_000


def clips_of(made: Codec) -> list[np.ndarray]:
    """Three clips: several segments and an end within a frame; less than a frame; whole frames."""
    channels, hop = made.config.model.audio_channels, made.config.hop
    return [noise(n, channels, seed=n) for n in (120 * hop + 3, hop - 1, 70 * hop)]


@pytest.mark.parametrize("name", FAMILIES)
def test_unequal_clips_have_the_codes_that_they_have_alone(name: str) -> None:
    made = codec(name)
    clips = clips_of(made)
    batch = np.full((3, len(clips[0]) + 9, clips[0].shape[1]), np.nan, np.float32)  # the padding does not count
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    tokens, expected = made.encode(clips), [made.encode(clip) for clip in clips]
    assert_same(made.encode(batch, lengths=[len(clip) for clip in clips]), tokens)
    assert tokens.lengths.tolist() == [len(clip) for clip in clips]
    assert tokens.frames.tolist() == [alone.codes.shape[1] for alone in expected]
    decoded = made.decode(tokens)
    for i, (part, alone) in enumerate(zip(tokens.split(), expected, strict=True)):
        assert_same(part, alone)
        np.testing.assert_array_equal(tokens.codes[i : i + 1, : tokens.frames[i]], alone.codes)
        assert not tokens.codes[i, tokens.frames[i] :].any()
        np.testing.assert_array_equal(decoded[i : i + 1, : alone.length], made.decode(alone))
        assert not decoded[i, alone.length :].any()


def test_accelerators_code_unequal_clips_of_causal_models_together(monkeypatch) -> None:
    monkeypatch.setattr(coder, "_in_blocks", lambda: False)
    made = codec("soundstream")
    clips, calls, encode_piece = clips_of(made), [], made.engine.encode_piece
    monkeypatch.setattr(made.engine, "encode_piece", lambda x, *more: calls.append(len(x)) or encode_piece(x, *more))
    tokens = made.encode(clips)
    assert calls == [3]
    decoded = made.decode(tokens)
    for i, (part, clip) in enumerate(zip(tokens.split(), clips, strict=True)):
        alone = made.encode(clip)
        assert_same(part, alone)
        np.testing.assert_allclose(decoded[i : i + 1, : len(clip)], made.decode(alone), atol=1e-6)
        assert not decoded[i, len(clip) :].any()


def test_unequal_clips_of_any_rate_and_channels() -> None:
    made = codec("soundstream")
    clips = [integers((n, 2)) for n in (900, 333)]
    tokens = made.encode(clips, sample_rate=22_050, num_quantizers=2)
    assert tokens.codes.shape[0] == 4
    decoded = made.decode(tokens)
    assert decoded.shape == (2, 900, 2)
    for i, clip in enumerate(clips):
        alone = made.encode(clip, sample_rate=22_050, num_quantizers=2)
        assert_same(tokens.split()[i], alone)
        np.testing.assert_array_equal(decoded[i : i + 1, : len(clip)], made.decode(alone))
    voice = made.encode([noise(8), noise(80)], num_quantizers=2)
    swapped = swap_levels(tokens, voice)
    assert (swapped.codes[..., 1] == voice.codes[0, 0, 1]).all()
    assert made.decode(swapped).shape == decoded.shape


def test_invalid_clips_and_lengths_are_named() -> None:
    made, batch = codec("soundstream"), noise(2, 100, 1)
    for lengths in ([100], [100, 0], [100, 101], [100, -1], [50.0, 100.0], [[1, 2]], ["a", "b"], [True, True]):
        with pytest.raises(CodaxError, match="lengths must"):
            made.encode(batch, lengths=lengths)
    for audio in (batch[0], batch[..., 0], noise(0, 100, 1)):
        with pytest.raises(CodaxError, match="lengths"):
            made.encode(audio, lengths=[3, 3])
    with pytest.raises(CodaxError, match=r"clip 1: audio has values that are not finite"):
        made.encode([batch[0], batch[1] * np.nan])
    with pytest.raises(CodaxError, match=r"clip 1: audio must be \[time\] or \[time, channels\]"):
        made.encode([batch[0], batch])
    with pytest.raises(CodaxError, match="clip 1 has 2 channels, the first has 1"):
        made.encode([batch[0], noise(100, 2)])
    with pytest.raises(CodaxError, match="audio: not an array"):
        made.encode([[0.1, 0.2], [0.3]])


@pytest.mark.parametrize("name", FAMILIES)
def test_an_array_of_codes_is_decoded(name: str) -> None:
    made = codec(name)
    frames, hop, channels = 17, made.config.hop, made.config.model.audio_channels
    tokens = made.encode(noise(2, frames * hop, channels))
    if made.config.segment[0]:
        with pytest.raises(CodaxError, match="codes segments: decode its Tokens"):
            made.decode(tokens.codes)
        return
    decoded = made.decode(tokens.codes)
    assert decoded.shape == (2, frames * hop, channels)
    np.testing.assert_array_equal(decoded, made.decode(tokens))
    np.testing.assert_array_equal(made.decode(tokens.codes.astype(np.int64)), decoded)
    for bad in (
        tokens.codes - 32,
        tokens.codes + 32,
        tokens.codes.astype(float),
        tokens.codes[0],
        tokens.codes[..., 0],
        tokens.codes[:, :0],
    ):
        with pytest.raises(CodaxError, match="codes must"):
            made.decode(bad)


def test_tokens_that_contradict_themselves_are_rejected() -> None:
    made = codec("soundstream")
    tokens = made.encode(noise(2, 100, 3))
    for changes, message in (
        ({"sample_rate": 0}, "sample rate 0"),
        ({"length": 10**12}, "too few for 1000000000000 samples"),
        ({"length": -1}, "too few for -1 samples"),
        ({"channels": 4}, "codes of 6 signals are not those of 1 x 4 channels"),
        ({"channels": 0}, "1 x 0 channels"),
        ({"lengths": np.ones(4, int), "frames": np.ones(4, int)}, "4 x 3 channels"),
        ({"lengths": np.asarray([99, 101]), "frames": np.asarray([13, 12])}, "12 frames of codes: too few for 101"),
        ({"codes": tokens.codes - 32}, "codes must lie"),
    ):
        with pytest.raises(CodaxError, match=message):
            made.decode(dataclasses.replace(tokens, **changes))
    scaled = codec("encodec_48khz")
    tokens = scaled.encode(noise(1, 100, 2))
    with pytest.raises(CodaxError, match="scales must be finite"):
        scaled.decode(dataclasses.replace(tokens, scales=tokens.scales * np.nan))


@pytest.mark.parametrize("name", FAMILIES)
def test_streams_that_reject_a_piece_continue(name: str) -> None:
    made = codec(name)
    hop, channels = made.config.hop, made.config.model.audio_channels
    audio = noise(1, 40 * hop, channels)
    pieces = [audio[:, i : i + 13 * hop] for i in range(0, audio.shape[1], 13 * hop)]

    def run(coder_, parts, bad):
        results = []
        for part in parts:
            for spoil in bad:
                for call in (coder_.push, coder_.finish):
                    with pytest.raises(CodaxError):
                        call(spoil(part))
            results.append(coder_.push(part))
        return np.concatenate([*results, coder_.finish()], axis=1)

    tokens = made.encode(audio)
    np.testing.assert_array_equal(run(made.block_encoder(), pieces, BAD.values()), tokens.codes)
    bad_codes = [lambda c: c - 32, lambda c: c + 32, lambda c: c * np.nan, lambda c: c[0], lambda c: c[..., :0]]
    codes = [tokens.codes[:, i : i + 13] for i in range(0, tokens.codes.shape[1], 13)]
    restored = [
        run(made.block_decoder(length=40 * hop, frames=tokens.codes.shape[1], scales=tokens.scales), codes, bad)
        for bad in ([], bad_codes)
    ]
    np.testing.assert_array_equal(restored[1], restored[0])


@pytest.mark.parametrize("name", FAMILIES)
def test_codes_of_other_quantizers_are_rejected_while_codes_are_held(name: str) -> None:
    made = codec(name)
    tokens = made.encode(noise(1, 150 * made.config.hop, made.config.model.audio_channels))
    codes, frames = tokens.codes, tokens.codes.shape[1]
    results = []
    for is_spoiled in (False, True):
        decoder = made.block_decoder(length=tokens.length, frames=frames, scales=tokens.scales)
        parts = [decoder.push(codes[:, :0, :2]), decoder.push(codes[:, :1])]
        if is_spoiled and not parts[-1].shape[1]:  # the first frame is held
            for call in (decoder.push, decoder.finish):
                with pytest.raises(CodaxError, match="codes of 2 quantizers cannot continue codes of 4"):
                    call(codes[:, 1:, :2])
        results.append(np.concatenate([*parts, decoder.push(codes[:, 1:]), decoder.finish()], axis=1))
        assert bool(parts[-1].shape[1]) == (name in ("soundstream", "mimi"))
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_allclose(results[0][:, : tokens.length], made.decode(tokens), atol=1e-5)


def test_sessions_that_reject_a_frame_continue() -> None:
    made = codec("mimi")
    hop = made.config.hop
    audio = noise(2, 6 * hop, 1)
    expected = made.encode(audio[:1]).codes
    sessions = made.sessions(2)
    slot = sessions.start()
    codes = []
    for i in range(6):
        frame = audio[:, i * hop : (i + 1) * hop].copy()
        for value in (np.nan, np.inf, 3e38):
            bad = frame.copy()
            bad[slot, 3] = value
            with pytest.raises(CodaxError, match="audio has values"):
                sessions.encode(bad)
        frame[1 - slot] = np.nan  # the row of a free slot does not count
        codes.append(sessions.encode(frame))
        for bad in (codes[-1] - 32, codes[-1] + 32, codes[-1].astype(float)):
            with pytest.raises(CodaxError, match="codes must"):
                sessions.decode(bad)
        assert np.isfinite(sessions.decode(codes[-1])).all()
    np.testing.assert_array_equal(np.concatenate(codes, axis=1)[:1], expected)
