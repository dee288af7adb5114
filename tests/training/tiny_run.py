"""A codec and a corpus small enough to train in a test, and programs run as a user runs them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from codax import audio
from codax import config as c
from codax.data.pipeline import training_batches
from codax.training import loop, parallel
from codax.training.checkpoints import Checkpoints
from codax.training.state import init_state

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("worker.py")
RATE = 8000

# The quantizer and a waveform discriminator, which compiles faster than the STFT discriminator, from the first step on.
WHOLE_STEP = {
    "quantizer__start_step": 0,
    "discriminator__start_step": 0,
    "discriminator__every": 1,
    "discriminator__stft": False,
    "discriminator__wave_scales": 1,
    "discriminator__wave_channels": 4,
    "discriminator__wave_max_channels": 8,
}


def tiny_config(source: str = "none", **changes) -> c.Config:
    """A recipe whose steps differ in kind: autoencoder, then quantizer, then discriminators at every second step.

    `changes` are given as section__field=value.
    """
    config = c.Config(
        name="tiny",
        model=c.SoundStreamConfig(sample_rate=RATE, channels=4, strides=(2, 4), dimension=8, dilations=(1,)),
        quantizer=c.EMAQuantizerConfig(
            num_quantizers=4, codebook_size=16, kmeans_iterations=4, start_step=2, kbps=(4.0, 16.0)
        ),
        discriminator=c.DiscriminatorConfig(
            stft_window=64, stft_hop=32, stft_channels=2, wave_scales=0, start_step=4, every=2
        ),
        loss=c.LossConfig(waveform=1.0, windows=(64,), mels=8, normalize_windows=True),
        optimizer=c.OptimizerConfig(learning_rate=1e-3, discriminator_learning_rate=1e-3),
        data=c.DataConfig(source=source, validation_fraction=0.2),
        train=c.TrainConfig(
            steps=20,
            batch_size=8,
            segment_seconds=0.1,
            log_every=2,
            checkpoint_every=3,
            eval_every=10,
            eval_batches=1,
            sample_files=1,
        ),
    )
    for name, value in changes.items():
        section, field = name.split("__")
        part = getattr(config, section)
        assert field in {f.name for f in dataclasses.fields(part)}
        if field == getattr(part, "tag", None):
            setattr(config, section, part.of_class(value))
        else:
            setattr(part, field, value)
    return config.acting().validate()


def write_recipe(path: Path, config: c.Config) -> Path:
    """Writes a recipe file that returns `config`."""
    values = dataclasses.asdict(config)
    text = f"from codax.config import Config\n\n\ndef get_config():\n    return Config.from_dict({values!r})\n"
    path.write_text(text, encoding="utf-8")
    return path


def write_place(folder: Path, config: c.Config) -> Path:
    """Puts the corpus that `config` names into `folder`, and the recipe as a Python file and as JSON."""
    write_corpus(Path(config.data.source))
    write_recipe(folder / "recipe.py", config)
    (folder / "recipe.json").write_text(config.to_json(), encoding="utf-8")
    return folder


def voices(examples: int, samples: int, seed: int = 0) -> np.ndarray:
    """Harmonic tones whose loudness moves, with a little noise: float32 [examples, samples, 1]."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    pitch, phase = rng.uniform(100, 400, (examples, 1)), rng.uniform(0, 6, (examples, 1))
    tone = sum(0.2 / k * np.sin(2 * np.pi * pitch * k * time + phase) for k in range(1, 6))
    signal = tone * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)) + 0.01 * rng.standard_normal((examples, samples))
    return signal[..., None].astype(np.float32)


def write_corpus(folder: Path) -> Path:
    """Writes twelve files of one second."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, voice in enumerate(voices(12, RATE)):
        audio.write(folder / f"{i:02d}.wav", voice, RATE)
    return folder


def environment(**more: str) -> dict[str, str]:
    """For programs that train: CPU only; compiled as the suite is, and not twice."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {more.pop('XLA_FLAGS', '')}"
    return os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags} | more


@contextlib.contextmanager
def one_device() -> Iterator[None]:
    """Training in this process uses one of the suite's eight devices, as train.py does on a computer that has one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "device_count", lambda: 1)
        patch.setattr(jax, "local_device_count", lambda: 1)
        yield


def train_here(config: c.Config, workdir: Path, max_steps: int | None = None) -> None:
    """Trains in this process, on one device."""
    with one_device():
        loop.train(config, workdir, max_steps=max_steps)


def end_of(config: c.Config, workdir: Path) -> dict[str, np.ndarray]:
    """The arrays of the latest checkpoint, and the batch that would come next."""
    with one_device(), Checkpoints(workdir, kept=3) as checkpoints:
        data = training_batches(config, batch_size_per_process=config.train.batch_size)
        step = checkpoints.latest()
        assert step is not None
        state, _ = checkpoints.restore(step, parallel.Parallel().abstract(lambda: init_state(config)), data)
        leaves = jax.tree_util.tree_flatten_with_path(jax.device_get(state))[0]
        actual = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
        actual["data"] = next(data)["audio"]
        data.close()
    return actual


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def run_program(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a Python program to its end."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False, timeout=900)


def metric_lines(workdir: Path) -> list[dict]:
    """The lines of metrics.jsonl without what depends on the clock."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("time/")} for line in lines]
