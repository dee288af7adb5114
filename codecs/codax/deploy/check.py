"""Do exported programs do in onnxruntime what the codec does in JAX?"""

from __future__ import annotations

import numpy as np

from codax.codec.codec import Codec
from codax.deploy.runtime import Runtime
from codax.errors import CodaxError

AUDIO_TOLERANCE = 1e-4  # of decoded audio, for a peak of 1
# Sums are rounded differently in the last bits, which decides where two entries are equally near: rarely.
LEAST_EQUAL = 0.99  # share of codes
SECONDS = 1.0


def check(codec: Codec, runtime: Runtime) -> str:
    """Compares codes and audio of a signal, as a whole and if the codec streams frame by frame.

    Returns:
      What was found, for the user.

    Raises:
      CodaxError: they are not those of the codec.
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
        raise CodaxError(f"model {codec.model_id}: its programs are not the codec in onnxruntime: {report}")
    return report


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, relative to the peak of `b` where that is more than 1."""
    return float(np.max(np.abs(a - b)) / max(1.0, np.max(np.abs(b))))


def probe(length: int, channels: int, sample_rate: int) -> np.ndarray:
    """Two signals, float32 [2, length, channels], of a tone that rises, with noise."""
    seconds = np.arange(length) / sample_rate
    tone = np.sin(2 * np.pi * (100 + 0.1 * sample_rate * seconds) * seconds)
    noise = np.random.default_rng(0).standard_normal((2, length, channels))
    return (0.3 * tone[None, :, None] + 0.1 * noise).astype(np.float32)


def through_streams(runtime: Runtime, audio: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes of audio, and audio of codes, frame by frame."""
    results = []
    for side, signal, unit in (("encoder", audio, runtime.facts["hop"]), ("decoder", codes, 1)):
        stream, parts, start = runtime.stream(side, len(signal)), [], 0
        while start < signal.shape[1]:
            stop = start + stream.frames * unit
            parts.append(stream.push(signal[:, start:stop]))
            start = stop
        results.append(np.concatenate(parts, axis=1))
    return results[0], results[1]
