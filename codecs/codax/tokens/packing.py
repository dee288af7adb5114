"""Sequences of codes of one length, for training language models: clips of a voice, one after another, without padding.

A token data set of short clips has few sequences of several seconds, and padding would teach silence. Here a clip, or a
random crop of a longer one, is followed by random clips with the same speaker (or language, if only that is known).
Clips without both count as one voice.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grain
import numpy as np

from codax.config import Config
from codax.data.batches import Batch, Batches
from codax.data.crops import Windows
from codax.data.pipeline import fixed_batches, shared_batches
from codax.errors import CodaxError
from codax.storage.digests import sha256
from codax.tokens.dataset import TokenDataset


class Packed:
    """Makes sequences of the records of a token data set.

    Args:
      folder: of the data set.
      split: such as "train".
      frames: length of a sequence.
      levels: number of first quantizers to use.

    Raises:
      CodaxError: no such data set or split, fewer quantizers, or no record has a frame.
    """

    def __init__(self, folder: str | Path, split: str, frames: int, levels: int):
        self.records, self.length, self._levels = TokenDataset(folder, split), frames, levels
        if levels > (known := len(self.records.about["codebook_sizes"])):
            raise CodaxError(f"{folder}: has codes of {known} quantizers, not of {levels}")
        clips = [(index, len(r["codes"]), voice_of(r)) for index, r in enumerate(self.records) if len(r["codes"])]
        if not clips:
            raise CodaxError(f"{folder}: the records of the split {split!r} have no codes")
        self._clips, voices = clips, collections.defaultdict(list)
        for index, _, voice in clips:
            voices[voice].append(index)
        self._voices = dict(voices)

    def __len__(self) -> int:
        return len(self._clips)

    def frames(self, index: int) -> int:
        """Length of a clip."""
        return self._clips[index][1]

    def digest(self) -> str:
        """Hash of the shards."""
        return sha256(json.dumps(self.records.about["shards"], sort_keys=True)).hexdigest()

    def __call__(self, index: int, rng: np.random.Generator) -> Batch:
        """Returns {"codes": int32 [frames, quantizers]}, which begins with a clip or a random crop of it."""
        record, length, voice = self._clips[index]
        start = int(rng.integers(0, max(0, length - self.length) + 1))
        parts = [self.records[record]["codes"][start:]]
        while (missing := self.length - sum(map(len, parts))) > 0:
            others = self._voices[voice]
            parts.append(self.records[others[rng.integers(len(others))]]["codes"][:missing])
        return {"codes": np.concatenate(parts)[: self.length, : self._levels].astype(np.int32)}


def voice_of(record: Mapping[str, Any]) -> str:
    """Returns the speaker of a record, or its language, or ""."""
    return record.get("speaker") or record.get("language") or ""


def packed_batches(
    packed: Packed,
    config: Config,
    *,
    batch_size_per_process: int,
    process_index: int = 0,
    process_count: int = 1,
    seed: int,
) -> Batches:
    """Returns an endless, resumable iterator of {"codes": int32 [batch, frames, quantizers]}.

    The arguments are those of `data.pipeline.training_batches`.
    """
    examples = grain.MapDataset.source(Windows(packed, packed.length)).seed(seed).shuffle().repeat().random_map(packed)
    return shared_batches(config, examples, [packed], batch_size_per_process, process_index, process_count)


def validation_codes(packed: Packed, config: Config) -> list[np.ndarray]:
    """Returns `train.eval_batches` batches of evenly spaced clips, int32 [batch, frames, quantizers] each."""
    windows = Windows(packed, packed.length)
    return [batch["codes"] for batch in fixed_batches(config, windows, packed, config.train.batch_size)]
