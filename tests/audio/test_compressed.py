"""Compressed audio is read to its end, in every way of reading; what promises more than it holds is truncated."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import mutations
import numpy as np
import pytest
import soundfile
from codax import audio
from codax.audio import AudioError
from codax.data.sources import scan
from signals import noise, tones

_NAMES = ("wav", "rf64", "w64", "aiff", "au", "caf", "flac", "ogg", "mp3")
FORMATS = {name: name.upper() for name in _NAMES} | {"sph": "NIST"}
ID3V1 = b"TAG" + b"x" * 125
APE = b"APETAGEX" + struct.pack("<II", 2000, 96) + bytes(16) + b"y" * 64 + b"APETAGEX" + bytes(24)


def id3v2(size: int) -> bytes:
    """A tag of random bytes, such as a picture."""
    return b"ID3\3\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + np.random.default_rng(0).bytes(size)


def mp3(path: Path, seconds: float = 2.0, rate: int = 44_100, channels: int = 1, mode: str = "CONSTANT") -> bytes:
    """Writes tones and returns the bytes of the file."""
    loud = tones(seconds / 4, rate, 440.0 + 110.0 * np.arange(channels)) + 0.1 * noise(round(seconds / 4 * rate), 1)
    samples = np.concatenate([loud, 1e-4 * np.tile(loud, (3, 1))])
    with soundfile.SoundFile(path, "w", rate, channels, format="MP3", bitrate_mode=mode, compression_level=0.5) as file:
        file.write(samples)
    return path.read_bytes()


def without_description(data: bytes) -> bytes:
    """Removes the first frame, which describes the others."""
    return data[data.index(data[:2], 4) :]


def check_every_reader(path: Path) -> np.ndarray:
    """Reads a file in every way; returns the audio."""
    whole, rate = audio.read(path)
    assert audio.info(path) == audio.AudioInfo(rate, whole.shape[1], len(whole))
    np.testing.assert_array_equal(np.concatenate(list(audio.blocks(path, 0.1))), whole)
    for start in (0, 1, len(whole) // 3, len(whole) - 500, len(whole) + 1):
        part = audio.excerpt(path, start, 700)
        np.testing.assert_allclose(part, whole[start : start + 700], atol=1e-6)
    np.testing.assert_allclose(audio.excerpt(path, len(whole) // 2), whole[len(whole) // 2 :], atol=1e-6)
    measured = scan.measure(str(path))
    assert (measured.frames, measured.sample_rate, measured.channels) == (len(whole), rate, whole.shape[1])
    return whole


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 1), (48_000, 2), (16_000, 1), (8_000, 2)])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_a_described_stream_has_the_samples_that_were_written(tmp_path, rate, channels, mode):
    mp3(tmp_path / "a.mp3", 2.0, rate, channels, mode)
    whole = check_every_reader(tmp_path / "a.mp3")
    assert whole.shape == (2 * rate, channels)
    reference = soundfile.read(tmp_path / "a.mp3", dtype="float32", always_2d=True)[0]
    np.testing.assert_allclose(whole, reference, atol=1e-5)


def test_a_variable_rate_without_a_description(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(without_description(mp3(path, 8.0, mode="VARIABLE")))
    assert soundfile.info(path).frames < 5 * 44_100  # an estimate from the loud start
    assert 8 * 44_100 <= len(check_every_reader(path)) < 8.1 * 44_100


@pytest.mark.parametrize(("before", "between", "after"), [(b"", b"", b""), (id3v2(9_000), ID3V1 + id3v2(70_000), APE)])
@pytest.mark.parametrize("described", [True, False])
def test_joined_files_hold_the_audio_of_each(tmp_path, before, between, after, described):
    parts = [mp3(tmp_path / "a.mp3", 1.0), mp3(tmp_path / "b.mp3", 2.0)]
    if not described:
        parts = [without_description(part) for part in parts]
    alone = []
    for name, part in zip(("a.mp3", "b.mp3"), parts, strict=True):
        (tmp_path / name).write_bytes(part)
        alone.append(audio.read(tmp_path / name)[0])
    (tmp_path / "joined.mp3").write_bytes(before + between.join(parts) + after)
    whole = check_every_reader(tmp_path / "joined.mp3")
    assert len(whole) == sum(map(len, alone))
    if described:  # the decoder starts each of them
        np.testing.assert_allclose(whole, np.concatenate(alone), atol=1e-6)


def test_joined_files_of_other_rates_are_refused(tmp_path):
    parts = mp3(tmp_path / "a.mp3", 1.0, 44_100), mp3(tmp_path / "b.mp3", 1.0, 48_000)
    (tmp_path / "joined.mp3").write_bytes(b"".join(parts))
    with pytest.raises(AudioError, match=r"joined.mp3: sample rate or channels change"):
        audio.info(tmp_path / "joined.mp3")


def test_what_is_not_audio_between_frames_is_passed_over(tmp_path):
    data = mp3(tmp_path / "a.mp3")
    whole = audio.read(tmp_path / "a.mp3")[0]
    junk = np.random.default_rng(1).bytes(3000)
    for name, changed in {
        "padded.mp3": data + bytes(5000),
        "late.mp3": junk[:900] + data,
        "late": bytes(300) + data,
        "tags.wav": id3v2(100) + id3v2(0) + data + junk,
    }.items():
        (tmp_path / name).write_bytes(changed)
        np.testing.assert_array_equal(check_every_reader(tmp_path / name), whole)


def test_a_description_that_promises_more_frames(tmp_path):
    path = tmp_path / "a.mp3"
    data = mp3(path)
    cut = data[: len(data) * 9 // 10]
    vbri = bytearray(without_description(data)[:417])
    vbri[36:40], vbri[50:54] = b"VBRI", struct.pack(">I", 500)
    for name, content in (("cut.mp3", cut), ("joined.mp3", data + cut), ("vbri.mp3", bytes(vbri) + data[417:])):
        path = tmp_path / name
        path.write_bytes(content)
        for use in (audio.info, audio.read, audio.excerpt, lambda p: list(audio.blocks(p, 1.0))):
            with pytest.raises(AudioError, match=rf"{name}: truncated: has \d+ of \d+ frames"):
                use(path, *[0] * (use is audio.excerpt))
        assert scan.measure(str(path)).error.startswith("truncated")


def test_no_decoder_writes_to_the_terminal(tmp_path, capfd):
    data = mp3(tmp_path / "a.mp3")
    junk = np.random.default_rng(1).bytes(20_000)
    contents = [
        data + bytes(5000),
        data[:9000] + junk + data[9000:],
        data[:300],
        b"\xff\xfb\x90\0" * 999,
        junk,
        bytes(999),
    ]
    for number, content in enumerate(contents):
        for suffix in (".mp3", ".wav"):
            path = tmp_path / f"{number}{suffix}"
            path.write_bytes(content)
            scan.measure(str(path))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.ogg", "a.opus"])
def test_chained_ogg_streams(tmp_path, name):
    audio.write(tmp_path / name, tones(1.0, 48_000, [440.0]), 48_000)
    data = (tmp_path / name).read_bytes()
    (tmp_path / f"joined-{name}").write_bytes(data + data)
    assert len(check_every_reader(tmp_path / f"joined-{name}")) == pytest.approx(96_000, abs=2_000)


def test_flac_after_a_tag(tmp_path):
    audio.write(tmp_path / "a.flac", noise(9_000, 1, level=0.1), 16_000)
    whole = check_every_reader(tmp_path / "a.flac")
    (tmp_path / "tagged.flac").write_bytes(id3v2(300) + (tmp_path / "a.flac").read_bytes())
    np.testing.assert_array_equal(check_every_reader(tmp_path / "tagged.flac"), whole)


def test_joined_flac_files_are_refused(tmp_path):
    audio.write(tmp_path / "a.flac", noise(9_000, 1, level=0.1), 16_000)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "joined.flac").write_bytes(data + data)
    for use in (audio.info, audio.read):
        with pytest.raises(AudioError, match=r"joined.flac: holds several FLAC streams"):
            use(tmp_path / "joined.flac")


def test_excerpts_of_the_last_page_of_vorbis(tmp_path):
    audio.write(tmp_path / "a.ogg", noise(132_300, 1, level=0.1), 44_100)
    whole = audio.read(tmp_path / "a.ogg")[0]
    for start in range(100_000, 132_300, 3_001):
        np.testing.assert_allclose(audio.excerpt(tmp_path / "a.ogg", start, 700), whole[start : start + 700], atol=1e-6)


@pytest.mark.parametrize(("name", "form"), FORMATS.items())
def test_headers_that_promise_more_than_the_file_has(tmp_path, name, form):
    path, half = tmp_path / f"a.{name}", tmp_path / f"half.{name}"
    soundfile.write(path, noise(16_000, level=0.1), 16_000, format=form)
    assert audio.info(path).frames == 16_000
    half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for use in (audio.info, audio.read):
        with pytest.raises(AudioError, match=r"half.*: (truncated|damaged)"):
            use(half)
    assert scan.measure(str(half)).error


def write_packed(path: Path, codec: str, rate: int, samples: np.ndarray, options: dict[str, str]) -> None:
    """Encodes float samples [time, channels] with FFmpeg."""
    layout = f"{samples.shape[1]} channels" if samples.shape[1] != 16 else "hexadecagonal"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.layout, stream.codec_context.format = layout, "flt"
        frame = av.AudioFrame(format="flt", layout=layout, samples=len(samples))
        frame.sample_rate, frame.pts = rate, 0
        frame.planes[0].update(np.ascontiguousarray(samples, np.float32).tobytes())
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


@pytest.mark.parametrize("channels", [9, 16, 70])
def test_many_channels(tmp_path, channels):
    samples = tones(0.12, 48_000, 200.0 + 25 * np.arange(channels))
    write_packed(tmp_path / "a.webm", "libopus", 48_000, samples, {"mapping_family": "255"})
    read = check_every_reader(tmp_path / "a.webm")
    assert read.shape[1] == channels
    spectra = np.abs(np.fft.rfft(read[1000:5000], axis=0))
    np.testing.assert_allclose(spectra.argmax(axis=0) * 12, 200.0 + 25 * np.arange(channels), atol=13)


def test_frames_of_other_channels_than_the_header_states_are_refused():
    path = Path(__file__).parents[1] / "cases" / "audio" / "aac_of_16_channels.m4a"  # its header states one
    with pytest.raises(AudioError, match="states 1 channels, its frames have 16"):
        audio.info(path)


@pytest.mark.parametrize(("place", "value"), [(20, 0x1234), (34, 0)])
def test_unknown_codecs(tmp_path, place, value):
    audio.write(tmp_path / "a.wav", noise(8000, 1, level=0.1), 8000)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[place : place + 2] = struct.pack("<H", value)
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(AudioError, match=r"a.wav: not a readable audio file"):
        audio.info(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("rate", "channels", "reason"),
    [
        (1, 1, "sample rate 1 Hz"),
        (999, 1, "sample rate 999 Hz"),
        (768_001, 1, "768001 Hz is not within 1000 to 768000 Hz"),
        (48_000, 256, "256 channels are not within 1 to 255"),
        (1_000, 1, ""),
        (768_000, 255, ""),
    ],
)
def test_bounds_on_rates_and_channels(tmp_path, rate, channels, reason):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(300, channels, level=0.1), rate)
    if not reason:
        assert audio.info(path) == audio.AudioInfo(rate, channels, 300)
        return
    for use in (audio.info, audio.read, lambda p: audio.excerpt(p, 0), lambda p: list(audio.blocks(p, 1.0))):
        with pytest.raises(AudioError, match=f"a.wav: .*{reason}"):
            use(path)


@pytest.mark.parametrize("name", [*FORMATS, "webm"])
def test_mutated_files_are_read_or_refused(tmp_path, name):
    path = tmp_path / f"a.{name}"
    if name == "webm":
        write_packed(path, "libopus", 48_000, noise(4_800, 16, level=0.1), {"mapping_family": "255"})
    else:
        soundfile.write(path, noise(4_000, level=0.1), 16_000, format=FORMATS[name])
    data, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(max(1, mutations.COUNT // 20)):
        path.write_bytes(mutations.mutated(data, rng) or b"\0")
        for use in (audio.info, audio.read, lambda p: audio.excerpt(p, 1000, 500)):
            try:
                use(path)
            except AudioError as error:
                assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
