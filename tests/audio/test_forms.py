"""Valid files whose form libsndfile alone does not read: unknown lengths, estimates, and orders of channels."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from codax import audio
from codax.audio.ffmpeg import samples_of
from fuzz import write_av
from signals import noise, tones

RATE = 16_000


def test_flac_that_was_written_to_a_pipe(tmp_path: Path) -> None:
    """Its header states 0 samples, in the last 36 bits before the MD5."""
    soundfile.write(tmp_path / "a.flac", noise(5_000), RATE)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    (tmp_path / "pipe.flac").write_bytes(data)
    expected, _ = audio.read(tmp_path / "a.flac")
    np.testing.assert_array_equal(audio.read(tmp_path / "pipe.flac")[0], expected)
    assert audio.info(tmp_path / "pipe.flac").frames == 5_000


def test_wav_that_holds_mp3(tmp_path: Path) -> None:
    """Its length in samples is an estimate, and no promise."""
    write_av(tmp_path / "a.wav", "libmp3lame", noise(8_000, level=0.1), RATE)
    samples, rate = audio.read(tmp_path / "a.wav")
    assert rate == RATE and 7_500 < len(samples) < 11_000


@pytest.mark.parametrize("channels", [3, 5, 6, 7, 8])
@pytest.mark.parametrize("name", ["a.ogg", "a.opus"])
def test_channels_of_ogg_have_the_order_of_wav(tmp_path: Path, name: str, channels: int) -> None:
    hertz = [300.0 * (1 + channel) for channel in range(channels)]
    if channels > 5:
        hertz[3] = 60.0  # of the low-frequency channel
    audio.write(tmp_path / name, tones(0.5, 48_000, hertz), 48_000)
    for start in (0, 4_000):  # from the start, and after a seek
        decoded = audio.excerpt(tmp_path / name, start, 16_000)
        peaks = np.abs(np.fft.rfft(decoded, axis=0)).argmax(axis=0) * 3
        np.testing.assert_allclose(peaks, hertz, atol=9)
    with av.open(str(tmp_path / name)) as file:
        frames = np.concatenate([samples_of(frame) for frame in file.decode(audio=0)])
        layout = file.streams.audio[0].layout.channels
    wav_order = sorted(range(channels), key=lambda i: WAV_ORDER.index(layout[i].name))
    peaks = np.abs(np.fft.rfft(frames[4_000:20_000], axis=0)).argmax(axis=0) * 3
    np.testing.assert_allclose(peaks[wav_order], hertz, atol=9)


WAV_ORDER = ["FL", "FR", "FC", "LFE", "BL", "BR", "BC", "SL", "SR"]
