"""Systems that get speech in noise, and are compared with the clean original."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from codax.data import noise, transforms
from codax.data.sources.scan import file_stamp
from codax.data.sources.spec import Utterance, load_utterances
from codax.errors import CodaxError
from codax.evaluation.systems import Original, Output, System, safe_name
from codax.storage.digests import sha256

LOUDEST_DB = 100.0  # limit of the ratio, both ways


def condition(series: str) -> str:
    """The ratio in the name of a series of `InNoise`, such as ", 5 dB"; "" of one without noise."""
    match = re.search(r", [-+.e\d]+ dB$", series)
    return match[0] if match else ""


class Noise:
    """The noise of an evaluation: the samples of an utterance alone determine its noise.

    Args:
      spec: a source, or `codax.data.noise.SPEC` for synthetic noise.
      split: of the source, if it has splits.
      sample_rate: Hz.

    Raises:
      CodaxError: the source cannot be read.
    """

    def __init__(self, spec: str, *, split: str, sample_rate: int):
        self._recordings: Sequence[Utterance] = ()
        self._last: tuple[Any, Any] = (None, None)  # an utterance's key and noise, which each system and ratio asks for
        self.description = f"{spec}, which is synthetic"
        if spec != noise.SPEC:
            self._recordings = load_utterances(spec, split=split, sample_rate=sample_rate)
            files = sha256(*(f"{each.id} {file_stamp(each.entry.file)}\n" for each in self._recordings)).hexdigest()
            self.description = f"{spec}, {len(self._recordings)} recordings, hash of the files {files[:16]}"

    def __call__(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        """Noise for audio [time, channels], of its shape: a random recording from a random place on, repeated.

        Raises:
          CodaxError: the recording cannot be read, or is silent.
        """
        digest = sha256(audio).digest()
        if self._last[0] != (key := (digest, audio.shape, sample_rate)):
            self._last = key, self._draw(np.random.default_rng(int.from_bytes(digest[:8])), audio, sample_rate)
        return self._last[1]

    def _draw(self, rng: np.random.Generator, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        if not self._recordings:
            return transforms.fit_channels(noise.synthetic(rng, len(audio), sample_rate)[:, None], audio.shape[1])
        recording = self._recordings[int(rng.integers(len(self._recordings)))]
        samples = transforms.fit_channels(recording.audio, audio.shape[1])
        samples = transforms.loop(np.roll(samples, -rng.integers(max(1, len(samples))), axis=0), len(audio))
        if not samples.any():
            raise CodaxError(f"{recording.id}: this noise is silent")
        return samples


class InNoise:
    """A system whose input is the utterance with noise; the noisy utterance itself for `Original`."""

    def __init__(self, system: System, noise: Noise, snr_db: float):
        """Args: snr_db, the energy of the whole utterance over that of the noise in dB."""
        if not abs(snr_db) <= LOUDEST_DB:
            raise CodaxError(f"--snr: {snr_db:g} dB is outside of ±{LOUDEST_DB:g} dB")
        self._system, self._noise, self._snr_db = system, noise, snr_db
        is_input = isinstance(system, Original)
        self.kind = "anchor" if is_input else system.kind
        self.label, self.series = (
            f"{'noisy input' if is_input else name}, {snr_db:g} dB" for name in (system.label, system.series)
        )
        self.key = safe_name(f"{system.key}_in_noise_{snr_db:g}dB")
        self.kbps, self.quantizers, self.frame_rate = system.kbps, system.quantizers, system.frame_rate
        self.description = f"{system.description}; in noise at {snr_db:g} dB"

    def __call__(self, audio: np.ndarray, sample_rate: int) -> Output:
        """The peak of the system's input is at most `transforms.PEAK`; its output gets the utterance's level."""
        added = self._noise(audio, sample_rate)
        energies = [float(np.sum(np.square(x, dtype=np.float64))) for x in (audio, added)]
        noisy = audio + added * transforms.decibels(10 * np.log10(max(energies[0], 1e-12) / energies[1]) - self._snr_db)
        scale = np.float32(max(1.0, float(np.abs(noisy).max(initial=0.0)) / transforms.PEAK))
        output = self._system(noisy / scale, sample_rate)
        return dataclasses.replace(output, audio=output.audio * scale, codes=None)
