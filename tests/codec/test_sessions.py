"""Streams of a codec with Transformers: equal to offline far beyond their window, alone and many at once."""

import functools

import jax
import numpy as np
import pytest
from codax.codec.codec import Codec
from codax.config import Config, EncodecConfig
from codax.errors import CodaxError
from signals import noise
from zoo import mimi_config


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec.init_random(mimi_config(), seed=1)


def signal(batch: int, frames: int, seed: int = 0) -> np.ndarray:
    return noise(batch, frames * 16, 1, seed=seed)


@pytest.mark.parametrize("chunk", [7, 333])
def test_streaming_equals_offline_beyond_the_window(codec: Codec, chunk: int) -> None:
    audio = signal(2, 60)[:, :-3]  # 120 steps: the window, 24 times
    offline = codec.encode(audio)
    encoder, decoder = codec.stream(batch=2)
    pieces = [encoder.push(audio[:, i : i + chunk]) for i in range(0, audio.shape[1], chunk)] + [encoder.finish()]
    codes = np.concatenate(pieces, axis=1)
    np.testing.assert_array_equal(codes, offline.codes)
    step = max(1, chunk // 16)
    pieces = [decoder.push(codes[:, i : i + step]) for i in range(0, codes.shape[1], step)]
    streamed = np.concatenate(pieces, axis=1)[:, : audio.shape[1]]
    np.testing.assert_allclose(streamed, codec.decode(offline), atol=1e-5)


def test_the_window_ends(codec: Codec) -> None:
    """A step hears nothing from further back than the windows of all layers together, and hears what is nearer."""
    model = codec.config.model
    reach = model.transformer.layers * (model.transformer.context - 1)  # steps
    audio, changed = signal(1, 60), signal(1, 60)
    changed[:, : 16 * 20] = signal(1, 20, seed=5)
    variables = {"params": codec.params, "codebook": codec.codebook}
    encode = jax.jit(functools.partial(codec.module.apply, method="encode_latent"))
    latent, other = (np.asarray(encode(variables, x)) for x in (audio, changed))
    difference = np.abs(latent - other).max(axis=(0, 2))
    convolutions = 6  # frames, more than SEANet and the downsampling look back
    assert difference[20 : 20 + reach // 2].min() > 1e-6
    assert difference[20 + reach // 2 + convolutions :].max() == 0


def test_sessions_start_stop_and_begin_anew_one_by_one(codec: Codec) -> None:
    hop = codec.config.hop
    sessions = codec.sessions(3, num_quantizers=3)
    # Which signal each slot hears, frame by frame: the second comes late, the third pauses, the first starts again.
    plan = {0: list(range(0, 20)), 1: list(range(6, 26)), 2: [*range(2, 9), *range(15, 28)]}
    signals = {slot: signal(1, len(when), seed=slot) for slot, when in plan.items()}
    restart = 9
    codes: dict[int, list[np.ndarray]] = {slot: [] for slot in plan}
    heard: dict[int, list[np.ndarray]] = {slot: [] for slot in plan}
    for time in range(28):
        audio, talking = np.full((3, hop, 1), 7.0, np.float32), np.zeros(3, bool)
        for slot, when in plan.items():
            if time == 0:
                assert sessions.start() == slot
            if slot == 0 and time == restart:
                sessions.reset(0)
            if time in when:
                number = len(codes[slot])
                audio[slot] = signals[slot][0, number * hop : (number + 1) * hop]
                talking[slot] = True
        actual = sessions.encode(audio, talking)
        decoded = sessions.decode(actual, talking)
        assert not actual[~talking].any() and not decoded[~talking].any()
        for slot in np.flatnonzero(talking):
            codes[slot].append(actual[slot])
            heard[slot].append(decoded[slot])
    expected = {slot: [signals[slot]] for slot in plan}
    expected[0] = [signals[0][:, : restart * hop], signals[0][:, restart * hop :]]
    for slot, parts in expected.items():
        tokens = [codec.encode(part, num_quantizers=3) for part in parts]
        np.testing.assert_array_equal(np.concatenate(codes[slot])[None], np.concatenate([t.codes for t in tokens], 1))
        audio = np.concatenate([codec.decode(t) for t in tokens], axis=1)[0]
        np.testing.assert_allclose(np.concatenate(heard[slot]), audio, atol=1e-5)


def test_a_freed_slot_is_as_new(codec: Codec) -> None:
    sessions, audio = codec.sessions(1), signal(1, 1)
    sessions.start()
    first = sessions.encode(audio)
    assert (sessions.encode(audio) != first).any()  # the past counts
    sessions.stop(0)
    assert sessions.start() == 0
    np.testing.assert_array_equal(sessions.encode(audio), first)


def test_one_program_serves_every_frame(codec: Codec) -> None:
    sessions = codec.sessions(2)
    sessions.start()
    for number in range(12):
        sessions.decode(sessions.encode(signal(2, 1, seed=number)))
        if number == 3:
            sessions.start()
        if number == 7:
            sessions.stop(0)
    assert sessions._encoder._steps._cache_size() == 1
    assert sessions._decoder._steps._cache_size() == 1


def test_wrong_use_is_refused(codec: Codec) -> None:
    sessions = codec.sessions(2)
    with pytest.raises(CodaxError, match="session 1 is not started"):
        sessions.stop(1)
    sessions.start()
    sessions.start()
    with pytest.raises(CodaxError, match="all 2 sessions are busy"):
        sessions.start()
    sessions.stop(0)
    with pytest.raises(CodaxError, match="started"):
        sessions.encode(signal(2, 1), np.array([True, True]))
    with pytest.raises(CodaxError, match="audio must be"):
        sessions.encode(signal(2, 2))
    with pytest.raises(CodaxError, match=r"codes must be \[2, 1, 1 to 4\]"):
        sessions.decode(np.zeros((2, 3, 1), int))
    with pytest.raises(CodaxError, match="codes must lie"):
        sessions.decode(np.full((2, 1, 1), 99))
    encodec = Config(name="reflecting", model=EncodecConfig())
    with pytest.raises(CodaxError, match="reflects"):
        Codec.init_random(encodec).sessions(1)
    encodec.model.causal = False
    with pytest.raises(CodaxError, match="cannot stream"):
        Codec.init_random(encodec).sessions(1)
