"""The language model section: a model of the codes of a trained codec."""

import dataclasses
from typing import ClassVar

from codax.config.checks import Check
from codax.config.section import Section


@dataclasses.dataclass
class LanguageModelConfig(Section):
    """Language model of a trained codec's codes; the defaults are EnCodec's (arXiv 2210.13438, section 3.3)."""

    path: ClassVar[str] = "lm"

    codec: str = ""  # the codec, as `codax.load` takes it; "" = train a codec instead
    tokens: str = ""  # token data set of the codec to train on (`codax tokenize`); "" = encode data.source
    codebooks: int = 0  # number of first codebooks that it models; 0 = all
    # Layout of the codes: "" (all codes of a frame at once, for entropy coding), "delay" or "acoustic_delay".
    layout: str = ""
    dim: int = 200  # channels of the Transformer
    layers: int = 5  # of the Transformer
    heads: int = 8  # of attention
    hidden: int = 800  # channels of the feed-forward layers
    past_seconds: float = 3.5  # context of a frame
    offset_seconds: float = 0.0  # training sequences begin at a random position up to this

    def checks(self) -> list[Check]:
        return [
            Check(not self.tokens or bool(self.codec), "tokens", "empty without lm.codec, the codec that made them")
        ]
