"""Discriminator, losses and gradients equal PyTorch's on the same batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.codec.module import CodecModel
from codax.config import DiscriminatorConfig
from codax.discriminators.ensemble import Discriminators
from codax.interop import encodec
from codax.losses import adversarial, spectral
from flax.traverse_util import flatten_dict, unflatten_dict
from small_encodec import golden, relative_error, small_codec

ARRAYS = golden("training")
WINDOWS = (64, 32)
NAMES = ("stem", "conv0", "conv1", "conv2", "last")


@pytest.fixture(scope="module")
def discriminators() -> tuple[Discriminators, dict]:
    config = DiscriminatorConfig(stft=False, wave_scales=0, msstft_windows=WINDOWS, msstft_channels=4)
    flat = {}
    for i, window in enumerate(WINDOWS):
        for j, name in enumerate((*NAMES, "logits")):
            layer = f"convs.{j}" if j < len(NAMES) else "conv_post"
            ours, theirs = f"params.msstft{window}.{name}", f"judge/discriminators.{i}.{layer}.conv"
            flat[f"{ours}.bias"] = ARRAYS[f"{theirs}.bias"]
            if name == "stem":
                flat[f"{ours}.kernel"] = ARRAYS[f"{theirs}.weight"].transpose(2, 3, 1, 0)
            else:
                flat[f"{ours}.kernel_direction"] = ARRAYS[f"{theirs}.weight_v"].transpose(2, 3, 1, 0)
                flat[f"{ours}.kernel_scale"] = ARRAYS[f"{theirs}.weight_g"].transpose(2, 3, 1, 0)
    return Discriminators(config), unflatten_dict(flat, sep=".")


def test_the_discriminator_gives_the_same_logits_and_features(discriminators) -> None:
    module, variables = discriminators
    outputs = jax.jit(module.apply)(variables, jnp.asarray(np.moveaxis(ARRAYS["audio"], 1, 2)))
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 480, 1)))
    assert jax.tree.map(np.shape, variables) == jax.tree.map(lambda s: s.shape, shapes)
    for i, (logits, features) in enumerate(outputs):
        assert relative_error(np.moveaxis(logits, 3, 1), ARRAYS[f"logits/{i}"]) < 1e-5
        for j, actual in enumerate(features):
            assert relative_error(np.moveaxis(actual, 3, 1), ARRAYS[f"map/{i}/{j}"]) < 1e-5


def test_losses_and_gradients_are_the_same(discriminators) -> None:
    module, discriminator = discriminators
    codec = small_codec("24khz")
    target = jnp.asarray(np.moveaxis(ARRAYS["audio"], 1, 2))
    real = jax.jit(module.apply)(discriminator, target)

    def loss(params):
        levels = jnp.full((target.shape[0],), 4)
        variables = {"params": params, "codebook": codec.codebook}
        out = CodecModel(codec.config).apply(variables, target, levels=levels, key=jax.random.key(0))
        fake = module.apply(discriminator, out.audio)
        parts = {
            "waveform": spectral.waveform_l1(target, out.audio),
            "adversarial": adversarial.generator(fake),
            "feature": adversarial.feature_l1(real, fake, "relative"),
            "commitment": out.commitment,
        }
        weights = {"waveform": 1, "adversarial": 3, "feature": 2, "commitment": 1}
        return sum(weights[name] * value for name, value in parts.items()), (parts, out.audio)

    gradients, (parts, decoded) = jax.jit(jax.grad(loss, has_aux=True))(codec.params)
    assert relative_error(np.moveaxis(decoded, 1, 2), ARRAYS["decoded"]) < 1e-5
    for name, value in parts.items():
        np.testing.assert_allclose(value, ARRAYS[f"loss/{name}"], rtol=1e-5, err_msg=name)
    # The gradients in PyTorch's layout; the two biases of an LSTM have the same one.
    flat = flatten_dict(jax.device_get(gradients), sep=".")
    flat = {f"params.{name}": value for name, value in flat.items()}
    books = {name: value for name, value in codec.flat().items() if name.startswith("codebook.")}
    actual = encodec.from_codax(flat | books, codec.config, encodec.NATIVE)
    names = [k for k in ARRAYS if k.startswith("gradient/")]
    assert len(names) > 60
    for name in names:
        ours = actual[name.removeprefix("gradient/").replace("bias_hh", "bias_ih")]
        assert relative_error(ours, ARRAYS[name]) < 1e-4, name
