"""Systems whose decoded files exist already: a folder of audio files, one for each utterance."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from codax import audio
from codax.audio.decoders import open_stream
from codax.data.sources.entries import relative_id
from codax.data.sources.scan import file_stamp
from codax.data.sources.spec import Utterance
from codax.errors import CodaxError
from codax.evaluation.codecs import split_name
from codax.evaluation.systems import Output, safe_name
from codax.runtime import messages
from codax.storage.digests import sha256
from codax.storage.files import files_by_name

_MOST_SECONDS = 1.0  # by which a decoded file may be shorter or longer than its original
_SHOWN = 5  # names in a message


class DecodedFiles:
    """The decoded files of a codec that runs elsewhere.

    A file belongs to the utterance whose id is its path below the folder, without its extension and with dashes instead
    of slashes.

    Args:
      spec: FOLDER or NAME=FOLDER.

    Raises:
      CodaxError: there is no such folder, it has no audio, or two of its files have the same name.
    """

    kind = "decoded"
    kbps = quantizers = frame_rate = None

    def __init__(self, spec: str) -> None:
        name, path = split_name(spec)
        self.folder = Path(path)
        self.files = files_by_name(self.folder, audio.AUDIO_SUFFIXES, name=relative_id)
        self.label = self.series = name or self.folder.resolve().name
        self.key = safe_name(self.label)
        self.description = f"{len(self.files)} decoded files"

    def sample_rates(self) -> set[int]:
        """Sample rates of the readable files in Hz."""
        rates = set()
        for file in self.files.values():
            with contextlib.suppress(CodaxError), open_stream(file) as stream:  # measuring names unreadable files
                rates.add(stream.rate)
        return rates

    def check_pairs(self, utterances: list[Utterance]) -> None:
        """Warns of utterances and files without a partner. Raises CodaxError if there is no pair at all."""
        ids = {utterance.id for utterance in utterances}
        missing = [utterance.id for utterance in utterances if utterance.id not in self.files]
        if len(missing) == len(utterances):
            raise CodaxError(
                f"{self.folder}: no file belongs to an original; the originals are {_names(missing)}, the "
                f"decoded files {_names(list(self.files))}"
            )
        if missing:
            messages.warn(f"{self.folder}: no decoded file of {_names(missing)}")
        if others := [utterance for utterance in self.files if utterance not in ids]:
            messages.warn(f"{self.folder}: no original of {_names(others)}, not measured")

    def facts(self) -> dict[str, Any]:
        """The description of the folder in results, with a digest of the names, sizes and times of its files."""
        stamps = (f"{name}\t{file_stamp(str(file))}\n" for name, file in sorted(self.files.items()))
        return {
            "name": self.label,
            "path": str(self.folder),
            "files": len(self.files),
            "stamp": sha256(*stamps).hexdigest()[:16],
        }

    def of(self, utterance: str) -> OneFile:
        """The decoded file of an utterance, as a system. Raises CodaxError if there is none."""
        if utterance not in self.files:
            raise CodaxError(f"{self.folder}: no decoded file of {utterance}")
        return OneFile(self.files[utterance])


@dataclasses.dataclass(frozen=True)
class OneFile:
    """A decoded file."""

    path: Path

    def __call__(self, original: np.ndarray, sample_rate: int) -> Output:
        """The decoded signal, resampled to the original's rate and cut or padded with silence to its length.

        Args:
          original: float32 [time, channels].
          sample_rate: Hz.

        Raises:
          CodaxError: the file cannot be read, or does not fit the original.
        """
        decoded, rate = audio.read(self.path)
        decoded = audio.resample(decoded, rate, sample_rate)
        longer = (len(decoded) - len(original)) / sample_rate
        if abs(longer) > _MOST_SECONDS:
            raise CodaxError(
                f"{self.path}: {abs(longer):.1f} s {'longer' if longer > 0 else 'shorter'} than its original"
            )
        if decoded.shape[1] not in (1, original.shape[1]):
            raise CodaxError(f"{self.path}: {decoded.shape[1]} channels, its original has {original.shape[1]}")
        decoded = np.pad(decoded[: len(original)], ((0, max(0, len(original) - len(decoded))), (0, 0)))
        return Output(np.repeat(decoded, original.shape[1] // decoded.shape[1], axis=1))


def _names(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
