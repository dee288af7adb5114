"""The language model section: a model of the codes of a trained codec."""

import dataclasses
from typing import ClassVar

from codax.config.section import Section


@dataclasses.dataclass
class LanguageModelConfig(Section):
    """Language model of a trained codec's codes; the defaults are EnCodec's (arXiv 2210.13438, section 3.3)."""

    path: ClassVar[str] = "lm"

    codec: str = ""  # the codec, as `codax.load` takes it; "" = train a codec instead
    codebooks: int = 0  # number of first codebooks that it models; 0 = all
    dim: int = 200
    layers: int = 5
    heads: int = 8
    hidden: int = 800  # channels of the feed-forward layers
    past_seconds: float = 3.5  # context of a frame
    offset_seconds: float = 0.0  # training sequences begin at a random position up to this
