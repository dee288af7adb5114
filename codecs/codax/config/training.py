"""The sections of a training run: optimizer, train and memory."""

import dataclasses
from typing import ClassVar

from codax.config.checks import Check, at_least, below_one, one_of, share
from codax.config.section import Section, option

PARTS = ("encoder", "quantizer", "decoder")


@dataclasses.dataclass
class OptimizerConfig(Section):
    """Optimizer of the generator; the discriminators always use Adam with the same settings."""

    path: ClassVar[str] = "optimizer"

    kind: str = "adam"  # "adam", or "muon" for the generator's kernels and Nesterov's Adam for the rest
    learning_rate: float = 1e-4  # of the generator
    discriminator_learning_rate: float = 1e-4  # of the discriminators
    beta1: float = 0.5  # decay of Adam's first moment
    beta2: float = 0.9  # decay of Adam's second moment
    weight_decay: float = 0.0  # as in AdamW; 0 = none
    decay_transformers_only: bool = False  # apply weight decay to the generator's Transformers only
    warmup_steps: int = 0  # in which the learning rate rises linearly to its value
    # After the warm-up: "constant", "cosine" (to `final_fraction` of the rate) or "exponential" (times `gamma` a step).
    schedule: str = "constant"
    # Learning rate at the end, as a fraction.
    final_fraction: float = option(0.0, lambda o: o.schedule == "cosine", "optimizer.schedule = cosine")
    # Factor of the learning rate at each step.
    gamma: float = option(0.999996, lambda o: o.schedule == "exponential", "optimizer.schedule = exponential")
    clip_norm: float = 0.0  # global gradient norm; 0 = no clipping
    discriminator_clip_norm: float = 0.0  # of the discriminators; 0 = `clip_norm`

    def checks(self) -> list[Check]:
        return [
            *(
                Check(getattr(self, name) > 0, name, "positive")
                for name in ("learning_rate", "discriminator_learning_rate")
            ),
            *below_one(self, "beta1", "beta2"),
            *at_least(self, 0, "weight_decay", "warmup_steps", "clip_norm", "discriminator_clip_norm"),
            *share(self, "final_fraction"),
            one_of(self, "kind", "adam", "muon"),
            one_of(self, "schedule", "constant", "cosine", "exponential"),
            Check(0 < self.gamma <= 1, "gamma", "above 0 and up to 1"),
        ]


@dataclasses.dataclass
class TrainConfig(Section):
    """Length, batch, checkpoints and evaluation of a training run."""

    path: ClassVar[str] = "train"

    steps: int = 1_000_000  # length of the run
    batch_size: int = 32  # examples; over all devices
    segment_seconds: float = 1.0  # length of a training crop
    log_every: int = 50  # steps between lines of the log
    checkpoint_every: int = 5_000  # steps between checkpoints
    checkpoints_kept: int = 3  # newest checkpoints that are kept
    checkpoints_best: int = 0  # best checkpoints kept in addition
    eval_every: int = 5_000  # steps between evaluations, samples and exports
    eval_batches: int = 8  # batches of an evaluation
    sample_files: int = 4  # validation recordings in `samples/`
    compute_dtype: str = "float32"  # or "bfloat16"
    # Model that the run starts from, as `codax.load` takes it; its network and codebooks replace the recipe's.
    # Quantization and the spectral loss are active from the first step. "" = random initialisation.
    start_from: str = ""
    freeze: tuple[str, ...] = ()  # parts of the `start_from` model that are not trained: encoder, quantizer, decoder
    # Take the recipe's decoder instead of that of the `start_from` model; arrays of the same name and shape are copied.
    new_decoder: bool = False
    # Programs of a step: "one", "pieces" (one for each stage and discriminator), or "auto", which is pieces for steps
    # with discriminators, else one.
    programs: str = "auto"
    ema_decay: float = 0.999  # of the EMA of the generator's parameters, for evaluation and export; 0 = no EMA
    max_bad_steps: int = 20  # consecutive non-finite steps that stop the run

    def checks(self) -> list[Check]:
        return [
            *at_least(self, 1, "steps", "batch_size", "checkpoint_every", "eval_every", "log_every", "max_bad_steps"),
            *at_least(self, 0, "checkpoints_best"),
            one_of(self, "compute_dtype", "float32", "bfloat16"),
            one_of(self, "programs", "auto", "one", "pieces"),
            *below_one(self, "ema_decay"),
            Check(set(self.freeze) <= set(PARTS), "freeze", f"some of {', '.join(PARTS)}"),
            Check(not self.freeze or bool(self.start_from), "freeze", "empty without train.start_from"),
            Check(
                not self.new_decoder or (bool(self.start_from) and "decoder" not in self.freeze),
                "new_decoder",
                "False without train.start_from, and with the decoder in train.freeze",
            ),
        ]


@dataclasses.dataclass
class MemoryConfig(Section):
    """Options that save memory in training at the cost of time, with the same results. See docs/scale.md."""

    path: ClassVar[str] = "memory"

    remat: str = "none"  # or "blocks" or "nets": parts whose activations are recomputed instead of stored
    accumulate: int = 1  # sequential microbatches of each device's batch per update

    def checks(self) -> list[Check]:
        return [
            one_of(self, "remat", "none", "blocks", "nets"),
            *at_least(self, 1, "accumulate"),
        ]
