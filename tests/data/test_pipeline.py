"""Batches: shape, order, restarts, shares of processes."""

from __future__ import annotations

import numpy as np
import pytest
from codax import audio
from codax.config import MixtureConfig
from codax.data import noise, pipeline, transforms
from codax.data.shards.build import build_shards


@pytest.fixture
def folder(tmp_path, make_audio):
    for i in range(12):
        make_audio(
            tmp_path / "in" / f"{i}.wav", 0.3 + 0.4 * i, rate=16_000 if i % 2 else 8000, channels=1 + i % 2, seed=i
        )
    return tmp_path / "in"


def take(iterator, count):
    return [next(iterator)["audio"] for _ in range(count)]


def test_batches_have_the_promised_shape(folder, config):
    config.data.source = str(folder)
    for channels in (1, 2):
        config.model.audio_channels = channels
        batch = next(pipeline.training_batches(config, batch_size_per_process=3))
        assert set(batch) == {"audio"} and batch["audio"].dtype == np.float32
        assert batch["audio"].shape == (3, 8000, channels)


@pytest.mark.parametrize("shards", [False, True])
def test_a_restored_iterator_goes_on_bit_for_bit(folder, config, tmp_path, shards):
    config.data.source = str(folder)
    if shards:
        config.data.source = str(build_shards(str(folder), tmp_path / "out", sample_rate=16_000))
    config.data.gain_db = (-6.0, 6.0)
    first = pipeline.training_batches(config, batch_size_per_process=4)
    take(first, 7)
    state = first.get_state()
    expected = take(first, 20)
    for threads in (1, 3):
        config.data.read_threads, config.data.prefetch = threads, 8 * threads
        repeated = pipeline.training_batches(config, batch_size_per_process=4)
        repeated.set_state(state)
        np.testing.assert_array_equal(np.stack(take(repeated, 20)), np.stack(expected))


def test_the_seed_decides_and_epochs_differ(folder, config):
    (folder / "0.wav").unlink()  # shorter than a segment: always the same
    config.data.source = str(folder)

    def run(seed, count=30):
        return np.stack(take(pipeline.training_batches(config, batch_size_per_process=4, seed=seed), count))

    np.testing.assert_array_equal(run(1, 5), run(1, 5))
    assert not np.array_equal(run(1, 5), run(2, 5))
    one = run(1).reshape(120, -1)  # several epochs of about 50 segments
    assert len(np.unique(one, axis=0)) == 120


def numbered_shards(tmp_path, lengths):
    """A source in which every sample of file i is (i + 1) / 100."""
    for i, seconds in enumerate(lengths):
        (tmp_path / "in").mkdir(exist_ok=True)
        audio.write(tmp_path / "in" / f"{i:02d}.wav", np.full(round(seconds * 16_000), (i + 1) / 100), 16_000)
    return str(tmp_path / "in")


def test_every_second_of_audio_is_equally_likely(tmp_path, config):
    config.data.source = numbered_shards(tmp_path, [1.0] * 4 + [8.0])
    config.data.validation_fraction = 0.0
    batches = take(pipeline.training_batches(config, batch_size_per_process=8), 30)
    firsts = np.rint(np.concatenate(batches)[:, 0, 0] * 100).astype(int)
    counts = np.bincount(firsts, minlength=6)[1:]
    np.testing.assert_array_equal(counts, [20, 20, 20, 20, 160])  # 2 and 16 of the 24 segments in each of 10 epochs


