"""DAC gives what Descript's package gives in coding, training, import and export; other files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.codec.codec import Codec
from codax.codec.loading import from_weights, load
from codax.codec.module import CodecModel
from codax.config import Config, FactorisedQuantizerConfig, LossConfig, presets
from codax.errors import CodaxError
from codax.evaluation.codecs import find_models
from codax.interop import dac, formats
from codax.losses.spectral import multiscale_mel
from codax.nets.weightnorm import DIRECTION, KERNEL, SCALE
from codax.training.state import init_state, parameter_count
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import load_file, save_file
from small_encodec import lengths, relative_error, signal, state_of

with np.load(Path(__file__).parents[1] / "golden" / "dac.npz") as stored:
    ARRAYS = dict(stored)
CHECKPOINT = {"state_dict": state_of(ARRAYS), "metadata": {"kwargs": json.loads(ARRAYS["config"].tobytes())}}


@pytest.fixture(scope="module")
def codec() -> Codec:
    assert dac.is_checkpoint(CHECKPOINT)
    config, state = dac.read_checkpoint(CHECKPOINT)
    return from_weights(dac.to_codax(state, config, dac.DESCRIPT), config, Path("golden"))


@pytest.mark.parametrize("length", lengths(ARRAYS))
def test_codes_and_audio_equal_those_of_the_package(codec: Codec, length: int) -> None:
    tokens = codec.encode(signal(ARRAYS, length))
    np.testing.assert_array_equal(tokens.codes, np.moveaxis(ARRAYS[f"codes/{length}"], 1, 2))
    expected = np.moveaxis(ARRAYS[f"decoded/{length}"], 1, 2)
    actual = codec.engine.decode_piece(tokens.codes, denoise=False)
    # The odd stride leaves samples out there, which are zeros here.
    missing = actual.shape[1] - expected.shape[1]
    assert missing == 8 and not actual[:, -missing:].any()
    assert relative_error(actual[:, :-missing], expected) < 1e-5


def test_training_equals_that_of_the_package(codec: Codec) -> None:
    """Output, losses, and gradients of the quantizer with weight normalisation, whose residual is not detached."""
    latent, negative_slope = (np.moveaxis(ARRAYS[f"training/{name}"], 1, 2) for name in ("latent", "slope"))
    config = Config.from_dict(codec.config.to_dict())
    config.model.weight_norm = True
    params = _normalised_quantizer()
    levels = jnp.full(len(latent), config.quantizer.num_quantizers)

    def loss(params, x):
        out = CodecModel(config).apply(
            {"codebook": codec.codebook, "params": {**codec.params, "quantizer": params}},
            x,
            method=lambda m, x: m.quantizer(x, levels=levels, key=jax.random.key(0), update=False),
        )
        return jnp.sum(out.quantized * negative_slope) + 0.25 * out.commitment + out.codebook, out

    (gradients, to_latent), out = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, latent)
    assert relative_error(out.quantized, np.moveaxis(ARRAYS["training/quantized"], 1, 2)) < 1e-5
    np.testing.assert_array_equal(out.codes, np.moveaxis(ARRAYS["training/codes"], 1, 2))
    np.testing.assert_allclose([out.commitment, out.codebook], ARRAYS["training/losses"], rtol=1e-5)
    assert relative_error(to_latent, np.moveaxis(ARRAYS["training/gradient/latent"], 1, 2)) < 1e-5
    expected = flatten_dict(_normalised_quantizer("training/gradient/"), sep=".")
    actual = flatten_dict(gradients, sep=".")
    assert set(actual) == set(expected)
    for name, value in expected.items():
        assert relative_error(actual[name], value) < 1e-4, name


def _normalised_quantizer(prefix: str = "state/"):
    """The quantizer's golden parameters, or their gradients, as a codec that is trained has them."""
    flat: dict[str, np.ndarray] = {}
    count = CHECKPOINT["metadata"]["kwargs"]["n_codebooks"]

    def stacked(part: str, turn=lambda x: x) -> np.ndarray:
        return np.stack([turn(ARRAYS[f"{prefix}quantizer.quantizers.{i}.{part}"]) for i in range(count)])

    for ours, theirs in (("inward", "in_proj"), ("outward", "out_proj")):
        flat[f"{ours}.{DIRECTION}"] = stacked(f"{theirs}.weight_v", lambda x: x[:, :, 0].T)
        flat[f"{ours}.{SCALE}"] = stacked(f"{theirs}.weight_g", lambda x: x[:, :, 0].T)
        flat[f"{ours}.bias"] = stacked(f"{theirs}.bias")
    flat["embedding"] = stacked("codebook.weight")
    return unflatten_dict(flat, sep=".")


