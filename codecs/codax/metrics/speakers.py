"""Speaker similarity: cosine of two embeddings of the voice encoder in the package Resemblyzer.

The encoder is that of "Generalized End-to-End Loss for Speaker Verification" (arXiv 1710.10467): three LSTM layers on
40 mel bands of 1.6 s, averaged over such windows. The package itself needs PyTorch and a compiler; here NumPy evaluates
its weights, without the package's voice activity detection: silences are kept.
"""

from __future__ import annotations

import functools
import importlib.metadata
import io
import pickletools
from collections.abc import Mapping

import numpy as np

from codax.dsp.distances import rms
from codax.metrics.signals import MetricError, mono

SAMPLE_RATE = 16_000  # Hz
PACKAGE = "resemblyzer"
_VERSION = "0.1.4"
_BANDS, _WINDOW, _HOP, _WINDOW_FRAMES = 40, 400, 160, 160  # mel bands, samples, samples, frames
_WINDOW_STEP = 77  # frames between windows: 1.3 windows per second
_LEAST_COVERAGE = 0.75  # smallest part of the last window that the audio must cover
_LAYERS, _UNITS = 3, 256
_LEVEL = 10 ** (-30 / 20)  # root mean square to which quiet audio is raised


@functools.cache
def encoder() -> dict[str, np.ndarray]:
    """The weights of the encoder.

    Raises:
      MetricError: the package is not installed, or in another version.
    """
    hint = f"speaker similarity needs the weights in {PACKAGE}: pip install --no-deps {PACKAGE}=={_VERSION}"
    try:
        files = importlib.metadata.files(PACKAGE) or []
        data = next(file for file in files if file.name == "pretrained.pt").read_binary()
        weights = read_weights(data)
    except (importlib.metadata.PackageNotFoundError, StopIteration, OSError) as error:
        raise MetricError(hint) from error
    except (ValueError, IndexError, KeyError) as error:
        raise MetricError(f"{hint} (the installed file cannot be read: {error})") from error
    shapes = {"linear.weight": (_UNITS, _UNITS), "linear.bias": (_UNITS,)}
    for i in range(_LAYERS):
        shapes[f"lstm.weight_ih_l{i}"] = (4 * _UNITS, _UNITS if i else _BANDS)
        shapes[f"lstm.weight_hh_l{i}"] = (4 * _UNITS, _UNITS)
        shapes |= {f"lstm.bias_{kind}_l{i}": (4 * _UNITS,) for kind in ("ih", "hh")}
    if any(name not in weights or weights[name].shape != shape for name, shape in shapes.items()):
        raise MetricError(f"{hint} (the installed file holds another network)")
    return weights


def read_weights(data: bytes) -> dict[str, np.ndarray]:
    """The arrays under "model_state" of a checkpoint in PyTorch's legacy format.

    The file has five pickles: the fourth names the arrays, and the last the memory blocks that follow. Their
    opcodes are scanned; nothing is executed.

    Raises:
      ValueError, IndexError or KeyError: the file is something else.
    """
    stream = io.BytesIO(data)
    pickles = [list(pickletools.genops(stream)) for _ in range(5)]
    names, keys = (
        [arg for op, arg, _ in ops if arg is not None and "PUT" not in op.name and "GET" not in op.name]
        for ops in (pickles[3], pickles[4])
    )
    blocks = {}
    for key in [key for key in keys if isinstance(key, str)]:
        count = int.from_bytes(stream.read(8), "little")
        blocks[key] = np.frombuffer(stream.read(4 * count), "<f4")
    arrays = {}
    names = names[names.index("model_state") + 1 :]
    for i in range(names.index("_metadata")):
        # A key follows the name and, at their first occurrence, the types of array and storage.
        if names[i] not in blocks:
            continue
        back = i - 1
        while "storage" in names[back].lower() or "rebuild" in names[back]:
            back -= 1
        # It is followed by the device of the storage, its size, and the array's offset, shape and strides.
        first = i + 1 + isinstance(names[i + 1], str)
        end = first
        while isinstance(names[end], int):
            end += 1
        _, offset, *numbers = names[first:end]
        shape = numbers[: len(numbers) // 2]
        arrays[names[back]] = blocks[names[i]][offset : offset + int(np.prod(shape))].reshape(shape)
    return arrays


def embedding(audio: np.ndarray) -> np.ndarray:
    """Unit-length embedding float32 [256] of mono speech float [time] at 16 kHz, of any length but 0."""
    weights = encoder()
    level = rms(audio.astype(np.float64))
    if level == 0:
        raise MetricError("silence has no speaker")
    audio = audio * max(1.0, _LEVEL / level)
    frames = -(-(len(audio) + 1) // _HOP)
    starts = list(range(0, max(1, frames - _WINDOW_FRAMES + _WINDOW_STEP + 1), _WINDOW_STEP))
    if len(starts) > 1 and (len(audio) - starts[-1] * _HOP) / (_WINDOW_FRAMES * _HOP) < _LEAST_COVERAGE:
        starts.pop()
    end = (starts[-1] + _WINDOW_FRAMES) * _HOP
    mel = _mel(np.pad(audio, (0, max(0, end - len(audio)))).astype(np.float32))
    pieces = _network(weights, np.stack([mel[start : start + _WINDOW_FRAMES] for start in starts]))
    mean = pieces.mean(axis=0)
    return mean / np.linalg.norm(mean)


def similarity(reference: np.ndarray, degraded: np.ndarray) -> float:
    """Cosine of the embeddings of two signals float [time, channels] at 16 kHz: 0 to 1."""
    return float(embedding(mono(reference)) @ embedding(mono(degraded)))


def _mel(audio: np.ndarray) -> np.ndarray:
    import librosa

    power = librosa.feature.melspectrogram(y=audio, sr=SAMPLE_RATE, n_fft=_WINDOW, hop_length=_HOP, n_mels=_BANDS)
    return power.astype(np.float32).T


def _network(weights: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Mel spectra [windows, frames, bands] to unit-length embeddings [windows, 256]."""
    for i in range(_LAYERS):
        inputs = x @ weights[f"lstm.weight_ih_l{i}"].T + weights[f"lstm.bias_ih_l{i}"] + weights[f"lstm.bias_hh_l{i}"]
        recurrent = weights[f"lstm.weight_hh_l{i}"].T
        state = cell = np.zeros((len(x), _UNITS), np.float32)
        states = []
        for t in range(x.shape[1]):
            entry, forget, new, out = np.split(inputs[:, t] + state @ recurrent, 4, axis=1)
            cell = _sigmoid(forget) * cell + _sigmoid(entry) * np.tanh(new)
            state = _sigmoid(out) * np.tanh(cell)
            states.append(state)
        x = np.stack(states, axis=1)
    raw = np.maximum(x[:, -1] @ weights["linear.weight"].T + weights["linear.bias"], 0)
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))
