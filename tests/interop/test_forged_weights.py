"""Weights that are not arrays of the right kind, and configs that do not belong to them, are refused by name."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from codax.codec.codec import Codec
from codax.codec.loading import load
from codax.config import Config, DACConfig, FactorisedQuantizerConfig, presets
from codax.errors import CodaxError
from codax.interop import dac, encodec, encodec_lm, formats, speechtokenizer
from codax.interop import mimi_config as mimi_config_of
from codax.storage.tensors import ModelError, read_tensors
from safetensors.numpy import save_file
from small_encodec import small_codec
from zoo import mimi_config

CASES = Path(__file__).parents[1] / "cases"


def dac_codec() -> Codec:
    model = DACConfig(sample_rate=8000, channels=4, decoder_channels=8, strides=(2, 4), dimension=16, weight_norm=False)
    quantizer = FactorisedQuantizerConfig(num_quantizers=2, codebook_size=16, projection=4, kbps=())
    return Codec.init_random(Config(name="dac_8khz", model=model, quantizer=quantizer))


MODELS = {"encodec": lambda: small_codec("24khz"), "mimi": lambda: Codec.init_random(mimi_config()), "dac": dac_codec}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A folder of transformers for each family."""
    folder = tmp_path_factory.mktemp("models")
    for name, make in MODELS.items():
        formats.export_huggingface(make(), folder / name)
    return {name: folder / name for name in MODELS}


def forgeries(value: np.ndarray):
    """Values that an array may be replaced by in a checkpoint."""
    yield from (7, 1.5, None, "text", [1.0, 2.0], {"weight": value})
    yield from (value[None], np.zeros((2, *value.shape), value.dtype), value.astype(np.complex64))
    yield from (np.asarray(["a"]), np.asarray([None, 1], object), value[..., None], np.resize(value, (3, 3, 3, 3)))


@pytest.mark.parametrize("kind", MODELS)
def test_every_array_is_checked(folders, kind):
    path = folders[kind] / "model.safetensors"
    state = read_tensors(path)
    flags = ("inited", "initialized")  # whose shapes do not matter
    for i, (name, value) in enumerate((name, value) for name, value in state.items() if not name.endswith(flags)):
        forged = list(forgeries(value))
        for one in forged if i < 2 else [forged[i % len(forged)]]:
            with pytest.raises(ModelError, match=r"model\.safetensors: ") as caught:
                formats.import_model(path, {**state, name: one})
            assert "\n" not in str(caught.value)


def test_every_array_of_a_language_model_is_checked(tmp_path):
    path, dim = tmp_path / "lm.th", 8
    path.touch()
    layer = {
        "self_attn.in_proj_weight": (3 * dim, dim), "self_attn.in_proj_bias": (3 * dim,),
        "self_attn.out_proj.weight": (dim, dim), "self_attn.out_proj.bias": (dim,), "linear1.weight": (12, dim),
        "linear1.bias": (12,), "linear2.weight": (dim, 12), "linear2.bias": (dim,), "norm1.weight": (dim,),
        "norm1.bias": (dim,), "norm2.weight": (dim,), "norm2.bias": (dim,),
    }  # fmt: skip
    shapes = {f"transformer.layers.0.{name}": shape for name, shape in layer.items()}
    shapes |= {"transformer.norm_in.weight": (dim,), "transformer.norm_in.bias": (dim,)}
    for k in range(2):
        shapes |= {f"emb.{k}.weight": (17, dim), f"linears.{k}.weight": (16, dim), f"linears.{k}.bias": (16,)}
    state = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    encodec_lm.import_lm(path, 5, 2, state)
    for name, value in state.items():
        for forged in forgeries(value):
            with pytest.raises(ModelError, match=r"lm\.th: "):
                encodec_lm.import_lm(path, 5, 2, {**state, name: forged})


