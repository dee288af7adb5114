"""`codax info`: describes a container, a model or an audio file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codax.codec import shipped
from codax.errors import CodaxError
from codax.hub import names
from codax.storage.files import require_file

if TYPE_CHECKING:
    from codax.config import Config


def describe(name: str | Path) -> dict[str, Any]:
    """Describes a file or model as plain values for JSON; `kind` is "container", "ecdc", "model" or "audio".

    Raises:
      CodaxError: missing, or none of these.
    """
    path = shipped.find(name)
    on_hub = not path.exists() and names.parse(str(name)) is not None
    if path.is_dir() or on_hub or path.suffix.lower() in names.WEIGHTS:
        from codax.interop import models

        return _model(models.find(name))
    if not path.exists():
        raise CodaxError(f"{path}: no such file or folder")
    from codax.containers.container import MAGIC
    from codax.containers.ecdc import SUFFIX

    if path.suffix.lower() == SUFFIX:
        return _ecdc(path)
    require_file(path)
    with path.open("rb") as file:
        is_container = file.read(len(MAGIC)) == MAGIC
    return _container(path) if is_container or path.suffix.lower() == ".codax" else _audio(path)


def as_text(facts: dict[str, Any]) -> str:
    """One line per fact, without the configuration."""
    shown = {k: v for k, v in facts.items() if k != "config" and v is not None}
    width = max(map(len, shown))
    return "\n".join(f"{name.replace('_', ' '):{width}}  {_value(value)}" for name, value in shown.items())


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if value >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return str(value)


def _ecdc(path: Path) -> dict[str, Any]:
    from codax.containers.ecdc import from_bytes, parse_header, read_bytes, segment_frames

    data = read_bytes(path)
    try:
        header = parse_header(data)
        if not header.compressed:
            from_bytes(data)  # validates the whole stream
    except CodaxError as error:
        raise CodaxError(f"{path}: {error}") from error
    seconds = header.length / header.kind.sample_rate
    return {
        "kind": "ecdc",
        "path": str(path),
        "model": header.model,
        "sample_rate": header.kind.sample_rate,
        "channels": header.kind.channels,
        "samples": header.length,
        "seconds": seconds,
        "num_quantizers": header.codebooks,
        "frames": sum(segment_frames(header.kind, header.length)),
        "compressed": header.compressed,
        "bytes": len(data),
        "kbps_of_file": 8 * len(data) / seconds / 1000,
    }


def _container(path: Path) -> dict[str, Any]:
    from codax.containers import container
    from codax.containers.header_fields import METHODS
    from codax.containers.streamed import ContainerReader

    with ContainerReader(path) as reader:
        meta, size = reader.meta, reader.file_bytes
    seconds = meta.seconds
    return {
        "kind": "container",
        "path": str(path),
        "version": container.VERSION,
        "model": meta.model_id,
        "model_hash": meta.model_hash.hex(),
        "sample_rate": meta.sample_rate,
        "channels": meta.channels,
        "samples": meta.num_samples,
        "seconds": seconds,
        "channel_coding": "mid-side" if meta.mid_side else "equal channels once" if meta.shared else "each",
        "stream_of_channel": list(meta.shared) or None,
        "streams": meta.streams,
        "num_quantizers": meta.num_quantizers,
        "codebook_size": meta.codebook_size,
        "bits_per_code": meta.bits_per_code,
        "frames": meta.frames,
        "denoised": meta.denoised,
        "bytes": size,
        "coding": "packed" if meta.coding is None else METHODS[meta.coding.method],
        "blocks": meta.blocks if meta.coding else None,
        "code_bytes": meta.code_bytes,
        "packed_bytes": meta.packed_bytes if meta.coding else None,
        "segments": meta.segments if meta.scaled else None,
        "kbps_of_codes": meta.kbps,
        "kbps_of_file": 8 * size / seconds / 1000 if seconds else 0.0,
    }


def _model(folder: Path) -> dict[str, Any]:
    from codax.codec.folder import weights_hash, widened
    from codax.config import Config
    from codax.nets.families import facts
    from codax.storage.tensors import read_safetensors

    config_file, weights = folder / "config.json", folder / "model.safetensors"
    for file in config_file, weights:
        if not file.is_file():
            raise CodaxError(f"{folder}: not a model folder: {file.name} is missing")
    config = Config.load(config_file)
    counts = _count(config, weights)  # checks the header before the arrays are read
    start_frames = facts(config.model).start_frames
    causal, card = config.model.causal, folder / shipped.CARD
    return {
        "kind": "model",
        "path": str(folder),
        "name": config.name,
        "hash": weights_hash(config.name, widened(read_safetensors(weights))).hex(),
        "codes_of": list(config.codes_of) or None,
        "card": str(card) if card.is_file() else None,
        "family": config.model.family,
        **counts,
        "bytes": weights.stat().st_size,
        "sample_rate": config.model.sample_rate,
        "channels": config.model.audio_channels,
        "hop": config.hop,
        "frame_rate": config.frame_rate,
        "latency_ms": config.latency_ms if causal else None,
        "start_latency_ms": start_frames * config.latency_ms if causal else None,
        "causal": causal,
        "denoises": config.model.film != "none",
        "num_quantizers": config.quantizer.num_quantizers,
        "codebook_size": config.quantizer.codebook_size,
        "kbps_per_quantizer": config.kbps(1),
        "kbps_max": config.kbps(config.quantizer.num_quantizers),
        "kbps": list(config.quantizer.kbps),
        "config": config.to_dict(),
    }


def _count(config: Config, weights: Path) -> dict[str, int]:
    """Number of trained parameters and codebook values of a safetensors file, from its header only."""
    from codax.codec.folder import check_size
    from codax.storage.tensors import read_shapes

    sizes = {name: math.prod(shape) for name, shape in read_shapes(weights).items()}
    check_size(config, len(sizes), sum(sizes.values()), weights)
    return {
        "parameters": sum(size for name, size in sizes.items() if name.startswith("params.")),
        "codebook_values": sum(size for name, size in sizes.items() if name.endswith(".embedding")),
    }


def _audio(path: Path) -> dict[str, Any]:
    from codax import audio

    file_info = audio.info(path)
    size = path.stat().st_size
    return {
        "kind": "audio",
        "path": str(path),
        "sample_rate": file_info.rate,
        "channels": file_info.channels,
        "samples": file_info.frames,
        "seconds": file_info.seconds,
        "bytes": size,
        "kbps_of_file": 8 * size / file_info.seconds / 1000,
    }
