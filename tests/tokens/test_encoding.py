"""How `codax tokenize` divides its work: blocks of long files on a CPU, batches of few shapes on accelerators."""

import threading
import time

import numpy as np
import pytest
import small_models
from codax import audio
from codax.codec import coder
from codax.config import DataConfig
from codax.data.shards import parts, plan
from codax.errors import CodaxError
from codax.tokens import TokenDataset, build, encoding
from signals import uniform_noise


def test_few_blocks_of_a_long_file_are_in_memory(tmp_path, monkeypatch):
    lengths, waiting = [8_000, 8_000, 7_900, 8_000, 50, 8_000, 100], []

    def blocks(*_, **__):
        for number, length in enumerate(lengths):
            waiting.append(number)
            assert len(waiting) <= 3
            yield np.full((length, 1), number, np.float32)

    def convert(samples: np.ndarray) -> list[int]:
        numbers = sorted({int(number) for number in samples[:, 0]})
        for number in numbers:
            waiting.remove(number)
        return numbers

    audio.write(tmp_path / "a.wav", uniform_noise(0.5, 8_000), 8_000)
    monkeypatch.setattr(parts.audio, "blocks", blocks)
    part = plan.Part("00000", "train", [{"file": str(tmp_path / "a.wav"), "id": "a", "split": "train"}])
    options = plan.Options("a", 8_000, 1.0, 1, DataConfig())
    [read] = parts.readings(part, options, convert)
    # Only the last block, of less than a second, joins the one before it.
    assert [numbers for _, _, numbers in read().records] == [[0], [1], [2], [3], [4], [5, 6]]


def test_batches_hold_few_samples_and_similar_lengths(monkeypatch):
    monkeypatch.setattr(encoding, "BATCH_SAMPLES", 10_000)
    lengths = np.sort(np.random.default_rng(0).integers(50, 12_000, 500)).tolist()
    groups = list(encoding.grouped(lengths))
    assert [i for group in groups for i in group] == list(range(500))
    for group in groups:
        count, longest = 1 << (len(group) - 1).bit_length(), lengths[group[-1]]
        assert len(group) == 1 or (count * longest <= 10_000 and longest < 2 * lengths[group[0]])
    assert list(encoding.grouped([])) == []


def test_an_accelerator_compiles_few_shapes(tmp_path, monkeypatch):
    codec = small_models.codec("soundstream")
    (tmp_path / "audio").mkdir()
    for i, seconds in enumerate(np.random.default_rng(0).uniform(0.3, 1.2, 40)):
        audio.write(tmp_path / "audio" / f"{i:02d}.wav", uniform_noise(float(seconds), 8_000, seed=i), 8_000)
    build.build_tokens(str(tmp_path / "audio"), tmp_path / "alone", codec)
    encode_piece, shapes = codec.engine._encode, []

    def encode(variables, signals, *more):
        shapes.append(signals.shape)
        return encode_piece(variables, signals, *more)

    monkeypatch.setattr(codec.engine, "_encode", encode)
    for module in (encoding, coder):
        monkeypatch.setattr(module, "platform", lambda: "gpu")
    monkeypatch.setattr(encoding, "BATCH_SAMPLES", 100_000)
    build.build_tokens(str(tmp_path / "audio"), tmp_path / "batches", codec)
    assert len(shapes) < 12 and all((count & (count - 1)) == 0 for count, _, _ in shapes)
    alone, batches = TokenDataset(tmp_path / "alone"), TokenDataset(tmp_path / "batches")
    assert [record["id"] for record in alone] == [record["id"] for record in batches]
    # Other shapes round differently, which decides between equally near entries.
    equal = [np.mean(a["codes"] == b["codes"]) for a, b in zip(alone, batches, strict=True)]
    assert np.mean(equal) > 0.99


def test_an_accelerator_encodes_one_thing_at_a_time_with_weights_folded_once(tmp_path, monkeypatch):
    codec = small_models.codec("soundstream")
    vars(codec.engine).pop("folded", None)
    (tmp_path / "audio").mkdir()
    for i, seconds in enumerate([1.5] * 6 + [0.4] * 6):
        audio.write(tmp_path / "audio" / f"{i:02d}.wav", uniform_noise(seconds, 8_000, seed=i), 8_000)
    encode, busy = codec.encode, threading.Lock()

    def slowly(*arguments, **options):
        assert "folded" in vars(codec.engine)
        assert busy.acquire(blocking=False), "another thread encodes"
        time.sleep(0.05)
        busy.release()
        return encode(*arguments, **options)

    monkeypatch.setattr(codec, "encode", slowly)
    monkeypatch.setattr(encoding, "platform", lambda: "gpu")
    monkeypatch.setattr(encoding, "LONG_SECONDS", 1.0)
    build.build_tokens(str(tmp_path / "audio"), tmp_path / "out", codec, workers=4)
    assert len(TokenDataset(tmp_path / "out")) == 12


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_recordings_of_other_channels_are_skipped_and_named(tmp_path, monkeypatch, platform):
    monkeypatch.setattr(encoding, "platform", lambda: platform)
    (tmp_path / "audio").mkdir()
    for channels in (1, 2, 3):
        path = tmp_path / "audio" / f"{channels}.wav"
        audio.write(path, uniform_noise(0.4, 8_000, channels), 8_000)
    build.build_tokens(str(tmp_path / "audio"), tmp_path / "out", small_models.codec("encodec_48khz"))
    dataset = TokenDataset(tmp_path / "out")
    assert [record["id"] for record in dataset] == ["1", "2"]
    assert dataset.about["skipped"] == {"not of 1 or 2 channels": {"count": 1, "examples": ["3"]}}


def test_an_error_of_the_codec_is_not_taken_for_an_unreadable_file(tmp_path, monkeypatch):
    codec = small_models.codec("soundstream")
    audio.write(tmp_path / "a.wav", uniform_noise(0.5, 8_000), 8_000)

    def encode(*_, **__):
        raise CodaxError("the codec failed")

    monkeypatch.setattr(codec, "encode", encode)
    with pytest.raises(CodaxError, match="the codec failed"):
        build.build_tokens(str(tmp_path / "a.wav"), tmp_path / "out", codec)
