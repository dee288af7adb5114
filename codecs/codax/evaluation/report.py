"""report.html shows the whole evaluation on one page, which needs the folders beside it but no network."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from codax.evaluation import charts, clips, comparisons, panels, table
from codax.evaluation.charts import Chart
from codax.evaluation.clips import Clip
from codax.evaluation.comparisons import Comparison
from codax.evaluation.results import Results, Row
from codax.evaluation.verdict import EQUAL, leaders, verdict
from codax.evaluation.words import align
from codax.metrics import registry
from codax.runtime import pages
from codax.storage.files import write_whole

SPLIT = "information_split.png"
MAX_ROWS = 3000  # of the per-file table; per_file.csv has all rows
_MAX_FAILURES = 200  # results.json has all failures
_PLAYER = ("logic.js", "player.js", "wave.js", "trial.js")  # of the listening page


def write(results: Results, folder: Path, compared: Sequence[Comparison] = ()) -> None:
    """Writes report.html, and clips/ for its player.

    Args:
      results: results of an evaluation.
      compared: differences between its systems.
      folder: the output folder, with audio/.
    """
    write_whole(folder / "report.html", page(results, compared, clips.write(clips.choose(results), folder)))


def page(results: Results, compared: Sequence[Comparison] = (), chosen: Sequence[Clip] = ()) -> str:
    """Renders templates/report.html as text."""
    environment = pages.environment("codax.evaluation")
    environment.filters |= {"heading": table.heading, "marker": charts.marker, "colour": charts.colour}

    def shown(has: Callable[[str], bool]) -> list[str]:
        return [key for key in results.keys if has(key)]

    pairs: dict[tuple[str, str], dict[str, Comparison]] = {}
    for comparison in compared:
        pairs.setdefault((comparison.first, comparison.second), {})[comparison.metric] = comparison
    originals = {row.utterance: row for row in results.rows if row.system == results.systems[0].key}
    text = environment.get_template("report.html").render(
        title=_title(results),
        created=readable(results.about["created"]),
        subject=table.subject(results),
        results=results,
        findings=verdict(results, compared),
        marks=leaders(results, compared),
        equal=EQUAL,
        values=registry.VALUES,
        labels={system.key: system.label for system in results.systems},
        rates_of_systems=[
            (title, name)
            for title, name in (("kbps, file", "bits_per_second"), ("kbps, codes", "payload_bits_per_second"))
            if any(getattr(system, name) is not None for system in results.systems)
        ],
        keys_of_systems=shown(lambda key: any(s.metrics.get(key) is not None for s in results.systems)),
        keys_of_rows=shown(lambda key: any(row.value(key) is not None for row in results.rows)),
        keys_of_comparisons=shown(lambda key: any(key in metrics for metrics in pairs.values())),
        keys_of_clips=[key for key in table.columns(results) if any(r.value(key) is not None for r in results.rows)],
        rows_have_rates=any(row.file_bytes is not None for row in results.rows),
        rows_have_words=any(row.heard for row in results.rows),
        charts=[Chart(panel) for panel in panels.rate_quality(results)],
        split=[Chart(panel) for panel in panels.information_split(results)],
        split_name=SPLIT,
        compared=pairs,
        csv=comparisons.NAME,
        clips=chosen,
        longest=clips.SECONDS,
        words=lambda row: words(row, originals),
        failures=results.failures(),
        environment=_environment(results),
        max_rows=MAX_ROWS,
        max_failures=_MAX_FAILURES,
        scripts=_scripts(),
    )
    return text.lstrip()


def words(row: Row, originals: dict[str, Row]) -> Any:
    """The heard words of a row, aligned with its transcript, or else with those of the original; None without them."""
    reference = row.transcript or originals[row.utterance].heard
    return align(reference, row.heard) if reference else None


def readable(time: str) -> str:
    """A time of ISO 8601 as "30 November 2026, 11:52 UTC"; other text as it is."""
    try:
        moment = datetime.datetime.fromisoformat(time).astimezone(datetime.UTC)
    except ValueError:
        return time
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _scripts() -> str:
    """The player of the listening page."""
    files = resources.files("codax.listening") / "web"
    return "\n".join((files / name).read_text(encoding="utf-8") for name in _PLAYER)


def _title(results: Results) -> str:
    """The measured codecs against the others, such as "my model against opus"."""
    measured = [each["name"] for each in _measured(results.about)]
    baselines = list(dict.fromkeys(s.series for s in results.systems if s.kind == "baseline"))
    return " against ".join(filter(None, (", ".join(measured), ", ".join(baselines)))) or "Evaluation of codecs"


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
