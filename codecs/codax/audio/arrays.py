"""The rules for arrays of audio and codes that users pass: types, layouts and values.

Codecs, streams, sessions, exported programs, metrics and audio files use them, so that all accept the same arrays.
Floats have full scale 1. Integers are scaled by their type, as in audio files; a type without such a convention is
rejected, because a guess would give ruined audio. Nothing is copied unless its type must change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from codax.config.checks import MOST_CHANNELS, RATES
from codax.errors import CodaxError

_INTEGERS = {"uint8": (128, 2.0**-7), "int16": (0, 2.0**-15), "int32": (0, 2.0**-31)}  # their zero and scale
_SHORT = 8  # a signal has at most this many channels if it has fewer samples than channels
_LARGEST = 1e9  # beyond it, sums of squares in a network may overflow and leave NaN in a stream's state


def as_floats(audio: Any, dtype: type[np.floating] | None = np.float32) -> np.ndarray:
    """Returns samples of any shape as floats of full scale 1.

    Args:
      audio: floats, or int16, int32 or uint8.
      dtype: type of the result; None = that of the floats, or float32 for integers.

    Raises:
      CodaxError: another type, or lists of unequal lengths.
    """
    audio = as_array("audio", audio)
    name = audio.dtype.name
    if name in _INTEGERS:
        zero, scale = _INTEGERS[name]
        floats = audio.astype(dtype or np.float32)
        if zero:
            floats -= zero
        floats *= scale
        return floats
    if "float" not in name:  # bfloat16 is one, of a kind that NumPy does not know
        raise CodaxError(f"audio of type {name} has no full scale: expected floats, {', '.join(_INTEGERS)}")
    with np.errstate(over="ignore"):  # too large for `dtype`: infinity, which `check_finite` rejects
        return np.asarray(audio, dtype)


def check_finite(audio: np.ndarray) -> None:
    """Raises CodaxError if a float is NaN, infinite or larger than 1e9."""
    if audio.size and not (audio.min() >= -_LARGEST and audio.max() <= _LARGEST):  # false for NaN; needs no array
        kind = "values beyond 1e9" if np.isfinite(audio).all() else "values that are not finite"
        raise CodaxError(f"audio has {kind}")


def as_signal(audio: Any, dtype: type[np.floating] | None = np.float32) -> np.ndarray:
    """Returns one signal [time] or [time, channels] as floats [time, channels].

    Raises:
      CodaxError: as `as_floats`; it is empty, not finite, or its layout is implausible.
    """
    return _plausible(as_floats(audio, dtype), "[time] or [time, channels]", 2)


def as_batch(audio: Any) -> np.ndarray:
    """Returns signals as float32 [batch, time, channels]; [time] and [time, channels] are a batch of one.

    Raises:
      CodaxError: as `as_signal`.
    """
    return _with_batch(_plausible(as_floats(audio), "[time], [time, channels] or [batch, time, channels]", 3))


def as_chunk(
    audio: Any, *, batch: int | None, channels: int, time: int | None = None, rows: np.ndarray | None = None
) -> np.ndarray:
    """Returns a part of a stream as float32 [batch, time, channels], perhaps of no samples.

    Args:
      audio: as in `as_batch`.
      batch, time, channels: the expected shape; None = any.
      rows: bool [batch], those whose values count; None = all.

    Raises:
      CodaxError: another type or shape, or values that are not finite.
    """
    passed = as_floats(audio)
    audio = _with_batch(passed)
    _check_shape("audio", audio, {"batch": batch, "time": time, "channels": channels}, passed.shape)
    check_finite(audio if rows is None else audio[rows])
    return audio


def as_codes(
    codes: Any,
    size: int,
    levels: int,
    *,
    batch: int | None = None,
    frames: int | None = None,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Returns codes as int32 [batch, frames, quantizers].

    Args:
      codes: integers of any type.
      size: entries of a codebook.
      levels: maximum number of quantizers.
      batch, frames: the expected shape; None = any.
      rows: bool [batch], those whose values count; None = all.

    Raises:
      CodaxError: another type or shape, or a code outside the codebook.
    """
    codes = as_array("codes", codes)
    if codes.dtype.kind not in "iu":
        raise CodaxError(f"codes must be integers, got {codes.dtype.name}")
    _check_shape("codes", codes, {"batch": batch, "frames": frames, f"1 to {levels}": None}, codes.shape)
    if not 1 <= codes.shape[2] <= levels:
        raise CodaxError(f"codes must have 1 to {levels} quantizers, got shape {codes.shape}")
    values = codes if rows is None else codes[rows]
    if values.size and not (values.min() >= 0 and values.max() < size):
        raise CodaxError(f"codes must lie in 0 to {size - 1}")
    return codes.astype(np.int32, copy=False)


def as_rate(rate: Any) -> int:
    """Returns a sample rate in Hz. Raises CodaxError unless it is a whole number within those of audio files."""
    within = isinstance(rate, int | float | np.integer | np.floating) and RATES[0] <= rate <= RATES[1]
    if not within or not float(rate).is_integer():
        raise CodaxError(f"sample rate {rate}: expected a whole number of Hz from {RATES[0]} to {RATES[1]}")
    return int(rate)


def padded(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Concatenates arrays [batch, time, ...] along the batch, the shorter ones followed by zeros; does not copy one."""
    if len(parts) == 1:
        return parts[0]
    joined = np.zeros((sum(map(len, parts)), max(x.shape[1] for x in parts), *parts[0].shape[2:]), parts[0].dtype)
    start = 0
    for part in parts:
        joined[start : start + len(part), : part.shape[1]] = part
        start += len(part)
    return joined


def as_array(name: str, values: Any) -> np.ndarray:
    """Returns an array of any library, by NumPy's array protocol or DLPack, as NumPy's; copies only if it must.

    Raises:
      CodaxError: lists of unequal lengths, or an array that its library does not convert, such as one that requires a
        gradient.
    """
    try:
        if hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
            return np.from_dlpack(values)
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError, BufferError) as error:
        raise CodaxError(f"{name}: not an array ({' '.join(str(error).split())})") from error


def _with_batch(audio: np.ndarray) -> np.ndarray:
    audio = audio[:, None] if audio.ndim == 1 else audio
    return audio[None] if audio.ndim == 2 else audio


def _plausible(audio: np.ndarray, layouts: str, dimensions: int) -> np.ndarray:
    """Returns audio [..., time, channels], from [time] too.

    Raises:
      CodaxError: it is empty or not finite, has more dimensions, or more likely has another layout.
    """
    shape = audio.shape
    if not 1 <= len(shape) <= dimensions or not audio.size:
        raise CodaxError(f"audio must be {layouts} and not empty, got shape {shape}")
    audio = audio[:, None] if len(shape) == 1 else audio
    time, channels = audio.shape[-2:]
    if channels > min(MOST_CHANNELS, max(_SHORT, time)):
        raise CodaxError(f"audio must be {layouts}, got shape {shape}: {channels} channels of {time} samples")
    check_finite(audio)
    return audio


def _check_shape(name: str, array: np.ndarray, expected: dict[str, int | None], passed: tuple[int, ...]) -> None:
    sizes = expected.values()
    if array.ndim != 3 or any(size not in (None, n) for size, n in zip(sizes, array.shape, strict=True)):
        layout = ", ".join(axis if size is None else str(size) for axis, size in expected.items())
        raise CodaxError(f"{name} must be [{layout}], got shape {passed}")
