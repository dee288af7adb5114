"""Configs of small codecs that several folders of tests share, so that their programs are compiled once."""

from __future__ import annotations

from codax.config import Config, EMAQuantizerConfig, MimiConfig, SEANetConfig, TransformerConfig


def mimi_config() -> Config:
    """A Mimi of hop 16 whose Transformers see 5 steps."""
    return Config(
        name="tiny_mimi",
        model=MimiConfig(
            sample_rate=8_000,
            channels=4,
            strides=(2, 4),
            dimension=16,
            resample_stride=2,
            seanet=SEANetConfig(last_kernel_size=7),
            transformer=TransformerConfig(layers=2, heads=2, hidden=24, context=5),
        ),
        quantizer=EMAQuantizerConfig(num_quantizers=4, codebook_size=16, semantic=1, projection=8, kbps=()),
    ).validate()
