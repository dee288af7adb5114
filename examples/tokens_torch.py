"""Batches of tokens in PyTorch: `python examples/tokens_torch.py SPEC` encodes some speech and prints a batch.

`TokenDataset` takes a token data set, or any sequence of records with `codes`, int [frames, quantizers].
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import codax
import numpy as np
import torch
from codax import tokens
from codax.data.sources.spec import open_source
from codax.tokens.batches import collate
from torch.utils.data import DataLoader, Dataset


class TokenDataset(Dataset):
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
        TokenDataset(records),
        batch_size=batch,
        shuffle=True,
        generator=torch.Generator().manual_seed(seed),
        collate_fn=functools.partial(as_tensors, vocabulary=vocabulary, layout=layout),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", help="folder of speech, manifest or shards")
    parser.add_argument("--model", default="speechtokenizer-speech")
    parser.add_argument("--layout", default="delay", choices=tokens.LAYOUTS)
    parser.add_argument("--batch", type=int, default=4)
    args = parser.parse_args()
    codec = codax.load(args.model)
    source = open_source(args.spec, sample_rate=codec.config.model.sample_rate)
    clips = [source.read(i).mean(axis=1) for i in range(min(len(source), 4 * args.batch))]
    records = [{"codes": part.codes[0]} for part in map(codec.encode, clips)]
    quantizer = codec.config.quantizer
    vocabulary = tokens.Vocabulary((quantizer.codebook_size,) * quantizer.num_quantizers)
    batch = next(iter(loader(records, vocabulary, args.layout, args.batch)))
    print(f"tokens {tuple(batch['tokens'].shape)}, {int(batch['mask'].sum())} steps, vocabulary of {len(vocabulary)}")


if __name__ == "__main__":
    main()
