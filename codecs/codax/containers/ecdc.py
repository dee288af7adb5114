"""EnCodec's `.ecdc` container, bit for bit; `ecdc_lm` handles files that its language model compressed.

A file begins with "ECDC", a version byte 0, the length of a JSON text (four bytes, big-endian) and that text: "m" is
the model's name, "al" the length in samples, "nc" the number of codebooks, "lm" whether codes are entropy-coded. Each
segment follows: the scale (float32, big-endian) if the model normalises, and the codes, ten bits each, time first,
least significant bit first, padded to a whole byte. The model's name implies sample rate, segments and hop. The file
does not identify the weights and has no checksum.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from codax.audio.segments import bounds
from codax.entropy.bitpack import BitPacker, packed_bytes, unpack
from codax.errors import CodaxError, shown
from codax.storage import strict_json
from codax.storage.files import require_file

SUFFIX = ".ecdc"
MAGIC = b"ECDC"
BITS = 10
_HEAD = struct.Struct("!4sBI")
SCALE = struct.Struct("!f")
_LONGEST_TEXT = 4096  # bytes of JSON that are accepted
# Of codes that the language model compressed.
_CODES_PER_BYTE = 48_000  # upper bound: the likeliest code has a probability of 1 - 2046 / 2**24
_LEAST_STREAM = 3  # bytes of a segment


class EcdcError(CodaxError):
    """The file is not a valid `.ecdc` file, or has features that codax does not read."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """The properties that a model's name implies."""

    sample_rate: int  # Hz
    channels: int
    hop: int  # samples per frame
    segment: int  # samples per segment; 0 = the whole signal
    stride: int  # samples from one segment to the next
    scaled: bool
    codebooks: int  # maximum number


KINDS = {
    "encodec_24khz": Kind(24_000, 1, 320, 0, 0, scaled=False, codebooks=32),
    "encodec_48khz": Kind(48_000, 2, 320, 48_000, 47_520, scaled=True, codebooks=16),
}


