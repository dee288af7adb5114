"""Properties of a family of networks that segment-wise and streaming coding depend on."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Facts:
    """Receptive field and padding of a network; each family defines it in its module.

    Attributes:
      context_frames: largest number of frames before and after a frame that its codes and audio depend on, in
        non-causal networks; None = the whole signal.
      pads_inside: whether the layers pad the end of the signal to whole frames, and must be given its length.
      start_frames: number of frames, a power of two, that streaming must collect before it can code the first ones.
      least_arrays, least_values: lower bounds of the number of the networks' arrays, and of the values in them. They
        tell cheaply that a config does not belong to weights; 0 = unknown.
    """

    context_frames: int | None = None
    pads_inside: bool = False
    start_frames: int = 1
    least_arrays: int = 0
    least_values: int = 0
