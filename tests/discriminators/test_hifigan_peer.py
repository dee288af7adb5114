"""Live comparison with the discriminators of the `speechtokenizer` package, where it is installed.

pip install torch==2.13.0 einops scipy beartype && pip install --no-deps speechtokenizer
"""

from __future__ import annotations

import numpy as np
import pytest
from codax.discriminators.hifigan import PeriodDiscriminator, ScaleDiscriminator, halve
from peer_package import import_peer

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def package():
    with pytest.MonkeyPatch.context() as patch:
        import_peer(patch, "speechtokenizer", without=("speechtokenizer.trainer",))
        yield pytest.importorskip("speechtokenizer.discriminators")


def _ours(theirs) -> dict:
    """Parameters of a discriminator of the package; spectral normalisation keeps its vectors there."""
    params: dict = {}
    for name, value in theirs.state_dict().items():
        place, _, part = name.rpartition(".")
        layer = "logits" if place == "conv_post" else place.replace("convs.", "conv")
        array = value.numpy()
        if array.ndim > 1:
            array = np.moveaxis(array, (0, 1), (-1, -2))
        key = {"weight_g": "kernel_scale", "weight_v": "kernel_direction", "weight_orig": "kernel", "bias": "bias"}
        if part in key:
            params.setdefault(layer, {})[key[part]] = array
    return {"params": params}


def _check(actual, expected) -> None:
    (logits, features), (their_logits, their_features) = actual, expected
    np.testing.assert_allclose(np.asarray(logits).reshape(len(logits), -1), their_logits.detach().numpy(), atol=2e-5)
    for ours, theirs in zip(features, their_features, strict=True):
        moved = np.moveaxis(theirs.detach().numpy(), 1, -1)
        assert np.linalg.norm(ours - moved) / np.linalg.norm(moved) < 1e-4


def test_periods_and_scales(package) -> None:
    torch.manual_seed(0)
    audio = np.random.default_rng(0).standard_normal((2, 4001, 1)).astype(np.float32)
    signal = torch.from_numpy(np.moveaxis(audio, 1, 2).copy())
    for period in (2, 11):
        theirs = package.DiscriminatorP(period).eval()
        _check(PeriodDiscriminator(period).apply(_ours(theirs), audio), theirs(signal))
    theirs = package.DiscriminatorS().eval()
    _check(ScaleDiscriminator().apply(_ours(theirs), audio), theirs(signal))
    pooled = package.MultiScaleDiscriminator().meanpools[0](signal).numpy()
    np.testing.assert_allclose(halve(audio), np.moveaxis(pooled, 1, 2), atol=1e-6)


def test_spectral_normalisation_once_its_vectors_have_settled(package) -> None:
    torch.manual_seed(0)
    theirs = package.DiscriminatorS(use_spectral_norm=True).train()
    audio = np.random.default_rng(0).standard_normal((1, 512, 1)).astype(np.float32)
    signal = torch.from_numpy(np.moveaxis(audio, 1, 2).copy())
    for _ in range(100):
        theirs(signal[..., :64])
    logits, _ = ScaleDiscriminator(spectral=True).apply(_ours(theirs), audio)
    expected = theirs.eval()(signal)[0].detach().numpy()
    # Each of eight layers is off by a few hundredths at most: see test_hifigan.
    assert np.abs(np.asarray(logits)[..., 0] - expected).max() < 0.25 * np.abs(expected).max()
