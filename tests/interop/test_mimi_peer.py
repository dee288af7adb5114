"""Live comparison of Mimi with transformers and moshi, full size, where they and PyTorch are installed.

pip install torch==2.13.0 transformers einops && pip install --no-deps moshi==0.2.13
"""

import dataclasses
import re
from pathlib import Path

import codax
import numpy as np
import pytest
from codax.interop.formats import export_huggingface, export_kyutai, import_model
from peer_package import import_peer
from signals import swelling_noise
from small_encodec import relative_error

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
SECONDS = 30
FRAME = 1920
LEVELS = (1, 8, 32)
SCALE = 4.0  # of the quantizers' input, about


def randomise(model) -> None:
    """Codebooks on the scale of the residual of their level, and layer scales at which the Transformers are heard."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in [*model.named_buffers(), *model.named_parameters()]:
            if name.endswith(("embed_sum", "embedding_sum")):
                first = "semantic" in name or "first" in name
                level = int(re.findall(r"layers\.(\d+)\.", name)[0])
                value.copy_((1 if first else 0.9**level) * SCALE * torch.randn_like(value))
            elif name.endswith(("initialized", "cluster_usage")):
                value.fill_(1.0)
            elif "scale" in name:
                value.copy_(0.1 * torch.rand_like(value))


@pytest.fixture
def speech() -> np.ndarray:
    """Noise under a slow envelope, [1, time, 1], whole frames."""
    return swelling_noise(int(SECONDS * 12.5) * FRAME)


@pytest.fixture
def moshi(monkeypatch: pytest.MonkeyPatch):
    """The function of the moshi package that makes a Mimi."""
    import_peer(monkeypatch, "moshi", ("sentencepiece",))
    from moshi.models import loaders

    return loaders.get_mimi


def agree(codec: codax.Codec, audio: np.ndarray, encode, decode) -> None:
    """Equal codes, and audio within 1e-4, with 1, 8 and 32 levels."""
    for levels in LEVELS:
        tokens = codec.encode(audio, num_quantizers=levels)
        theirs = encode(audio, levels)
        check_codes(codec, audio, tokens.codes, theirs)
        decoded = codec.decode(dataclasses.replace(tokens, codes=theirs))
        assert relative_error(decoded, decode(theirs)[:, : audio.shape[1]]) < 1e-4


def check_codes(codec: codax.Codec, audio: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal, but where two entries are equally near: the distance to both is then the same to 1e-5.

    There are few such cases. What follows one within its frame starts from another residual, and is not compared.
    """
    assert ours.shape == theirs.shape
    different = ours != theirs
    assert different.mean() < 1e-3
    variables = {"params": codec.params, "codebook": codec.codebook}
    semantic = codec.config.quantizer.semantic
    latent = np.asarray(codec.module.apply(variables, audio, method="encode_latent"), np.float64)
    books = np.asarray(variables["codebook"]["quantizer"]["embedding"], np.float64)
    for name, first in (("semantic", 0), ("acoustic", semantic)):
        stack = different[..., :semantic] if name == "semantic" else different[..., semantic:]
        kernel = np.asarray(variables["params"]["quantizer"][f"inward_{name}"]["kernel"], np.float64)
        for item, frame in np.argwhere(stack.any(axis=-1)):
            level = first + int(stack[item, frame].argmax())
            before = books[np.arange(first, level), ours[item, frame, first:level]].sum(axis=0)
            left = latent[item, frame] @ kernel - before
            a, b = (np.linalg.norm(left - books[level, codes[item, frame, level]]) for codes in (ours, theirs))
            assert abs(a - b) < 1e-5 * a, (level, frame)


def with_transformers(model):
    def encode(audio: np.ndarray, levels: int) -> np.ndarray:
        with torch.no_grad():
            actual = model.encode(torch.from_numpy(np.moveaxis(audio, 1, 2).copy()), num_quantizers=levels)
        return np.moveaxis(actual.audio_codes.numpy(), 1, 2)

    def decode(codes: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            actual = model.decode(torch.from_numpy(np.moveaxis(codes, 1, 2).copy()))
        return np.moveaxis(actual.audio_values.numpy(), 1, 2)

    return encode, decode


def with_moshi(model):
    def encode(audio: np.ndarray, levels: int) -> np.ndarray:
        model.set_num_codebooks(max(levels, 2))  # it cannot leave all acoustic ones out
        with torch.no_grad():
            codes = model.encode(torch.from_numpy(np.moveaxis(audio, 1, 2).copy())).numpy()
        return np.moveaxis(codes, 1, 2)[..., :levels]

    def decode(codes: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.moveaxis(model.decode(torch.from_numpy(np.moveaxis(codes, 1, 2).copy())).numpy(), 1, 2)

    return encode, decode


def test_transformers_both_ways(speech: np.ndarray, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = transformers.MimiModel(transformers.MimiConfig()).eval()
    randomise(model)
    model.save_pretrained(tmp_path / "theirs")
    codec = import_model(tmp_path / "theirs")
    agree(codec, speech, *with_transformers(model))
    export_huggingface(codec, tmp_path / "ours")
    repeated = transformers.MimiModel.from_pretrained(tmp_path / "ours").eval()
    agree(codec, speech[:, : 100 * FRAME], *with_transformers(repeated))


def test_moshi_both_ways(speech: np.ndarray, moshi, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    model = moshi(None, num_codebooks=32)
    randomise(model)
    save_file(model.state_dict(), tmp_path / "mimi.safetensors")
    codec = import_model(tmp_path / "mimi.safetensors")
    agree(codec, speech, *with_moshi(model))
    agree(codec, speech[:, : 40 * FRAME - 777], *with_moshi(model))  # padded with zeros to whole frames
    export_kyutai(codec, tmp_path / "ours")
    repeated = moshi(tmp_path / "ours" / "mimi.safetensors", num_codebooks=32)
    agree(codec, speech[:, : 100 * FRAME], *with_moshi(repeated))


def test_moshi_frame_by_frame(speech: np.ndarray, moshi, tmp_path: Path) -> None:
    """Frames one by one give what the whole gives, here and there, far beyond the window of 250 steps.

    In moshi a frame's two steps enter the ring of 250 together, so the first of them does not see the oldest of its
    250 any more. With these weights that moves nothing by as much as is compared here.
    """
    from safetensors.torch import save_file

    model = moshi(None, num_codebooks=32)
    randomise(model)
    save_file(model.state_dict(), tmp_path / "mimi.safetensors")
    codec = import_model(tmp_path / "mimi.safetensors")
    encode, decode = with_moshi(model)
    frames = [speech[:, i : i + FRAME] for i in range(0, speech.shape[1], FRAME)]
    for levels in LEVELS:
        offline = codec.encode(speech, num_quantizers=levels)
        decoded = codec.decode(offline)
        encoder, decoder = codec.stream(num_quantizers=levels)
        codes = np.concatenate([encoder.push(frame) for frame in frames], axis=1)
        check_codes(codec, speech, codes, offline.codes)
        heard = np.concatenate([decoder.push(offline.codes[:, [i]]) for i in range(len(frames))], axis=1)
        assert relative_error(heard, decoded) < 1e-4
        with model.streaming(1):
            theirs = np.concatenate([encode(frame, levels) for frame in frames], axis=1)
            audio = np.concatenate([decode(offline.codes[:, [i]]) for i in range(len(frames))], axis=1)
        check_codes(codec, speech, codes, theirs)
        assert relative_error(heard, audio) < 1e-4
