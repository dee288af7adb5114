"""Reverberation: decay, alignment, level, and which examples get it."""

from __future__ import annotations

import numpy as np
import pytest
from codax import audio
from codax.data import noise, pipeline
from codax.data.reverberation import Rooms, reverberate, reverberation_time, synthetic_response
from codax.errors import CodaxError

RATE = 16_000


@pytest.fixture
def config(config, tmp_path, make_audio):
    """Some files of noise, and no room yet."""
    for i in range(6):
        make_audio(tmp_path / "in" / f"{i}.wav", 0.8 + 0.3 * i, seed=i)
    config.data.source = str(tmp_path / "in")
    return config


def take(config, count=8, **options):
    iterator = pipeline.training_batches(config, batch_size_per_process=4, **options)
    return np.concatenate([next(iterator)["audio"] for _ in range(count)])


def test_the_decay_of_an_exponential_is_measured():
    for rt60 in (0.2, 0.7, 2.0):
        times = np.arange(int(2 * rt60 * RATE)) / RATE
        decay = np.exp(-3 * np.log(10) * times / rt60)[:, None]  # 60 dB of amplitude in rt60 seconds
        assert reverberation_time(decay, RATE) == pytest.approx(rt60, rel=1e-3)
    for empty in (np.zeros((100, 1)), np.zeros((0, 1)), np.eye(100)[:, :1]):
        assert reverberation_time(empty, RATE) == 0.0


@pytest.mark.parametrize("rt60", [0.3, 0.8, 1.3])
@pytest.mark.parametrize("channels", [1, 2])
def test_synthetic_rooms_have_their_rt60_and_a_direct_path(rt60, channels):
    measured = []
    for seed in range(10):
        response = synthetic_response(np.random.default_rng(seed), rt60, RATE, channels)
        assert response.dtype == np.float32 and response.shape == (round(rt60 * RATE), channels)
        np.testing.assert_array_equal(response[0], 1.0)
        np.testing.assert_array_equal(np.abs(response).argmax(0), 0)
        measured.append(reverberation_time(response, RATE))
        tail_db = 10 * np.log10(np.square(response[1:]).sum(0))
        assert (tail_db > -10.01).all() and (tail_db < 0.01).all()
        if channels == 2:
            assert abs(np.corrcoef(response[1:].T)[0, 1]) < 0.1
    np.testing.assert_allclose(measured, rt60, rtol=0.1)  # it is noise: a short one decays less evenly
    assert np.mean(measured) == pytest.approx(rt60, rel=0.03)


def test_a_room_neither_delays_nor_amplifies():
    response = synthetic_response(np.random.default_rng(0), 0.5, RATE)
    click = np.zeros((8000, 1), np.float32)
    click[3000] = 0.5
    wet = reverberate(click, response)
    assert wet.dtype == np.float32 and wet.shape == click.shape
    assert np.abs(wet[:3000]).max() < 1e-6 and np.abs(wet).argmax() == 3000
    np.testing.assert_allclose(wet[3000:] / wet[3000], response[:5000], atol=1e-5)

    dry = np.random.default_rng(1).uniform(-0.3, 0.3, (8000, 2)).astype(np.float32)
    response = synthetic_response(np.random.default_rng(0), 0.9, RATE, 2)
    wet = reverberate(dry, response)
    np.testing.assert_allclose(np.square(wet).mean(), np.square(dry).mean(), rtol=1e-5)
    plain = np.stack([np.convolve(dry[:, c], response[:, c])[:8000] for c in range(2)], axis=1)
    np.testing.assert_allclose(wet * np.sqrt(np.square(plain).mean() / np.square(dry).mean()), plain, atol=1e-4)
    silence = np.zeros((100, 1), np.float32)
    np.testing.assert_array_equal(reverberate(silence, response[:, :1]), silence)


def test_rooms_come_with_their_probability_and_range(config):
    config.data.mixture.reverberation, config.data.mixture.rt60_seconds = 0.2, (0.4, 0.6)
    rooms, rng = Rooms(config), np.random.default_rng(0)
    drawn = [room for room in (rooms.draw(rng) for _ in range(1000)) if room is not None]
    assert 160 <= len(drawn) <= 240  # three standard deviations
    seconds = np.array([len(room) for room in drawn]) / RATE
    assert 0.4 <= seconds.min() < 0.42 and 0.58 < seconds.max() <= 0.6 and abs(seconds.mean() - 0.5) < 0.02


