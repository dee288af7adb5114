"""Checks that exported programs give the same results in onnxruntime as the codec in JAX."""

from __future__ import annotations

import numpy as np

from codax.codec.codec import Codec
from codax.deploy.runtime import Runtime
from codax.errors import CodaxError

AUDIO_TOLERANCE = 1e-4  # of decoded audio, for a peak of 1
# Rounding differs in the last bits, which occasionally decides between two nearly equidistant codebook entries.
LEAST_EQUAL = 0.99  # fraction of equal codes
SECONDS = 1.0


def check(codec: Codec, runtime: Runtime) -> str:
    """Compares the codes and the audio of a test signal, in one call and, if the codec streams, frame by frame.

    Returns:
      A summary for the user.

    Raises:
      CodaxError: the results differ.
    """
    config = codec.config
    samples = min(config.segment[0] or 1 << 60, round(SECONDS * config.model.sample_rate))
    frames = max(2 * codec.engine.start_frames, samples // config.hop)
    audio = probe(frames * config.hop, config.model.audio_channels, config.model.sample_rate)
    codes = codec.engine.encode_piece(audio, False)
    decoded = codec.engine.decode_piece(codes, False)
    equal, worst = [runtime.encode(audio) == codes], [distance(runtime.decode(codes), decoded)]
    if runtime.streams:
        streamed, restored = through_streams(runtime, audio, codes)
        equal.append(streamed == codes)
        worst.append(distance(restored, decoded))
    share, error = float(np.mean(equal)), max(worst)
    report = f"{share:.2%} of {np.size(equal):,} codes equal those of JAX, audio within {error:.0e}"
    if share < LEAST_EQUAL or not error <= AUDIO_TOLERANCE:
        raise CodaxError(f"model {codec.model_id}: onnxruntime does not give the results of the codec: {report}")
    return report


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference, relative to the peak of `b` if that exceeds 1."""
    return float(np.max(np.abs(a - b)) / max(1.0, np.max(np.abs(b))))


def probe(length: int, channels: int, sample_rate: int) -> np.ndarray:
    """Two test signals, float32 [2, length, channels]: a rising tone with noise."""
    seconds = np.arange(length) / sample_rate
    tone = np.sin(2 * np.pi * (100 + 0.1 * sample_rate * seconds) * seconds)
    noise = np.random.default_rng(0).standard_normal((2, length, channels))
    return (0.3 * tone[None, :, None] + 0.1 * noise).astype(np.float32)


def through_streams(runtime: Runtime, audio: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Encodes audio and decodes codes frame by frame; returns the codes and the audio."""
    results = []
    for side, signal, unit in (("encoder", audio, runtime.facts["hop"]), ("decoder", codes, 1)):
        stream, parts, start = runtime.stream(side, len(signal)), [], 0
        while start < signal.shape[1]:
            stop = start + stream.frames * unit
            parts.append(stream.push(signal[:, start:stop]))
            start = stop
        results.append(np.concatenate(parts, axis=1))
    return results[0], results[1]
