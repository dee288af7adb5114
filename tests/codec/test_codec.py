"""The codec as a user holds it: shapes, streaming, saving and damaged models."""

import dataclasses
import functools

import codax
import jax
import numpy as np
import pytest
from codax.audio import read, write
from codax.codec.codec import Codec
from codax.codec.loading import from_weights
from codax.config import Config
from codax.containers.container import parse_header
from codax.errors import CodaxError
from codax.storage.tensors import ModelError
from flax.traverse_util import flatten_dict
from quantizer_options import OPTIONS, with_option
from signals import noise


def small_config(**model) -> Config:
    config = Config(name="tiny")
    config.model.sample_rate = 8_000
    config.model.channels = 4
    config.model.strides = (2, 4)
    config.model.dimension = 8
    for name, value in model.items():
        setattr(config.model, name, value)
    if config.model.film != "none":
        config.data.noise_source = "starter-noise"
    config.quantizer.num_quantizers = 4
    config.quantizer.codebook_size = 16
    config.quantizer.kbps = ()
    return config.validate()


# Codecs of two first layers, and one with each option of the quantizer that matters after training; with the sizes of
# pieces that each is given. Every size is odd for one, whole frames for another.
CHUNKS = {
    "stem1": (1, 7, 333),
    "stem4": (7, 64),
    "normalised": (1, 5000),
    "factorised": (64, 333),
    "fsq": (7, 5000),
    "beam": (1, 64),
}


@functools.cache
def made(name: str) -> Codec:
    config = small_config(dilations=(1,), stem_stride=4 if name == "stem4" else 1)
    if name in OPTIONS:
        config = with_option(config, name)
    elif name == "beam":
        config.quantizer.beam = 3
    return Codec.init_random(config, seed=1)


@pytest.fixture(params=CHUNKS)
def codec(request):
    return made(request.param)


@pytest.fixture
def plain():
    """For what does not depend on the quantizer."""
    return made("stem1")


def signal(batch=1, time=1001, channels=1, seed=0):
    return noise(batch, time, channels, seed=seed)


