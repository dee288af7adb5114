"""A run that starts from a finished model."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import codax
import jax
import numpy as np
import pytest
from codax.codec.codec import Codec
from codax.config import Config, FrameDecoderConfig
from codax.config.recipe_files import load_recipe
from codax.errors import CodaxError
from codax.training.state import init_state
from codax.training.step import make_step, phase_at
from tiny_run import ROOT, WHOLE_STEP, tiny_config, train_here, voices, write_corpus


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Two steps at a learning rate that changes nothing but the codebooks, from a model with random weights."""
    folder = tmp_path_factory.mktemp("start")
    config = tiny_config(str(write_corpus(folder / "corpus")), **WHOLE_STEP, train__steps=2, train__sample_files=0)
    config.loss.adversarial = config.loss.feature = 0.0
    Codec.init_random(config, seed=5).save(folder / "model")
    config.train.start_from, config.optimizer.learning_rate = str(folder / "model"), 1e-12
    config.quantizer.decay, config.quantizer.dead_threshold = 0.999, 0.0
    return config.validate()


def test_network_and_codebooks_are_those_of_the_model_and_a_stopped_run_goes_on(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_here(config, tmp_path / "one")
    train_here(config, tmp_path / "two", max_steps=1)
    assert "resuming from the checkpoint" not in capsys.readouterr().out
    train_here(config, tmp_path / "two")
    assert "resuming from the checkpoint" in capsys.readouterr().out
    model, one, two = (
        codax.load(folder)
        for folder in (config.train.start_from, tmp_path / "one" / "export", tmp_path / "two" / "export")
    )
    assert one.hash == two.hash != model.hash
    before, after = model.flat(), one.flat()
    for name, value in before.items():
        if name.startswith("params."):
            np.testing.assert_allclose(after[name], value, rtol=1e-6, atol=1e-8)
    books = [arrays["codebook.quantizer.embedding"] for arrays in (before, after)]
    assert 0 < np.abs(books[1] - books[0]).max() < 0.5 * np.abs(books[0]).max()  # they follow the audio slowly


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("train", "start_from", "absent", "absent: no such model folder"),
        ("train", "start_from", "", r"train\.freeze .* must be empty without train\.start_from"),
        ("train", "freeze", ("encoder", "quantiser"), "must be some of encoder, quantizer, decoder$"),
        ("train", "freeze", ("encoder", "quantizer", "decoder"), "not all of them without model.film_dil"),
        ("train", "freeze", ("decoder",), r"train\.new_decoder = True: must be False .* with the decoder in train"),
    ],
)
def test_what_does_not_fit_is_refused(config: Config, tmp_path: Path, section, field, value, message) -> None:
    changed = Config.from_dict(dataclasses.asdict(config))
    setattr(getattr(changed, section), field, value)
    changed.train.freeze = changed.train.freeze or ("encoder",)
    changed.train.new_decoder = changed.train.freeze == ("decoder",)
    with pytest.raises(CodaxError, match=message):
        train_here(changed, tmp_path / "run")
    assert not list(tmp_path.glob("run/checkpoints/*"))


def test_network_and_phases_are_those_of_the_model(config: Config, tmp_path: Path) -> None:
    """A recipe with another network starts from the model all the same, and resumes when the model has gone."""
    other = Config.from_dict(dataclasses.asdict(config))
    other.model.dilations, other.quantizer.num_quantizers, other.quantizer.kbps = (3,), 3, ()
    other.quantizer.start_step, other.loss.spectral_start_step = 5, 5
    model = Path(shutil.copytree(config.train.start_from, tmp_path / "model"))
    other.train.start_from = str(model)
    train_here(other.validate(), tmp_path / "run", max_steps=1)
    shutil.rmtree(model)
    train_here(other, tmp_path / "run")
    exported = codax.load(tmp_path / "run" / "export").config
    assert (exported.model, exported.quantizer) == (config.model, config.quantizer)
    assert exported.quantizer.decay == 0.999
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert "loss/spectral" in json.loads(lines[0]) and "codebook/perplexity" in json.loads(lines[0])


