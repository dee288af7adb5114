"""The library as its users meet it: descriptions, public names, and arrays of other libraries."""

from __future__ import annotations

import codax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.errors import CodaxError
from small_models import codec, signal


class Tensor:
    """Stands for a tensor of PyTorch on a CPU: NumPy reads it through the array protocol."""

    def __init__(self, values: np.ndarray, *, requires_grad: bool = False) -> None:
        self._values, self._requires_grad = values, requires_grad
        self.shape = values.shape

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        if self._requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.\nUse tensor.detach().numpy() instead.")
        return np.asarray(self._values, dtype)

    def __getitem__(self, index) -> Tensor:
        return Tensor(self._values[index])

    def __len__(self) -> int:
        return len(self._values)


class DLPackOnly:
    """An array that offers DLPack alone."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        self.shape = values.shape

    def __dlpack__(self, **options):
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._values.__dlpack_device__()


def test_a_codec_describes_itself():
    made = codec("soundstream")
    assert repr(made) == "Codec('tiny_soundstream', 8000 Hz, 1000 frames/s, 4 codebooks of 32, 20 kbps)"
    assert (made.sample_rate, made.frame_rate, made.codebooks, made.kbps) == (8000, 1000.0, 4, (20.0,))
    shipped = codax.load("soundstream-speech")
    assert repr(shipped).startswith("Codec('soundstream-speech', 16000 Hz, ") and repr(shipped).endswith(" kbps)")
    assert shipped.kbps == shipped.config.quantizer.kbps != ()


def test_public_names():
    public = {name for name in dir(codax) if not name.startswith("__")}
    assert public == {"Codec", "Config", "Tokens", "decode_file", "encode_file", "load", "tokens"} == set(codax.__all__)
    assert codax.__version__ and "__version__" in dir(codax)
    assert all(getattr(codax, name).__doc__ for name in public)


@pytest.mark.parametrize("convert", [jnp.asarray, Tensor, DLPackOnly])
def test_arrays_of_other_libraries(convert):
    made = codec("soundstream")
    audio = signal(made, 2, 20)
    tokens = made.encode(audio)
    np.testing.assert_array_equal(made.encode(convert(audio)).codes, tokens.codes)
    np.testing.assert_array_equal(made.decode(convert(tokens.codes)), made.decode(tokens.codes))
    expected = made.encode([audio[0], audio[1, :80]])
    clips = made.encode([convert(audio[0]), convert(audio[1, :80])])
    np.testing.assert_array_equal(clips.codes, expected.codes)
    padded = made.encode(convert(audio), lengths=convert(np.asarray([audio.shape[1], 80])))
    np.testing.assert_array_equal(padded.codes, expected.codes)


def test_tensors_with_a_gradient_are_refused_in_one_line():
    with pytest.raises(CodaxError, match=r"audio: not an array \(Can't call numpy\(\) on Tensor that requires grad"):
        codec("soundstream").encode(Tensor(np.zeros(800, np.float32), requires_grad=True))
