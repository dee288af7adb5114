"""Reading, writing and resampling of audio files."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from codax import audio
from codax.audio import AudioError
from signals import tones


def tone(seconds: float = 0.5, rate: int = 16_000, channels: int = 1) -> np.ndarray:
    """A tone per channel, float32 [time, channels], exact in 16 bits."""
    return np.rint(tones(seconds, rate, 440.0 + 110.0 * np.arange(channels)) * 32768) / np.float32(32768)


def write_with_ffmpeg(path: Path, codec: str, samples: np.ndarray, rate: int) -> None:
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    form = "s16" if codec == "g722" else "fltp"
    with av.open(str(path), "w", format={".g722": "g722"}.get(path.suffix)) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = layout
        array = np.ascontiguousarray(samples.T, np.float32)
        if form == "s16":
            array = audio.to_int16(array).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(array, format=form, layout=layout)
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def test_every_16_bit_value_survives_reading_and_writing(tmp_path):
    values = np.arange(-32768, 32768).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", values, 16_000)
    read, rate = audio.read(tmp_path / "a.wav")
    assert rate == 16_000 and read.dtype == np.float32
    np.testing.assert_array_equal(read[:, 0], values / 32768.0)
    for name in ("b.wav", "b.flac", "b.aiff"):
        audio.write(tmp_path / name, read, rate)
        np.testing.assert_array_equal(soundfile.read(tmp_path / name, dtype="int16")[0], values)


def test_24_bits_and_floats_survive(tmp_path):
    samples = np.array([[-1.0], [0.25 + 2.0**-23], [0.999999]], np.float32)
    audio.write(tmp_path / "a.flac", samples, 8000, subtype="PCM_24")
    np.testing.assert_allclose(audio.read(tmp_path / "a.flac")[0], samples, atol=2.0**-24)
    audio.write(tmp_path / "a.wav", samples * 3, 8000, subtype="FLOAT")
    np.testing.assert_array_equal(audio.read(tmp_path / "a.wav")[0], samples * 3)


def test_values_beyond_full_scale_are_clipped_not_wrapped(tmp_path):
    audio.write(tmp_path / "a.wav", np.array([1.5, -1.5, 1.0]), 8000)
    np.testing.assert_array_equal(audio.read(tmp_path / "a.wav")[0][:, 0], [32767 / 32768, -1.0, 32767 / 32768])


@pytest.mark.parametrize(
    ("name", "rate"), [("a.wav", 44_100), ("a.flac", 48_000), ("a.ogg", 44_100), ("a.opus", 48_000), ("a.mp3", 44_100)]
)
def test_formats_that_are_written_are_read(tmp_path, name, rate):
    samples = tone(1.0, rate, 2)
    audio.write(tmp_path / name, samples, rate)
    read, actual = audio.read(tmp_path / name)
    assert actual == rate and read.shape == samples.shape
    assert audio.info(tmp_path / name) == audio.AudioInfo(rate, 2, rate)
    assert np.abs(read - samples)[2000:-2000].max() < 0.05
    for start, frames in ((0, 700), (12_345, 999), (rate - 10, 50), (rate + 5, 10)):
        part = audio.excerpt(tmp_path / name, start, frames)
        np.testing.assert_allclose(part, read[start : start + frames], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "channels"),
    [("a.m4a", "aac", 44_100, 2), ("a.webm", "libopus", 48_000, 2), ("a.g722", "g722", 16_000, 1)],
)
def test_formats_that_only_ffmpeg_knows(tmp_path, name, codec, rate, channels):
    samples = tone(1.0, rate, channels)
    write_with_ffmpeg(tmp_path / name, codec, samples, rate)
    read, actual = audio.read(tmp_path / name)
    assert actual == rate and read.shape[1] == channels and abs(len(read) - len(samples)) < 2048
    assert np.sqrt((read**2).mean()) == pytest.approx(np.sqrt((samples**2).mean()), rel=0.1)
    assert audio.info(tmp_path / name).frames == len(read)
    np.testing.assert_array_equal(audio.excerpt(tmp_path / name, 5000, 321), read[5000:5321])


def test_blocks_are_the_whole_file_also_when_resampled(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (10_007, 2)).astype(np.float32)
    audio.write(tmp_path / "a.wav", samples, 16_000)
    parts = list(audio.blocks(tmp_path / "a.wav", 0.1))
    assert {len(part) for part in parts[:-1]} == {1600}
    np.testing.assert_array_equal(np.concatenate(parts), audio.read(tmp_path / "a.wav")[0])
    resampled = np.concatenate(list(audio.blocks(tmp_path / "a.wav", 0.1, sample_rate=44_100)))
    whole, rate = audio.read(tmp_path / "a.wav", sample_rate=44_100)
    assert rate == 44_100 and abs(len(resampled) - len(whole)) <= 1
    size = min(len(resampled), len(whole))
    np.testing.assert_allclose(resampled[:size], whole[:size], atol=1e-5)


def damaged(folder: Path) -> dict[str, Path]:
    """Files that must be refused, by reason."""
    good = tone(1.0)
    files = {}

    def put(reason: str, name: str, data: bytes) -> None:
        files[reason] = folder / name
        files[reason].write_bytes(data)

    for name in ("a.wav", "a.flac", "a.ogg", "a.aiff"):
        audio.write(folder / name, good, 16_000)
        data = (folder / name).read_bytes()
        put(f"half of {name}", f"half-{name}", data[: len(data) // 2])
    write_with_ffmpeg(folder / "b.webm", "libopus", tone(3.0, 48_000), 48_000)
    data = (folder / "b.webm").read_bytes()
    put("half of a.webm", "half.webm", data[: len(data) // 2])
    put("empty", "empty.wav", b"")
    put("text", "text.wav", b"hello\n" * 100)
    put("raw", "samples.raw", b"\0\1" * 100)
    put("play-list", "list.wav", b"#EXTM3U\n#EXTINF:1,\na.wav\n#EXT-X-ENDLIST\n")
    soundfile.write(folder / "nan.wav", np.array([0.0, np.nan]), 8000, subtype="FLOAT")
    files["not finite"] = folder / "nan.wav"
    soundfile.write(folder / "none.wav", np.zeros((0, 1)), 8000)
    files["no samples"] = folder / "none.wav"
    files["missing"] = folder / "missing.wav"
    files["folder"] = folder
    return files


def test_bad_files_are_one_clear_error(tmp_path):
    for reason, path in damaged(tmp_path).items():
        for use in (audio.read, lambda p: list(audio.blocks(p, 1.0))):
            with pytest.raises(AudioError) as caught:
                use(path)
            assert str(path) in str(caught.value) and "\n" not in str(caught.value), reason


def test_a_failed_block_leaves_nothing_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.wav"
    audio.write(path, tone(), 16_000)
    before = path.read_bytes()
    with pytest.raises(RuntimeError), audio.AudioWriter(path, 16_000, 1) as writer:
        writer.write(tone())
        raise RuntimeError
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_targets_that_cannot_be_written(tmp_path):
    for name, rate in (("a.xyz", 16_000), ("nowhere/a.wav", 16_000), ("a.opus", 44_100)):
        with pytest.raises(AudioError, match=name.split("/")[-1]):
            audio.write(tmp_path / name, tone(), rate)
    with pytest.raises(AudioError, match="finite"):
        audio.write(tmp_path / "a.wav", np.array([np.inf]), 8000)
    for subtype in ("PCM_16", "FLOAT"):
        with pytest.raises(AudioError, match=r"a\.wav: cannot be written \(audio of type int64 has no full scale"):
            audio.write(tmp_path / "a.wav", np.zeros(3, np.int64), 8000, subtype=subtype)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(AudioError, match="regular"):
        audio.write(tmp_path / "folder.wav", tone(), 8000)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.wav"]


FULL_DISK = """
import resource, sys
import numpy as np
from codax import audio
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    audio.write(sys.argv[1], np.random.default_rng(0).uniform(-1, 1, 50_000), 16_000)
except audio.AudioError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs file size limits to play a full disk")
@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, name):
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / name)], capture_output=True, text=True, check=True
    )
    assert name in result.stdout and "cannot be written" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("source", "target"), [(44_100, 16_000), (16_000, 24_000), (48_000, 44_100)])
def test_resampling_keeps_a_tone_and_its_timing(source, target):
    out = audio.resample(tone(1.0, source, 2), source, target)
    assert out.shape == (target, 2) and out.dtype == np.float32
    np.testing.assert_allclose(out[500:-500], tone(1.0, target, 2)[500:-500], atol=2e-3)
    for frames in range(1, 40):
        assert len(audio.resample(np.zeros(frames), source, target)) == max(1, round(frames * target / source))


def test_stream_resampler_without_change_of_rate_passes_blocks_on():
    block = tone()
    np.testing.assert_array_equal(audio.StreamResampler(8000, 8000, 1)(block), block)
    with pytest.raises(AudioError):
        audio.StreamResampler(0, 8000, 1)
