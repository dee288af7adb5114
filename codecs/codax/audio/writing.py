"""Writes audio files: to a temporary file beside the target, which is renamed when it is complete."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile

from codax.audio.arrays import as_floats
from codax.audio.decoders import LOSSY, VORBIS_ORDER
from codax.audio.pcm import to_int16
from codax.audio.stream import AudioError
from codax.errors import CodaxError
from codax.storage.files import open_part

_CHUNK = 1 << 20  # frames written at once
# extension: (libsndfile format, default subtype)
_WRITERS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".aif": ("AIFF", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".caf": ("CAF", "PCM_16"),
    ".au": ("AU", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}

SUFFIXES = tuple(_WRITERS)


def write(path: str | os.PathLike[str], audio: np.ndarray, rate: int, *, subtype: str | None = None) -> None:
    """Writes audio [time, channels] (or [time]) at `rate` Hz; the format follows the extension.

    PCM formats have 16 bits unless `subtype` ("PCM_16", "PCM_24", "FLOAT") is given. Integer formats clip values beyond
    full scale.

    Raises:
      AudioError: unknown extension, non-finite samples, missing folder, or full disk. No partial file remains.
    """
    audio = np.asarray(audio)
    if audio.ndim == 1:
        audio = audio[:, None]
    if audio.ndim != 2:
        raise AudioError(f"{path}: audio to write has shape {audio.shape}, expected [time, channels]")
    with AudioWriter(path, rate, audio.shape[1], subtype=subtype) as writer:
        for start in range(0, len(audio), _CHUNK):
            writer.write(audio[start : start + _CHUNK])


class AudioWriter:
    """Writes a file block by block: `with AudioWriter(path, rate, channels) as w: w.write(block)`.

    The file appears when the block ends normally; after an exception no partial file remains and an earlier file of
    that name is unchanged.
    """

    def __init__(self, path: str | os.PathLike[str], rate: int, channels: int, *, subtype: str | None = None):
        """Checks the target and opens a temporary file beside it.

        Raises:
          AudioError: unknown extension, unsupported rate or channel count, missing folder, not writable.
        """
        self.path = Path(path)
        self.rate, self.channels, self.frames = rate, channels, 0
        suffix = self.path.suffix.lower()
        if suffix not in _WRITERS:
            raise AudioError(
                f"{path}: cannot write '{suffix or self.path.name}' files; known: {', '.join(sorted(_WRITERS))}"
            )
        self._format, default = _WRITERS[suffix]
        self._subtype = subtype or default
        self._part = open_part(self.path, AudioError)
        self._output = _Output(self._part.number)
        try:
            output: Any = self._output  # has the methods that libsndfile needs to write
            self._file = soundfile.SoundFile(
                output,
                "w",
                samplerate=rate,
                channels=channels,
                format=self._format,
                subtype=self._subtype,
            )
        except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError) as error:
            self._discard()
            reason = getattr(error, "error_string", str(error)).rstrip(".")
            raise AudioError(f"{path}: cannot write {channels} channels at {rate} Hz ({reason})") from error

    def write(self, block: np.ndarray) -> None:
        """Appends float or integer samples [time, channels] (or [time] for one channel)."""
        block = np.asarray(block)
        if block.ndim == 1:
            block = block[:, None]
        if block.ndim != 2 or block.shape[1] != self.channels:
            raise AudioError(f"{self.path}: block of shape {block.shape} for a file of {self.channels} channels")
        if block.dtype != np.int16 and not np.isfinite(block).all():
            raise AudioError(f"{self.path}: audio to write holds samples that are not finite numbers")
        if self._format == "OGG" and self.channels in VORBIS_ORDER:
            block = block[:, np.argsort(VORBIS_ORDER[self.channels])]
        try:
            self._file.write(_samples_for(self._subtype, block))
        except (CodaxError, soundfile.LibsndfileError, RuntimeError, AssertionError, OSError) as error:
            raise AudioError(f"{self.path}: cannot be written ({self._reason(error)})") from error
        self.frames += len(block)

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _finish(self) -> None:
        try:
            self._file.close()
            if self._output.failure:
                raise self._output.failure
            if self.frames and self._format not in LOSSY:
                stored = soundfile.info(str(self._part.temporary)).frames
                if stored != self.frames:
                    raise OSError(f"{stored} of {self.frames} frames were stored; is the disk full?")
            self._part.publish()
        except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
            raise AudioError(f"{self.path}: cannot be written ({self._reason(error)})") from error

    def _reason(self, error: BaseException) -> str:
        error = self._output.failure or error
        return str(getattr(error, "strerror", None) or getattr(error, "error_string", None) or error).rstrip(".")

    def _discard(self) -> None:
        if hasattr(self, "_file"):
            with contextlib.suppress(Exception):
                self._file.close()
        self._part.discard()


class _Output:
    """An open file that libsndfile writes to.

    Attributes:
      failure: of the first failed write. libsndfile does not report those of the last bytes of a file.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._number, rest) :]
        except OSError as error:
            self.failure = self.failure or error
        return len(data) - len(rest)

    def seek(self, offset: int, origin: int) -> int:
        return os.lseek(self._number, offset, origin)

    def tell(self) -> int:
        return self.seek(0, os.SEEK_CUR)


def _samples_for(subtype: str, block: np.ndarray) -> np.ndarray:
    """Samples in the type to pass to libsndfile.

    libsndfile scales floats by 32767 when writing and by 1/32768 when reading; passing integers keeps them exact.
    """
    if subtype == "PCM_16":
        return to_int16(block)
    block = as_floats(block, None)
    if subtype == "PCM_24":
        return (np.clip(np.rint(block.astype(np.float64) * 2**23), -(2**23), 2**23 - 1)).astype(np.int32) << 8
    if subtype in ("FLOAT", "DOUBLE"):
        return np.asarray(block, np.float32)
    return np.clip(np.asarray(block, np.float32), -1.0, 1.0)
