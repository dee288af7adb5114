"""Batches of tokens for training a language model, through Grain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grain
import numpy as np

from codax.errors import CodaxError
from codax.tokens.layouts import Layout, layout
from codax.tokens.padding import PAD, Padded, pad
from codax.tokens.vocabulary import Vocabulary


def laid_out(
    codes: np.ndarray,
    vocabulary: Vocabulary,
    arrangement: Layout,
    frames: int,
    rng: np.random.Generator,
    **options: Any,
) -> dict[str, np.ndarray]:
    """Returns the ids of a random crop of a clip, padded to a fixed length.

    Args:
      codes: [frames of the clip, quantizers].
      vocabulary: its special token `pad` fills the steps without a code.
      arrangement: the layout.
      frames: of the crop; shorter clips are padded.
      rng: draws the start of the crop.
      options: of the layout.

    Returns:
      tokens: int32 [steps], or [steps, quantizers] of a parallel layout.
      mask: bool of this shape, true where a token is a code.
    """
    codes = np.asarray(codes)
    start = int(rng.integers(0, max(0, len(codes) - frames) + 1))
    crop = codes[start : start + frames].astype(np.int32)
    crop = np.concatenate([crop, np.full((frames - len(crop), crop.shape[1]), PAD, np.int32)])
    fill = {"fill": vocabulary.pad} if arrangement.parallel else {}
    return {
        "tokens": arrangement.apply(vocabulary.encode(crop), **options, **fill),
        "mask": arrangement.apply(crop >= 0, **options),
    }


def batches(
    records: Sequence[Mapping[str, Any]],
    vocabulary: Vocabulary,
    *,
    frames: int,
    batch: int,
    arrangement: str = "flat",
    seed: int = 0,
    epochs: int | None = None,
    **options: Any,
) -> grain.IterDataset:
    """Returns shuffled batches of one shape, so that a training step is compiled once.

    The iterators are Grain's: `get_state` and `set_state` save and restore their place.

    Args:
      records: a token data set, or any sequence of records with `codes`, int [frames, quantizers].
      vocabulary: of the ids.
      frames: of the random crop of each clip.
      batch: clips of a batch.
      arrangement: name of a layout; `options` are its options.
      seed: of the order and of the crops.
      epochs: passes over the records; None = without end.

    Returns:
      Dictionaries of `tokens` int32 [batch, steps] or [batch, steps, quantizers], and `mask`, bool of this shape.

    Raises:
      CodaxError: unknown layout, or fewer records than a batch.
    """
    chosen = layout(arrangement)
    if not 1 <= batch <= len(records) or frames < 1:
        raise CodaxError(f"tokens: batches of {batch} clips of {frames} frames from {len(records)} records")

    def example(record: Mapping[str, Any], rng: np.random.Generator) -> dict[str, np.ndarray]:
        return laid_out(record["codes"], vocabulary, chosen, frames, rng, **options)

    data = grain.MapDataset.source(records).seed(seed).shuffle().repeat(epochs)
    return data.random_map(example).batch(batch, drop_remainder=True).to_iter_dataset()


def collate(
    records: Sequence[Mapping[str, Any]], vocabulary: Vocabulary, arrangement: str = "flat", **options: Any
) -> Padded:
    """Returns whole clips as one padded batch: `Padded` of ids, for `torch.utils.data.DataLoader` and such.

    Args:
      records: with `codes`, int [frames, quantizers].
      vocabulary: its special token `pad` fills the ends.
      arrangement: name of a layout; `options` are its options.
    """
    chosen = layout(arrangement)
    fill = {"fill": vocabulary.pad} if chosen.parallel else {}
    laid = [chosen.apply(vocabulary.encode(np.asarray(r["codes"])), **options, **fill) for r in records]
    return pad(laid, value=vocabulary.pad)
