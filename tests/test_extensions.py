"""A quantizer, losses and metrics defined here, outside the package, train, resume and evaluate as its own do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import codax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import Config, QuantizerConfig, recipe_flags
from codax.config.section import constant
from codax.errors import CodaxError
from codax.evaluation import runner
from codax.losses import terms
from codax.losses.terms import Term
from codax.metrics import registry as metrics
from codax.metrics.registry import Measure, MetricError, Value
from codax.quantizers import codebook as cb
from codax.quantizers import registry as quantizers
from codax.quantizers.base import Description, Output
from codax.quantizers.rvq import levels_in_use
from codax.training import loop
from tiny_run import WHOLE_STEP, metric_lines, tiny_config, write_corpus


@dataclasses.dataclass
class SignConfig(QuantizerConfig):
    """Each level keeps the signs of a few channels of a projection."""

    kind: str = constant("signs")
    bits: int = 3

    @property
    def codebook_size(self) -> int:
        return 2**self.bits


class SignQuantizer(nn.Module):
    """A residual quantizer without codebooks (arXiv 2310.05737 has one level of it)."""

    config: SignConfig
    dimension: int

    def setup(self) -> None:
        c = self.config
        self.inward = [nn.Dense(c.bits) for _ in range(c.num_quantizers)]
        self.outward = [nn.Dense(self.dimension) for _ in range(c.num_quantizers)]
        self.count = self.variable("codebook", "count", jnp.zeros, (c.num_quantizers, c.codebook_size))
        self.initialised = self.variable("codebook", "initialised", jnp.zeros, (), jnp.bool_)

    def _levels(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Parts [levels, batch, frames, dimension] and codes int32 [levels, batch, frames]."""
        parts, codes = [], []
        for inward, outward in zip(self.inward, self.outward, strict=True):
            inner = jnp.tanh(inward(x))
            on = inner >= 0
            parts.append(outward(inner + jax.lax.stop_gradient(jnp.where(on, 1.0, -1.0) - inner)))
            codes.append(jnp.sum(on * 2 ** jnp.arange(self.config.bits), axis=-1).astype(jnp.int32))
            x = x - parts[-1]
        return jnp.stack(parts), jnp.stack(codes)

    def encode(self, x: jax.Array, num_quantizers: int | None = None) -> jax.Array:
        return jnp.moveaxis(self._levels(x)[1][:num_quantizers], 0, -1)

    def decode(self, codes: jax.Array) -> jax.Array:
        signs = jnp.where(codes[..., None] >> jnp.arange(self.config.bits) & 1, 1.0, -1.0)
        return sum(outward(signs[..., i, :]) for i, outward in enumerate(self.outward[: codes.shape[-1]]))

    def decode_any(self, codes: jax.Array) -> jax.Array:
        return self.decode(codes)

    def initialise(self, x: jax.Array, key: jax.Array, axis: str | None = None) -> None:
        self.initialised.value = jnp.ones((), jnp.bool_)

    def __call__(self, x, *, levels, key, update, axis=None, bypass=None, revive=True) -> Output:
        c = self.config
        parts, codes = self._levels(x)
        used = levels_in_use(levels, c.num_quantizers, x.shape[1])
        quantized = jnp.sum(parts * used.reshape(codes.shape)[..., None], axis=0)
        flat = codes.reshape(len(codes), -1)
        count = jnp.sum(jax.nn.one_hot(flat, c.codebook_size) * used[..., None], axis=1)
        if update:
            self.count.value = c.decay * self.count.value + (1 - c.decay) * cb.all_sum(count, axis)
        commitment = jnp.mean((x - jax.lax.stop_gradient(quantized)) ** 2)
        statistics = cb.use_metrics(count, self.count.value)
        return Output(quantized, parts[0], jnp.moveaxis(codes, 0, -1), commitment, statistics)

    @nn.nowrap
    def random_state(self, rng: np.random.Generator) -> dict[str, Any]:
        c = self.config
        count = np.ones((c.num_quantizers, c.codebook_size), np.float32)
        return {"count": count, "initialised": np.ones((), np.bool_)}

    @nn.nowrap
    def describe(self) -> Description:
        return Description(codebook_values=0, start="with signs")


def loudness(config: Config, target: jax.Array, estimate: jax.Array) -> jax.Array:
    """Mean difference of the frames' RMS."""
    a, b = (jnp.sqrt(jnp.mean(x.reshape(len(x), -1, config.hop) ** 2, axis=-1) + 1e-6) for x in (target, estimate))
    return jnp.mean(jnp.abs(a - b))


def offset(config: Config, audio: jax.Array) -> jax.Array:
    """Squared mean of the reconstruction, inside the forward pass."""
    return jnp.mean(jnp.mean(audio, axis=1) ** 2)


