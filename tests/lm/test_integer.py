"""The language model in integers: exact in any order, equal in pieces and on other settings, near to floats."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import Config
from codax.entropy import coding
from codax.errors import CodaxError
from codax.lm import fixedpoint, integer, storage
from codax.lm.config import LMConfig
from codax.lm.model import LanguageModel, previous_codes
from codax.lm.predictor import LM, from_weights, parameter_shapes
from codax.lm.quantize import quantize
from codax.storage.tensors import ModelError
from safetensors.numpy import save_file

CONFIG = LMConfig(codebooks=3, codebook_size=64, dim=24, layers=2, heads=4, hidden=48, past_context=10)
FRAMES = 30


def weights(seed: int = 0, config: LMConfig = CONFIG) -> dict[str, np.ndarray]:
    """Random weights that give sharp predictions; gains around one."""
    rng, actual = np.random.default_rng(seed), {}
    for name, shape in parameter_shapes(config).items():
        scale = 1.0 if "embedding" in name else (shape[0] ** -0.5 if len(shape) > 1 else 0.1)
        value = rng.normal(0, scale, shape)
        if name == "params.kernel":
            value *= 3
        actual[name] = (value + name.endswith(".scale")).astype(np.float32)
    return actual


def codes(lanes: int, frames: int = FRAMES, columns: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 64, (lanes, frames, columns)).astype(np.int32)


@pytest.fixture(scope="module")
def model() -> integer.IntegerModel:
    return integer.IntegerModel(CONFIG, quantize(weights(), CONFIG, FRAMES), 3, 1)


def test_roots_and_shifts_are_exact() -> None:
    numbers = [
        0,
        1,
        2,
        3,
        4,
        2**31 - 1,
        46340**2,
        46340**2 - 1,
        *(n * n + d for n in range(2, 46340, 97) for d in (-1, 0)),
    ]
    x = np.array(numbers, np.int32)
    expected = np.array([int(n) ** 0.5 for n in numbers]).astype(int)
    expected -= expected * expected > x
    np.testing.assert_array_equal(fixedpoint.square_root(jnp.asarray(x)), expected)
    np.testing.assert_array_equal(fixedpoint.shift(jnp.array([5, 6, -5, -6, 7]), 2), [1, 2, -1, -1, 2])
    np.testing.assert_array_equal(fixedpoint.shift(jnp.array([5, -5]), jnp.array([0, 1])), [5, -2])


def test_powers_of_two() -> None:
    table = quantize(weights(), CONFIG, 4)["exp2"]
    x = np.array([0, -1, -128, -256, -257, -256 * 14, -256 * 40], np.int32)
    actual = np.asarray(fixedpoint.exp2(jnp.asarray(x), jnp.asarray(table)))
    np.testing.assert_allclose(actual, 2.0 ** (15 + x / 256), atol=1)
    assert actual[0] == 1 << 15


def test_a_norm_is_that_of_whole_numbers() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-(2**19), 2**19, (50, 24)) >> rng.integers(0, 18, (50, 1))
    scale, bias = rng.integers(500, 2000, 24), rng.integers(-300, 300, 24)
    actual = np.asarray(fixedpoint.layer_norm(*(jnp.asarray(v, jnp.int32) for v in (x, scale, bias))))
    normed = (x - x.mean(-1, keepdims=True)) / np.maximum(x.std(-1, keepdims=True), 1e-9)
    expected = np.clip(normed * scale / np.sqrt(24) + bias, -2047, 2047)
    coarse = np.abs(x).max(-1) < 30  # of few steps nothing finer can be made
    assert np.abs(actual - expected)[~coarse].max() < 40
    # With integers of any length the same comes out.
    centred = x - (x.sum(-1, keepdims=True) + 12) // 24
    places = np.maximum(0, np.array([[int(v).bit_length() - 11] for v in np.abs(centred).max(-1)]))
    centred = (centred + ((1 << places) >> 1)) >> places
    root = np.maximum(np.array([[int(np.floor(np.sqrt(int(v))))] for v in (centred**2).sum(-1)]), 1)
    exact = np.clip((2 * centred * scale + root) // (2 * root) + bias, -2047, 2047)
    np.testing.assert_array_equal(actual, exact)


def test_products_are_those_of_whole_numbers() -> None:
    arrays = quantize(weights(), CONFIG, FRAMES)
    rng = np.random.default_rng(0)
    for name in ("layer0.queries", "layer1.dense1", "layer1.dense2", "head"):
        kernel = arrays[f"{name}.kernel"].astype(np.int64)
        # No sum of magnitudes leaves what float32 holds exactly.
        assert (np.abs(kernel).sum(axis=1) * fixedpoint.LARGEST).max() <= fixedpoint.EXACT
        x = rng.choice([-fixedpoint.LARGEST, fixedpoint.LARGEST], (5, kernel.shape[0] * kernel.shape[1]))
        actual = fixedpoint.dense(
            jnp.asarray(x, jnp.int32), *(jnp.asarray(arrays[f"{name}.{part}"]) for part in ("kernel", "bias", "places"))
        )
        exact = x @ kernel.reshape(-1, kernel.shape[2]) + arrays[f"{name}.bias"]
        half = (1 << arrays[f"{name}.places"].astype(np.int64)) >> 1
        np.testing.assert_array_equal(actual, (exact + half) >> arrays[f"{name}.places"])


def test_frame_by_frame_is_the_whole(model: integer.IntegerModel) -> None:
    some = codes(3)
    whole = model.intervals(some)
    stepped = coding.state_intervals(model.start(3), some)
    np.testing.assert_array_equal(stepped, whole)
    alone = coding.state_intervals(model.start(1), some[1:2])
    np.testing.assert_array_equal(alone, [part[1:2] for part in whole])
    shorter = model.intervals(some[:, :17])
    np.testing.assert_array_equal(shorter, [part[:, :17] for part in whole])


def test_one_program_serves_similar_lengths_and_numbers_of_blocks() -> None:
    config = dataclasses.replace(CONFIG, layers=1, past_context=64)
    model = integer.IntegerModel(config, quantize(weights(config=config), config, 160), 3, 1)
    some = codes(1, 160)
    expected, compiled = model.intervals(some), integer.whole._cache_size()
    for frames in (129, 130, 147):
        np.testing.assert_array_equal(model.intervals(some[:, :frames]), [part[:, :frames] for part in expected])
    assert integer.whole._cache_size() == compiled
    compiled = integer.step._cache_size()
    for lanes in (33, 38, 40):
        many = np.repeat(some[:, :2], lanes, axis=0)
        stepped = coding.state_intervals(model.start(lanes), many)
        np.testing.assert_array_equal(stepped, [np.repeat(part[:, :2], lanes, axis=0) for part in expected])
    assert integer.step._cache_size() == compiled + 1


def test_a_thousand_sequences_come_back(model: integer.IntegerModel) -> None:
    rng = np.random.default_rng(0)
    blocks = [rng.integers(0, 64, (int(rng.integers(1, FRAMES + 1)), 3)) for _ in range(1000)]
    blocks = [np.sort(block, axis=0) if i % 2 else block for i, block in enumerate(blocks)]
    messages = [coding.encode_blocks(model, blocks[i : i + 100]) for i in range(0, 1000, 100)]
    for i, some in zip(range(0, 1000, 100), messages, strict=True):
        for block, repeated in zip(
            blocks[i:], coding.decode_blocks(model, some, [*map(len, blocks[i : i + 100])]), strict=False
        ):
            np.testing.assert_array_equal(repeated, block)
    assert coding.encode_blocks(model, blocks[7:8]) == messages[0][7:8]


def test_messages_of_another_machine_come_back() -> None:
    """tests/golden/make_integer_lm.py wrote them, once."""
    with np.load(Path(__file__).parents[1] / "golden" / "integer_lm.npz") as stored:
        arrays = {name.removeprefix("arrays/"): stored[name] for name in stored if name.startswith("arrays/")}
        blocks = [*stored["codes"].astype(np.int32)]
        messages = [stored[f"messages/{i}"].tobytes() for i in range(len(blocks))]
    model = integer.IntegerModel(CONFIG, arrays, 3, 1)
    for some in (slice(0, 1), slice(1, 4)):
        actual = coding.decode_blocks(model, messages[some], [FRAMES] * len(messages[some]))
        np.testing.assert_array_equal(actual, blocks[some])
    assert coding.encode_blocks(model, blocks) == messages


def test_it_forgets_what_is_too_far_back(model: integer.IntegerModel) -> None:
    """Two layers see twice the past; further back nothing matters, nearer it does."""
    some = codes(1)
    other = some.copy()
    other[:, 5] = (other[:, 5] + 1) % 64
    a, b = (model.intervals(x)[1] for x in (some, other))
    same = (a == b).all(axis=(0, 2))
    assert same[:5].all()
    assert not same[6:10].any()
    assert same[6 + 2 * 10 + 1 :].all()


def test_it_is_near_to_the_float_model() -> None:
    flat = weights()
    lm = LM(CONFIG, from_weights(flat, CONFIG, Path("x")).params)
    some = codes(2)
    logits = LanguageModel(CONFIG).apply({"params": lm.params}, previous_codes(jnp.asarray(some)))
    p = np.asarray(jax.nn.softmax(logits, axis=-1))
    frequencies = integer.IntegerModel(CONFIG, quantize(flat, CONFIG, FRAMES), 3, 1).intervals(some)[1] / 65536
    chosen = np.take_along_axis(p, some[..., None], -1)[..., 0]
    assert np.std(np.log2(chosen)) > 1.5  # sharp enough to mean something
    # Rare codes have a floor in one and not in the other.
    common = chosen > 0.005
    assert np.abs(np.log2(frequencies / chosen))[common].max() < 0.25
    assert abs(np.mean(np.log2(frequencies / chosen)[common])) < 0.03


def test_streams_are_apart() -> None:
    arrays = quantize(weights(), CONFIG, FRAMES)
    both = codes(2, columns=4)
    two, one = integer.IntegerModel(CONFIG, arrays, 2, 2), integer.IntegerModel(CONFIG, arrays, 2, 1)
    actual = two.intervals(both)
    np.testing.assert_array_equal(coding.state_intervals(two.start(2), both), actual)
    np.testing.assert_array_equal(one.intervals(both[..., 2:]), [part[..., 2:] for part in actual])
    blocks = [both[0], both[1, :7]]
    messages = coding.encode_blocks(two, blocks)
    repeated = coding.decode_blocks(two, messages, [len(block) for block in blocks])
    for block, other in zip(blocks, repeated, strict=True):
        np.testing.assert_array_equal(other, block)


def test_noise_on_the_weights_is_absorbed_or_noticed(tmp_path) -> None:
    """Noise below half a step of every integer changes nothing; more changes the digest, which files carry."""
    flat, rng = weights(), np.random.default_rng(1)
    first = quantize(flat, CONFIG, FRAMES)
    tiny = {k: v * (1 + 1e-7 * rng.standard_normal(v.shape)).astype(np.float32) for k, v in flat.items()}
    large = {k: v * (1 + 1e-3 * rng.standard_normal(v.shape)).astype(np.float32) for k, v in flat.items()}
    for noisy in (tiny, large):
        other = quantize(noisy, CONFIG, FRAMES)
        equal = all(np.array_equal(other[name], first[name]) for name in first)
        assert equal == (integer.digest(other) == integer.digest(first))
    assert integer.digest(quantize(large, CONFIG, FRAMES)) != integer.digest(first)


def test_a_folder_comes_back_and_damage_is_named(tmp_path) -> None:
    config = Config()
    lm = LM(CONFIG, from_weights(weights(), CONFIG, Path("x")).params)
    storage.save_lm(lm, config, tmp_path / "lm")
    assert storage.has_lm(tmp_path / "lm")
    actual, arrays = storage.load_integers(tmp_path / "lm")
    assert actual == CONFIG
    assert integer.digest(arrays) == integer.digest(quantize(lm.flat(), CONFIG, storage.block_frames(config)))
    np.testing.assert_array_equal(storage.load_lm(tmp_path / "lm").flat()["params.bias"], lm.flat()["params.bias"])
    text = (tmp_path / "lm" / "lm.json").read_text()
    for old, new, reason in [
        ('"dim": 24', '"dim": 32', r"lm_integer\.safetensors: embedding does not fit the config"),
        ('"dim": 24', '"dim": 25', r"lm\.json: config field lm\.dim = 25"),
        ('"lm"', '"other"', r"lm\.json: not the description"),
    ]:
        (tmp_path / "lm" / "lm.json").write_text(text.replace(old, new))
        with pytest.raises(CodaxError, match=reason):
            storage.load_integers(tmp_path / "lm")
    (tmp_path / "lm" / "lm.json").write_text(text.replace('"dim": 24', '"dim": 504'))
    save_file({**arrays, "more": np.zeros(1 << 22, np.int8)}, tmp_path / "lm" / "lm_integer.safetensors")
    with pytest.raises(ModelError, match=r"lm\.json: config field lm\.dim = 504: integer arithmetic holds at most 500"):
        storage.load_integers(tmp_path / "lm")


SCRIPT = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from test_integer import CONFIG, FRAMES, codes, weights
from codax.entropy import coding
from codax.lm import integer
from codax.lm.quantize import quantize
from codax.storage.tensors import ModelError
from safetensors.numpy import save_file
model = integer.IntegerModel(CONFIG, quantize(weights(), CONFIG, FRAMES), 3, 1)
print(hashlib.sha256(coding.encode_blocks(model, list(codes(4)))[2]).hexdigest())
"""


@pytest.mark.parametrize("flags", ["", "--xla_cpu_multi_thread_eigen=false"])  # the suite's own are others
def test_other_settings_give_the_same_bytes(model: integer.IntegerModel, flags: str) -> None:
    import hashlib

    expected = hashlib.sha256(coding.encode_blocks(model, [codes(4)[2]])[0]).hexdigest()
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", SCRIPT, os.path.dirname(__file__)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == expected, done.stderr
