"""Makes shipped_codes.npz, the codes and hashes of the models in the package: run it with the release that is kept.

The file there was made before configurations had a version.
"""

from __future__ import annotations

from pathlib import Path

import codax
import numpy as np
from codax.codec import shipped


def signal() -> np.ndarray:
    """A gliding voice of 1.5 s at 16 kHz, float32 [1, 24000, 1]."""
    time, rng = np.arange(24_000) / 16_000, np.random.default_rng(7)
    voice = sum(0.2 / k * np.sin(2 * np.pi * 140 * k * time * (1 + 0.1 * time)) for k in range(1, 9))
    sound = voice * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)) + 0.01 * rng.standard_normal(len(time))
    return sound[None, :, None].astype(np.float32)


def main() -> None:
    arrays = {}
    for name in shipped.names():
        codec = codax.load(name)
        arrays[name] = codec.encode(signal(), sample_rate=16_000).codes.astype(np.uint16)
        arrays[f"{name}.hash"] = np.asarray(codec.hash.hex())
    np.savez_compressed(Path(__file__).with_name("shipped_codes.npz"), **arrays)


if __name__ == "__main__":
    main()
