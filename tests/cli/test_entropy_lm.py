"""`codax encode --entropy` with a language model beside the codec."""

import dataclasses
import json

import codax
import numpy as np
import pytest
from codax import audio
from codax.codec.codec import Codec
from codax.config import Config
from codax.lm.storage import save_lm
from tiny_models import random_lm


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders: `codec` with a language model, `bare` without, `other`, another language model."""
    folder = tmp_path_factory.mktemp("models")
    config = Config(name="tiny")
    config.model.sample_rate, config.model.channels, config.model.strides, config.model.dimension = 8000, 2, (8, 10), 8
    config.quantizer.num_quantizers, config.quantizer.codebook_size, config.quantizer.kbps = 3, 64, ()
    config.lm.dim, config.lm.layers, config.lm.heads, config.lm.hidden, config.lm.past_seconds = 16, 1, 2, 16, 0.5
    codec = Codec.init_random(config, seed=1)
    for name in ("codec", "bare"):
        codec.save(folder / name)
    save_lm(random_lm(config, 0), config, folder / "codec" / "lm")
    save_lm(random_lm(config, 1), config, folder / "other")
    larger = dataclasses.replace(config, quantizer=dataclasses.replace(config.quantizer, codebook_size=128))
    save_lm(random_lm(larger, 0), larger, folder / "larger")
    return folder


def test_files_come_back_and_need_their_model(run_here, models):
    audio.write("in.wav", np.random.default_rng(0).normal(0, 0.1, (8000 * 11, 2)), 8000)
    assert run_here("encode", "in.wav", "p.codax", "--model", models / "codec")[0] == 0
    assert run_here("encode", "in.wav", "a.codax", "--model", models / "codec", "--entropy")[0] == 0
    assert run_here("encode", "in.wav", "b.codax", "--model", models / "bare", "--entropy")[0] == 0
    kinds = [json.loads(run_here("info", f"{name}.codax", "--json")[1])["coding"] for name in "pab"]
    assert kinds == ["packed", "lm", "adaptive"]
    for name in "pab":
        status, _, err = run_here("decode", f"{name}.codax", f"{name}.wav", "--model", models / "codec")
        assert (status, err) == (0, "")
    sounds = [audio.read(f"{name}.wav")[0] for name in "pab"]
    np.testing.assert_array_equal(sounds[0], sounds[1])
    np.testing.assert_array_equal(sounds[0], sounds[2])
    for args, reason in [
        (("--model", models / "bare"), "model tiny has no language model: give its folder (--lm)"),
        (("--model", models / "bare", "--lm", models / "other"), "a.codax: the codes were coded (lm) with other freq"),
        (("--model", models / "bare", "--lm", models / "larger"), "the language model has other codes than model"),
        (("--model", models / "bare", "--lm", "absent"), "absent/lm.json"),
    ]:
        status, out, err = run_here("decode", "a.codax", "c.wav", *args)
        assert (status, out) == (1, "")
        assert reason in err
        assert err.count("\n") == 1
    assert run_here("decode", "a.codax", "c.wav", "--model", models / "bare", "--lm", models / "codec" / "lm")[0] == 0


def test_files_are_coded_by_a_language_model_of_their_codes(run_here, models):
    audio.write("in.wav", np.random.default_rng(0).normal(0, 0.1, 8000), 8000)
    codec = codax.load(models / "codec")
    codec.config.codes_of = ("12" * 8,)
    codec.save("m")
    for digest, status in ((codec.hash, 0), (b"\x12" * 8, 0), (b"another1", 1)):
        save_lm(random_lm(codec.config, 1), codec.config, "lm", codec_hash=digest)
        actual, _, err = run_here(
            "encode", "in.wav", "a.codax", "--model", "m", "--entropy=lm", "--lm", "lm", "--overwrite"
        )
        assert actual == status
    assert f"lm/lm.json: learned codes of the codec with hash {b'another1'.hex()}, not {codec.hash.hex()}" in err
    assert run_here("decode", "a.codax", "b.wav", "--model", "m", "--lm", "lm")[0] == 0
