"""Mappings from similarities to MOS-LQO, a mean opinion score from 1 to 5.

Three mappings, each trained by ViSQOL's authors on listening tests:

    svr          audio mode: support vector regression on the similarities of 32 bands
    exponential  speech mode: a curve of the mean similarity; needs no file
    lattice      speech mode: an ensemble of lattices on 84 features, see `lattice.py`

The model files are data of the ViSQOL project. They are read from the installed `visqol-python` package, or from a path
given by the caller; the code of that package is neither executed nor imported.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import math
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from codax.errors import install
from codax.metrics.visqol import lattice
from codax.metrics.visqol.errors import VisqolError

Mapping = Literal["exponential", "lattice", "svr"]
MAPPINGS: tuple[str, ...] = get_args(Mapping)

# Below this mean similarity the two signals are unrelated and the score is 1.
LOWEST_SIMILARITY = 0.15
SVR_FILE = "libsvm_nu_svr_model.txt"
LATTICE_FILE = "lattice_tcditugenmeetpackhref_ls2_nl60_lr12_bs2048_learn.005_ep2400_train1_7_raw.tflite"
_LARGEST_FILE = 64 * 2**20  # bytes; the lattice file has 2 MB


@dataclasses.dataclass(frozen=True)
class Features:
    """Input of the mappings: aggregates over patches; see `VisqolResult`."""

    vnsim: float
    fvnsim: np.ndarray
    fvnsim10: np.ndarray
    fstdnsim: np.ndarray
    fvdegenergy: np.ndarray


@dataclasses.dataclass(frozen=True)
class SupportVectorRegression:
    """sum over i of coefficients_i exp(-gamma |x - vectors_i|^2) - rho.

    Attributes:
        gamma, rho: scalars.
        coefficients: [count].
        vectors: [count, features].
    """

    gamma: float
    rho: float
    coefficients: np.ndarray
    vectors: np.ndarray

    def __call__(self, features: np.ndarray) -> float:
        distances = ((features - self.vectors) ** 2).sum(axis=1)
        return float(self.coefficients @ np.exp(-self.gamma * distances) - self.rho)


def mean_opinion_score(features: Features, mapping: str, models: str | Path | None = None) -> float:
    """MOS-LQO with the given mapping.

    Args:
        features: of the pair of signals.
        mapping: "exponential", "lattice" or "svr".
        models: the model file or a folder that contains it; by default the installed `visqol-python`.

    Raises:
        VisqolError: the model file is missing or malformed, or does not fit the number of bands.
    """
    # The model is loaded first, so that a missing file is always an error.
    if mapping == "exponential":
        score = exponential(features.vnsim)
    elif mapping == "svr":
        score = _svr_score(load_svr(find_model(SVR_FILE, models)), features.fvnsim)
    elif mapping == "lattice":
        score = _lattice_score(load_lattice(find_model(LATTICE_FILE, models)), features)
    else:
        raise VisqolError(f"unknown mapping {mapping!r}, expected one of {', '.join(MAPPINGS)}")
    return 1.0 if features.vnsim < LOWEST_SIMILARITY else score


def exponential(vnsim: float, *, scaled: bool = True) -> float:
    """The speech curve of the mean similarity, clipped to 1..5.

    `scaled` stretches it so that equal signals score 5 (the default upstream) instead of 4.016.
    """
    score = -262.847869 + math.exp(0.0154302525 * (vnsim + 361.063949))
    if scaled:
        score *= float(np.float32(1.245063))  # single precision upstream
    return min(max(score, 1.0), 5.0)


def find_model(name: str, models: str | Path | None = None) -> Path:
    """Path of the model file `name`: `models` itself if it is a file, `models/name` if it is a folder.

    Raises:
        VisqolError: there is no such file.
    """
    if models is None:
        try:
            package = importlib.metadata.distribution("visqol-python")
        except importlib.metadata.PackageNotFoundError:
            raise VisqolError(
                "this mapping needs a model file of the visqol-python package: "
                f"{install('metrics')}, or name a file or folder with --models"
            ) from None
        path = Path(str(package.locate_file("visqol/model"))) / name
    else:
        path = Path(models)
        if path.is_dir():
            path = path / name
    if not path.is_file():
        raise VisqolError(f"{path}: no such model file")
    if path.stat().st_size > _LARGEST_FILE:
        raise VisqolError(f"{path}: too large for a ViSQOL model")
    return path


@functools.lru_cache(maxsize=4)
def load_svr(path: Path) -> SupportVectorRegression:
    """Reads a support vector regression with a radial kernel in LIBSVM's text format.

    Raises:
        VisqolError: the file is not such a model.
    """
    try:
        return _parse_svr(path.read_text(encoding="ascii").splitlines())
    except (ValueError, OSError) as error:
        raise VisqolError(f"{path}: not a LIBSVM regression model: {error}") from None


@functools.lru_cache(maxsize=4)
def load_lattice(path: Path) -> lattice.LatticeEnsemble:
    """Reads the lattice ensemble from its TensorFlow Lite file.

    Raises:
        VisqolError: the file is not such a model.
    """
    try:
        return lattice.LatticeEnsemble.from_bytes(path.read_bytes())
    except (ValueError, OSError) as error:
        raise VisqolError(f"{path}: not a ViSQOL lattice model: {error}") from None


def _svr_score(model: SupportVectorRegression, fvnsim: np.ndarray) -> float:
    if model.vectors.shape[1] > len(fvnsim):
        raise VisqolError(f"the model has {model.vectors.shape[1]} features, the signals have {len(fvnsim)} bands")
    padded = np.zeros((len(model.vectors), len(fvnsim)))
    padded[:, : model.vectors.shape[1]] = model.vectors
    return min(max(dataclasses.replace(model, vectors=padded)(fvnsim), 1.0), 5.0)


def _lattice_score(model: lattice.LatticeEnsemble, features: Features) -> float:
    values = {"tau": 0.5}  # quantile of the opinions: the median
    for name, per_band in (
        ("fvnsim", features.fvnsim),
        ("fvnsim10_", features.fvnsim10),
        ("fstdnsim", features.fstdnsim),
        ("fvdegenergy", features.fvdegenergy),
    ):
        values |= {f"{name}{band}": float(value) for band, value in enumerate(per_band)}
    try:
        return model(values)
    except ValueError as error:
        raise VisqolError(f"the lattice model cannot be evaluated: {error}") from None


def _parse_svr(lines: list[str]) -> SupportVectorRegression:
    """Parses the lines of a model file; ValueError gives the reason."""
    if "SV" not in lines:
        raise ValueError("no line 'SV'")
    split = lines.index("SV")
    header = dict(line.split(maxsplit=1) for line in lines[:split])
    for key, allowed in (("svm_type", ("nu_svr", "epsilon_svr")), ("kernel_type", ("rbf",))):
        if header.get(key) not in allowed:
            raise ValueError(f"{key} is {header.get(key)!r}, expected {' or '.join(allowed)}")
    try:
        gamma, rho, count = float(header["gamma"]), float(header["rho"]), int(header["total_sv"])
    except KeyError as error:
        raise ValueError(f"no line {error}") from None
    rows = [line.split() for line in lines[split + 1 :] if line.strip()]
    if len(rows) != count or not count:
        raise ValueError(f"{len(rows)} support vectors, total_sv says {count}")
    cells = [[(int(index), float(value)) for index, value in (pair.split(":") for pair in row[1:])] for row in rows]
    width = max((index for row in cells for index, _ in row), default=0)
    if not 1 <= width <= 1024 or min(index for row in cells for index, _ in row) < 1:
        raise ValueError("feature numbers must lie in 1..1024")
    vectors = np.zeros((count, width))
    for row, pairs in zip(vectors, cells, strict=True):
        for index, value in pairs:
            row[index - 1] = value
    coefficients = np.array([float(row[0]) for row in rows])
    if not (np.isfinite(vectors).all() and np.isfinite(coefficients).all() and math.isfinite(rho) and 0 < gamma < 1e6):
        raise ValueError("a number is not finite or gamma is not positive")
    return SupportVectorRegression(gamma, rho, coefficients, vectors)
