"""Sections: fields that do not exist or do nothing are refused, and classes from outside can be registered."""

import dataclasses

import pytest
from codax.config import (
    Config,
    ConfigError,
    DACConfig,
    EncodecConfig,
    FSQQuantizerConfig,
    LossConfig,
    MimiConfig,
    ModelConfig,
    QuantizerConfig,
    SoundStreamConfig,
)
from codax.config.section import Section, constant


@pytest.mark.parametrize(
    "section,field,message",
    [
        ("train", "batch_sise", r"unknown config field train\.batch_sise; did you mean batch_size\?"),
        ("data.mixture", "source", r"unknown config field data\.mixture\.source; did you mean sources\?"),
        ("", "modle", r"unknown config field modle; did you mean model\?"),
        ("model", "zzz", r"unknown config field model\.zzz of family soundstream$"),
        ("model", "seanet", r"model\.seanet of family soundstream \(encodec, mimi only\)"),
        ("quantizer", "fsq_levels", r"quantizer\.fsq_levels of kind average \(fsq only\)"),
        ("model", "family", r"model\.family = 1: is 'soundstream' in SoundStreamConfig"),
        ("", "version", "version = 1: is 2"),
    ],
)
def test_a_field_that_is_not_there_cannot_be_set(section, field, message):
    place = config = Config()
    for name in filter(None, section.split(".")):
        place = getattr(place, name)
    with pytest.raises(ConfigError, match=message):
        setattr(place, field, 1)
    assert config == Config()


def test_constants_are_in_files_and_may_be_set_to_what_they_are():
    config = Config(model=MimiConfig(), quantizer=FSQQuantizerConfig())
    config.model.family = "mimi"
    values = config.to_dict()
    assert (values["version"], values["model"]["family"], values["quantizer"]["kind"]) == (2, "mimi", "fsq")
    values["quantizer"]["kind"] = "average"
    with pytest.raises(ConfigError, match="quantizer.fsq_levels of kind average"):
        Config.from_dict(values)


def options() -> list[tuple[type[Section], dataclasses.Field]]:
    """Every field that does something only in some mode, of every class of section."""
    config = Config()
    classes = {type(section) for section in config.sections()}
    classes |= {*ModelConfig.classes.values(), *QuantizerConfig.classes.values(), type(EncodecConfig().seanet)}
    actual = [(cls, field) for cls in classes for field in dataclasses.fields(cls) if "used" in field.metadata]
    return sorted(actual, key=lambda pair: (pair[0].__name__, pair[1].name))


# What switches each of them, other than the default.
IDLE = {"stft": False, "wave_scales": 0, "dead_ratio": 0.1, "dropout": False, "spectral_form": "encodec"}
OTHER = {bool: lambda v: not v, int: lambda v: v + 1, float: lambda v: v / 2 + 0.15, str: lambda v: "one"}


@pytest.mark.parametrize("cls,field", options(), ids=lambda x: getattr(x, "__name__", getattr(x, "name", x)))
def test_an_option_that_is_off_is_named_with_what_turns_it_on(cls, field):
    section = cls()
    for name, value in IDLE.items():
        if name in section.field_names():
            setattr(section, name, value)
    if field.name == "mel_min_hz":
        section.spectral_form = "soundstream"
    if field.name == "bidirectional":
        section.lstm_layers = 0
    change = OTHER.get(type(field.default), lambda v: (*v, 1))
    assert field.name not in {f.name for f in section.idle()}
    setattr(section, field.name, change(field.default))
    assert [f.name for f in section.idle()] == [field.name]
    config = Config()
    config.quantizer.kbps = ()
    if section.path == "model.seanet":
        config.model = EncodecConfig(causal=False, seanet=section)
    elif section.path == "model.frame_decoder":
        config.model = SoundStreamConfig(frame_decoder=section)
    else:
        setattr(config, section.path, section)
    whole = section.place(field.name).replace(".", r"\.")
    with pytest.raises(ConfigError, match=rf"{whole} = .* does nothing without .*{section.path.split('.')[0]}\."):
        config.refuse_idle()
    acting = config.acting()
    assert acting.refuse_idle() is acting and acting.validate() is acting
    assert config.acting() != config


def test_an_option_that_is_on_is_taken():
    loss = LossConfig(balancer=True, balancer_decay=0.9, spectral_form="dac", window_mels=(5,) * 6)
    assert Config(loss=loss).validate().refuse_idle().acting().loss == loss


@pytest.mark.parametrize("made", [Config(), Config(model=DACConfig(), quantizer=FSQQuantizerConfig())])
def test_another_class_keeps_the_values_that_both_have(made):
    made.model.channels, made.model.strides = 10, (3, 3)
    for name, cls in ModelConfig.classes.items():
        model = made.model.of_class(name)
        assert type(model) is cls and (model.channels, model.strides) == (10, (3, 3))
    assert made.model.of_class(made.model.family) is made.model
    encodec = EncodecConfig()
    encodec.seanet.residual_kernel_size = 5
    mimi = encodec.of_class("mimi")
    assert isinstance(mimi, MimiConfig) and mimi.seanet.residual_kernel_size == 5
    assert type(mimi.seanet) is type(MimiConfig().seanet)
    with pytest.raises(ConfigError, match=r"model\.family = 'mimmi': must be soundstream, dac, encodec or mimi"):
        made.model.of_class("mimmi")


def test_a_model_of_another_family_is_named():
    with pytest.raises(ConfigError, match="model x of family soundstream: must have a MimiConfig"):
        Config(name="x").model_of(MimiConfig)


@pytest.fixture
def registries(monkeypatch):
    for base in (ModelConfig, QuantizerConfig):
        monkeypatch.setattr(base, "classes", dict(base.classes))


@pytest.mark.usefixtures("registries")
def test_a_class_from_outside_is_read_and_written():
    @ModelConfig.register
    @dataclasses.dataclass
    class Wide(SoundStreamConfig):
        family: str = constant("wide")
        width: int = 3

    config = Config(model=Wide(width=5))
    repeated = Config.from_dict(config.to_dict())
    assert repeated == config and isinstance(repeated.model, Wide)
    assert Config().model.of_class("wide") == Wide()
    values = config.to_dict()
    values["model"]["widht"] = values["model"].pop("width")
    with pytest.raises(ConfigError, match=r"unknown config field model\.widht of family wide; did you mean width\?"):
        Config.from_dict(values)
