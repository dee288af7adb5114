"""NSIM against values worked out by hand, loops that follow its definition, and the reference program."""

import json
from pathlib import Path

import numpy as np
import pytest
from codax.metrics.nsim import C1, C3, CENTRE, CORNER, EDGE, nsim, sliding_nsim, smooth

UNITS = json.loads((Path(__file__).parents[1] / "golden" / "visqol_units.json").read_text())
WEIGHTS = np.array([[CORNER, EDGE, CORNER], [EDGE, CENTRE, EDGE], [CORNER, EDGE, CORNER]])


def golden_patches() -> tuple[np.ndarray, np.ndarray]:
    """The 4 x 6 patches that the golden file describes."""
    i, j = np.mgrid[:4, :6]
    return 20 + 3 * i + 5 * np.sin(0.9 * j + i), 19 + 3 * i + 4 * np.sin(0.9 * j + i + 0.4) + 0.5 * ((i + j) % 2)


def smooth_by_loops(patch: np.ndarray) -> np.ndarray:
    padded = np.pad(patch, 1, mode="edge")
    return np.array(
        [[(WEIGHTS * padded[i : i + 3, j : j + 3]).sum() for j in range(patch.shape[1])] for i in range(patch.shape[0])]
    )


def similarity_by_definition(r: np.ndarray, d: np.ndarray) -> float:
    mean_r, mean_d = smooth_by_loops(r), smooth_by_loops(d)
    product = (smooth_by_loops(r * r) - mean_r**2) * (smooth_by_loops(d * d) - mean_d**2)
    covariance = smooth_by_loops(r * d) - mean_r * mean_d
    intensity = (2 * mean_r * mean_d + C1) / (mean_r**2 + mean_d**2 + C1)
    structure = (covariance + C3) / (np.where(product >= 0, np.sqrt(np.abs(product)), 0) + C3)
    return (intensity * structure).mean()


def test_smoothing_of_a_single_cell_by_hand():
    patch = np.zeros((4, 6))
    patch[1, 2] = 1.0
    expected = np.zeros((4, 6))
    expected[0:3, 1:4] = WEIGHTS
    np.testing.assert_allclose(smooth(patch), expected, atol=1e-17)
    # In the corner the repeated border counts the cell again: once to the left, once above, once diagonally.
    patch = np.zeros((4, 6))
    patch[0, 0] = 1.0
    expected = np.zeros((4, 6))
    expected[0, 0] = CENTRE + 2 * EDGE + CORNER
    expected[0, 1] = expected[1, 0] = EDGE + CORNER
    expected[1, 1] = CORNER
    np.testing.assert_allclose(smooth(patch), expected, atol=1e-16)


def test_4x6_patch_by_hand():
    """A spike of 2 over a floor of 0 against silence: three kinds of cells, worked out one by one."""
    reference, degraded = np.zeros((4, 6)), np.zeros((4, 6))
    reference[1, 2] = 2.0
    actual = nsim(reference, degraded)

    # The silent side has no mean and no variance, so a cell is C1 / (mean^2 + C1) and its structure C3 / C3.
    def cell(weight: float) -> float:
        return 0.0001 / ((2 * weight) ** 2 + 0.0001)

    corner, edge, centre = cell(0.0113033910173052), cell(0.0838251475442633), cell(0.619485845753726)
    rows = [
        (2 * corner + edge + 3) / 6,
        (2 * edge + centre + 3) / 6,
        (2 * corner + edge + 3) / 6,
        1.0,
    ]
    np.testing.assert_allclose(actual.band_means, rows, rtol=1e-12)
    np.testing.assert_allclose(actual.similarity, np.mean(rows), rtol=1e-12)
    np.testing.assert_allclose(
        actual.band_stds[0], np.std([1, corner, edge, corner, 1, 1], ddof=1), rtol=1e-10
    )  # divisor frames - 1
    np.testing.assert_array_equal(actual.band_degraded_energy, np.zeros(4))


def test_4x6_patch_of_the_reference_program():
    golden = UNITS["nsim_4x6"]
    reference, degraded = golden_patches()
    actual = nsim(reference, degraded)
    np.testing.assert_allclose(actual.similarity, golden["similarity"], rtol=1e-12)
    np.testing.assert_allclose(actual.band_means, golden["freq_band_means"], rtol=1e-11)
    np.testing.assert_allclose(actual.band_stds, golden["freq_band_stddevs"], rtol=1e-10)
    np.testing.assert_allclose(actual.band_degraded_energy, golden["freq_band_deg_energy"], rtol=1e-14)
    np.testing.assert_allclose(smooth(reference), golden["mu_ref"], rtol=1e-14)
    np.testing.assert_allclose(smooth(degraded), golden["mu_deg"], rtol=1e-14)


def test_equal_patches_give_exactly_one():
    patches = np.random.default_rng(0).uniform(0, 45, (50, 32, 30))
    actual = nsim(patches, patches)
    np.testing.assert_array_equal(actual.similarity, 1.0)
    np.testing.assert_array_equal(actual.band_stds, 0.0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_batch_follows_the_definition(dtype):
    rng = np.random.default_rng(1)
    reference = rng.uniform(0, 30, (5, 7, 9)).astype(dtype)
    degraded = (reference + rng.normal(0, 4, (5, 7, 9))).astype(dtype)
    expected = [
        similarity_by_definition(r, d) for r, d in zip(reference.astype(float), degraded.astype(float), strict=True)
    ]
    actual = nsim(reference, degraded)
    assert actual.similarity.dtype == dtype
    assert actual.band_means.shape == actual.band_stds.shape == actual.band_degraded_energy.shape == (5, 7)
    np.testing.assert_allclose(actual.similarity, expected, rtol=1e-12 if dtype == np.float64 else 1e-4)


def test_one_reference_against_many():
    reference, degraded = golden_patches()
    actual = nsim(reference, np.stack([degraded, reference]))
    np.testing.assert_allclose(actual.similarity, [UNITS["nsim_4x6"]["similarity"], 1.0])


def test_may_be_negative():
    ramp = np.tile(np.arange(6.0), (4, 1))
    assert nsim(ramp, ramp[:, ::-1]).similarity < 0


def test_sliding_equals_one_by_one():
    """Also across the blocks of offsets that are worked on at a time, and past the end of the degraded signal."""
    rng = np.random.default_rng(2)
    patches, degraded = rng.uniform(0, 45, (2, 5, 6)), rng.uniform(0, 45, (5, 600))
    actual = sliding_nsim(patches, degraded)
    padded = np.pad(degraded, ((0, 0), (0, 6)))
    for offset in (0, 1, 255, 256, 511, 594, 595, 599):
        np.testing.assert_allclose(
            actual[:, offset], nsim(patches, padded[:, offset : offset + 6]).similarity, rtol=1e-12
        )


def test_sliding_keeps_exact_ties():
    """A repeated stretch scores the same to the last bit wherever it lies; the search depends on it."""
    rng = np.random.default_rng(3)
    degraded = np.tile(rng.uniform(0, 45, (21, 50)), (1, 12))
    actual = sliding_nsim(rng.uniform(0, 45, (3, 21, 20)), degraded)
    assert np.ptp(actual[:, 0:550:50], axis=1).max() == 0


@pytest.mark.parametrize("shapes", [((4, 6), (4, 7)), ((4, 1), (4, 1)), ((6,), (6,))])
def test_unfit_patches_are_refused(shapes):
    with pytest.raises(ValueError, match="patch"):
        nsim(*(np.zeros(shape) for shape in shapes))
