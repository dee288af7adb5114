"""Latency of encoding and decoding one 80 ms frame with Mimi: codax against the moshi package in one run.

    pip install torch==2.13.0 einops && pip install --no-deps moshi==0.2.13
    python benchmarks/mimi_streaming.py --frames=500 --levels=8
    python benchmarks/mimi_streaming.py --alone --sessions=4      # many conversations at once, a frame of each per step

Both have the same random weights of full size. Frames alternate, so that both see the same load of the machine.
"""

import sys
import tempfile
import time
import types
from pathlib import Path

import numpy as np
from absl import app, flags
from codax.codec.codec import Codec
from codax.config.presets import mimi_24khz
from codax.interop.formats import import_model

_FRAMES = flags.DEFINE_integer("frames", 500, "Frames to time.")
_LEVELS = flags.DEFINE_integer("levels", 8, "Codebooks, of 32.")
_THREADS = flags.DEFINE_integer("threads", 2, "Of PyTorch.")
_ALONE = flags.DEFINE_bool("alone", False, "Time codax only; PyTorch is not needed.")
_SESSIONS = flags.DEFINE_integer("sessions", 0, "Time this many concurrent sessions instead.")
_WARM_UP = 20


def moshi_pair(levels: int, threads: int):
    """A Mimi of the moshi package with random weights, as a function of a frame [1, hop, 1], and the same in codax."""
    import torch
    from safetensors.torch import save_file

    # The package imports a text library that Mimi does not use.
    stand_in = types.ModuleType("sentencepiece")
    stand_in.SentencePieceProcessor = object
    sys.modules.setdefault("sentencepiece", stand_in)
    from moshi.models import loaders

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = loaders.get_mimi(None, num_codebooks=levels)
    with torch.no_grad():
        for buffer in model.buffers():
            if buffer.ndim == 2:
                buffer.copy_(torch.randn_like(buffer))
    with tempfile.TemporaryDirectory() as folder:
        save_file(model.state_dict(), Path(folder) / "mimi.safetensors")
        codec = import_model(Path(folder) / "mimi.safetensors")
    model.streaming_forever(1)

    def round_trip(frame: np.ndarray) -> None:
        with torch.no_grad():
            model.decode(model.encode(torch.from_numpy(frame.transpose(0, 2, 1).copy())))

    return round_trip, codec


def report(name: str, seconds: list[float]) -> None:
    times = 1000 * np.asarray(seconds[_WARM_UP:])
    print(
        f"{name}: median {np.median(times):.1f} ms, 99th percentile {np.percentile(times, 99):.1f} ms, "
        f"most {times.max():.1f} ms"
    )


def time_sessions(codec: Codec, slots: int) -> list[float]:
    """Seconds of every encoding and decoding step of `slots` concurrent sessions."""
    sessions = codec.sessions(slots, num_quantizers=_LEVELS.value)
    for _ in range(slots):
        sessions.start()
    rng = np.random.default_rng(0)
    seconds = []
    for _ in range(_FRAMES.value + _WARM_UP):
        audio = rng.normal(0, 0.1, (slots, codec.config.hop, 1)).astype(np.float32)
        began = time.perf_counter()
        sessions.decode(sessions.encode(audio))
        seconds.append(time.perf_counter() - began)
    return seconds


def main(_: list[str]) -> None:
    theirs = None
    if _ALONE.value:
        codec = Codec.init_random(mimi_24khz())
    else:
        theirs, codec = moshi_pair(_LEVELS.value, _THREADS.value)
    if _SESSIONS.value:
        report(f"codax, {_SESSIONS.value} sessions", time_sessions(codec, _SESSIONS.value))
        return
    hop = codec.config.hop
    audio = np.random.default_rng(0).normal(0, 0.1, (1, (_FRAMES.value + _WARM_UP) * hop, 1)).astype(np.float32)
    encoder, decoder = codec.stream(num_quantizers=_LEVELS.value)
    encoder.prepare([1])
    decoder.prepare([1], _LEVELS.value)
    ours_encoding: list[float] = []
    ours: list[float] = []
    other: list[float] = []
    for start in range(0, audio.shape[1], hop):
        frame = audio[:, start : start + hop]
        began = time.perf_counter()
        codes = encoder.push(frame)
        ours_encoding.append(time.perf_counter() - began)
        decoder.push(codes)
        ours.append(time.perf_counter() - began)
        if theirs is not None:
            began = time.perf_counter()
            theirs(frame)
            other.append(time.perf_counter() - began)
    report("codax, encoding alone", ours_encoding)
    report("codax", ours)
    if theirs is not None:
        report("moshi", other)
        print(f"ratio of medians, moshi / codax: {np.median(other[_WARM_UP:]) / np.median(ours[_WARM_UP:]):.2f}")


if __name__ == "__main__":
    app.run(main)
