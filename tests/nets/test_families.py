"""The registry of families: a family from outside is a codec like the others, and each states what it depends on."""

import dataclasses
import math
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
import pytest
from codax.codec.codec import Codec
from codax.codec.loading import load
from codax.codec.module import CodecModel, init_variables
from codax.config import (
    Config,
    DACConfig,
    EMAQuantizerConfig,
    EncodecConfig,
    MimiConfig,
    ModelConfig,
    SoundStreamConfig,
)
from codax.config.models import RecurrentSEANetConfig
from codax.config.recipe_files import load_recipe
from codax.config.section import constant
from codax.errors import CodaxError
from codax.nets import families
from codax.nets.facts import Facts

CONFIGS = Path(__file__).parents[2] / "configs"


def test_every_family_has_networks():
    assert set(families.FAMILIES) == set(ModelConfig.classes.values())


@pytest.mark.parametrize(
    "model,facts",
    [
        (SoundStreamConfig(), Facts(13)),  # 3845 samples of 320 a frame
        (SoundStreamConfig(segment_seconds=1.0), Facts()),
        (DACConfig(), Facts(12)),
        (EncodecConfig(), Facts(pads_inside=True, start_frames=8)),
        (EncodecConfig(seanet=RecurrentSEANetConfig(last_kernel_size=9)), Facts(pads_inside=True, start_frames=16)),
        (EncodecConfig(seanet=RecurrentSEANetConfig(pad_mode="zeros")), Facts(pads_inside=True)),
        (MimiConfig(), Facts()),
    ],
)
def test_what_frames_depend_on(model, facts):
    assert dataclasses.replace(families.facts(model), least_arrays=0, least_values=0) == facts


@pytest.mark.parametrize("recipe", ["encodec_small", "dac_small"])
def test_initial_networks_keep_the_level(recipe):
    """The decoder of a full-depth recipe starts neither saturated nor far above speech, nor does the latent."""
    config = load_recipe(CONFIGS / f"{recipe}.py")
    noise = 0.1 * jax.random.normal(jax.random.key(0), (1, 4 * config.model.hop, config.model.audio_channels))
    variables, module = jax.jit(lambda: init_variables(config))(), CodecModel(config)
    latent = module.apply(variables, noise, method=CodecModel.encode_latent)
    audio = module.apply(variables, latent, method=CodecModel.decode_latent)
    assert latent.std() < 1 and 0 < audio.std() < 0.6


class Fold(nn.Module):
    """Samples of a frame as its channels, mixed."""

    config: ModelConfig
    dtype: object = None
    remat: bool = False

    @nn.compact
    def __call__(self, audio):
        hop = self.config.hop
        return nn.Dense(self.config.dimension)(audio.reshape(audio.shape[0], -1, hop))


class Unfold(nn.Module):
    config: ModelConfig
    dtype: object = None
    remat: bool = False

    @nn.compact
    def __call__(self, latent):
        return nn.Dense(self.config.hop)(latent).reshape(latent.shape[0], -1, 1)


def test_a_family_from_outside_encodes_streams_and_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(ModelConfig, "classes", dict(ModelConfig.classes))
    monkeypatch.setattr(families, "FAMILIES", dict(families.FAMILIES))

    @dataclasses.dataclass
    class Linear(ModelConfig):
        family: str = constant("linear")

    families.register(Linear, families.Family(Fold, Unfold, lambda model: Facts()))
    with pytest.raises(CodaxError, match="family linear: the name is taken"):
        families.register(Linear, families.of(SoundStreamConfig()))
    config = Config(
        name="outside",
        model=Linear(sample_rate=8_000, strides=(16,), dimension=8),
        quantizer=EMAQuantizerConfig(num_quantizers=2, codebook_size=16, kbps=()),
    )
    Codec.init_random(config.validate(), seed=1).save(tmp_path / "model")
    codec = load(tmp_path / "model")
    assert isinstance(codec.config.model, Linear)
    audio = np.random.default_rng(0).normal(0, 0.3, (1, 16 * 20, 1)).astype(np.float32)
    tokens = codec.encode(audio)
    encoder = codec.stream_encoder()
    parts = [encoder.push(audio[:, :100]), encoder.push(audio[:, 100:]), encoder.finish()]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), tokens.codes)
    assert codec.decode(tokens).shape == audio.shape


@pytest.mark.parametrize(
    "model",
    [
        SoundStreamConfig(stem_stride=2, max_channels=64, decoder_channels=16),
        DACConfig(channels=8, decoder_channels=12, dimension=64),
        EncodecConfig(stem_stride=4, channels=8),
        EncodecConfig(causal=False, seanet=RecurrentSEANetConfig(bidirectional=True, compress=3, norm="none")),
        MimiConfig(channels=8, dimension=64),
    ],
)
def test_least_sizes_are_lower_bounds(model):
    shapes = jax.tree.leaves(jax.eval_shape(lambda: init_variables(Config(model=model)))["params"])
    facts, values = families.facts(model), sum(math.prod(leaf.shape) for leaf in shapes)
    assert 0.2 * len(shapes) < facts.least_arrays <= len(shapes)
    assert 0.5 * values < facts.least_values <= values
