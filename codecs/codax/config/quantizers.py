"""The quantizer section: one class for each kind of residual quantizer, each with the fields that it has.

A kind outside the package subclasses `QuantizerConfig` and registers that, with its module, with
`codax.quantizers.registry.register`.
"""

import dataclasses
import math
from typing import ClassVar

from codax.config.checks import Check, at_least, below_one, one_of, share
from codax.config.section import Tagged, constant, option


@dataclasses.dataclass
class QuantizerConfig(Tagged):
    """What residual quantizers of all kinds have.

    Attributes without a type are no fields here: kinds that vary them have fields of these names.

    Attributes:
      semantic: first levels that work beside the others (split RVQ), and are always used.
      dead_every: steps from one search for dead entries to the next.
    """

    path: ClassVar[str] = "quantizer"
    tag: ClassVar[str] = "kind"
    classes: ClassVar[dict[str, type["QuantizerConfig"]]] = {}
    semantic = 0
    dead_every = 1

    kind: str = constant("")
    num_quantizers: int = 24
    decay: float = 0.99  # of the running counts of the codes
    alarm_coverage: float = 0.1  # training warns of a level that keeps using fewer of its entries; 0 = never
    unquantized: float = 0.0  # chance that an example goes to the decoder without quantization
    dropout: bool = True  # number of quantizers drawn per example; those of `semantic` are always used
    # Share of a batch's examples for which it is drawn; the others use all.
    dropout_share: float = option(
        1.0, lambda q: q.dropout and not q.dropout_kbps, "quantizer.dropout, without quantizer.dropout_kbps"
    )
    dropout_kbps: bool = False  # instead, one of `kbps` drawn for each batch
    start_step: int = 0  # steps before it train an autoencoder without quantization
    kbps: tuple[float, ...] = (3.0, 6.0, 12.0, 18.0)  # the rates that evaluation reports

    @property
    def codebook_size(self) -> int:
        """Codes of a level: a field of most kinds."""
        raise NotImplementedError

    def checks(self) -> list[Check]:
        return [
            *at_least(self, 1, "num_quantizers"),
            Check(2 <= self.codebook_size <= 65536, "codebook_size", "2 to 65536"),
            Check(0 < self.decay < 1, "decay", "between 0 and 1"),
            *below_one(self, "alarm_coverage", "unquantized"),
            *share(self, "dropout_share"),
            Check(
                not self.dropout_kbps or (self.dropout and len(self.kbps) > 0),
                "dropout_kbps",
                "false without quantizer.dropout and quantizer.kbps",
            ),
        ]


@QuantizerConfig.register
@dataclasses.dataclass
class EMAQuantizerConfig(QuantizerConfig):
    """Codebooks whose entries are moving averages of what they quantize (SoundStream, EnCodec, Mimi)."""

    kind: str = constant("average")
    codebook_size: int = 1024
    gradient: str = "straight_through"  # or "rotation": how a gradient comes back through the choice of an entry
    epsilon: float = 1e-5  # Laplace smoothing of the running counts
    kmeans_iterations: int = 10  # on the first batch that quantizes; 0 = start from random frames
    kmeans_alternate: bool = False  # levels take every other frame in turn, for batches with few frames for an entry
    # An entry whose running count falls below this is replaced.
    dead_threshold: float = option(2.0, lambda q: q.dead_ratio == 0, "quantizer.dead_ratio = 0")
    dead_ratio: float = 0.0  # > 0: instead, one whose count falls below this share of its level's mean
    dead_every: int = 1
    smoothing: bool = True  # Laplace smoothing of the counts that the sums are divided by
    normalise: bool = False  # search by angle, between vectors of length 1
    beam: int = 1  # paths through the levels that encoding follows at once; 1 = the nearest entry of each level
    semantic: int = 0
    projection: int = 0  # > 0: linear projections into so many channels in front of the codebooks, and back

    def checks(self) -> list[Check]:
        return [
            *super().checks(),
            *below_one(self, "dead_ratio"),
            *at_least(self, 1, "dead_every"),
            Check(
                0 <= self.semantic < self.num_quantizers,
                "semantic",
                "0 or more and fewer than quantizer.num_quantizers",
            ),
            *at_least(self, 0, "projection"),
            Check(
                1 <= self.beam <= min(64, self.codebook_size), "beam", "1 to 64, and at most quantizer.codebook_size"
            ),
            Check(
                self.beam == 1 or not self.normalise,
                "beam",
                "1 with quantizer.normalise, which does not search by distance",
            ),
            one_of(self, "gradient", "straight_through", "rotation"),
        ]


@QuantizerConfig.register
@dataclasses.dataclass
class FactorisedQuantizerConfig(QuantizerConfig):
    """Codebooks learned by gradient, as DAC has them: each level searches a projection of its own, by angle."""

    kind: str = constant("factorised")
    codebook_size: int = 1024
    gradient: str = "straight_through"  # or "rotation": how a gradient comes back through the choice of an entry
    projection: int = 8  # channels that a level searches

    def checks(self) -> list[Check]:
        return [
            *super().checks(),
            *at_least(self, 1, "projection"),
            one_of(self, "gradient", "straight_through", "rotation"),
        ]


@QuantizerConfig.register
@dataclasses.dataclass
class FSQQuantizerConfig(QuantizerConfig):
    """Finite scalar quantization: each level rounds the channels of a projection of its own."""

    kind: str = constant("fsq")
    fsq_levels: tuple[int, ...] = (4, 4, 4, 4, 4)  # values that each channel of a level is rounded to

    @property
    def codebook_size(self) -> int:
        """Codes of a level: the product of `fsq_levels`."""
        return math.prod(self.fsq_levels)

    def checks(self) -> list[Check]:
        return [
            Check(
                len(self.fsq_levels) > 0 and min(self.fsq_levels) >= 3,
                "fsq_levels",
                "one or more numbers of values, each 3 or more: rounding leaves one of 2 unused",
            ),
            Check(self.codebook_size <= 65536, "fsq_levels", "of a product of at most 65536, the codes of a level"),
            *super().checks(),
        ]