def segment_frames(kind: Kind, length: int) -> list[int]:
    """Returns the number of frames of every segment of a signal of `length` samples."""
    return [-(-(stop - start) // kind.hop) for start, stop in bounds(length, kind.segment, kind.stride)]


@dataclasses.dataclass(frozen=True)
class Ecdc:
    """Content of a file, still packed.

    Attributes:
      model: "encodec_24khz" or "encodec_48khz".
      length: samples per channel at the model's rate.
      codebooks: codes per frame.
      payload: the bytes after the header.
    """

    model: str
    length: int
    codebooks: int
    payload: bytes

    @property
    def kind(self) -> Kind:
        return KINDS[self.model]

    @functools.cached_property
    def frames(self) -> list[int]:
        """Number of frames of every segment."""
        return segment_frames(self.kind, self.length)

    @property
    def codes(self) -> np.ndarray:
        """All codes, int32 [frames, codebooks], of all segments in sequence."""
        return np.concatenate(list(self.blocks(sum(self.frames))))

    @property
    def scales(self) -> np.ndarray | None:
        """float32 [segments], or None for a model that does not normalise."""
        if not self.kind.scaled:
            return None
        starts = (start for start, _ in self._segments())
        return np.asarray([SCALE.unpack_from(self.payload, start)[0] for start in starts], np.float32)

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """Yields the codes in blocks int32 [time, codebooks] of at most `frames` frames, each within one segment."""
        for start, count in self._segments():
            begin = 8 * (start + SCALE.size * self.kind.scaled)
            for first in range(0, count, frames):
                length = min(frames, count - first)
                bit = begin + first * self.codebooks * BITS
                data = self.payload[bit // 8 : (bit + length * self.codebooks * BITS + 7) // 8]
                yield unpack(data, length * self.codebooks, BITS, bit % 8).reshape(length, self.codebooks)

    def _segments(self) -> Iterator[tuple[int, int]]:
        """Yields each segment's offset in the payload and its number of frames."""
        start = 0
        for count in self.frames:
            yield start, count
            start += _segment_bytes(self.kind, count, self.codebooks)


def _segment_bytes(kind: Kind, frames: int, codebooks: int) -> int:
    return SCALE.size * kind.scaled + packed_bytes(frames * codebooks, BITS)


class Builder:
    """Builds a file's bytes, equal to those of `encodec`: `write` all codes, then `finish`."""

    def __init__(self, model: str, codebooks: int) -> None:
        self._model, self._kind, self._codebooks = model, _kind(model), codebooks
        self._packer = BitPacker(BITS)
        self._parts: list[bytes] = []
        self._frames: list[int] = []  # of each call

    def write(self, codes: np.ndarray, scale: float | None = None) -> None:
        """Appends codes [frames, codebooks]; for a model that normalises, one whole segment and its scale.

        Raises:
          EcdcError: the model cannot have these codes or this scale.
        """
        codes = np.asarray(codes)
        if codes.ndim != 2 or codes.shape[1] != self._codebooks or not 1 <= self._codebooks <= self._kind.codebooks:
            raise EcdcError(f"codes {codes.shape} do not fit {self._codebooks} codebooks of model {self._model}")
        if (scale is not None) != self._kind.scaled:
            raise EcdcError(f"model {self._model} {'needs' if self._kind.scaled else 'has no'} scales")
        try:
            if scale is not None:
                self._parts.append(self._packer.finish() + SCALE.pack(scale))
            self._parts.append(self._packer.push(codes))
        except ValueError as error:
            raise EcdcError(str(error)) from error
        self._frames.append(len(codes))

    def finish(self, length: int) -> bytes:
        """Returns the file of a signal of `length` samples. Raises EcdcError if the codes have another length."""
        frames = self._frames if self._kind.scaled else [sum(self._frames)]
        if length < 1 or frames != segment_frames(self._kind, length):
            raise EcdcError(f"codes of {sum(frames)} frames do not fit {length} samples of model {self._model}")
        header = Header(self._model, length, self._codebooks, compressed=False, size=0)
        return b"".join([header.to_bytes(), *self._parts, self._packer.finish()])


@dataclasses.dataclass(frozen=True)
class Header:
    """Header of a file.

    Attributes:
      model, length, codebooks: as in `Ecdc`.
      compressed: whether EnCodec's language model compressed the codes; see `ecdc_lm`.
      size: bytes of the header.
    """

    model: str
    length: int
    codebooks: int
    compressed: bool
    size: int

    @property
    def kind(self) -> Kind:
        return KINDS[self.model]

    def to_bytes(self) -> bytes:
        """Returns the bytes of the header; `size` is ignored."""
        meta = {"m": self.model, "al": self.length, "nc": self.codebooks, "lm": self.compressed}
        text = json.dumps(meta).encode()
        return _HEAD.pack(MAGIC, 0, len(text)) + text


def parse_header(data: bytes) -> Header:
    """Reads the header of a file's bytes.

    Raises:
      EcdcError: the header is damaged, names an unknown model, or a length that the bytes after it cannot hold.
    """
    if len(data) < _HEAD.size or not data.startswith(MAGIC):
        raise EcdcError("not an .ecdc file")
    _, version, size = _HEAD.unpack_from(data)
    if version != 0:
        raise EcdcError(f"version {version} of the .ecdc format is not known")
    if size > min(_LONGEST_TEXT, len(data) - _HEAD.size):
        raise EcdcError("the header is damaged or cut off")
    try:
        meta = strict_json.parse(data[_HEAD.size : _HEAD.size + size])
        model, length, codebooks, compressed = (meta[key] for key in ("m", "al", "nc", "lm"))
    except (strict_json.JSONError, KeyError, TypeError) as error:
        raise EcdcError("the header is not the JSON that .ecdc files have") from error
    kind = _kind(model)
    if type(length) is not int or type(codebooks) is not int or length < 1 or not 1 <= codebooks <= kind.codebooks:
        raise EcdcError(f"impossible length of {shown(length)} samples or number of {shown(codebooks)} codebooks")
    if type(compressed) is not bool:
        raise EcdcError("the header is not the JSON that .ecdc files have")
    header = Header(model, length, codebooks, compressed, _HEAD.size + size)
    _check_length(header, len(data) - header.size)
    return header


def _check_length(header: Header, available: int) -> None:
    """Rejects a length that the data cannot hold, before anything of that length is made."""
    kind, length = header.kind, header.length
    if header.compressed:
        segments = -(-length // kind.stride) if kind.stride else 1
        least = segments * (_LEAST_STREAM + SCALE.size * kind.scaled)
        least = max(least, length // kind.hop * header.codebooks // _CODES_PER_BYTE)
    else:
        least = length * header.codebooks * BITS // (8 * kind.hop)
    if least > available:
        raise EcdcError(f"cut off: {length} samples need at least {least} bytes, got {available}")


def from_bytes(data: bytes) -> Ecdc:
    """Reads a file's bytes.

    Raises:
      EcdcError: the file is damaged, too short or too long, of an unknown model, or entropy-coded.
    """
    header = parse_header(data)
    if header.compressed:
        raise EcdcError("its codes are compressed by EnCodec's language model, which is needed to read them")
    kind, length, codebooks = header.kind, header.length, header.codebooks
    file = Ecdc(header.model, length, codebooks, data[header.size :])
    size = sum(_segment_bytes(kind, count, codebooks) for count in file.frames)
    if len(file.payload) < size:
        raise EcdcError("cut off before the end")
    if len(file.payload) > size:
        raise EcdcError(f"{len(file.payload) - size} bytes too long")
    if file.scales is not None and not np.isfinite(file.scales).all():
        raise EcdcError("a scale is not a finite number")
    return file


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Reads a file's bytes. Raises EcdcError naming it."""
    require_file(path, EcdcError)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise EcdcError(f"{path}: cannot be read ({error.strerror or error})") from error


def read(path: str | os.PathLike[str]) -> Ecdc:
    """Reads a file. Raises EcdcError naming it."""
    data = read_bytes(path)
    try:
        return from_bytes(data)
    except EcdcError as error:
        raise EcdcError(f"{path}: {error}") from error


def _kind(model: object) -> Kind:
    if not isinstance(model, str) or model not in KINDS:
        raise EcdcError(f"model {shown(model)} is not a model of .ecdc files ({', '.join(KINDS)})")
    return KINDS[model]
