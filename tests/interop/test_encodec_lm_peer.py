"""Live comparison of the language model and its files with the `encodec` package, full size, where it is installed.

pip install torch==2.13.0 einops && pip install --no-deps encodec==0.1.1
"""

from __future__ import annotations

import importlib
import io

import jax
import numpy as np
import pytest
from codax.containers.ecdc import KINDS, Builder, Ecdc, from_bytes, segment_frames
from codax.containers.ecdc_lm import compress, decompress
from codax.entropy import arithmetic
from codax.interop.encodec_lm import from_codax, import_lm
from codax.interop.encodec_lm_torch import TorchLM
from codax.lm.model import LanguageModel, previous_codes
from codax.lm.predictor import LM
from peer_package import import_encodec

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
NAMES = ("encodec_24khz", "encodec_48khz")


@pytest.fixture(scope="module")
def package():
    with pytest.MonkeyPatch.context() as patch:
        yield import_encodec(patch)


@pytest.fixture(scope="module", params=NAMES)
def pair(request, package, tmp_path_factory):
    """The package's language model of full size with random weights, and the same one imported from its checkpoint."""
    from encodec.model import LMModel

    torch.manual_seed(0)
    sizes = {"encodec_24khz": (32, 262), "encodec_48khz": (16, 525)}[request.param]
    model = LMModel(sizes[0], 1024, num_layers=5, dim=200, past_context=sizes[1]).eval()
    with torch.no_grad():
        for linear in model.linears:
            linear.weight.mul_(4)  # a trained model is surer than a fresh one
    path = tmp_path_factory.mktemp("lm") / "lm.th"
    torch.save(model.state_dict(), path)
    return request.param, model, import_lm(path)


@pytest.fixture
def one_thread():
    """PyTorch's last bits depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_weights_go_back(pair) -> None:
    _, model, lm = pair
    back = from_codax(lm.flat(), lm.config)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(back[name], value.numpy(), err_msg=name)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in back.items()})


def test_probabilities_are_those_of_the_package(pair) -> None:
    _, model, lm = pair
    frames = lm.config.past_context + 60
    codes = np.random.default_rng(0).integers(0, 1024, (1, frames, 4), dtype=np.int32)
    previous = np.array(previous_codes(codes))
    for offset in (0, 10_000):
        with torch.no_grad():
            package_result, _, _ = model(torch.from_numpy(previous).permute(0, 2, 1).long(), None, offset)
        package_result = package_result.permute(0, 3, 2, 1).numpy()
        logits = jax.jit(LanguageModel(lm.config).apply)({"params": lm.params}, previous, offset)
        actual = np.asarray(jax.nn.softmax(logits, axis=-1))
        # Far away, PyTorch's own rounding of the positions' wavelengths is seen: a few differ in the last bit.
        np.testing.assert_allclose(actual, package_result, atol=1e-5 if offset == 0 else 1e-4)


def test_the_coder_bit_for_bit(package) -> None:
    from encodec.quantization.ac import ArithmeticCoder, ArithmeticDecoder, build_stable_quantized_cdf

    rng = np.random.default_rng(0)
    packed, encoder, expected = io.BytesIO(), arithmetic.Encoder(), []
    reference = ArithmeticCoder(packed)
    for _ in range(400):
        pdf = torch.softmax(torch.from_numpy(rng.uniform(0.1, 12) * rng.standard_normal((8, 1024))).float(), -1)
        cdfs = arithmetic.quantized_cdf(pdf.numpy())
        package_result = torch.stack([build_stable_quantized_cdf(row, 24, check=False) for row in pdf])
        np.testing.assert_array_equal(cdfs, package_result.numpy())
        symbols = [int(np.searchsorted(cdf, rng.integers(cdf[-1]), "right")) for cdf in cdfs]
        for symbol, cdf in zip(symbols, package_result, strict=True):
            reference.push(symbol, cdf)
        encoder.push(symbols, cdfs)
        expected.append((symbols, cdfs))
    reference.flush()
    data = encoder.finish()
    assert data == packed.getvalue()
    decoder, theirs = arithmetic.Decoder(data), ArithmeticDecoder(io.BytesIO(data))
    for symbols, cdfs in expected:
        assert decoder.pull(cdfs) == symbols
        assert [theirs.pull(torch.from_numpy(cdf)) for cdf in cdfs] == symbols
    assert decoder.finish() == len(data)


def files(name: str, model, package, monkeypatch: pytest.MonkeyPatch) -> tuple[Ecdc, bytes]:
    """Random codes as a plain file, and as the package compresses them."""
    theirs = importlib.import_module("encodec.compress")
    kind = KINDS[name]
    length = int(kind.sample_rate * (2.4 if name == "encodec_24khz" else 1.2)) + 17
    codec = getattr(package.EncodecModel, name.replace("encodec", "encodec_model"))(pretrained=False).eval()
    codec.name, codec.get_lm_model = name, lambda: model
    codec.set_target_bandwidth(3.0)
    rng = np.random.default_rng(0)
    codebooks = 4 if kind.codebooks == 32 else 2
    builder, encoded = Builder(name, codebooks), []
    for count in segment_frames(kind, length):
        codes = rng.integers(0, 1024, (count, codebooks), dtype=np.int32)
        scale = float(np.float32(rng.uniform(0.1, 1))) if kind.scaled else None
        builder.write(codes, scale)
        encoded.append(
            (torch.from_numpy(codes.T.copy()).long()[None], torch.tensor([[scale]]) if kind.scaled else None)
        )
    monkeypatch.setattr(codec, "encode", lambda audio: encoded)
    monkeypatch.setattr(theirs, "MODELS", {name: lambda: codec})
    data = theirs.compress(codec, torch.zeros(kind.channels, length), use_lm=True)
    return from_bytes(builder.finish(length)), data


def test_files_both_ways(pair, package, monkeypatch: pytest.MonkeyPatch, one_thread) -> None:
    theirs = importlib.import_module("encodec.compress")
    name, model, lm = pair
    plain, data = files(name, model, package, monkeypatch)
    exact = TorchLM(lm)
    assert decompress(data, exact.begin) == plain
    ours = compress(plain, exact.begin)
    assert ours == data
    codec = theirs.MODELS[name]()
    decoded = []
    monkeypatch.setattr(codec, "decode", lambda frames: decoded.append(frames) or torch.zeros(1, 1, 1))
    theirs.decompress(ours)
    codes = torch.cat([codes for codes, _ in decoded[0]], -1)[0].numpy().T
    np.testing.assert_array_equal(codes, plain.codes)


def test_pytorchs_model_is_the_one_on_jax(pair) -> None:
    _, _, lm = pair
    assert isinstance(lm, LM)
    step, previous, probabilities = TorchLM(lm).begin(2), [np.zeros(2, np.int32)], []
    for _ in range(5):
        probabilities.append(step(previous[-1]))
        previous.append(1 + probabilities[-1].argmax(axis=1))
    logits = LanguageModel(lm.config).apply({"params": lm.params}, np.stack(previous[:-1])[None])
    np.testing.assert_allclose(jax.nn.softmax(logits[0], axis=-1), probabilities, atol=1e-5)
