"""Live comparison of DAC with transformers and Descript's package, full size, where they and PyTorch are installed.

pip install torch==2.13.0 transformers einops librosa
pip install --no-deps descript-audio-codec==1.0.0 descript-audiotools argbind flatten-dict julius ffmpy \
    importlib_resources
"""

from __future__ import annotations

import dataclasses

import codax
import numpy as np
import pytest
from codax.config import presets
from codax.interop.formats import export_huggingface, import_model
from peer_package import import_dac, randomise_dac
from signals import swelling_noise
from small_encodec import relative_error

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
RELEASED = {44_100: (9, [2, 4, 8, 8]), 24_000: (32, [2, 4, 5, 8]), 16_000: (12, [2, 4, 5, 8])}


def check_codes(codec: codax.Codec, audio: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal, but where two entries are equally near: the cosine with both is then the same to 1e-5.

    There are few such cases. What follows one within its frame starts from another residual, and is not compared.
    """
    assert ours.shape == theirs.shape
    different = ours != theirs
    assert different.mean() < 1e-3
    padded = np.pad(audio, ((0, 0), (0, -audio.shape[1] % codec.config.hop), (0, 0)))
    latent = np.asarray(
        codec.module.apply({"params": codec.params, "codebook": codec.codebook}, padded, method="encode_latent"),
        np.float64,
    )
    params = codec.params["quantizer"]
    for example, frame in np.argwhere(different.any(axis=-1)):
        residual = latent[example, frame]
        for level, (mine, other) in enumerate(zip(ours[example, frame], theirs[example, frame], strict=True)):
            inner = residual @ params["inward"]["kernel"][level] + params["inward"]["bias"][level]
            book = np.asarray(params["embedding"][level], np.float64)
            if mine != other:
                pair = book[[mine, other]]
                cosines = pair @ inner / np.linalg.norm(pair, axis=-1) / np.linalg.norm(inner)
                assert abs(cosines[0] - cosines[1]) < 1e-5
                break
            residual = residual - book[mine] @ params["outward"]["kernel"][level] - params["outward"]["bias"][level]


def agree(codec: codax.Codec, audio: np.ndarray, encode, decode) -> None:
    """Equal codes and close audio at every rate; `encode` takes whole frames [1, 1, time], `decode` codes [1, n, t]."""
    hop = codec.config.hop
    padded = np.pad(np.moveaxis(audio, 1, 2), ((0, 0), (0, 0), (0, -audio.shape[1] % hop)))
    for kbps in codec.config.quantizer.kbps:
        tokens = codec.encode(audio, kbps=kbps)
        with torch.no_grad():
            theirs = encode(torch.from_numpy(padded), tokens.codes.shape[2])
            expected = decode(theirs).numpy().reshape(1, -1, 1)[:, : audio.shape[1]]
        codes = np.moveaxis(theirs.numpy(), 1, 2)
        assert min(len(np.unique(level)) for level in np.moveaxis(codes, -1, 0)) > 20
        check_codes(codec, audio, tokens.codes, codes)
        decoded = codec.decode(dataclasses.replace(tokens, codes=codes))
        error = relative_error(decoded[:, : expected.shape[1]], expected)
        different = np.mean(tokens.codes != codes)
        print(f"{codec.model_id} {kbps:.2f} kbps: {100 * different:.3f} % of codes differ, audio to {error:.1e}")
        assert error < 1e-4


@pytest.mark.parametrize("rate", RELEASED)
def test_transformers_both_ways(tmp_path, rate: int) -> None:
    transformers = pytest.importorskip("transformers")
    levels, ratios = RELEASED[rate]
    torch.manual_seed(0)
    model = transformers.DacModel(
        transformers.DacConfig(sampling_rate=rate, n_codebooks=levels, downsampling_ratios=ratios)
    ).eval()
    for module in model.modules():  # wider than they start there, so that the input is heard in the codes
        if isinstance(module, torch.nn.Conv1d):
            module.reset_parameters()
    randomise_dac(model)
    model.save_pretrained(tmp_path / "theirs")
    codec = import_model(tmp_path / "theirs")
    make = {44_100: presets.dac_44khz, 24_000: presets.dac_24khz, 16_000: presets.dac_16khz}[rate]
    assert codec.config == make()
    export_huggingface(codec, tmp_path / "ours")
    repeated, loading = transformers.DacModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(repeated.state_dict()[name], value, rtol=0, atol=0)
    transformers.AutoProcessor.from_pretrained(tmp_path / "ours")
    audio = swelling_noise(2 * rate + 17)
    agree(
        codec,
        audio,
        lambda x, n: model.encode(x, n_quantizers=n).audio_codes,
        lambda codes: model.decode(audio_codes=codes).audio_values,
    )


def test_descripts_checkpoint(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = import_dac(monkeypatch)
    torch.manual_seed(0)
    model = package.DAC().eval()
    randomise_dac(model)
    model.save(str(tmp_path / "weights.pth"), package=False)
    codec = import_model(tmp_path / "weights.pth")
    assert codec.config == presets.dac_44khz()
    agree(
        codec,
        swelling_noise(44_100 + 17),
        lambda x, n: model.encode(x, n)[1],
        lambda codes: model.decode(model.quantizer.from_codes(codes)[0]),
    )
