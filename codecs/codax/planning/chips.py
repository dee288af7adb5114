"""Peak performance of TPU chips, from the published specifications of Cloud TPU (pages "TPU v4" to "TPU v6e").

Bandwidth between chips is published as the sum of both directions; for v4 it follows from the paper (arXiv 2304.01433,
table 4): six links of 50 GB/s in each direction.
"""

from __future__ import annotations

import dataclasses

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """One chip of a TPU generation."""

    name: str
    flops: float  # peak bfloat16 FLOP/s; also applies to float32 products of default precision
    memory: float  # HBM, bytes; the compiler reserves a part
    memory_bandwidth: float  # bytes/s
    network_bandwidth: float  # sum over all links and both directions, bytes/s


CHIPS = {
    "v4": Chip("TPU v4", 275e12, 32 * GIB, 1200e9, 600e9),
    "v5e": Chip("TPU v5e", 197e12, 16 * GIB, 819e9, 400e9),
    "v5p": Chip("TPU v5p", 459e12, 95 * GIB, 2765e9, 1200e9),
    "v6e": Chip("TPU v6e", 918e12, 32 * GIB, 1638e9, 800e9),
}


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Lower bounds of the step time in seconds, by resource; with full overlap the largest one applies."""

    compute: float
    memory: float
    network: float

    @property
    def step(self) -> float:
        return max(self.compute, self.memory, self.network)

    @property
    def bound(self) -> str:
        """The limiting resource: "compute", "memory" or "network"."""
        return max(("compute", "memory", "network"), key=lambda name: getattr(self, name))


def all_reduce_seconds(size: float, devices: int, chip: Chip) -> float:
    """Least time of an all-reduce of `size` bytes: each device sends and receives 2 (n - 1) / n of them."""
    return 2 * (devices - 1) / devices * size / (chip.network_bandwidth / 2)


def roofline(chip: Chip, *, flops: float, accessed: float, reduced: float, devices: int) -> Roofline:
    """Lower bounds of the time of a step on one chip.

    Args:
      chip: its peak performance.
      flops: of one device.
      accessed: bytes that one device reads and writes.
      reduced: bytes that one device exchanges with the others.
      devices: number of devices.
    """
    return Roofline(flops / chip.flops, accessed / chip.memory_bandwidth, all_reduce_seconds(reduced, devices, chip))
