"""Batches of tokens in PyTorch, from a token data set: prints the first batch.

codax tokenize SPEC --out tokens --model speechtokenizer-speech
python examples/tokens_torch.py tokens
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from codax import tokens
from codax.tokens.batches import collate
from torch.utils.data import DataLoader, Dataset


class Records(Dataset):
    """Records with `codes`, by index."""

    def __init__(self, records: Sequence[Mapping[str, Any]]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return self._records[index]


def as_tensors(
    records: Sequence[Mapping[str, Any]], vocabulary: tokens.Vocabulary, layout: str
) -> dict[str, torch.Tensor]:
    """Joins records to int64 ids [batch, steps(, quantizers)] and a mask [batch, steps]."""
    ids, mask = collate(records, vocabulary, layout)
    return {"tokens": torch.from_numpy(ids.astype(np.int64)), "mask": torch.from_numpy(mask)}


def loader(
    records: Sequence[Mapping[str, Any]], vocabulary: tokens.Vocabulary, layout: str, batch: int, seed: int = 0
) -> DataLoader:
    """Returns shuffled batches of whole clips."""
    return DataLoader(
        Records(records),
        batch_size=batch,
        shuffle=True,
        generator=torch.Generator().manual_seed(seed),
        collate_fn=functools.partial(as_tensors, vocabulary=vocabulary, layout=layout),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="of a token data set")
    parser.add_argument("--layout", default="delay", choices=tokens.LAYOUTS)
    parser.add_argument("--batch", type=int, default=4)
    args = parser.parse_args()
    records = tokens.TokenDataset(args.folder)
    vocabulary = tokens.Vocabulary(records.about["codebook_sizes"])
    batch = next(iter(loader(records, vocabulary, args.layout, args.batch)))
    print(f"tokens {tuple(batch['tokens'].shape)}, {int(batch['mask'].sum())} steps, vocabulary of {len(vocabulary)}")


if __name__ == "__main__":
    main()
