"""Phones of speech with a known text, by forced alignment with PocketSphinx, whose English model comes with it."""

from __future__ import annotations

import re

import numpy as np

from codax.audio import resample
from codax.metrics.signals import MetricError, mono

SAMPLE_RATE = 16_000  # Hz
_FRAME_RATE = 100  # of the aligner, per second
_SILENCE = "SIL"
# What the English model tells apart; noises count as silence.
_VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
_STOPS = ("B", "CH", "D", "G", "JH", "K", "P", "T")
_OTHERS = ("DH", "F", "HH", "L", "M", "N", "NG", "R", "S", "SH", "TH", "V", "W", "Y", "Z", "ZH")
PHONES = (*_VOWELS, *_STOPS, *_OTHERS, _SILENCE)
_NUMBER = {phone: number for number, phone in enumerate(PHONES)}


class Aligner:
    """Finds the phones of one recording after the other."""

    def __init__(self) -> None:
        """Raises MetricError if PocketSphinx is not installed."""
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise MetricError("phones need PocketSphinx: pip install 'codax[content]'") from error
        self._decoder = Decoder(samprate=SAMPLE_RATE, bestpath=False, loglevel="FATAL")

    def __call__(self, audio: np.ndarray, rate: int, text: str) -> np.ndarray:
        """Numbers in `PHONES`, int [frames of 10 ms].

        Args:
          audio: float [time, channels].
          rate: Hz.
          text: what is said, in English.

        Raises:
          MetricError: a word that the dictionary lacks, or audio that does not fit the text.
        """
        words = re.findall(r"[a-z']+", text.lower())
        missing = [word for word in words if self._decoder.lookup_word(word) is None]
        if missing or not words or re.search(r"\d", text):
            raise MetricError(f"no pronunciation of {', '.join(missing) or repr(text)}")
        signal = mono(resample(audio, rate, SAMPLE_RATE))
        samples = (np.clip(signal, -1, 1) * 32767).astype("<i2").tobytes()
        try:
            self._decoder.set_align_text(" ".join(words))
            self._run(samples)  # the words
            self._decoder.set_alignment()
            self._run(samples)  # their phones
            found = [phone for word in self._decoder.get_alignment() for phone in word]
        except (RuntimeError, TypeError) as error:
            raise MetricError("the audio does not fit its text") from error
        labels = np.full(max(phone.start + phone.duration for phone in found), -1)
        for phone in found:
            number = _NUMBER.get(phone.name, _NUMBER[_SILENCE])
            labels[phone.start : phone.start + phone.duration] = number
        return labels

    def _run(self, samples: bytes) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(samples, full_utt=True)
        self._decoder.end_utt()


def at_frames(labels: np.ndarray, frames: int, frame_rate: float) -> np.ndarray:
    """Labels of 10 ms at the middle of each of a codec's frames; -1 beyond their end."""
    places = ((np.arange(frames) + 0.5) / frame_rate * _FRAME_RATE).astype(int)
    return np.where(places < len(labels), labels[np.minimum(places, len(labels) - 1)], -1)
