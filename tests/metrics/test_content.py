"""Phone information of codes: known cases."""

import numpy as np
import pytest
from codax.metrics import content
from codax.metrics.signals import MetricError


def _joint(codes, labels, size=4, kinds=3) -> np.ndarray:
    return content.joint_counts(np.asarray(codes), np.asarray(labels), size, kinds)


def test_counts_leave_out_frames_without_a_phone() -> None:
    np.testing.assert_array_equal(_joint([0, 1, 1, 3], [2, 0, -1, 0]).nonzero(), [[0, 1, 3], [2, 0, 0]])
    with pytest.raises(MetricError, match="do not fit a codebook of 4"):
        _joint([4], [0])


def test_codes_that_tell_everything_half_and_nothing() -> None:
    labels = np.tile([0, 1], 50)
    assert content.phone_information(_joint(labels, labels)) == pytest.approx(1)
    assert content.phone_information(_joint(np.zeros(100, int), labels)) == pytest.approx(0, abs=1e-12)
    codes = np.where(np.arange(100) < 50, labels, 2)  # the second half says nothing
    assert content.phone_information(_joint(codes, labels)) == pytest.approx(0.5)
    assert content.phone_purity(_joint(codes, labels)) == pytest.approx(0.75)


def test_what_an_utterance_alone_says_does_not_count() -> None:
    rng = np.random.default_rng(0)
    # A code for every frame: the purity is perfect, the prediction of unseen utterances worthless.
    joint = np.stack([content.joint_counts(np.arange(i * 20, i * 20 + 20), rng.integers(0, 3, 20), 200, 3)
                      for i in range(10)])  # fmt: skip
    assert content.phone_purity(joint.sum(0)) == 1
    hits, frames = content.left_out_hits(joint)
    assert hits.sum() == 0
    assert frames.sum() == 200
    same = np.repeat(_joint([0, 1, 2], [0, 1, 2])[None], 4, axis=0)
    hits, frames = content.left_out_hits(same)
    np.testing.assert_array_equal(hits, frames)


def test_the_jackknife_of_a_mean_is_the_known_one() -> None:
    values = np.random.default_rng(0).uniform(0, 100, 30)
    left = [np.delete(values, i).mean() for i in range(30)]
    assert content.jackknife_error(left) == pytest.approx(values.std(ddof=1) / 30**0.5)
