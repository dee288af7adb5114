"""README.md of a model on the hub: metadata as YAML, and what a reader needs to use the model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codax.config import Config
from codax.errors import CodaxError
from codax.hub.failures import HubError
from codax.storage import strict_json

LIBRARY = "codax"
_TASK = "audio-to-audio"
_HIDDEN = ("visqol_exponential", "dcer", "estoi", "perplexity")  # rarely quoted


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a card says about a model.

    Attributes:
      repo: its name on the hub.
      config: its config.
      digest: the hash of its weights, hexadecimal.
      bytes: of its weights' file.
      values: numbers in it.
      trained: whether its config is that of the run that trained it, so that its data section is true.
      text: the README.md of its folder, "" = none.
      license: identifier; "" = that of `text`, if it has one.
      results: results.json of an evaluation, or None.
    """

    repo: str
    config: Config
    digest: str
    bytes: int
    values: int
    trained: bool = False
    text: str = ""
    license: str = ""
    results: Path | None = None


def make(facts: Facts) -> str:
    """Returns the card. Raises CodaxError: the results are no results of this model, or the text is no card."""
    from huggingface_hub import ModelCardData, RepoCard

    try:
        own = RepoCard(facts.text, ignore_metadata_errors=True) if facts.text else None
    except ValueError as error:
        raise HubError(f"{facts.repo}: the model's README.md is no card ({error})") from error
    kept = own.data.to_dict() if own else {}
    rows = _measured(facts) if facts.results else []
    data = ModelCardData(
        **{
            name: value
            for name, value in kept.items()
            if name not in ("library_name", "license", "tags", "model-index")
        },
        library_name=LIBRARY,
        license=facts.license or kept.get("license"),
        tags=[*dict.fromkeys((*(kept.get("tags") or ()), LIBRARY, "neural-audio-codec", facts.config.model.family))],
        **({"pipeline_tag": _TASK} if "pipeline_tag" not in kept else {}),
        **({"model_name": facts.repo, "eval_results": [r for row in rows for r in row.results]} if rows else {}),
    )
    # A card that this function made before has these sections already.
    mine = kept.get("library_name") == LIBRARY
    text = own.text.strip() if own else f"# {facts.repo.partition('/')[2]}"
    parts = [text] if mine else [text, *_sections(facts)]
    if rows:
        parts.append(_table(rows, facts))
    return f"---\n{data.to_yaml().strip()}\n---\n\n" + "\n\n".join(parts) + "\n"


def _sections(facts: Facts) -> Iterator[str]:
    config, quantizer = facts.config, facts.config.quantizer
    rates = quantizer.kbps or (config.kbps(quantizer.num_quantizers),)
    channels = {1: "mono", 2: "stereo"}.get(config.model.audio_channels, f"{config.model.audio_channels} channels")
    rows = {
        "signal": f"{config.model.sample_rate} Hz, {channels}",
        "frames": f"{config.frame_rate:g} per second",
        "codebooks": f"{quantizer.num_quantizers} of {quantizer.codebook_size} entries",
        "rates": f"{', '.join(f'{rate:g}' for rate in rates)} kbps",
        "live": f"yes, frames of {config.latency_ms:g} ms" if config.model.causal else "no",
        "family": config.model.family,
        "weights": f"{facts.values:,} values, {facts.bytes / 1e6:.1f} MB, hash `{facts.digest}`",
    }
    yield "## Model\n\n| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    yield (
        "## Use\n\n"
        f"```python\nimport codax\n\ncodec = codax.load({facts.repo!r})\n"
        f"tokens = codec.encode(audio, sample_rate=rate, kbps={rates[-1]:g})  # audio [time] or [time, channels]\n"
        "restored = codec.decode(tokens)\n```\n\n"
        f"```\ncodax encode in.wav out.codax --model {facts.repo} --kbps {rates[-1]:g}\n"
        "codax decode out.codax out.wav\n```"
    )
    if facts.trained:
        train, data = config.train, config.data
        sources = ", ".join(data.mixture.sources) or data.source
        noise = f", with noise of {data.noise_source}" if data.noise_source else ""
        yield (
            f"## Data\n\nTrained on `{sources}`{noise}: {train.steps:,} steps of {train.batch_size} crops of "
            f"{train.segment_seconds:g} s."
        )


@dataclasses.dataclass(frozen=True)
class _Row:
    label: str
    cells: dict[str, str]  # by the metric's label
    results: list[Any]  # of `huggingface_hub.EvalResult`


def _measured(facts: Facts) -> list[_Row]:
    """The systems of this model in its results."""
    from huggingface_hub import EvalResult

    path = facts.results
    assert path is not None
    content = strict_json.read_object(path, "results")
    try:
        names = {one["name"] for one in content["models"] if one["hash"] == facts.digest}
        about, data = content["metrics"], content["data"]
        systems = [one for one in content["systems"] if one["kind"] == "codec" and one["series"] in names]
        rows = []
        for system in systems:
            values = {key: one for key, one in system["metrics"].items() if one is not None and key not in _HIDDEN}
            cells = {_label(about[key]): _cell(one, int(about[key]["digits"])) for key, one in values.items()}
            results = [
                EvalResult(
                    task_type=_TASK,
                    dataset_type=str(data["spec"]),
                    dataset_name=f"{data['spec']} ({data['split']}, {data['utterances']} utterances)",
                    metric_type=key,
                    metric_name=f"{about[key]['label']}, {system['nominal_kbps']:g} kbps",
                    metric_value=round(float(one["mean"]), 6),
                    metric_args={"kbps": float(system["nominal_kbps"])},
                )
                for key, one in values.items()
            ]
            rows.append(_Row(f"{system['nominal_kbps']:g} kbps", cells, results))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CodaxError(f"{path}: not the results of an evaluation ({type(error).__name__}: {error})") from error
    if not rows:
        raise CodaxError(f"{path}: has no results of a model with weights {facts.digest}")
    return rows


def _label(about: dict[str, Any]) -> str:
    return f"{about['label']} {about['unit']}".strip() if about["unit"] in ("%", "dB", "kbps") else str(about["label"])


def _cell(value: dict[str, Any], digits: int) -> str:
    half = (float(value["high"]) - float(value["low"])) / 2
    if not math.isfinite(half):
        raise ValueError("an interval without an end")
    return f"{float(value['mean']):.{digits}f}" + (f" ±{half:.{digits}f}" if half else "")


def _table(rows: list[_Row], facts: Facts) -> str:
    labels = list(dict.fromkeys(label for row in rows for label in row.cells))
    data = rows[0].results[0].dataset_name if rows[0].results else ""
    lines = [f"| rate | {' | '.join(labels)} |", "|---" * (len(labels) + 1) + "|"]
    lines += [f"| {row.label} | {' | '.join(row.cells.get(label, '-') for label in labels)} |" for row in rows]
    return f"## Results\n\nMeasured by `codax eval` on {data}; ± half the 95 % interval.\n\n" + "\n".join(lines)