def test_values_of_configs(folders):
    read = lambda kind: json.loads((folders[kind] / "config.json").read_text())  # noqa: E731
    kyutai = mimi_config_of.config_to_kyutai(mimi_config())
    speech = speechtokenizer.config_values(presets.speechtokenizer_16khz())
    forged = (None, "x", -1, 0, 10**30, 2.5, 1e300, True, [], [0], [10**9] * 3, [10**18] * 1000, {}, "9" * 300)
    ends = Counter()
    for convert, values in (
        (encodec.config_from_huggingface, read("encodec")),
        (mimi_config_of.config_from_huggingface, read("mimi")),
        (dac.config_from_huggingface, read("dac")),
        (mimi_config_of.config_from_kyutai, kyutai),
        (mimi_config_of.config_from_kyutai, kyutai["seanet"]),
        (speechtokenizer.config_of, speech),
    ):
        for field in values:
            for value in forged:
                changed = values | {field: value}
                try:
                    convert(kyutai | {"seanet": changed} if values is kyutai["seanet"] else changed)
                    ends["converted"] += 1
                except CodaxError as error:
                    assert "\n" not in str(error) and len(str(error)) < 1000
                    ends["refused"] += 1
    assert ends["converted"] > 100 and ends["refused"] > 100, ends  # some fields do not matter


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("model", {"kernel_size": 10**9}),
        ("model", {"kernel_size": 10**18}),
        ("model", {"dilations": [1] * 5000}),
        ("model", {"dilations": [1] * 200}),
        ("model", {"dilations": [10**9]}),
        ("model", {"strides": [0]}),
        ("model", {"strides": [1] * 200}),
        ("model", {"strides": [1024] * 3}),
        ("model", {"channels": 10**9}),
        ("model", {"dimension": 10**12}),
        ("model", {"decoder_channels": 10**6}),
        ("model", {"stem_stride": 10**6}),
        ("model", {"latent_kernel_size": 10**7}),
        ("model", {"semantic_dimension": 10**9}),
        ("model", {"audio_channels": 10**6}),
        ("model", {"sample_rate": 10**12}),
        ("model", {"segment_seconds": 1e300}),
        ("quantizer", {"num_quantizers": 10**9}),
        ("quantizer", {"num_quantizers": 1000, "codebook_size": 65536}),
        ("quantizer", {"projection": 10**12}),
        ("quantizer", {"kbps": [10**30]}),
        ("quantizer", {"kbps": [10**18] * 10**6}),
        ("model", {"strides": [10**18] * 10**6}),
    ],
)
def test_a_config_that_its_weights_do_not_fit(section, change, tmp_path):
    from codax.cli.info import describe

    config = Config()
    config.model.channels, config.model.strides, config.model.dimension = 2, (2, 2), 4
    config.quantizer.num_quantizers, config.quantizer.codebook_size, config.quantizer.kbps = 2, 16, ()
    Codec.init_random(config).save(tmp_path)
    describe(tmp_path)
    values = config.to_dict()
    (tmp_path / "config.json").write_text(json.dumps(values | {section: values[section] | change}))
    tracemalloc.start()
    try:
        begin = time.monotonic()
        for read in (load, describe):
            with pytest.raises(Exception, match=r"(config\.json|model\.safetensors): ") as caught:
                read(tmp_path)
            assert caught.type.__name__ in ("ModelError", "ConfigError") and "\n" not in str(caught.value)
        assert time.monotonic() - begin < 5
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_weights_find_the_config_beside_them(folders, tmp_path):
    for kind, folder in folders.items():
        whole, alone = (formats.import_model(path).flat() for path in (folder, folder / "model.safetensors"))
        assert whole.keys() == alone.keys(), kind
        for name, value in whole.items():
            np.testing.assert_array_equal(value, alone[name])


def test_weights_in_several_files(folders, tmp_path):
    state = read_tensors(folders["encodec"] / "model.safetensors")
    places = {name: f"model-{i % 2 + 1}-of-2.safetensors" for i, name in enumerate(state)}
    for file in set(places.values()):
        save_file({name: state[name] for name in state if places[name] == file}, tmp_path / file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (tmp_path / "config.json").write_bytes((folders["encodec"] / "config.json").read_bytes())
    expected = formats.import_model(folders["encodec"]).flat()
    for source in (tmp_path, tmp_path / "model.safetensors.index.json"):
        for name, value in formats.import_model(source).flat().items():
            np.testing.assert_array_equal(value, expected[name])


@pytest.mark.peer
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("book1d.th", r"_codebook\.embed has the shape \[3\], expected 2 axes"),
        ("ints.th", "is not an array of numbers, but int"),
        ("recursive.th", "holds itself, or too many nested entries"),
        ("expanded.th", "has 3000000000 bytes, which the file of 1965 does not hold"),
    ],
)
def test_forged_checkpoints(name, reason):
    pytest.importorskip("torch")
    with pytest.raises(ModelError, match=rf"{name}: .*{reason}"):
        formats.import_model(CASES / "torch" / name)


@pytest.mark.peer
def test_kinds_of_tensors(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.th"
    shared = torch.zeros(1000)
    cyclic: dict = {}
    for _ in range(40):  # 2 ** 40 entries, if they are followed
        cyclic = {"a": cyclic, "b": cyclic}
    for value, reason in (
        ({"a": torch.eye(3).to_sparse()}, "a is not a dense tensor"),
        ({"a": torch.zeros(3, dtype=torch.complex64)}, "a is not a dense tensor of real numbers"),
        ({"a": torch.zeros(3, device="meta")}, "a is not a dense tensor"),
        ({"a": torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8)}, "a is not a dense tensor"),
        ({str(i): shared for i in range(100)}, "bytes, which the file"),
        (cyclic, "nested entries"),
        ([torch.zeros(3)], "not a checkpoint but a list"),
    ):
        torch.save(value, path)
        with pytest.raises(ModelError, match=rf"a\.th: .*{reason}") as caught:
            read_tensors(path)
        assert "\n" not in str(caught.value)
    torch.save({"a": torch.ones(2, dtype=torch.bfloat16), "b": 3, "c": {"d": torch.ones(2, dtype=torch.int8)}}, path)
    loaded = read_tensors(path)
    assert loaded["b"] == 3 and loaded["a"].dtype == loaded["c"]["d"].dtype == np.float32


@pytest.mark.peer
def test_a_bare_checkpoint_of_speechtokenizer(tmp_path):
    torch = pytest.importorskip("torch")
    with np.load(Path(__file__).parents[1] / "golden" / "speechtokenizer.npz") as stored:
        arrays = dict(stored)
    state = {k.removeprefix("state/"): torch.from_numpy(v) for k, v in arrays.items() if k.startswith("state/")}
    torch.save(state, tmp_path / "SpeechTokenizer.pt")
    (tmp_path / "config.json").write_bytes(arrays["config"].tobytes())
    imported = formats.import_model(tmp_path / "SpeechTokenizer.pt")
    assert imported.config == speechtokenizer.config_of(json.loads(arrays["config"].tobytes()))
