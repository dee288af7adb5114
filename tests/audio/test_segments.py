"""Segments of a signal that arrives in chunks."""

import numpy as np
from codax.audio.segments import Cutter, bounds


def test_chunks_of_any_size_give_the_segments_of_the_whole():
    signal = np.random.default_rng(0).standard_normal((2, 1003, 1))
    expected = [signal[:, start:stop] for start, stop in bounds(1003, 100, 90)]
    for size in (1, 7, 99, 100, 101, 450, 1003):
        cutter = Cutter(100, 90)
        segments = [each for at in range(0, 1003, size) for each in cutter.push(signal[:, at : at + size])]
        segments += cutter.finish()
        assert all(np.array_equal(a, b) for a, b in zip(segments, expected, strict=True)), size


def test_the_segments_of_a_long_chunk_share_its_memory():
    segments = Cutter(100, 90).push(np.zeros((1, 100_000, 1)))
    assert len(segments) == 1111 and len({id(segment.base) for segment in segments}) == 1
