"""README.md of a model on the hub: metadata as YAML, and what a reader needs to use the model."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

from codax.config import Config
from codax.errors import CodaxError
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
    """Returns the card.

    Raises:
      CodaxError: the results are no results of this model.
      Exception: of any type, from the reader of the metadata in the model's own text.
    """
    from huggingface_hub import ModelCardData, RepoCard

    own = RepoCard(facts.text) if facts.text else None
    metadata = own.data.to_dict() if own else {}
    text = own.text.strip() if own else f"# {facts.repo.partition('/')[2]}"
    rows, made = _measured(facts) if facts.results else [], ""
    mine = metadata.get("library_name") == LIBRARY
    if mine:
        text, _, made = text.partition("\n## Model\n")  # a card of this function: its sections are made again
    # What was measured and where it was trained stays true for the same weights.
    same = facts.digest in made
    dropped = {"library_name", "license", "tags", "model_name", "eval_results"}
    if rows or (mine and not same):
        dropped.add("model-index")
    tags = metadata.get("tags") or ()
    tags = [tags] if isinstance(tags, str) else tags
    data = ModelCardData(
        **{name: value for name, value in metadata.items() if name not in dropped},
        library_name=LIBRARY,
        license=facts.license or metadata.get("license"),
        tags=[*dict.fromkeys((*tags, LIBRARY, "neural-audio-codec", facts.config.model.family))],
        **({} if "pipeline_tag" in metadata else {"pipeline_tag": _TASK}),
        **({"model_name": facts.repo, "eval_results": [r for row in rows for r in row.results]} if rows else {}),
    )
    parts = [text.strip(), _model(facts), _use(facts)]
    parts.append(_data(facts) if facts.trained else _section(made, "Data") if same else "")
    parts.append(_table(rows) if rows else _section(made, "Results") if same else "")
    return f"---\n{data.to_yaml().strip()}\n---\n\n" + "\n\n".join(filter(None, parts)) + "\n"


def _section(text: str, title: str) -> str:
    match = re.search(rf"^## {title}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return match[0].strip() if match else ""


def _rates(config: Config) -> tuple[float, ...]:
    return tuple(config.quantizer.kbps) or (config.kbps(config.quantizer.num_quantizers),)


def _model(facts: Facts) -> str:
    config, quantizer = facts.config, facts.config.quantizer
    channels = {1: "mono", 2: "stereo"}.get(config.model.audio_channels, f"{config.model.audio_channels} channels")
    rows = {
        "signal": f"{config.model.sample_rate} Hz, {channels}",
        "frames": f"{config.frame_rate:g} per second",
        "codebooks": f"{quantizer.num_quantizers} of {quantizer.codebook_size} entries",
        "rates": f"{', '.join(f'{rate:g}' for rate in _rates(config))} kbps",
        "live": f"yes, frames of {config.latency_ms:g} ms" if config.model.causal else "no",
        "family": config.model.family,
        "weights": f"{facts.values:,} values, {facts.bytes / 1e6:.1f} MB, hash `{facts.digest}`",
    }
    return "## Model\n\n| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())


def _use(facts: Facts) -> str:
    top = f"{_rates(facts.config)[-1]:g}"
    return (
        "## Use\n\n"
        f"```python\nimport codax\n\ncodec = codax.load({facts.repo!r})\n"
        f"tokens = codec.encode(audio, sample_rate=rate, kbps={top})  # audio [time] or [time, channels]\n"
        "restored = codec.decode(tokens)\n```\n\n"
        f"```\ncodax encode in.wav out.codax --model {facts.repo} --kbps {top}\n"
        "codax decode out.codax out.wav\n```"
    )


def _data(facts: Facts) -> str:
    train, data = facts.config.train, facts.config.data
    sources = ", ".join(data.mixture.sources) or data.source
    noise = f", with noise of {data.noise_source}" if data.noise_source else ""
    return (
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


def _table(rows: list[_Row]) -> str:
    labels = list(dict.fromkeys(label for row in rows for label in row.cells))
    data = rows[0].results[0].dataset_name if rows[0].results else ""
    lines = [f"| rate | {' | '.join(labels)} |", "|---" * (len(labels) + 1) + "|"]
    lines += [f"| {row.label} | {' | '.join(row.cells.get(label, '-') for label in labels)} |" for row in rows]
    return f"## Results\n\nMeasured by `codax eval` on {data}; ± half the 95 % interval.\n\n" + "\n".join(lines)
