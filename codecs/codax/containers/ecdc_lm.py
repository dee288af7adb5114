"""`.ecdc` files whose codes EnCodec's language model compressed: to plain ones and back.

Per segment, behind the scale of a model that normalises, stands one stream of the arithmetic coder: frame by frame the
codes of all codebooks, each with the model's probabilities given the frames before. A segment starts on a whole byte.

The probabilities are floats and decide every bit. A reader whose model gives others, be it in the last bit, as another
library, processor or number of threads does, goes astray: that is noticed at the end of the segment, or never. So files
for `encodec` need its own arithmetic (`interop.encodec_lm_torch`).
"""

from __future__ import annotations

import array
import math
from collections.abc import Callable

import numpy as np

from codax.containers.ecdc import (
    BITS,
    SCALE,
    Builder,
    Ecdc,
    EcdcError,
    Header,
    from_bytes,
    parse_header,
    segment_frames,
)
from codax.entropy import arithmetic

# From 1 + the codes of the frame before, or 0 where there is none, int [codebooks], to the probabilities of the next
# frame's codes, float32 [codebooks, 1024].
Predict = Callable[[np.ndarray], np.ndarray]
# Begins a sequence of so many codebooks.
Begin = Callable[[int], Predict]
_CODES_PER_BYTE = 48_000  # more than any stream can have: the likeliest code has a share of 1 - 2046 / 2**24
_FIRST_BYTES = 3  # of any stream


def compress(file: Ecdc, begin: Begin) -> bytes:
    """The bytes of a compressed file with the codes of a plain one.

    Raises:
      EcdcError: the model is of another size.
      ArithmeticCoderError: its probabilities cannot be coded with.
    """
    header = Header(file.model, file.length, file.codebooks, compressed=True, size=0)
    parts = [header.to_bytes()]
    encoder = arithmetic.Encoder()
    scales = file.scales
    for number, codes in enumerate(file.blocks(max(file.frames))):  # one for each segment
        if scales is not None:
            parts.append(SCALE.pack(float(scales[number])))
        predict, previous = begin(file.codebooks), np.zeros(file.codebooks, np.int32)
        for frame in codes:
            encoder.push(frame, _cdfs(predict, previous))
            previous = frame + 1
        parts.append(encoder.finish())
    return b"".join(parts)


def decompress(data: bytes, begin: Begin) -> Ecdc:
    """The plain file with the codes of a compressed one; a plain one as it is.

    Raises:
      EcdcError: damaged, cut off or too long, of another model, or compressed with other probabilities, as far as that
        can be seen; the message names the frame where it was.
    """
    header = parse_header(data)
    if not header.compressed:
        return from_bytes(data)
    _check_length(header, len(data) - header.size)
    kind, position = header.kind, header.size
    builder = Builder(header.model, header.codebooks)
    frame = 0
    try:
        for count in segment_frames(kind, header.length):
            scale = None
            if kind.scaled:
                if len(data) < position + SCALE.size:
                    raise EcdcError("cut off")
                (scale,) = SCALE.unpack_from(data, position)
                if not math.isfinite(scale):
                    raise EcdcError("a scale is not a finite number")
                position += SCALE.size
            decoder = arithmetic.Decoder(memoryview(data)[position:])
            predict, previous = begin(header.codebooks), np.zeros(header.codebooks, np.int32)
            codes = array.array("H")
            for _ in range(count):
                symbols = decoder.pull(_cdfs(predict, previous))
                codes.extend(symbols)
                previous = np.asarray(symbols, np.int32) + 1
                frame += 1
            position += decoder.finish()
            builder.write(np.asarray(codes).reshape(count, header.codebooks), scale)
        if position < len(data):
            raise EcdcError(f"{len(data) - position} bytes too long, or compressed with other probabilities")
    except (arithmetic.ArithmeticCoderError, EcdcError) as error:
        raise EcdcError(f"frame {frame}: {error}") from error
    return from_bytes(builder.finish(header.length))


def _cdfs(predict: Predict, previous: np.ndarray) -> np.ndarray:
    probabilities = predict(previous)
    if probabilities.shape != (len(previous), 1 << BITS):
        raise EcdcError(f"the language model gives probabilities {probabilities.shape}, not those of these codes")
    return arithmetic.quantized_cdf(probabilities)


def _check_length(header: Header, available: int) -> None:
    """Before anything is allocated: a length that the data cannot hold is not believed."""
    kind = header.kind
    segments = -(-header.length // kind.stride) if kind.stride else 1
    least = segments * (_FIRST_BYTES + SCALE.size * kind.scaled)
    least = max(least, header.length // kind.hop * header.codebooks // _CODES_PER_BYTE)
    if least > available:
        raise EcdcError(f"cut off: {header.length} samples need at least {least} bytes, {available} are there")
