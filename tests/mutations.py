"""Files as damage and malice leave them, with checksums put right or not; CODAX_MUTATIONS sets how many."""

from __future__ import annotations

import copy
import json
import os
import zlib
from collections.abc import Iterator
from typing import Any

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


# What a field of JSON may hold instead; some are not JSON, but Python writes them.
_VALUES = (
    0, -1, 2**31, 2**63, 10**30, 10**400, 1e300, 1e-300, float("nan"), float("inf"), None, True, "", "x", "nan",
    "1e999", "\ud800", "\0", "a" * 3000, [], {}, [[]], [1] * 300, [10**9] * 3,
)  # fmt: skip


def mutated_json(value: object, rng: np.random.Generator) -> bytes:
    """JSON with one or two values replaced or removed, or with the bytes of `mutated`."""
    text = json.dumps(value).encode()
    if rng.random() < 0.3:
        return mutated(text, rng)
    changed = json.loads(text)
    for _ in range(int(rng.integers(1, 3))):
        places = list(_places(changed))
        holder, key = places[rng.integers(len(places))]
        if rng.random() < 0.9:
            holder[key] = copy.deepcopy(_VALUES[rng.integers(len(_VALUES))])
        else:
            del holder[key]
        if not changed:
            break
    return json.dumps(changed).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def sealed_tar(data: bytes, rng: np.random.Generator) -> bytes:
    """A tar file, some of whose headers have other fields, with the checksums of all headers right."""
    out = bytearray(data)
    for start in range(0, len(out) - 511, 512):
        if out[start + 257 : start + 262] != b"ustar":
            continue
        if rng.random() < 0.3:
            place = start + int(rng.choice([0, 124, 156, 345, 386, 483]))
            fields = (b"\x80" + b"\0" * 3 + b"\xff" * 8, b"77777777777\0", b"\xff" * 12, b"S", b"x", b"L", b"g", b"1")
            field = fields[rng.integers(len(fields))]
            out[place : place + len(field)] = field
        total = sum(out[start : start + 512]) - sum(out[start + 148 : start + 156]) + 8 * ord(" ")
        out[start + 148 : start + 156] = b"%06o\0 " % total
    return bytes(out)
