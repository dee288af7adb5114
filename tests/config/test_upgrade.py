"""Files of version 1, which had all fields of all families and kinds, as today's sections."""

import copy
import json
from pathlib import Path

import pytest
from codax.config import Config, ConfigError, FSQQuantizerConfig, SoundStreamConfig
from codax.config.recipe_files import load_recipe

ROOT = Path(__file__).parents[2]
OLD = json.loads((ROOT / "tests" / "golden" / "configs_version_1.json").read_text())  # of the recipes of that time


@pytest.mark.parametrize("name", OLD)
def test_the_old_file_of_a_recipe_is_that_recipe(name, tmp_path):
    assert "version" not in OLD[name]
    (tmp_path / "config.json").write_text(json.dumps(OLD[name]))
    actual = Config.load(tmp_path / "config.json")
    recipe = load_recipe(ROOT / "configs" / f"{name}.py")
    assert actual.acting() == recipe.validate().refuse_idle()
    assert Config.from_dict(json.loads(actual.to_json())) == actual


def test_what_did_nothing_is_dropped_and_what_did_something_stays():
    values = copy.deepcopy(OLD["quickstart_lm"])
    values["model"]["seanet"]["norm"], values["model"]["transformer"]["layers"] = "group", 3
    values["quantizer"] |= {"kind": "fsq", "fsq_levels": [5, 3], "codebook_size": 15, "kbps": [], "num_quantizers": 2}
    values["model"]["stem_stride"] = 4
    actual = Config.from_dict(values)
    assert isinstance(actual.model, SoundStreamConfig) and actual.model.stem_stride == 4
    assert actual.quantizer == FSQQuantizerConfig(fsq_levels=(5, 3), kbps=(), num_quantizers=2)
    assert actual.quantizer.codebook_size == 15


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda d: d.update(version=3), "version = 3: this codax knows versions 1 to 2"),
        (lambda d: d.update(version="2"), "version = '2': this codax knows"),
        (lambda d: d.update(version=0), "version = 0: this codax knows"),
        (lambda d: d.update(model=3), "config field model: expected an object"),
        (lambda d: d["model"].update(family=["dac"]), r"model\.family = \['dac'\]: must be"),
        (lambda d: d["model"].update(family="wavenet"), "model.family = 'wavenet': must be soundstream, dac"),
        (lambda d: d["quantizer"].update(kind={}), "quantizer.kind = {}: must be average, factorised or fsq"),
        (lambda d: d["model"].update(width=1), "unknown config field model.width"),
    ],
)
def test_bad_files_are_named(change, message):
    values = copy.deepcopy(OLD["quickstart_lm"])
    change(values)
    with pytest.raises(ConfigError, match=message):
        Config.from_dict(values)


def test_present_files_may_not_have_fields_of_other_families():
    values = Config().to_dict()
    values["model"]["resample_stride"] = 1
    with pytest.raises(ConfigError, match=r"model\.resample_stride of family soundstream \(mimi only\)"):
        Config.from_dict(values)


@pytest.mark.parametrize(("section", "tag"), [("model", "family"), ("quantizer", "kind")])
def test_files_name_the_class_of_a_section(section, tag):
    values = Config().to_dict() | {section: {}}
    with pytest.raises(ConfigError, match=rf"{section}\.{tag} = None: must be"):
        Config.from_dict(values)
    assert Config.from_dict({section: {}}) == Config()  # version 1 had defaults
