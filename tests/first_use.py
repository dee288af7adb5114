"""The first steps with an installed codax: encode and decode, train a recipe by its name, evaluate it.

python tests/first_use.py FOLDER     # with the Python of an environment in which codax is installed from a wheel

FOLDER, which must not exist, gets all files. No network is used.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import codax
import numpy as np
import soundfile

RATE = 16_000
STEPS = (
    "encode speech/0.wav 0.codax --kbps 6",
    "decode 0.codax 0.wav",
    "encode speech/1.wav 1.codax --model speechtokenizer-speech",
    "train --config=quickstart --workdir=run --config.data.source=speech --config.train.steps=6"
    " --config.train.batch_size=2 --config.quantizer.start_step=2 --config.loss.spectral_start_step=2"
    " --config.quantizer.codebook_size=16 --config.quantizer.kbps=(1.6,7.2)"
    " --config.train.log_every=2 --config.train.eval_batches=1 --config.train.sample_files=1"
    " --config.data.validation_fraction=0.2",
    "eval --model=run/export --data=speech --out=evaluation --kbps=7.2 --metrics=snr --baselines=opus:12",
)
RESULTS = ("0.wav", "1.codax", "run/export/model.safetensors", "run/samples", "evaluation/report.html")


def main(folder: Path) -> None:
    place = Path(codax.__file__).parent
    checkout = Path(__file__).resolve().parents[1]
    assert checkout not in place.resolve().parents, f"{place}: of the checkout, not installed"
    assert codax.__version__ == importlib.metadata.version("codax")
    (folder / "speech").mkdir(parents=True)
    rng = np.random.default_rng(0)
    seconds = np.arange(2 * RATE) / RATE
    for i in range(6):
        tone = sum(np.sin(2 * np.pi * k * (110 + 20 * i) * seconds) / k for k in range(1, 8))
        loudness = 0.1 + 0.05 * np.sin(2 * np.pi * (2 + i) * seconds)
        soundfile.write(folder / "speech" / f"{i}.wav", loudness * tone + 0.002 * rng.standard_normal(len(tone)), RATE)
    program = Path(sys.executable).with_name("codax")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"JAX_PLATFORMS": "cpu"}
    for step in STEPS:
        print(f"codax {step}", flush=True)
        subprocess.run([program, *step.split(" ")], cwd=folder, env=environment, check=True)
    for result in RESULTS:
        assert (folder / result).exists(), f"{result} is missing"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