@pytest.mark.parametrize("rate,channels", [(8_000, 1), (8_000, 2), (11_025, 1), (44_100, 3)])
def test_decoding_gives_back_length_rate_and_channels(plain, rate, channels):
    audio = signal(2, 3333, channels)
    tokens = plain.encode(audio, sample_rate=rate, num_quantizers=3)
    model_length = -(-3333 * 8_000 // rate)
    assert tokens.codes.shape == (2 * channels, -(-model_length // plain.config.hop), 3)
    assert tokens.codes.dtype == np.int32
    decoded = plain.decode(tokens)
    assert decoded.shape == audio.shape
    assert np.isfinite(decoded).all()


def test_channels_of_a_mono_model_do_not_mix(plain):
    audio = signal(1, 800, 2)
    both = plain.decode(plain.encode(audio))
    for channel in range(2):
        alone = plain.decode(plain.encode(audio[..., channel : channel + 1]))
        np.testing.assert_allclose(both[..., channel], alone[..., 0], atol=1e-5)


def test_length_buckets_change_nothing(plain):
    audio = signal(1, 200 * plain.config.hop)
    whole = plain.encode(audio).codes
    start = plain.encode(audio[:, : 37 * plain.config.hop]).codes
    np.testing.assert_array_equal(whole[:, :37], start)


@pytest.mark.parametrize(
    ("codec", "chunk"), [(name, chunk) for name, sizes in CHUNKS.items() for chunk in sizes], indirect=["codec"]
)
def test_streaming_equals_offline(codec, chunk):
    audio = signal(2, 1001 if chunk > 1 else 201)
    offline = codec.encode(audio)
    session, decoder = codec.stream(batch=2)
    pieces = [session.push(audio[:, i : i + chunk]) for i in range(0, audio.shape[1], chunk)] + [session.finish()]
    codes = np.concatenate(pieces, axis=1)
    np.testing.assert_array_equal(codes, offline.codes)
    step = max(1, chunk // codec.config.hop)
    pieces = [decoder.push(codes[:, i : i + step]) for i in range(0, codes.shape[1], step)]
    streamed = np.concatenate(pieces, axis=1)[:, : audio.shape[1]]
    np.testing.assert_allclose(streamed, codec.decode(offline), atol=1e-5)


def test_streaming_context_matters(plain):
    """A session that lost its context would differ: the test above could otherwise pass by accident."""
    audio = signal(1, 40 * plain.config.hop)
    latent = plain.encode(audio).codes
    fresh = plain.encode(audio[:, 20 * plain.config.hop :]).codes
    assert (latent[:, 20:] != fresh).any()


def test_the_future_does_not_reach_the_past(codec):
    audio = signal(1, 64 * codec.config.hop)
    changed = audio.copy()
    changed[:, 32 * codec.config.hop :] += 1.0
    a, b = codec.encode(audio).codes, codec.encode(changed).codes
    np.testing.assert_array_equal(a[:, :32], b[:, :32])
    assert (a[:, 32:] != b[:, 32:]).any()


@pytest.mark.parametrize("entropy", [None, "adaptive"])
def test_files_come_back(tmp_path, codec, entropy):
    write(tmp_path / "in.wav", signal(1, 1001)[0], 8_000)
    kbps = codec.config.kbps(3)
    codax.encode_file(tmp_path / "in.wav", tmp_path / "a.codax", model=codec, kbps=kbps, entropy=entropy)
    meta = parse_header((tmp_path / "a.codax").read_bytes(), (tmp_path / "a.codax").stat().st_size)[0]
    frames = -(-1001 // codec.config.hop)
    assert meta.codebook_size == codec.config.quantizer.codebook_size
    if entropy is None:  # 4 bits a code, of 15 or 16 entries
        assert meta.payload_bytes == -(-frames * 3 * 4 // 8)
        assert codec.config.kbps(3) == pytest.approx(3 * 4 * codec.config.frame_rate / 1000)
    codax.decode_file(tmp_path / "a.codax", tmp_path / "out.wav", model=codec)
    actual, sound = read(tmp_path / "out.wav")[0], read(tmp_path / "in.wav")[0]
    expected = codec.decode(codec.encode(sound[None], num_quantizers=3))[0]
    np.testing.assert_allclose(actual, np.clip(expected, -1, 1), atol=1e-4)  # 16 bits


def test_channels_of_arrays(plain):
    left, right = signal(seed=1)[0, :, 0], signal(seed=2)[0, :, 0]
    stereo, equal = np.stack([left, right], 1)[None], np.stack([left, left], 1)[None]
    each, mix = (plain.encode(stereo, channels=mode) for mode in ("each", "mix"))
    mid_side = plain.encode(stereo, channels="mid-side")
    assert (len(each.codes), len(mix.codes), len(mid_side.codes)) == (2, 1, 2)
    assert (each.mid_side, mid_side.mid_side, mix.channels) == (False, True, 1)
    np.testing.assert_array_equal(plain.encode(stereo).codes, each.codes)
    mid, side = (left + right) / 2, (left - right) / 2
    np.testing.assert_array_equal(mid_side.codes, plain.encode(np.stack([mid, side], 1)[None]).codes)
    np.testing.assert_array_equal(mix.codes, plain.encode(mid).codes)
    decoded = plain.decode(dataclasses.replace(mid_side, mid_side=False))[0]
    expected = np.stack([decoded[:, 0] + decoded[:, 1], decoded[:, 0] - decoded[:, 1]], 1)
    np.testing.assert_array_equal(plain.decode(mid_side)[0], expected)
    assert plain.decode(mix).shape == (1, len(left), 1)
    assert len(plain.encode(equal).codes) == 2  # the shape of the codes does not depend on the samples
    with pytest.raises(CodaxError, match="audio: 3 channels cannot be coded as mid and side"):
        plain.encode(np.zeros((1, 100, 3)), channels="mid-side")
    with pytest.raises(CodaxError, match="'left' is not one of each, mix, mid-side"):
        plain.encode(stereo, channels="left")
    with pytest.raises(CodaxError, match="codes of 1 channels, 1 in a signal, are not mid and side"):
        plain.decode(dataclasses.replace(mix, mid_side=True))


def test_fewer_quantizers_are_a_prefix(codec):
    audio = signal()
    few, all_codes = codec.encode(audio, num_quantizers=2).codes, codec.encode(audio).codes
    if getattr(codec.config.quantizer, "beam", 1) == 1:
        np.testing.assert_array_equal(few, all_codes[..., :2])
        return
    # A beam looks ahead to the levels that are asked for. Codes of more can be cut off all the same.
    assert not np.array_equal(few, all_codes[..., :2])
    latent = np.asarray(
        codec.module.apply({"params": codec.params, "codebook": codec.codebook}, audio, method="encode_latent")
    )
    near, cut = (np.mean((latent - codec.vectors(codes)) ** 2) for codes in (few, all_codes[..., :2]))
    assert near < cut


def test_save_and_load_round_trip(tmp_path, codec):
    codec.save(tmp_path / "model")
    loaded = codax.load(tmp_path / "model")
    assert loaded.hash == codec.hash and len(codec.hash) == 8
    assert loaded.config == codec.config
    audio = signal()
    np.testing.assert_array_equal(loaded.encode(audio).codes, codec.encode(audio).codes)
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("codec", ["normalised", "factorised"], indirect=True)  # sums of EMA; directions and scales
def test_coding_uses_folded_weights_and_keeps_the_trained_ones(tmp_path, codec):
    codec.save(tmp_path / "model")
    loaded = codax.load(tmp_path / "model")
    codes = loaded.encode(signal()).codes
    held = {"/".join(map(str, path)) for path in flatten_dict(loaded.engine.folded)}
    assert not any(name.endswith(("/total", "/kernel_direction", "/kernel_scale")) for name in held)
    for file in (tmp_path / "model").iterdir():
        file.unlink()  # nothing is read again
    assert loaded.hash == codec.hash
    for name, value in codec.flat().items():
        np.testing.assert_array_equal(loaded.flat()[name], value)
    loaded.save(tmp_path / "model")
    np.testing.assert_array_equal(codax.load(tmp_path / "model").encode(signal()).codes, codes)


def test_folding_within_a_users_function_leaves_no_tracer():
    codec = Codec.init_random(small_config(weight_norm=True, dilations=(1,)), seed=1)
    actual = jax.jit(lambda x: codec.module.apply(codec.engine.folded, x, method="encode_latent"))(signal())
    plain = codec.module.apply({"params": codec.params, "codebook": codec.codebook}, signal(), method="encode_latent")
    np.testing.assert_allclose(actual, plain, atol=1e-5)
    assert codec.encode(signal()).codes.shape == (1, -(-1001 // codec.config.hop), 4)


def test_half_is_half_the_size_and_stays_as_it_is(tmp_path, plain):
    plain.save(tmp_path / "whole")
    plain.save(tmp_path / "half", half=True)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half")]
    arrays = sum(value.nbytes for value in plain.flat().values())
    assert sizes[0] - sizes[1] == pytest.approx(arrays / 2, abs=64)
    loaded = codax.load(tmp_path / "half")
    for name, value in loaded.flat().items():
        assert value.dtype == plain.flat()[name].dtype
        np.testing.assert_allclose(value, plain.flat()[name], rtol=2**-11, atol=2**-25)
    loaded.save(tmp_path / "again", half=True)
    assert codax.load(tmp_path / "again").hash == loaded.hash != plain.hash


def test_values_too_large_for_half_are_refused(tmp_path, plain):
    arrays = plain.flat()
    name = next(name for name in arrays if name.startswith("params."))
    arrays[name] = np.full_like(arrays[name], 65_520.0)
    large = from_weights(arrays, plain.config, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=f"{name} has a value of 65520"):
        large.save(tmp_path / "half", half=True)
    assert not (tmp_path / "half").exists()


def test_other_weights_have_another_hash(plain):
    assert Codec.init_random(plain.config, seed=2).hash != plain.hash


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_denoising_switch_reaches_the_output(side):
    codec = Codec.init_random(small_config(film=side, dilations=(1,)), seed=3)
    audio = signal()
    # FiLM starts as the identity; give it weights.
    kernel = codec.params["film"]["proj"]["kernel"]
    codec.params["film"]["proj"]["kernel"] = kernel + np.linspace(-1, 1, kernel.size).reshape(kernel.shape)
    off, on = (codec.decode(codec.encode(audio, denoise=d)) for d in (False, True))
    assert np.abs(off - on).max() > 1e-3
    session = codec.stream_encoder(denoise=True)
    codes = np.concatenate([session.push(audio[:, :500]), session.push(audio[:, 500:]), session.finish()], axis=1)
    np.testing.assert_array_equal(codes, codec.encode(audio, denoise=True).codes)


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_a_denoiser_changes_frames_only_where_it_is_on(side):
    """Its units add to the frames where the switch is on; elsewhere the codec is the one without it."""
    denoiser = {"film": side, "film_dilations": (1, 3), "film_channels": 6}
    codec = Codec.init_random(small_config(**denoiser, dilations=(1,)), seed=3)
    rng, film = np.random.default_rng(0), codec.params["film"]
    film["out"]["kernel"] = rng.normal(0, 1, film["out"]["kernel"].shape).astype(np.float32)
    plain = Codec(
        small_config(dilations=(1,)), {name: value for name, value in codec.params.items() if name != "film"},
        codec.codebook,
    )  # fmt: skip
    audio = signal()
    off, on = (codec.encode(audio, denoise=d) for d in (False, True))
    np.testing.assert_array_equal(off.codes, plain.encode(audio).codes)
    np.testing.assert_array_equal(codec.decode(off), plain.decode(off))
    assert np.abs(codec.decode(on) - codec.decode(off)).max() > 1e-3
    encoder, decoder = codec.stream(denoise=True)
    pieces = [encoder.push(audio[:, :501]), encoder.push(audio[:, 501:]), encoder.finish()]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), on.codes)
    decoded = np.concatenate([decoder.push(codes) for codes in pieces], axis=1)
    np.testing.assert_allclose(decoded[:, : audio.shape[1]], codec.decode(on), atol=1e-5)
    switch = np.arange(on.codes.shape[1])[None] >= 50
    variables = {"params": codec.params, "codebook": codec.codebook}
    changed = codec.module.apply(variables, audio, None, switch.astype(np.float32), method="encode")
    np.testing.assert_array_equal(changed, np.where(switch[..., None], on.codes, off.codes))


def test_wrong_input_is_refused(plain):
    with pytest.raises(CodaxError, match="not trained to denoise"):
        plain.encode(signal(), denoise=True)
    with pytest.raises(CodaxError, match="kbps"):
        plain.encode(signal(), kbps=1234.5)
    tokens = plain.encode(signal())
    size = plain.config.quantizer.codebook_size
    with pytest.raises(CodaxError, match=f"0 to {size - 1}"):
        plain.decode(codax.Tokens(codes=tokens.codes + size, length=5, sample_rate=8_000))


def test_a_saved_model_has_the_same_bytes_each_time(tmp_path, plain):
    for i in range(8):
        plain.save(tmp_path / str(i))
        for name in ("config.json", "model.safetensors"):
            assert (tmp_path / str(i) / name).read_bytes() == (tmp_path / "0" / name).read_bytes()
    assert codax.load(tmp_path / "0").hash == plain.hash


def test_damaged_models_are_named(tmp_path, plain):
    with pytest.raises(ModelError, match="no such model"):
        codax.load(tmp_path / "absent")
    folder = tmp_path / "m"
    plain.save(folder)
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        codax.load(folder)
    plain.save(folder)
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-100] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.safetensors: damaged, its arrays do not have the checksum"):
        codax.load(folder)
    plain.save(folder)
    (folder / "config.json").write_text(
        (folder / "config.json").read_text().replace('"dimension": 8', '"dimension": 9')
    )
    with pytest.raises(ModelError, match="the config needs"):
        codax.load(folder)
    (folder / "config.json").write_text((folder / "config.json").read_text().replace('"dimension"', '"dimensions"'))
    with pytest.raises(CodaxError, match="model.dimensions"):
        codax.load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match="config.json is missing"):
        codax.load(folder)
