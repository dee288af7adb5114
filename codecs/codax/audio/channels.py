"""How the channels of audio become the channels that a model codes: each, mixed to one, or as mid and side.

Channels that are equal, sample by sample, can be coded once: a decoder restores all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from codax.errors import CodaxError

Mode = Literal["each", "mix", "mid-side"]
MODES: tuple[Mode, ...] = ("each", "mix", "mid-side")


@dataclasses.dataclass(frozen=True)
class ChannelMap:
    """The way from the channels of audio to coded channels, and back.

    Attributes:
      channels: of the audio.
      group: channels that the model codes together, as one stream.
      mixed: one channel is coded, the mean of all, and one is restored.
      mid_side: (left + right) / 2 and (left - right) / 2 are coded.
      shared: for each channel the number of its stream, if streams that are equal are coded once; () = they are not.
    """

    channels: int
    group: int = 1
    mixed: bool = False
    mid_side: bool = False
    shared: tuple[int, ...] = ()

    @property
    def restored(self) -> int:
        """Number of channels that a decoder restores."""
        return 1 if self.mixed else self.channels

    @property
    def coded(self) -> int:
        """Number of coded channels."""
        return len(self._kept) if self.shared else self.restored

    @property
    def streams(self) -> int:
        """Number of streams; the last one may have fewer channels than the model."""
        return -(-self.coded // self.group)

    @property
    def _kept(self) -> list[int]:
        """The channels of the first stream of each kind."""
        starts = (number // self.group * self.group for number in range(self.channels))
        return [n for n, start in enumerate(starts) if self.shared[n] not in self.shared[:start]]

    def forward(self, audio: np.ndarray) -> np.ndarray:
        """Converts audio, float [..., channels], to the channels that are coded."""
        if self.mixed:
            return (audio / self.channels).sum(axis=-1, keepdims=True)
        if self.mid_side:
            left, right = audio[..., :1] / 2, audio[..., 1:] / 2
            return np.concatenate([left + right, left - right], axis=-1)
        return audio[..., self._kept] if self.shared else audio

    def backward(self, coded: np.ndarray) -> np.ndarray:
        """Converts decoded channels, float [..., coded], to those of the audio; the mean of a mix remains one."""
        if self.mid_side:
            mid, side = coded[..., :1], coded[..., 1:]
            return np.concatenate([mid + side, mid - side], axis=-1)
        if self.shared:
            return coded[..., [stream * self.group + n % self.group for n, stream in enumerate(self.shared)]]
        return coded

    def rates(self, kbps: float) -> str:
        """Returns the sum of the streams' nominal rates as text, "" for a single channel; `kbps` is that of one."""
        total = f"{self.streams * kbps:g} kbps"
        parts = f"{self.streams} x {kbps:g} kbps = {total}" if self.streams > 1 else total
        if self.mixed:
            return f"{self.channels} channels, mixed to one: {parts}"
        if self.mid_side:
            return f"mid and side: {parts}"
        if self.shared:
            return f"equal channels, coded once: {parts}"
        if self.group == 1 and self.channels > 1:
            return f"{self.channels} channels x {kbps:g} kbps = {total}"
        return f"{self.channels} channels in {self.streams} streams: {parts}" if self.streams > 1 else ""


def channel_map(
    mode: str, channels: int, group: int, blocks: Iterable[np.ndarray] = (), *, name: object = "audio"
) -> ChannelMap:
    """Returns the map of a mode.

    Args:
      mode: of MODES. A single channel is coded as it is in all of them.
      channels: of the audio.
      group: channels of the model.
      blocks: all of the audio [time, channels], to find equal channels, which are then coded once, also instead of mid
        and side. They are read until no two channels are equal. () = channels count as different.
      name: of the audio, for messages.

    Raises:
      CodaxError: there is no such mode, or neither audio nor model has another number of channels than it takes.
    """
    if mode not in MODES:
        raise CodaxError(f"channels: {mode!r} is not one of {', '.join(MODES)}")
    if mode == "mix":
        return ChannelMap(channels, group, mixed=channels > 1)
    if mode == "mid-side" and group > 1:
        raise CodaxError(f"channels: mid-side needs a model of one channel; this one codes {group} together")
    if mode == "mid-side" and channels > 2:
        raise CodaxError(f"{name}: {channels} channels cannot be coded as mid and side, which are of two")
    first = equal_channels(blocks, channels) if channels > 1 else None
    if first and (shared := shared_streams(first, group)):
        return ChannelMap(channels, group, shared=shared)
    return ChannelMap(channels, group, mid_side=mode == "mid-side" and channels == 2)


def equal_channels(blocks: Iterable[np.ndarray], channels: int) -> list[int] | None:
    """Returns for each channel the first one that equals it in all blocks [time, channels]; None without a block."""
    first = None
    for block in blocks:
        first = still_equal(first or [0] * channels, block)
        if len({*first}) == channels:
            break
    return first


def still_equal(first: list[int], block: np.ndarray) -> list[int]:
    """Returns for each channel the first one that equals it, bit for bit, in a block [time, channels] and before.

    Args:
      first: the same of the blocks before.
      block: the next samples.
    """
    seen: dict[tuple[int, bytes], int] = {}
    return [seen.setdefault((before, block[:, n].tobytes()), n) for n, before in enumerate(first)]


def shared_streams(first: Sequence[int], group: int) -> tuple[int, ...]:
    """Returns `ChannelMap.shared` of channels; channel n equals channel `first[n]`, the first of its kind."""
    last = len(first) - 1  # which fills an incomplete group
    groups = [tuple(first[min(n + k, last)] for k in range(group)) for n in range(0, len(first), group)]
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(groups))}
    if len(numbers) == len(groups):
        return ()
    return tuple(numbers[groups[n // group]] for n in range(len(first)))
