"""A teacher's features lie beside the audio, come with the same crops, and are refused where they do not fit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from codax.data import features, pipeline, records
from codax.data.shards.build import build_shards
from codax.data.sources.spec import open_source
from codax.errors import CodaxError, ConfigError
from codax.teachers.stored_features import shards_of_part

HOP = 400  # 40 frames per second


def loudness(audio: np.ndarray) -> np.ndarray:
    """Two channels: the mean of each frame's samples and of their squares, in thousandths."""
    whole = audio[: len(audio) // HOP * HOP].reshape(-1, HOP)
    return np.stack([1000 * whole.mean(axis=1), 1000 * (whole**2).mean(axis=1)], axis=1)


def about(**changes) -> features.About:
    values = {
        "teacher": "loudness",
        "sha256": "0",
        "layer": -1,
        "delay_seconds": 0.0,
        "frame_rate": 40.0,
        "dimension": 2,
    }
    return features.About(**values | changes)


@pytest.fixture
def built(tmp_path, make_audio, config) -> Path:
    """Shards of clips of 0.3 to 5 s with their features."""
    for i in range(6):
        make_audio(tmp_path / "in" / f"{i}.wav", 0.3 + 0.9 * i, seed=i)
    out = tmp_path / "out"
    build_shards(str(tmp_path / "in"), out, sample_rate=16_000)
    about().write(out)
    assert features.build(shards_of_part(out, "1/1"), loudness, 16_000) == 2
    config.data.source, config.teacher.source, config.loss.distillation = str(out), "precomputed", 1.0
    config.model.strides, config.model.semantic_dimension = (2, 4, 5, 10), 2
    return out


def assert_of_the_crops(batch) -> int:
    """Compares a batch's features with those of its audio, where there is any; returns the number of such frames."""
    heard = 0
    for crop, actual in zip(batch["audio"], batch["features"], strict=True):
        reference = loudness(crop[:, 0])
        full = np.abs(crop).reshape(20, HOP).max(axis=1) > 0  # 0.3 s are 12 frames
        np.testing.assert_allclose(actual[full], reference[full], atol=0.1)
        heard += int(full.sum())
    return heard


def test_features_come_from_the_places_of_the_crops(built, config):
    iterator = pipeline.training_batches(config, batch_size_per_process=3)
    starts = set()
    for _ in range(30):
        batch = next(iterator)
        assert batch["audio"].shape == (3, 8000, 1) and batch["features"].shape == (3, 20, 2)
        assert batch["features"].dtype == np.float32
        assert_of_the_crops(batch)
        starts |= {tuple(np.round(actual[0], 1)) for actual in batch["features"]}
    assert len(starts) > 30
    # Gain is of the audio, not of what the teacher heard.
    config.data.gain_db = (-20.0, -20.0)
    quiet = next(pipeline.training_batches(config, batch_size_per_process=3))
    np.testing.assert_array_equal(quiet["features"], next(pipeline.training_batches(
        config, batch_size_per_process=3))["features"])  # fmt: skip
    assert np.abs(quiet["features"]).max() > 10 * np.abs(loudness(quiet["audio"][0, :, 0])).max()


def test_mixtures_of_single_clips_have_the_features_of_their_clips(built, config):
    config.data.mixture.sources = (f"one={built}", f"two={built}")
    config.data.mixture.probabilities, config.data.mixture.counts = (0.7, 0.3), (1, 1)
    config.data.mixture.pools, config.data.mixture.reverberant = ("one", "*"), (False, False)
    config.quantizer.kbps = (4.0, 8.0)
    config.validate()
    iterator, heard = pipeline.training_batches(config, batch_size_per_process=3), 0
    for _ in range(10):
        heard += assert_of_the_crops(next(iterator))
    assert heard > 300
    assert "features" not in pipeline.validation_batches(config, batch_size_per_process=1, num_batches=1)[0]
    config.data.mixture.counts = (1, 2)
    with pytest.raises(ConfigError, match="data.mixture.counts.*1 everywhere with a teacher's precomputed"):
        config.validate()


def test_behind_the_end_the_last_feature_stays(built, config):
    source = open_source(str(built), sample_rate=16_000, split="train")
    reader = features.Features(source, "out")
    entry = source[0]
    whole = reader.read(entry, 0, entry.frames // HOP)
    longer = reader.read(entry, 2, entry.frames // HOP)
    np.testing.assert_array_equal(longer[:-2], whole[2:])
    np.testing.assert_array_equal(longer[-2:], whole[[-1, -1]])


def test_processes_and_restarts(built, config):
    def run(iterator, count):
        return [next(iterator)["features"] for _ in range(count)]

    shares = [
        pipeline.training_batches(config, batch_size_per_process=2, process_index=i, process_count=2) for i in (0, 1)
    ]
    assert not np.array_equal(*(np.stack(run(share, 5)) for share in shares))
    iterator = pipeline.training_batches(config, batch_size_per_process=2)
    run(iterator, 3)
    state = iterator.get_state()
    expected = run(iterator, 3)
    repeated = pipeline.training_batches(config, batch_size_per_process=2)
    repeated.set_state(state)
    np.testing.assert_array_equal(run(repeated, 3), expected)


def test_an_interrupted_build_goes_on(built):
    calls = []

    def teacher(audio):
        calls.append(len(audio))
        return loudness(audio)

    shards = shards_of_part(built, "1/1")
    assert features.build(shards, teacher, 16_000) == 0 and not calls
    features.beside(shards[0]).unlink()
    assert features.build(shards, teacher, 16_000) == 1
    assert len(calls) == len(records.Shard(shards[0]))
    # One that fails leaves no file, and the others alone.
    features.beside(shards[0]).unlink()
    with pytest.raises(RuntimeError):
        features.build(shards, lambda audio: (_ for _ in ()).throw(RuntimeError("no more")), 16_000)
    assert not features.beside(shards[0]).exists() and features.beside(shards[1]).exists()
    assert [shards_of_part(built, f"{i}/2") for i in (1, 2)] == [shards[:1], shards[1:]]
    for part in ("0/2", "3/2", "a", "1/0"):
        with pytest.raises(CodaxError, match="--part"):
            shards_of_part(built, part)


def test_recordings_too_short_for_the_teacher(built, config):
    shards = shards_of_part(built, "1/1")
    for shard in shards:
        features.beside(shard).unlink()
    features.build(shards, lambda audio: np.zeros((0, 2)), 16_000)
    assert not next(pipeline.training_batches(config, batch_size_per_process=3))["features"].any()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "train-00000-00.features").unlink(), "00-00.features: no such file: the features"),
        (lambda folder: (folder / "train-00000-00.features").write_bytes(b"CDF1"), "train-00000-00.features: "),
        (lambda folder: (folder / "features.json").unlink(), "features.json: no such file: make features with"),
        (lambda folder: (folder / "features.json").write_text("{}"), "features.json: does not describe features"),
        (lambda folder: (folder / "features.json").write_text(json.dumps(dataclasses.asdict(about(frame_rate=0.0)))),
            "frame_rate and dimension must be positive"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_before_training(built, config, damage, reason):
    records.open_shard.cache_clear()
    damage(built)
    with pytest.raises(CodaxError, match=reason):
        pipeline.training_batches(config, batch_size_per_process=3)


def test_features_that_do_not_fit(built, config, tmp_path):
    config.model.semantic_dimension = 3
    with pytest.raises(CodaxError, match="have 2 channels at 40 per second; the codec has 40 frames and .* of 3"):
        pipeline.training_batches(config, batch_size_per_process=3)
    config.model.semantic_dimension, config.model.strides = 2, (2, 4, 5)
    with pytest.raises(CodaxError, match="the codec has 400 frames"):
        pipeline.training_batches(config, batch_size_per_process=3)
    config.model.strides, config.data.source = (2, 4, 5, 10), str(tmp_path / "in")
    with pytest.raises(CodaxError, match=r"\.wav is no shard"):
        pipeline.training_batches(config, batch_size_per_process=3)
    config.data.mixture.sources, config.data.mixture.pools = (f"a={built}",), ("*",) * 4
    with pytest.raises(ConfigError, match=r"mixture\.counts"):
        config.validate()
    with pytest.raises(CodaxError, match="holds other features, of loudness"):
        about(sha256="1").write(built)


@pytest.mark.parametrize("record", [b"", b"CDF1\0\0\0\0", b"CDX1" + bytes(8), b"CDF1\1\0\0\0\1\0\0\0\0"])
def test_records_that_are_none(record):
    with pytest.raises(ValueError, match="record"):
        features.decode(record)
