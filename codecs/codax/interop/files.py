"""Models of other projects: what a path holds, and how it is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codax.codec import Codec, from_weights
from codax.errors import CodaxError
from codax.files import write_whole
from codax.interop import audiocraft, encodec, speechtokenizer
from codax.tensorfiles import ModelError, read_tensors

PICKLES = (".th", ".pt", ".pth", ".bin", ".ckpt")


def import_model(source: str | Path, state: Mapping[str, Any] | None = None) -> Codec:
    """Reads a model of another project.

    Args:
      source: a Hugging Face `EncodecModel` folder (safetensors or .bin), a checkpoint of the `encodec` package, an
        export of audiocraft, or a folder of SpeechTokenizer.
      state: what `read_tensors` found in it, if that was read before.

    Raises:
      CodaxError: naming the file and what is wrong with it.
    """
    source = Path(source)
    if not source.exists():
        raise ModelError(f"{source}: no such file or folder")
    try:
        if source.is_dir():
            values = _read_json(source / "config.json")
            if speechtokenizer.is_config(values):
                config, layout = speechtokenizer.config_of(values), encodec.NATIVE
            else:
                config, layout = encodec.config_from_huggingface(values), encodec.HUGGINGFACE
            weights = _weights_file(source)
            arrays = read_tensors(weights)
        else:
            weights, layout = source, encodec.NATIVE
            arrays = read_tensors(source) if state is None else dict(state)
            if audiocraft.is_export(arrays):
                config, arrays = audiocraft.config_of(arrays["xp.cfg"]), arrays["best_state"]
            else:
                config = encodec.config_of_state(arrays)
        flat = encodec.to_codax(arrays, config, layout)
    except ModelError:
        raise
    except CodaxError as error:
        raise ModelError(f"{source}: {error}") from error
    return from_weights(flat, config, weights)


def _weights_file(folder: Path) -> Path:
    names = ("model.safetensors", "pytorch_model.bin", speechtokenizer.WEIGHTS)
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ModelError(f"{folder}: none of {', '.join(names)} is there")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not a readable config ({error})") from error
    if not isinstance(values, dict) or not (values.get("model_type") == "encodec" or speechtokenizer.is_config(values)):
        raise ModelError(f"{path}: not the config of a model that codax imports (EnCodec or SpeechTokenizer)")
    return values


def export_huggingface(codec: Codec, folder: str | Path) -> None:
    """Writes a folder that `transformers.EncodecModel.from_pretrained` and `AutoProcessor` load.

    Raises:
      CodaxError: a model that transformers does not have, or a folder that cannot be written.
    """
    from safetensors.numpy import save

    folder = Path(folder)
    config = codec.config
    if config.model.family != "encodec":
        raise ModelError(f"model {codec.model_id} of family {config.model.family} is not in transformers")
    values = encodec.config_to_huggingface(config)
    state = encodec.from_codax(codec.flat(), config, encodec.HUGGINGFACE)
    processor = {
        "feature_extractor_type": "EncodecFeatureExtractor",
        "feature_size": config.model.audio_channels,
        "sampling_rate": config.model.sample_rate,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": True,
        "chunk_length_s": values["chunk_length_s"],
        "overlap": values["overlap"],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "model.safetensors", save(state, metadata={"format": "pt"}))
        write_whole(folder / "config.json", (json.dumps(values, indent=2) + "\n").encode())
        write_whole(folder / "preprocessor_config.json", (json.dumps(processor, indent=2) + "\n").encode())
    except OSError as error:
        raise ModelError(f"{folder}: cannot save the model ({error.strerror or error})") from error
