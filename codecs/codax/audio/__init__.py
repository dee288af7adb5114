"""Reading and writing audio files, resampling, segments and spectrograms. Arrays are float32 [time, channels]."""

from codax.audio.pcm import from_int16, to_int16
from codax.audio.reading import AUDIO_SUFFIXES, AudioInfo, blocks, excerpt, files_below, info, read
from codax.audio.resampling import StreamResampler, resample, resampled_length
from codax.audio.stream import AudioError, out_of_range
from codax.audio.writing import AudioWriter, write

__all__ = [
    "AUDIO_SUFFIXES",
    "AudioError",
    "AudioInfo",
    "AudioWriter",
    "StreamResampler",
    "blocks",
    "excerpt",
    "files_below",
    "from_int16",
    "info",
    "out_of_range",
    "read",
    "resample",
    "resampled_length",
    "to_int16",
    "write",
]
