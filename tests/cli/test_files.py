"""Files to containers and back with a codec that needs no network: any rate and channel count, bounded memory."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
import soundfile
from codax import audio
from codax.audio.channels import ChannelMap
from codax.audio.stream import equal_blocks
from codax.containers import codax_coding, container
from codax.containers.streamed import ContainerReader
from codax.errors import CodaxError
from fake_codec import FakeCodec
from packed_files import unpack
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
    frames = unpack((tmp_path / "a.codax").read_bytes())[1].frames
    assert abs(frames - np.ceil(seconds * 2000)) <= 1
    assert frames * 3 * streams < size <= frames * 3 * streams + 64
    codax_coding.decode(lambda meta: codec, tmp_path / "a.codax", tmp_path / "out.wav")
    out, out_rate = audio.read(tmp_path / "out.wav")
    assert (out_rate, out.shape) == (rate, signal.shape)
    if seconds > 1:
        middle = slice(rate // 10, len(out) - rate // 10)  # a mean over 4 samples of at most 30 Hz changes little
        assert np.abs(out - signal)[middle].max() < 0.03


def _stereo(tmp_path, *columns: float) -> np.ndarray:
    """Writes in.wav, 5 s at 8 kHz with a sine of 5 Hz in each channel, whose levels are given; returns it."""
    signal = tones(5.0, 8000, [5.0] * len(columns), level=0.5) * np.float32(columns)
    audio.write(tmp_path / "in.wav", signal, 8000)
    return audio.read(tmp_path / "in.wav")[0]


def _coded(tmp_path, codec, **options):
    """Encodes in.wav and decodes it: the report, the description and the audio."""
    report = codax_coding.encode(codec, tmp_path / "in.wav", tmp_path / "a.codax", num_quantizers=3, **options)
    codax_coding.decode(lambda meta: codec, tmp_path / "a.codax", tmp_path / "out.wav")
    with ContainerReader(tmp_path / "a.codax") as reader:
        return report, reader.meta, audio.read(tmp_path / "out.wav")[0]


def test_equal_channels_are_coded_once_and_all_restored(tmp_path):
    _stereo(tmp_path, 1)
    _, one, mono = _coded(tmp_path, FakeCodec())
    size = (tmp_path / "a.codax").stat().st_size
    for columns, entropy in (((1, 1), None), ((1, 1, 1), None), ((1, 1), "adaptive")):
        _stereo(tmp_path, *columns)
        report, meta, decoded = _coded(tmp_path, FakeCodec(), entropy=entropy)
        assert (meta.streams, meta.channels, meta.shared) == (1, len(columns), (0,) * len(columns))
        np.testing.assert_array_equal(decoded, np.repeat(mono, len(columns), axis=1))
        assert report.rates == "equal channels, coded once: 48 kbps" + (" before entropy coding" if entropy else "")
        assert entropy or report.file_bytes == size
    assert one.shared == ()
    signal = _stereo(tmp_path, 1, 0.5, 1)
    report, meta, decoded = _coded(tmp_path, FakeCodec())
    assert (meta.streams, meta.shared) == (2, (0, 1, 0))
    np.testing.assert_array_equal(decoded[:, 0], decoded[:, 2])
    assert np.abs(decoded - signal)[1000:-1000].max() < 0.03
    assert report.rates == "equal channels, coded once: 2 x 48 kbps = 96 kbps"
    with pytest.raises(CodaxError, match="do not come from model"):
        codax_coding.decode(lambda meta: FakeCodec(channels=2), tmp_path / "a.codax", tmp_path / "b.wav")


def test_a_difference_at_the_end_counts(tmp_path):
    signal = _stereo(tmp_path, 1, 1)
    signal[-1, 1] += 0.25
    audio.write(tmp_path / "in.wav", signal, 8000)
    report, meta, _ = _coded(tmp_path, FakeCodec())
    assert (meta.streams, meta.shared, report.rates) == (2, (), "2 channels x 48 kbps = 96 kbps")


def test_mid_and_side_and_a_mix(tmp_path):
    signal = _stereo(tmp_path, 1, 0.25)
    report, meta, decoded = _coded(tmp_path, FakeCodec(), channels="mid-side")
    assert (meta.mid_side, meta.streams, report.rates) == (True, 2, "mid and side: 2 x 48 kbps = 96 kbps")
    assert np.abs(decoded - signal)[1000:-1000].max() < 0.03
    codes = unpack((tmp_path / "a.codax").read_bytes())[0]
    audio.write(tmp_path / "in.wav", np.stack([signal.mean(1), signal @ [0.5, -0.5]], axis=1), 8000)
    _coded(tmp_path, FakeCodec())
    plain = unpack((tmp_path / "a.codax").read_bytes())[0]
    assert np.abs(codes[..., 0] - plain[..., 0]).max() <= 1  # 16-bit files round

    _stereo(tmp_path, 1, 0.25)
    report, meta, decoded = _coded(tmp_path, FakeCodec(), channels="mix")
    assert (meta.channels, meta.streams, meta.mid_side, decoded.shape[1]) == (1, 1, False, 1)
    assert np.abs(decoded - signal.mean(1, keepdims=True))[1000:-1000].max() < 0.03
    assert report.rates == "2 channels, mixed to one: 48 kbps"
    _stereo(tmp_path, 1, 1)
    assert _coded(tmp_path, FakeCodec(), channels="mid-side")[1].shared == (0, 0)


def test_channels_that_cannot_be_coded_so_leave_nothing(tmp_path, monkeypatch):
    _stereo(tmp_path, 1, 1, 1)
    for codec, mode, reason in (
        (FakeCodec(), "mid-side", r"in\.wav: 3 channels cannot be coded as mid and side"),
        (FakeCodec(channels=2), "mid-side", "needs a model of one channel"),
        (FakeCodec(), "both", "'both' is not one of each, mix, mid-side"),
    ):
        with pytest.raises(CodaxError, match=reason):
            codax_coding.encode(codec, tmp_path / "in.wav", tmp_path / "a.codax", num_quantizers=3, channels=mode)
    monkeypatch.setattr(codax_coding, "channel_map", lambda *args, **options: ChannelMap(3, shared=(0, 1, 0)))
    _stereo(tmp_path, 1, 0.5, 0.25)  # as if the file was replaced after the comparison of its channels
    with pytest.raises(CodaxError, match=r"in\.wav: changed while it was read"):
        codax_coding.encode(FakeCodec(), tmp_path / "in.wav", tmp_path / "a.codax", num_quantizers=3)
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


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
