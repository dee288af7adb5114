"""Configs: validation, JSON, and the recipes of the repository."""

import json
import runpy
from pathlib import Path

import pytest
from codax.config import Config, ConfigError, presets, recipe_flags
from codax.config.recipe_files import load_recipe

RECIPES = sorted((Path(__file__).parents[2] / "configs").glob("*.py"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_recipes_are_valid_and_survive_json(path):
    config = recipe_flags.checked(load_recipe(path))
    assert config.name.replace("-", "_") == path.stem  # models that ship have dashes
    assert Config.from_dict(json.loads(config.to_json())) == config
    assert config.quantizer.kbps, "a recipe says at which rates it is evaluated"


def test_there_are_recipes():
    assert {p.stem for p in RECIPES} >= {"quickstart", "soundstream_24khz", "soundstream_denoise_24khz"}


@pytest.mark.parametrize(
    "section,field,value,message",
    [
        ("model", "strides", (), "model.strides"),
        ("model", "film", "both", "model.film"),
        ("quantizer", "codebook_size", 1, "quantizer.codebook_size"),
        ("quantizer", "kbps", (6.5,), "6.5 kbps"),
        ("train", "segment_seconds", 0.001, "train.segment_seconds"),
        ("train", "compute_dtype", "float16", "train.compute_dtype"),
        ("optimizer", "schedule", "linear", "optimizer.schedule"),
        ("loss", "random_windows", 7, "loss.random_windows"),
        ("loss", "feature", -1.0, "loss.feature"),
        ("loss", "spectral", float("nan"), "loss.spectral"),
        ("loss", "extra", {"loudness": -1.0}, "loss.extra"),
        ("optimizer", "discriminator_learning_rate", -1e-4, "optimizer.discriminator_learning_rate"),
        ("optimizer", "beta2", 1.0, "optimizer.beta2"),
        ("optimizer", "clip_norm", -1.0, "optimizer.clip_norm"),
        ("optimizer", "warmup_steps", -1, "optimizer.warmup_steps"),
        ("train", "max_bad_steps", 0, "train.max_bad_steps"),
        ("quantizer", "semantic", 24, "quantizer.semantic"),
        ("quantizer", "unquantized", 1.0, "quantizer.unquantized"),
        ("quantizer", "dead_ratio", 1.5, "quantizer.dead_ratio"),
        ("teacher", "pool", 3, "teacher.pool"),
        ("quantizer", "dropout_share", 1.5, "quantizer.dropout_share"),
        ("loss", "window_mels", (5, 10), "loss.window_mels"),
        ("optimizer", "gamma", 0.0, "optimizer.gamma"),
        ("data", "split_seed", -1, "data.split_seed"),
        ("data", "validation_fraction", 1.1, "data.validation_fraction"),
        ("data", "validation_fraction", float("nan"), "data.validation_fraction"),
        ("data", "read_threads", 0, "data.read_threads"),
        ("data", "prefetch", 0, "data.prefetch"),
    ],
)
def test_invalid_values_are_named(section, field, value, message):
    config = Config()
    setattr(getattr(config, section), field, value)
    with pytest.raises(ConfigError, match=message):
        config.validate()


@pytest.mark.parametrize(
    "recipe,preset,own",
    [
        ("encodec_24khz", presets.encodec_24khz, {"dropout_kbps": True}),
        ("encodec_48khz", presets.encodec_48khz, {"dropout_kbps": True}),
        ("speechtokenizer_16khz", presets.speechtokenizer_16khz, {}),
        ("mimi_24khz", presets.mimi_24khz, {"unquantized": 0.5, "semantic_dimension": 1024, "norm": "weight"}),
        ("dac_44khz", presets.dac_44khz, {"weight_norm": True}),
        ("dac_44khz.py:24khz", presets.dac_24khz, {"weight_norm": True}),
        ("dac_44khz.py:16khz", presets.dac_16khz, {"weight_norm": True}),
    ],
)
def test_recipes_have_the_dimensions_of_the_released_models(recipe, preset, own):
    """But for what is folded in, or only trained, there."""
    name, _, variant = recipe.partition(".py:")
    config, released = load_recipe(f"{RECIPES[0].parent / name}.py{':' * bool(variant)}{variant}"), preset()
    released.validate()
    for section in (released.quantizer, released.model, getattr(released.model, "seanet", None)):
        for field in own:
            if section is not None and field in section.field_names():
                setattr(section, field, own[field])
    assert (config.name, config.model, config.quantizer) == (released.name, released.model, released.quantizer)


def test_the_recipe_of_mimi_has_its_variants():
    path = Path(__file__).parents[2] / "configs" / "mimi_24khz.py"
    get_config = runpy.run_path(str(path))["get_config"]
    plain, other = get_config().validate(), get_config("reconstruction").validate()
    assert plain.loss.spectral == plain.loss.waveform == 0 < min(other.loss.spectral, other.loss.waveform)
    assert plain.loss.adversarial == other.loss.adversarial > 0
    with pytest.raises(ValueError, match="adversarial or reconstruction"):
        get_config("both")


def test_the_recipe_of_dac_has_its_rates():
    path = Path(__file__).parents[2] / "configs" / "dac_44khz.py"
    get_config = runpy.run_path(str(path))["get_config"]
    actual = {name: get_config(name).validate() for name in ("44khz", "24khz", "16khz")}
    assert get_config() == actual["44khz"]
    assert [c.hop for c in actual.values()] == [512, 320, 320]
    assert [c.segment_samples for c in actual.values()] == [32 * 512, 28 * 320, 19 * 320]
    with pytest.raises(ValueError, match="expected one of 44khz, 24khz, 16khz"):
        get_config("8khz")


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda d: d.update(extra=1), "unknown config field extra"),
        (lambda d: d["model"].update(width=1), "unknown config field model.width"),
        (lambda d: d["model"].update(channels="32"), "model.channels: expected int"),
        (lambda d: d["model"].update(channels=True), "model.channels: expected int"),
        (lambda d: d["data"].update(gain_db=[1.0]), "data.gain_db: expected 2 values"),
        (lambda d: d.update(train=3), "expected an object"),
        (lambda d: d["loss"].update(feature=float("nan")), "loss.feature"),
    ],
)
def test_bad_json_is_named(change, message):
    values = json.loads(Config().to_json())
    change(values)
    with pytest.raises(ConfigError, match=message):
        Config.from_dict(values)


def test_unreadable_files_are_named(tmp_path):
    path = tmp_path / "config.json"
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json"):
        Config.load(path)


def test_multi_scale_discriminators_need_a_multiple_of_their_groups():
    config = Config()
    config.discriminator.periods, config.discriminator.hifigan_max_channels = (2,), 40
    config.validate()
    config.discriminator.scales = 1
    with pytest.raises(ConfigError, match=r"discriminator\.hifigan_max_channels = 40: must be a multiple of 16"):
        config.validate()


def test_discriminators_for_each_rate_need_one_rate_for_a_batch():
    config = Config()
    config.discriminator.per_kbps = True
    with pytest.raises(ConfigError, match=r"discriminator\.per_kbps = True: must be false without .*dropout_kbps"):
        config.validate()
    config.quantizer.dropout_kbps = True
    config.validate()


def test_denoising_needs_noise():
    config = Config()
    config.model.film = "encoder"
    with pytest.raises(ConfigError, match="noise_source"):
        config.validate()