@pytest.mark.parametrize("processes", range(1, 8))
def test_processes_share_the_batches_of_one(tmp_path, config, processes):
    """Together, in their order, they have those of one process, to the sample; none is left out or comes twice."""
    config.data.source = numbered_shards(tmp_path, [0.5] * 17)
    config.data.validation_fraction = 0.0
    config.data.gain_db = (-20.0, 0.0)
    steps = 12
    whole = np.stack(take(pipeline.training_batches(config, batch_size_per_process=4 * processes), steps))
    shares, positions = [], []
    for process in range(processes):
        options = {"process_index": process, "process_count": processes}
        iterator = pipeline.training_batches(config, batch_size_per_process=4, **options)
        shares += [take(iterator, steps)]
        positions.append(iterator.get_state())
    assert positions == [positions[0]] * processes and positions[0]["batches"] == steps
    np.testing.assert_array_equal(np.concatenate([np.stack(share) for share in shares], axis=1), whole)
    config.data.gain_db = (0.0, 0.0)
    shares = [
        take(
            pipeline.training_batches(config, batch_size_per_process=1, process_index=i, process_count=processes),
            -(-34 // processes),
        )
        for i in range(processes)
    ]
    firsts = np.rint(np.stack(shares, axis=1).reshape(-1, *shares[0][0].shape[1:])[:34, 0, 0] * 100).astype(int)
    assert sorted(firsts) == sorted([*range(1, 18)] * 2)  # two epochs


def test_short_files_are_filled_with_zeros(tmp_path, config):
    config.data.source = numbered_shards(tmp_path, [0.3])
    batch = next(pipeline.training_batches(config, batch_size_per_process=2))["audio"]
    np.testing.assert_allclose(batch[:, :4800], 0.01, atol=1e-4)
    np.testing.assert_array_equal(batch[:, 4800:], 0.0)


def test_gain_and_peak(tmp_path, config):
    config.data.source = numbered_shards(tmp_path, [2.0] * 3)
    config.data.normalize_peak, config.data.gain_db = True, (-6.0, -3.0)
    peaks = np.abs(np.stack(take(pipeline.training_batches(config, batch_size_per_process=4), 10))).max((2, 3))
    decibels = 20 * np.log10(peaks / 0.95)
    assert -6.01 < decibels.min() < -5.0 and -4.0 < decibels.max() < -2.99


@pytest.mark.parametrize("mixed", [False, True])
def test_speed_moves_the_pitch_within_its_range(tmp_path, config, mixed):
    (tmp_path / "in").mkdir()
    time = np.arange(32_000) / 16_000
    audio.write(tmp_path / "in" / "a.wav", 0.5 * np.sin(2 * np.pi * 1000 * time), 16_000)
    config.data.source, config.data.validation_fraction, config.data.speed = str(tmp_path / "in"), 0.0, (0.8, 1.25)
    if mixed:
        config.data.mixture = MixtureConfig((f"a={config.data.source}",), (1.0,), (1,), ("a",), (False,))
    examples = np.concatenate(take(pipeline.training_batches(config, batch_size_per_process=4), 10))[..., 0]
    assert examples.shape == (40, 8000)
    spectra = np.abs(np.fft.rfft(examples * np.hanning(8000)))
    pitches = 2.0 * spectra.argmax(1)  # Hz
    assert 800 <= pitches.min() < 870 and 1180 < pitches.max() <= 1250
    np.testing.assert_allclose(np.abs(examples[:, -200:]).max(1), 0.5, atol=0.01)  # none is filled with zeros
    config.data.validation_fraction, config.train.eval_batches = 1.0, 1
    plain = pipeline.validation_batches(config, batch_size_per_process=1)[0]["audio"][0, :, 0]
    assert 2.0 * np.abs(np.fft.rfft(plain * np.hanning(8000))).argmax() == 1000


def test_validation_is_fixed(folder, config):
    config.data.source = str(folder)
    config.data.validation_fraction = 0.4
    config.data.gain_db = (-20.0, 0.0)
    config.train.eval_batches = 2
    alone = pipeline.validation_batches(config, batch_size_per_process=4)
    repeated = pipeline.validation_batches(config, batch_size_per_process=4)
    assert len(alone) == 2 and alone[0]["audio"].shape == (4, 8000, 1)
    np.testing.assert_array_equal(alone[1]["audio"], repeated[1]["audio"])
    halves = pipeline.validation_batches(config, batch_size_per_process=2, num_batches=4)
    np.testing.assert_array_equal(
        *(np.concatenate([batch["audio"] for batch in batches]) for batches in (alone, halves))
    )


def test_a_file_that_vanishes_while_training_is_replaced(folder, config, caplog):
    config.data.source = str(folder)
    batches = pipeline.training_batches(config, batch_size_per_process=4)
    (folder / "11.wav").unlink()
    assert np.isfinite(np.stack(take(batches, 40))).all()
    assert sum("11.wav: no such file" in record.getMessage() for record in caplog.records) == 1
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(Exception, match="has the folder been removed"):
        take(batches, 20)


@pytest.mark.parametrize("recorded", [False, True])
def test_denoising_pairs(folder, config, tmp_path, make_audio, recorded):
    config.data.source = str(folder)
    config.data.noise_gain_db = (-20.0, -20.0)
    config.data.noise_source = noise.SPEC
    if recorded:
        for i in range(3):
            make_audio(tmp_path / "noise" / f"{i}.wav", 0.35, seed=100 + i)  # shorter than a segment: repeated
        config.data.noise_source = str(tmp_path / "noise")
    batch = next(pipeline.training_batches(config, batch_size_per_process=8))
    assert set(batch) == {"audio", "clean"} and batch["clean"].shape == batch["audio"].shape == (8, 8000, 1)
    added = np.abs(batch["audio"] - batch["clean"]).max((1, 2))
    scale = np.abs(batch["clean"]).max((1, 2)) / transforms.PEAK
    np.testing.assert_allclose(added, 0.1 * scale * (transforms.PEAK if recorded else 0.95), rtol=1e-3)
    assert np.abs(batch["audio"]).max() <= 1.0
    fixed = [pipeline.validation_batches(config, batch_size_per_process=2, num_batches=1)[0] for _ in range(2)]
    np.testing.assert_array_equal(fixed[0]["audio"], fixed[1]["audio"])


def test_synthetic_noise_is_decided_by_the_generator_and_varies():
    made = [noise.synthetic(np.random.default_rng(seed), 4000, 16_000) for seed in range(40)]
    np.testing.assert_array_equal(made[3], noise.synthetic(np.random.default_rng(3), 4000, 16_000))
    for one in made:
        assert one.dtype == np.float32 and np.abs(one).max() == pytest.approx(1.0)
        assert np.isfinite(one).all() and np.abs(one).mean() > 0.01
    assert np.isfinite(noise.synthetic(np.random.default_rng(0), 10, 48_000)).all()


def test_channels_are_matched():
    stereo = np.array([[1.0, 3.0], [2.0, 4.0]], np.float32)
    np.testing.assert_array_equal(transforms.fit_channels(stereo, 1), [[2.0], [3.0]])
    np.testing.assert_array_equal(transforms.fit_channels(stereo[:, :1], 2), [[1.0, 1.0], [2.0, 2.0]])
    np.testing.assert_array_equal(transforms.fit_channels(np.hstack([stereo, stereo]), 2), stereo)
    assert transforms.fit_channels(stereo, 2) is stereo
