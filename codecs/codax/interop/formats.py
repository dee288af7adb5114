"""Detects the format of other projects' models, imports and exports them."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from codax.codec.codec import Codec
from codax.codec.loading import from_weights
from codax.config import Config, DACConfig, EncodecConfig, MimiConfig, presets
from codax.errors import CodaxError
from codax.interop import audiocraft, dac, encodec, mimi, mimi_config, speechtokenizer
from codax.storage import strict_json
from codax.storage.tensors import INDEX, ModelError, read_tensors, safetensors_bytes, write_folder

CONFIG, KYUTAI_CONFIG = "config.json", "mimi_config.json"
SAFE = ".safetensors"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def import_model(source: str | Path, state: Mapping[str, Any] | None = None) -> Codec:
    """Imports a model of another project.

    Args:
      source: a Hugging Face folder of `EncodecModel`, `MimiModel` or `DacModel` (safetensors or .bin, in one file or in
        several with an index), one of its weights files with config.json beside it, a checkpoint of
        the `encodec` package or of Descript's (DAC), an export of audiocraft, a folder of SpeechTokenizer, or Kyutai's
        weights of Mimi (a .safetensors file, with mimi_config.json beside it unless it is the released model; or their
        folder).
      state: the result of `read_tensors` for this file, if it was read before.

    Raises:
      CodaxError: naming the file and the reason.
    """
    source = Path(source)
    if not source.exists():
        raise ModelError(f"{source}: no such file or folder")
    try:
        config, flat, weights = _from_folder(source) if source.is_dir() else _from_file(source, state)
    except ModelError:
        raise
    except CodaxError as error:
        raise ModelError(f"{source}: {error}") from error
    return from_weights(flat, config, weights)


def is_foreign(path: str | Path) -> bool:
    """Whether the path holds something other than a model folder of codax."""
    path = Path(path)
    if path.is_file():
        return True
    if not path.is_dir():
        return False
    try:
        return "quantizer" not in strict_json.read_object(path / CONFIG, "config")
    except CodaxError:
        return (path / KYUTAI_CONFIG).is_file()


_Imported = tuple[Config, dict[str, Any], Path]


def _from_folder(folder: Path) -> _Imported:
    names = _names(folder)
    files = weights_among(names)
    if KYUTAI_CONFIG in names:
        if not files:
            raise ModelError(f"{folder}: has {KYUTAI_CONFIG}, but no mimi*.safetensors")
        return _from_file(folder / files[0], None)
    values = strict_json.read_object(folder / CONFIG, "config", ModelError)
    if not files:
        raise ModelError(f"{folder}: has none of {', '.join(_ORDER)}")
    weights = folder / files[0]
    if not _is_known(values):
        raise ModelError(
            f"{folder / CONFIG}: not the config of a model that codax imports (EnCodec, SpeechTokenizer, Mimi or DAC)"
        )
    return *_converted(values, read_tensors(weights)), weights


def _is_known(values: Mapping[str, Any]) -> bool:
    return values.get("model_type") in ("encodec", "mimi", "dac") or speechtokenizer.is_config(values)


def _converted(values: Mapping[str, Any], arrays: Mapping[str, Any]) -> tuple[Config, dict[str, Any]]:
    """The config and the arrays of a model that a known config.json describes."""
    if speechtokenizer.is_config(values):
        config = speechtokenizer.config_of(values)
        return config, encodec.to_codax(arrays, config, encodec.NATIVE)
    if values["model_type"] == "mimi":
        config = mimi_config.config_from_huggingface(values)
        return config, mimi.to_codax(arrays, config, mimi.HUGGINGFACE)
    if values["model_type"] == "dac":
        config = dac.config_from_huggingface(values)
        return config, dac.to_codax(arrays, config, dac.HUGGINGFACE)
    config = encodec.config_from_huggingface(values)
    return config, encodec.to_codax(arrays, config, encodec.HUGGINGFACE)


def _config_beside(path: Path, arrays: Mapping[str, Any]) -> dict[str, Any] | None:
    """The content of config.json in the weights' folder, if it describes weights with such names."""
    try:
        values = strict_json.read_object(path.with_name(CONFIG), "config")
    except CodaxError:
        return None  # weights may lie beside other files of this name
    native = any(name.startswith(encodec.STEM) for name in arrays)
    return values if _is_known(values) and speechtokenizer.is_config(values) == native else None


