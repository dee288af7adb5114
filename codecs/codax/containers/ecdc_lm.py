"""Compresses `.ecdc` files with EnCodec's language model, and decompresses them.

Each segment has, after the scale of a model that normalises, one stream of the arithmetic coder: frame by frame the
codes of all codebooks, each with the model's probabilities given the previous frames. A segment starts on a whole byte.

The probabilities are floats and decide every bit. A reader whose probabilities differ in the last bit, as with another
library, processor or number of threads, decodes wrong codes and notices at the end of the segment, or never. So files
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

# Maps 1 + the codes of the previous frame, or 0 for the first frame, int [codebooks], to the probabilities of the next
# frame's codes, float32 [codebooks, 1024].
Predict = Callable[[np.ndarray], np.ndarray]
# Begins a sequence with this number of codebooks.
Begin = Callable[[int], Predict]


def compress(file: Ecdc, begin: Begin) -> bytes:
    """Compresses a plain file and returns its bytes.

    Raises:
      EcdcError: the language model has another size.
      ArithmeticCoderError: its probabilities are invalid.
    """
    header = Header(file.model, file.length, file.codebooks, compressed=True, size=0)
    parts = [header.to_bytes()]
    encoder = arithmetic.Encoder()
    scales = file.scales
    for number, codes in enumerate(file.blocks(max(file.frames))):  # one block for each segment
        if scales is not None:
            parts.append(SCALE.pack(float(scales[number])))
        predict, previous = begin(file.codebooks), np.zeros(file.codebooks, np.int32)
        for frame in codes:
            encoder.push(frame, _cdfs(predict, previous))
            previous = frame + 1
        parts.append(encoder.finish())
    return b"".join(parts)


def decompress(data: bytes, begin: Begin) -> Ecdc:
    """Decompresses a file to a plain one; returns a plain one unchanged.

    Raises:
      EcdcError: the file is damaged, cut off or too long, of an unknown model, or detectably compressed with other
        probabilities; the message names the frame.
    """
    header = parse_header(data)
    if not header.compressed:
        return from_bytes(data)
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
        raise EcdcError(
            f"the language model gives probabilities {probabilities.shape}, expected {(len(previous), 1 << BITS)}"
        )
    return arithmetic.quantized_cdf(probabilities)
