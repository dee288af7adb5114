"""Phone segments of speech, by forced alignment with PocketSphinx and its English model, or from label files.

Label files are Praat's TextGrid (a tier with "phone" in its name, as written by the Montreal Forced Aligner) and
TIMIT's .phn (first sample, last sample, phone).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from codax.audio import resample
from codax.data.sources.entries import relative_id
from codax.data.sources.spec import Utterance
from codax.metrics.signals import MetricError, mono, optional
from codax.storage.files import files_by_name
from codax.tokens import frame_spans

SAMPLE_RATE = 16_000  # Hz, of the aligner
_FRAME_RATE = 100  # frames per second of the aligner
SILENCE = "SIL"
# The phones of the English model; noises count as silence.
_VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
_STOPS = ("B", "CH", "D", "G", "JH", "K", "P", "T")
_OTHERS = ("DH", "F", "HH", "L", "M", "N", "NG", "R", "S", "SH", "TH", "V", "W", "Y", "Z", "ZH")
PHONES = (*_VOWELS, *_STOPS, *_OTHERS)
_SILENCES = ("", "sil", "sp", "spn", "h#", "pau", "epi", "<sil>", "#h")  # of label files
_STRESSED = re.compile(r"[A-Z]{2}[012]")


class Segment(NamedTuple):
    """A phone from `start` to `end`, in seconds."""

    start: float
    end: float
    phone: str


class Labels(Protocol):
    """A source of phone labels; `name` describes it in reports."""

    name: str

    def __call__(self, utterance: Utterance) -> list[Segment]:
        """The phones of a recording, in order. Raises MetricError if there are none."""
        ...


class Aligner:
    """Aligns recordings with their transcripts."""

    name = "forced alignment (PocketSphinx)"

    def __init__(self) -> None:
        """Raises MetricError if PocketSphinx is not installed."""
        decoder = optional("pocketsphinx", "content").Decoder
        self._decoder = decoder(samprate=SAMPLE_RATE, bestpath=False, loglevel="FATAL")

    def __call__(self, utterance: Utterance) -> list[Segment]:
        text = utterance.text
        if not text:
            raise MetricError("no transcript")
        words = re.findall(r"[a-z']+", text.lower())
        missing = [word for word in words if self._decoder.lookup_word(word) is None]
        if missing or not words or re.search(r"\d", text):
            raise MetricError(f"no pronunciation of {', '.join(missing) or repr(text)}")
        signal = mono(resample(utterance.audio, utterance.sample_rate, SAMPLE_RATE))
        samples = (np.clip(signal, -1, 1) * 32767).astype("<i2").tobytes()
        try:
            self._decoder.set_align_text(" ".join(words))
            self._run(samples)  # aligns words
            self._decoder.set_alignment()
            self._run(samples)  # aligns phones
            segments = [phone for word in self._decoder.get_alignment() for phone in word]
        except (RuntimeError, TypeError) as error:
            raise MetricError("the audio does not fit its text") from error
        return [
            Segment(
                x.start / _FRAME_RATE, (x.start + x.duration) / _FRAME_RATE, x.name if x.name in PHONES else SILENCE
            )
            for x in segments
        ]

    def _run(self, samples: bytes) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(samples, full_utt=True)
        self._decoder.end_utt()


class LabelFolder:
    """Phones from files below a folder, named by the id of the utterance, or by its path with dashes.

    Args:
      folder: searched recursively.

    Raises:
      CodaxError: it holds no label files, or two for one utterance.
    """

    def __init__(self, folder: str | Path) -> None:
        self.name = f"label files in {folder}"
        self._files = files_by_name(folder, (".textgrid", ".phn"), ".TextGrid or .phn", relative_id)

    def __call__(self, utterance: Utterance) -> list[Segment]:
        path = self._files.get(utterance.id)
        if path is None:
            raise MetricError(f"no label file {utterance.id}.TextGrid or {utterance.id}.phn")
        is_grid = path.suffix.lower() == ".textgrid"
        segments = read_textgrid(path) if is_grid else read_phn(path, utterance.entry.sample_rate)
        if not segments:
            raise MetricError(f"{path}: holds no phones")
        return segments


def _phone(label: str) -> str:
    """Removes stress marks (AH0 and AH1 become AH) and maps all silences to one symbol."""
    label = label.strip()
    if label.lower() in _SILENCES:
        return SILENCE
    return label[:2] if _STRESSED.fullmatch(label) else label


def read_textgrid(path: Path) -> list[Segment]:
    """The intervals of the phone tier of a TextGrid. Raises MetricError."""
    package = optional("praatio.textgrid", "content")
    try:
        grid = package.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="silence")
        tier = next(grid.getTier(name) for name in grid.tierNames if "phone" in name.lower())
        return [Segment(float(x.start), float(x.end), _phone(x.label)) for x in tier.entries]
    except StopIteration as error:
        raise MetricError(f"{path}: no tier with 'phone' in its name") from error
    except Exception as error:  # the parser raises many types of errors
        raise MetricError(f"{path}: not a readable TextGrid ({type(error).__name__})") from error


def read_phn(path: Path, rate: int) -> list[Segment]:
    """The lines of a .phn file, which counts samples at `rate` Hz. Raises MetricError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MetricError(f"{path}: cannot be read ({error})") from error
    segments = []
    for number, line in enumerate(lines, start=1):
        match = re.fullmatch(r"\s*(\d+)\s+(\d+)\s+(\S+)\s*", line)
        if match is not None and int(match[1]) < int(match[2]):
            segments.append(Segment(int(match[1]) / rate, int(match[2]) / rate, _phone(match[3])))
        elif line.strip():
            raise MetricError(f"{path}:{number}: expected first sample, last sample and phone")
    return segments


def at_frames(segments: Sequence[Segment], frames: int, frame_rate: float) -> list[str | None]:
    """The phone at the middle of each codec frame; None if there is none."""
    labels: list[str | None] = [None] * frames
    for segment in segments:
        first, end = span(segment, frames, frame_rate)
        labels[first:end] = [segment.phone] * (end - first)
    return labels


def span(segment: Segment, frames: int, frame_rate: float) -> tuple[int, int]:
    """First frame whose middle is in a segment, and first frame after it."""
    first, end = frame_spans([segment[:2]], frames, frame_rate)[0].tolist()
    return first, end