class Counter:
    """A recogniser that hears a word for every 1,000 samples."""

    name, languages = "counter", None

    def transcribe(self, audio: np.ndarray, language: str) -> str:
        return " ".join(["word"] * (len(audio) // 1000))


def measure(key: str, compute: Any, needs: tuple[str, ...], **options: Any) -> None:
    value = Value(key, key.title(), "lower", f"What {__name__} calls {key}.")
    metrics.register(key, Measure((value,), lambda *inputs: {key: compute(*inputs)}, needs=needs, **options))


@pytest.fixture(scope="module", autouse=True)
def extensions() -> Iterator[None]:
    registries: list[Any] = [quantizers.QUANTIZERS, QuantizerConfig.classes, terms.TERMS, metrics.VALUES, metrics.NAMES]
    before = [dict(registry) for registry in registries]
    quantizers.register(SignConfig, lambda quantizer, model: SignQuantizer(quantizer, model.dimension))
    terms.register(Term("loudness", loudness, ("target", "estimate")))
    terms.register(Term("offset", offset, ("audio",)))
    measure("peak", lambda r, d, rate: abs(np.abs(r).max() - np.abs(d).max()) + rate, metrics.SIGNALS, rate=4000)
    measure("changes", lambda codes, size: np.mean(np.diff(codes[0, :, 0]) != 0) + size, ("codes", "codebook_size"))
    measure("words", lambda heard: len(heard.split()), ("heard",))
    yield
    for registry, content in zip(registries, before, strict=True):
        registry.clear()
        registry.update(content)
    del metrics.MEASURES[-3:]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A recipe as it would be in a file, with a balancer over two losses; one is from here."""
    corpus = write_corpus(tmp_path_factory.mktemp("extensions") / "corpus")
    config = tiny_config(str(corpus), **WHOLE_STEP, loss__adversarial=0.0, loss__feature=0.0)
    config.quantizer = config.quantizer.of_class("signs")
    config.quantizer.kbps = ()
    config.loss.balancer, config.loss.spectral = True, 0.0
    config.loss.extra = {"loudness": 2.0, "offset": 0.5}
    train = config.train
    train.steps, train.eval_every, train.checkpoint_every, train.log_every = 6, 6, 3, 1
    train.eval_batches = train.sample_files = 0
    return Config.from_dict(config.acting().validate().to_dict())


@pytest.fixture(scope="module")
def whole(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("whole")
    loop.train(config, workdir)
    return workdir


def test_they_train(whole: Path) -> None:
    lines = [line for line in metric_lines(whole) if line["kind"] == "train"]
    assert len(lines) == 6
    for line in lines:
        assert line["loss/waveform"] > 0 and line["loss/loudness"] > 0 and line["bad_total"] == 0
        assert line["loss/offset"] > 0 and line["loss/commitment"] > 0
    codec = codax.load(whole / "export")
    assert type(codec.config.quantizer) is SignConfig and codec.config.quantizer.bits == 3
    assert codec.usage().shape == (4, 8) and codec.usage().sum() > 0


def test_they_resume_exactly(whole: Path, config: Config, tmp_path: Path) -> None:
    loop.train(config, tmp_path, max_steps=3)
    loop.train(config, tmp_path)
    assert metric_lines(tmp_path) == metric_lines(whole)
    assert codax.load(tmp_path / "export").hash == codax.load(whole / "export").hash


def test_they_are_evaluated(whole: Path, config: Config) -> None:
    names = ["peak", "changes", "words"]
    results = runner.evaluate(
        whole / "export", config.data.source, None, quantizers=[4], metrics=names, asr=Counter(), limit=2
    )
    original, codec = results.systems
    assert results.failures() == [] and results.keys == tuple(names)
    assert original.metrics["peak"].mean == 4000 and codec.metrics["peak"].mean > 4000
    assert 8 <= codec.metrics["changes"].mean <= 9  # 8 entries, and the share of frames
    assert original.metrics["changes"] is None
    assert {system.metrics["words"].mean for system in results.systems} == {16.0}  # at 16 kHz
    assert codec.metrics["words"].n == 2 and '"Changes"' in results.to_json()


def test_names_are_taken_once() -> None:
    with pytest.raises(CodaxError, match="quantizer signs: the kind is taken"):
        quantizers.register(SignConfig, lambda *_: None)
    with pytest.raises(CodaxError, match="loss loudness: the name is taken"):
        terms.register(Term("loudness", loudness, ("target", "estimate")))
    for key in ("peak", "snr"):
        with pytest.raises(MetricError, match=f"metric {key}: its name or that of a value is taken"):
            measure(key, abs, metrics.SIGNALS)
    with pytest.raises(MetricError, match="metric sizes needs weights: expected reference, degraded, rate, transcript"):
        measure("sizes", abs, ("weights",))


def test_a_weight_is_set_on_the_command_line(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.py"
    recipe.write_text(
        "from codax.config import Config\n\n\ndef get_config():\n"
        "    config = Config()\n    config.loss.extra = {'loudness': 1.0}\n    return config\n"
    )
    assert recipe_flags.read(str(recipe), ["--config.loss.extra.loudness=2.5"]).loss.extra == {"loudness": 2.5}
    for override, message in (
        ("extra.loudness=x", r"loss\.extra\.loudness = 'x': expected a number"),
        ("extra.other=1", r"unknown config field loss\.extra\.other"),
        ("extra={'other': 1}", r"loss\.extra: set one of loudness"),
    ):
        with pytest.raises(CodaxError, match=message):
            recipe_flags.read(str(recipe), [f"--config.loss.{override}"])
