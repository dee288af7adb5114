"""Training a language model of a codec's codes: it learns, resumes to the bit, and its export codes files."""

import json
import shutil

import jax
import numpy as np
import pytest
from codax.codec.codec import Codec
from codax.config import Config
from codax.entropy import coding
from codax.errors import CodaxError
from codax.lm import integer, storage
from codax.tokens.build import build_tokens
from codax.training import language
from codax.training.step import phase_at
from tiny_run import tiny_config, train_here, write_corpus


@pytest.fixture(params=["", "delay"])
def config(request, tmp_path) -> Config:
    """A tiny model of a tiny codec's codes; with the layout "delay", of a token data set."""
    config = tiny_config(str(write_corpus(tmp_path / "voices")))
    codec = Codec.init_random(config, seed=3)
    codec.save(tmp_path / "codec")
    config.lm.codec, config.lm.layout = str(tmp_path / "codec"), request.param
    if request.param:
        build_tokens(config.data.source, tmp_path / "tokens", codec, form="arrayrecord", config=config.data)
        config.lm.tokens = str(tmp_path / "tokens")
    config.lm.dim, config.lm.layers, config.lm.heads, config.lm.hidden = 16, 1, 2, 32
    config.lm.past_seconds, config.lm.offset_seconds = 0.2, 1.0
    config.optimizer.learning_rate = 1e-2
    config.train.steps, config.train.log_every, config.train.eval_every = 12, 2, 12
    config.train.checkpoint_every = 6
    config.train.eval_batches = 1
    return config.validate()


def _lines(workdir) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_it_learns_resumes_and_codes(config, tmp_path):
    train_here(config, tmp_path / "whole")
    lines = _lines(tmp_path / "whole")
    losses = [line["loss/bits"] for line in lines if line["kind"] == "train"]
    assert losses[-1] < losses[0] - 0.2
    (validation,) = (line for line in lines if line["kind"] == "validation")
    levels = config.quantizer.num_quantizers
    assert len(validation["bits"]) == levels
    assert validation["kbps"] == pytest.approx(sum(validation["bits"]) * config.frame_rate / 1000)

    train_here(config, tmp_path / "parts", max_steps=7)
    train_here(config, tmp_path / "parts")
    first, repeated = (storage.load_lm(tmp_path / name / "export").flat() for name in ("whole", "parts"))
    for name, value in first.items():
        np.testing.assert_array_equal(repeated[name], value, err_msg=name)
    kept = [[line.get("loss/bits") for line in _lines(tmp_path / name)] for name in ("whole", "parts")]
    assert kept[0] == kept[1]

    if config.lm.layout:
        with pytest.raises(CodaxError, match="lm.json: a language model with the layout delay cannot code files"):
            storage.load_integers(tmp_path / "whole" / "export")
        return
    lm, arrays = storage.load_integers(tmp_path / "whole" / "export")
    model = integer.IntegerModel(lm, arrays, levels, 1)
    codes = np.random.default_rng(0).integers(0, config.quantizer.codebook_size, (20, levels))
    (message,) = coding.encode_blocks(model, [codes])
    (actual,) = coding.decode_blocks(model, [message], [20])
    np.testing.assert_array_equal(actual, codes)


def test_a_run_resumes_with_the_same_codec_only(config, tmp_path):
    train_here(config, tmp_path / "run", max_steps=1)
    shutil.rmtree(tmp_path / "codec")
    Codec.init_random(tiny_config(config.data.source), seed=4).save(tmp_path / "codec")
    if config.lm.tokens:
        return  # the data set names its codec
    with pytest.raises(CodaxError, match="the checkpoints there have codes_of"):
        train_here(config, tmp_path / "run")


def test_tokens_of_another_codec(config, tmp_path):
    config.lm.tokens = str(tmp_path / "others")
    codec = Codec.init_random(config, seed=4)
    build_tokens(config.data.source, tmp_path / "others", codec, form="arrayrecord", config=config.data)
    with pytest.raises(CodaxError, match=f"others: has tokens of .*{codec.hash.hex()}, lm.codec is .* with hash"):
        train_here(config, tmp_path / "run")


@pytest.mark.parametrize("layout", ["acoustic_delay", "delay"])
def test_a_layout_lets_codes_depend_on_codes_of_their_frame(layout):
    """The second code of a frame equals the first, and the third the second; the first is random."""
    config = tiny_config(quantizer__num_quantizers=3, quantizer__codebook_size=8, quantizer__kbps=())
    config.lm.codec, config.lm.layout = "codec", layout
    config.lm.dim, config.lm.layers, config.lm.heads, config.lm.hidden, config.lm.past_seconds = 32, 1, 2, 64, 0.01
    config.optimizer.learning_rate = 1e-2
    step, state = jax.jit(language.make_step(config, phase_at(config, 0), None)), language.init_state(config)
    rng = np.random.default_rng(0)
    for _ in range(150):
        first = rng.integers(0, 8, (8, 24, 1), dtype=np.int32)
        state, metrics = step(state, {"codes": np.repeat(first, 3, axis=2)})
    bits = np.asarray(metrics["bits"])
    assert bits[0] == pytest.approx(3, abs=0.2)
    assert bits[1:].max() < 0.3


def test_a_codec_that_is_not_there(config, tmp_path):
    config.lm.codec = str(tmp_path / "absent")
    with pytest.raises(CodaxError, match="absent: no such model folder"):
        train_here(config, tmp_path / "run")
