"""The report: one valid page, nothing fetched from elsewhere, every link leads somewhere, text is escaped."""

import copy
import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from codax.evaluation import clips
from codax.evaluation import report as reports

VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.ids, self.links, self.text = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        self.links += [attributes[name] for name in ("src", "href") if name in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def report(finished):
    return finished[1], (finished[1] / "report.html").read_text(encoding="utf-8")


def test_page(report):
    out, text = report
    page = Page(text)
    assert page.open == []  # every tag is closed, in order
    assert len(page.ids) == len(set(page.ids))
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert ("html", {"lang": "en"}) in page.tags
    for link in page.links:
        assert not link.startswith(("http:", "https:", "//", "/"))
        if link.startswith("data:"):
            continue
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert (out / unquote(link)).is_file(), link
    assert "http" not in text.replace("http-equiv", "")
    assert "@import" not in text


def test_the_player_has_every_signal(report):
    out, text = report
    signals = [a["data-signal"] for tag, a in Page(text).tags if tag == "button" and "data-signal" in a]
    assert len(signals) == 12  # three utterances, four systems
    for signal in signals:  # which the listening page's script looks up in its folder audio/
        script = (out / "audio" / f"{signal}.js").read_text()
        assert script.startswith(f'codaxAudio("{signal}","') and len(script) > 40_000
    assert "class Player" in text and "class LoopView" in text


def test_long_clips_are_cut(finished, monkeypatch):
    results, out, _ = finished
    monkeypatch.setattr(clips, "SECONDS", 1.0)
    written = clips.write(clips.choose(results)[:1], out)
    assert {signal.seconds for signal in written[0].signals.values()} == {1.0}
    assert "The first 1 of" in reports.page(results, chosen=written)
    clips.write(clips.choose(results), out)


def test_tables_are_labelled(report):
    page = Page(report[1])
    heads = [attributes for tag, attributes in page.tags if tag == "th"]
    assert heads
    assert all(a.get("scope") in ("col", "row") for a in heads)
    assert [tag for tag, _ in page.tags].count("caption") == 3
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 12 and all(image["alt"].startswith("Spectrogram: ") for image in images)
    pictures = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("role") == "img"]
    keys = [key for key in finished_keys(report[0]) if key not in ("codebook_use", "perplexity", "entropy_kbps")]
    assert len(pictures) == len(keys) + 2  # quality by rate, and the information split
    assert all(picture["aria-label"] for picture in pictures)


def finished_keys(out):
    systems = json.loads((out / "results.json").read_text())["systems"]
    return {k for s in systems for k, v in s["metrics"].items() if v is not None and s["bits_per_second"] is not None}


def test_every_figure_has_the_original(report):
    figures = re.findall(r'<figure class="chart".*?</figure>', report[1], re.S)
    assert len(figures) > 8
    originals = {s["key"]: s for s in json.loads((report[0] / "results.json").read_text())["systems"]}["original"]
    for figure in figures:
        key = re.search(r'data-metric="(\w+)"', figure)[1]
        has = 'class="original"' in figure or "original: " in figure
        assert has == (originals["metrics"].get(key) is not None), key
        assert "#" not in re.sub(r"&#\d+;", "", figure)  # colours are those of the style sheet


def test_empty_columns_are_left_out(finished):
    results = copy.deepcopy(finished[0])
    for system in results.systems:
        system.bits_per_second = system.payload_bits_per_second = None
        system.metrics["snr"] = None
    for row in results.rows:
        row.file_bytes, row.heard = None, ""
        row.scores.pop("snr", None)
    heads = re.findall(r"<th scope=\"col\".*?</th>", reports.page(results))
    assert heads and not [
        head for head in heads if re.search("kbps, |>kbps<|Heard|SNR dB<|>SNR", head.replace("SI-", "x"))
    ]


def test_heard_words_have_their_errors(report):
    assert re.search(r'title="substitution"><del>alpha</del> <ins>rubbish</ins></span>', report[1])


def test_times_and_titles_are_readable(report):
    text = report[1]
    assert re.search(r"<h1>fake against opus</h1>", text)
    assert re.search(r'<time datetime="\d{4}-[^"]+">\d{1,2} [A-Z][a-z]+ \d{4}, \d\d:\d\d UTC</time>', text)
    assert reports.readable("2026-11-30T13:52:12+02:00") == "30 November 2026, 11:52 UTC"
    assert reports.readable("yesterday") == "yesterday"


def test_text_is_escaped(report):
    page = Page(report[1])
    assert "b" not in [tag for tag, _ in page.tags]
    assert any("<b>bravo</b>" in text for text in page.text)


def test_numbers_definitions_and_versions(report):
    text = " ".join(Page(report[1]).text)
    for expected in ("fake 64 kbps", "opus 12 kbps", "33.3", "fake recogniser", "Entropy per quantizer", "numpy"):
        assert expected in text


def test_failures_are_named(finished):
    """Signals that a system could not code have no player and no link, and are listed with the reason."""
    results = copy.deepcopy(finished[0])
    row = next(row for row in results.rows if row.system == results.systems[1].key)
    row.errors = {"system": "<i>broken</i>"}
    for other in results.rows:
        other.errors |= {f"metric {number}": "too short" for number in range(20)}
    page = Page(reports.page(results, chosen=clips.choose(results)))
    text = " ".join(page.text)
    assert page.open == []
    assert "failed: <i>broken</i>" in text
    assert f"{row.system}, {row.utterance}, system: <i>broken</i>" in text
    assert f"{20 * len(results.rows) + 1 - 200} more in results.json." in text
    assert row.audio not in [unquote(link) for link in page.links]
    assert {"failures"} < set(page.ids)
    assert "differences" not in page.ids  # nothing to show there


def test_names_and_words_of_any_direction_keep_the_order_of_the_text_around_them(report):
    text = report[1]
    assert text.count('<th scope="row"><bdi>') == 12  # three utterances, four systems
    for before in ("<h3>", "Said: ", "heard: ", '<td class="text heard">'):
        assert f"{before}<bdi>" in text and not re.search(rf"{before}(?!<bdi>)\w", text.partition('id="listen"')[2]), (
            before
        )