def test_the_mel_loss_equals_that_of_the_package() -> None:
    a, b = (np.moveaxis(ARRAYS[f"mel/{i}"], 1, 2) for i in range(2))
    config = LossConfig(spectral_form="dac", windows=(32, 128, 512), window_mels=(5, 20, 80))
    loss = jax.jit(lambda a, b: multiscale_mel(a, b, config, sample_rate=16_000))
    assert float(loss(a, b)) == pytest.approx(float(ARRAYS["mel/loss"]), rel=1e-4)


def test_the_released_models_have_their_sizes() -> None:
    sizes = {}
    for make in (presets.dac_44khz, presets.dac_24khz, presets.dac_16khz):
        config = make().validate()
        config.discriminator.stft, config.discriminator.wave_scales = False, 0
        for config.model.weight_norm in (False, True):
            sizes[config.name, config.model.weight_norm] = parameter_count(
                jax.eval_shape(lambda config=config: init_state(config)).generator
            )
    # What PyTorch's models count without weight normalisation, as transformers has them, and with it.
    assert (sizes["dac_44khz", False], sizes["dac_44khz", True]) == (76_620_777, 76_651_890)
    assert (sizes["dac_24khz", False], sizes["dac_24khz", True]) == (74_653_857, 74_708_706)
    assert (sizes["dac_16khz", False], sizes["dac_16khz", True]) == (74_141_697, 74_175_906)
    assert presets.dac_44khz().kbps(9) == pytest.approx(7.752, abs=1e-3)
    assert presets.dac_24khz().kbps(32) == 24.0
    assert presets.dac_16khz().kbps(12) == 6.0


def test_transformers_folder_comes_back(codec: Codec, tmp_path: Path) -> None:
    formats.export_huggingface(codec, tmp_path / "hf")
    repeated = formats.import_model(tmp_path / "hf")
    assert repeated.config == codec.config
    for name, value in codec.flat().items():
        np.testing.assert_array_equal(repeated.flat()[name], value, err_msg=name)
    repeated.save(tmp_path / "codax")
    assert load(tmp_path / "codax").config == codec.config
    names = set(load_file(tmp_path / "hf" / "model.safetensors"))
    assert {"encoder.block.2.res_unit3.snake2.alpha", "decoder.block.0.conv_t1.weight"} <= names
    assert "quantizer.quantizers.3.codebook.weight" in names
    processor = json.loads((tmp_path / "hf" / "preprocessor_config.json").read_text())
    assert (processor["feature_extractor_type"], processor["hop_length"]) == ("DacFeatureExtractor", 24)
    # An evaluation takes the folder as it is.
    (model,) = find_models(str(tmp_path / "hf"))
    assert (model.name, model.codec.hash) == ("dac_1khz", codec.hash)


