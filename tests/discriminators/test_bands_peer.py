"""Live comparison with the discriminators of the `descript-audio-codec` package, where it is installed.

See tests/interop/test_dac_peer.py for what to install.
"""

from __future__ import annotations

import importlib

import jax
import numpy as np
import pytest
from codax.config import DiscriminatorConfig
from codax.discriminators.ensemble import Discriminators
from codax.losses import adversarial
from peer_package import import_dac

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
PERIODS, WINDOWS = (2, 3, 5, 7, 11), (2048, 1024, 512)
CONFIG = DiscriminatorConfig(
    stft=False, wave_scales=0, periods=PERIODS, hifigan_logits=False, bands_windows=WINDOWS, normalize=True
)
KEYS = {"weight_g": "kernel_scale", "weight_v": "kernel_direction", "bias": "bias"}


def relative_error(actual, expected) -> float:
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


def _ours(theirs) -> dict:
    """Parameters of the package's discriminators."""
    params: dict = {}
    names = [f"period{period}" for period in PERIODS] + [f"bands{window}" for window in WINDOWS]
    for name, value in theirs.state_dict().items():
        _, index, *place, part = name.split(".")
        if place[0] == "conv_post":
            layer = "logits"
        elif place[0] == "convs":
            layer = f"conv{place[1]}"
        else:
            layer = f"band{place[1]}_conv{place[2]}"
        array = value.numpy()
        if array.ndim > 1:
            array = np.moveaxis(array, (0, 1), (-1, -2))
        params.setdefault(names[int(index)], {}).setdefault(layer, {})[KEYS[part]] = array
    return params


def test_outputs_losses_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    import_dac(monkeypatch)
    torch.manual_seed(0)
    theirs = importlib.import_module("dac.model.discriminator").Discriminator()
    signals = importlib.import_module("audiotools").AudioSignal
    gan = importlib.import_module("dac.nn.loss").GANLoss(theirs)
    # A prime number of samples: the package adds a whole period to a signal that ends with one.
    real, fake = (0.2 * np.random.default_rng(i).standard_normal((1, 4099, 1)).astype(np.float32) for i in range(2))
    a, b = (torch.from_numpy(np.moveaxis(x, 1, 2).copy()) for x in (real, fake))
    net, params = Discriminators(CONFIG), {"params": _ours(theirs)}

    with torch.no_grad():
        expected = theirs(a)
    actual = net.apply(params, real)
    order = [*range(len(PERIODS), len(PERIODS) + len(WINDOWS)), *range(len(PERIODS))]
    for (logits, features), index in zip(actual, order, strict=True):
        maps = [*features, logits]
        assert len(maps) == len(expected[index])
        for ours, other in zip(maps, expected[index], strict=True):
            assert relative_error(ours, np.moveaxis(other.numpy(), 1, -1)) < 1e-4

    b.requires_grad_()
    their_d = gan.discriminator_loss(signals(b, 44_100), signals(a, 44_100))
    their_g, their_features = gan.generator_loss(signals(b, 44_100), signals(a, 44_100))
    (their_g + 2 * their_features).backward()

    def losses(x):
        judged = net.apply(params, x)
        generator = adversarial.generator(judged, "least_squares", add=True)
        feature = adversarial.feature_l1(actual, judged, add=True)
        return generator + 2 * feature, (generator, feature, judged)

    negative_slope, (generator, feature, judged) = jax.grad(losses, has_aux=True)(fake)
    discriminator = adversarial.discriminator(actual, judged, "least_squares", add=True)
    np.testing.assert_allclose(
        [discriminator, generator, feature], [x.item() for x in (their_d, their_g, their_features)], rtol=1e-5
    )
    assert relative_error(negative_slope, np.moveaxis(b.grad.numpy(), 1, 2)) < 1e-3
