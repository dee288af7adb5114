"""Draws the spectrograms of a recording, of a model's output and of Opus's: the picture of README.md.

python benchmarks/spectrogram_picture.py --out docs/images/spectrograms.png
"""

import argparse
from pathlib import Path

import codax
from codax.audio.spectrograms import spectrograms
from codax.baselines.specs import parse
from codax.data.sources.spec import load_utterances


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="starter:en", help="source of recordings")
    parser.add_argument("--index", type=int, default=35, help="which of its test recordings")
    parser.add_argument("--model", default="soundstream-speech", help="as for codax encode")
    parser.add_argument("--kbps", type=float, default=3.0, help="rate of the model")
    parser.add_argument("--baseline", default="opus:6", help="a classical codec, NAME:KBPS")
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    options = parser.parse_args()

    codec, baseline = codax.load(options.model), parse(options.baseline)
    utterance = load_utterances(options.data, sample_rate=codec.sample_rate)[options.index]
    audio = utterance.audio
    decoded = codec.decode(codec.encode(audio, kbps=options.kbps))[0]
    signals = {
        "original": audio,
        f"{codec.model_id}, {options.kbps:g} kbps": decoded,
        f"{baseline.name}, {baseline.kbps:g} kbps": baseline.code(audio, codec.sample_rate).audio,
    }
    image, _ = spectrograms({name: signal[:, 0] for name, signal in signals.items()}, codec.sample_rate)
    options.out.write_bytes(image)
    print(f"{options.out}: {utterance.id}, {utterance.seconds:.1f} s")


if __name__ == "__main__":
    main()