def test_recorded_rooms_of_the_range_are_used_from_their_direct_path_on(config, tmp_path):
    for i, rt60 in enumerate((0.1, 0.5, 0.9, 2.0)):
        response = synthetic_response(np.random.default_rng(i), rt60, RATE)
        response = np.concatenate([np.zeros((800, 1), np.float32), response])  # 50 ms of flight
        (tmp_path / "rooms").mkdir(exist_ok=True)
        audio.write(tmp_path / "rooms" / f"{i}.wav", 0.9 * response, RATE)
    config.data.mixture.reverberation = 1.0
    config.data.mixture.reverberation_source = str(tmp_path / "rooms")
    config.model.audio_channels = 2
    rooms, rng = Rooms(config), np.random.default_rng(0)
    drawn = [room for room in (rooms.draw(rng) for _ in range(40)) if room is not None]
    assert len(drawn) == 40 and {len(room) for room in drawn} == {8000, 14400}
    assert all(np.abs(room[:, 0]).argmax() == 0 and room.shape[1] == 2 for room in drawn)
    assert 10 <= sum(len(room) == 8000 for room in drawn) <= 30

    config.data.mixture.rt60_seconds = (3.0, 4.0)
    with pytest.raises(CodaxError, match=r"rooms: holds no impulse response with an RT60 of 3 to 4 s"):
        pipeline.training_batches(config, batch_size_per_process=1)
    config.data.mixture.reverberation_source = str(tmp_path / "none")
    with pytest.raises(CodaxError, match="none: no such"):
        Rooms(config)


def test_training_examples_reverberate_and_validation_does_not(config):
    config.data.normalize_peak, config.data.gain_db = True, (-6.0, -6.0)
    dry, fixed = take(config), pipeline.validation_batches(config, batch_size_per_process=2, num_batches=1)
    config.data.mixture.reverberation = 1.0
    wet = take(config)
    np.testing.assert_allclose(np.abs(wet).max((1, 2)), np.abs(dry).max((1, 2)), rtol=1e-5)  # the same normalisation
    assert not np.isclose(dry, wet, atol=1e-4).all((1, 2)).any()
    repeated = pipeline.validation_batches(config, batch_size_per_process=2, num_batches=1)
    np.testing.assert_array_equal(repeated[0]["audio"], fixed[0]["audio"])


def test_reverberation_survives_a_restart(config):
    config.data.mixture.reverberation = 0.5
    first = pipeline.training_batches(config, batch_size_per_process=2)
    for _ in range(5):
        next(first)
    state, expected = first.get_state(), np.stack([next(first)["audio"] for _ in range(10)])
    config.data.read_threads = 3
    repeated = pipeline.training_batches(config, batch_size_per_process=2)
    repeated.set_state(state)
    np.testing.assert_array_equal(np.stack([next(repeated)["audio"] for _ in range(10)]), expected)


def test_processes_are_in_different_rooms(config, tmp_path):
    click = np.zeros((8000, 1), np.float32)
    click[0] = 0.9
    (tmp_path / "clicks").mkdir()
    for i in range(4):
        audio.write(tmp_path / "clicks" / f"{i}.wav", click, RATE)
    config.data.source, config.data.validation_fraction = str(tmp_path / "clicks"), 0.0
    config.data.mixture.reverberation = 0.5
    wet = [np.abs(take(config, process_index=i, process_count=2)[:, 1:]).max((1, 2)) > 1e-3 for i in range(2)]
    assert 4 < wet[0].sum() < 28 and not np.array_equal(*wet)


def test_denoising_pairs_stand_in_the_same_room(config):
    config.data.noise_source, config.data.noise_gain_db = noise.SPEC, (-200.0, -200.0)
    config.data.mixture.reverberation = 1.0
    batch = next(pipeline.training_batches(config, batch_size_per_process=4))
    np.testing.assert_allclose(batch["audio"], batch["clean"], atol=1e-6)
