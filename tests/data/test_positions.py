"""Shares of processes, and positions in the data: resumed exactly, or refused."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path

import numpy as np
import pytest
from codax import audio
from codax.data import pipeline
from codax.data.batches import PositionError
from codax.data.shards.build import build_shards
from codax.data.sources.spec import open_source
from codax.training.checkpoints import CheckpointError, Checkpoints

RATE = 16_000


def numbered(folder: Path, count: int, first: int = 1) -> str:
    """Files of one segment; every sample of file i is i / 1000."""
    folder.mkdir(exist_ok=True)
    for i in range(first, first + count):
        audio.write(folder / f"{i:03d}.wav", np.full(RATE // 2, i / 1000), RATE)
    return str(folder)


@pytest.fixture
def plain(config, tmp_path):
    """41 files; 41 is prime."""
    config.data.source, config.data.validation_fraction = numbered(tmp_path / "in", 41), 0.0
    return config


@pytest.fixture
def mixture(config, tmp_path):
    """Of two sources; gains and second clips are drawn at random."""
    one, two = numbered(tmp_path / "one", 23), numbered(tmp_path / "two", 18, 24)
    config.data.validation_fraction, config.data.gain_db = 0.0, (-6.0, 0.0)
    reference = config.data.mixture
    reference.sources = (f"one={one}", f"two={two}")
    reference.probabilities, reference.counts, reference.pools = (0.6, 0.4), (1, 2), ("one", "*")
    reference.reverberant = (False, False)
    return config


def take(iterator, count: int) -> np.ndarray:
    return np.stack([next(iterator)["audio"] for _ in range(count)])


def numbers(batches: np.ndarray) -> list[int]:
    return np.rint(batches[..., 0, 0] * 1000).astype(int).ravel().tolist()


@pytest.mark.parametrize("processes", range(1, 8))
def test_shares_of_a_mixture_are_one_sequence(mixture, processes):
    mixture.data.gain_db = (0.0, 0.0)
    whole = take(pipeline.training_batches(mixture, batch_size_per_process=1), 6 * processes)
    shares = [
        take(pipeline.training_batches(mixture, batch_size_per_process=2, process_index=i, process_count=processes), 3)
        for i in range(processes)
    ]
    np.testing.assert_array_equal(np.stack(shares, axis=1).reshape(whole.shape), whole)


def test_worker_processes_change_nothing_wherever_a_run_is_interrupted(mixture):
    def batches(workers: int, threads: int = 1):
        mixture.data.worker_processes, mixture.data.read_threads = workers, threads
        return pipeline.training_batches(mixture, batch_size_per_process=4)

    expected = take(batches(0), 30)
    first = batches(0, threads=3)
    np.testing.assert_array_equal(take(first, 13), expected[:13])
    second = batches(2)
    second.set_state(first.get_state())
    np.testing.assert_array_equal(take(second, 8), expected[13:21])
    third = batches(0)
    third.set_state(second.get_state())  # its processes have read ahead of it
    second.close()
    np.testing.assert_array_equal(take(third, 9), expected[21:])
    third.set_state(first.get_state())  # back
    np.testing.assert_array_equal(take(third, 2), expected[13:15])


def test_a_source_in_memory_is_read_anew_by_another_process(plain):
    path = build_shards(plain.data.source, Path(plain.data.source).parent / "out", sample_rate=RATE)
    source = open_source(str(path), sample_rate=RATE)
    source.hold(1)
    before = [source.read(i) for i in range(41)]
    other = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(np.stack([other.read(i) for i in range(41)]), np.stack(before))
    assert other.digest() == source.digest()


def test_what_a_position_does_not_mean_is_refused(plain, tmp_path):
    def batches(size=4, **options):
        return pipeline.training_batches(plain, batch_size_per_process=size, **options)

    iterator = batches()
    take(iterator, 3)
    state = iterator.get_state()
    for other, counted in [(batches(process_count=2), 8), (batches(size=2), 2)]:
        with pytest.raises(PositionError, match=f"batches of 4 examples, not of {counted}"):
            other.set_state(state)
    shares = [batches(size=2, process_index=i, process_count=2) for i in range(2)]
    for share in shares:  # as many examples among two
        share.set_state(state)
    np.testing.assert_array_equal(np.concatenate([take(s, 2) for s in shares], axis=1), take(iterator, 2))
    numbered(tmp_path / "in", 1, first=42)
    with pytest.raises(PositionError, match="41 examples then, 42 now"):
        batches().set_state(state)
    (tmp_path / "in" / "007.wav").unlink()
    with pytest.raises(PositionError, match="the number of examples is the same"):
        batches().set_state(state)
    plain.data.accept_changes = True
    accepting = batches()
    accepting.set_state(state)
    assert accepting.get_state()["batches"] == 3 and take(accepting, 1).shape == (1, 4, RATE // 2, 1)


def test_noise_belongs_to_the_examples(plain, tmp_path):
    plain.data.noise_source = numbered(tmp_path / "noise", 3)
    state = pipeline.training_batches(plain, batch_size_per_process=4).get_state()
    numbered(tmp_path / "noise", 1, first=4)
    with pytest.raises(PositionError, match="the audio has changed since"):
        pipeline.training_batches(plain, batch_size_per_process=4).set_state(state)


def test_positions_of_older_checkpoints_are_understood(plain):
    expected = take(pipeline.training_batches(plain, batch_size_per_process=4), 12)
    iterator = pipeline.training_batches(plain, batch_size_per_process=4)
    iterator.set_state({"next_index": 5})
    np.testing.assert_array_equal(take(iterator, 7), expected[5:])


@pytest.fixture
def collected():
    """Lets go, in the test that made them, of the reads that Orbax leaves unfinished when one part is refused."""
    yield
    gc.collect()


@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:.*never awaited:RuntimeWarning")
def test_checkpoints_refuse_in_one_line(plain, tmp_path):
    state = {"step": np.arange(3)}
    with Checkpoints(tmp_path / "run", kept=2) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, state, pipeline.training_batches(plain, batch_size_per_process=4), {})
    (file,) = (tmp_path / "run" / "checkpoints" / "2").rglob("process_0-of-1.json")
    assert '"examples": 41' in file.read_text(encoding="utf-8")
    numbered(tmp_path / "in", 3, first=50)
    with Checkpoints(tmp_path / "run", kept=2) as checkpoints, pytest.raises(CheckpointError) as caught:
        checkpoints.restore(2, state, pipeline.training_batches(plain, batch_size_per_process=4))
    assert str(caught.value) == (
        f"{tmp_path / 'run' / 'checkpoints' / '2'}: cannot resume: the audio has changed since the checkpoint: 41 "
        "examples then, 44 now; restore it, or accept a different order with data.accept_changes"
    )