def _from_file(path: Path, state: Mapping[str, Any] | None) -> _Imported:
    arrays = read_tensors(path) if state is None else dict(state)
    if mimi.is_state(arrays):
        config_file = path.parent / KYUTAI_CONFIG
        config = presets.mimi_24khz()
        if config_file.is_file():
            config = mimi_config.config_from_kyutai(strict_json.read_object(config_file, "config", ModelError))
        return config, mimi.to_codax(arrays, config, mimi.KYUTAI), path
    if dac.is_checkpoint(arrays):
        config, arrays = dac.read_checkpoint(arrays)
        return config, dac.to_codax(arrays, config, dac.DESCRIPT), path
    if audiocraft.is_export(arrays):
        config, arrays = audiocraft.config_of(arrays["xp.cfg"]), arrays["best_state"]
    elif (values := _config_beside(path, arrays)) is not None:
        return *_converted(values, arrays), path
    else:
        config = encodec.config_of_state(arrays)
    return config, encodec.to_codax(arrays, config, encodec.NATIVE), path


_ORDER = (*(f"{name}{suffix}" for name in _WEIGHTS for suffix in ("", INDEX)), speechtokenizer.WEIGHTS)


def weights_among(names: Collection[str]) -> list[str]:
    """The weights' files of a folder with files of these names: the first one, or an index and the files it lists."""
    if KYUTAI_CONFIG in names:
        for pattern in ("mimi*.safetensors", "tokenizer-*.safetensors"):
            if files := sorted(fnmatch.filter(names, pattern)):
                return files[:1]
        return []
    first = next((name for name in _ORDER if name in names), None)
    if first is None:
        return []
    stem, _, suffix = first.removesuffix(INDEX).rpartition(".")
    return [first, *(sorted(fnmatch.filter(names, f"{stem}-*.{suffix}")) if first.endswith(INDEX) else ())]


def files_of(source: Path) -> list[Path]:
    """The files that `import_model` reads of a folder or a weights file."""
    folder = source if source.is_dir() else source.parent
    names = _names(folder)
    weights = weights_among(names) if source.is_dir() else [source.name]
    return [folder / name for name in (*weights, CONFIG, KYUTAI_CONFIG) if name in names]


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_file()]


def is_model_config(folder: Path) -> bool:
    """Whether a folder has the config of a model of codax, or of one that codax imports."""
    if (folder / KYUTAI_CONFIG).is_file():
        return True
    try:
        values = strict_json.read_object(folder / CONFIG, "config")
    except CodaxError:
        return False
    return "quantizer" in values or _is_known(values)


def export_huggingface(codec: Codec, folder: str | Path) -> None:
    """Writes a folder that transformers' `EncodecModel`, `MimiModel` or `DacModel`, and their `AutoProcessor`, load.

    Raises:
      CodaxError: transformers does not support the model, or the folder cannot be written.
    """
    config = codec.config
    processor: dict[str, Any] = {"feature_extractor_type": "EncodecFeatureExtractor", "return_attention_mask": True}
    if isinstance(config.model, EncodecConfig):
        values = encodec.config_to_huggingface(config)
        state = encodec.from_codax(codec.flat(), config, encodec.HUGGINGFACE)
        processor |= {"chunk_length_s": values["chunk_length_s"], "overlap": values["overlap"]}
    elif isinstance(config.model, MimiConfig):
        values = mimi_config.config_to_huggingface(config)
        state = mimi.from_codax(codec.flat(), config, mimi.HUGGINGFACE)
        processor |= {"chunk_length_s": None, "overlap": None}
    elif isinstance(config.model, DACConfig):
        values = dac.config_to_huggingface(config)
        state = dac.from_codax(codec.flat(), config, dac.HUGGINGFACE)
        processor = {"feature_extractor_type": "DacFeatureExtractor", "hop_length": config.hop}
    else:
        raise ModelError(f"model {codec.model_id} of family {config.model.family} is not in transformers")
    processor |= {
        "feature_size": config.model.audio_channels,
        "sampling_rate": config.model.sample_rate,
        "padding_side": "right",
        "padding_value": 0.0,
    }
    _write(folder, {"config.json": values, "preprocessor_config.json": processor}, "model.safetensors", state)


def export_kyutai(codec: Codec, folder: str | Path) -> None:
    """Writes mimi.safetensors and mimi_config.json for `moshi.models.loaders.get_mimi`.

    Raises:
      CodaxError: the model is not a Mimi, or the folder cannot be written.
    """
    values = mimi_config.config_to_kyutai(codec.config)
    _write(
        folder, {KYUTAI_CONFIG: values}, "mimi.safetensors", mimi.from_codax(codec.flat(), codec.config, mimi.KYUTAI)
    )


def _write(folder: str | Path, texts: Mapping[str, Any], name: str, state: dict[str, Any]) -> None:
    """Writes the weights as `name`, and each of `texts` as JSON."""
    files = {other: json.dumps(values, indent=2) + "\n" for other, values in texts.items()}
    write_folder(folder, {name: safetensors_bytes(state, format="pt")} | files)
