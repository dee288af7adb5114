"""What a chip can do, from Google's published specifications of Cloud TPU (pages "TPU v4" to "TPU v6e").

Bandwidth between chips is published as the sum of both directions; of v4, the paper (arXiv 2304.01433, table 4) gives
six links of 50 GB/s each way.
"""

from __future__ import annotations

import dataclasses

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """One chip of a generation of TPU."""

    name: str
    flops: float  # peak of bfloat16 products, FLOP/s; float32 products of default precision run at this rate, too
    memory: float  # HBM, bytes, of which the compiler keeps some for itself
    memory_bandwidth: float  # bytes/s
    network_bandwidth: float  # of all links, both directions added up, bytes/s


CHIPS = {
    "v4": Chip("TPU v4", 275e12, 32 * GIB, 1200e9, 600e9),
    "v5e": Chip("TPU v5e", 197e12, 16 * GIB, 819e9, 400e9),
    "v5p": Chip("TPU v5p", 459e12, 95 * GIB, 2765e9, 1200e9),
    "v6e": Chip("TPU v6e", 918e12, 32 * GIB, 1638e9, 800e9),
}


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Least time of a step by what limits it, seconds; nothing overlaps worse than the largest of the three."""

    compute: float
    memory: float
    network: float

    @property
    def step(self) -> float:
        return max(self.compute, self.memory, self.network)

    @property
    def bound(self) -> str:
        """ "compute", "memory" or "network"."""
        return max(("compute", "memory", "network"), key=lambda name: getattr(self, name))


def all_reduce_seconds(size: float, devices: int, chip: Chip) -> float:
    """Least time of a sum of `size` bytes over the devices: each sends and receives 2 (n - 1) / n of them."""
    return 2 * (devices - 1) / devices * size / (chip.network_bandwidth / 2)


def roofline(chip: Chip, *, flops: float, accessed: float, reduced: float, devices: int) -> Roofline:
    """The least time of a step on one chip.

    Args:
      flops: of one device.
      accessed: bytes that it reads and writes.
      reduced: bytes that it exchanges with the others.
    """
    return Roofline(flops / chip.flops, accessed / chip.memory_bandwidth, all_reduce_seconds(reduced, devices, chip))
