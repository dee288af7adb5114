"""What coding piece by piece must know of a family of networks."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a network's frames depend on; each family states it beside its networks.

    Attributes:
      context_frames: frames before and after one that its codes and its audio depend on, at most, in networks that are
        not causal; None = the whole signal.
      pads_inside: the layers pad the signal's end to whole frames themselves, and must be told where it ends.
      start_frames: frames, a power of two, that streaming must gather before the first ones can be coded.
    """

    context_frames: int | None = None
    pads_inside: bool = False
    start_frames: int = 1
