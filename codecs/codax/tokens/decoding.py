"""Decodes the records of token data sets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from codax.codec.codec import Codec
from codax.codec.tokens import Tokens
from codax.errors import CodaxError
from codax.tokens import shards
from codax.tokens.dataset import TokenDataset


def decoder_for(dataset: TokenDataset, codec: Codec) -> Callable[[shards.Record], np.ndarray]:
    """Returns a function of a record: audio float32 [time, channels], as `codec.decode` gives it.

    Raises:
      CodaxError: the data set has codes of another model.
    """
    if codec.hash.hex() != dataset.about["hash"]:
        raise CodaxError(
            f"{dataset.folder}: has tokens of model {dataset.about['model']} with hash {dataset.about['hash']}; "
            f"{codec.model_id} has {codec.hash.hex()}"
        )

    def decode(record: shards.Record) -> np.ndarray:
        scales = None if "scales" not in record else np.asarray([record["scales"]], np.float32)
        codes = record["codes"][None].astype(np.int32)
        tokens = Tokens(codes, record["length"], record["sample_rate"], record["channels"], scales=scales)
        return codec.decode(tokens)[0]

    return decode
