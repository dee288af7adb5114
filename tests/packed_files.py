"""Reads a `.codax` container of packed codes from its bytes, for the tests of its format."""

from __future__ import annotations

import zlib

import numpy as np
from codax.containers import container
from codax.containers.container import ContainerError, Meta


def unpack(data: bytes) -> tuple[np.ndarray, Meta, np.ndarray | None]:
    """Codes int32 [streams, frames, quantizers], their description, and the scales float32 [streams, segments] if any.

    Raises:
      ContainerError: the container is damaged, truncated, of a newer version, or entropy-coded.
    """
    meta, start = container.parse_header(data[: container.MAX_OVERHEAD], len(data))
    if meta.coding is not None:
        raise ContainerError("the codes are entropy-coded: the model is needed to read them")
    payload = memoryview(data)[start : start + meta.payload_bytes]
    container.check_payload(zlib.crc32(payload), data[-container.CHECKSUM.size :])
    return container.read_codes(payload, meta, meta.frames, 0), meta, container.read_scales(payload, meta)