def test_a_model_as_it_is_trained_here_is_folded(codec: Codec, tmp_path: Path) -> None:
    config = Config.from_dict(codec.config.to_dict())
    config.model.weight_norm = True
    trained = Codec.init_random(config, seed=3)
    assert any(DIRECTION in name for name in trained.flat())
    formats.export_huggingface(trained, tmp_path)
    repeated = formats.import_model(tmp_path)
    assert {name.rpartition(".")[2] for name in repeated.flat()} & {DIRECTION, SCALE, KERNEL} == {KERNEL}
    audio = signal(ARRAYS, lengths(ARRAYS)[1])
    tokens = trained.encode(audio)
    np.testing.assert_array_equal(repeated.encode(audio).codes, tokens.codes)
    assert relative_error(repeated.decode(tokens), trained.decode(tokens)) < 1e-5


def _changed(folder: Path, codec: Codec, **changes: object) -> None:
    formats.export_huggingface(codec, folder)
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | changes))


@pytest.mark.parametrize(
    "field,value,message",
    [
        ("downsampling_ratios", 24, "not the config of a DAC"),
        ("downsampling_ratios", [2, 3, 4], "upsampling_ratios"),
        ("decoder_hidden_size", 50, "does not halve"),
        ("n_codebooks", 5, "quantizer.quantizers.4.in_proj.weight is missing"),
        ("n_codebooks", 3, "does not belong to the model"),
        ("codebook_dim", 0, "quantizer.projection"),
        ("codebook_dim", 4, "params.quantizer"),
        ("hidden_size", 33, "params"),
        ("sampling_rate", None, "sample_rate"),
    ],
)
def test_other_folders_are_refused(codec: Codec, tmp_path: Path, field: str, value: object, message: str) -> None:
    _changed(tmp_path, codec, **{field: value})
    with pytest.raises(CodaxError, match=message) as caught:
        formats.import_model(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_other_weights_are_refused(codec: Codec, tmp_path: Path) -> None:
    formats.export_huggingface(codec, tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    for name, value, message in (
        ("encoder.conv1.weight", np.zeros((4, 7), np.float32), "encoder.conv1.weight has the shape"),
        (
            "quantizer.quantizers.1.codebook.weight",
            np.zeros((31, 3), np.float32),
            "codebook.weight does not have the shape of",
        ),
        ("decoder.snake1.alpha", np.full((1, 6, 1), np.nan, np.float32), "decoder.act.alpha holds values"),
        ("decoder.extra", np.zeros(2, np.float32), "decoder.extra does not belong to"),
    ):
        save_file(state | {name: value}, tmp_path / "model.safetensors")
        with pytest.raises(CodaxError, match=message):
            formats.import_model(tmp_path)


def test_checkpoints_that_do_not_say_what_they_are_are_refused() -> None:
    with pytest.raises(CodaxError, match=r"metadata\.kwargs"):
        dac.read_checkpoint({"state_dict": CHECKPOINT["state_dict"]})
    with pytest.raises(CodaxError, match="not the config of a DAC"):
        dac.read_checkpoint(CHECKPOINT | {"metadata": {"kwargs": {"encoder_dim": 4}}})


@pytest.mark.parametrize(
    "section,field,value",
    [("model", "causal", True), ("model", "dilations", (1, 3)), ("quantizer", "codebook_size", 24)],
)
def test_a_model_of_another_shape_is_not_exported(codec: Codec, tmp_path: Path, section, field, value) -> None:
    config = Config.from_dict(codec.config.to_dict())
    setattr(getattr(config, section), field, value)
    with pytest.raises(CodaxError, match="does not have the architecture of a DAC|powers of two"):
        formats.export_huggingface(Codec.init_random(config.validate()), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_learned_codebooks_go_into_no_other_layout(tmp_path: Path) -> None:
    config = presets.encodec_24khz()
    config.model.channels, config.model.dimension = 2, 4
    config.quantizer = FactorisedQuantizerConfig(num_quantizers=2, projection=2, kbps=())
    with pytest.raises(CodaxError, match="factorised codebooks"):
        formats.export_huggingface(Codec.init_random(config.validate()), tmp_path / "out")
    assert not (tmp_path / "out").exists()
