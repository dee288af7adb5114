"""AMR-WB (3GPP TS 26.190, ITU-T G.722.2): encoded with the library vo-amrwbenc, decoded with FFmpeg.

PyAV's wheels do not include the encoder, so the shared library is called directly. It is in the package libvo-amrwbenc0
of Debian and Ubuntu, and in vo-amrwbenc of Homebrew and Fedora.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import os

import numpy as np

from codax.baselines import pyav
from codax.baselines.base import Baseline, BaselineError, Encoded

MODES = (6.6, 8.85, 12.65, 14.25, 15.85, 18.25, 19.85, 23.05, 23.85)  # kbps, ordered by mode number
MAGIC = b"#!AMR-WB\n"
FRAME = 320  # samples: 20 ms at 16 kHz
DELAY = 95  # samples: look-ahead of 5 ms and the filters between 16 and 12.8 kHz
LARGEST_FRAME = 64  # bytes; a frame of mode 8 has 61
LIBRARY_VARIABLE = "CODAX_AMRWBENC"  # path of the shared library, if the system does not find it by name


class AmrWb(Baseline):
    """AMR-WB at one of its nine rates, without discontinuous transmission.

    Raises:
      BaselineError: no such mode, or the library is not installed.
    """

    rates = (16_000,)
    mono = True
    delay = DELAY
    frame_rate = rates[0] / FRAME

    def __init__(self, kbps: float):
        if kbps not in MODES:
            raise BaselineError(f"amrwb:{kbps:g}: AMR-WB has {', '.join(f'{m:g}' for m in MODES)} kbps")
        _library()
        self.name, self.kbps = "amrwb", kbps
        self.description = "vo-amrwbenc, no discontinuous transmission, AMR storage format"

    def encode(self, samples: np.ndarray, sample_rate: int) -> Encoded:
        library, mode = _library(), MODES.index(self.kbps)
        state = library.E_IF_init()
        if not state:
            raise BaselineError("amrwb: the encoder could not be started")
        frames = -(-(len(samples) + DELAY) // FRAME)
        padded = np.zeros((frames, FRAME), np.int16)
        padded.reshape(-1)[: len(samples)] = samples[:, 0]
        buffer = (ctypes.c_ubyte * LARGEST_FRAME)()
        pieces = [MAGIC]
        try:
            for frame in padded:
                size = library.E_IF_encode(state, mode, frame.ctypes.data_as(ctypes.POINTER(ctypes.c_short)), buffer, 0)
                if not 0 < size <= LARGEST_FRAME:
                    raise BaselineError("amrwb: the encoder failed")
                pieces.append(bytes(buffer[:size]))
        finally:
            library.E_IF_exit(state)
        data = b"".join(pieces)
        return Encoded(data, len(data) - len(MAGIC))

    def decode(self, data: bytes) -> tuple[np.ndarray, int]:
        return pyav.decode(data, "amr")


@functools.cache
def _library() -> ctypes.CDLL:
    path = os.environ.get(LIBRARY_VARIABLE) or ctypes.util.find_library("vo-amrwbenc") or "libvo-amrwbenc.so.0"
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise BaselineError(
            "amrwb: the encoder vo-amrwbenc is not installed (Debian: apt-get install libvo-amrwbenc0; "
            f"or set {LIBRARY_VARIABLE} to the path of the shared library)"
        ) from error
    library.E_IF_init.restype = ctypes.c_void_p
    library.E_IF_encode.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_short),
        ctypes.POINTER(ctypes.c_ubyte),
        ctypes.c_int,
    ]
    library.E_IF_exit.argtypes = [ctypes.c_void_p]
    return library
