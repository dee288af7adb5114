"""Frequency models of a codec's codes for entropy coding: adaptive, or a language model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from codax.entropy import coding
from codax.entropy.adaptive import AdaptiveModel
from codax.errors import CodaxError

if TYPE_CHECKING:
    from codax.codec.codec import Codec

CODED_SECONDS = 10.0  # of an entropy-coded block with adaptive frequencies


def frequency_model(
    codec: Codec,
    method: str,
    num_quantizers: int,
    streams: int,
    lm: str | os.PathLike[str] | None,
    *,
    encoding: bool = False,
) -> tuple[coding.Model, int]:
    """Returns a method's frequency model, and the number of frames of a block that suits it.

    Raises:
      CodaxError: the language model is missing, has another size of codebooks, or, if `encoding`, states that it
        learned other codes. To decode a file, it only needs to be the one that coded it.
    """
    if method == "adaptive":
        return AdaptiveModel(codec.usage()[:num_quantizers], streams), round(CODED_SECONDS * codec.config.frame_rate)
    from codax.lm.integer import IntegerModel
    from codax.lm.storage import check_codec, load_integers

    folder = find_lm(codec, lm)
    if folder is None:
        raise CodaxError(f"model {codec.model_id} has no language model: give its folder (--lm)")
    config, arrays = load_integers(folder)
    if config.codebook_size != codec.config.quantizer.codebook_size:
        raise CodaxError(f"{folder}: the language model has other codes than model {codec.model_id}")
    if encoding:
        check_codec(folder, codec)
    model = IntegerModel(config, arrays, num_quantizers, streams)
    return model, model.most_frames


def find_lm(codec: Codec, lm: str | os.PathLike[str] | None) -> Path | None:
    """Returns the folder of a codec's language model: `lm`, or the one in the codec's folder, or None."""
    from codax.lm.storage import has_lm

    if lm is not None:
        return Path(lm)
    own = Path(codec.path) / "lm" if codec.path is not None else None
    return own if own is not None and has_lm(own) else None
