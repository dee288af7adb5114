"""Gradients of each loss at a run's reconstructions, to choose the weights of the losses.

    python benchmarks/loss_gradients.py runs/mine [--kbps 1 3 6]

Takes the newest checkpoint of a run, which may still be training, and its next batch. For each rate and loss: its
value, the norm of its weighted gradient with respect to the audio, and the shares of the gradient's energy in the
quieter half and in the quietest tenth of the batch's frames of 10 ms.
"""

import argparse
import functools
import shutil
import tempfile
from pathlib import Path

import jax
import numpy as np
from codax.codec.codec import Codec
from codax.config import Config
from codax.data.pipeline import training_batches
from codax.discriminators.ensemble import Discriminators
from codax.losses import terms
from codax.runtime.program import program
from codax.teachers.open import open_differentiable
from codax.training.checkpoints import FOLDER, Checkpoints
from codax.training.parallel import Parallel
from codax.training.start import resume
from codax.training.state import TrainState, init_state

FRAME_SECONDS = 0.01


def newest(run: Path, config: Config) -> tuple[TrainState, np.ndarray]:
    """Returns the state of the newest checkpoint, and the audio [batch, time, channels] of the batch after it."""
    data = training_batches(
        config,
        split="train",
        batch_size_per_process=config.train.batch_size,
        process_index=0,
        process_count=1,
        seed=config.seed,
    )
    shapes = Parallel().abstract(functools.partial(init_state, config))
    # A copy, because a running training deletes old checkpoints.
    step = max(int(folder.name) for folder in (run / FOLDER).iterdir() if folder.name.isdecimal())
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(run / FOLDER / str(step), Path(copy) / FOLDER / str(step))
        with Checkpoints(copy, kept=1) as checkpoints:
            state, _ = resume(checkpoints, step, shapes, data)
    audio = next(data)["audio"]
    data.close()
    return state, np.asarray(audio)


def quiet_shares(audio: np.ndarray, gradient: np.ndarray, frame: int) -> tuple[float, float]:
    """Shares of the gradient's energy in the quieter half and the quietest tenth of the frames."""
    whole = audio.shape[1] // frame * frame
    level, energy = (np.square(x[:, :whole]).reshape(-1, frame * x.shape[2]).sum(axis=1) for x in (audio, gradient))
    by_level = np.cumsum(energy[np.argsort(level)]) / energy.sum()
    return float(by_level[len(level) // 2 - 1]), float(by_level[max(len(level) // 10, 1) - 1])


def report(config: Config, state: TrainState, audio: np.ndarray, kbps: float) -> None:
    codec = Codec(config, jax.device_get(state.average), jax.device_get(state.codebook))
    tokens = codec.encode(audio, sample_rate=config.model.sample_rate, kbps=kbps)
    estimate = np.asarray(codec.decode(tokens))
    teacher = open_differentiable(config) if config.loss.self_supervised > 0 else None
    discriminators = Discriminators(config.discriminator)

    def inputs(estimate: jax.Array) -> dict:
        real, fake = (discriminators.apply({"params": state.discriminator}, x) for x in (audio, estimate))
        common = {"target": audio, "estimate": estimate, "key": jax.random.key(0), "teacher": teacher}
        return common | {"real": jax.lax.stop_gradient(real), "fake": fake}

    for name, weight in terms.weights_of(config.loss).items():
        term = terms.TERMS[name]
        if not weight or not (term.on_reconstruction or term.on_discriminators):
            continue

        def loss(estimate: jax.Array, term: terms.Term = term) -> jax.Array:
            return term(config, inputs(estimate))

        value, gradient = jax.jit(jax.value_and_grad(loss))(estimate)
        gradient = weight * np.asarray(gradient, np.float64)
        half, tenth = quiet_shares(audio, gradient, round(FRAME_SECONDS * config.model.sample_rate))
        norm = np.sqrt(np.square(gradient).sum())
        print(f"{kbps:4g} kbps  {name:16}{value:8.4f}{norm:10.3g}{100 * half:8.0f} %{100 * tenth:8.0f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--kbps", type=float, nargs="+")
    args = parser.parse_args()
    with program():
        config = Config.load(args.run / "config.json")
        state, audio = newest(args.run, config)
        print(f"step {int(state.step):,}\n{'':11}{'loss':16}{'value':>8}{'gradient':>10}  quiet half  tenth")
        for kbps in args.kbps or config.quantizer.kbps:
            report(config, state, audio, kbps)


if __name__ == "__main__":
    main()