@pytest.fixture(scope="module")
def decoder_run(config: Config, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """A run that trains the decoder alone, at a learning rate that changes it."""
    decoder = Config.from_dict(dataclasses.asdict(config))
    decoder.train.freeze, decoder.optimizer.learning_rate = ("encoder", "quantizer"), 1e-2
    workdir = tmp_path_factory.mktemp("decoder") / "run"
    train_here(decoder.validate(), workdir)
    return decoder, workdir


def test_a_frozen_encoder_and_quantizer_keep_every_code(decoder_run: tuple[Config, Path], tmp_path: Path) -> None:
    before, after = codax.load(decoder_run[0].train.start_from), codax.load(decoder_run[1] / "export")
    arrays, changed = before.flat(), after.flat()
    for name, value in arrays.items():
        is_frozen = not name.startswith("params.decoder")
        assert np.array_equal(changed[name], value) == is_frozen, name
    audio = voices(2, 4_000, 1)
    codes = before.encode(audio, sample_rate=before.config.model.sample_rate).codes
    np.testing.assert_array_equal(after.encode(audio, sample_rate=before.config.model.sample_rate).codes, codes)
    assert after.config.codes_of == (before.hash.hex(),) and after.hash != before.hash
    codax.audio.write(tmp_path / "a.wav", audio[0], before.config.model.sample_rate)
    codax.encode_file(tmp_path / "a.wav", tmp_path / "a.codax", model=before)
    codax.decode_file(tmp_path / "a.codax", tmp_path / "b.wav", model=after)
    codax.encode_file(tmp_path / "a.wav", tmp_path / "c.codax", model=after)
    with pytest.raises(CodaxError, match="encoded with model"):
        codax.decode_file(tmp_path / "c.codax", tmp_path / "d.wav", model=before)


def test_a_new_decoder_reads_the_old_codes(config: Config, tmp_path: Path) -> None:
    """The recipe's decoder replaces the model's; arrays that fit keep their values; a stopped run resumes."""
    before = codax.load(config.train.start_from)
    audio, rate = voices(2, 4_000, 1), before.config.model.sample_rate
    codes = before.encode(audio, sample_rate=rate).codes
    assert codes is not None
    frames = FrameDecoderConfig(layers=1, channels=8, hidden=16)
    for name, change in (("frames", {"frame_decoder": frames}), ("noise", {"noise_channels": 2})):
        recipe = Config.from_dict(dataclasses.asdict(config))
        recipe.train.freeze, recipe.train.new_decoder = ("encoder", "quantizer"), True
        recipe.model = dataclasses.replace(recipe.model, **change)
        train_here(recipe.validate(), tmp_path / name, max_steps=1)
        train_here(recipe, tmp_path / name)
        after = codax.load(tmp_path / name / "export")
        if name == "frames":
            train_here(recipe, tmp_path / "uninterrupted")
            assert after.hash == codax.load(tmp_path / "uninterrupted" / "export").hash
        assert dataclasses.replace(after.config.model, **dict.fromkeys(change)) == dataclasses.replace(
            before.config.model, **dict.fromkeys(change)
        )
        np.testing.assert_array_equal(after.encode(audio, sample_rate=rate).codes, codes)
        assert after.config.codes_of == (before.hash.hex(),)
        arrays, kept = after.flat(), before.flat()
        if name == "noise":
            assert set(arrays) - set(kept) == {"params.decoder.noise.kernel"}
            for key, value in kept.items():
                np.testing.assert_allclose(arrays[key], value, atol=1e-8)
        else:
            assert not set(arrays).intersection(key for key in kept if key.startswith("params.decoder.block"))


@pytest.mark.parametrize("kind", ["recipe", "layer"])
def test_denoising_is_added_to_a_model(config: Config, tmp_path: Path, kind: str) -> None:
    """The recipe's denoiser leaves the model as it was, if denoising is off; a FiLM layer trains with the network."""
    before = codax.load(config.train.start_from)
    recipe = load_recipe(ROOT / "configs" / "denoise_quickstart.py")
    assert recipe.train.freeze == ("encoder", "quantizer", "decoder")
    recipe.train = dataclasses.replace(config.train, freeze=recipe.train.freeze if kind == "recipe" else ())
    recipe.data.source, recipe.data.validation_fraction = config.data.source, config.data.validation_fraction
    recipe.loss, recipe.model.film_channels = config.loss, 8
    recipe.model.film_dilations = (1, 3) if kind == "recipe" else ()
    recipe.optimizer.warmup_steps, recipe.optimizer.learning_rate = 0, 0.3
    train_here(recipe.validate(), tmp_path / "run")
    after, rate = codax.load(tmp_path / "run" / "export"), config.model.sample_rate
    film = {name: getattr(recipe.model, name) for name in recipe.model.film_fields}
    assert after.config.model == dataclasses.replace(before.config.model, **film)
    arrays, kept = after.flat(), before.flat()
    assert {name.split(".")[1] for name in set(arrays) - set(kept)} == {"film"}
    unchanged = all(np.array_equal(arrays[name], value) for name, value in kept.items())
    assert unchanged == (kind == "recipe")
    assert np.abs(arrays["params.film.out.kernel" if kind == "recipe" else "params.film.proj.kernel"]).max() > 0
    if kind == "recipe":
        audio = voices(2, 4_000, 1)
        off, on = (after.encode(audio, sample_rate=rate, denoise=denoise) for denoise in (False, True))
        assert np.abs(after.decode(on) - after.decode(off)).max() > 0
        np.testing.assert_array_equal(off.codes, before.encode(audio, sample_rate=rate).codes)
        np.testing.assert_array_equal(after.decode(off), before.decode(off))
        assert after.config.codes_of == (before.hash.hex(),)


def test_a_model_that_cannot_denoise_is_refused(config: Config, tmp_path: Path) -> None:
    recipe = load_recipe(ROOT / "configs" / "denoise_quickstart.py")
    Codec.init_random(tiny_config(config.data.source, model__family="encodec")).save(tmp_path / "model")
    recipe.train.start_from = str(tmp_path / "model")
    with pytest.raises(CodaxError, match=r"config field model\.film: the model .*/model cannot have it"):
        train_here(recipe, tmp_path / "run")


def test_a_new_decoder_of_another_family_is_refused(config: Config, tmp_path: Path) -> None:
    recipe = Config.from_dict(dataclasses.asdict(config))
    recipe.model, recipe.train.new_decoder = recipe.model.of_class("encodec"), True
    recipe.model.dilations = (1,)
    with pytest.raises(CodaxError, match=r"train\.new_decoder: the recipe has a decoder of family encodec"):
        train_here(recipe.validate(), tmp_path / "run")


def test_frozen_parts_have_no_optimiser_state_and_no_backward_pass(decoder_run: tuple[Config, Path]) -> None:
    def operations(freeze: tuple[str, ...]) -> tuple[set[str], float]:
        config = Config.from_dict(dataclasses.asdict(decoder_run[0]))
        config.train.freeze = freeze
        state = jax.eval_shape(lambda: init_state(config))
        batch = {"audio": jax.ShapeDtypeStruct((4, config.segment_samples, 1), np.float32)}
        lowered = jax.jit(make_step(config, phase_at(config, 0), None)).lower(state, batch)
        return set(state.generator_optimizer[0].mu), lowered.cost_analysis()["flops"]

    (everything, all_flops), (trained, flops) = operations(()), operations(("encoder", "quantizer"))
    assert {"encoder", "decoder"} <= everything and trained == {"decoder"}
    # A third of the encoder's operations are its forward pass; both networks have about as many.
    assert flops < 0.8 * all_flops
