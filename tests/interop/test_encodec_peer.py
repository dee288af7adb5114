"""Live comparison with transformers and encodec, full size, where they and PyTorch are installed.

pip install torch==2.13.0 transformers einops && pip install --no-deps encodec==0.1.1
"""

import importlib

import numpy as np
import pytest
from codax import audio
from codax.containers import ecdc_coding
from codax.containers.ecdc import from_bytes
from codax.interop.formats import export_huggingface, import_model
from peer_package import import_encodec, randomise
from small_encodec import relative_error

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
KINDS = {
    "24khz": {},
    "48khz": {
        "sampling_rate": 48_000,
        "audio_channels": 2,
        "normalize": True,
        "chunk_length_s": 1.0,
        "overlap": 0.01,
        "use_causal_conv": False,
        "norm_type": "time_group_norm",
        "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
    },
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_transformers_both_ways(kind: str, tmp_path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = transformers.EncodecModel(transformers.EncodecConfig(**KINDS[kind])).eval()
    randomise(model)
    model.save_pretrained(tmp_path / "theirs")
    codec = import_model(tmp_path / "theirs")
    rate, channels = codec.config.model.sample_rate, codec.config.model.audio_channels
    audio = 0.2 * np.random.default_rng(0).standard_normal((2, int(1.37 * rate) + 17, channels)).astype(np.float32)
    there = np.arange(audio.shape[1]) < np.array([[audio.shape[1]], [int(0.6 * rate) + 5]])  # the second one is padded
    audio *= there[..., None]
    mask = torch.from_numpy(there[:, None])
    export_huggingface(codec, tmp_path / "ours")
    repeated = transformers.EncodecModel.from_pretrained(tmp_path / "ours").eval()
    for kbps in codec.config.quantizer.kbps:
        tokens = codec.encode(audio, kbps=kbps)
        decoded = codec.decode(tokens)
        for theirs in (model, repeated):
            signal = torch.from_numpy(np.moveaxis(audio, 1, 2).copy())
            with torch.no_grad():
                encoded = theirs.encode(signal, mask, bandwidth=kbps)
                pad = getattr(encoded, "last_frame_pad_length", None)  # since version 5
                kept = {} if pad is None else {"last_frame_pad_length": pad}
                expected = theirs.decode(encoded.audio_codes, encoded.audio_scales, **kept)
            codes = [np.moveaxis(c.numpy(), 1, 2) for c in _chunks(encoded, tokens)]
            np.testing.assert_array_equal(tokens.codes, np.concatenate(codes, axis=1))
            actual = np.moveaxis(expected.audio_values.numpy(), 1, 2)[:, : audio.shape[1]]
            assert relative_error(decoded, actual) < 1e-4


def _chunks(encoded, tokens):
    """Codes [batch, levels, frames] of each segment; transformers pads the last segment's codes to a common length."""
    left = tokens.codes.shape[1]
    for chunk in encoded.audio_codes:
        consumed = min(left, chunk.shape[-1])
        left -= consumed
        yield chunk[..., :consumed]


@pytest.fixture(params=list(KINDS))
def pair(request, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """A full-size model of the encodec package with random weights, and the same one imported."""
    package = import_encodec(monkeypatch)
    torch.manual_seed(0)
    model = getattr(package.EncodecModel, f"encodec_model_{request.param}")(pretrained=False).eval()
    model.name = f"encodec_{request.param}"  # as with pretrained weights
    randomise(model)
    torch.save(model.state_dict(), tmp_path / "model.th")
    return model, import_model(tmp_path / "model.th")


def test_the_encodec_package_full_size(pair) -> None:
    model, codec = pair
    rate, channels = codec.config.model.sample_rate, codec.config.model.audio_channels
    audio = 0.2 * np.random.default_rng(0).standard_normal((2, int(1.37 * rate) + 17, channels)).astype(np.float32)
    for kbps in codec.config.quantizer.kbps:
        model.set_target_bandwidth(kbps)
        with torch.no_grad():
            frames = model.encode(torch.from_numpy(np.moveaxis(audio, 1, 2).copy()))
            expected = model.decode(frames)[..., : audio.shape[1]].numpy()
        tokens = codec.encode(audio, kbps=kbps)
        np.testing.assert_array_equal(tokens.codes, np.moveaxis(torch.cat([c for c, _ in frames], -1).numpy(), 1, 2))
        assert relative_error(codec.decode(tokens), np.moveaxis(expected, 1, 2)) < 1e-4


def test_ecdc_files_both_ways(pair, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    compress = importlib.import_module("encodec.compress")  # the package has a function of that name
    model, codec = pair
    monkeypatch.setattr(compress, "MODELS", {model.name: lambda: model})
    rate, channels = codec.config.model.sample_rate, codec.config.model.audio_channels
    signal = 0.1 * np.random.default_rng(0).standard_normal((int(2.1 * rate) + 17, channels)).astype(np.float32)
    audio.write(tmp_path / "in.wav", signal, rate, subtype="FLOAT")
    model.set_target_bandwidth(6.0)
    theirs = compress.compress(model, torch.from_numpy(signal.T.copy()))
    ecdc_coding.encode(
        codec, tmp_path / "in.wav", str(tmp_path / "ours.ecdc"), num_quantizers=codec.config.quantizers_for(6.0)
    )
    ours = (tmp_path / "ours.ecdc").read_bytes()
    np.testing.assert_array_equal(from_bytes(ours).codes, from_bytes(theirs).codes)
    assert len(ours) == len(theirs)
    if channels == 1:  # else the scales may differ in their last bits
        assert ours == theirs
    with torch.no_grad():
        expected, _ = compress.decompress(ours)  # there
    ecdc_coding.decode(codec, from_bytes(theirs), tmp_path / "ours.ecdc", tmp_path / "out.wav")  # here
    clipped = np.clip(expected.numpy().T, -1, 1)
    np.testing.assert_allclose(audio.read(tmp_path / "out.wav")[0], clipped, atol=1.1 / 32768)
