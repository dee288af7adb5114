"""EnCodec's `.ecdc` container, bit for bit, without its language model.

A file is "ECDC", a version byte 0, the length of a JSON text (four bytes, big-endian) and that text: "m" the model's
name, "al" the length in samples, "nc" the number of codebooks, "lm" whether codes are entropy-coded. Then, per segment,
the scale (float32, big-endian) of a model that normalises, and the codes, ten bits each, time first, least significant
bit first, up to a whole byte. Sample rate, segments and hop follow from the model's name. Nothing in it tells which
weights wrote it, and there is no checksum.
"""

from __future__ import annotations

import dataclasses
import json
import os
import struct
from pathlib import Path

import numpy as np

from codax.entropy.bitpack import pack, packed_bytes, unpack
from codax.errors import CodaxError
from codax.segments import bounds

SUFFIX = ".ecdc"
MAGIC = b"ECDC"
BITS = 10
_HEAD = struct.Struct("!4sBI")
_SCALE = struct.Struct("!f")
_LONGEST_TEXT = 4096  # bytes of JSON that are believed


class EcdcError(CodaxError):
    """A file that is not a valid `.ecdc` file, or has features that codax does not read."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a model's name stands for."""

    sample_rate: int  # Hz
    channels: int
    hop: int  # samples per frame
    segment: int  # samples per segment; 0 = the whole signal
    stride: int  # samples from one segment to the next
    scaled: bool
    codebooks: int  # most that it has


KINDS = {
    "encodec_24khz": Kind(24_000, 1, 320, 0, 0, scaled=False, codebooks=32),
    "encodec_48khz": Kind(48_000, 2, 320, 48_000, 47_520, scaled=True, codebooks=16),
}


@dataclasses.dataclass(frozen=True)
class Ecdc:
    """What a file holds.

    Attributes:
      model: "encodec_24khz" or "encodec_48khz".
      length: samples per channel at the model's rate.
      codes: int32 [frames, codebooks]; the segments' frames follow each other.
      scales: float32 [segments], or None for a model that does not normalise.
    """

    model: str
    length: int
    codes: np.ndarray
    scales: np.ndarray | None = None

    @property
    def kind(self) -> Kind:
        return KINDS[self.model]


def segment_frames(kind: Kind, length: int) -> list[int]:
    """Frames of every segment of a signal of `length` samples."""
    parts = bounds(length, kind.segment, kind.stride) if kind.segment else [(0, length)]
    return [-(-(stop - start) // kind.hop) for start, stop in parts]


def to_bytes(file: Ecdc) -> bytes:
    """The file's bytes, equal to those of `encodec`.

    Raises:
      EcdcError: codes or scales that do not fit the model and the length.
    """
    kind = _kind(file.model)
    frames = segment_frames(kind, file.length)
    codes = np.asarray(file.codes)
    if file.length < 1 or codes.ndim != 2 or len(codes) != sum(frames) or not 1 <= codes.shape[1] <= kind.codebooks:
        raise EcdcError(f"codes {codes.shape} do not fit {file.length} samples of model {file.model}")
    found = None if file.scales is None else file.scales.shape
    if kind.scaled and found != (len(frames),):
        raise EcdcError(f"model {file.model} needs {len(frames)} scales, got {found}")
    text = json.dumps({"m": file.model, "al": file.length, "nc": codes.shape[1], "lm": False}).encode()
    parts = [_HEAD.pack(MAGIC, 0, len(text)), text]
    try:
        for i, piece in enumerate(np.split(codes, np.cumsum(frames)[:-1])):
            if kind.scaled and file.scales is not None:
                parts.append(_SCALE.pack(float(file.scales[i])))
            parts.append(pack(piece, BITS))
    except ValueError as error:
        raise EcdcError(str(error)) from error
    return b"".join(parts)


def from_bytes(data: bytes) -> Ecdc:
    """Reads a file's bytes.

    Raises:
      EcdcError: damaged, too short or too long, of another model, or entropy-coded.
    """
    if len(data) < _HEAD.size or not data.startswith(MAGIC):
        raise EcdcError("not an .ecdc file")
    _, version, size = _HEAD.unpack_from(data)
    if version != 0:
        raise EcdcError(f"version {version} of the .ecdc format is not known")
    if size > min(_LONGEST_TEXT, len(data) - _HEAD.size):
        raise EcdcError("the header is damaged or cut off")
    try:
        meta = json.loads(data[_HEAD.size : _HEAD.size + size])
        model, length, codebooks, entropy = (meta[key] for key in ("m", "al", "nc", "lm"))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EcdcError("the header is not the JSON that .ecdc files have") from error
    kind = _kind(model)
    if entropy is not False:
        raise EcdcError("codes that EnCodec's language model compressed cannot be read")
    if type(length) is not int or type(codebooks) is not int or length < 1 or not 1 <= codebooks <= kind.codebooks:
        raise EcdcError(f"a length of {length!r} and {codebooks!r} codebooks cannot be")
    position = _HEAD.size + size
    # Before anything is allocated: a length that the data cannot hold is not believed.
    least = length * codebooks * BITS // (8 * kind.hop)
    if least > len(data) - position:
        raise EcdcError(f"cut off: {length} samples need at least {least} bytes, {len(data) - position} are there")
    frames = segment_frames(kind, length)
    codes, scales = [], []
    for count in frames:
        if kind.scaled:
            if position + _SCALE.size > len(data):
                raise EcdcError("cut off before the end")
            scales.append(_SCALE.unpack_from(data, position)[0])
            position += _SCALE.size
        taken = packed_bytes(count * codebooks, BITS)
        try:
            piece = unpack(data[position : position + taken], count * codebooks, BITS)
        except ValueError as error:
            raise EcdcError("cut off before the end") from error
        codes.append(piece.reshape(count, codebooks))
        position += taken
    if position != len(data):
        raise EcdcError(f"{len(data) - position} bytes too long")
    if not np.isfinite(scales).all():
        raise EcdcError("a scale is not a finite number")
    return Ecdc(model, length, np.concatenate(codes), np.asarray(scales, np.float32) if kind.scaled else None)


def read(path: str | os.PathLike[str]) -> Ecdc:
    """Reads a file. Raises EcdcError naming it."""
    try:
        return from_bytes(Path(path).read_bytes())
    except OSError as error:
        raise EcdcError(f"{path}: cannot be read ({error.strerror or error})") from error
    except EcdcError as error:
        raise EcdcError(f"{path}: {error}") from error


def _kind(model: object) -> Kind:
    if not isinstance(model, str) or model not in KINDS:
        raise EcdcError(f"model {model!r} is not one that .ecdc files are written by ({', '.join(KINDS)})")
    return KINDS[model]
