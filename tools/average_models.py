"""Averages the weights of two models of one shape, for example of two stages of a training.

    python tools/average_models.py runs/first/export runs/second/export [--share 0.5] --out runs/average

Writes a model folder with the config of the second model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from codax.codec.folder import read_model, widened, write_model
from codax.errors import CodaxError

Arrays = dict[str, np.ndarray]


def average(first: Arrays, second: Arrays, share: float) -> Arrays:
    """Returns (1 - share) * first + share * second of the floats, in float32; other arrays must be equal.

    Raises:
      CodaxError: the two differ in names or shapes of arrays, or in an array that is not of floats.
    """
    shapes, others = ({name: value.shape for name, value in arrays.items()} for arrays in (first, second))
    if shapes != others:
        name = min(name for name in shapes.keys() | others.keys() if shapes.get(name) != others.get(name))
        raise CodaxError(f"{name}: shape {shapes.get(name)} in the first model, {others.get(name)} in the second")
    means = {}
    for name, value in first.items():
        if np.issubdtype(value.dtype, np.floating):
            mean = (1 - share) * value.astype(np.float64) + share * second[name].astype(np.float64)
            means[name] = mean.astype(np.float32)
        elif np.array_equal(value, second[name]):
            means[name] = value
        else:
            raise CodaxError(f"{name}: not of floats, and differs between the models")
    return means


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="model folder")
    parser.add_argument("second", type=Path, help="model folder")
    parser.add_argument("--share", type=float, default=0.5, help="share of the second model, 0 to 1")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    options = parser.parse_args(arguments)
    if not 0 <= options.share <= 1:
        parser.error(f"--share={options.share}: must be 0 to 1")
    try:
        (_, first), (config, second) = read_model(options.first), read_model(options.second)
        write_model(options.out, config, average(widened(first), widened(second), options.share))
    except CodaxError as error:
        print(f"average_models: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
