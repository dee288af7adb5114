"""Compares exported ONNX programs with JAX on many clips: codes, and audio of the same codes, complete and streamed.

    python benchmarks/onnx_equality.py --model=runs/quickstart/export [--data=starter] [--clips=100] [--seconds=2]

Clips are cut from the test utterances of the source and padded. For each frame whose codes differ it prints the first
level that differs.
"""

import argparse

import codax
import numpy as np
from codax.data.sources.spec import load_utterances
from codax.deploy.check import distance, through_streams
from codax.deploy.onnx_files import onnx_models
from codax.deploy.runtime import Runtime


def clips(spec: str, sample_rate: int, length: int, count: int) -> np.ndarray:
    """float32 [count, length, 1]."""
    cut = []
    for utterance in load_utterances(spec, sample_rate=sample_rate):
        audio = utterance.audio[:, :1]
        for start in range(0, len(audio), length):
            piece = audio[start : start + length]
            cut.append(np.pad(piece, ((0, length - len(piece)), (0, 0))))
            if len(cut) == count:
                return np.stack(cut).astype(np.float32)
    raise SystemExit(f"{spec}: only {len(cut)} clips")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", default="starter")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=2.0)
    args = parser.parse_args()
    codec = codax.load(args.model)
    runtime = Runtime(*onnx_models(codec))
    length = int(args.seconds * codec.config.frame_rate) * codec.config.hop
    audio = clips(args.data, codec.config.model.sample_rate, length, args.clips)
    total, different, worst, frames = 0, 0, 0.0, 0
    for number, clip in enumerate(audio[:, None]):
        codes = codec.engine.encode_piece(clip, False)
        decoded = codec.engine.decode_piece(codes, False)
        results = [(runtime.encode(clip), runtime.decode(codes))]
        if runtime.streams:
            results.append(through_streams(runtime, clip, codes))
        for name, (other, restored) in zip(("whole", "streamed"), results, strict=False):
            total, different = total + codes.size, different + int((other != codes).sum())
            frames += int((other != codes).any(axis=2).sum())
            worst = max(worst, distance(restored, decoded))
            for frame in np.flatnonzero((other != codes).any(axis=2)[0]):
                level = int(np.flatnonzero(other[0, frame] != codes[0, frame])[0])
                print(f"clip {number}, {name}, frame {frame}, level {level}")
    print(
        f"{len(audio)} clips, {total:,} codes: {different} differ, in {frames} frames; "
        f"audio within {worst:.1e} (peak 1, or relative to a larger one)"
    )


if __name__ == "__main__":
    main()
