"""No other project's layout has a strided first convolution."""

import pytest
from codax.config import presets
from codax.errors import CodaxError
from codax.interop import dac, encodec, mimi_config, speechtokenizer


@pytest.mark.parametrize(
    "preset,values",
    [
        (presets.encodec_24khz, encodec.config_to_huggingface),
        (presets.mimi_24khz, mimi_config.config_to_huggingface),
        (presets.mimi_24khz, mimi_config.config_to_kyutai),
        (presets.dac_44khz, dac.config_to_huggingface),
        (presets.speechtokenizer_16khz, speechtokenizer.config_values),
    ],
)
def test_a_model_with_a_strided_stem_is_not_exported(preset, values) -> None:
    config = preset()
    values(config)
    config.model.stem_stride, config.model.strides = config.model.strides[0], config.model.strides[1:]
    with pytest.raises(CodaxError, match="architecture of|no EncodecModel with these strides"):
        values(config.validate())
