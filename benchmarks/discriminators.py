"""Measures the cost of discriminators in a training step on this machine, option by option.

    python benchmarks/discriminators.py [--rounds 5] [--train decoder all] [--only CASE ...]

The recipe is `configs/soundstream_speech.py` with 8 x 1 s, started from the shipped model, and MS-STFT discriminators
of 16 channels with windows 1024, 512 and 256. Every case is a step with some options; the cases take turns, A B A B ...
The table has the medians of the seconds and of the ratios to the first case, which has no discriminators.
"""

from codax.runtime.allocator import use_huge_pages

use_huge_pages()

import argparse  # noqa: E402
import copy  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from codax.runtime.program import program  # noqa: E402

CASES: dict[str, dict[str, Any]] = {
    "no discriminators": {"adversarial": 0.0, "feature": 0.0},
    "one program": {"programs": "one"},
    "a program for each stage": {},
    "one forward pass": {"shared_forward": True},
    "1 of 3 drawn": {"shared_forward": True, "drawn": 1},
    "crops of 0.5 s": {"shared_forward": True, "crop_seconds": 0.5},
    "crops of 0.5 s, 1 of 3 drawn": {"shared_forward": True, "crop_seconds": 0.5, "drawn": 1},
    "8 channels": {"shared_forward": True, "msstft_channels": 8},
    "kernel 3 x 5": {"shared_forward": True, "msstft_kernel": (3, 5)},
    "kernel 3 x 3": {"shared_forward": True, "msstft_kernel": (3, 3)},
    "8 channels, kernel 3 x 5": {"shared_forward": True, "msstft_channels": 8, "msstft_kernel": (3, 5)},
}
FROZEN = {"decoder": ("encoder", "quantizer"), "all": ()}


def recipe(options: dict[str, Any], trained: str) -> Any:
    """The recipe of a case."""
    from codax.config.recipe_files import load_recipe
    from codax.training.start import adopt

    config = load_recipe(Path(__file__).parents[1] / "configs" / "soundstream_speech.py")
    config.train.start_from, config.train.freeze, config.train.batch_size = "soundstream-speech", FROZEN[trained], 8
    discriminator, loss = config.discriminator, config.loss
    discriminator.stft, discriminator.wave_scales = False, 0
    discriminator.msstft_windows, discriminator.msstft_channels = (1024, 512, 256), 16
    loss.waveform, loss.spectral, loss.adversarial, loss.feature, loss.feature_form = 10.0, 15.0, 1.0, 2.0, "relative"
    for name, value in options.items():
        section = next(s for s in (config.train, discriminator, loss) if name in s.field_names())
        setattr(section, name, value)
    return adopt(config, None)


class Case:
    """A run of steps."""

    def __init__(self, options: dict[str, Any], trained: str) -> None:
        import jax
        import numpy as np
        from codax.training.parallel import Parallel
        from codax.training.programs import Programs
        from codax.training.start import start_from
        from codax.training.state import init_state

        self.config, mapped = recipe(options, trained), Parallel()
        self._compile = Programs(self.config, mapped).step
        state = mapped.initialise(lambda: init_state(self.config))
        self._state = start_from(self.config, state, mapped.state_sharding)
        noise = np.random.default_rng(0).standard_normal((8, self.config.segment_samples, 1))
        self._batch = mapped.place({"audio": (0.1 * noise).astype(np.float32)})
        self._compiled: dict[Any, Any] = {}
        self._wait, self._number = jax.block_until_ready, 0

    def step(self) -> float:
        """Runs a step and returns its seconds."""
        from codax.training.step import phase_at

        phase = phase_at(self.config, self._number)
        if phase not in self._compiled:
            self._compiled[phase] = self._compile(phase)
            self._state, _ = self._compiled[phase](self._state, self._batch)
        self._wait(self._state)
        start = time.perf_counter()
        self._state, _ = self._compiled[phase](self._state, self._batch)
        self._wait(self._state)
        self._number += 1
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--train", nargs="+", choices=list(FROZEN), default=list(FROZEN))
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    args = parser.parse_args()
    names = list(dict.fromkeys(["no discriminators", *args.only]))
    for trained in args.train:
        cases = {name: Case(copy.deepcopy(CASES[name]), trained) for name in names}
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(args.rounds + 3):
            for name, case in cases.items():
                seconds[name].append(case.step())
        print(f"\ntrained: {trained}\n\n| step of 8 x 1 s | seconds | ratio |\n|---|---|---|")
        kept = {name: values[3:] for name, values in seconds.items()}  # the first rounds compile
        for name, values in kept.items():
            ratio = statistics.median(a / b for a, b in zip(values, kept[names[0]], strict=True))
            print(
                f"| {name} | {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}) | {ratio:.2f} |"
            )


if __name__ == "__main__":
    with program():
        main()
