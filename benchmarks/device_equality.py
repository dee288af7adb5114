"""Trains the same few steps on one device, on eight, and in two processes with four, and compares the parameters.

    python benchmarks/device_equality.py --out=DIR [--steps=10] [--config=configs/quickstart.py]

The devices are CPU devices. For each layout it prints the largest difference from one device, over all parameters of
generator and discriminators and over the codebooks: relative to the largest value of each array, or to 1 if that is
larger.
"""

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
from codax.config.recipe_files import load_recipe
from codax.data.pipeline import training_batches
from codax.training.checkpoints import Checkpoints
from codax.training.parallel import Parallel
from codax.training.state import init_state

TRAIN = Path(__file__).parents[1] / "train.py"
LAYOUTS = {"1 device": (1, 1, "shard_map")} | {
    f"{processes} x {devices} devices, {kind}": (processes, devices, kind)
    for processes, devices in ((1, 8), (2, 4))
    for kind in ("shard_map", "pmap")
}


def run(config: str, workdir: Path, steps: int, processes: int, devices: int, kind: str) -> None:
    """Trains to the end; exits with the message of a failing process."""
    command = [sys.executable, str(TRAIN), f"--config={config}", f"--workdir={workdir}", f"--parallel={kind}"]
    values = {"steps": steps, "eval_batches": 0, "sample_files": 0, "eval_every": 10**9, "checkpoint_every": 10**9}
    command += [f"--config.train.{name}={value}" for name, value in values.items()]
    where = [[]]
    if processes > 1:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            address = f"localhost:{free.getsockname()[1]}"
        shared = [f"--coordinator={address}", f"--num_processes={processes}"]
        where = [[*shared, f"--process_index={index}"] for index in range(processes)]
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    env = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    running = [subprocess.Popen([*command, *more], env=env, stdout=subprocess.DEVNULL) for more in where]
    if any(process.wait() for process in running):
        sys.exit(f"{workdir}: train.py failed")


def arrays(config: str, workdir: Path) -> dict[str, np.ndarray]:
    """Parameters and codebooks of the last checkpoint, by name."""
    recipe = load_recipe(config).validate()
    data = training_batches(recipe, batch_size_per_process=recipe.train.batch_size)
    with Checkpoints(workdir, kept=1) as checkpoints:
        step = checkpoints.latest()
        if step is None:
            sys.exit(f"{workdir}: no checkpoint")
        state, _ = checkpoints.restore(step, Parallel().abstract(lambda: init_state(recipe)), data)
    tree = {"generator": state.generator, "discriminator": state.discriminator, "codebook": state.codebook}
    leaves = jax.tree_util.tree_flatten_with_path(jax.device_get(tree))[0]
    return {jax.tree_util.keystr(path): np.asarray(leaf, np.float64) for path, leaf in leaves}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--config", default="configs/quickstart.py")
    options = parser.parse_args()
    reference: dict[str, np.ndarray] = {}
    for number, (name, layout) in enumerate(LAYOUTS.items()):
        workdir = options.out / str(number)
        run(options.config, workdir, options.steps, *layout)
        trained = arrays(options.config, workdir)
        reference = reference or trained
        worst = {}
        for key, value in reference.items():
            part = key.split("'")[1]
            scale = np.max(np.abs(value), initial=1.0)
            worst[part] = max(worst.get(part, 0.0), float(np.max(np.abs(trained[key] - value), initial=0.0) / scale))
        print(f"{name}: " + ", ".join(f"{part} {value:.1e}" for part, value in worst.items()), flush=True)


if __name__ == "__main__":
    main()
