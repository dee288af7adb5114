"""report.html: the whole evaluation on one page that needs no network, only the audio beside it."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from codax.evaluation import clips, comparisons, table
from codax.evaluation.clips import Clip
from codax.evaluation.comparisons import Comparison
from codax.evaluation.report_page import SCRIPT, STYLE
from codax.evaluation.results import Results, Row, SystemResult
from codax.evaluation.statistics import Interval
from codax.metrics import registry

SPLIT = "information_split.png"
MAX_ROWS = 3000  # of the per-file table; all of them are in per_file.csv


def write(results: Results, folder: Path, compared: Sequence[Comparison] = ()) -> None:
    """Writes report.html beside rate_quality.png and audio/.

    Args:
      results: of an evaluation.
      compared: differences between its systems.
      folder: holds rate_quality.png already, and perhaps information_split.png; the pictures are put into the page.
    """
    split = (folder / SPLIT).read_bytes() if (folder / SPLIT).exists() else None
    labels = {system.key: system.label for system in results.systems}
    chosen = clips.draw(clips.choose(results), labels, folder)
    text = page(results, (folder / "rate_quality.png").read_bytes(), split, compared, chosen)
    (folder / "report.html").write_text(text, encoding="utf-8")


def page(
    results: Results,
    plot_png: bytes,
    split_png: bytes | None = None,
    compared: Sequence[Comparison] = (),
    chosen: Sequence[Clip] = (),
) -> str:
    """The page as text."""
    name = ", ".join(model["name"] for model in results.about["models"]) or "Baselines"
    sections = [
        _header(results, name, bool(compared)),
        _section("summary", "Summary", _summary(results)),
        _section("plot", "Rate and quality", _plot(plot_png)),
        _section("split", "What the first codebooks carry", _split(split_png)) if split_png else "",
        _section("differences", "Differences", _differences(results, compared)) if compared else "",
        _section("listen", "Listen", _clips(results, chosen)),
        _section("per-file", "Every file", _files(results)),
        _section("failures", "Not measured", _failures(results)) if results.failures() else "",
        _section("definitions", "What was measured", _definitions(results)),
        _section("environment", "Settings and versions", _environment(results)),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{_e(name)}: codec evaluation</title>\n<link rel="icon" href="data:,">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n" + "\n".join(sections) + f"\n<script>{SCRIPT}</script>\n</body>\n"
        "</html>\n"
    )


def _header(results: Results, name: str, compared: bool) -> str:
    about = results.about
    links = [("summary", "Summary"), ("plot", "Plot"), ("differences", "Differences"), ("listen", "Listen")]
    links += [("per-file", "Every file"), ("definitions", "Definitions")]
    links = [link for link in links if compared or link[0] != "differences"]
    return (
        f'<header><h1>{_e(name)}</h1>\n<p class="soft">{_e(table.subject(results))}. '
        f'Measured {_e(about["created"])}. Raw: <a href="results.json">results.json</a>, '
        f'<a href="per_file.csv">per_file.csv</a>.</p>\n<nav aria-label="Sections">'
        + "".join(f'<a href="#{anchor}">{label}</a>' for anchor, label in links)
        + "</nav></header>"
    )


def _section(anchor: str, title: str, content: str) -> str:
    return f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{title}</h2>\n{content}\n</section>'


def _summary(results: Results) -> str:
    keys = [key for key in results.keys if any(s.metrics.get(key) is not None for s in results.systems)]
    head = "".join(f'<th scope="col">{_e(table.heading(key))}</th>' for key in keys)
    rows = "\n".join(_summary_row(system, keys) for system in results.systems)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Summary table"><table>\n'
        "<caption>Mean over utterances (error rates and bit rates: pooled) and, below, the 95 % bootstrap interval. "
        "File: bit rate of the complete files; codes: without container.</caption>\n"
        '<thead><tr><th scope="col">System</th><th scope="col">kbps, file</th><th scope="col">kbps, codes</th>'
        f"{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _summary_row(system: SystemResult, keys: Iterable[str]) -> str:
    cells = [_rate(system.bits_per_second), _rate(system.payload_bits_per_second)]
    cells += [_value(system.metrics.get(key), registry.VALUES[key].digits) for key in keys]
    kind = ' class="original"' if system.kind == "original" else ""
    return f'<tr{kind}><th scope="row">{_e(system.label)}</th>{"".join(f"<td>{c}</td>" for c in cells)}</tr>'


def _differences(results: Results, compared: Sequence[Comparison]) -> str:
    keys = [key for key in results.keys if any(c.metric == key for c in compared)]
    labels = {system.key: system.label for system in results.systems}
    head = "".join(f'<th scope="col">{_e(table.heading(key))}</th>' for key in keys)
    found = {(c.first, c.second, c.metric): c for c in compared}
    rows = []
    for first, second in dict.fromkeys((c.first, c.second) for c in compared):
        cells = "".join(f"<td>{_difference(found.get((first, second, key)))}</td>" for key in keys)
        rows.append(f'<tr><th scope="row">{_e(labels[first])} − {_e(labels[second])}</th>{cells}</tr>')
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Differences"><table>\n'
        "<caption>First minus second over the utterances that both have, with the 95 % bootstrap interval of the "
        "difference. Bold: the interval leaves 0 out. Nothing is corrected for the number of comparisons. Also as "
        f'<a href="{comparisons.NAME}">{comparisons.NAME}</a>.</caption>\n'
        f'<thead><tr><th scope="col">Systems</th>{head}</tr></thead>\n<tbody>\n' + "\n".join(rows) + "\n"
        "</tbody></table></div>"
    )


def _difference(comparison: Comparison | None) -> str:
    if comparison is None:
        return _value(None, 0)
    digits, d = registry.VALUES[comparison.metric].digits, comparison.difference
    mean = f"{d.mean:+.{digits}f}"
    mean = f"<strong>{mean}</strong>" if comparison.distinct else mean
    return f'{mean}<span class="range">{d.low:+.{digits}f} to {d.high:+.{digits}f}</span>'


def _rate(bits: Interval | None) -> str:
    return _value(None if bits is None else bits.scaled(1e-3), 2)


def _value(interval: Interval | None, digits: int) -> str:
    if interval is None:
        return '<span class="soft" title="not measured">–</span>'
    text = f"{interval.mean:.{digits}f}"
    low, high = f"{interval.low:.{digits}f}", f"{interval.high:.{digits}f}"
    return text if low == high else f'{text}<span class="range">{low} to {high}</span>'


def _plot(png: bytes) -> str:
    return _figure(
        png,
        "rate_quality.png",
        "One panel per metric: measured kilobits per second against the value, one line per codec. The summary table "
        "holds the same numbers.",
        "Bars are 95 % intervals. The dashed line is the original's value.",
    )


def _split(png: bytes) -> str:
    return _figure(
        png,
        SPLIT,
        "Word error rate and speaker similarity against the number of codebooks. The summary table holds the same "
        "numbers.",
        "Decoded from the first codebooks alone: words should be there from the first one on, the voice comes with the "
        "others. Bars are 95 % intervals. The dashed line is the original's value.",
    )


def _figure(png: bytes, name: str, description: str, caption: str) -> str:
    return (
        f'<figure><img alt="{_e(description)}" src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}">'
        f'<figcaption>{_e(caption)} Also as <a href="{name}">{name}</a>.</figcaption></figure>'
    )


def _clips(results: Results, chosen: Sequence[Clip]) -> str:
    labels = {system.key: system.label for system in results.systems}
    return "\n".join(_clip(clip, labels) for clip in chosen)


def _clip(clip: Clip, labels: dict[str, str]) -> str:
    name, rows, transcript = clip.name, clip.rows, clip.rows[0].transcript
    said = f'<p class="small">Said: {_e(transcript)}</p>' if transcript else ""
    why = f' <span class="small soft">{_e(clip.why)}</span>' if clip.why else ""
    picture = ""
    if clip.picture:
        picture = (
            f'<details><summary class="small">Spectrograms</summary><img loading="lazy" src="{quote(clip.picture)}" '
            f'alt="Spectrograms of {_e(name)}: {_e(", ".join(labels[row.system] for row in rows))}"></details>'
        )
    players = []
    for row in rows:
        label = labels[row.system]
        if "system" in row.errors:
            inner = f'<p class="small soft">failed: {_e(row.errors["system"])}</p>'
        else:
            inner = (
                f'<audio controls preload="none" src="{quote(row.audio)}" aria-label="{_e(name)}, {_e(label)}"></audio>'
            )
            if row.heard:
                inner += f'<span class="small soft heard">heard: {_e(row.heard)}</span>'
        players.append(f"<figure><strong>{_e(label)}</strong>{inner}</figure>")
    return (
        f'<article class="clip"><h3>{_e(name)}{why}</h3>{said}<div class="players">{"".join(players)}</div>{picture}'
        "</article>"
    )


def _files(results: Results) -> str:
    keys = [key for key in results.keys if any(row.value(key) is not None for row in results.rows)]
    labels = {system.key: system.label for system in results.systems}
    rows = results.rows[:MAX_ROWS]
    note = "" if len(rows) == len(results.rows) else f" The first {len(rows)} of {len(results.rows)} rows."
    heads = ["Utterance", "System", "Seconds", "kbps", *(table.heading(key) for key in keys), "Heard"]
    texts = {"Utterance", "System", "Heard"}
    head = "".join(
        f'<th scope="col"{" class=text" if h in texts else ""}><button type="button">{_e(h)}</button></th>'
        for h in heads
    )
    options = "".join(f'<option value="{_e(key)}">{_e(label)}</option>' for key, label in labels.items())
    body = "\n".join(_file_row(row, labels[row.system], keys) for row in rows)
    return (
        f'<p hidden><label for="system">System</label><select id="system"><option value="">all</option>{options}'
        "</select></p>\n"
        '<div class="scroll tall" tabindex="0" role="region" aria-label="Table of every file"><table id="files">\n'
        f"<caption>Click a heading to sort.{note}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n"
        "</tbody></table></div>"
    )


def _file_row(row: Row, label: str, keys: Iterable[str]) -> str:
    rate = None if row.file_bytes is None else 8 * row.file_bytes / row.seconds / 1000
    cells = [_cell(row.seconds, 2), _cell(rate, 2)]
    cells += [_cell(row.value(key), registry.VALUES[key].digits) for key in keys]
    name = _e(row.utterance) if "system" in row.errors else f'<a href="{quote(row.audio)}">{_e(row.utterance)}</a>'
    return (
        f'<tr data-system="{_e(row.system)}"><th scope="row">{name}</th><td class="text">{_e(label)}</td>'
        f'{"".join(cells)}<td class="text heard">{_e(row.heard)}</td></tr>'
    )


def _cell(value: float | None, digits: int) -> str:
    if value is None:
        return '<td data-value="">–</td>'
    return f'<td data-value="{value:.6g}">{value:.{digits}f}</td>'


def _failures(results: Results) -> str:
    items = [
        f"<li>{_e(f['system'])}, {_e(f['utterance'])}, {_e(f['metric'])}: {_e(f['reason'])}</li>"
        for f in results.failures()
    ]
    shown = "\n".join(items[:200])
    more = f"<p>{len(items) - 200} more in results.json.</p>" if len(items) > 200 else ""
    return f"<p>These values could not be had and are left out of the means.</p>\n<ul>\n{shown}\n</ul>{more}"


def _definitions(results: Results) -> str:
    items = []
    for key in results.keys:
        about = registry.VALUES[key]
        better = f" Better: {about.better}." if about.better else ""
        items.append(f"<dt>{_e(about.label)}</dt><dd>{_e(about.definition)}{better}</dd>")
    systems = [f"<dt>{_e(system.label)}</dt><dd>{_e(_about_system(system))}</dd>" for system in results.systems]
    return f"<dl>\n{chr(10).join(items)}\n</dl>\n<h2>Systems</h2>\n<dl>\n{chr(10).join(systems)}\n</dl>"


def _about_system(system: SystemResult) -> str:
    text = f"{system.description}."
    if system.real_time_factor is not None:
        text += (
            f" Coding and decoding took a second for {system.real_time_factor:.1f} s of audio (median, this machine)."
        )
    if system.codebooks is not None:
        use = system.codebooks
        levels = ", ".join(f"{bits:.2f}" for bits in use.entropy)
        text += (
            f" Entropy per quantizer: {levels} bits; {use.entropy_bps / 1000:.2f} of {use.nominal_bps / 1000:.2f} kbps "
            f"({100 * use.efficiency:.0f} %) over {use.frames} frames."
        )
    return text


def _environment(results: Results) -> str:
    about = results.about
    pairs = [(k.replace("_", " "), v) for k, v in about["settings"].items() if v is not None]
    pairs += [(f"data: {k.replace('_', ' ')}", v) for k, v in about["data"].items()]
    for model in about["models"]:
        pairs += [(f"model: {k}", v) for k, v in model.items() if k != "config"]
    pairs += list(about["versions"].items())
    return "<dl>\n" + "\n".join(f"<dt>{_e(str(k))}</dt><dd>{_e(_plain(v))}</dd>" for k, v in pairs) + "\n</dl>"


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return str(value)


def _e(text: str) -> str:
    return html.escape(text, quote=True)
