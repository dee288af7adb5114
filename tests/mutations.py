"""Files as damage and malice leave them, with checksums put right or not; CODAX_MUTATIONS sets how many."""

from __future__ import annotations

import os
import zlib

import numpy as np
from codax.containers import container
from codax.containers.container import CHECKSUM, TABLE_ENTRY, ContainerError

COUNT = int(os.environ.get("CODAX_MUTATIONS", "1000"))  # files in all, over all kinds
_EXTREMES = (bytes(4), b"\xff" * 4, b"\xff\xff\xff\x7f", b"\x01\0\0\0", b"\0\0\0\x80")


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three changes: bytes flipped, cut out, put in, repeated, or the end cut off."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        # Half of the changes hit the header, which has the sizes.
        place = int(rng.integers(0, len(out) if rng.random() < 0.5 else min(64, len(out))))
        span = int(rng.integers(1, 9))
        match int(rng.integers(0, 6)):
            case 0:
                out[place] ^= int(rng.integers(1, 256))
            case 1:
                del out[place : place + span]
            case 2:
                out[place:place] = rng.bytes(span)
            case 3:
                out[place : place + 4] = _EXTREMES[rng.integers(len(_EXTREMES))]
            case 4:
                out[place:place] = out[place : place + 8 * span]
            case 5:
                del out[max(place, 1) :]
        if not out:
            break
    return bytes(out)


def sealed(data: bytes) -> bytes:
    """A `.codax` file with all checksums right, as far as the header tells where they are."""
    out = bytearray(data)
    if len(out) < container.MIN_BYTES:
        return data
    end = container.header_bytes(bytes(out[: container.FIXED.size]))
    if len(out) < end + CHECKSUM.size:
        return data
    CHECKSUM.pack_into(out, end - CHECKSUM.size, zlib.crc32(out[: end - CHECKSUM.size]))
    try:
        meta, start = container.parse_header(bytes(out[: container.MAX_OVERHEAD]), len(out))
    except ContainerError:
        meta, start = None, end
    stop = len(out) - CHECKSUM.size
    if meta is not None and meta.coding is not None:
        entry, place = stop - CHECKSUM.size - meta.blocks * TABLE_ENTRY, start
        for number in range(meta.blocks):
            length = int.from_bytes(out[entry : entry + 4], "little")
            CHECKSUM.pack_into(out, entry + 4, zlib.crc32(out[place : place + length], number))
            entry, place = entry + TABLE_ENTRY, place + length
        CHECKSUM.pack_into(out, entry, zlib.crc32(out[start + meta.coding.coded_bytes : entry]))
    CHECKSUM.pack_into(out, stop, zlib.crc32(out[start:stop]))
    return bytes(out)
