"""Makes integer_lm.npz: a language model in integers, codes, and their messages as this machine wrote them.

    python tests/golden/make_integer_lm.py

Every machine and version must read them, and write the same. Make it again only when the format changes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from codax.entropy import coding
from codax.lm.integer import IntegerModel
from codax.lm.quantize import quantize

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent / "lm"))
from test_integer import CONFIG, FRAMES, codes, weights  # noqa: E402 (found only now)


def main() -> None:
    arrays = quantize(weights(), CONFIG, FRAMES)
    blocks = codes(4)
    messages = coding.encode_blocks(IntegerModel(CONFIG, arrays, 3, 1), list(blocks))
    actual = {f"arrays/{name}": value for name, value in arrays.items()}
    actual |= {f"messages/{i}": np.frombuffer(message, np.uint8) for i, message in enumerate(messages)}
    np.savez_compressed(FOLDER / "integer_lm.npz", codes=blocks.astype(np.uint8), **actual)


if __name__ == "__main__":
    main()
