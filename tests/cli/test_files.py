"""Files to containers and back with a codec that needs no network: any rate and channel count, bounded memory."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
import soundfile
from codax import audio
from codax.audio.stream import equal_blocks
from codax.containers import codax_coding, container
from codax.containers.streamed import ContainerReader
from codax.errors import CodaxError
from fake_codec import FakeCodec
from signals import tones


@pytest.mark.parametrize(
    ("rate", "channels", "model_channels"),
    [(8000, 1, 1), (44_100, 2, 1), (48_000, 6, 1), (11_025, 1, 2), (22_050, 2, 2), (16_000, 3, 2), (96_000, 1, 1)],
)
@pytest.mark.parametrize("seconds", [0.001, 1.2345, 9.0])
def test_same_rate_channels_and_length_come_back(tmp_path, rate, channels, model_channels, seconds):
    codec = FakeCodec(channels=model_channels)
    signal = tones(seconds, rate, 5.0 * (1 + np.arange(channels)), level=0.5)
    if model_channels == 2:
        signal[:, 1::2] = signal[:, 0::2][:, : signal[:, 1::2].shape[1]]  # the fake codec keeps one value per stream
    audio.write(tmp_path / "in.wav", signal, rate)
    done = codax_coding.encode(codec, tmp_path / "in.wav", tmp_path / "a.codax", num_quantizers=3)
    size = (tmp_path / "a.codax").stat().st_size
    assert done.file_bytes == size
    assert done.seconds == len(signal) / rate
    streams = -(-channels // model_channels)
    frames = container.unpack((tmp_path / "a.codax").read_bytes())[1].frames
    assert abs(frames - np.ceil(seconds * 2000)) <= 1
    assert frames * 3 * streams < size <= frames * 3 * streams + 64
    codax_coding.decode(lambda meta: codec, tmp_path / "a.codax", tmp_path / "out.wav")
    out, out_rate = audio.read(tmp_path / "out.wav")
    assert (out_rate, out.shape) == (rate, signal.shape)
    if seconds > 1:
        middle = slice(rate // 10, len(out) - rate // 10)  # a mean over 4 samples of at most 30 Hz changes little
        assert np.abs(out - signal)[middle].max() < 0.03


def test_progress_reaches_the_end(tmp_path):
    codec, seen = FakeCodec(), []
    audio.write(tmp_path / "in.wav", tones(20.0, 8000, [5.0], level=0.5), 8000)
    codax_coding.encode(codec, tmp_path / "in.wav", tmp_path / "a.codax", num_quantizers=1, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 20.0
    seen.clear()
    codax_coding.decode(lambda meta: codec, tmp_path / "a.codax", tmp_path / "b.wav", progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 20.0


def test_a_long_file_needs_little_memory(tmp_path):
    rate, minutes = 44_100, 10
    noise = np.random.default_rng(0).integers(-8000, 8000, (rate, 2), np.int16)
    with soundfile.SoundFile(tmp_path / "in.wav", "w", rate, 2, "PCM_16") as file:
        for _ in range(60 * minutes):
            file.write(noise)
    codec = FakeCodec()
    tracemalloc.start()
    try:
        done = codax_coding.encode(codec, tmp_path / "in.wav", tmp_path / "a.codax", num_quantizers=3)
        codax_coding.decode(lambda meta: codec, tmp_path / "a.codax", tmp_path / "out.wav")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert done.seconds == 60 * minutes
    assert audio.info(tmp_path / "out.wav") == audio.info(tmp_path / "in.wav")
    assert peak < 30e6  # the whole file is 212 MB in float32


def _container(tmp_path, **changes):
    meta = container.Meta("fake", b"fakehash", 8000, 1, 400, 256)
    values = {"frames": 0, "streams": 0} | changes
    codes = np.zeros((values.pop("streams") or 1, values.pop("frames") or 100, values.pop("n", 3)), np.int32)
    path = tmp_path / "a.codax"
    path.write_bytes(container.pack(codes, dataclasses.replace(meta, **values)))
    return path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"n": 4}, "holds 4 quantizers of 256 entries; model fake has 3 of 256"),
        ({"codebook_size": 255}, "holds 3 quantizers of 255 entries"),
        ({"channels": 2}, "2 channels in 1 streams do not come from model fake"),
        ({"num_samples": 405}, "100 frames of model fake cannot hold the 0.050625 seconds"),
        ({"frames": 30_000}, "holds 30000 frames of model fake, but its 0.05 seconds of audio have 100"),
        ({"num_samples": 2**40 - 1}, "cannot hold"),
        ({"num_samples": 2**40 - 1, "sample_rate": 768_000}, "cannot hold|cannot write"),
    ],
)
def test_containers_that_no_such_model_wrote(tmp_path, changes, reason):
    path = _container(tmp_path, **changes)
    with pytest.raises(CodaxError, match=reason):
        codax_coding.decode(lambda meta: FakeCodec(), path, tmp_path / "out.wav")
    assert list(tmp_path.iterdir()) == [path]


def test_more_frames_than_needed_are_not_played(tmp_path):
    path = _container(tmp_path, frames=102)  # as rounding in the resampling may leave them
    codax_coding.decode(lambda meta: FakeCodec(), path, tmp_path / "out.wav")
    assert audio.info(tmp_path / "out.wav").frames == 400


def test_an_empty_container_gives_an_empty_file(tmp_path):
    path = tmp_path / "a.codax"
    path.write_bytes(
        container.pack(np.zeros((2, 0, 3), np.int32), container.Meta("fake", b"fakehash", 8000, 2, 0, 256))
    )
    codax_coding.decode(lambda meta: FakeCodec(), path, tmp_path / "out.wav")
    assert soundfile.info(tmp_path / "out.wav").frames == 0


def test_a_model_that_fails_leaves_nothing(tmp_path, monkeypatch):
    audio.write(tmp_path / "in.wav", tones(20.0, 8000, [5.0], level=0.5), 8000)
    codec = FakeCodec()
    codax_coding.encode(codec, tmp_path / "in.wav", tmp_path / "a.codax", num_quantizers=1)
    names = sorted(tmp_path.iterdir())

    class Broken:
        calls = 0

        def push(self, block):
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("device lost")
            return np.zeros((1, block.shape[1] // 4 if block.ndim == 3 else 0, 1), np.int32)

    monkeypatch.setattr(FakeCodec, "block_encoder", lambda self, **kwargs: Broken())
    with pytest.raises(RuntimeError, match="device lost"):
        codax_coding.encode(codec, tmp_path / "in.wav", tmp_path / "b.codax", num_quantizers=1)
    assert sorted(tmp_path.iterdir()) == names


def test_equal_blocks():
    pieces = [np.arange(n) for n in (0, 3, 10, 1, 0, 2)]
    whole = np.concatenate(pieces)
    for size in (1, 2, 4, 16, 20):
        blocks = list(equal_blocks(iter(pieces), size))
        assert [len(b) for b in blocks] == [size] * (16 // size) + ([16 % size] if 16 % size else [])
        np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert list(equal_blocks(iter([np.zeros(0)]), 4)) == []


def test_the_reader_is_closed(tmp_path):
    with ContainerReader(_container(tmp_path)) as reader:
        pass
    with pytest.raises(ValueError, match="closed"):
        reader._file.read()
