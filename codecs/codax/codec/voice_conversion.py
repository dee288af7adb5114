"""One-shot voice conversion by swapping levels (SpeechTokenizer, arXiv 2308.16692, section 3.4).

In a codec whose first quantizer was distilled, the first levels carry the content and the others the voice. The first
levels of one recording with the others of another decode to the first one's content in the other's voice.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from codax.codec.tokens import Tokens
from codax.config import Config
from codax.errors import CodaxError


def check_content(config: Config, name: str) -> None:
    """Checks that the first codebook was trained to carry content.

    Args:
      config: of the model.
      name: of the model, for the message.

    Raises:
      CodaxError: no features were distilled into the first codebook.
    """
    if not (config.model.semantic_dimension or config.quantizer.semantic):
        raise CodaxError(
            f"{name}: its first codebook does not carry the content alone, so the voice cannot be converted: it needs "
            "a model whose first codebook was distilled, as SpeechTokenizer or Mimi"
        )


def swap_levels(content: Tokens, voice: Tokens, levels: int = 1) -> Tokens:
    """Combines the first levels of one recording with the others of another, repeated or cut to its length.

    Args:
      content: tokens of the content; the result has their length, rate and channels.
      voice: tokens of the target speaker.
      levels: number of first levels that are kept from `content`.

    Raises:
      CodaxError: `levels` leaves none to replace, or `voice` has fewer levels or no frames.
    """
    frames, quantizers = content.codes.shape[1:]
    voice = voice.split()[0]
    if not 1 <= levels < quantizers:
        raise CodaxError(f"{levels} of {quantizers} codebooks: at least one must be kept and one replaced")
    if voice.codes.shape[2] < quantizers or not voice.codes.shape[1]:
        raise CodaxError(f"codes of the voice {voice.codes.shape} do not fit those of the content")
    # All streams of the content get the voice's first stream.
    rest = voice.codes[:1, np.arange(frames) % voice.codes.shape[1], levels:quantizers]
    rest = np.repeat(rest, len(content.codes), axis=0)
    return dataclasses.replace(content, codes=np.concatenate([content.codes[..., :levels], rest], axis=-1))
