"""Small folders of synthetic audio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from codax import audio
from codax.config import Config
from signals import uniform_noise

MakeAudio = Callable[..., Path]


@pytest.fixture
def make_audio() -> MakeAudio:
    def make(path: Path, seconds: float = 1.0, *, rate: int = 16_000, channels: int = 1, seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, uniform_noise(seconds, rate, channels, seed), rate)
        return path

    return make


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for every test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CODAX_CACHE", str(folder))
    return folder


@pytest.fixture
def config() -> Config:
    """16 kHz, half-second segments of exactly 8000 samples."""
    config = Config()
    config.model.sample_rate = 16_000
    config.train.segment_seconds = 0.5
    return config
