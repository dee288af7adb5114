"""Changed files of every format, with checksums recomputed or not; CODAX_MUTATIONS sets their number."""

from __future__ import annotations

import json
import os
import re
import zlib

import numpy as np
from codax.containers import container
from codax.containers.container import CHECKSUM, TABLE_ENTRY, ContainerError

COUNT = int(os.environ.get("CODAX_MUTATIONS", "1000"))  # files in all, over all kinds
_EXTREMES = (bytes(4), b"\xff" * 4, b"\xff\xff\xff\x7f", b"\x01\0\0\0", b"\0\0\0\x80")


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three changes: bytes flipped, removed, inserted or repeated, or the end removed."""
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
    """A `.codax` file with all checksums correct, as far as the header tells where they are."""
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


# Texts that a JSON value is replaced by; Python's own writer makes none of the first seven.
_VALUES = (
    *("NaN", "-Infinity", "1e999", "9" * 5000, "[" * 3000, '{"a":' * 3000, '"\\ud800"'),
    *("null", "true", "0", "-1", "0.5", "1e18", "4294967296", "18446744073709551616", "-0.0", "1e-320"),
    *('""', '"x"', '"\\u0000"', "[]", "{}", "[[]]", '{"":0}', f'"{"x" * 300}"', '"../../x"', '"/dev/zero"'),
)


def mutated_json(text: str, rng: np.random.Generator) -> str:
    """JSON with one or two values replaced, removed, renamed or repeated; a tenth have changed bytes as well."""
    content = json.loads(text)
    for _ in range(1 + (rng.random() < 0.3)):
        containers = _containers(content)
        if not containers:
            break
        parent = containers[rng.integers(len(containers))]
        keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
        key = keys[rng.integers(len(keys))]
        match int(rng.integers(0, 8)):
            case 0:
                del parent[key]
            case 1 if isinstance(parent, dict):
                parent[f"{key}x"] = parent.pop(key)
            case 2 if isinstance(parent, list):
                parent += parent[:1] * int(rng.integers(1, 2000))
            case 3 | 4 | 5 if isinstance(
                parent[key], int | float
            ):  # another number: what lies behind the checks of types
                parent[key] = _numbers(parent[key])[rng.integers(6)]
            case _:
                parent[key] = f"\0{rng.integers(len(_VALUES))}\0"
    text = re.sub(r'"\\u0000(\d+)\\u0000"', lambda match: _VALUES[int(match[1])], json.dumps(content))
    if rng.random() < 0.1:
        text = mutated(text.encode(), rng).decode("utf-8", "surrogateescape")
    return text


def _numbers(value: float) -> tuple[float, ...]:
    return value + 1, value - 1, 2 * value, -value, 1000 * value, 2**31 - 1


def _containers(value: object) -> list:
    """All dictionaries and lists in a JSON value that are not empty."""
    if not isinstance(value, dict | list) or not value:
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(each for item in inner for each in _containers(item))]


def mutated_lines(data: bytes, rng: np.random.Generator) -> bytes:
    """JSON lines with one line changed."""
    lines = data.decode().splitlines()
    chosen = int(rng.integers(len(lines)))
    lines[chosen] = mutated_json(lines[chosen], rng)
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def mutated_safetensors(data: bytes, rng: np.random.Generator) -> bytes:
    """A safetensors file with a changed header, whose length is correct, or with changed bytes."""
    if rng.random() < 0.2:
        return mutated(data, rng)
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)  # with the checksum of the arrays
    header = mutated_json(json.dumps(header), rng).encode("utf-8", "surrogateescape")
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


_TAR_FIELDS = {"name": (0, 100), "mode": (100, 8), "size": (124, 12), "type": (156, 1), "magic": (257, 8)}
_TAR_VALUES = (
    b"77777777777\0",
    b"\x80" + (1 << 60).to_bytes(11, "big"),
    b"\xff" * 12,
    b"-1",
    b"",
    b"LKgxSV5\0",
    b"../",
)


def mutated_tar(data: bytes, rng: np.random.Generator) -> bytes:
    """A tar file with fields of one to three headers changed and their checksums correct, or with changed bytes."""
    if rng.random() < 0.2:
        return mutated(data, rng)
    out, headers, place = bytearray(data), [], 0
    while place + 512 <= len(out) and out[place]:
        headers.append(place)
        place += 512 + -(-int(out[place + 124 : place + 135].rstrip(b" \0") or b"0", 8) // 512) * 512
    for _ in range(int(rng.integers(1, 4))):
        place = headers[rng.integers(len(headers))]
        start, size = list(_TAR_FIELDS.values())[rng.integers(len(_TAR_FIELDS))]
        value = _TAR_VALUES[rng.integers(len(_TAR_VALUES))] if rng.random() < 0.7 else rng.bytes(size)
        out[place + start : place + start + size] = value[:size].ljust(size, b"\0")
        out[place + 148 : place + 156] = b" " * 8
        out[place + 148 : place + 156] = b"%06o\0 " % sum(out[place : place + 512])
    return bytes(out)


def mutated_ogg(data: bytes, rng: np.random.Generator) -> bytes:
    """An Ogg file with changed bytes; the CRC-32 of every page that is still complete is correct."""
    out = bytearray(mutated(data, rng))
    place = 0
    while (place := out.find(b"OggS", place)) >= 0 and place + 27 <= len(out):
        end = place + 27 + out[place + 26]
        end += sum(out[place + 27 : end])
        if end <= len(out):
            out[place + 22 : place + 26] = bytes(4)
            out[place + 22 : place + 26] = _ogg_crc(out[place:end]).to_bytes(4, "little")
        place += 4
    return bytes(out)


def _ogg_crc(data: bytes) -> int:
    """CRC-32 of Ogg: polynomial 0x04c11db7, most significant bit first, without inversion."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _OGG_TABLE[crc >> 24 ^ byte]
    return crc


def _ogg_entry(value: int) -> int:
    value <<= 24
    for _ in range(8):
        value = (value << 1 ^ 0x04C11DB7 if value >> 31 else value << 1) & 0xFFFFFFFF
    return value


_OGG_TABLE = [_ogg_entry(value) for value in range(256)]
