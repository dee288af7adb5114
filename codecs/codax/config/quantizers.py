"""The quantizer section: one class per kind of residual quantizer, with the fields of that kind.

A kind outside the package subclasses `QuantizerConfig` and registers the class and its module with
`codax.quantizers.registry.register`.
"""

import copy
import dataclasses
import math
from typing import ClassVar

from codax.config.checks import Check, at_least, below_one, one_of, share
from codax.config.section import Tagged, constant, option


@dataclasses.dataclass
class QuantizerConfig(Tagged):
    """Fields of all kinds.

    Attributes without a type are constants here; kinds that vary them have fields of the same name.

    Attributes:
      semantic: number of first levels that quantize in parallel to the others (split RVQ), and are always used.
      dead_every: steps between searches for dead entries.
      training: fields that matter in training alone; all others decide the codes, or which rates a model has.
    """

    path: ClassVar[str] = "quantizer"
    tag: ClassVar[str] = "kind"
    classes: ClassVar[dict[str, type["QuantizerConfig"]]] = {}
    training: ClassVar[frozenset[str]] = frozenset(
        {
            "decay",
            "alarm_coverage",
            "unquantized",
            "dropout",
            "dropout_share",
            "dropout_kbps",
            "start_step",
            "gradient",
            "epsilon",
            "smoothing",
            "kmeans_iterations",
            "kmeans_alternate",
            "dead_threshold",
            "dead_ratio",
            "dead_every",
        }
    )
    semantic = 0
    dead_every = 1

    kind: str = constant("")
    num_quantizers: int = 24  # levels of the residual stack; the first few are a codec of a lower rate
    decay: float = 0.99  # of the EMA of the codes' counts
    alarm_coverage: float = 0.1  # training warns if a level keeps using a smaller share of its entries; 0 = never
    unquantized: float = 0.0  # probability that the decoder gets an example's unquantized latent
    dropout: bool = True  # draw the number of quantizers per example; those of `semantic` are always used
    # Share of a batch's examples with a drawn number; the others use all quantizers.
    dropout_share: float = option(
        1.0, lambda q: q.dropout and not q.dropout_kbps, "quantizer.dropout, without quantizer.dropout_kbps"
    )
    dropout_kbps: bool = False  # draw one of `kbps` per batch instead
    start_step: int = 0  # earlier steps train an autoencoder without quantization
    kbps: tuple[float, ...] = (3.0, 6.0, 12.0, 18.0)  # the bit rates that evaluation reports

    @property
    def codebook_size(self) -> int:
        """Number of entries of a level; a field of most kinds."""
        raise NotImplementedError

    def with_codebooks_of(self, other: "QuantizerConfig") -> "QuantizerConfig":
        """Returns the section that has the kind and codebooks of `other`, and is trained as this one says."""
        fields = [field.name for field in dataclasses.fields(other) if field.init and field.name not in self.training]
        mine = copy.copy(self).of_class(other.kind)
        return dataclasses.replace(mine, **{name: getattr(other, name) for name in fields})

    def least_values(self, dimension: int) -> int:
        """Returns a lower bound of the number of values in the arrays, for a latent of `dimension` channels."""
        return 0

    def checks(self) -> list[Check]:
        return [
            Check(1 <= self.num_quantizers <= 1024, "num_quantizers", "1 to 1024"),
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
    """Codebooks whose entries are EMAs of the vectors that they quantize (SoundStream, EnCodec, Mimi)."""

    kind: str = constant("average")
    codebook_size: int = 1024  # entries of a level
    gradient: str = "straight_through"  # or "rotation": gradient estimator of quantization
    epsilon: float = 1e-5  # Laplace smoothing of the running counts
    kmeans_iterations: int = 10  # on the first quantized batch; 0 = initialise with random frames
    kmeans_alternate: bool = False  # levels alternate between even and odd frames, for small batches
    # An entry whose running count falls below this is replaced.
    dead_threshold: float = option(2.0, lambda q: q.dead_ratio == 0, "quantizer.dead_ratio = 0")
    dead_ratio: float = 0.0  # > 0: replace an entry whose count falls below this share of its level's mean instead
    dead_every: int = 1
    smoothing: bool = True  # apply Laplace smoothing to the counts that divide the sums
    normalise: bool = False  # search by angle: normalise vectors to length 1
    beam: int = 1  # width of the beam search over levels in encoding; 1 = the nearest entry of each level
    semantic: int = 0
    projection: int = 0  # > 0: channels of linear projections before the codebooks, and inversely after them

    def least_values(self, dimension: int) -> int:
        return self.num_quantizers * self.codebook_size * (self.projection or dimension) + self.projection * dimension

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
    """Codebooks trained by gradient, as in DAC: each level searches by angle in its own projection."""

    kind: str = constant("factorised")
    codebook_size: int = 1024  # entries of a level
    gradient: str = "straight_through"  # or "rotation": gradient estimator of quantization
    projection: int = 8  # channels of a level's projection

    def least_values(self, dimension: int) -> int:
        return self.num_quantizers * self.projection * (self.codebook_size + 2 * dimension)

    def checks(self) -> list[Check]:
        return [
            *super().checks(),
            *at_least(self, 1, "projection"),
            one_of(self, "gradient", "straight_through", "rotation"),
        ]


@QuantizerConfig.register
@dataclasses.dataclass
class FSQQuantizerConfig(QuantizerConfig):
    """Finite scalar quantization: each level rounds the channels of its own projection."""

    kind: str = constant("fsq")
    fsq_levels: tuple[int, ...] = (4, 4, 4, 4, 4)  # number of values of each channel of a level

    @property
    def codebook_size(self) -> int:
        """Number of codes of a level: the product of `fsq_levels`."""
        return math.prod(self.fsq_levels)

    def least_values(self, dimension: int) -> int:
        return self.num_quantizers * len(self.fsq_levels) * 2 * dimension

    def checks(self) -> list[Check]:
        return [
            Check(
                len(self.fsq_levels) > 0 and min(self.fsq_levels) >= 3,
                "fsq_levels",
                "one or more numbers of values, each 3 or more: rounding leaves one of 2 unused",
            ),
            Check(
                self.codebook_size <= 65536,
                "fsq_levels",
                "numbers whose product, the codes of a level, is at most 65536",
            ),
            *super().checks(),
        ]
