"""The language model section: what learns the codes of a finished codec."""

import dataclasses
from typing import ClassVar

from codax.config.section import Section


@dataclasses.dataclass
class LanguageModelConfig(Section):
    """Language model of a finished codec's codes; the defaults are EnCodec's (arXiv 2210.13438, section 3.3)."""

    path: ClassVar[str] = "lm"

    codec: str = ""  # MODEL whose codes it learns; "" = train a codec
    codebooks: int = 0  # of each frame, the first ones; 0 = all
    dim: int = 200
    layers: int = 5
    heads: int = 8
    hidden: int = 800  # channels of the feed-forward part
    past_seconds: float = 3.5  # that a frame sees
    offset_seconds: float = 0.0  # training sequences begin at a random position up to this
