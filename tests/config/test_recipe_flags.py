"""Recipes and command lines: the class of a section is chosen first, and every mistake is one line that names it."""

from pathlib import Path

import pytest
from codax.config import DACConfig, FactorisedQuantizerConfig, FSQQuantizerConfig, MimiConfig, recipe_flags
from codax.config.recipe_files import load_recipe
from codax.errors import CodaxError

CONFIGS = Path(__file__).parents[2] / "configs"


def read(*overrides: str, recipe: str = "quickstart.py"):
    return recipe_flags.read(str(CONFIGS / recipe), overrides)


def test_values_are_set():
    config = read("--config.train.steps=9", "--config.model.strides=(2,5)", "--config.quantizer.kbps=()")
    assert (config.train.steps, config.model.strides, config.quantizer.kbps) == (9, (2, 5), ())
    assert read("--config.train.steps", "9", "--config.loss.waveform=1").loss.waveform == 1.0
    assert read(recipe="dac_44khz.py:16khz").name == "dac_16khz"


def test_the_class_is_chosen_before_its_fields_are_set():
    config = read("--config.quantizer.fsq_levels=(5,5,5)", "--config.quantizer.kind=fsq", "--config.quantizer.kbps=()")
    assert config.quantizer == FSQQuantizerConfig(num_quantizers=9, start_step=300, fsq_levels=(5, 5, 5), kbps=())
    config = read("--config.quantizer.projection=6", "--config.quantizer.kind=factorised")
    assert isinstance(config.quantizer, FactorisedQuantizerConfig) and config.quantizer.projection == 6
    config = read("--config.model.family=dac")
    assert isinstance(config.model, DACConfig) and (config.model.channels, config.model.strides) == (96, (5,))
    config = read("--config.model.transformer.layers=3", "--config.model.family", "mimi", "--config.quantizer.kbps=()")
    assert isinstance(config.model, MimiConfig) and config.model.transformer.layers == 3
    assert config.model.channels == 96


@pytest.mark.parametrize(
    "flag,message",
    [
        ("--config.train.batchsize=3", "unknown config field train.batchsize; did you mean batch_size?"),
        ("--config.traim.steps=3", "unknown config field traim; did you mean train?"),
        ("--config.train.steps.x=3", "unknown config field train.steps.x"),
        ("--config.model.seanet.norm=none", "model.seanet of family soundstream (encodec, mimi only)"),
        (
            "--config.quantizer.kind=fqs",
            "kind = 'fqs': must be average, factorised or fsq; did you mean fsq?",
        ),
        ("--config.quantizer.fsq_levels=(5,5)", "quantizer.fsq_levels of kind average (fsq only)"),
        ("--config.train.batch_size=many", "config field train.batch_size = 'many': expected a whole number"),
        ("--config.loss.waveform=x", "config field loss.waveform = 'x': expected a number"),
        ("--config.loss.waveform=nan", "config field loss.waveform: must be finite"),
        ("--config.model.strides=(2,0.5)", "config field model.strides: expected int, got 0.5"),
        ("--config.loss.balancer_decay=0.9", "loss.balancer_decay = 0.9 does nothing without loss.balancer"),
        ("--config.model=3", "config field model = '3': expected fields, one by one"),
        ("--config.learning_rate=3", "unknown config field learning_rate; did you mean optimizer.learning_rate?"),
        ("--config.train.steps=0", "--config.train.steps=0: config field train.steps = 0: must be"),
        (
            "--config.quantizer.codebook_size=512",
            "quickstart.py: config field quantizer.kbps = (6.0, 12.0, 18.0): 6 kbps cannot be made of 1.8 kbps",
        ),
        ("--cunfig=3", "Unknown command line flag 'cunfig'"),
        ("x", "unexpected argument 'x'"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(flag, message):
    with pytest.raises(CodaxError) as error:
        read(flag)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "line,message",
    [
        ("config.train.batch_sise = 4", "r.py: unknown config field train.batch_sise; did you mean batch_size?"),
        ("config.trian = None", "r.py: unknown config field trian; did you mean train?"),
        ("config.train.batch_size = '4'", "config field train.batch_size: expected int, got '4'"),
        ("config.train = 3", "config field train: expected an object, got 3"),
        ("config.loss.feature = True", "config field loss.feature: expected float, got True"),
        ("config.optimizer.gamma = 0.5", "optimizer.gamma = 0.5 does nothing without optimizer.schedule = exponential"),
        (
            "config.model.sample_rate = 16_000",
            "r.py: config field quantizer.kbps = (3.0, 6.0, 12.0, 18.0): 18 kbps cannot be made of 0.5 kbps per "
            "quantizer with 1 to 24 quantizers (0.5 to 12 kbps); this is the default of EMAQuantizerConfig",
        ),
        ("config.train.steps = -1", "r.py: config field train.steps = -1: must be"),
        (
            "Config(model=SoundStreamConfig(stridez=1))",
            "r.py: unknown config field model.stridez of family soundstream;",
        ),
        ("Config(nam='x')", "r.py: unknown config field nam; did you mean name?"),
        ("raise SystemExit('stop')", "r.py: get_config() failed (stop)"),
        ("config = 3", "r.py: get_config() must return a codax.config.Config, not int"),
        ("1 / 0", "r.py: get_config() failed (division by zero)"),
    ],
)
def test_mistakes_in_a_recipe_are_one_line(line, message, tmp_path):
    path = tmp_path / "r.py"
    head = "from codax.config import Config, SoundStreamConfig\n\n\ndef get_config():\n    config = Config()\n"
    path.write_text(f"{head}    {line}\n    return config\n")
    with pytest.raises(CodaxError) as error:
        recipe_flags.read(str(path), [])
    assert message in str(error.value) and "\n" not in str(error.value)


def test_the_default_that_does_not_fit_is_named(tmp_path):
    (tmp_path / "r.py").write_text(
        "from codax.config import Config, SoundStreamConfig\n\n\ndef get_config():\n"
        "    return Config(model=SoundStreamConfig(segment_seconds=-1.0), quantizer=3)\n"
    )
    with pytest.raises(CodaxError, match=r"r\.py: config field quantizer: expected an object, got 3"):
        recipe_flags.read(str(tmp_path / "r.py"), [])


def test_files_that_are_no_recipes_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(CONFIGS.parent)
    (tmp_path / "none.py").write_text("def config():\n    pass\n")
    (tmp_path / "broken.py").write_text("def get_config(:\n")
    for path, message in (
        ("quikstart", "quikstart: no such recipe; did you mean quickstart?"),
        ("configs/quikstart.py", "configs/quikstart.py: no such recipe; did you mean configs/quickstart.py?"),
        ("README.md", "README.md: not a recipe, which is a Python file (.py)"),
        ("configs", "configs: no such recipe"),
        (str(tmp_path / "none.py"), "none.py: has no get_config(); did you mean config?"),
        (str(tmp_path / "broken.py"), "broken.py: get_config() failed (invalid syntax (broken.py, line 1))"),
        ("", "--config is missing: give a recipe such as --config=quickstart"),
    ):
        with pytest.raises(CodaxError) as error:
            recipe_flags.read(path, [])
        assert message in str(error.value) and "\n" not in str(error.value)


def test_a_missing_recipe_is_named():
    with pytest.raises(CodaxError, match="no such recipe"):
        load_recipe("configs/nowhere.py")
    with pytest.raises(CodaxError, match="nowhere.py: no such recipe"):
        recipe_flags.read("nowhere.py", [])
