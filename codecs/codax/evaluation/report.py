"""report.html shows the whole evaluation on one page, which needs the audio files but no network."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from codax.evaluation import clips, comparisons, table
from codax.evaluation.clips import Clip
from codax.evaluation.comparisons import Comparison
from codax.evaluation.results import Results
from codax.metrics import registry
from codax.storage.files import write_whole

SPLIT = "information_split.png"
MAX_ROWS = 3000  # of the per-file table; per_file.csv has all rows
_MAX_FAILURES = 200  # results.json has all failures


def write(results: Results, folder: Path, compared: Sequence[Comparison] = ()) -> None:
    """Writes report.html.

    Args:
      results: results of an evaluation.
      compared: differences between its systems.
      folder: the output folder, with audio/, rate_quality.png and perhaps information_split.png; the page embeds the
        pictures.
    """
    split = (folder / SPLIT).read_bytes() if (folder / SPLIT).exists() else None
    labels = {system.key: system.label for system in results.systems}
    chosen = clips.draw(clips.choose(results), labels, folder)
    text = page(results, (folder / "rate_quality.png").read_bytes(), split, compared, chosen)
    write_whole(folder / "report.html", text)


def page(
    results: Results,
    plot_png: bytes,
    split_png: bytes | None = None,
    compared: Sequence[Comparison] = (),
    chosen: Sequence[Clip] = (),
) -> str:
    """Renders templates/report.html as text."""
    environment = Environment(
        loader=PackageLoader("codax.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["heading"] = table.heading

    def shown(has: Callable[[str], bool]) -> list[str]:
        return [key for key in results.keys if has(key)]

    pairs: dict[tuple[str, str], dict[str, Comparison]] = {}
    for comparison in compared:
        pairs.setdefault((comparison.first, comparison.second), {})[comparison.metric] = comparison
    text = environment.get_template("report.html").render(
        name=", ".join(each["name"] for each in _measured(results.about)) or "Baselines",
        subject=table.subject(results),
        results=results,
        values=registry.VALUES,
        labels={system.key: system.label for system in results.systems},
        keys_of_systems=shown(lambda key: any(s.metrics.get(key) is not None for s in results.systems)),
        keys_of_rows=shown(lambda key: any(row.value(key) is not None for row in results.rows)),
        keys_of_comparisons=shown(lambda key: any(key in metrics for metrics in pairs.values())),
        plot=base64.b64encode(plot_png).decode("ascii"),
        split=split_png and base64.b64encode(split_png).decode("ascii"),
        split_name=SPLIT,
        compared=pairs,
        csv=comparisons.NAME,
        clips=chosen,
        failures=results.failures(),
        environment=_environment(results),
        max_rows=MAX_ROWS,
        max_failures=_MAX_FAILURES,
    )
    return text.lstrip()


def _measured(about: dict[str, Any]) -> list[dict[str, Any]]:
    """The descriptions of the models, and of the folders of decoded files."""
    return [*about["models"], *about.get("decoded", [])]


def _environment(results: Results) -> list[tuple[str, str]]:
    about = results.about
    pairs = [(k.replace("_", " "), v) for k, v in about["settings"].items() if v is not None]
    pairs += [(f"data: {k.replace('_', ' ')}", v) for k, v in about["data"].items()]
    pairs += [(f"protocol: {k}", v) for k, v in about.get("protocol", {}).items()]
    for model in _measured(about):
        pairs += [(f"model: {k}", v) for k, v in model.items() if k != "config"]
    pairs += list(about["versions"].items())
    return [(str(name), _plain(value)) for name, value in pairs]


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return str(value)
